// Ends are told of while somebody waits for some.

package engine

import (
	"context"
	"slices"
	"strconv"
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

// ends is how many hints told of ends.
func (n *tapped) ends() (count int) {
	n.tap.Lock()
	defer n.tap.Unlock()
	for _, h := range n.got {
		if len(h.Ended) > 0 {
			count++
		}
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
		// While nobody waits ends are told to try the line only: once in as many seconds as that may take.
		for range 10 * int(triesAgain/time.Second) {
			run(1)
			time.Sleep(time.Second)
		}
		if got := n.ends(); got < 1 || got > 10 {
			t.Errorf("%d hints told of ends for which nobody waits", got)
		}
		time.Sleep(time.Minute)
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
		for range 10 * int(triesAgain/time.Second) {
			run(1)
			time.Sleep(time.Second)
		}
		if got := n.ends() - before; got > 10 {
			t.Errorf("%d hints told of ends when nobody waits any more", got)
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

// A program that waits for something itself hears hints before its worker begins, and nobody is asked then.
func TestAWorkerOfAProgramThatListensAsks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := &tapped{}
		client, err := New(w.store, w.reg, Options{Notifier: n})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(client, napScript)
		id := w.dispatch(client, Input{Args: []any{4_500}}, DispatchOptions{})
		ended := make(chan time.Time, 1)
		go func() {
			w.finish(client, id)
			ended <- time.Now()
		}()
		time.Sleep(3 * time.Second) // it has said that it waits
		e, err := New(w.store, w.reg, Options{Notifier: n, PollInterval: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		defer e.listen()()
		time.Sleep(time.Second)
		ctx, cancel := context.WithCancel(t.Context())
		over := make(chan error, 1)
		go func() { over <- e.Run(ctx) }()
		at := <-ended
		x, err := e.State(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if late := at.Sub(x.Finished); late > awaitsLook {
			t.Errorf("the end was known %v late", late)
		}
		cancel()
		<-over
		w.check()
	})
}

// Ends of tasks name whom they concern, while these are few.
func TestWhoseTasksHaveEnded(t *testing.T) {
	t.Parallel()
	of := func(n int, ids ...string) (list []*write) {
		for i := range n {
			list = append(list, &write{settle: &backend.Settled{}, of: ids[i%len(ids)]}, &write{turn: &backend.Turn{}})
		}
		return list
	}
	many := make([]string, maxSettled+1)
	for i := range many {
		many[i] = strconv.Itoa(i)
	}
	for _, c := range []struct {
		writes []*write
		woken  bool
		want   backend.Hint
	}{
		{of(500, "a", "b"), false, backend.Hint{Executions: []string{"a", "b"}, Owned: true}},
		{of(500, "a", "b"), true, backend.Hint{Executions: []string{"*"}}},
		{of(2, "a", "*"), false, backend.Hint{Executions: []string{"*"}}},
		{of(maxSettled, many...), false, backend.Hint{Executions: many[:maxSettled], Owned: true}},
		{of(maxSettled+1, many...), false, backend.Hint{Executions: []string{"*"}}},
	} {
		if got := settled(c.writes, c.woken); !slices.Equal(got.Executions, c.want.Executions) || got.Owned != c.want.Owned {
			t.Errorf("%+v, want %+v", got, c.want)
		}
	}
}
