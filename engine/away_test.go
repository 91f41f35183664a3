// Tests of reads that a database does not answer for a while.

package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// awayStore is a store that does not say what is deployed while away is set.
type awayStore struct {
	backend.Store
	away atomic.Bool
}

func (s *awayStore) Program(ctx context.Context, digest string) (backend.Program, error) {
	if s.away.Load() {
		return backend.Program{}, backend.ErrTransient
	}
	return s.Store.Program(ctx, digest)
}

func (s *awayStore) Deployments(ctx context.Context, workflow string) ([]backend.Deployment, error) {
	if s.away.Load() {
		return nil, backend.ErrTransient
	}
	return s.Store.Deployments(ctx, workflow)
}

// A child whose workflow is looked up while the database is away begins when it is back: its parent is told of no failure.
func TestChildIsNamedWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &awayStore{Store: w.store}
		e, stop := w.engineOn(store, Options{})
		if _, err := e.Deploy(t.Context(), fstest.MapFS{"kid.star": {Data: []byte("def main(n):\n    return n + 1\n")}}, "kid.star"); err != nil {
			t.Fatal(err)
		}
		w.deploy(e, "def main():\n    sleep(\"1m\")\n    return workflow(\"kid\")(1)\n")
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(30 * time.Second)
		store.away.Store(true)
		time.Sleep(time.Minute)
		store.away.Store(false)
		want(t, w.finish(e, id), "2")
		stop()
		w.check()
	})
}

// A run that follows while the database is away takes the newest code all the same.
func TestContinuedWhileTheDatabaseIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &awayStore{Store: w.store}
		e, stop := w.engineOn(store, Options{})
		w.deploy(e, "def main(n):\n    if n:\n        return \"old\"\n    sleep(\"1m\")\n    continue_as_new(1)\n")
		id := w.dispatch(e, Input{Args: []any{0}}, DispatchOptions{})
		time.Sleep(30 * time.Second)
		w.deploy(e, "def main(n):\n    return \"new\"\n")
		time.Sleep(10 * time.Second)
		store.away.Store(true)
		time.Sleep(time.Minute)
		store.away.Store(false)
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
		store := &awayStore{Store: w.store}
		store.away.Store(true)
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
