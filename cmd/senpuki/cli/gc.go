// senpuki gc: remove what ended long ago.

package cli

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) gcCommand() *cobra.Command {
	var older string
	var dry bool
	c := &cobra.Command{
		Use: "gc [flags]", Short: "Remove executions that ended long ago",
		Long: `Remove executions that ended long ago, with their journals, log lines and dead letters,
shared results whose time is up, and source that nothing uses. Running executions are never touched.`,
		Example: "  senpuki gc --older-than 30d --dry-run", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.gc(c.Context(), older, dry)
		},
	}
	c.Flags().StringVar(&older, "older-than", "30d", "how long ago they ended")
	c.Flags().BoolVar(&dry, "dry-run", false, "only count what would be removed")
	return c
}

// collected is what gc --json prints.
type collected struct {
	Executions  int64 `json:"executions"`
	Memos       int64 `json:"memos"`
	DeadLetters int64 `json:"dead_letters"`
	Programs    int64 `json:"programs"`
	DryRun      bool  `json:"dry_run"`
}

func (a *app) gc(ctx context.Context, older string, dry bool) error {
	age, err := parseDuration("--older-than", older)
	if err != nil {
		return err
	}
	age = max(age, 1) // none would mean that they are kept
	return a.viewOrChange(dry)(ctx, func(eng *engine.Engine, _ backend.Store) error {
		got, err := eng.Collect(ctx, engine.Retention{Completed: age, Failed: age}, dry)
		if err != nil {
			return err
		}
		v := collected{got.Executions, got.Memos, got.DeadLetters, got.Programs, dry}
		if a.json {
			return a.printDocument(v)
		}
		verb := "removed"
		if dry {
			verb = "would be removed"
		}
		fmt.Fprintf(a.out, "%s: %s, %s, %s, %s\n", verb, count(int(v.Executions), "execution"), count(int(v.Memos), "shared result"),
			count(int(v.DeadLetters), "dead letter"), count(int(v.Programs), "program"))
		return nil
	})
}
