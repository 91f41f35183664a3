// senpuki stats: counts, queue depths and throughput.

package cli

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) statsCommand() *cobra.Command {
	var since string
	c := &cobra.Command{
		Use: "stats", Short: "Count executions by state, queue depths, throughput and failures",
		Example: "  senpuki stats --since 1h --json", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.stats(c.Context(), since) },
	}
	c.Flags().StringVar(&since, "since", "1h", "over how long throughput and failures are counted")
	return c
}

// statsView is what stats --json prints.
type statsView struct {
	States      map[string]int64 `json:"states"`
	Queues      []queueView      `json:"queues"`
	Workers     int              `json:"workers"`
	Stuck       int64            `json:"stuck"`
	DeadLetters int64            `json:"dead_letters"`
	Memos       int64            `json:"memos"`
	Since       time.Time        `json:"since"`
	Ended       int64            `json:"ended"`
	Failed      int64            `json:"failed"`
	PerMinute   float64          `json:"per_minute"`
	FailureRate float64          `json:"failure_rate"`
}

type queueView struct {
	Queue     string    `json:"queue"`
	Pending   int64     `json:"pending"`
	Tasks     int64     `json:"tasks"`
	OldestDue time.Time `json:"oldest_due"`
}

func (a *app) stats(ctx context.Context, text string) error {
	over, err := parsePositive("--since", text)
	if err != nil {
		return err
	}
	if over <= 0 {
		return usage("--since: must be longer than nothing")
	}
	return a.view(ctx, func(_ *engine.Engine, store backend.Store) error {
		now := time.Now()
		st, err := store.Stats(ctx, now.Add(-over))
		if err != nil {
			return err
		}
		live, err := store.Sessions(ctx)
		if err != nil {
			return err
		}
		v := statsView{
			States: map[string]int64{}, Queues: []queueView{}, Workers: len(live), Stuck: st.Stuck, DeadLetters: st.Dead, Memos: st.Memos,
			Since: st.Since.UTC(), Ended: st.Ended, Failed: st.Failed, PerMinute: float64(st.Ended) / over.Minutes(),
		}
		if st.Ended > 0 {
			v.FailureRate = float64(st.Failed) / float64(st.Ended)
		}
		for _, s := range allStates {
			v.States[string(s)] = st.States[s]
		}
		for _, q := range st.Queues {
			v.Queues = append(v.Queues, queueView(q))
		}
		if a.json {
			return a.printDocument(v)
		}
		for _, s := range allStates {
			fmt.Fprintf(a.out, "%-12s %d\n", s, v.States[string(s)])
		}
		fmt.Fprintf(a.out, "%-12s %d\n%-12s %d\n%-12s %d\n%-12s %d\n", "stuck", v.Stuck, "dead letters", v.DeadLetters, "shared", v.Memos, "workers", v.Workers)
		fmt.Fprintf(a.out, "%-12s %d in %s, %.1f a minute, %.1f %% failed\n", "ended", v.Ended, duration(over), v.PerMinute, 100*v.FailureRate)
		if len(v.Queues) > 0 {
			fmt.Fprintln(a.out)
			t := table{head: []string{"QUEUE", "PENDING", "TASKS", "OLDEST"}, fixed: 1}
			for _, q := range v.Queues {
				t.row(q.Queue, strconv.FormatInt(q.Pending, 10), strconv.FormatInt(q.Tasks, 10), ago(q.OldestDue, now))
			}
			t.write(a.out, a.color())
		}
		return nil
	})
}
