package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// What an activity's registration promises holds as well when a worker drives the execution that does not have it.
func TestRegistrationElsewhereHolds(t *testing.T) {
	t.Parallel()
	type item struct {
		Sku string `json:"sku"`
		N   int    `json:"n"`
	}
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			drives := w.reg
			w.reg = activities.NewRegistry()
			w.register("charge", func() error { w.count("charge"); return activities.Fail("Declined", "no") },
				activities.Options{Queue: "far", Retry: activities.RetryPolicy{MaxAttempts: 1}})
			w.register("stock", func(kind string, i item) (int, error) { w.count("stock"); return i.N, nil },
				activities.Options{Queue: "far", Idempotent: true, Version: "2", Params: []string{"kind"}})
			w.register("slow", func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
				activities.Options{Queue: "far", Timeout: time.Second, Retry: activities.RetryPolicy{MaxAttempts: 2, InitialDelay: time.Hour}})
			var now, most atomic.Int64
			w.register("capped", func() error {
				defer now.Add(-1)
				for n := now.Add(1); n > most.Load(); {
					most.Store(n)
				}
				time.Sleep(time.Second)
				return nil
			}, activities.Options{Queue: "far", MaxConcurrent: 2})
			far, stopFar := w.engine(Options{Queues: []string{"far"}})
			w.deploy(far, `
stock = activity("stock")
capped = activity("capped")
def main(named):
    charged = activity("charge").attempt()
    n = stock(kind = "a", sku = "b", n = 3) if named else stock("a", {"sku": "b", "n": 3})
    slow = activity("slow").attempt()
    parallel([capped.start() for _ in range(6)])
    return [charged.error.attempts, n, slow.error.kind, slow.error.attempts]
`)
			w.reg = drives
			lacks, stop := w.engine(Options{ReplayAlways: always, ReleaseAfter: time.Second})
			for i, in := range []bool{true, false} {
				id := w.dispatch(lacks, Input{Args: []any{in}}, DispatchOptions{ID: fmt.Sprint("lacks", i)})
				want(t, w.finish(lacks, id), `[1,3,"Timeout",2]`)
			}
			id := w.dispatch(far, Input{Args: []any{true}}, DispatchOptions{ID: "has", Queue: "far"})
			want(t, w.finish(far, id), `[1,3,"Timeout",2]`)
			if n := w.called("charge"); n != 3 {
				t.Errorf("charge ran %d times for 3 calls of one attempt", n)
			}
			if n := w.called("stock"); n != 1 {
				t.Errorf("stock ran %d times for one key", n)
			}
			if n := most.Load(); n != 2 {
				t.Errorf("%d ran at once, at most 2 may", n)
			}
			stop()
			stopFar()
			w.check()
		})
	}
}

// A worker keeps to what it was told by one that is gone by now, and is told by one that has come since.
func TestRegistrationElsewhereIsRemembered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		drives := w.reg
		w.reg = activities.NewRegistry()
		w.register("charge", func() error { w.count("charge"); return activities.Fail("Declined", "no") },
			activities.Options{Queue: "far", Retry: activities.RetryPolicy{MaxAttempts: 2, InitialDelay: time.Hour}})
		w.register("late", func() error { w.count("late"); return activities.Fail("Declined", "no") },
			activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
		has := w.reg
		far, stopFar := w.engine(Options{Queues: []string{"far"}})
		w.deploy(far, `
def main(name):
    return activity(name).attempt().error.attempts
`)
		w.reg = drives
		lacks, stop := w.engine(Options{ReleaseAfter: time.Second})
		id := w.dispatch(lacks, Input{Args: []any{"charge"}}, DispatchOptions{})
		time.Sleep(time.Minute)
		stopFar()
		time.Sleep(2 * time.Hour)
		w.reg = has
		_, stopFar = w.engine(Options{Queues: []string{"far"}})
		want(t, w.finish(lacks, id), "2")
		stopFar()
		stop()

		w.reg = drives
		lacks, stop = w.engine(Options{ReleaseAfter: time.Second})
		id = w.dispatch(lacks, Input{Args: []any{"late"}}, DispatchOptions{})
		time.Sleep(time.Minute)
		w.reg = has
		_, stopFar = w.engine(Options{})
		want(t, w.finish(lacks, id), "1")
		if n := w.called("late"); n != 1 {
			t.Errorf("late ran %d times for one attempt", n)
		}
		stopFar()
		stop()
		w.check()
	})
}

