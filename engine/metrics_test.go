package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

func TestMetrics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		m := &Metrics{}
		e, stop := w.engine(Options{Metrics: m, Queues: []string{"default", "slow"}, ReleaseAfter: 30 * time.Second})
		w.deploy(e, `
add = activity("add")
boom = activity("boom", retry=retry_policy(max_attempts=2))
block = activity("block", timeout="1s", retry=retry_policy(max_attempts=1))
limited = activity("add", max_concurrent=1)

def main():
    add(1, 2)
    attempt(boom, "Boom")
    attempt(block)
    limited(1, 2)
    sleep("5m")
    add(3, 4)
    return error("Lost")
`)
		r := w.finish(e, w.dispatch(e, Input{}, DispatchOptions{}))
		if r.Failure == nil || r.Failure.Kind != "Lost" {
			t.Fatalf("failure %v", r.Failure)
		}
		stop()
		w.check()
		is := func(what string, c *Counter, want int64) {
			t.Helper()
			if c.Value() != want {
				t.Errorf("%s: %d, want %d", what, c.Value(), want)
			}
		}
		all := m.Activities()
		is("adds", &all["add"].Outcomes[AttemptDone], 3)
		is("failed", &all["boom"].Outcomes[AttemptFailure], 2)
		is("timed out", &all["block"].Outcomes[AttemptTimedOut], 1)
		is("claims", &m.Claimed, 2)
		is("tasks", &m.ClaimedTasks, 1)
		is("released", &m.Released, 1)
		is("ended", &m.Ended[1], 1)
		is("completed", &m.Ended[0], 0)
		if n, _, _ := m.ReplayTime.Read(); n != 1 {
			t.Errorf("%d replays, want 1", n)
		}
		if n, sum, _ := all["block"].Time.Read(); n != 1 || sum != time.Second.Microseconds() {
			t.Errorf("block took %d us in %d attempts", sum, n)
		}
		turns, _, _ := m.TurnTime.Read()
		items, sum, _ := m.BatchSize.Read()
		if turns < 7 || items != uint64(m.Commits.Value()) || sum < int64(turns) {
			t.Errorf("%d turns, %d batches of %d items, %d commits", turns, items, sum, m.Commits.Value())
		}
		if m.Beats.Value() < 80 || m.BeatFaults.Value() != 0 {
			t.Errorf("%d heartbeats, %d faults", m.Beats.Value(), m.BeatFaults.Value())
		}
	})
}

func TestCrashIsCounted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		m := &Metrics{}
		first, stop := w.engine(Options{})
		w.deploy(first, `
block = activity("block", timeout="1s", retry=retry_policy(max_attempts=1))
def main():
    attempt(block)
`)
		id := w.dispatch(first, Input{}, DispatchOptions{})
		synctest.Wait()
		first.Kill()
		stop()
		second, stop := w.engine(Options{Metrics: m})
		want(t, w.finish(second, id), "null")
		stop()
		w.check()
		block := m.Activities()["block"]
		if block.Outcomes[AttemptCrashed].Value() != 1 || block.Outcomes[AttemptTimedOut].Value() != 1 {
			t.Errorf("crashed %d, timed out %d", block.Outcomes[AttemptCrashed].Value(), block.Outcomes[AttemptTimedOut].Value())
		}
	})
}

func TestHistogram(t *testing.T) {
	t.Parallel()
	var h Histogram
	for _, v := range []int64{-3, 0, 1, 2, 3, 4, 5, 1 << 62} {
		h.observe(v)
	}
	n, _, upTo := h.Read()
	if n != 8 || upTo[0] != 3 || upTo[1] != 4 || upTo[2] != 6 || upTo[3] != 7 || upTo[histogramBuckets-1] != 8 {
		t.Errorf("%d values, up to %v", n, upTo)
	}
}

// failing is a store that does not answer while it is told not to.
type failing struct {
	backend.Store
	err error
}

func (f *failing) Execution(ctx context.Context, id string) (backend.Execution, error) {
	if f.err != nil {
		return backend.Execution{}, f.err
	}
	return f.Store.Execution(ctx, id)
}

func TestHealth(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &failing{Store: w.store}
		e, err := New(store, w.reg, Options{MaxConcurrency: 3})
		if err != nil {
			t.Fatal(err)
		}
		if h := e.Health(); h.Session != 0 || h.Concurrency != 3 {
			t.Errorf("before Run: %+v", h)
		}
		w.register("held", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }, activities.Options{})
		e, stop := w.engineOn(store, Options{MaxConcurrency: 3, DrainTimeout: time.Minute})
		w.deploy(e, "held = activity('held')\ndef main():\n    held()\n")
		w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(20 * time.Second) // of the bubble's clock
		h := e.Health()
		if h.Session == 0 || h.Stopping || h.Fault != nil || h.FreeSlots != 2 || h.Bodies != 1 || h.Held != 1 || h.Beat > 5*time.Second {
			t.Errorf("at work: %+v", h)
		}
		if err := e.Ping(t.Context()); err != nil {
			t.Errorf("ping: %v", err)
		}
		store.err = errors.New("no route")
		if err := e.Ping(t.Context()); !errors.Is(err, store.err) {
			t.Errorf("ping of a dead database: %v", err)
		}
		store.err = nil
		go stop()
		synctest.Wait()
		if h := e.Health(); !h.Stopping {
			t.Errorf("while it stops: %+v", h)
		}
		stop()
		if h := e.Health(); h.Session != 0 {
			t.Errorf("after Run: %+v", h)
		}
		w.check()
	})
}
