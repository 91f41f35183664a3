// senpuki worker: take work until told to stop.

package cli

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/engine"
)

// workerFlags are the flags of worker.
type workerFlags struct {
	queues, tags, allow []string
	concurrency         int
	watch               string
}

func (a *app) workerCommand() *cobra.Command {
	var f workerFlags
	c := &cobra.Command{
		Use:   "worker [flags]",
		Short: "Take work until told to stop",
		Long: `Run a worker: it takes executions and tasks of its queues until it is told to stop.
An interrupt stops it gracefully: nothing new is taken and what runs may end; a second one stops it at once.
Work is taken only when the worker has all its tags. Stock activities are offered only when --allow names them.`,
		Example: `  senpuki worker
  senpuki worker --queue billing --queue default --concurrency 20
  senpuki worker --allow shell,file`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if c.Flags().Changed("queue") && len(f.queues) == 0 {
				f.queues = []string{""}
			}
			return a.worker(c.Context(), f)
		},
	}
	flags := c.Flags()
	flags.StringSliceVar(&f.queues, "queue", nil, "queue to serve (repeatable; default: default)")
	flags.StringSliceVar(&f.tags, "tag", nil, "tag that this worker has (repeatable)")
	flags.IntVar(&f.concurrency, "concurrency", 0, "how many activities may run at once (default 256)")
	flags.StringVar(&f.watch, "watch", "", "directory whose workflows are deployed, at once and when they change")
	flags.StringSliceVar(&f.allow, "allow", nil, "stock activities to offer: "+strings.Join(activities.StockGroups(), ", "))
	return c
}

func (a *app) worker(ctx context.Context, f workerFlags) (err error) {
	if f.concurrency < 0 {
		return usage("--concurrency: %d is negative", f.concurrency)
	}
	for _, q := range f.queues {
		if strings.TrimSpace(q) == "" {
			return usage("--queue: a queue has no name; write --queue billing or --queue billing,default")
		}
	}
	if err := activities.RegisterStock(a.registry, f.allow...); err != nil && !errors.Is(err, activities.ErrRegistered) {
		return usage("--allow: %w", err)
	}
	store, err := a.openStore(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	eng, err := engine.New(store, a.registry, engine.Options{
		Queues: f.queues, Tags: f.tags, MaxConcurrency: f.concurrency,
		Logger: slog.New(slog.NewTextHandler(a.err, nil)),
	})
	if err != nil {
		return usage("%w", err)
	}
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	defer signal.Stop(signals)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- eng.Run(ctx) }()
	select {
	case <-eng.Ready():
		queues := f.queues
		if len(queues) == 0 {
			queues = []string{"default"}
		}
		fmt.Fprintf(a.err, "worker ready: queues %s, activities %s, database %s\n",
			strings.Join(queues, ", "), listOrNone(a.registry.Names()), mask(a.database()))
	case err := <-done:
		return err
	case <-signals:
		return &exitError{status: exitInterrupted}
	}
	if f.watch != "" {
		go a.redeploy(ctx, eng, f.watch)
	}
	select {
	case err := <-done:
		return err
	case <-signals:
	}
	fmt.Fprintln(a.err, "stopping: what runs may end; once more to stop at once")
	stop()
	select {
	case err := <-done:
		return err
	case <-signals:
		eng.Kill()
		return &exitError{status: exitInterrupted}
	}
}

// redeploy deploys the workflows of a directory, now and when they change. A
// broken save is reported and leaves what is deployed in force.
func (a *app) redeploy(ctx context.Context, eng *engine.Engine, dir string) {
	deploy := func() {
		files, err := a.scriptsAt(ctx, []string{dir})
		if err != nil {
			fmt.Fprintf(a.err, "watch: %v\n", err)
			return
		}
		for _, s := range files { // one by one: a broken file does not hold up the others
			done, err := eng.DeployWith(ctx, os.DirFS(s.root), engine.DeployOptions{By: "watch", AllowMissing: true}, s.entry)
			if problems := s.problems(err); problems != nil {
				printProblems(a.err, problems)
				fmt.Fprintf(a.err, "watch: %s was not deployed; the version before stays in force\n", s.shown(s.entry))
				continue
			}
			if err != nil {
				fmt.Fprintf(a.err, "watch: %v\n", err)
				continue
			}
			if d := done[0]; a.watched[d.Workflow] != d.Digest {
				a.watched[d.Workflow] = d.Digest
				fmt.Fprintf(a.err, "watch: %s version %d (%.12s) is deployed\n", d.Workflow, d.Version, d.Digest)
			}
		}
	}
	a.watched = make(map[string]string)
	deploy()
	if err := watchFiles(ctx, dir, deploy); err != nil {
		fmt.Fprintf(a.err, "watch: %v\n", err)
	}
}

func listOrNone(names []string) string {
	if len(names) == 0 {
		return "none (--allow offers stock activities)"
	}
	return strings.Join(names, ", ")
}
