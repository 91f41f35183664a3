// The workloads that count steps: sequential, throughput, fanout, latency.

package bench

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// sequential: one execution whose steps follow each other.
func sequential(ctx context.Context, c Config) (_ Result, err error) {
	n := or(c.Steps, 1000)
	l, err := newLab(ctx, c)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	l.work(ctx)
	if err := l.ready(ctx); err != nil {
		return Result{}, err
	}
	took, err := repeat(ctx, func(ctx context.Context) (time.Duration, error) {
		begun := time.Now()
		if _, err := l.dispatch(ctx, "sequential", n, true); err != nil {
			return 0, err
		}
		end, err := l.await(ctx, 1)
		return end.Sub(begun), err
	})
	if err != nil {
		return Result{}, err
	}
	return Result{
		N: n, Unit: "ms/step", Value: round(milliseconds(median(took))/float64(n), 4),
		Detail: map[string]any{"rounds_ms": inMilliseconds(took)},
	}, nil
}

// stepsEach is how many steps each execution of throughput has.
const stepsEach = 5

// throughput: many executions that wait when the worker starts. The clock runs from the start of
// the worker until the last one's end is durable. The database stays open between the rounds: like the raw driver that it
// is compared with, it has its connections and statements when the clock starts.
func throughput(ctx context.Context, c Config) (_ Result, err error) {
	n := or(c.Executions, 1000)
	reg, err := doNothing()
	if err != nil {
		return Result{}, err
	}
	store, err := c.Open(ctx)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	var dispatching []time.Duration
	took, err := repeat(ctx, func(ctx context.Context) (_ time.Duration, err error) {
		l, err := newLabOn(ctx, store, reg)
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, l.halt()) }()
		begun := time.Now()
		group, gctx := errgroup.WithContext(ctx)
		group.SetLimit(16)
		for range n {
			group.Go(func() error {
				_, err := l.dispatch(gctx, "sequential", stepsEach, false)
				return err
			})
		}
		if err := group.Wait(); err != nil {
			return 0, err
		}
		dispatching = append(dispatching, time.Since(begun))
		runtime.GC() // of the dispatching; the memory stays the process's, as it does in a worker that has been at work
		begun = time.Now()
		l.work(ctx)
		end, err := l.await(ctx, n)
		return end.Sub(begun), err
	})
	if err != nil {
		return Result{}, err
	}
	slices.Sort(dispatching)
	detail := map[string]any{
		"steps_each": stepsEach, "rounds_ms": inMilliseconds(took), "max_concurrency": concurrency,
		"dispatch_ms": milliseconds(median(dispatching)), "clock": "from the start of the worker to the last end",
	}
	if c.Counters != nil {
		counted, err := count(ctx, c, n)
		if err != nil {
			return Result{}, err
		}
		detail["commits_per_step"] = round(float64(counted.Commits)/float64(n*stepsEach), 4)
		detail["dead_rows_per_execution"] = round(float64(counted.Dead)/float64(n), 2)
	}
	return Result{N: n, Unit: "steps/s", Value: round(float64(n*stepsEach)/median(took).Seconds(), 1), Detail: detail}, nil
}

// count is what the server counts while a worker runs n executions that wait, from
// its connecting to its disconnecting: only then are counts sure to be complete.
func count(ctx context.Context, c Config, n int) (Counters, error) {
	jobs := make([]engine.Job, n)
	l, err := newLab(ctx, c)
	if err != nil {
		return Counters{}, err
	}
	for i := range jobs {
		jobs[i] = engine.Job{Input: engine.Input{Args: []any{stepsEach}}, Options: engine.DispatchOptions{
			Digest: l.program.Digest, Function: "sequential", Queue: queue(),
		}}
	}
	_, err = l.engine.DispatchAll(ctx, "bench", jobs)
	if err := errors.Join(err, l.close()); err != nil {
		return Counters{}, err
	}
	before, err := c.Counters(ctx)
	if err != nil {
		return Counters{}, err
	}
	if l, err = newLab(ctx, c); err != nil {
		return Counters{}, err
	}
	l.work(ctx)
	_, err = l.await(ctx, n)
	if err := errors.Join(err, l.close()); err != nil {
		return Counters{}, err
	}
	after, err := c.Counters(ctx)
	return Counters{after.Commits - before.Commits, after.Dead - before.Dead}, err
}

// fanout: one execution with many activities at once.
func fanout(ctx context.Context, c Config) (_ Result, err error) {
	n := or(c.Activities, 10_000)
	settle()
	resetPeak()
	l, err := newLab(ctx, c)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	l.work(ctx)
	if err := l.ready(ctx); err != nil {
		return Result{}, err
	}
	took, err := repeat(ctx, func(ctx context.Context) (time.Duration, error) {
		begun := time.Now()
		if _, err := l.dispatch(ctx, "fanout", n, true); err != nil {
			return 0, err
		}
		end, err := l.await(ctx, 1)
		return end.Sub(begun), err
	})
	if err != nil {
		return Result{}, err
	}
	detail := map[string]any{"rounds_ms": inMilliseconds(took), "max_concurrency": concurrency}
	if peak, ok := residentPeak(); ok {
		detail["resident_mb"] = round(peak/(1<<20), 1)
	}
	return Result{N: n, Unit: "activities/s", Value: round(float64(n)/median(took).Seconds(), 1), Detail: detail}, nil
}

// latency: from the start to the result of executions with one step, one after the other.
func latency(ctx context.Context, c Config) (_ Result, err error) {
	n := or(c.Samples, 300)
	l, err := newLab(ctx, c)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	l.work(ctx)
	if err := l.ready(ctx); err != nil {
		return Result{}, err
	}
	settle()
	var took []time.Duration
	for begun := time.Now(); len(took) < n && (len(took) < 20 || time.Since(begun) < patience); {
		start := time.Now()
		id, err := l.dispatch(ctx, "sequential", 1, true)
		if err != nil {
			return Result{}, err
		}
		x, err := l.engine.Wait(ctx, id)
		if err != nil {
			return Result{}, err
		}
		took = append(took, time.Since(start))
		if x.State != backend.Completed {
			return Result{}, errors.New("an execution ended " + string(x.State))
		}
	}
	slices.Sort(took)
	return Result{
		N: len(took), Unit: "ms", Value: milliseconds(median(took)),
		Detail: map[string]any{"p99": milliseconds(took[(len(took)-1)*99/100]), "max": milliseconds(took[len(took)-1])},
	}, nil
}
