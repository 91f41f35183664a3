// senpuki cache: results that calls share.

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) cacheCommand() *cobra.Command {
	var activity, clearActivity string
	var p page
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List results that calls share, newest first", Example: "  senpuki cache list --activity quote", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.cacheList(c.Context(), activity, &p) },
	}
	list.Flags().StringVar(&activity, "activity", "", "activity")
	p.register(list.Flags())
	clearing := &cobra.Command{
		Use: "clear", Short: "Forget shared results, so that the next calls run", Example: "  senpuki cache clear --activity quote", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.change(c.Context(), func(_ *engine.Engine, store backend.Store) error {
				n, err := store.ClearMemos(c.Context(), clearActivity)
				if err != nil {
					return err
				}
				if a.json {
					return a.printDocument(cleared{n})
				}
				fmt.Fprintf(a.err, "%s cleared\n", count(int(n), "result"))
				return nil
			})
		},
	}
	clearing.Flags().StringVar(&clearActivity, "activity", "", "only of this activity")
	return groupCommand("cache", "List and clear results of idempotent and cached calls", "  senpuki cache list", list, clearing)
}

// memoView is a shared result in JSON.
type memoView struct {
	Activity  string          `json:"activity"`
	Key       string          `json:"key"`
	State     string          `json:"state"` // stored, reserved
	Waiting   int             `json:"waiting,omitempty"`
	Execution string          `json:"execution"`
	Step      string          `json:"step"`
	Created   time.Time       `json:"created"`
	Expires   time.Time       `json:"expires,omitzero"`
	Result    json.RawMessage `json:"result,omitempty"`
}

// cleared is what cache clear --json prints.
type cleared struct {
	Cleared int64 `json:"cleared"`
}

func (a *app) cacheList(ctx context.Context, activity string, p *page) error {
	limit, err := p.ask(a.json)
	if err != nil {
		return err
	}
	return a.view(ctx, func(_ *engine.Engine, store backend.Store) error {
		found, err := store.Memos(ctx, backend.MemoFilter{Activity: activity, Limit: limit})
		if err != nil {
			return err
		}
		found, more := cut(p, found)
		list := make([]memoView, len(found))
		for i, m := range found {
			list[i] = memoView{m.Activity, m.Key, "stored", m.Waiting, m.Execution, m.Step, m.Created, m.Expires, m.Result}
			if m.Result == nil {
				list[i].State = "reserved"
			}
		}
		if a.json {
			return a.printDocument(list)
		}
		if len(list) == 0 {
			fmt.Fprintln(a.err, "no shared results")
			return nil
		}
		now := time.Now()
		t := table{head: []string{"ACTIVITY", "KEY", "STATE", "CREATED", "EXPIRES", "RESULT"}, fixed: 1}
		for _, m := range list {
			expires := "never"
			if !m.Expires.IsZero() {
				expires = dueText(m.Expires, now)
			}
			if m.State == "reserved" {
				m.State += " by " + m.Execution
			}
			t.row(m.Activity, oneLine(m.Key, 40), m.State, ago(m.Created, now), expires, oneLine(string(m.Result), 60))
		}
		t.write(a.out, a.color())
		a.tellMore(more, len(list))
		return nil
	})
}
