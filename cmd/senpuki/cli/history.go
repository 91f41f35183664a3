// senpuki history: an execution's journal, entry by entry.

package cli

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) historyCommand() *cobra.Command {
	var file string
	c := &cobra.Command{
		Use:   "history ID",
		Short: "Show an execution's journal, entry by entry",
		Example: `  senpuki history 0190ab
  senpuki history order-17 --json
  senpuki history order-17 --export journals/order-17.json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs(),
		RunE: func(c *cobra.Command, args []string) error {
			if file != "" {
				return a.export(c.Context(), args[0], file)
			}
			return a.history(c.Context(), args[0])
		},
	}
	c.Flags().StringVar(&file, "export", "", "write the journal, the input and the code to a new file (- for standard output), to be replayed by a Go test")
	return c
}

func (a *app) history(ctx context.Context, prefix string) error {
	return a.view(ctx, func(eng *engine.Engine, _ backend.Store) error {
		x, err := resolve(ctx, eng, prefix)
		if err != nil {
			return err
		}
		h, err := eng.History(ctx, x.ID)
		if err != nil {
			return err
		}
		if a.json {
			return a.printDocument(h)
		}
		t := table{head: []string{"ROW", "TIME", "ENTRY", "STEP", "NAME", "WHAT"}, fixed: 4}
		for _, e := range h.Entries {
			t.row(fmt.Sprint(e.Row), e.At.Local().Format("15:04:05.000"), e.Kind, e.Step, e.Name, entryText(e))
		}
		t.write(a.out, a.color())
		if h.Damaged != "" {
			return fmt.Errorf("the journal cannot be read any further: %s", h.Damaged)
		}
		return nil
	})
}

// entryText is what an entry holds, in one line.
func entryText(e engine.Entry) string {
	const room = 100
	var parts []string
	add := func(text string) {
		if text != "" {
			parts = append(parts, text)
		}
	}
	if e.Attempt > 0 {
		add(fmt.Sprintf("attempt %d", e.Attempt))
	}
	if e.Delay > 0 {
		add("for " + duration(e.Delay))
	}
	add(oneLine(string(e.Args), room))
	add(oneLine(string(e.Kwargs), room))
	if len(e.Value) > 0 {
		add("= " + oneLine(string(e.Value), room))
	}
	add(failureText(e.Failure))
	if !e.Retry.IsZero() {
		add("next " + e.Retry.Local().Format("15:04:05.000"))
	}
	add(e.Pos)
	return strings.Join(parts, " ")
}
