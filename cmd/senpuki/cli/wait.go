// senpuki wait: until an execution that somebody else drives has ended.

package cli

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) waitCommand() *cobra.Command {
	var timeout string
	c := &cobra.Command{
		Use:   "wait ID [flags]",
		Short: "Wait until an execution has ended, and print and exit as exec does",
		Long: `Wait until an execution that another process drives has ended, and print and exit
as exec does. It runs nothing itself; 'senpuki resume' does.`,
		Example: `  senpuki wait 0190ab
  senpuki wait order-17 --timeout 10m`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs(unfinishedStates...),
		RunE:              func(c *cobra.Command, args []string) error { return a.wait(c.Context(), args[0], timeout) },
	}
	c.Flags().StringVar(&timeout, "timeout", "", "give up after this long, such as 10m")
	return c
}

func (a *app) wait(ctx context.Context, prefix, timeout string) error {
	limit, err := parsePositive("--timeout", timeout)
	if err != nil {
		return err
	}
	return a.view(ctx, func(eng *engine.Engine, store backend.Store) error {
		x, err := resolve(ctx, eng, prefix)
		if err != nil {
			return err
		}
		if !x.State.Terminal() && x.Stuck == nil {
			if x, err = waitFor(ctx, eng, x.ID, limit, a.outage()); err != nil {
				return err
			}
		}
		return a.outcome(ctx, store, x)
	})
}

// waitFor waits until an execution that others drive has ended or is stuck, somebody interrupts, or the limit, if not 0, is over.
func waitFor(ctx context.Context, eng *engine.Engine, id string, limit time.Duration, away *outage) (engine.Execution, error) {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	limited, cancel := ctx, context.CancelFunc(func() {})
	if limit > 0 {
		limited, cancel = context.WithTimeout(ctx, limit)
	}
	defer cancel()
	x, err := await(limited, eng, id, 0, nil, away)
	switch {
	case err == nil:
	case ctx.Err() != nil:
		err = &exitError{exitInterrupted, errors.New("interrupted; " + id + " goes on")}
	case limited.Err() != nil:
		err = errors.New(id + " has not ended within " + duration(limit))
	}
	return x, err
}
