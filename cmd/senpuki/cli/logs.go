// senpuki logs: what an execution's script printed.

package cli

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

func (a *app) logsCommand() *cobra.Command {
	var follow bool
	c := &cobra.Command{
		Use:   "logs ID [flags]",
		Short: "Print what an execution's script printed and logged",
		Example: `  senpuki logs 0190ab
  senpuki logs order-17 --follow --json`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: a.completeIDs(),
		RunE:              func(c *cobra.Command, args []string) error { return a.logs(c.Context(), args[0], follow) },
	}
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the execution has ended")
	return c
}

func (a *app) logs(ctx context.Context, prefix string, follow bool) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	return a.view(ctx, func(eng *engine.Engine, _ backend.Store) error {
		x, err := resolve(ctx, eng, prefix)
		if err != nil {
			return err
		}
		return a.printLogs(ctx, eng, x, follow)
	})
}

// printLogs prints the log of an execution, when it follows it until that has ended.
func (a *app) printLogs(ctx context.Context, eng *engine.Engine, x engine.Execution, follow bool) error {
	away := a.outage()
	for next := (engine.LogPosition{}); ; {
		ended := x.State.Terminal() // looked at before the lines: none can follow
		lines, err := eng.Logs(ctx, x.ID, next)
		if err != nil && !(follow && away.is(err)) {
			return err
		}
		for _, l := range lines {
			if err := a.printLog(l); err != nil {
				return err
			}
			next = engine.LogPosition{Run: l.Run, Ordinal: l.Ordinal + 1}
		}
		if err == nil && (ended || !follow) {
			return nil
		}
		select {
		case <-ctx.Done():
			return &exitError{status: exitInterrupted}
		case <-time.After(200 * time.Millisecond):
		}
		now, err := eng.State(ctx, x.ID)
		if err == nil {
			x = now
		}
		if !away.is(err) && err != nil {
			return err
		}
	}
}

// printLog prints a line, or with --json a document of its own.
func (a *app) printLog(l engine.LogLine) error {
	if a.json {
		return a.printLine(l)
	}
	_, err := fmt.Fprintf(a.out, "%s  %s\n", l.At.Local().Format("15:04:05.000"), logText(l))
	return err
}
