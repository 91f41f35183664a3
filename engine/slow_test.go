// Batches that take the database longer than a transaction may last.

package engine

import (
	"context"
	"fmt"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// farAway is a store each turn of which takes a while, and that calls a commit off which takes too long.
type farAway struct {
	backend.Store
	each time.Duration
	lost bool // it has landed all the same
	off  atomic.Int64
}

func (s *farAway) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	const limit = 30 * time.Second
	took := s.each * time.Duration(len(b.Turns)+len(b.Create))
	time.Sleep(min(took, limit))
	if took <= limit {
		return s.Store.Commit(ctx, b)
	}
	s.off.Add(1)
	if s.lost {
		if _, err := s.Store.Commit(ctx, b); err != nil {
			return backend.Reply{}, err
		}
	}
	return backend.Reply{}, fmt.Errorf("%w: it took longer than %v", backend.ErrTransient, limit)
}

// A batch that takes too long is never written by trying it again and again: it is written in parts.
func TestABatchThatTakesTooLongLandsInParts(t *testing.T) {
	t.Parallel()
	for _, lost := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			store := &farAway{Store: w.store, each: time.Second, lost: lost}
			e, stop := w.engineOn(store, Options{SessionLife: time.Hour, ReleaseAfter: time.Hour})
			first := e.current().session
			w.deploy(e, "def main(n):\n    return activity(\"add\")(wait_signal(\"go\"), n)\n")
			jobs := make([]Job, 100)
			for i := range jobs {
				jobs[i].Input = Input{Args: []any{i}}
			}
			var ids []string
			for from := 0; from < len(jobs); from += 20 {
				some, err := e.DispatchAll(t.Context(), "test", jobs[from:from+20])
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, some...)
				time.Sleep(time.Minute)
			}
			for _, id := range ids {
				if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
					t.Fatal(err)
				}
			}
			for i, id := range ids {
				want(t, w.finish(e, id), strconv.Itoa(i+1))
			}
			if store.off.Load() == 0 {
				t.Error("no commit took too long")
			}
			sameSession(t, e, first)
			stop()
			w.check()
		})
	}
}
