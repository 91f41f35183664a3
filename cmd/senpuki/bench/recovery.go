// The workload recovery: an execution is resumed after its process was killed.

package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/engine"
)

// The modes of a child process, as its bench command is told them.
const (
	ChildRun    = "run"    // run the steps, say so, and wait to be killed
	ChildResume = "resume" // start an engine and say when the execution is live
)

// childLife is more than a child ever needs.
const childLife = time.Minute

// buildPatience is how long the steps may take before the process is killed where it stands.
const buildPatience = 15 * time.Second

// revived is what the resuming process says.
type revived struct {
	Steps   int     `json:"steps"` // that the journal held
	Ms      float64 `json:"ms"`    // from the start of the engine until the next attempt began
	ReadyMs float64 `json:"ready_ms"`
}

func recovery(ctx context.Context, c Config) (Result, error) {
	n := or(c.Activities, 10_000)
	id, built, err := killed(ctx, c, n)
	if err != nil {
		return Result{}, err
	}
	out, err := c.Child(ctx, ChildResume, id).Output()
	if err != nil {
		return Result{}, fmt.Errorf("resume in a fresh process: %w", childError(err))
	}
	var r revived
	if err := json.Unmarshal(out, &r); err != nil {
		return Result{}, fmt.Errorf("resume in a fresh process: %w", err)
	}
	return Result{N: r.Steps, Unit: "ms", Value: r.Ms, Detail: map[string]any{
		"session_ms": r.ReadyMs, "built_ms": milliseconds(built),
		"clock": "from the start of the engine to the next attempt, the dead session's revocation included",
	}}, nil
}

// killed runs an execution of n steps in a process and kills it at the end.
func killed(ctx context.Context, c Config, n int) (id string, built time.Duration, err error) {
	ctx, cancel := context.WithTimeout(ctx, childLife)
	defer cancel()
	cmd := c.Child(ctx, ChildRun, fmt.Sprint(n))
	var complaints strings.Builder
	cmd.Stderr = &complaints
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", 0, err
	}
	begun := time.Now()
	if err := cmd.Start(); err != nil {
		return "", 0, err
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for s := bufio.NewScanner(stdout); s.Scan(); {
			lines <- s.Text()
		}
	}()
	id, ok := <-lines
	if ok {
		limit := time.NewTimer(buildPatience)
		select {
		case _, ok = <-lines:
		case <-limit.C:
		}
		limit.Stop()
	}
	built = time.Since(begun)
	killErr := cmd.Process.Kill()
	for range lines {
		// Drained, so that the reader ends.
	}
	_ = cmd.Wait() // it was killed
	if !ok {
		return "", 0, fmt.Errorf("the process that was to be killed ended by itself: %s", strings.TrimSpace(complaints.String()))
	}
	return id, built, killErr
}

func childError(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok && len(exit.Stderr) > 0 {
		return errors.New(strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}

// Child is what a child process does: one side of recovery or of remote. It ends after a
// while, in case nobody is there any more to kill it.
func Child(ctx context.Context, mode, arg string, c Config, out io.Writer) error {
	ctx, cancel := context.WithTimeout(ctx, childLife)
	defer cancel()
	switch mode {
	case ChildRun:
		return runToTheEnd(ctx, arg, c, out)
	case ChildResume:
		return resume(ctx, arg, c, out)
	case ChildWork:
		return serve(ctx, arg, c, out)
	case ChildSleep:
		return sleepy(ctx, arg, c, out)
	}
	return fmt.Errorf("there is no child mode %q", mode)
}

// runToTheEnd prints the id, then a line when all steps are done; it never ends by itself.
func runToTheEnd(ctx context.Context, arg string, c Config, out io.Writer) error {
	var n int
	if _, err := fmt.Sscan(arg, &n); err != nil {
		return err
	}
	reg := activities.NewRegistry()
	err := errors.Join(
		reg.Register("bench.step", func(n int) (int, error) { return n, nil }),
		reg.Register("bench.last", func(ctx context.Context, n int) (int, error) {
			fmt.Fprintln(out, "done")
			<-ctx.Done()
			return n, ctx.Err()
		}),
	)
	if err != nil {
		return err
	}
	l, err := newLabWith(ctx, c, reg)
	if err != nil {
		return err
	}
	l.work(ctx)
	if err := l.ready(ctx); err != nil {
		return err
	}
	id, err := l.dispatch(ctx, "recovery", n, true)
	if err != nil {
		return err
	}
	fmt.Fprintln(out, id)
	_, err = l.await(ctx, 1)
	return errors.Join(errors.New("the execution ended"), err)
}

// resume starts an engine and waits for the first attempt that it begins.
func resume(ctx context.Context, id string, c Config, out io.Writer) (err error) {
	live := make(chan revived, 1)
	var begun time.Time
	first := func(n int) (int, error) {
		select {
		case live <- revived{Steps: n, Ms: milliseconds(time.Since(begun))}:
		default:
		}
		return n, nil
	}
	reg := activities.NewRegistry()
	at := activities.RetryPolicy{InitialDelay: -1, Jitter: -1} // the attempt that was killed is repeated at once
	if err := errors.Join(
		reg.Register("bench.step", first, activities.Options{Retry: at}),
		reg.Register("bench.last", first, activities.Options{Retry: at}),
	); err != nil {
		return err
	}
	store, err := c.Open(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, store.Close()) }()
	begun = time.Now()
	l := &lab{store: store, ends: &ends{}, done: make(chan error, 1)}
	l.engine, err = engine.New(store, reg, engine.Options{Hold: true, Queues: []string{queue()}, MaxConcurrency: concurrency, Observer: l.ends})
	if err != nil {
		return err
	}
	l.work(ctx)
	defer func() {
		l.stop()
		err = errors.Join(err, <-l.done)
	}()
	if err := l.ready(ctx); err != nil {
		return err
	}
	ready := time.Since(begun)
	if err := l.engine.Adopt(ctx, id); err != nil {
		return err
	}
	select {
	case r := <-live:
		r.ReadyMs = milliseconds(ready)
		// The execution is over when its remaining steps are.
		if _, err := l.await(ctx, 1); err != nil {
			return err
		}
		return json.NewEncoder(out).Encode(r)
	case <-ctx.Done():
		return ctx.Err()
	}
}
