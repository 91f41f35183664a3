// senpuki signal: send a signal to an execution.

package cli

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) signalCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "signal ID NAME [JSON]",
		Short: "Send a signal to an execution",
		Long: `Send a signal to an execution. Signals are kept until the script takes them, in the
order in which they were sent. The payload is JSON, @file or - for standard input; without one it is null.`,
		Example: `  senpuki signal order-17 approval '{"by": "ada"}'
  senpuki signal 0190ab stop`,
		Args:              cobra.RangeArgs(2, 3),
		ValidArgsFunction: a.completeIDs(unfinishedStates...),
		RunE: func(c *cobra.Command, args []string) error {
			payload := "null"
			if len(args) == 3 {
				payload = args[2]
			}
			return a.signal(c.Context(), args[0], args[1], payload)
		},
	}
}

// sentSignal is what signal --json prints.
type sentSignal struct {
	ID     string `json:"id"`
	Signal string `json:"signal"`
}

func (a *app) signal(ctx context.Context, prefix, name, payload string) error {
	switch {
	case name == "":
		return usage("the signal's name is empty")
	case len(name) > 1000: // the engine's bound
		return usage("the signal's name has %d bytes, at most 1000 are allowed", len(name))
	case strings.ContainsFunc(name, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError }):
		return usage("the signal's name %q has control characters", name)
	}
	raw, err := a.inputText("the payload", payload)
	if err != nil {
		return err
	}
	if len(raw) > maxInput {
		return usage("the payload has %d bytes, the limit for one value is %d; pass the path of a file instead", len(raw), maxInput)
	}
	if err := checkJSON(raw); err != nil {
		return usage("the payload is not JSON: %w", err)
	}
	return a.change(ctx, func(eng *engine.Engine, _ backend.Store) error {
		x, err := resolve(ctx, eng, prefix)
		if err != nil {
			return err
		}
		if err := eng.Signal(ctx, x.ID, name, raw); err != nil {
			return ended(x, err)
		}
		if a.json {
			return a.printDocument(sentSignal{x.ID, name})
		}
		fmt.Fprintf(a.err, "signal %s sent to %s\n", name, x.ID)
		return nil
	})
}

// ended says of an execution that has ended how it did.
func ended(x engine.Execution, err error) error {
	if !errors.Is(err, backend.ErrClosed) {
		return err
	}
	if !x.State.Terminal() {
		return fmt.Errorf("%s has ended", x.ID)
	}
	return fmt.Errorf("%s has ended: it is %s", x.ID, x.State)
}
