// senpuki tasks: attempts that any worker may run.

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

func (a *app) tasksCommand() *cobra.Command {
	var f backend.TaskFilter
	var p page
	list := &cobra.Command{
		Use: "list", Aliases: []string{"ls"}, Short: "List tasks: attempts that any worker may run",
		Example: "  senpuki tasks list --queue billing", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.tasksList(c.Context(), f, &p) },
	}
	list.Flags().StringVar(&f.Queue, "queue", "", "queue")
	list.Flags().StringVar(&f.Activity, "activity", "", "activity")
	list.Flags().StringVar(&f.Execution, "execution", "", "id of the execution")
	p.register(list.Flags())
	_ = list.RegisterFlagCompletionFunc("execution", a.ids) // the flag exists
	show := &cobra.Command{
		Use: "show KEY", Short: "Show one task", Example: "  senpuki tasks show 17 --json", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.taskShow(c.Context(), args[0]) },
	}
	return groupCommand("tasks", "List and show tasks", "  senpuki tasks list", list, show)
}

func (a *app) tasksList(ctx context.Context, f backend.TaskFilter, p *page) (err error) {
	if f.Limit, err = p.ask(a.json); err != nil {
		return err
	}
	f.Bare = true
	return a.view(ctx, func(eng *engine.Engine, store backend.Store) error {
		tasks, err := store.Tasks(ctx, f)
		if err != nil {
			return err
		}
		tasks, more := cut(p, tasks)
		live, err := offers(ctx, eng)
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
		a.tellMore(more, len(list))
		return nil
	})
}

func (a *app) taskShow(ctx context.Context, word string) error {
	key, err := strconv.ParseInt(word, 10, 64)
	if err != nil {
		return usage("%q is not the key of a task; 'senpuki tasks list' shows them", word)
	}
	return a.view(ctx, func(eng *engine.Engine, store backend.Store) error {
		if key < 1 {
			return fmt.Errorf("there is no task %d", key)
		}
		tasks, err := store.Tasks(ctx, backend.TaskFilter{Key: key})
		if err != nil {
			return err
		}
		live, err := offers(ctx, eng)
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
				fmt.Fprintf(a.out, "%-10s %s\n", line[0], legible(line[1]))
			}
		}
		return nil
	})
}
