// Tests of what an execution, or a client, asks a database that does not answer for a while.

package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// mute is a store that answers no question about deployments, code and journals while on.
type mute struct {
	backend.Store
	on *atomic.Bool
}

func (m mute) Deployments(ctx context.Context, workflow string) ([]backend.Deployment, error) {
	if m.on.Load() {
		return nil, fmt.Errorf("%w: as asked", backend.ErrTransient)
	}
	return m.Store.Deployments(ctx, workflow)
}

func (m mute) Program(ctx context.Context, digest string) (backend.Program, error) {
	if m.on.Load() {
		return backend.Program{}, fmt.Errorf("%w: as asked", backend.ErrTransient)
	}
	return m.Store.Program(ctx, digest)
}

func (m mute) Journal(ctx context.Context, run backend.RunKey, from int64, each func(backend.Row) error) error {
	if m.on.Load() {
		return fmt.Errorf("%w: as asked", backend.ErrTransient)
	}
	return m.Store.Journal(ctx, run, from, each)
}

// That the database does not answer at the moment says nothing about which code there is: no child fails for it, and the next
// run takes the newest.
func TestCodeThatTheDatabaseDoesNotTellOfIsWaitedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := mute{w.store, new(atomic.Bool)}
		e, stop := w.engineOn(store, Options{})
		deploy := func(script string) {
			if _, err := e.Deploy(t.Context(), fstest.MapFS{"child.star": {Data: []byte("def main(): return 7\n")}}, "child.star"); err != nil {
				t.Fatal(err)
			}
			w.deploy(e, script)
		}
		deploy(`
def main(n = 0):
    sleep("2s")
    continue_as_new(workflow("child")())
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(time.Second)
		store.on.Store(true)
		time.Sleep(time.Minute)
		if x, err := e.State(t.Context(), id); err != nil || x.State != backend.Running {
			t.Errorf("%s %v", x.State, err)
		}
		if e.Health().Fault == nil {
			t.Error("no fault is told")
		}
		deploy(`
def main(n = 0):
    sleep("2s")
    return ["new", n]
`)
		store.on.Store(false)
		want(t, w.finish(e, id), `["new",7]`)
		stop()
		w.check()
	})
}

// An execution that is to move to other code moves although the database does not answer at first.
func TestUpgradeOutlivesADatabaseThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := mute{w.store, new(atomic.Bool)}
		e, stop := w.engineOn(store, Options{ReleaseAfter: time.Hour})
		w.deploy(e, "def main():\n    wait_signal(\"go\")\n    return \"old\"\n")
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(time.Second)
		w.deploy(e, "def main():\n    wait_signal(\"go\")\n    return \"new\"\n")
		d, err := w.store.Deployments(t.Context(), "test")
		if err != nil {
			t.Fatal(err)
		}
		other, err := New(w.store, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		store.on.Store(true)
		time.AfterFunc(5*time.Second, func() { store.on.Store(false) })
		if v, err := other.Upgrade(t.Context(), id, d[0].Digest); err != nil || !v.Moved {
			t.Errorf("%+v %v", v, err)
		}
		if err := e.Signal(t.Context(), id, "go", nil); err != nil && !errors.Is(err, backend.ErrClosed) {
			t.Fatal(err)
		}
		want(t, w.finish(e, id), `"new"`)
		stop()
		w.check()
	})
}

// A client's dispatch says at once why the code cannot be read, also when its context never ends.
func TestDispatchOfCodeThatCannotBeRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		deployed, err := e.Deploy(t.Context(), fstest.MapFS{"test.star": {Data: []byte("def main():\n    return 1\n")}}, "test.star")
		if err != nil {
			t.Fatal(err)
		}
		stop()
		store := mute{w.store, new(atomic.Bool)}
		store.on.Store(true)
		client, err := New(store, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun := time.Now()
		if _, err := client.Dispatch(ctx, "test", Input{}, DispatchOptions{Digest: deployed[0].Digest}); !errors.Is(err, backend.ErrTransient) || time.Since(begun) > time.Minute {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		w.check()
	})
}

// forgetful is a store that tells of journals, but of nothing else that an execution is taken up with while on.
type forgetful struct {
	backend.Store
	on *atomic.Bool
}

func (f forgetful) fault() error {
	if f.on.Load() {
		return fmt.Errorf("%w: as asked", backend.ErrTransient)
	}
	return nil
}

func (f forgetful) Execution(ctx context.Context, id string) (backend.Execution, error) {
	if err := f.fault(); err != nil {
		return backend.Execution{}, err
	}
	return f.Store.Execution(ctx, id)
}

func (f forgetful) Inbox(ctx context.Context, id string) ([]backend.Message, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.Store.Inbox(ctx, id)
}

func (f forgetful) Logs(ctx context.Context, run backend.RunKey, from int64, limit int) ([]backend.LogLine, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.Store.Logs(ctx, run, from, limit)
}

// An execution that is taken up while the database does not answer is not stuck for it: it goes on when it does.
func TestWhatIsTakenUpWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	const kid = `
def kid():
    return activity("well")()
def main():
    return workflow(kid, id = "kid")()
`
	for name, k := range map[string]struct {
		script, want string
		before       func(t *testing.T, w *world, e *Engine)
	}{
		"a child that is begun again": {kid, "7", func(_ *testing.T, w *world, e *Engine) { w.finish(e, "x") }},
		"code that was replaced": {"def main():\n    print(\"a\")\n    sleep(\"1m\")\n    return 1\n", "2", func(t *testing.T, w *world, e *Engine) {
			w.deploy(e, "def main():\n    print(\"a\")\n    sleep(\"1m\")\n    return 2\n")
			d, err := w.store.Deployments(t.Context(), "test")
			if err != nil {
				t.Fatal(err)
			}
			if v, err := e.Upgrade(t.Context(), "x", d[0].Digest); err != nil || !v.Moved {
				t.Fatalf("%+v %v", v, err)
			}
		}},
		"a run that has only begun": {"def main(n = 0):\n    print(n)\n    if time.now().second >= 30:\n        return 3\n    continue_as_new(n + 1)\n", "3", func(*testing.T, *world, *Engine) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				well := new(atomic.Bool)
				w.register("well", func() (int, error) {
					if !well.Load() {
						return 0, activities.Fail("Ill", "as asked")
					}
					return 7, nil
				}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
				e, stop := w.engineOn(&slowCommits{Store: w.store}, Options{})
				w.deploy(e, k.script)
				w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
				time.Sleep(100 * time.Millisecond)
				k.before(t, w, e)
				stop()
				well.Store(true)
				if x, err := w.store.Execution(t.Context(), "x"); err != nil || x.State.Terminal() {
					if err := e.Retry(t.Context(), "x", RerunOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				store := forgetful{&slowCommits{Store: w.store}, new(atomic.Bool)}
				store.on.Store(true)
				e, stop = w.engineOn(store, Options{})
				time.Sleep(90 * time.Second)
				if x, err := w.store.Execution(t.Context(), "x"); err != nil || x.Stuck != nil {
					t.Errorf("%+v %v", x.Stuck, err)
				}
				store.on.Store(false)
				want(t, w.finish(e, "x"), k.want)
				stop()
				w.check()
			})
		})
	}
}
