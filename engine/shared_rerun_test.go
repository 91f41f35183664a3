package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
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
