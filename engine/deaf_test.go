// Executions that are stuck and have messages.

package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

const stuckOnSignal = `
def main():
    got = []
    for i in range(3):
        got.append(wait_signal("s"))
        if got[0] == "A":
            for n in range(1000000):
                pass
    return got
`

// What a turn took that could not land is there when the script is tried again, and before what came later.
func TestAMessageOfATurnThatFailsIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{MaxSteps: 100_000, ReplayAlways: always})
			w.deploy(e, stuckOnSignal)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			synctest.Wait()
			for _, payload := range []string{`"A"`, `"B"`, `"C"`} {
				if err := e.Signal(t.Context(), id, "s", []byte(payload)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Second)
				if x, err := e.State(t.Context(), id); err != nil || x.Stuck == nil {
					t.Errorf("after %s it is %s, stuck %+v, %v", payload, x.State, x.Stuck, err)
				}
			}
			e.options.MaxSteps = 100_000_000
			want(t, w.finish(e, id), `["A","B","C"]`)
			stop()
			w.check()
		})
	}
}
