package engine

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// A failure whose text is not UTF-8 is the same live and on replay: as the journal has it.
func TestAFailureIsWhatTheJournalHas(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.register("garbled", func(n int) error {
				return activities.Fail("Garbled", "a\xffb", activities.Data(map[string]any{"text": "c\xfed"}), activities.Cause(fmt.Errorf("e\xfdf")))
			}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
			e, stop := w.engine(Options{ReplayAlways: always})
			_, stopFar := w.engine(Options{Queues: []string{"far"}})
			w.deploy(e, `
echo = activity("echo")
garbled = activity("garbled")
def show(r):
    err = r.error
    echo([err.kind, err.message, len(err.message), err.data, err.traceback, err.cause.message if err.cause else None])
def main():
    show(garbled.attempt(1))
    show(garbled.options(queue = "far").attempt(2))
    show(garbled.attempt("é"[:1]))
    show(attempt(wait_signal, "never"))
    return 1
`)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			time.Sleep(time.Minute)
			if err := e.Cancel(t.Context(), id, "g\xfch"); err != nil {
				t.Fatal(err)
			}
			want(t, w.finish(e, id), "1")
			if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
				t.Errorf("replay: %s %v", v.Reason, err)
			}
			stop()
			stopFar()
			w.check()
		})
	}
}
