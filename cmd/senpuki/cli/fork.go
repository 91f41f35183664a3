// senpuki fork: a new execution from a step of another one.

package cli

import (
	"github.com/spf13/cobra"
)

func (a *app) forkCommand() *cobra.Command {
	f := rerunFlags{fork: true}
	c := &cobra.Command{
		Use:   "fork ID --from STEP [flags]",
		Short: "Begin a new execution from a step of another one",
		Long: `Begin a new execution that has done what another one did before the outcome of a step,
and print its id. A worker, or 'senpuki resume ID', drives it.`,
		Example: `  senpuki fork order-17 --from 4
  senpuki fork order-17 --from 4 --id order-17b --code order.star`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs(endedStates...),
		RunE: func(c *cobra.Command, args []string) error {
			if f.from == "" {
				return usage("--from STEP is missing; 'senpuki show %s' lists the steps", args[0])
			}
			if err := checkID(f.id); err != nil {
				return err
			}
			return a.rerun(c.Context(), args, f)
		},
	}
	c.Flags().StringVar(&f.from, "from", "", "step to be run again")
	c.Flags().StringVar(&f.code, "code", "", "a .star file to go on with")
	c.Flags().StringVar(&f.id, "id", "", "id of the new execution (default: a new one)")
	return c
}
