// senpuki dispatch: hand a workflow to the workers.

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/starlark"
)

// dispatchFlags are the flags of dispatch beside those of exec.
type dispatchFlags struct {
	execFlags
	delay    string
	priority int
	attempts int
	wait     bool
}

func (a *app) dispatchCommand() *cobra.Command {
	var f dispatchFlags
	c := &cobra.Command{
		Use:   "dispatch WORKFLOW|FILE [flags]",
		Short: "Hand a workflow to the workers",
		Long: `Hand a workflow to the workers and print the id of its execution.
WORKFLOW is the name of a deployed workflow; an argument that ends in .star is a file,
which is stored without being deployed. --wait waits for the end and prints and exits as exec does; the id then goes to standard error.`,
		Example: `  senpuki dispatch order --input @order.json --id order-17
  senpuki dispatch report.star --arg day=2030-01-01 --delay 1h
  senpuki dispatch order --arg id=17 --wait
  senpuki dispatch nightly --max-attempts 5`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeDispatch,
		RunE: func(c *cobra.Command, args []string) error {
			return a.dispatch(c.Context(), args[0], f, c.Flags().Changed("input"))
		},
	}
	executionFlags(c, &f.execFlags)
	flags := c.Flags()
	flags.StringVar(&f.delay, "delay", "", "not before this long from now, such as 90m or 2d")
	flags.IntVar(&f.priority, "priority", 0, "higher is taken first")
	flags.IntVar(&f.attempts, "max-attempts", 1, "when it fails, try it again as a whole; counts the first try")
	flags.BoolVar(&f.wait, "wait", false, "wait for its end and print its result")
	return c
}

// dispatched is what dispatch, retry and fork print with --json.
type dispatched struct {
	ID string `json:"id"`
}

func (a *app) dispatch(ctx context.Context, what string, f dispatchFlags, inputGiven bool) (err error) {
	input, err := a.readInput(f.input, inputGiven, f.args)
	if err != nil {
		return err
	}
	o := engine.DispatchOptions{ID: f.id, Function: f.function, Queue: f.queue, Tags: eachOnce(f.tags), Priority: f.priority}
	if o.Expiry, err = parsePositive("--expiry", f.expiry); err != nil {
		return err
	}
	if o.Delay, err = parseDuration("--delay", f.delay); err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	switch {
	case f.attempts < 1:
		return usage("--max-attempts: %d is not at least 1; it counts the first try", f.attempts)
	case f.attempts > 1:
		o.Retry = &activities.RetryPolicy{MaxAttempts: f.attempts}
	}
	in := engine.Input{}
	if input != nil {
		in = engine.JSON(input)
	}
	var prog *engine.Program
	file := what
	if strings.HasSuffix(what, ".star") {
		s, err := findScript(what)
		if err != nil {
			return err
		}
		p, err := a.mustLoad(ctx, s) // the workers know which activities there are
		if err != nil {
			return err
		}
		if err := checkInput(s, &p, f.function, input); err != nil {
			return err
		}
		prog = &p
	}
	store, err := a.openStore(ctx, prog == nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	eng, err := a.newEngine(store, nil, engine.Options{})
	if err != nil {
		return err
	}
	if prog != nil {
		if f.id != "" {
			if err := a.sameCode(ctx, store, f.id, file, *prog); err != nil {
				return err
			}
		}
		if err := eng.Store(ctx, *prog); err != nil {
			return err
		}
		what, o.Digest = prog.Workflow, prog.Digest
	}
	id, err := eng.Dispatch(ctx, what, in, o)
	if conflict, ok := errors.AsType[*engine.ConflictError](err); ok && prog == nil && conflict.Field == "code" {
		if x, err := store.Execution(ctx, f.id); err == nil && x.Workflow == what {
			return &exitError{exitUsage, a.goingOn(conflict, x.State, "")}
		}
	}
	if err != nil {
		return refusal(err)
	}
	if !f.wait {
		return a.printID(id)
	}
	fmt.Fprintf(a.err, "execution %s\n", id)
	x, err := waitFor(ctx, eng, id, 0, a.outage())
	if err != nil {
		return err
	}
	return a.outcome(ctx, store, x)
}

// refusal is the error of a dispatch: one of usage when it is what was asked for that cannot be, not when the database fails.
func refusal(err error) error {
	var conflict *engine.ConflictError
	var input *starlark.InputError
	var function *starlark.NoFunctionError
	if errors.Is(err, backend.ErrNotFound) || errors.As(err, &conflict) || errors.As(err, &input) || errors.As(err, &function) {
		return &exitError{exitUsage, typed(err)}
	}
	return err
}

// printID prints the id of an execution that was begun: the way back to it, and so it is told when it cannot be printed.
func (a *app) printID(id string) (err error) {
	if a.json {
		err = a.printDocument(dispatched{id})
	} else {
		_, err = fmt.Fprintln(a.out, id)
	}
	if err != nil {
		return fmt.Errorf("execution %s is in the database, but %w", id, err)
	}
	return nil
}
