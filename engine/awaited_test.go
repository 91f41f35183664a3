// Ends are told of while somebody waits for some.

package engine

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// tapped is a wire that keeps what was said on it.
type tapped struct {
	wire
	tap sync.Mutex
	got []backend.Hint
}

func (n *tapped) Notify(ctx context.Context, h backend.Hint) error {
	n.tap.Lock()
	n.got = append(n.got, h)
	n.tap.Unlock()
	return n.wire.Notify(ctx, h)
}

// ends is how many ends were told of.
func (n *tapped) ends() (count int) {
	n.tap.Lock()
	defer n.tap.Unlock()
	for _, h := range n.got {
		count += len(h.Ended)
	}
	return count
}

const napScript = "def main(ms):\n    return activity(\"nap\")(ms)\n"

func TestEndsAreToldToWhoWaits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := &tapped{}
		_, stop := w.engine(Options{Notifier: n, PollInterval: time.Minute})
		client, err := New(w.store, w.reg, Options{Notifier: n})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(client, napScript)
		run := func(ms int) string { return w.dispatch(client, Input{Args: []any{ms}}, DispatchOptions{}) }
		time.Sleep(time.Minute)
		for range 10 {
			run(1)
		}
		time.Sleep(time.Minute)
		if got := n.ends(); got != 0 {
			t.Errorf("%d ends told of, for which nobody waits", got)
		}
		// One who waits, and another one a minute later, for short and for long.
		for _, ms := range []int{5, 5_000, 55_000, 300_000} {
			id := run(ms)
			begun := time.Now()
			w.finish(client, id)
			if late := time.Since(begun) - time.Duration(ms)*time.Millisecond; late > awaitsLook {
				t.Errorf("the end after %d ms was known %v late", ms, late)
			}
			time.Sleep(time.Minute)
		}
		before := n.ends()
		for range 10 {
			run(1)
		}
		time.Sleep(time.Minute)
		if got := n.ends() - before; got != 0 {
			t.Errorf("%d ends told of when nobody waits any more", got)
		}
		stop()
		w.check()
	})
}

// A worker that begins when others wait already, or whose hints come in again, does not know of them.
func TestALaterWorkerTellsWhoWaits(t *testing.T) {
	t.Parallel()
	for _, ms := range []int{1, 5_000, 100_000} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			n := &tapped{}
			client, err := New(w.store, w.reg, Options{Notifier: n})
			if err != nil {
				t.Fatal(err)
			}
			w.deploy(client, napScript)
			id := w.dispatch(client, Input{Args: []any{ms}}, DispatchOptions{})
			ended := make(chan time.Time, 1)
			go func() {
				w.finish(client, id)
				ended <- time.Now()
			}()
			time.Sleep(time.Minute + 3*time.Second)
			e, stop := w.engine(Options{Notifier: n, PollInterval: time.Minute})
			at := <-ended
			x, err := e.State(t.Context(), id)
			if err != nil {
				t.Fatal(err)
			}
			if late := at.Sub(x.Finished); late > awaitsLook {
				t.Errorf("the end after %d ms was known %v late", ms, late)
			}
			stop()
			w.check()
		})
	}
}
