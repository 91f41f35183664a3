// Programs that many executions need at once.

package engine

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// slowPrograms is a store that takes a minute to read a program, and cannot read it the first time.
type slowPrograms struct {
	backend.Store
	reads *atomic.Int64
}

func (s slowPrograms) Program(ctx context.Context, digest string) (backend.Program, error) {
	n := s.reads.Add(1)
	time.Sleep(time.Minute)
	if n == 1 {
		return backend.Program{}, fmt.Errorf("%w: try again", backend.ErrTransient)
	}
	return s.Store.Program(ctx, digest)
}

// A worker that comes to a backlog of one workflow reads its program once, and who asks meanwhile waits no longer than he wants to.
func TestAProgramIsReadOnceForAllThatNeedIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, "def main():\n    return 1\n")
		var ids []string
		stop()
		for range 50 {
			ids = append(ids, w.dispatch(e, Input{}, DispatchOptions{}))
		}
		store := slowPrograms{w.store, new(atomic.Int64)}
		e, stop = w.engineOn(store, Options{})
		defer stop()
		time.Sleep(10 * time.Second)
		x, err := w.store.Execution(t.Context(), ids[0])
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		begun := time.Now()
		if _, err := e.program(ctx, x.Digest); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > time.Second {
			t.Errorf("after %v: %v", time.Since(begun), err)
		}
		for _, id := range ids {
			want(t, w.finish(e, id), "1")
		}
		if n := store.reads.Load(); n != 2 {
			t.Errorf("%d reads", n)
		}
		stop()
		w.check()
	})
}
