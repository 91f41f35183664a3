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

	"github.com/senpuki/senpuki/backend"
)

// mute is a store that answers no question about deployments and journals while on.
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
