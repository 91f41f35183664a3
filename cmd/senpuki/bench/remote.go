// The workload remote: steps whose attempts another process runs.

package bench

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
)

// ChildWork is the mode of a child process that serves a queue until it is killed.
const ChildWork = "work"

// pulse is how often a session beside the work beats.
const pulse = 200 * time.Millisecond

// remote: one execution with many steps at once on a queue that another process
// serves. Beside it a session beats; how late at worst is a part of the result.
func remote(ctx context.Context, c Config) (_ Result, err error) {
	n := or(c.Activities, 10_000)
	l, err := newLab(ctx, c)
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, l.close()) }()
	l.work(ctx)
	if err := l.ready(ctx); err != nil {
		return Result{}, err
	}
	far := queue() + "-far"
	stop, err := startWorker(ctx, c, far)
	if err != nil {
		return Result{}, err
	}
	defer stop()
	beat, err := startPulse(ctx, c)
	if err != nil {
		return Result{}, err
	}
	took, err := repeat(ctx, func(ctx context.Context) (time.Duration, error) {
		begun := time.Now()
		if _, err := l.engine.Dispatch(ctx, "bench", engine.Input{Args: []any{n, far}}, engine.DispatchOptions{
			Digest: l.program.Digest, Function: "remote", Queue: queue(), Here: false,
		}); err != nil {
			return 0, err
		}
		end, err := l.await(ctx, 1)
		return end.Sub(begun), err
	})
	late, beatErr := beat()
	if err := errors.Join(err, beatErr); err != nil {
		return Result{}, err
	}
	return Result{
		N: n, Unit: "steps/s", Value: round(float64(n)/median(took).Seconds(), 1),
		Detail: map[string]any{"rounds_ms": inMilliseconds(took), "heartbeat_late_ms": milliseconds(late)},
	}, nil
}

// startWorker begins a process that serves a queue.
func startWorker(ctx context.Context, c Config, queue string) (stop func(), err error) {
	cmd := c.Child(ctx, ChildWork, queue)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	stop = func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // it was killed
	}
	if s := bufio.NewScanner(stdout); !s.Scan() {
		stop()
		return nil, errors.New("the process that was to work ended by itself")
	}
	return stop, nil
}

// serve is what that process does.
func serve(ctx context.Context, queue string, c Config, out io.Writer) error {
	reg, err := doNothing()
	if err != nil {
		return err
	}
	return serveWith(ctx, c, reg, engine.Options{Queues: []string{queue}, MaxConcurrency: concurrency}, out)
}

// serveWith runs a worker until its process is killed, and says when it is ready.
func serveWith(ctx context.Context, c Config, reg *activities.Registry, o engine.Options, out io.Writer) (err error) {
	store, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	eng, err := engine.New(store, reg, o)
	if err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- eng.Run(ctx) }()
	select {
	case <-eng.Ready():
		fmt.Fprintln(out, "ready")
	case err := <-done:
		return err
	}
	return <-done
}

// startPulse beats a session of its own until the returned function is called, which says how late a beat was at worst.
func startPulse(ctx context.Context, c Config) (stop func() (time.Duration, error), err error) {
	store, err := c.Open(ctx)
	if err != nil {
		return nil, err
	}
	id, _, err := store.Open(ctx, backend.Session{Host: "bench"})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	type outcome struct {
		late time.Duration
		err  error
	}
	done := make(chan outcome, 1)
	go func() {
		var o outcome
		for next := time.Now().Add(pulse); ; next = next.Add(pulse) {
			select {
			case <-time.After(time.Until(next)):
			case <-ctx.Done():
				done <- o
				return
			}
			if _, err := store.Beat(context.WithoutCancel(ctx), id, nil); err != nil {
				o.err = err
			}
			o.late = max(o.late, time.Since(next))
		}
	}()
	return func() (time.Duration, error) {
		cancel()
		o := <-done
		revoked := store.Revoke(context.WithoutCancel(ctx), id)
		return o.late, errors.Join(o.err, revoked, store.Close())
	}, nil
}
