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
			fmt.Fprintf(a.err, "%s is up to date\n", mask(a.database()))
			return store.Close()
		},
	}
	check := &cobra.Command{
		Use: "check", Short: "Check every invariant and every journal of the database", Example: "  senpuki db check --json", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error { return a.dbCheck(c.Context()) },
	}
	backup := &cobra.Command{
		Use: "backup FILE", Short: "Copy the database into a new file, while it is in use", Example: "  senpuki db backup copy.db", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return a.view(c.Context(), func(_ *engine.Engine, store backend.Store) error {
				b, ok := store.(backend.Backuper)
				if !ok {
					return fmt.Errorf("%s cannot be copied this way; use its own tools", mask(a.database()))
				}
				if err := b.Backup(c.Context(), args[0]); err != nil {
					return err
				}
				fmt.Fprintf(a.err, "%s is a copy of %s\n", args[0], mask(a.database()))
				return nil
			})
		},
	}
	return groupCommand("db", "Migrate, check and back up a database", "  senpuki db check\n  senpuki db backup copy.db", migrate, check, backup)
}

// damage is one thing that is wrong with a database.
type damage struct {
	Execution string `json:"execution,omitempty"`
	Problem   string `json:"problem"`
}

func (a *app) dbCheck(ctx context.Context) error {
	return a.view(ctx, func(eng *engine.Engine, store backend.Store) error {
		found := []damage{}
		for _, err := range store.Check(ctx) {
			found = append(found, damage{Problem: err.Error()})
		}
		f, journals := backend.Filter{Limit: 500}, 0
		for {
			page, err := eng.List(ctx, f)
			if err != nil {
				return err
			}
			for _, x := range page {
				h, err := eng.History(ctx, x.ID)
				if errors.Is(err, backend.ErrNotFound) { // removed meanwhile
					continue
				}
				if err != nil {
					return err
				}
				journals++
				if h.Damaged != "" {
					found = append(found, damage{x.ID, h.Damaged})
				}
			}
			if len(page) < f.Limit {
				break
			}
			last := page[len(page)-1]
			f.BeforeAt, f.BeforeID = last.Created, last.ID
		}
		if a.json {
			if err := a.printDocument(found); err != nil {
				return err
			}
		} else {
			for _, d := range found {
				if d.Execution != "" {
					d.Problem = d.Execution + ": " + d.Problem
				}
				fmt.Fprintln(a.out, d.Problem)
			}
			fmt.Fprintf(a.err, "%s checked, %s\n", count(journals, "journal"), count(len(found), "problem"))
		}
		if len(found) > 0 {
			return &exitError{status: exitFailed}
		}
		return nil
	})
}
