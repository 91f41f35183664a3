// Driving an execution here: until it ends, is stuck, or is interrupted.

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// driver runs executions in this process with an engine of its own.
type driver struct {
	app      *app
	store    backend.Store
	engine   *engine.Engine
	progress *progress
	faults   *faults
	signals  <-chan os.Signal
	unheard  func()             // signals are no longer listened to
	stop     context.CancelFunc // graceful
	done     chan error         // what Run returned
	cut      bool               // stopped at once: nobody waits for anything
	sent     func()             // sends the traces that are left
}

// errSignal says that the user interrupted.
var errSignal = errors.New("interrupted")

// newDriver starts an engine that runs only what it is told to.
func (a *app) newDriver(ctx context.Context, store backend.Store, quiet bool) (*driver, error) {
	tracer, sent, err := a.tracer(ctx, a.log)
	if err != nil {
		return nil, err
	}
	d := &driver{
		app: a, store: store, progress: newProgress(a.err, quiet, a.live(a.err)), sent: sent,
		done: make(chan error, 1),
	}
	d.engine, err = a.newEngine(store, a.registry, engine.Options{Hold: true, Observer: d.progress, Logger: a.log, Tracer: tracer})
	if err != nil {
		return nil, err
	}
	d.signals, d.unheard = interrupts()
	runCtx, stop := context.WithCancel(ctx)
	d.stop = stop
	go func() { d.done <- d.engine.Run(runCtx) }()
	d.faults = watchFaults(d.engine, d.progress.warn)
	select {
	case <-d.engine.Ready():
		return d, nil
	case err := <-d.done:
		d.done <- err
		return d, errors.Join(err, ctx.Err())
	case <-d.signals:
		if why := d.faults.told(); why != "" {
			return d, fmt.Errorf("%w: %s", errSignal, why)
		}
		return d, errSignal
	}
}

// close stops the engine; it waits briefly, since nothing that runs matters any more.
func (d *driver) close() {
	d.faults.close()
	d.unheard()
	d.stop()
	if d.app.cut = d.cut; !d.cut {
		d.drain(time.Second)
	}
	d.sent()
	d.progress.finish("")
}

// drain waits for Run to return, and cuts it when it takes too long.
func (d *driver) drain(patience time.Duration) {
	for range 2 {
		limit := time.NewTimer(patience)
		select {
		case err := <-d.done:
			limit.Stop()
			d.done <- err
			return
		case <-limit.C:
			d.engine.Kill()
		}
	}
}

// wait drives execution id to its end. The execution it returns has ended or is stuck.
func (d *driver) wait(ctx context.Context, id string, tries int) (engine.Execution, error) {
	var looking sync.WaitGroup
	defer func() {
		if !d.cut { // else the database may hang
			looking.Wait()
		}
	}()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	looking.Go(func() { d.tellShared(ctx) })
	ended := make(chan error, 1)
	var x engine.Execution
	go func() {
		var err error
		x, err = await(ctx, d.engine, id, tries, d.progress.stuck, nil)
		ended <- err
	}()
	select {
	case err := <-ended:
		return x, err
	case err := <-d.done:
		d.done <- err
		return engine.Execution{}, errors.Join(errors.New("the engine stopped"), err, context.Cause(ctx))
	case <-d.signals:
	}
	if d.faults.told() == "" {
		d.progress.say("interrupted; stopping, once more to stop at once")
	}
	d.stop()
	look := time.NewTicker(healthEvery)
	defer look.Stop()
	for d.faults.told() == "" { // what runs may end, while that can be recorded
		select {
		case err := <-d.done:
			d.done <- err
			if x, err := d.engine.State(ctx, id); err == nil && x.State.Terminal() {
				return x, nil
			}
			return engine.Execution{}, errSignal
		case <-d.signals:
			d.cut = true
			d.engine.Kill()
			return engine.Execution{}, errSignal
		case <-look.C:
		}
	}
	d.cut = true
	d.engine.Kill()
	return engine.Execution{}, fmt.Errorf("%w: %s", errSignal, d.faults.told())
}

