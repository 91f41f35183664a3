// senpuki cancel: ask an execution to cancel itself, or end it at once.

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) cancelCommand() *cobra.Command {
	var reason string
	var now bool
	c := &cobra.Command{
		Use:   "cancel ID [flags]",
		Short: "Cancel an execution",
		Long: `Cancel an execution: its script sees Cancelled at its next wait and may clean up.
With --now it is ended without running the script, which also ends one that is stuck. Who holds it or a worker
carries it out; while there is none, --now does so here.
Cancelling one that has ended changes nothing and says how it ended.`,
		Example: `  senpuki cancel order-17 --reason "ordered twice"
  senpuki cancel 0190ab --now`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs,
		RunE:              func(c *cobra.Command, args []string) error { return a.cancel(c.Context(), args[0], reason, now) },
	}
	c.Flags().StringVar(&reason, "reason", "", "why; the message of the error that the script sees")
	c.Flags().BoolVar(&now, "now", false, "end it without running its script")
	return c
}

func (a *app) cancel(ctx context.Context, prefix, reason string, now bool) error {
	return a.view(ctx, func(eng *engine.Engine, store backend.Store) error {
		x, err := resolve(ctx, eng, prefix)
		if err != nil {
			return err
		}
		if now {
			err = eng.End(ctx, x.ID, reason)
		} else {
			err = eng.Cancel(ctx, x.ID, reason)
		}
		if err != nil && !errors.Is(err, backend.ErrClosed) {
			return err
		}
		closed := err != nil
		if x, err = eng.State(ctx, x.ID); err != nil {
			return err
		}
		ended := false
		if now && x.Owner == 0 && !x.State.Terminal() {
			live, err := eng.Workers(ctx)
			if err != nil {
				return err
			}
			if len(live) == 0 {
				if x, err = a.endHere(ctx, store, x); err != nil {
					return err
				}
				ended = x.State.Terminal()
			}
		}
		switch {
		case a.json:
			return a.printDocument(x)
		case closed:
			fmt.Fprintf(a.err, "%s has ended already: it is %s\n", x.ID, x.State)
		case ended:
			fmt.Fprintf(a.err, "%s is %s\n", x.ID, x.State)
		case x.Owner == 0 && !x.State.Terminal():
			fmt.Fprintf(a.err, "%s is asked to cancel; a worker or 'senpuki resume %s' carries it out\n", x.ID, x.ID)
		default:
			fmt.Fprintf(a.err, "%s is asked to cancel\n", x.ID)
		}
		return nil
	})
}

// endHere carries out that an execution is ended: there is no worker that could.
func (a *app) endHere(ctx context.Context, store backend.Store, x engine.Execution) (engine.Execution, error) {
	d, err := a.newDriver(ctx, store, true)
	if d == nil {
		return x, err
	}
	defer d.close()
	if err == nil {
		err = d.engine.Adopt(ctx, x.ID)
	}
	switch {
	case errors.Is(err, backend.ErrClosed): // it has ended meanwhile
		return d.engine.State(ctx, x.ID)
	case err == nil:
		tries := 0
		if x.Stuck != nil {
			tries = x.Stuck.Tries
		}
		x, err = d.wait(ctx, x.ID, tries)
	}
	if errors.Is(err, errSignal) {
		err = &exitError{exitInterrupted, err}
	}
	return x, err
}
