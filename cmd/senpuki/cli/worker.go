// senpuki worker: take work until told to stop.

package cli

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/cmd/senpuki/cli/ops"
	"github.com/senpuki/senpuki/engine"
)

// workerFlags are the flags of worker.
type workerFlags struct {
	queues, tags, allow []string
	concurrency         int
	watch, listen       string
	log                 logFlags
	keep                retentionFlags
}

func (a *app) workerCommand() *cobra.Command {
	var f workerFlags
	c := &cobra.Command{
		Use:   "worker [flags]",
		Short: "Take work until told to stop",
		Long: `Run a worker: it takes executions and tasks of its queues until it is told to stop.
An interrupt stops it gracefully: nothing new is taken and what runs may end; a second one stops it at once.
Work is taken only when the worker has all its tags. Stock activities are offered only when --allow names them.

--listen serves /healthz (the process is alive), /readyz (it can take work; else 503 and why) and /metrics
(Prometheus). Every flag is also an environment variable, --queue is SENPUKI_QUEUES, and a key of senpuki.toml.`,
		Example: `  senpuki worker
  senpuki worker --queue billing --queue default --concurrency 20
  senpuki worker --allow shell,file
  senpuki worker --listen :9090 --log-format json`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return a.worker(c.Context(), c.Flags(), f)
		},
	}
	flags := c.Flags()
	listVar(flags, &f.queues, "queue", "queue to serve (repeatable; default: default)")
	listVar(flags, &f.tags, "tag", "tag that this worker has (repeatable)")
	flags.IntVar(&f.concurrency, "concurrency", 0, "how many activities may run at once (default 256)")
	flags.StringVar(&f.watch, "watch", "", "directory whose workflows are deployed, at once and when they change")
	flags.StringVar(&f.listen, "listen", "", "address to serve health and metrics at, such as :9090 or 127.0.0.1:9090")
	f.log.register(flags)
	f.keep.register(flags)
	a.addSteps(flags)
	listVar(flags, &f.allow, "allow", "stock activities to offer: "+strings.Join(activities.StockGroups(), ", "))
	return c
}

// resolve gives the flags the values in force.
func (f *workerFlags) resolve(a *app, flags *pflag.FlagSet) error {
	w := &a.file.Worker
	a.listSetting(flags, "queue", "SENPUKI_QUEUES", w.Queues, &f.queues)
	a.listSetting(flags, "tag", "SENPUKI_TAGS", w.Tags, &f.tags)
	a.listSetting(flags, "allow", "SENPUKI_ALLOW", w.Allow, &f.allow)
	a.setting(flags, "watch", "SENPUKI_WATCH", w.Watch, &f.watch)
	a.setting(flags, "listen", "SENPUKI_LISTEN", w.Listen, &f.listen)
	a.resolveLog(flags, &f.log)
	return a.countSetting(flags, "concurrency", "SENPUKI_CONCURRENCY", w.Concurrency, &f.concurrency)
}

// check refuses what the flags cannot mean.
func (f *workerFlags) check() error {
	if f.concurrency < 0 {
		return usage("--concurrency: %d is negative", f.concurrency)
	}
	if err := checkNames("--queue", f.queues...); err != nil {
		return err
	}
	if err := checkNames("--tag", f.tags...); err != nil {
		return err
	}
	if f.listen != "" {
		if _, err := net.ResolveTCPAddr("tcp", f.listen); err != nil {
			return usage("--listen: %w", err)
		}
	}
	if f.watch != "" {
		if at, err := os.Stat(f.watch); err != nil || !at.IsDir() {
			return usage("--watch: %s is not a directory", f.watch)
		}
	}
	return nil
}

