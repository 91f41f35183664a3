// What the engine's tests share: scripts from text, a world to run them in.

package engine

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
)

// world is a store, a registry and the engines on them.
type world struct {
	t     *testing.T
	store backend.Store
	reg   *activities.Registry

	mu    sync.Mutex
	calls map[string]int // activity name and arguments -> how often its body began
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, store: memory.New(), reg: activities.NewRegistry(), calls: make(map[string]int)}
	w.register("add", func(a, b int) (int, error) { w.count("add"); return a + b, nil })
	w.register("echo", func(v any) (any, error) { w.count("echo"); return v, nil })
	w.register("boom", func(kind string) error { w.count("boom"); return activities.Fail(kind, "as asked") })
	w.register("panics", func() error { panic("oh no") })
	w.register("flaky", func(ctx context.Context, fails int) (int, error) {
		n := activities.Info(ctx).Attempt
		w.count("flaky")
		if n <= fails {
			return 0, activities.Fail("Flaky", fmt.Sprintf("attempt %d", n))
		}
		return fails + 1, nil
	})
	w.register("block", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
	w.register("nap", func(ctx context.Context, ms int) (int, error) {
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			return ms, nil
		case <-ctx.Done():
			return 0, ctx.Err()
		}
	})
	return w
}

func (w *world) register(name string, fn any, o ...activities.Options) {
	w.t.Helper()
	if err := w.reg.Register(name, fn, o...); err != nil {
		w.t.Fatal(err)
	}
}

func (w *world) count(name string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.calls[name]++
}

func (w *world) called(name string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.calls[name]
}

// engine starts a worker on the world's store; stop ends it gracefully.
func (w *world) engine(o Options) (e *Engine, stop func()) {
	w.t.Helper()
	return w.engineOn(w.store, o)
}

func (w *world) engineOn(store backend.Store, o Options) (e *Engine, stop func()) {
	w.t.Helper()
	e, err := New(store, w.reg, o)
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := e.Run(ctx); err != nil && !errors.Is(err, ErrStopped) {
			w.t.Errorf("Run: %v", err)
		}
	}()
	<-e.Ready()
	last := func() *worker {
		e.mu.Lock()
		defer e.mu.Unlock()
		return e.worker
	}
	first := last()
	return e, func() {
		newest := last()
		cancel()
		<-done
		w.nothingTaken(first)
		w.nothingTaken(newest)
	}
}

// nothingTaken fails the test when an execution or a task has left a worker that has ended without giving back what it had taken of it.
func (w *world) nothingTaken(of *worker) {
	if of == nil {
		return
	}
	s := &of.slots
	s.mu.Lock()
	if n := s.free + s.granted + s.aside; n != of.options.MaxConcurrency {
		w.t.Errorf("%d slots of %d at the end", n, of.options.MaxConcurrency)
	}
	s.mu.Unlock()
	of.suspects.mu.Lock()
	if n := len(of.suspects.groups); n > 0 {
		w.t.Errorf("%d groups of suspects at the end", n)
	}
	of.suspects.mu.Unlock()
}

// deploy stores a script as workflow "test".
func (w *world) deploy(e *Engine, script string) {
	w.t.Helper()
	_, err := e.Deploy(context.Background(), fstest.MapFS{"test.star": {Data: []byte(script)}}, "test.star")
	if err != nil {
		w.t.Fatal(err)
	}
}

// run deploys a script, runs it to its end and returns what became of it.
func (w *world) run(o Options, script string, in Input, do DispatchOptions) Result {
	w.t.Helper()
	e, stop := w.engine(o)
	defer stop()
	w.deploy(e, script)
	return w.finish(e, w.dispatch(e, in, do))
}

func (w *world) dispatch(e *Engine, in Input, do DispatchOptions) string {
	w.t.Helper()
	id, err := e.Dispatch(context.Background(), "test", in, do)
	if err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) finish(e *Engine, id string) Result {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	if _, err := e.Wait(ctx, id); err != nil {
		x, _ := e.State(context.Background(), id)
		w.t.Fatalf("wait for %s: %v (state %s, stuck %+v)", id, err, x.State, x.Stuck)
	}
	r, err := e.Result(ctx, id)
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// check fails the test when the store breaks an invariant, or holds what Examine takes for damaged.
func (w *world) check() {
	w.t.Helper()
	for _, err := range w.store.Check(context.Background()) {
		w.t.Error(err)
	}
	e, err := New(w.store, nil, Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := e.Examine(context.Background(), func(p Problem) error { w.t.Errorf("%+v", p); return nil }); err != nil {
		w.t.Error(err)
	}
}

// want fails the test unless an execution completed with this value.
func want(t *testing.T, r Result, value string) {
	t.Helper()
	if r.Failure != nil {
		t.Fatalf("failed: %s: %s\n%s", r.Failure.Kind, r.Failure.Message, r.Failure.Traceback)
	}
	if string(r.Value) != value {
		t.Fatalf("result %s, want %s", r.Value, value)
	}
}
