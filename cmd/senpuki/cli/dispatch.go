// senpuki dispatch: hand a workflow to the workers.

package cli

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/engine"
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
which is stored without being deployed. --wait waits for the end and prints as exec does.`,
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
	o := engine.DispatchOptions{ID: f.id, Function: f.function, Queue: f.queue, Tags: f.tags, Priority: f.priority}
	if o.Expiry, err = parseDuration("--expiry", f.expiry); err != nil {
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
	if strings.HasSuffix(what, ".star") {
		s, err := findScript(what)
		if err != nil {
			return err
		}
		p, err := a.mustLoadFor(ctx, s, nil) // the workers know which activities there are
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
			if err := sameCode(ctx, store, f.id, *prog); err != nil {
				return err
			}
		}
		if err := eng.Store(ctx, *prog); err != nil {
			return err
		}
		what, o.Digest = prog.Workflow, prog.Digest
	}
	id, err := eng.Dispatch(ctx, what, in, o)
	if err != nil {
		return &exitError{exitUsage, typed(err)}
	}
	if !f.wait {
		return a.printID(id)
	}
	x, err := eng.Wait(ctx, id)
	if err != nil {
		return err
	}
	return a.outcome(ctx, store, x)
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

// deployCommand is senpuki deploy.
func (a *app) deployCommand() *cobra.Command {
	var o engine.DeployOptions
	c := &cobra.Command{
		Use:   "deploy PATH... [flags]",
		Short: "Publish workflows",
		Long: `Publish workflows: each file becomes the newest code of the workflow that is named
after it, without .star. New executions take it within a second, running ones keep their code.
Everything is checked first, nothing is stored when any file fails, and unchanged code is left alone.
A directory stands for the .star files in it that have a function main.`,
		Example: `  senpuki deploy order.star refund.star
  senpuki deploy workflows/ --note "ticket 17"
  senpuki deploy drafts/order2.star --name order
  senpuki deploy workflows/ --require-compatible`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error { return a.deploy(c.Context(), args, o) },
	}
	c.Flags().StringVar(&o.Name, "name", "", "name of the workflow (one file only)")
	c.Flags().StringVar(&o.Note, "note", "", "what to remember about this deployment")
	c.Flags().BoolVar(&o.RequireCompatible, "require-compatible", false, "refuse unless the journals of all running executions replay on the new code")
	c.Flags().BoolVar(&o.AllowMissing, "allow-missing", false, "also when activities are unknown here and no live worker offers them")
	return c
}

// deployed is one line of deploy --json.
type deployed struct {
	Workflow string `json:"workflow"`
	Version  int    `json:"version"`
	Digest   string `json:"digest"`
	Changed  bool   `json:"changed"`
}

func (a *app) deploy(ctx context.Context, paths []string, o engine.DeployOptions) (err error) {
	if o.Name != "" { // dispatch is to find it by what is typed
		if err := checkNames("--name", o.Name); err != nil {
			return err
		}
		if strings.HasSuffix(o.Name, ".star") {
			return usage("--name: %q would be taken for a file by dispatch; leave .star out", o.Name)
		}
	}
	files, err := a.scriptsAt(ctx, paths)
	if err != nil {
		return err
	}
	if o.Name != "" && len(files) != 1 {
		return usage("--name: names one workflow, there are %d files", len(files))
	}
	root := files[0].root
	entries := make([]string, len(files))
	for i, s := range files {
		if s.root != root {
			return usage("%s and %s belong to different workspaces; put a %s into the directory above both, or deploy them one by one",
				files[0].shown(files[0].entry), s.shown(s.entry), workspaceFile)
		}
		entries[i] = s.entry
	}
	o.By = a.env("USER")
	store, err := a.openStore(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	eng, err := a.newEngine(store, a.registry, engine.Options{Hold: true})
	if err != nil {
		return err
	}
	before := make(map[string]int)
	known, err := store.Deployments(ctx, "")
	if err != nil {
		return err
	}
	for _, d := range known {
		before[d.Workflow] = d.Version
	}
	done, err := eng.DeployWith(ctx, os.DirFS(root), o, entries...)
	if lacks(err) {
		live, asked := offers(ctx, store)
		if asked != nil {
			return asked
		}
		if o.Offers = live; len(live) > 0 {
			done, err = eng.DeployWith(ctx, os.DirFS(root), o, entries...)
		}
	}
	if err != nil {
		if problems := files[0].problems(err); problems != nil {
			printProblems(a.err, problems)
			return &exitError{exitUsage, errors.New("nothing was deployed")}
		}
		if bad, ok := errors.AsType[*engine.IncompatibleError](err); ok {
			return a.incompatible(bad)
		}
		return err
	}
	list := make([]deployed, len(done))
	for i, d := range done {
		list[i] = deployed{d.Workflow, d.Version, d.Digest, before[d.Workflow] != d.Version}
	}
	if a.json {
		return a.printDocument(list)
	}
	for _, d := range list {
		text := fmt.Sprintf("%s version %d (%.12s)", d.Workflow, d.Version, d.Digest)
		if !d.Changed {
			text += ", unchanged"
		}
		fmt.Fprintln(a.out, text)
	}
	return nil
}
