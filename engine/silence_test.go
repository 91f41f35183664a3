// Tests of workers that are to stop while nothing comes from the database.

package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// hungStore is a store that answers nothing while on. What has begun to be written is given up some time after its caller has gone.
type hungStore struct {
	backend.Store
	on *atomic.Bool
}

func (s hungStore) read(ctx context.Context) error {
	if !s.on.Load() {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (s hungStore) write(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	err := s.read(ctx)
	if err != nil {
		time.Sleep(3500 * time.Millisecond)
		err = backend.ErrTransient
	}
	return err
}

func (s hungStore) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if err := s.write(ctx); err != nil {
		return backend.Reply{}, err
	}
	return s.Store.Commit(ctx, b)
}

func (s hungStore) Claim(ctx context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	if err := s.write(ctx); err != nil {
		return nil, err
	}
	return s.Store.Claim(ctx, r)
}

func (s hungStore) ClaimTasks(ctx context.Context, r backend.TaskRequest) (backend.ClaimedTasks, error) {
	if err := s.write(ctx); err != nil {
		return backend.ClaimedTasks{}, err
	}
	return s.Store.ClaimTasks(ctx, r)
}

func (s hungStore) Revoke(ctx context.Context, id backend.SessionID) error {
	if err := s.write(ctx); err != nil {
		return err
	}
	return s.Store.Revoke(ctx, id)
}

func (s hungStore) Beat(ctx context.Context, id backend.SessionID, info []byte) (backend.Beaten, error) {
	if err := s.read(ctx); err != nil {
		return backend.Beaten{}, err
	}
	return s.Store.Beat(ctx, id, info)
}

func (s hungStore) Sessions(ctx context.Context) ([]backend.Session, error) {
	if err := s.read(ctx); err != nil {
		return nil, err
	}
	return s.Store.Sessions(ctx)
}

func (s hungStore) Receive(ctx context.Context, id backend.SessionID) ([]backend.Message, error) {
	if err := s.read(ctx); err != nil {
		return nil, err
	}
	return s.Store.Receive(ctx, id)
}

func (s hungStore) List(ctx context.Context, f backend.Filter) ([]backend.Execution, error) {
	if err := s.read(ctx); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, f)
}

// inTime is what a service manager gives a worker to stop, and a little less.
const inTime = 19 * time.Second

// stopping is how long an engine takes to stop.
func stopping(e *Engine, stop func()) time.Duration {
	begun, ended := time.Now(), make(chan struct{})
	go func() { stop(); close(ended) }()
	select {
	case <-ended:
	case <-time.After(10 * time.Minute):
		e.Kill()
		<-ended
	}
	return time.Since(begun)
}

// A worker that is told to stop has stopped within twenty seconds, which is what a service manager gives it, also when
// the database does not answer.
func TestAWorkerStopsInTimeWhateverTheDatabaseDoes(t *testing.T) {
	t.Parallel()
	for after := range 20 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			store := hungStore{w.store, new(atomic.Bool)}
			e, stop := w.engineOn(store, Options{})
			w.deploy(e, "def main():\n    for i in range(100):\n        activity(\"add\")(i, 1)\n        sleep(\"1s\")\n    return 1\n")
			id := w.dispatch(e, Input{}, DispatchOptions{})
			time.Sleep(10 * time.Second)
			store.on.Store(true)
			time.Sleep(time.Duration(after) * time.Second)
			if took := stopping(e, stop); took > inTime {
				t.Errorf("after %d s: stopped after %v", after, took)
			}
			store.on.Store(false)
			e, stop = w.engine(Options{})
			want(t, w.finish(e, id), "1")
			stop()
			w.check()
		})
	}
}

// mutePeeks is a store that answers everything while on but which tasks wait.
type mutePeeks struct {
	backend.Store
	on *atomic.Bool
}

func (s mutePeeks) Tasks(ctx context.Context, f backend.TaskFilter) ([]backend.Task, error) {
	if f.Waiting && s.on.Load() {
		<-ctx.Done()
		return nil, ctx.Err()
	}
	return s.Store.Tasks(ctx, f)
}

// The same holds for one that has no free slot, and looks for what waits for one.
func TestABusyWorkerStopsInTimeWhateverTheDatabaseDoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := mutePeeks{w.store, new(atomic.Bool)}
		e, stop := w.engineOn(store, Options{MaxConcurrency: 1})
		w.deploy(e, "def main():\n    activity(\"block\")()\n")
		w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(10 * time.Second)
		store.on.Store(true)
		time.Sleep(10 * time.Second)
		if took := stopping(e, stop); took > inTime {
			t.Errorf("stopped after %v", took)
		}
		w.check()
	})
}
