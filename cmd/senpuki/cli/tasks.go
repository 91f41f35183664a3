// senpuki tasks, cache, stats, gc: what a database holds beside executions.

package cli

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// groupCommand is a command that only has others below it.
func groupCommand(use, short, example string, below ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Example: example, // root makes it print its help
	}
	c.AddCommand(below...)
	return c
}

// taskView is a task in JSON.
type taskView struct {
	Key       int64     `json:"key"`
	Execution string    `json:"execution"`
	Step      string    `json:"step"`
	Attempt   int       `json:"attempt"`
	Activity  string    `json:"activity"`
	Queue     string    `json:"queue"`
	Priority  int       `json:"priority,omitempty"`
	Tags      []string  `json:"tags,omitempty"`
	State     string    `json:"state"` // waiting, running
	Waiting   string    `json:"waiting,omitempty"`
	Session   int64     `json:"session,omitempty"`
	Created   time.Time `json:"created"`
	Due       time.Time `json:"due"`
	Began     time.Time `json:"began,omitzero"`
	Expires   time.Time `json:"expires,omitzero"`
}

// shownTask is what tasks show --json prints.
type shownTask struct {
	taskView
	Input json.RawMessage `json:"input"`
}

func viewTask(k *backend.Task, offers []engine.SessionInfo) taskView {
	v := taskView{
		Key: k.Key, Execution: k.Execution, Step: k.Step, Attempt: k.Attempt, Activity: k.Activity, Queue: k.Queue,
		Priority: k.Priority, Tags: k.Tags, State: "waiting", Session: int64(k.Owner), Created: k.Created, Due: k.Due, Began: k.Began, Expires: k.Expires,
	}
	if k.Owner != 0 {
		v.State = "running"
	} else if !offered(k, offers) {
		v.Waiting = notOffered(k)
	}
	return v
}

// offers is what the live workers can do.
func offers(ctx context.Context, store backend.Store) (list []engine.SessionInfo, err error) {
	sessions, err := store.Sessions(ctx)
	for _, s := range sessions {
		var info engine.SessionInfo
		if json.Unmarshal(s.Info, &info) == nil {
			list = append(list, info)
		}
	}
	return list, err
}

// offered reports whether a live worker can run a task.
func offered(k *backend.Task, offers []engine.SessionInfo) bool {
	return slices.ContainsFunc(offers, func(o engine.SessionInfo) bool { return o.Serves(k) })
}

func notOffered(k *backend.Task) string {
	text := fmt.Sprintf("no worker offers %q on queue %s", k.Activity, k.Queue)
	if len(k.Tags) > 0 {
		text += " with tags " + strings.Join(k.Tags, ", ")
	}
	return text
}

func (a *app) tasksCommand() *cobra.Command {
	var f backend.TaskFilter
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List tasks: attempts that any worker may run",
		Example: "  senpuki tasks list --queue billing", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.tasksList(c.Context(), f) },
	}
	list.Flags().StringVar(&f.Queue, "queue", "", "queue")
	list.Flags().StringVar(&f.Activity, "activity", "", "activity")
	list.Flags().StringVar(&f.Execution, "execution", "", "id of the execution")
	list.Flags().IntVar(&f.Limit, "limit", 50, "how many at most")
	_ = list.RegisterFlagCompletionFunc("execution", a.ids) // the flag exists
	show := &cobra.Command{
		Use: "show KEY", Short: "Show one task", Example: "  senpuki tasks show 17 --json", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.taskShow(c.Context(), args[0]) },
	}
	return groupCommand("tasks", "List and show tasks", "  senpuki tasks list", list, show)
}

func (a *app) tasksList(ctx context.Context, f backend.TaskFilter) error {
	if f.Limit < 1 {
		return usage("--limit: %d is not at least 1", f.Limit)
	}
	return a.view(ctx, func(_ *engine.Engine, store backend.Store) error {
		tasks, err := store.Tasks(ctx, f)
		if err != nil {
			return err
		}
		live, err := offers(ctx, store)
		if err != nil {
			return err
		}
		list := make([]taskView, len(tasks))
		for i := range tasks {
			list[i] = viewTask(&tasks[i], live)
		}
		if a.json {
			return a.printDocument(list)
		}
		if len(list) == 0 {
			fmt.Fprintln(a.err, "no tasks")
			return nil
		}
		now := time.Now()
		t := table{head: []string{"KEY", "ACTIVITY", "QUEUE", "STATE", "CREATED", "EXECUTION", "STEP", "ATTEMPT", "NOTE"}, fixed: 1}
		for _, k := range list {
			note := k.Waiting
			if k.State == "waiting" && k.Due.After(now) {
				note = "due " + dueText(k.Due, now)
			}
			t.row(strconv.FormatInt(k.Key, 10), k.Activity, k.Queue, k.State, ago(k.Created, now), k.Execution, k.Step, strconv.Itoa(k.Attempt), note)
		}
		t.write(a.out, a.color())
		return nil
	})
}

