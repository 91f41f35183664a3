// sleepers: the memory that executions cost a worker while they wait.

package bench

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// wakes is how many sleepers are woken, one after the other, to see how long that takes.
const wakes = 100

// asleep counts the executions that have begun to wait.
type asleep struct{ n atomic.Int64 }

// Observe implements engine.Observer.
func (a *asleep) Observe(ev engine.Event) {
	if ev.Kind == engine.StepAsked {
		a.n.Add(1)
	}
}

// sleepers: many executions that wait for a signal, let go by the worker that
// began them. The figure is what its heap has grown by, for each; parked_bytes is what each takes before it is let go.
func sleepers(ctx context.Context, c Config, n int) (_ Result, err error) {
	awake, err := parked(ctx, c, min(n, 3000))
	if err != nil {
		return Result{}, err
	}
	l, seen, err := dormitory(ctx, c, 50*time.Millisecond)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	before := heap()
	begun := time.Now()
	ids, err := l.putToBed(ctx, n)
	if err != nil {
		return Result{}, err
	}
	if err := released(ctx, l.engine, seen, int64(n)); err != nil {
		return Result{}, err
	}
	took := time.Since(begun)
	grown := float64(heap().HeapAlloc) - float64(before.HeapAlloc) - float64(n*48) // the ids are ours
	wake, err := wakeSome(ctx, l.engine, ids)
	if err != nil {
		return Result{}, err
	}
	if err := wakeAll(ctx, l.engine, l.store, ids[min(wakes, n):]); err != nil {
		return Result{}, err
	}
	return Result{
		N: n, Unit: "bytes/execution", Value: round(max(grown, 0)/float64(n), 1),
		Detail: map[string]any{
			"parked_bytes": round(awake, 0), "asleep_ms": milliseconds(took),
			"wake_p50_ms": milliseconds(median(wake)), "p99": milliseconds(wake[(len(wake)-1)*99/100]),
		},
	}, nil
}

// parked is what each of n executions takes while it waits and is not let go: on the heap, and its stack.
func parked(ctx context.Context, c Config, n int) (_ float64, err error) {
	l, _, err := dormitory(ctx, c, time.Hour)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	grown := 0.0
	for _, n := range []int{n / 10, n} { // the first warms up
		before := heap()
		ids, err := l.putToBed(ctx, n)
		if err != nil {
			return 0, err
		}
		for l.engine.Health().Parked < n {
			select {
			case <-time.After(10 * time.Millisecond):
			case <-ctx.Done():
				return 0, fmt.Errorf("%d of %d wait: %w", l.engine.Health().Parked, n, ctx.Err())
			}
		}
		after := heap()
		grown = float64(after.HeapAlloc+after.StackInuse) - float64(before.HeapAlloc+before.StackInuse) - float64(n*48) // the ids are ours
		if err := wakeAll(ctx, l.engine, l.store, ids); err != nil {
			return 0, err
		}
	}
	return grown / float64(n), nil
}

// dormitory is a lab whose worker lets go of what has waited for some time.
func dormitory(ctx context.Context, c Config, releaseAfter time.Duration) (_ *lab, _ *asleep, err error) {
	reg, err := doNothing()
	if err != nil {
		return nil, nil, err
	}
	store, err := c.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	seen := &asleep{}
	l := &lab{store: store, done: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.close())
		}
	}()
	l.engine, err = engine.New(store, reg, engine.Options{
		Queues: []string{queue()}, MaxConcurrency: concurrency, ReleaseAfter: releaseAfter, Observer: seen,
	})
	if err == nil {
		l.program, err = l.engine.Load(ctx, workflows, "workflows.star")
	}
	if err == nil {
		err = l.engine.Store(ctx, l.program)
	}
	if err != nil {
		return nil, nil, err
	}
	l.work(ctx)
	return l, seen, l.ready(ctx)
}

// putToBed begins n executions that wait, and returns their ids.
func (l *lab) putToBed(ctx context.Context, n int) ([]string, error) {
	ids := make([]string, n)
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for i := range n {
		group.Go(func() (err error) {
			ids[i], err = l.dispatch(gctx, "sleeper", 0, false)
			return err
		})
	}
	return ids, group.Wait()
}

// released waits until n executions wait and none is held any more.
func released(ctx context.Context, eng *engine.Engine, seen *asleep, n int64) error {
	for seen.n.Load() < n || eng.Held() > 0 {
		select {
		case <-time.After(10 * time.Millisecond):
		case <-ctx.Done():
			return fmt.Errorf("%d of %d wait, %d are held: %w", seen.n.Load(), n, eng.Held(), ctx.Err())
		}
	}
	return nil
}

// heap is what lives in memory.
func heap() (m runtime.MemStats) {
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m
}

// wakeSome signals some sleepers, one after the other, and returns how long each took to end, sorted.
func wakeSome(ctx context.Context, eng *engine.Engine, ids []string) ([]time.Duration, error) {
	var took []time.Duration
	for _, id := range ids[:min(wakes, len(ids))] {
		begun := time.Now()
		if err := eng.Signal(ctx, id, "go", []byte("1")); err != nil {
			return nil, err
		}
		x, err := eng.Wait(ctx, id)
		if err != nil {
			return nil, err
		}
		if x.State != backend.Completed {
			return nil, errors.New("a sleeper ended " + string(x.State))
		}
		took = append(took, time.Since(begun))
	}
	slices.Sort(took)
	return took, nil
}

// wakeAll signals the others, many in a transaction, and waits until they have
// ended: nothing that is never claimed again is left behind.
func wakeAll(ctx context.Context, eng *engine.Engine, store backend.Store, ids []string) error {
	for chunk := range slices.Chunk(ids, 500) {
		b := backend.Batch{}
		for _, id := range chunk {
			b.Send = append(b.Send, backend.Message{Execution: id, Kind: backend.Signal, Name: "go", Payload: []byte("1")})
		}
		if _, err := store.Commit(ctx, b); err != nil {
			return err
		}
	}
	f := backend.Filter{Queue: queue(), States: []backend.State{backend.Running, backend.Pending}, Limit: 1}
	for {
		left, err := eng.List(ctx, f)
		if err != nil || len(left) == 0 {
			return err
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
