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
// began them. The figure is what its heap has grown by, for each.
func sleepers(ctx context.Context, c Config, n int) (_ Result, err error) {
	reg, err := doNothing()
	if err != nil {
		return Result{}, err
	}
	store, err := c.Open(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	seen := &asleep{}
	eng, err := engine.New(store, reg, engine.Options{
		Queues: []string{queue()}, MaxConcurrency: concurrency, ReleaseAfter: 50 * time.Millisecond, Observer: seen,
	})
	if err != nil {
		return Result{}, err
	}
	program, err := eng.Load(ctx, workflows, "workflows.star")
	if err == nil {
		err = eng.Store(ctx, program)
	}
	if err != nil {
		return Result{}, err
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- eng.Run(running) }()
	defer func() { stop(); err = errors.Join(err, <-done) }()
	<-eng.Ready()
	ids := make([]string, n)
	before := heap()
	begun := time.Now()
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(64)
	for i := range n {
		group.Go(func() (err error) {
			ids[i], err = eng.Dispatch(gctx, "bench", engine.Input{Args: []any{0}}, engine.DispatchOptions{
				Digest: program.Digest, Function: "sleeper", Queue: queue(),
			})
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return Result{}, err
	}
	if err := released(ctx, eng, seen, int64(n)); err != nil {
		return Result{}, err
	}
	took := time.Since(begun)
	grown := float64(heap()) - float64(before) - float64(n*48) // the ids are ours
	wake, err := wakeSome(ctx, eng, ids)
	if err != nil {
		return Result{}, err
	}
	if err := wakeAll(ctx, eng, store, ids[min(wakes, n):]); err != nil {
		return Result{}, err
	}
	return Result{
		N: n, Unit: "bytes/execution", Value: round(max(grown, 0)/float64(n), 1),
		Detail: map[string]any{
			"asleep_ms": milliseconds(took), "wake_p50_ms": milliseconds(median(wake)), "p99": milliseconds(wake[(len(wake)-1)*99/100]),
		},
	}, nil
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

// heap is what lives on the heap.
func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
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
