package engine

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// A run of which the journal has nothing but its start has told its lines all the same, and tells them once.
func TestLinesBeforeTheFirstStepAreToldOnce(t *testing.T) {
	t.Parallel()
	for runs, want := range map[int][]string{1: {"waiting", "done"}, 2: {"waiting", "waiting", "done"}} {
		for _, always := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{ReplayAlways: always})
				w.deploy(e, fmt.Sprintf(`
def main():
    log.info("waiting")
    wait_until(lambda: signal("vote").pending >= 2 * info.run)
    if info.run < %d:
        error("NotYet")
    log.info("done")
`, runs))
				id := w.dispatch(e, Input{}, DispatchOptions{Retry: &activities.RetryPolicy{InitialDelay: time.Second}})
				for range 2 * runs {
					time.Sleep(time.Minute) // it is let go
					if err := e.Signal(t.Context(), id, "vote", []byte("1")); err != nil {
						t.Fatal(err)
					}
					time.Sleep(time.Second)
					stop()
					e, stop = w.engine(Options{ReplayAlways: always})
				}
				if r := w.finish(e, id); r.Failure != nil {
					t.Fatal(r.Failure)
				}
				lines, err := e.Logs(t.Context(), id, LogPosition{})
				if err != nil {
					t.Fatal(err)
				}
				var said []string
				for _, l := range lines {
					said = append(said, l.Message)
				}
				if !slices.Equal(said, want) {
					t.Errorf("said %q, want %q", said, want)
				}
				stop()
				w.check()
			})
		}
	}
}
