// Waiting for an execution that is begun again.

package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// lateEnd is a store that tells late of the first end.
type lateEnd struct {
	backend.Store
	told atomic.Bool
}

func (s *lateEnd) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	reply, err := s.Store.Commit(ctx, b)
	if len(b.Turns) > 0 && b.Turns[0].Then == backend.Finish && !s.told.Swap(true) {
		time.Sleep(time.Second)
	}
	return reply, err
}

// Who retries an execution and then waits for it gets the end of the run that he has begun, also where the worker has not heard yet that the
// one before has ended.
func TestWaitingForARetryIsNotToldOfTheRunBefore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		fails := true
		w.register("pay", func() (int, error) {
			if fails {
				fails = false
				return 0, context.DeadlineExceeded
			}
			return 7, nil
		})
		e, stop := w.engineOn(&lateEnd{Store: w.store}, Options{})
		client, err := New(w.store, w.reg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(e, "def main():\n    return activity(\"pay\", retry = retry_policy(max_attempts = 1))()\n")
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(500 * time.Millisecond)
		if x, err := client.State(t.Context(), id); err != nil || x.State != backend.Failed {
			t.Fatalf("%s, %v", x.State, err)
		}
		if err := client.Retry(t.Context(), id, RerunOptions{}); err != nil {
			t.Fatal(err)
		}
		x, err := e.Wait(t.Context(), id)
		if err != nil || x.State != backend.Completed || x.Run != 2 {
			t.Errorf("%s in run %d, %v", x.State, x.Run, err)
		}
		want(t, w.finish(e, id), "7")
		stop()
		w.check()
	})
}
