// An Env: a world in a test, which it fails.

package enginetest

import (
	"context"
	"encoding/json"
	"testing"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/engine"
)

// Env is a [World] in a test: what cannot be done ends the test. At its end the world
// is checked. Its methods are for the test's own goroutine.
type Env struct {
	t     *testing.T
	world *World
}

// New begins a world for a test, and closes it at the test's end.
func New(t *testing.T, o Options) *Env {
	t.Helper()
	w, err := NewWorld(t, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	})
	return &Env{t: t, world: w}
}

// World is the world, for what this type does not offer.
func (e *Env) World() *World { return e.world }

// Mock is [World.Mock].
func (e *Env) Mock(name string, with any) {
	e.t.Helper()
	if err := e.world.Mock(name, with); err != nil {
		e.t.Fatal(err)
	}
}

// Calls is [World.Calls].
func (e *Env) Calls(name string) []Call { return e.world.Calls(name) }

// Start is [World.Start].
func (e *Env) Start(entry string, in engine.Input, opts ...engine.DispatchOptions) *Run {
	e.t.Helper()
	id, err := e.world.Start(entry, in, opts...)
	if err != nil {
		e.t.Fatalf("start %s: %v", entry, err)
	}
	return &Run{env: e, id: id}
}

// Run is the execution of an id, such as that of a child.
func (e *Env) Run(id string) *Run { return &Run{env: e, id: id} }

// Advance is [World.Advance].
func (e *Env) Advance(d time.Duration) { e.world.Advance(d) }

// Now is [World.Now].
func (e *Env) Now() time.Time { return e.world.Now() }

// Crash is [World.Crash].
func (e *Env) Crash() {
	e.t.Helper()
	if err := e.world.Crash(); err != nil {
		e.t.Fatal(err)
	}
}

// CrashAt is [World.CrashAt].
func (e *Env) CrashAt(n int, landed bool) { e.world.CrashAt(n, landed) }

// Do is [World.Do]; an error ends the test.
func (e *Env) Do(f func(context.Context, *engine.Engine) error) {
	e.t.Helper()
	if err := e.world.Do(f); err != nil {
		e.t.Fatal(err)
	}
}

// Run is an execution in an [Env].
type Run struct {
	env *Env
	id  string
}

// ID is the execution's id.
func (r *Run) ID() string { return r.id }

// Execution is the execution as it stands.
func (r *Run) Execution() engine.Execution {
	r.env.t.Helper()
	x, err := r.env.world.Execution(r.id)
	if err != nil {
		r.env.t.Fatal(err)
	}
	return x
}

// Wait lets time pass until the execution has ended, however it ends.
func (r *Run) Wait() engine.Execution {
	r.env.t.Helper()
	x, err := r.env.world.Wait(r.id)
	if err != nil {
		r.env.t.Fatal(err)
	}
	return x
}

// Result lets time pass until the execution has completed, and returns its result as plain JSON.
func (r *Run) Result() json.RawMessage {
	r.env.t.Helper()
	x := r.Wait()
	if x.Failure != nil {
		r.env.t.Fatalf("execution %s is %s: %v\n%s", r.id, x.State, x.Failure, x.Failure.Traceback)
	}
	return x.Result
}

// Failure lets time pass until the execution has failed, was cancelled or timed out, and returns why.
func (r *Run) Failure() *activities.Failure {
	r.env.t.Helper()
	x := r.Wait()
	if x.Failure == nil {
		r.env.t.Fatalf("execution %s has not failed, its result is %s", r.id, x.Result)
	}
	return x.Failure
}

// Signal sends a signal. The payload is encoded as JSON.
func (r *Run) Signal(name string, payload any) {
	r.env.t.Helper()
	raw, err := json.Marshal(payload)
	if err == nil {
		err = r.env.world.Signal(r.id, name, raw)
	}
	if err != nil {
		r.env.t.Fatalf("signal %s: %v", name, err)
	}
}

// Cancel asks the execution to cancel itself.
func (r *Run) Cancel(reason string) {
	r.env.t.Helper()
	r.env.Do(func(ctx context.Context, e *engine.Engine) error { return e.Cancel(ctx, r.id, reason) })
}

// Logs are the messages that the execution printed.
func (r *Run) Logs() []string {
	r.env.t.Helper()
	lines, err := r.env.world.Logs(r.id)
	if err != nil {
		r.env.t.Fatal(err)
	}
	var messages []string
	for _, l := range lines {
		messages = append(messages, l.Message)
	}
	return messages
}

// History is the journal of the execution's latest run.
func (r *Run) History() engine.History {
	r.env.t.Helper()
	h, err := r.env.world.History(r.id)
	if err != nil {
		r.env.t.Fatal(err)
	}
	return h
}

// ResultAs is [Run.Result], decoded.
func ResultAs[T any](r *Run) T {
	r.env.t.Helper()
	var v T
	if raw := r.Result(); json.Unmarshal(raw, &v) != nil {
		r.env.t.Fatalf("result %s of execution %s is no %T", raw, r.id, v)
	}
	return v
}