func (a *app) taskShow(ctx context.Context, word string) error {
	key, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		return usage("%q is not the key of a task; 'senpuki tasks list' shows them", word)
	}
	return a.view(ctx, func(_ *engine.Engine, store backend.Store) error {
		if key < 1 {
			return fmt.Errorf("there is no task %d", key)
		}
		tasks, err := store.Tasks(ctx, backend.TaskFilter{Key: key})
		if err != nil {
			return err
		}
		live, err := offers(ctx, store)
		if err != nil {
			return err
		}
		if len(tasks) == 0 {
			return fmt.Errorf("there is no task %d; it may have ended", key)
		}
		doc := shownTask{viewTask(&tasks[0], live), tasks[0].Input}
		if a.json {
			return a.printDocument(doc)
		}
		for _, line := range [][2]string{
			{"key", word}, {"activity", doc.Activity}, {"execution", doc.Execution}, {"step", doc.Step}, {"attempt", strconv.Itoa(doc.Attempt)},
			{"queue", doc.Queue}, {"tags", strings.Join(doc.Tags, ", ")}, {"state", doc.State}, {"waits", doc.Waiting}, {"input", string(doc.Input)},
		} {
			if line[1] != "" {
				fmt.Fprintf(a.out, "%-10s %s\n", line[0], line[1])
			}
		}
		return nil
	})
}

func (a *app) cacheCommand() *cobra.Command {
	var activity, clearActivity string
	var limit int
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List results that calls share, newest first", Example: "  senpuki cache list --activity quote", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.cacheList(c.Context(), activity, limit) },
	}
	list.Flags().StringVar(&activity, "activity", "", "activity")
	list.Flags().IntVar(&limit, "limit", 50, "how many at most")
	clearing := &cobra.Command{
		Use: "clear", Short: "Forget shared results, so that the next calls run", Example: "  senpuki cache clear --activity quote", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.view(c.Context(), func(_ *engine.Engine, store backend.Store) error {
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

func (a *app) cacheList(ctx context.Context, activity string, limit int) error {
	if limit < 1 {
		return usage("--limit: %d is not at least 1", limit)
	}
	return a.view(ctx, func(_ *engine.Engine, store backend.Store) error {
		found, err := store.Memos(ctx, backend.MemoFilter{Activity: activity, Limit: limit})
		if err != nil {
			return err
		}
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
			t.row(m.Activity, oneLine(m.Key, 40), m.State, ago(m.Created, now), expires, oneLine(string(m.Result), 60))
		}
		t.write(a.out, a.color())
		return nil
	})
}

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
	over, err := parseDuration("--since", text)
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

func (a *app) gcCommand() *cobra.Command {
	var older string
	var dry bool
	c := &cobra.Command{
		Use: "gc [flags]", Short: "Remove executions that ended long ago",
		Long: `Remove executions that ended long ago, with their journals, log lines and dead letters,
shared results whose time is up, and source that nothing uses. Running executions are never touched.`,
		Example: "  senpuki gc --older-than 30d --dry-run", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.gc(c.Context(), older, dry)
		},
	}
	c.Flags().StringVar(&older, "older-than", "30d", "how long ago they ended")
	c.Flags().BoolVar(&dry, "dry-run", false, "only count what would be removed")
	return c
}

// collected is what gc --json prints.
type collected struct {
	Executions  int64 `json:"executions"`
	Memos       int64 `json:"memos"`
	DeadLetters int64 `json:"dead_letters"`
	Programs    int64 `json:"programs"`
	DryRun      bool  `json:"dry_run"`
}

func (a *app) gc(ctx context.Context, older string, dry bool) error {
	age, err := parseDuration("--older-than", older)
	if err != nil {
		return err
	}
	return a.view(ctx, func(eng *engine.Engine, _ backend.Store) error {
		got, err := eng.Collect(ctx, engine.Retention{Completed: age, Failed: age}, dry)
		if err != nil {
			return err
		}
		v := collected{got.Executions, got.Memos, got.DeadLetters, got.Programs, dry}
		if a.json {
			return a.printDocument(v)
		}
		verb := "removed"
		if dry {
			verb = "would be removed"
		}
		fmt.Fprintf(a.out, "%s: %s, %s, %s, %s\n", verb, count(int(v.Executions), "execution"), count(int(v.Memos), "shared result"),
			count(int(v.DeadLetters), "dead letter"), count(int(v.Programs), "program"))
		return nil
	})
}
