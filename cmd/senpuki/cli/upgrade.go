// senpuki upgrade: running executions and other code.

package cli

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) upgradeCommand() *cobra.Command {
	var to string
	var dry bool
	c := &cobra.Command{
		Use:   "upgrade WORKFLOW|ID... [flags]",
		Short: "Move running executions to other code, those that it fits",
		Long: `Replay the journals of running executions on other code, in memory and without effects,
and report which fit and where the others part. Without --dry-run those that fit are
moved; the others keep the code that they have. It exits with 1 when any stays behind.
Without --to it is the newest deployed code.`,
		Example: `  senpuki upgrade order --dry-run
  senpuki upgrade order --to 3f2a91c07d1e
  senpuki upgrade order-17`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.completeUpgrade,
		RunE: func(c *cobra.Command, args []string) error {
			if c.Flags().Changed("to") && !hexadecimal.MatchString(to) {
				return usage("--to: %q is neither a version nor the beginning of a digest; 'senpuki workflows history' shows them", to)
			}
			return a.upgrade(c.Context(), args, to, dry)
		},
	}
	c.Flags().StringVar(&to, "to", "", "digest, the beginning of one, or the number of a version (default: the newest deployed)")
	c.Flags().BoolVar(&dry, "dry-run", false, "only report")
	return c
}

var hexadecimal = regexp.MustCompile("^[0-9a-f]+$")

// upgradeReport is what upgrade --json prints.
type upgradeReport struct {
	Fit      int              `json:"fit"`
	Part     int              `json:"part"`
	Moved    int              `json:"moved"`
	Ended    int              `json:"ended,omitempty"` // since they were listed; no verdicts
	DryRun   bool             `json:"dry_run"`
	Verdicts []engine.Verdict `json:"verdicts"`
}

func (a *app) upgrade(ctx context.Context, names []string, to string, dry bool) error {
	return a.viewOrChange(dry)(ctx, func(eng *engine.Engine, store backend.Store) error {
		report := upgradeReport{DryRun: dry, Verdicts: []engine.Verdict{}}
		seen := make(map[string]bool) // an id may stand beside its workflow
		for _, name := range names {
			running, err := runningOf(ctx, eng, store, name)
			if err != nil {
				return err
			}
			running = slices.DeleteFunc(running, func(x engine.Execution) bool {
				before := seen[x.ID]
				seen[x.ID] = true
				return before
			})
			for i, x := range running {
				a.counting(i, len(running))
				digest, err := digestOf(ctx, store, x.Workflow, to)
				if err != nil {
					return err
				}
				v, err := tryUpgrade(ctx, eng, x, digest, dry)
				switch {
				case !x.State.Terminal() && (v.Ended || errors.Is(err, backend.ErrNotFound)): // and perhaps was removed
					report.Ended++
					continue
				case err != nil:
					return err
				}
				report.Verdicts = append(report.Verdicts, v)
			}
			a.counting(len(running), len(running))
		}
		return a.printUpgrade(&report)
	})
}

// counting shows on a terminal how far a long report is.
func (a *app) counting(done, of int) {
	const step = 100
	if _, tty := terminal(a.err); !tty || of < step {
		return
	}
	switch {
	case done == of:
		fmt.Fprint(a.err, "\r\x1b[K")
	case done%step == 0:
		fmt.Fprintf(a.err, "\r\x1b[K%d of %d replayed", done, of)
	}
}

func tryUpgrade(ctx context.Context, eng *engine.Engine, x engine.Execution, digest string, dry bool) (engine.Verdict, error) {
	if dry {
		return eng.Replay(ctx, x.ID, digest)
	}
	return eng.Upgrade(ctx, x.ID, digest)
}

