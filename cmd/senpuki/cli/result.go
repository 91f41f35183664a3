// senpuki result: what an execution came to.

package cli

import (
	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) resultCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "result ID",
		Short: "Print what an execution came to, and exit as exec does",
		Example: `  senpuki result 0190ab
  senpuki result order-17 | jq .total`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs(endedStates...),
		RunE: func(c *cobra.Command, args []string) error {
			return a.view(c.Context(), func(eng *engine.Engine, store backend.Store) error {
				x, err := resolve(c.Context(), eng, args[0])
				if err != nil {
					return err
				}
				return a.outcome(c.Context(), store, x)
			})
		},
	}
}
