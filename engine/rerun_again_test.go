package engine

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// A step that shares its result and was under way where a retry, or a fork, goes on reserves it anew: nobody else runs it meanwhile.
func TestARerunReservesWhatItShares(t *testing.T) {
	t.Parallel()
	for _, fork := range []bool{false, true} {
		for _, always := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				var charged, broken atomic.Int32
				w.register("charge", func(ctx context.Context, order string) (int32, error) {
					select {
					case <-time.After(10 * time.Second):
						return charged.Add(1), nil
					case <-ctx.Done():
						return 0, ctx.Err()
					}
				}, activities.Options{Idempotent: true})
				w.register("once", func() error {
					if broken.Add(1) == 1 {
						return activities.Fail("Broken", "not now")
					}
					return nil
				}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
				e, stop := w.engine(Options{ReplayAlways: always})
				w.deploy(e, `
charge = activity("charge")
def main():
    f = spawn(charge, "o1")
    sleep("1s")
    activity("once")()
    return f.result()
def other():
    return charge("o1")
`)
				id := w.dispatch(e, Input{}, DispatchOptions{})
				w.finish(e, id)
				if fork {
					var err error
					if id, err = e.Fork(t.Context(), id, RerunOptions{From: "2"}); err != nil {
						t.Fatal(err)
					}
				} else if err := e.Retry(t.Context(), id, RerunOptions{}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * time.Second)
				other := w.dispatch(e, Input{}, DispatchOptions{Function: "other"})
				want(t, w.finish(e, other), "1")
				want(t, w.finish(e, id), "1")
				if n := charged.Load(); n != 1 {
					t.Errorf("charged %d times", n)
				}
				if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
					t.Errorf("replay: %+v, %v", v, err)
				}
				stop()
				w.check()
			})
		}
	}
}

// What was undone when an execution was cancelled, or had expired, is not taken to be done.
func TestRetryRefusesWhenStepsWereBegunAfterTheCancel(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		function, words string
		expiry          time.Duration
		state           backend.State
	}{
		{"main", "began other steps after it was cancelled: 3 (echo);", 0, backend.Cancelled},
		{"main", "began other steps after it had expired: 3 (echo);", time.Minute, backend.TimedOut},
		{"caught", "began other steps after it was cancelled: 3 (echo), 4 (boom);", 0, backend.Failed},
		{"plain", "", 0, backend.Cancelled},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{})
			w.deploy(e, `
echo = activity("echo")
boom = activity("boom", retry = retry_policy(max_attempts = 1))
def main():
    echo("reserve")
    defer(echo, "release")
    sleep("10m")
def caught():
    echo("reserve")
    if not attempt(sleep, "10m").ok:
        shield(lambda: [echo("release"), boom("Bad")])
def plain():
    echo("reserve")
    sleep("10m")
    return "done"
`)
			id := w.dispatch(e, Input{}, DispatchOptions{Function: c.function, Expiry: c.expiry})
			time.Sleep(2 * time.Second)
			if c.expiry == 0 {
				if err := e.Cancel(t.Context(), id, "enough"); err != nil {
					t.Fatal(err)
				}
			}
			if x := w.finish(e, id).Execution; x.State != c.state {
				t.Errorf("%s is %s", c.function, x.State)
			}
			err := e.Retry(t.Context(), id, RerunOptions{})
			switch {
			case c.words == "":
				if err != nil {
					t.Fatal(err)
				}
				want(t, w.finish(e, id), `"done"`)
			case !errors.Is(err, ErrCannotRetry) || !strings.Contains(err.Error(), c.words):
				t.Errorf("%s: %v", c.function, err)
			default:
				if err := e.Retry(t.Context(), id, RerunOptions{From: "2"}); err != nil {
					t.Error(err)
				}
			}
			stop()
			w.check()
		})
	}
}

// Attempts that were tasks, and wait for a slot in the run that goes on, are begun by whoever takes over.
func TestWhatWasATaskIsBegunAfterARetry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
nap = activity("nap", queue = "far")
def main():
    fs = [spawn(nap, 60000 + n) for n in range(2)]
    return [f.result() for f in fs]
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(10 * time.Second)
		if err := e.Cancel(t.Context(), id, "enough"); err != nil {
			t.Fatal(err)
		}
		w.finish(e, id)
		stop()
		if err := e.Retry(t.Context(), id, RerunOptions{}); err != nil {
			t.Fatal(err)
		}
		both := Options{Queues: []string{"default", "far"}, MaxConcurrency: 1, DrainTimeout: time.Second}
		_, stop = w.engine(both)
		time.Sleep(10 * time.Second)
		stop() // one is handed back, the other one has not begun
		e, stop = w.engine(both)
		want(t, w.finish(e, id), `[60000,60001]`)
		stop()
		w.check()
	})
}
