// senpuki workers: the live ones.

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) workersCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "workers",
		Short:   "List the live workers and what they are running",
		Example: "  senpuki workers --json",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.workers(c.Context()) },
	}
}

// workerView is one live worker.
type workerView struct {
	Session int64           `json:"session"`
	Host    string          `json:"host"`
	PID     int             `json:"pid"`
	Opened  time.Time       `json:"opened"`
	Beat    int64           `json:"beat"`
	Info    json.RawMessage `json:"info,omitempty"`
}

func (a *app) workers(ctx context.Context) error {
	return a.view(ctx, func(eng *engine.Engine, _ backend.Store) error {
		found, err := eng.Workers(ctx)
		if err != nil {
			return err
		}
		list := make([]workerView, len(found))
		for i, w := range found {
			s := &w.Session
			list[i] = workerView{int64(s.ID), s.Host, s.PID, s.Opened, s.Beat, s.Info}
		}
		if a.json {
			return a.printDocument(list)
		}
		if len(list) == 0 {
			fmt.Fprintln(a.err, "no workers; 'senpuki worker' starts one")
			return nil
		}
		t := table{head: []string{"SESSION", "HOST", "PID", "SINCE", "QUEUES", "TAGS", "BUSY", "NOW", "OFFERS"}, fixed: 1}
		for i, w := range list {
			info := &found[i].Info
			t.row(strconv.FormatInt(w.Session, 10), w.Host, strconv.Itoa(w.PID), ago(w.Opened, time.Now()),
				strings.Join(info.Queues, ", "), strings.Join(info.Tags, ", "), info.Summary(), oneLine(info.Activity(), 40), oneLine(strings.Join(info.Activities, ", "), 60))
		}
		t.write(a.out, a.color())
		return nil
	})
}
