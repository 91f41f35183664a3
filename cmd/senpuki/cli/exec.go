// senpuki exec: run a script here, now, durably.

package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// execFlags are the flags of exec.
type execFlags struct {
	function, input, id, expiry, queue string
	args, tags                         []string
	quiet                              bool
	watch                              bool
	log                                logFlags
}

func (a *app) execCommand() *cobra.Command {
	var f execFlags
	c := &cobra.Command{
		Use:   "exec FILE [flags]",
		Short: "Run a workflow here, now, durably",
		Long: `Run a script here, now, durably, and print its result as JSON.

The input is a JSON object (keyword arguments), array (positional arguments) or
anything else (the one argument). The same --id again attaches to or resumes that
execution; with other code or input it is refused.`,
		Example: `  senpuki exec hello.star --arg name=world
  senpuki exec order.star --input @order.json --id order-17
  senpuki exec order.star --fn refund --input '[17, "too late"]'`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := a.logHere(c.Flags(), f.log); err != nil {
				return err
			}
			if f.watch {
				return a.execWatching(c.Context(), args[0], f, c.Flags().Changed("input"))
			}
			return a.exec(c.Context(), args[0], f, c.Flags().Changed("input"))
		},
	}
	executionFlags(c, &f)
	f.log.register(c.Flags())
	a.addSteps(c.Flags())
	c.Flags().BoolVar(&f.watch, "watch", false, "run it again whenever a script or JSON file beside it, or one that it loads, is saved")
	c.Flags().BoolVarP(&f.quiet, "quiet", "q", false, "say nothing about progress")
	return c
}

// execWatching runs a script now and whenever it is saved, until it is interrupted.
func (a *app) execWatching(ctx context.Context, file string, f execFlags, inputGiven bool) error {
	if f.id != "" {
		return usage("--watch runs the script many times; leave --id out")
	}
	s, err := findScript(file)
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	again := func() fileSet {
		read := fileSet{}
		read.note(file) // it may be a link to another workspace, which is switched
		if s, err := findScript(file); err == nil {
			_, _ = s.readNoting(ctx, read) // exec says what is wrong with it
		}
		if err := a.exec(ctx, file, f, inputGiven); err != nil {
			if _, tell := status(err); tell {
				fmt.Fprintf(a.err, "senpuki: %s\n", spoken(err))
			}
		}
		if a.out.failed() != nil { // nobody would see the next results either
			stop()
			return read
		}
		fmt.Fprintf(a.err, "watching %s; save it to run it again\n", s.shown(s.entry))
		return read
	}
	watchFiles(ctx, s.root, again)
	return nil
}

// executionFlags are the flags of every command that begins an execution.
func executionFlags(c *cobra.Command, f *execFlags) {
	flags := c.Flags()
	flags.StringVar(&f.function, "fn", "", "function to run (default main)")
	flags.StringVar(&f.input, "input", "", "input: JSON, @file, or - for standard input")
	flags.StringArrayVar(&f.args, "arg", nil, "keyword argument k=v; v is JSON when it parses, else text (repeatable)")
	flags.StringVar(&f.id, "id", "", "id of the execution (default: a new one)")
	flags.StringVar(&f.expiry, "expiry", "", "end it as timed out after this long, such as 90m or 2d")
	flags.StringVar(&f.queue, "queue", "", "queue it belongs to (default: default)")
	listVar(flags, &f.tags, "tag", "tag (repeatable)")
}

// check looks at what can be wrong without a script.
func (f *execFlags) check() error {
	if f.queue != "" {
		if err := checkNames("--queue", f.queue); err != nil {
			return err
		}
	}
	if err := checkNames("--tag", f.tags...); err != nil {
		return err
	}
	return checkID(f.id)
}

func (a *app) exec(ctx context.Context, file string, f execFlags, inputGiven bool) (err error) {
	input, err := a.readInput(f.input, inputGiven, f.args)
	if err != nil {
		return err
	}
	expiry, err := parsePositive("--expiry", f.expiry)
	if err != nil {
		return err
	}
	if err := f.check(); err != nil {
		return err
	}
	s, err := findScript(file)
	if err != nil {
		return err
	}
	prog, err := a.mustLoadServed(ctx, s, cmp.Or(f.queue, "default"))
	if err != nil {
		return err
	}
	in := engine.Input{}
	if input != nil {
		in = engine.JSON(input)
	}
	if err := checkInput(s, &prog, f.function, input); err != nil {
		return err
	}
	store, err := a.openToRun(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.shut(store)) }()
	if f.id != "" {
		if err := a.sameCode(ctx, store, f.id, file, prog); err != nil {
			return err
		}
	}
	return a.run(ctx, store, f.quiet, func(d *driver) (string, error) {
		if err := d.engine.Store(ctx, prog); err != nil {
			return "", err
		}
		id, err := d.engine.Dispatch(ctx, prog.Workflow, in, engine.DispatchOptions{
			ID: f.id, Digest: prog.Digest, Function: f.function, Queue: f.queue, Tags: eachOnce(f.tags), Expiry: expiry, Here: true,
		})
		if err != nil {
			return "", refusal(err)
		}
		return id, nil
	})
}

// sameCode refuses an id of other code than that of a file before anything is stored.
func (a *app) sameCode(ctx context.Context, store backend.Store, id, file string, prog engine.Program) error {
	x, err := store.Execution(ctx, id)
	switch {
	case errors.Is(err, backend.ErrNotFound):
		return nil
	case err != nil:
		return err
	case x.Digest == prog.Digest:
		return nil
	}
	conflict := &engine.ConflictError{
		ID: id, Field: "code",
		Have: fmt.Sprintf("%s %.12s", x.Workflow, x.Digest),
		Want: fmt.Sprintf("%s %.12s", prog.Workflow, prog.Digest),
	}
	if x.Workflow != prog.Workflow {
		return &exitError{exitUsage, conflict}
	}
	return &exitError{exitUsage, a.goingOn(conflict, x.State, file)}
}

// goingOn adds to the refusal of an id, whose execution has another edition of this code, how that one can go on
// with this: with that of a file, or, when there is none, with what is deployed.
func (a *app) goingOn(conflict *engine.ConflictError, state backend.State, file string) error {
	id := conflict.ID
	switch {
	case state == backend.Completed:
		return conflict
	case state.Terminal():
		return fmt.Errorf("%w, or continue it with this code: %s", conflict, a.hint("retry "+quote(id)+" --code "+quote(cmp.Or(file, "FILE"))))
	case file != "":
		return fmt.Errorf("%w, or move it to this code: %s && %s", conflict, a.hint("deploy "+quote(file)), a.hint("upgrade "+quote(id)))
	}
	return fmt.Errorf("%w, or move it to this code: %s", conflict, a.hint("upgrade "+quote(id)))
}

// checkID refuses ids that cannot be typed again.
func checkID(id string) error {
	switch {
	case len(id) > 200:
		return usage("--id has %d bytes, at most 200 are taken", len(id))
	case strings.HasPrefix(id, "-"):
		return usage("--id %q begins with a dash, and would be taken for a flag later", id)
	case strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r == 0x7f || r == '\uFFFD' }):
		return usage("--id %q has blanks or control characters", id)
	}
	return nil
}