// printUpgrade prints a report, those that part grouped by where they do.
func (a *app) printUpgrade(r *upgradeReport) error {
	var places []string
	at := make(map[string][]string)
	there := 0 // on that code already
	for _, v := range r.Verdicts {
		switch {
		case v.Fits && v.From == v.To:
			r.Fit++
			there++
			continue
		case v.Moved:
			r.Moved++
			r.Fit++
			continue
		case v.Fits:
			r.Fit++
			if r.DryRun {
				continue
			}
		default:
			r.Part++
		}
		place := legible(v.Reason)
		if v.Pos != "" {
			place = legible(fmt.Sprintf("%s: now %s, journal has %s", v.Pos, v.Asks, v.Has))
		}
		if at[place] == nil {
			places = append(places, place)
		}
		at[place] = append(at[place], v.ID)
	}
	if a.json {
		if err := a.printDocument(r); err != nil {
			return err
		}
	} else {
		fmt.Fprintf(a.out, "%d fit, %d part", r.Fit, r.Part)
		if !r.DryRun {
			fmt.Fprintf(a.out, ", %d moved", r.Moved)
			if there > 0 {
				fmt.Fprintf(a.out, ", %d there already", there)
			}
		}
		if r.Ended > 0 {
			fmt.Fprintf(a.out, ", %d ended meanwhile", r.Ended)
		}
		fmt.Fprintln(a.out)
		for _, place := range places {
			ids := at[place]
			fmt.Fprintf(a.out, "%d at %s\n  %s\n", len(ids), place, someOf(ids))
		}
	}
	if r.Part > 0 || !r.DryRun && r.Moved+there < len(r.Verdicts) {
		return &exitError{status: exitFailed}
	}
	return nil
}

// incompatible reports why a deployment was refused.
func (a *app) incompatible(bad *engine.IncompatibleError) error {
	r := upgradeReport{DryRun: true, Fit: bad.Fit, Verdicts: bad.Part}
	err := fmt.Errorf("workflow %s: running executions do not fit the new code; nothing was deployed", bad.Workflow)
	if printErr := a.printUpgrade(&r); printErr != nil && !errors.As(printErr, new(*exitError)) {
		return printErr
	}
	return err
}

// someOf names a few of many.
func someOf(ids []string) string {
	const few = 5
	if len(ids) <= few {
		return strings.Join(ids, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(ids[:few], ", "), len(ids)-few)
}

// runningOf lists the running executions of a workflow, or the one execution of that id.
func runningOf(ctx context.Context, eng *engine.Engine, store backend.Store, name string) ([]engine.Execution, error) {
	deployed, err := store.Deployments(ctx, name)
	if err != nil {
		return nil, err
	}
	if len(deployed) == 0 {
		x, err := resolve(ctx, eng, name)
		if err != nil {
			return nil, errors.Join(unknownWorkflow(ctx, store, name), err)
		}
		return []engine.Execution{x}, nil
	}
	var all []engine.Execution
	f := backend.Filter{Workflow: name, States: []backend.State{backend.Pending, backend.Running}, Limit: 1000}
	for {
		page, err := eng.List(ctx, f)
		if err != nil {
			return nil, err
		}
		all = append(all, page...)
		if len(page) < f.Limit {
			slices.Reverse(all)
			return all, nil
		}
		last := page[len(page)-1]
		f.BeforeAt, f.BeforeID = last.Created, last.ID
	}
}

// digestOf finds the code that --to names: of a deployment of the workflow, or else any that is stored. Without --to it is the newest.
func digestOf(ctx context.Context, store backend.Store, workflow, to string) (string, error) {
	deployed, err := store.Deployments(ctx, workflow)
	switch {
	case err != nil:
		return "", err
	case to == "" && len(deployed) == 0:
		return "", unknownWorkflow(ctx, store, workflow)
	case to == "":
		return deployed[0].Digest, nil
	}
	if digest, err := deployedDigest(deployed, to); err != nil || digest != "" {
		return digest, err
	}
	if p, err := store.Program(ctx, to); err == nil {
		return p.Digest, nil
	}
	return "", fmt.Errorf("workflow %s has no deployment %s; 'senpuki workflows history %s' lists them", workflow, to, workflow)
}
