package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

const throng = `
def main(kind, n = 0):
    if kind == "elsewhere":
        return activity("else" + "where")()
    if kind == "limited":
        return activity("limi" + "ted")()
    fs = [activity("nap").start(1000) for i in range(n)]
    return len([f.result() for f in fs])
`

// lossy is a store that loses the reply of a claim of tasks.
type lossy struct {
	backend.Store
	lose atomic.Bool
}

func (c *lossy) ClaimTasks(ctx context.Context, r backend.TaskRequest) (backend.ClaimedTasks, error) {
	k, err := c.Store.ClaimTasks(ctx, r)
	if len(k.Tasks) > 0 && c.lose.Swap(false) {
		return backend.ClaimedTasks{}, errors.New("connection reset")
	}
	return k, err
}

// A worker with more to begin than it has slots begins the tasks of limited steps in turn, however many stand before them that it
// cannot run, and though the reply of their claim was lost.
func TestTasksOfABusyWorkerHaveTheirTurn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		elsewhere int
		lose      bool
	}{{0, false}, {70, false}, {0, true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var begun time.Time
			w.register("limited", func() error { begun = time.Now(); return nil }, activities.Options{MaxConcurrent: 5})
			store := &lossy{Store: w.store}
			e, stop := w.engineOn(store, Options{MaxConcurrency: 2})
			w.deploy(e, throng)
			for range c.elsewhere {
				w.dispatch(e, Input{Args: []any{"elsewhere"}}, DispatchOptions{})
			}
			time.Sleep(10 * time.Second)
			for range 4 {
				w.dispatch(e, Input{Args: []any{"nap", 100}}, DispatchOptions{})
			}
			time.Sleep(10 * time.Second)
			store.lose.Store(c.lose)
			asked := time.Now()
			want(t, w.finish(e, w.dispatch(e, Input{Args: []any{"limited"}}, DispatchOptions{})), "null")
			if late := begun.Sub(asked); late > 5*time.Second {
				t.Errorf("%d elsewhere, lost %v: it began after %v", c.elsewhere, c.lose, late)
			}
			e.Kill()
			stop()
			w.check()
		})
	}
}

// Of a backlog of fan-outs a worker does not hold more and more, so that some end before others begin.
func TestABacklogOfFanOutsIsNotHeldWhole(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{MaxConcurrency: 4, Notifier: &wire{}})
		w.deploy(e, throng)
		jobs := make([]Job, 300)
		for i := range jobs {
			jobs[i].Input = Input{Args: []any{"nap", 20}}
		}
		if _, err := e.DispatchAll(t.Context(), "test", jobs); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Second) // 2,000 of 6,000 steps
		if n := e.Held(); n > maxInLine+8 {
			t.Errorf("%d are held", n)
		}
		list, err := e.List(t.Context(), backend.Filter{States: []backend.State{backend.Completed}})
		if err != nil || len(list) < 50 {
			t.Errorf("%d have ended, %v", len(list), err)
		}
		e.Kill()
		stop()
		w.check()
	})
}

// What is due in a moment is noted though very much is due later.
func TestManyPointsFarAwayMakeNobodyLate(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{Notifier: &wire{}})
		defer stop()
		w.deploy(e, "def main():\n    return 1\n")
		for i := range maxDues + 1 {
			e.current().expect(time.Now().Add(24*time.Hour + time.Duration(i)*time.Microsecond))
		}
		for i := range 4 {
			time.Sleep(time.Duration(i)*time.Second + 100*time.Millisecond)
			begun := time.Now()
			want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{Delay: 2 * time.Second})), "1")
			if took := time.Since(begun); took > 2100*time.Millisecond {
				t.Errorf("a delay of two seconds took %v", took)
			}
		}
		stop()
		w.check()
	})
}