// await waits until an execution has ended, or is stuck for more than tries times. Away, if not nil, tells of a database that is.
func await(ctx context.Context, eng *engine.Engine, id string, tries int, stuck <-chan struct{}, away *outage) (engine.Execution, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	type end struct {
		x   engine.Execution
		err error
	}
	ended := make(chan end, 1)
	go func() {
		x, err := eng.Wait(ctx, id)
		ended <- end{x, err}
	}()
	look := time.NewTicker(time.Second) // another process may hold it and find it stuck
	defer look.Stop()
	for {
		select {
		case e := <-ended:
			if e.err == nil { // it may have come before the next look
				away.is(nil)
			}
			return e.x, e.err
		case <-stuck:
		case <-look.C:
		}
		x, err := eng.State(ctx, id)
		if err == nil && x.Stuck != nil && x.Stuck.Tries > tries {
			return x, nil
		}
		away.is(err)
	}
}

// run drives what begin names, prints what came of it and returns the exit status as an error.
func (a *app) run(ctx context.Context, store backend.Store, quiet bool, begin func(*driver) (id string, err error)) error {
	d, err := a.newDriver(ctx, store, quiet)
	if d == nil {
		return err
	}
	defer d.close()
	var id string
	tries := 0
	if err == nil {
		id, err = begin(d)
	}
	var x engine.Execution
	if err == nil {
		if x, err = d.engine.State(ctx, id); err == nil && x.Stuck != nil {
			tries = x.Stuck.Tries
		}
	}
	if err == nil && (!x.State.Terminal() || d.progress.any()) {
		hint := "if it is interrupted, resume it with: " + a.resumeHint(id)
		if a.inMemory() {
			hint = "its database is in memory, and gone with this process"
		}
		d.progress.begin(x, hint)
	}
	if err == nil && !x.State.Terminal() {
		x, err = d.wait(ctx, id, tries)
	}
	if errors.Is(err, errSignal) {
		if id == "" {
			return &exitError{exitInterrupted, err}
		}
		d.progress.finish("")
		next := "resume with: " + a.resumeHint(id)
		if a.inMemory() {
			next = "it was in memory, and is gone"
		}
		fmt.Fprintf(a.err, "%s; %s\n", err, next)
		return &exitError{status: exitInterrupted}
	}
	if err != nil {
		d.progress.finish("")
		return err
	}
	if x.State.Terminal() {
		d.faults.settled()
	}
	d.progress.finish(summary(x))
	return a.outcome(ctx, store, x)
}

// summary is the last line about an execution that has ended or is stuck.
func summary(x engine.Execution) string {
	if !x.State.Terminal() {
		return ""
	}
	text := fmt.Sprintf("%s %s", x.ID, stateText(x))
	if !x.Started.IsZero() && !x.Finished.IsZero() {
		text += " in " + duration(x.Finished.Sub(x.Started))
	}
	return text
}

// outcome prints what became of an execution: its result on standard output, a
// failure on standard error, or with --json the execution itself.
func (a *app) outcome(ctx context.Context, store backend.Store, x engine.Execution) error {
	if a.json {
		if err := a.printDocument(x); err != nil {
			return err
		}
	}
	switch {
	case x.State == backend.Completed:
		if a.json {
			return nil
		}
		return a.printRaw(x.Result)
	case x.State.Terminal():
		a.printFailure(ctx, store, x)
	case x.Stuck != nil:
		fmt.Fprintf(a.err, "%s is stuck: %s\n", x.ID, legible(x.Stuck.Reason))
		a.printExcerpt(ctx, store, x.Digest, x.Stuck.Reason)
		if a.inMemory() {
			fmt.Fprintln(a.err, "it was in memory, and is gone")
		} else {
			fmt.Fprintf(a.err, "when the cause is gone, go on with: %s\n", a.resumeHint(x.ID))
		}
	default:
		return fmt.Errorf("%s is %s; 'senpuki wait %s' waits for its end", x.ID, x.State, x.ID)
	}
	return &exitError{status: exitFailed}
}

func (a *app) printFailure(ctx context.Context, store backend.Store, x engine.Execution) {
	if x.Failure == nil {
		fmt.Fprintf(a.err, "%s: %s\n", x.ID, stateText(x))
		return
	}
	writeFailure(a.err, x.Failure)
	a.printExcerpt(ctx, store, x.Digest, x.Failure.Traceback)
}

func (a *app) printExcerpt(ctx context.Context, store backend.Store, digest, text string) {
	if lines := excerpt(ctx, store, digest, text); lines != "" {
		_, _ = io.WriteString(a.err, lines)
	}
}
