// Executions that an engine was told to run, beside a worker of the same queue.

package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

// What waits for longer than others are kept is not given to others.
func TestWhatIsToRunHereStaysHere(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var r ran
			w.reg = r.on(t, "one")
			hints := &wire{}
			e, stop := w.engine(Options{Hold: true, Notifier: hints, ReplayAlways: always})
			w.deploy(e, `
work = activity("work")
def kid():
    sleep(20)
    work("kid")
def main():
    workflow(kid, queue = "far")()
    work("a")
    wait_signal("go")
    work("b")
    workflow(kid, queue = "far")()
`)
			w.reg = r.on(t, "two")
			other, stopOther := w.engine(Options{Notifier: hints, ReplayAlways: always})
			time.Sleep(time.Minute)
			id := w.dispatch(e, Input{}, DispatchOptions{Here: true, Queue: "default"})
			time.Sleep(time.Minute)
			if err := other.Signal(t.Context(), id, "go", nil); err != nil {
				t.Fatal(err)
			}
			begun := time.Now()
			want(t, w.finish(other, id), `null`)
			if took := time.Since(begun); took > 23*time.Second {
				t.Errorf("always %v: it took %v", always, took)
			}
			for _, s := range r.list {
				if s[:3] != "one" {
					t.Errorf("always %v: %q", always, r.list)
				}
			}
			stop()
			stopOther()
			w.check()
		})
	}
}

// A worker that has begun what is to run here does not know that its children are.
func TestChildrenOfWhatOthersRun(t *testing.T) {
	t.Parallel()
	for _, stops := range []bool{false, true} {
		for _, always := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				hints := &wire{}
				other, stopOther := w.engine(Options{Notifier: hints, ReplayAlways: always})
				w.deploy(other, `
def grandchild(n):
    sleep(30)
    return n
def kid(n):
    sleep(2)
    return workflow(grandchild, queue = "far")(n)
def main():
    sleep(4)
    return [workflow(kid)(1), workflow(grandchild, queue = "far").attempt(2).unwrap()]
`)
				time.Sleep(time.Minute)
				id := w.dispatch(other, Input{}, DispatchOptions{})
				e, stop := w.engine(Options{Hold: true, Notifier: hints, ReplayAlways: always})
				if err := e.Adopt(t.Context(), id); err != nil {
					t.Fatal(err)
				}
				begun := time.Now()
				if stops {
					time.Sleep(10 * time.Second)
					stopOther()
				}
				want(t, w.finish(e, id), `[1,2]`)
				if took := time.Since(begun); took > 70*time.Second {
					t.Errorf("stops %v, always %v: it took %v", stops, always, took)
				}
				time.Sleep(5 * time.Second)
				if ids := e.adoptedIDs(); len(ids) > 0 {
					t.Errorf("stops %v, always %v: left to be run %q", stops, always, ids)
				}
				stop()
				stopOther()
				w.check()
			})
		}
	}
}