// What an activity's registration promises holds although nobody is left who was told of it when its outcome comes.
func TestRegistrationElsewhereIsTakenOver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		drives := w.reg
		w.reg = activities.NewRegistry()
		w.register("charge", func() error {
			w.count("charge")
			time.Sleep(10 * time.Second)
			return activities.Fail("Declined", "no")
		}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
		w.register("quote", func(n int) (int, error) {
			time.Sleep(10 * time.Second)
			w.count("quote")
			return w.called("quote"), nil
		}, activities.Options{Cached: true, CacheTTL: time.Hour})
		has := w.reg
		far, stopHas := w.engine(Options{})
		w.reg = drives
		e, stop := w.engine(Options{Queues: []string{"drives"}})
		w.deploy(far, `
def main():
    tried = activity("charge", queue = "default").start()
    quoted = activity("quote", queue = "default").start(1)
    return [tried.attempt().error.attempts, quoted.result()]
`)
		id := w.dispatch(e, Input{}, DispatchOptions{Queue: "drives"})
		time.Sleep(time.Second)
		stop()
		time.Sleep(time.Minute)
		stopHas()
		e, stop = w.engine(Options{Queues: []string{"drives"}}) // which nobody tells of those activities
		time.Sleep(10 * time.Second)
		w.reg = has
		_, stopHas = w.engine(Options{})
		want(t, w.finish(e, id), "[1,1]")
		if n := w.called("charge"); n != 1 {
			t.Errorf("charge ran %d times for one attempt", n)
		}
		time.Sleep(2 * time.Hour)
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{Queue: "drives"})), "[1,2]")
		stopHas()
		stop()
		w.check()
	})
}

// A call whose queue only its registration says is served where that is.
func TestCheckOfWhatIsRegisteredElsewhere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	far := SessionInfo{Queues: []string{"far"}, Activities: []string{"charge"}, Options: map[string]activities.Options{"charge": {Queue: "far"}}}
	for script, want := range map[string]string{
		`c = activity("charge")`:                    "",
		`c = activity("charge", queue = "default")`: `test.star:1:5: no live worker offers "charge" on queue default, where the call goes; it is offered on far`,
	} {
		p, err := Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte(script + "\ndef main(): pass\n")}}, "test.star")
		if err == nil {
			err = p.Check(Activities{Registry: w.reg, Offers: []SessionInfo{far}, Queue: "default"})
		}
		if got := fmt.Sprint(err); got != want && (err != nil || want != "") {
			t.Errorf("%s: %s", script, got)
		}
	}
}

// slowSessions is a store that takes a second to say who lives, or once does not answer.
type slowSessions struct {
	backend.Store
	mute *atomic.Bool
}

func (s slowSessions) Sessions(ctx context.Context) ([]backend.Session, error) {
	time.Sleep(time.Second)
	if s.mute.Swap(false) {
		return nil, fmt.Errorf("%w: as asked", backend.ErrTransient)
	}
	return s.Store.Sessions(ctx)
}

// Who calls an activity while another is looking for its registration waits for what is found, also while the database does not answer.
func TestRegistrationElsewhereIsLookedForOnce(t *testing.T) {
	t.Parallel()
	for _, mute := range []bool{false, true} {
		t.Run(fmt.Sprint("mute=", mute), func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				drives := w.reg
				w.reg = activities.NewRegistry()
				w.register("charge", func() (int, error) { w.count("charge"); return 7, nil }, activities.Options{Queue: "far", Idempotent: true})
				has := w.reg
				w.reg = drives
				store := slowSessions{w.store, new(atomic.Bool)}
				lacks, stop := w.engineOn(store, Options{})
				w.deploy(lacks, "def main(name):\n    return activity(name)()\n")
				time.Sleep(10 * time.Second)
				w.reg = has
				_, stopFar := w.engine(Options{Queues: []string{"far"}})
				store.mute.Store(mute)
				a := w.dispatch(lacks, Input{Args: []any{"charge"}}, DispatchOptions{})
				b := w.dispatch(lacks, Input{Args: []any{"charge"}}, DispatchOptions{})
				want(t, w.finish(lacks, a), "7")
				want(t, w.finish(lacks, b), "7")
				if n := w.called("charge"); n != 1 {
					t.Errorf("charge ran %d times for one key", n)
				}
				stopFar()
				stop()
				w.check()
			})
		})
	}
}
