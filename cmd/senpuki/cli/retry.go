// senpuki retry: go on from a step of an execution that has ended.

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// rerunFlags are the flags of retry and fork.
type rerunFlags struct {
	from, code string
	id         string // of a fork
	fork       bool
}

func (a *app) retryCommand() *cobra.Command {
	var f rerunFlags
	c := &cobra.Command{
		Use:   "retry ID... [flags]",
		Short: "Continue failed executions from their failed steps",
		Long: `Continue executions that have failed, were cancelled or timed out, each as a new run of the
same id. What was recorded before the failed step is kept and not run again.
When other steps were begun after the failure it is refused, and --from says where to go on.
--code runs it with other code, which must ask for the same up to there.
A worker, or 'senpuki resume ID', drives it. One of several that cannot go on keeps no other from it.`,
		Example: `  senpuki retry order-17
  senpuki retry order-17 --from 4 --code order.star
  senpuki list --workflow order --state failed --since 1h --json | jq -r '.[].id' | xargs senpuki retry`,
		Args:              cobra.MinimumNArgs(1),
		ValidArgsFunction: a.idsIn(retryStates),
		RunE: func(c *cobra.Command, ids []string) error {
			if f.from != "" && len(ids) > 1 {
				return usage("--from is a step of one execution, and %d are named", len(ids))
			}
			return a.rerun(c.Context(), ids, f)
		},
	}
	c.Flags().StringVar(&f.from, "from", "", "step to be run again; what was asked for after its outcome is forgotten")
	c.Flags().StringVar(&f.code, "code", "", "a .star file to go on with")
	return c
}

// rerun goes on with executions, or with a copy of one.
func (a *app) rerun(ctx context.Context, ids []string, f rerunFlags) error {
	o := engine.RerunOptions{From: f.from, ID: f.id}
	if f.code != "" {
		s, err := findScript(f.code)
		if err != nil {
			return err
		}
		p, err := a.mustLoad(ctx, s)
		if err != nil {
			return err
		}
		o.Code = &p
	}
	return a.change(ctx, func(eng *engine.Engine, _ backend.Store) error {
		return each(ctx, ids, func(prefix string) error {
			x, err := resolve(ctx, eng, prefix)
			if err != nil {
				return err
			}
			id := x.ID
			if f.fork {
				id, err = eng.Fork(ctx, x.ID, o)
			} else {
				err = eng.Retry(ctx, x.ID, o)
			}
			if errors.Is(err, backend.ErrConflict) {
				return &exitError{exitUsage, err}
			}
			if err != nil {
				return err
			}
			if err := a.printID(id); err != nil || a.json {
				return err
			}
			fmt.Fprintf(a.err, "a worker or '%s' drives it\n", a.resumeHint(id))
			return nil
		})
	})
}
