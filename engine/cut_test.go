package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// programReads is a store that counts how often code is read.
type programReads struct {
	backend.Store
	n atomic.Int64
}

func (p *programReads) Program(ctx context.Context, digest string) (backend.Program, error) {
	p.n.Add(1)
	return p.Store.Program(ctx, digest)
}

// What ends an execution without its script runs nothing of it that has not run before, and still ends the children.
func TestEndRunsNothingThatNeverRan(t *testing.T) {
	t.Parallel()
	const script = `
add = activity("add")
def child():
    wait_signal("never")
def main():
    n = add(1, 2)
    if info.run == 1:
        fail("not yet")
    workflow(child, id = "child")()
`
	for name, c := range map[string]struct {
		retry *activities.RetryPolicy
		rerun bool
		live  bool // it has gone on before it is ended
	}{
		"between two attempts":          {retry: &activities.RetryPolicy{InitialDelay: time.Hour, MaxDelay: time.Hour, Jitter: -1}},
		"a rerun that has yet to go on": {rerun: true},
		"a rerun that has gone on":      {rerun: true, live: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{})
				w.deploy(e, script)
				id := w.dispatch(e, Input{}, DispatchOptions{Retry: c.retry})
				time.Sleep(time.Minute)
				stop()
				client, err := New(w.store, nil, Options{})
				if err != nil {
					t.Fatal(err)
				}
				if c.rerun {
					code, err := client.Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte(script + "# mended\n")}}, "test.star")
					if err != nil {
						t.Fatal(err)
					}
					if err := client.Retry(t.Context(), id, RerunOptions{Code: &code}); err != nil {
						t.Fatal(err)
					}
				}
				if c.live {
					_, stop := w.engine(Options{})
					time.Sleep(time.Minute)
					stop()
				}
				if err := client.End(t.Context(), id, "enough"); err != nil {
					t.Fatal(err)
				}
				store := &programReads{Store: w.store}
				e, stop = w.engineOn(store, Options{})
				if r := w.finish(e, id); r.Execution.State != backend.Cancelled || r.Failure.Message != "enough" {
					t.Errorf("%s %+v", r.Execution.State, r.Failure)
				}
				if c.live {
					if r := w.finish(e, "child"); r.Execution.State != backend.Cancelled {
						t.Errorf("the child: %s", r.Execution.State)
					}
				} else if n := store.n.Load(); n != 0 {
					t.Errorf("its code was read %d times", n)
				}
				stop()
				w.check()
			})
		})
	}
}

// The time of what is stuck runs out, too: it ends, with its children, and those who wait for it are told. Until then it may be mended.
func TestWhatIsStuckExpires(t *testing.T) {
	t.Parallel()
	const script = `
def grandchild():
    wait_signal("never")
def child():
    workflow(grandchild, id = "grandchild").start()
    sleep("1s")
    for i in range(1000000):
        pass
def main():
    r = workflow(child, id = "child", expiry = "1m").attempt()
    return r.error.kind
`
	for name, wait := range map[string]time.Duration{"never mended": 0, "mended": 70 * time.Second} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{MaxSteps: 1000})
				w.deploy(e, script)
				id := w.dispatch(e, Input{}, DispatchOptions{})
				if wait > 0 {
					time.Sleep(wait)
					stop()
					e, stop = w.engine(Options{})
				}
				defer stop()
				began := time.Now()
				w.finish(e, id)
				if wait == 0 && time.Since(began) > 2*time.Minute {
					t.Errorf("it took %v", time.Since(began))
				}
				want := map[string]backend.State{id: backend.Completed, "child": backend.TimedOut, "grandchild": backend.Cancelled}
				for id, state := range want {
					if r := w.finish(e, id); r.Execution.State != state || r.Execution.Stuck != nil {
						t.Errorf("%s is %s, %v", id, r.Execution.State, r.Execution.Stuck)
					}
				}
				w.check()
			})
		})
	}
}
