package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// An attempt began when its code did, not when the one before it failed or when its step was asked for.
func TestWhenAttemptsBegan(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		tries := 0
		w.register("thrice", func() (int, error) {
			if tries++; tries < 3 {
				return 0, activities.Fail("Flaky", "not now")
			}
			return tries, nil
		}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 3, InitialDelay: 4 * time.Second, BackoffFactor: 2, Jitter: -1}})
		e, stop := w.engine(Options{MaxConcurrency: 1})
		w.deploy(e, `
thrice = activity("thrice")
nap = activity("nap")
def main():
    return [thrice(), parallel([bind(nap, 3000), bind(nap, 3000)])]
`)
		begun := time.Now()
		id := w.dispatch(e, Input{}, DispatchOptions{})
		want(t, w.finish(e, id), `[3,[3000,3000]]`)
		h, err := e.History(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		var at []time.Duration
		for _, s := range h.Steps {
			for _, a := range s.Attempts {
				at = append(at, a.Began.Sub(begun).Round(10*time.Millisecond))
			}
		}
		if len(at) != 5 || at[0] != 0 || at[1] != 4*time.Second || at[2] != 12*time.Second || at[3] != 12*time.Second || at[4] != 15*time.Second {
			t.Errorf("attempts began after %v", at)
		}
		stop()
		w.check()
	})
}
