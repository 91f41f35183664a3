// The workload wakeup: how soon another process begins what was dispatched.

package bench

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// silent is a store that carries no hints.
type silent struct{ backend.Store }

// way is how a worker learns of new work.
type way struct {
	name     string
	samples  int
	together bool // it is dispatched by the worker's own process
	notifier func() (backend.Notifier, error)
	silent   bool
}

// wakeup: an idle worker, and executions that another engine dispatches one after the
// other, over connections of its own. Measured is from the call of Dispatch to the start of the first
// attempt, in every way in which the worker can learn of it. The figure is the
// median of the way that is used when nothing else is said.
func wakeup(ctx context.Context, c Config) (Result, error) {
	n := or(c.Samples, 200)
	ways := []way{{name: "polls", samples: max(n/10, 1), silent: true}, {name: "in_process", samples: n, together: true}}
	if c.Notifier != nil {
		ways = append(ways, way{name: "notifier", samples: n, notifier: c.Notifier})
	}
	store, err := c.Open(ctx)
	if err != nil {
		return Result{}, err
	}
	if _, listens := store.(backend.Notifier); listens {
		ways = append(ways, way{name: "database", samples: n})
	}
	if err := store.Close(); err != nil {
		return Result{}, err
	}
	detail, value := make(map[string]any), 0.0
	for _, w := range ways {
		took, err := w.measure(ctx, c)
		if err != nil {
			return Result{}, err
		}
		value = milliseconds(median(took))
		detail[w.name+"_p50_ms"], detail[w.name+"_p99_ms"] = value, milliseconds(took[(len(took)-1)*99/100])
	}
	return Result{N: n, Unit: "ms", Value: value, Detail: detail}, nil
}

// engineOn is an engine on a store of its own.
func (w way) engineOn(ctx context.Context, c Config, reg *activities.Registry, o engine.Options) (*engine.Engine, backend.Store, error) {
	store, err := c.Open(ctx)
	if err != nil {
		return nil, nil, err
	}
	var seen backend.Store = store
	if w.silent {
		seen = silent{store}
	}
	if w.notifier != nil {
		if o.Notifier, err = w.notifier(); err != nil {
			return nil, nil, errors.Join(err, store.Close())
		}
	}
	eng, err := engine.New(seen, reg, o)
	if err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return eng, store, nil
}

func (w way) measure(ctx context.Context, c Config) (took []time.Duration, err error) {
	began := make(chan time.Time, 1)
	reg := activities.NewRegistry()
	if err := errors.Join(
		reg.Register("bench.step", func(n int) (int, error) { began <- time.Now(); return n, nil }),
		reg.Register("bench.last", func(n int) (int, error) { return n, nil }),
	); err != nil {
		return nil, err
	}
	worker, store, err := w.engineOn(ctx, c, reg, engine.Options{Queues: []string{queue()}})
	if err != nil {
		return nil, err
	}
	l := &lab{store: store, engine: worker, done: make(chan error, 1)}
	defer func() { err = errors.Join(err, l.close()) }()
	dispatcher := worker
	if !w.together {
		far, store, err := w.engineOn(ctx, c, reg, engine.Options{Hold: true})
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, store.Close()) }()
		dispatcher = far
	}
	if l.program, err = dispatcher.Load(ctx, workflows, "workflows.star"); err != nil {
		return nil, err
	}
	if err := dispatcher.Store(ctx, l.program); err != nil {
		return nil, err
	}
	l.work(ctx)
	if err := l.ready(ctx); err != nil {
		return nil, err
	}
	for range w.samples {
		begun := time.Now()
		id, err := dispatcher.Dispatch(ctx, "bench", engine.Input{Args: []any{1}}, engine.DispatchOptions{
			Digest: l.program.Digest, Function: "sequential", Queue: queue(),
		})
		if err != nil {
			return nil, err
		}
		select {
		case at := <-began:
			took = append(took, at.Sub(begun))
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if _, err := worker.Wait(ctx, id); err != nil { // the worker is idle again
			return nil, err
		}
	}
	slices.Sort(took)
	return took, nil
}
