// A lab: an engine at work on the measured database.

package bench

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"math"
	"os"
	"runtime/debug"
	"sync"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

//go:embed workflows.star
var workflows embed.FS

// queue is this process's own: what an earlier measurement left behind stays there.
func queue() string { return fmt.Sprintf("senpuki-bench-%d", os.Getpid()) }

// concurrency is how many attempts may run at once.
const concurrency = 1024

// lab is an engine on the database, with the scripts stored.
type lab struct {
	store   backend.Store
	engine  *engine.Engine
	program engine.Program
	ends    *ends
	stop    context.CancelFunc // set by work
	done    chan error         // what the worker returned
}

// doNothing are the activities of the workloads.
func doNothing() (*activities.Registry, error) {
	reg := activities.NewRegistry()
	at := activities.RetryPolicy{InitialDelay: -1, Jitter: -1}
	step := func(n int) (int, error) { return n, nil }
	return reg, errors.Join(
		reg.Register("bench.step", step, activities.Options{Retry: at}),
		reg.Register("bench.last", step, activities.Options{Retry: at}),
	)
}

// newLab opens the database; its engine works from work on.
func newLab(ctx context.Context, c Config) (*lab, error) {
	reg, err := doNothing()
	if err != nil {
		return nil, err
	}
	return newLabWith(ctx, c, reg)
}

func newLabWith(ctx context.Context, c Config, reg *activities.Registry) (*lab, error) {
	store, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	l, err := newLabOn(ctx, store, reg)
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	return l, nil
}

// newLabOn is a lab on an open database.
func newLabOn(ctx context.Context, store backend.Store, reg *activities.Registry) (l *lab, err error) {
	l = &lab{store: store, ends: &ends{}, done: make(chan error, 1)}
	l.engine, err = engine.New(store, reg, engine.Options{Queues: []string{queue()}, MaxConcurrency: concurrency, Observer: l.ends})
	if err == nil {
		l.program, err = l.engine.Load(ctx, workflows, "workflows.star")
	}
	if err == nil {
		err = l.engine.Store(ctx, l.program)
	}
	return l, err
}

// work starts the worker.
func (l *lab) work(ctx context.Context) {
	ctx, l.stop = context.WithCancel(ctx)
	go func() { l.done <- l.engine.Run(ctx) }()
}

// ready waits until the worker works.
func (l *lab) ready(ctx context.Context) error {
	select {
	case <-l.engine.Ready():
		return nil
	case err := <-l.done:
		l.done <- err
		return errors.Join(errors.New("the engine stopped"), err)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// halt stops the worker.
func (l *lab) halt() error {
	if l.stop == nil {
		return nil
	}
	l.stop()
	return <-l.done
}

// close stops the worker and closes the database.
func (l *lab) close() error { return errors.Join(l.halt(), l.store.Close()) }

// dispatch begins an execution of a function of the scripts with one argument.
func (l *lab) dispatch(ctx context.Context, function string, n int, here bool) (string, error) {
	return l.engine.Dispatch(ctx, "bench", engine.Input{Args: []any{n}}, engine.DispatchOptions{
		Digest: l.program.Digest, Function: function, Queue: queue(), Here: here,
	})
}

// await waits until n executions have ended, and returns when that was.
func (l *lab) await(ctx context.Context, n int) (time.Time, error) {
	select {
	case end := <-l.ends.expect(n):
		return end.at, end.err
	case err := <-l.done:
		l.done <- err
		return time.Time{}, errors.Join(errors.New("the engine stopped"), err)
	case <-ctx.Done():
		return time.Time{}, ctx.Err()
	}
}

// ends counts executions that have ended. Asking the database would take part in what is measured.
type ends struct {
	mu    sync.Mutex // guards all below
	count int
	want  int
	last  time.Time // when the latest ended
	err   error
	out   chan ended
}

type ended struct {
	at  time.Time
	err error
}

// expect returns a channel that is told when n executions have ended, or one in a wrong way.
func (e *ends) expect(n int) <-chan ended {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := make(chan ended, 1)
	e.want, e.out = n, out
	e.tell() // they may have ended already
	return out
}

func (e *ends) tell() {
	if e.out == nil || e.err == nil && e.count < e.want {
		return
	}
	e.out <- ended{e.last, e.err}
	e.out, e.count = nil, e.count-e.want
}

// Observe counts.
func (e *ends) Observe(ev engine.Event) {
	if ev.Kind != engine.ExecutionEnded && ev.Kind != engine.ExecutionStuck {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	e.count++
	e.last = time.Now()
	if ev.Failure != nil {
		e.err = fmt.Errorf("execution %s: %w", ev.Execution, ev.Failure)
	}
	e.tell()
}

// settle takes what earlier measurements left behind out of the next one.
func settle() {
	debug.FreeOSMemory()
}

func round(v float64, digits int) float64 {
	p := math.Pow(10, float64(digits))
	return math.Round(v*p) / p
}