func (a *app) worker(ctx context.Context, flags *pflag.FlagSet, f workerFlags) (err error) {
	if err := f.resolve(a, flags); err != nil {
		return err
	}
	keep, err := a.retention(flags, f.keep)
	if err != nil {
		return err
	}
	log, err := a.logger(f.log)
	if err != nil {
		return err
	}
	say := a.sayer(log, f.log.format)
	a.say = say
	if err := f.check(); err != nil {
		return err
	}
	if err := activities.RegisterStock(a.registry, f.allow...); err != nil && !errors.Is(err, activities.ErrRegistered) {
		return usage("--allow: %w", err)
	}
	store, err := a.openToRun(ctx, false)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	tracer, sent, err := a.tracer(ctx, log)
	if err != nil {
		return err
	}
	defer sent()
	metrics := &engine.Metrics{}
	eng, err := a.newEngine(store, a.registry, engine.Options{
		Queues: f.queues, Tags: f.tags, MaxConcurrency: f.concurrency, Retention: keep,
		Logger: log, Observer: observing(log), Metrics: metrics, Tracer: tracer,
	})
	if err != nil {
		return usage("%w", err)
	}
	if f.listen != "" {
		server, err := ops.Serve(f.listen, ops.Source{Engine: eng, Store: store, Metrics: metrics, Version: release, Mask: maskText}, log)
		if err != nil {
			return usage("--listen: %w", err)
		}
		defer func() { err = errors.Join(err, server.Close()) }()
		say("serving health and metrics at http://"+server.Addr(), "address", server.Addr())
	}
	return a.work(ctx, eng, f, say)
}

// work runs a worker until it is told to stop, gracefully and then at once. Nothing of it runs when it returns.
func (a *app) work(ctx context.Context, eng *engine.Engine, f workerFlags, say sayFunc) error {
	signals, heard := interrupts()
	defer heard()
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
		say(fmt.Sprintf("worker ready: queues %s, activities %s, database %s",
			strings.Join(queues, ", "), listOrNone(a.registry.Names()), mask(a.database())),
			"queues", queues, "activities", a.registry.Names(), "database", mask(a.database()))
	case err := <-done:
		return err
	case <-signals:
		return &exitError{status: exitInterrupted}
	}
	if f.watch != "" {
		var watching sync.WaitGroup
		watching.Go(func() { a.redeploy(ctx, eng, f.watch, say) })
		defer watching.Wait() // before the database is closed
		defer stop()
	}
	select {
	case err := <-done:
		return err
	case <-signals:
	}
	say("stopping: what runs may end; once more to stop at once")
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
func (a *app) redeploy(ctx context.Context, eng *engine.Engine, dir string, say sayFunc) {
	deploy := func() fileSet {
		read := fileSet{}
		files, err := scriptsIn(dir)
		if err != nil {
			say(fmt.Sprintf("watch: %v", err))
			return read
		}
		found := false
		for _, file := range files { // one by one: a broken file, or one that is gone, does not hold up the others
			s, err := loadNoting(ctx, file, read)
			if err != nil {
				found = true
				say(fmt.Sprintf("watch: %v", err))
				continue
			}
			if !s.workflow() {
				continue
			}
			found = true
			err = s.check(engine.Activities{}) // other workers may have those that this one lacks
			var done []backend.Deployment
			if err == nil {
				done, err = eng.Publish(ctx, engine.DeployOptions{By: "watch"}, s.program)
			}
			if problems := s.problems(err); problems != nil {
				for _, p := range problems {
					say(p.String())
				}
				say(fmt.Sprintf("watch: %s was not deployed; the version before stays in force", s.shown(s.entry)))
				continue
			}
			if err != nil {
				say(fmt.Sprintf("watch: %v", err))
				continue
			}
			if d := done[0]; a.watched[d.Workflow] != d.Digest {
				a.watched[d.Workflow] = d.Digest
				say(fmt.Sprintf("watch: %s version %d (%.12s) is deployed", d.Workflow, d.Version, d.Digest),
					"workflow", d.Workflow, "version", d.Version, "digest", d.Digest)
				a.sayUnfit(ctx, eng, &s, say)
			}
		}
		if !found {
			say(fmt.Sprintf("watch: %v", noWorkflow(dir)))
		}
		return read
	}
	a.watched = make(map[string]string)
	watchFiles(ctx, dir, deploy)
}

// sayUnfit tells of a workflow's calls that neither this worker nor another that lives can carry out. They are no reason to refuse it:
// who can may be about to start.
func (a *app) sayUnfit(ctx context.Context, eng *engine.Engine, s *loadedScript, say sayFunc) {
	live, err := offers(ctx, eng)
	if err != nil { // then there is worse to tell
		return
	}
	for _, p := range s.problems(s.check(engine.Activities{Registry: a.registry, Offers: live})) {
		say("watch: " + p.String())
	}
}

func listOrNone(names []string) string {
	if len(names) == 0 {
		return "none (--allow offers stock activities)"
	}
	return strings.Join(names, ", ")
}
