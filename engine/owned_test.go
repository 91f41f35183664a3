// Hints about executions that have an owner: he looks, and nobody else.

package engine

import (
	"context"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// looking counts how often a worker looks at what there is, and may be slow to hear what it has claimed.
type looking struct {
	backend.Store
	looks atomic.Int64
	slow  atomic.Int64 // how long the answer of a claim that gives something is on its way
}

func (l *looking) Claim(ctx context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	l.looks.Add(1)
	claimed, err := l.Store.Claim(ctx, r)
	if len(claimed) > 0 {
		time.Sleep(time.Duration(l.slow.Load()))
	}
	return claimed, err
}

func (l *looking) ClaimTasks(ctx context.Context, r backend.TaskRequest) (backend.ClaimedTasks, error) {
	l.looks.Add(1)
	return l.Store.ClaimTasks(ctx, r)
}

// Outcomes of tasks, signals and ends of children are told to who holds the execution that waits for them. A worker that has
// nothing to do with them does not look at the database, and they arrive all the same, also when the execution was let go.
func TestWhatIsOwnedConcernsItsOwner(t *testing.T) {
	t.Parallel()
	for _, release := range []time.Duration{time.Hour, time.Second} { // held, and let go before anything comes
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			n := &wire{}
			o := Options{Notifier: n, PollInterval: time.Hour, ReleaseAfter: release}
			e, stop := w.engine(o)
			far := o
			far.Queues = []string{"far"}
			_, stopFar := w.engine(far)
			other := o
			other.Queues = []string{"other"}
			store := &looking{Store: w.store}
			_, stopOther := w.engineOn(store, other)
			w.deploy(e, `
nap = activity("nap", queue = "far")
def child(ms):
    sleep("%dms" % ms)
    return ms
def main():
    s = 0
    for i in range(20):
        s += nap(2500)
        s += wait_signal("go")
        s += workflow(child, queue = "far")(2500)
    return s
`)
			time.Sleep(time.Minute)
			before := store.looks.Load()
			id := w.dispatch(e, Input{}, DispatchOptions{})
			for range 20 {
				time.Sleep(5 * time.Second) // the task is over
				if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second) // and the child
			}
			want(t, w.finish(e, id), strconv.Itoa(20*5001))
			x, err := e.State(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if took := x.Finished.Sub(x.Started); took > 201*time.Second {
				t.Errorf("release %v: took %v", release, took)
			}
			if n := store.looks.Load() - before; release == time.Hour && n > 10 {
				t.Errorf("a worker that it did not concern looked %d times", n)
			}
			stop()
			stopFar()
			stopOther()
			w.check()
		})
	}
}

// A hint about an execution that a worker has claimed, and does not know of yet.
func TestAHintForWhatIsBeingClaimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := &wire{}
		store := &looking{Store: w.store}
		store.slow.Store(int64(2 * time.Second))
		_, stop := w.engineOn(store, Options{Notifier: n, PollInterval: time.Hour, SessionLife: 10 * time.Minute})
		client, err := New(w.store, w.reg, Options{Notifier: n})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(client, "def main():\n    return wait_signal(\"go\")\n")
		time.Sleep(time.Minute)
		id := w.dispatch(client, Input{}, DispatchOptions{})
		time.Sleep(time.Second)
		if err := client.Signal(t.Context(), id, "go", []byte("1")); err != nil {
			t.Fatal(err)
		}
		want(t, w.finish(client, id), "1")
		x, err := client.State(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if took := x.Finished.Sub(x.Started); took > 3*time.Second {
			t.Errorf("took %v", took)
		}
		stop()
		w.check()
	})
}
