package engine

import (
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// A worker removes what ended long ago by itself, soon after its start, and what has failed later than what completed.
func TestRetention(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, "def main(ok):\n    return ok or fail(\"no\")\n")
		good := w.dispatch(e, Input{Args: []any{true}}, DispatchOptions{})
		bad := w.dispatch(e, Input{Args: []any{false}}, DispatchOptions{})
		w.finish(e, good)
		w.finish(e, bad)
		stop()
		there := func(id string) bool {
			_, err := w.store.Execution(t.Context(), id)
			if err != nil && !errors.Is(err, backend.ErrNotFound) {
				t.Fatal(err)
			}
			return err == nil
		}
		for _, step := range []struct {
			wait      time.Duration
			good, bad bool
		}{{6 * 24 * time.Hour, true, true}, {25 * time.Hour, false, true}, {24 * 24 * time.Hour, false, false}} {
			time.Sleep(step.wait)
			_, stop = w.engine(Options{})
			time.Sleep(2 * time.Minute)
			stop()
			if there(good) != step.good || there(bad) != step.bad {
				t.Errorf("after %v more: completed %v, failed %v; want %v, %v", step.wait, there(good), there(bad), step.good, step.bad)
			}
		}
		e, stop = w.engine(Options{Retention: Retention{Completed: -1}})
		good = w.dispatch(e, Input{Args: []any{true}}, DispatchOptions{})
		w.finish(e, good)
		stop()
		time.Sleep(365 * 24 * time.Hour)
		_, stop = w.engine(Options{Retention: Retention{Completed: -1}})
		time.Sleep(2 * time.Minute)
		stop()
		if !there(good) {
			t.Error("what is to be kept for ever was removed")
		}
		w.check()
	})
}
