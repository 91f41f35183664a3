// senpuki resume: drive an unfinished execution here to its end.

package cli

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) resumeCommand() *cobra.Command {
	var quiet bool
	c := &cobra.Command{
		Use:   "resume ID",
		Short: "Drive an unfinished execution here to its end",
		Long: `Drive an unfinished execution here to its end, and print its result as exec does.
What was recorded is not run again. One that has ended is left alone, and its result is printed.`,
		Example: `  senpuki resume order-17
  senpuki resume 0190ab`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs(unfinishedStates...),
		RunE:              func(c *cobra.Command, args []string) error { return a.resume(c.Context(), args[0], quiet) },
	}
	a.addSteps(c.Flags())
	c.Flags().BoolVarP(&quiet, "quiet", "q", false, "say nothing about progress")
	return c
}

func (a *app) resume(ctx context.Context, prefix string, quiet bool) (err error) {
	store, err := a.openToRun(ctx, true)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.shut(store)) }()
	viewer, err := a.newEngine(store, a.registry, engine.Options{Hold: true})
	if err != nil {
		return err
	}
	x, err := resolve(ctx, viewer, prefix)
	if err != nil {
		return err
	}
	if x.State.Terminal() {
		return a.outcome(ctx, store, x)
	}
	return a.run(ctx, store, quiet, func(d *driver) (string, error) {
		err := d.engine.Adopt(ctx, x.ID)
		if errors.Is(err, backend.ErrClosed) { // it has ended meanwhile
			err = nil
		}
		return x.ID, err
	})
}
