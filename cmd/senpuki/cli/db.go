// senpuki db: migrate, check and back up a database.

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) dbCommand() *cobra.Command {
	migrate := &cobra.Command{
		Use: "migrate", Short: "Bring the schema of the database up to date", Example: "  senpuki db migrate --db jobs.db", Args: cobra.NoArgs,
		Long: "Bring the schema of the database up to date. Every command does so when it opens one; this does nothing else.",
		RunE: func(c *cobra.Command, _ []string) error {
			store, err := a.openStore(c.Context(), false)
			if err != nil {
				return err
			}
			if err := store.Close(); err != nil {
				return err
			}
			if a.json {
				return a.printDocument(databaseView{Database: mask(a.database())})
			}
			fmt.Fprintf(a.err, "%s is up to date\n", mask(a.database()))
			return nil
		},
	}
	check := &cobra.Command{
		Use: "check", Short: "Check every invariant, program, record and journal of the database", Example: "  senpuki db check --json", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.dbCheck(c.Context()) },
	}
	backup := &cobra.Command{
		Use: "backup FILE", Short: "Copy the database into a new file, while it is in use", Example: "  senpuki db backup copy.db", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if isURL(args[0]) { // --db would not find the file by this name
				return usage("%s: the copy is a file; name it by its path, without a scheme and options", mask(args[0]))
			}
			return a.view(c.Context(), func(_ *engine.Engine, store backend.Store) error {
				b, ok := store.(backend.Backuper)
				if !ok {
					return fmt.Errorf("%s cannot be copied this way; use its own tools", mask(a.database()))
				}
				if err := b.Backup(c.Context(), args[0]); err != nil {
					return err
				}
				if a.json {
					return a.printDocument(databaseView{mask(a.database()), args[0]})
				}
				fmt.Fprintf(a.err, "%s is a copy of %s\n", args[0], mask(a.database()))
				return nil
			})
		},
	}
	return groupCommand("db", "Migrate, check and back up a database", "  senpuki db check\n  senpuki db backup copy.db", migrate, check, backup)
}

// databaseView is what db migrate and db backup print with --json.
type databaseView struct {
	Database string `json:"database"`
	Copy     string `json:"copy,omitempty"` // the new file
}

// dbCheck prints what it finds as it finds it; only as JSON, which is one document, it is kept.
func (a *app) dbCheck(ctx context.Context) error {
	return a.view(ctx, func(eng *engine.Engine, store backend.Store) error {
		problems, all := 0, []engine.Problem{}
		tell := func(p engine.Problem) error {
			problems++
			switch {
			case a.json:
				all = append(all, p)
				return nil
			case p.Execution != "":
				p.Problem = p.Execution + ": " + p.Problem
			case p.Program != "":
				p.Problem = "program " + p.Program + ": " + p.Problem
			}
			_, err := fmt.Fprintln(a.out, p.Problem)
			return err
		}
		damaged := false
		for _, err := range store.Check(ctx) {
			damaged = damaged || errors.Is(err, backend.ErrDamaged)
			if err := tell(engine.Problem{Problem: err.Error()}); err != nil {
				return err
			}
		}
		executions, err := eng.Examine(ctx, tell)
		switch {
		case !errors.Is(err, backend.ErrDamaged):
		case damaged: // and told
			err = nil
		default:
			err = tell(engine.Problem{Problem: err.Error()})
		}
		if err != nil {
			return err
		}
		if a.json {
			if err := a.printDocument(all); err != nil {
				return err
			}
		} else {
			fmt.Fprintf(a.err, "%s checked, %s\n", count(executions, "execution"), count(problems, "problem"))
		}
		if problems > 0 {
			return &exitError{status: exitFailed}
		}
		return nil
	})
}
