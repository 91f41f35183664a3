// senpuki list: executions, newest first.

package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// listFlags are the flags of list.
type listFlags struct {
	states, tags                   []string
	workflow, queue, parent, since string
	before                         string
	page                           page
}

var allStates = backend.States()

// stuckState is what is told instead of the state of an execution that is stuck.
const stuckState = "stuck"

func (a *app) listCommand() *cobra.Command {
	var f listFlags
	c := &cobra.Command{
		Use:     "list [flags]",
		Aliases: []string{"ls"},
		Short:   "List executions, newest first",
		Example: `  senpuki list
  senpuki list --state failed --since 2d
  senpuki list --workflow order --limit 5 --json
  senpuki list --before order-17`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.list(c.Context(), f) },
	}
	flags := c.Flags()
	listVar(flags, &f.states, "state", "state: "+stateNames()+" (repeatable)")
	flags.StringVar(&f.workflow, "workflow", "", "workflow")
	listVar(flags, &f.tags, "tag", "tag; one only")
	flags.StringVar(&f.queue, "queue", "", "queue")
	flags.StringVar(&f.parent, "parent", "", "id of the parent")
	flags.StringVar(&f.since, "since", "", "created within this long, such as 2d")
	flags.StringVar(&f.before, "before", "", "only what is listed after the execution with this id: the next page")
	f.page.register(flags)
	_ = c.RegisterFlagCompletionFunc("workflow", a.workflowNames)
	_ = c.RegisterFlagCompletionFunc("parent", a.ids)
	_ = c.RegisterFlagCompletionFunc("before", a.ids)
	_ = c.RegisterFlagCompletionFunc("state", func(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return strings.Split(stateNames(), ", "), cobra.ShellCompDirectiveNoFileComp
	})
	return c
}

func stateNames() string {
	names := make([]string, len(allStates), len(allStates)+1)
	for i, s := range allStates {
		names[i] = string(s)
	}
	return strings.Join(append(names, stuckState), ", ")
}

func (a *app) list(ctx context.Context, f listFlags) error {
	limit, err := f.page.ask(a.json)
	if err != nil {
		return err
	}
	filter := backend.Filter{Workflow: f.workflow, Queue: f.queue, Parent: f.parent, Limit: limit}
	switch tags := eachOnce(f.tags); len(tags) {
	case 0:
	case 1:
		filter.Tag = tags[0]
	default:
		return usage("--tag: list looks for one tag, there are %d: %s", len(tags), strings.Join(tags, ", "))
	}
	for _, s := range f.states {
		if s == stuckState {
			filter.Stuck = true
			continue
		}
		if !slices.Contains(allStates, backend.State(s)) {
			return usage("--state: there is no state %q; there are %s", s, stateNames())
		}
		filter.States = append(filter.States, backend.State(s))
	}
	now := time.Now()
	since, err := parsePositive("--since", f.since)
	if err != nil {
		return err
	}
	if since > 0 {
		filter.Since = now.Add(-since)
	}
	return a.view(ctx, func(eng *engine.Engine, _ backend.Store) error {
		if f.before != "" {
			last, err := resolve(ctx, eng, f.before)
			if err != nil {
				return err
			}
			filter.BeforeAt, filter.BeforeID = last.Created, last.ID
		}
		found, err := eng.List(ctx, filter)
		if err != nil {
			return err
		}
		found, more := cut(&f.page, found)
		if a.json {
			return a.printDocument(found)
		}
		if len(found) == 0 {
			fmt.Fprintln(a.err, "no executions")
			return nil
		}
		t := table{head: []string{"ID", "WORKFLOW", "STATE", "CREATED", "TOOK", "NOTE"}, fixed: 1, style: func(column int, text string) string {
			if column == 2 {
				return stateStyle(text)
			}
			return text
		}}
		for _, x := range found {
			t.row(x.ID, x.Workflow, stateText(x), ago(x.Created, now), took(x, now), note(x))
		}
		t.write(a.out, a.color())
		if more {
			fmt.Fprintf(a.err, "%d shown, there are more; --before %s shows the next\n", len(found), found[len(found)-1].ID)
		}
		return nil
	})
}

// took is how long an execution has been at it.
func took(x engine.Execution, now time.Time) string {
	switch {
	case x.Started.IsZero():
		return "-"
	case !x.Finished.IsZero():
		return duration(x.Finished.Sub(x.Started).Truncate(time.Millisecond))
	}
	return duration(now.Sub(x.Started).Truncate(time.Second))
}

// note is what else there is to say about an execution in a table.
func note(x engine.Execution) string { return noteDue(x, "due "+dueText(x.Due, time.Now())) }

// noteDue is note in other words for when it is due.
func noteDue(x engine.Execution, due string) string {
	const room = 60
	switch {
	case x.Damaged != "":
		return oneLine("damaged: "+x.Damaged, room)
	case x.Failure != nil:
		return oneLine(failureText(x.Failure), room)
	case x.State.Terminal():
		return ""
	case x.Stuck != nil:
		return oneLine(x.Stuck.Reason, room)
	case x.Owner != 0:
		return ""
	case x.Due.IsZero():
		return "waits for a signal or an outcome"
	case x.Due.After(time.Now()):
		return due
	case x.State == backend.Pending:
		return "waits for a worker"
	}
	return "nobody drives it"
}
