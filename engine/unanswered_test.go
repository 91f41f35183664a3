// Tests of who asks a database from which no answer comes at all.

package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// silentStore is a store from which nothing comes while on: a question lasts as long as its context.
type silentStore struct {
	backend.Store
	on *atomic.Bool
}

func (s silentStore) Execution(ctx context.Context, id string) (backend.Execution, error) {
	if s.on.Load() {
		<-ctx.Done()
		return backend.Execution{}, fmt.Errorf("%w: %w", backend.ErrTransient, ctx.Err())
	}
	return s.Store.Execution(ctx, id)
}

// Who waits with a deadline has his answer by then, or soon, whatever the database does: it says how the execution stands,
// or why it cannot be said.
func TestAWaitEndsWithItsContext(t *testing.T) {
	t.Parallel()
	for _, held := range []bool{true, false} {
		for _, mute := range []bool{true, false} {
			t.Run(fmt.Sprintf("held %v mute %v", held, mute), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					store := silentStore{w.store, new(atomic.Bool)}
					e, stop := w.engineOn(store, Options{})
					w.deploy(e, "def main():\n    return wait_signal(\"go\")\n")
					id := w.dispatch(e, Input{}, DispatchOptions{})
					asked := e
					if !held {
						var err error
						if asked, err = New(store, nil, Options{}); err != nil {
							t.Fatal(err)
						}
					}
					store.on.Store(mute)
					ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
					defer cancel()
					begun := time.Now()
					x, err := asked.Wait(ctx, id)
					if !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) > 5*time.Second {
						t.Errorf("after %v: %v", time.Since(begun), err)
					}
					if got := errors.Is(err, backend.ErrTransient); got != mute {
						t.Errorf("the error is %v", err)
					}
					if !mute && x.State != backend.Running {
						t.Errorf("the execution is %q", x.State)
					}
					store.on.Store(false)
					if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
						t.Fatal(err)
					}
					want(t, w.finish(e, id), "1")
					stop()
					w.check()
				})
			})
		}
	}
}

// muteBeats is a store whose heartbeats are not answered while on.
type muteBeats struct {
	backend.Store
	on *atomic.Bool
}

func (s muteBeats) Beat(ctx context.Context, id backend.SessionID, info []byte) (backend.Beaten, error) {
	if s.on.Load() {
		<-ctx.Done()
		return backend.Beaten{}, fmt.Errorf("%w: %w", backend.ErrTransient, ctx.Err())
	}
	return s.Store.Beat(ctx, id, info)
}

// A heartbeat that is never answered is given up, said, and sent again.
func TestAHeartbeatIsNotWaitedForForEver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := muteBeats{w.store, new(atomic.Bool)}
		e, stop := w.engineOn(store, Options{})
		w.deploy(e, "def main():\n    return activity(\"add\")(1, 2)\n")
		first := e.current().session
		store.on.Store(true)
		time.Sleep(20 * time.Second)
		if err := e.Health().Fault; err == nil || !strings.Contains(err.Error(), "heartbeat has had no answer for 10s") {
			t.Errorf("the fault is %v", err)
		}
		store.on.Store(false)
		time.Sleep(20 * time.Second)
		if h := e.Health(); h.Fault != nil || h.Beat > 10*time.Second {
			t.Errorf("later it stands thus: %+v", h)
		}
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), "3")
		sameSession(t, e, first)
		stop()
		w.check()
	})
}

// lateBeats is a store that keeps heartbeats waiting until free is closed.
type lateBeats struct {
	backend.Store
	free chan struct{}
}

func (s lateBeats) Beat(ctx context.Context, id backend.SessionID, info []byte) (backend.Beaten, error) {
	select {
	case <-s.free:
	case <-ctx.Done():
		return backend.Beaten{}, fmt.Errorf("%w: %w", backend.ErrTransient, ctx.Err())
	}
	return s.Store.Beat(ctx, id, info)
}

// The database is heard when its answer comes, however long ago it was asked.
func TestALateAnswerToAHeartbeatIsNews(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := lateBeats{w.store, make(chan struct{})}
		e, stop := w.engineOn(store, Options{})
		time.Sleep(23 * time.Second) // the first heartbeat was given up; the second was sent nine seconds ago
		if h := e.Health(); h.Beat < 23*time.Second {
			t.Errorf("before the answer it stands thus: %+v", h)
		}
		close(store.free)
		synctest.Wait()
		if h := e.Health(); h.Fault != nil || h.Beat != 0 {
			t.Errorf("after the answer it stands thus: %+v", h)
		}
		stop()
		w.check()
	})
}
