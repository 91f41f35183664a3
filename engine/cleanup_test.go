// A clean-up whose worker goes away before it is done.

package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

const undoingScript = `
load("@std/saga.star", "saga")
add = activity("add")

def undo(n):
    sleep("2s")
    add(n, 0)
    print("undone", n)

def body(s):
    for n in range(4):
        s.step(add, n, n, undo = bind(undo, n))
    sleep("1h")

def main():
    defer(print, "deferred")
    saga(body)
`

// TestACleanUpGoesOnHoweverLongNobodyRanIt: the time that a clean-up has is not that in which no worker had it.
func TestACleanUpGoesOnHoweverLongNobodyRanIt(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		for _, expiry := range []time.Duration{0, 10 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{})
				w.deploy(e, undoingScript)
				id := w.dispatch(e, Input{}, DispatchOptions{ID: "x", Expiry: expiry})
				time.Sleep(10 * time.Second)
				if expiry == 0 {
					if err := e.Cancel(context.Background(), id, "enough"); err != nil {
						t.Fatal(err)
					}
				}
				for range 3 { // an undo is under way, or just done
					time.Sleep(3 * time.Second)
					if killed {
						e.Kill()
					}
					stop()
					time.Sleep(time.Hour)
					e, stop = w.engine(Options{})
				}
				w.finish(e, id)
				lines, err := e.Logs(context.Background(), id, LogPosition{})
				if err != nil || len(lines) != 5 || lines[4].Message != "deferred" {
					t.Errorf("killed %v: %+v %v", killed, lines, err)
				}
				stop()
				w.check()
			})
		}
	}
}

// TestACleanUpIsCutByWhoeverHasIt: one that never ends has thirty seconds with each worker, though it might be let go meanwhile.
func TestACleanUpIsCutByWhoeverHasIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := Options{ReleaseAfter: time.Second}
		e, stop := w.engine(o)
		w.deploy(e, `
def main():
    defer(sleep, "9h")
    sleep("1h")
`)
		for _, id := range []string{"x", "y"} {
			w.dispatch(e, Input{}, DispatchOptions{ID: id})
		}
		time.Sleep(time.Minute)
		begun := time.Now()
		for _, id := range []string{"x", "y"} {
			if err := e.Cancel(context.Background(), id, "enough"); err != nil {
				t.Fatal(err)
			}
			if id == "x" {
				w.finish(e, id)
				if took := time.Since(begun); took < 30*time.Second || took > 31*time.Second {
					t.Errorf("cut after %v", took)
				}
			}
		}
		time.Sleep(20 * time.Second)
		e.Kill()
		stop()
		time.Sleep(time.Hour)
		e, stop = w.engine(o)
		me := e.current().session
		for { // its worker has to be missed first, unless it had the time to say that it goes
			if y, err := e.State(context.Background(), "y"); err != nil || y.Owner == me {
				break
			}
			time.Sleep(100 * time.Millisecond)
		}
		begun = time.Now()
		w.finish(e, "y")
		if took := time.Since(begun); took < 29*time.Second+900*time.Millisecond || took > 31*time.Second {
			t.Errorf("cut %v after it was taken over", took)
		}
		stop()
		w.check()
	})
}
