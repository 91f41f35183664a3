package engine

import (
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
)

// faulty is an observer that panics when an attempt of an execution begins.
type faulty struct{ id string }

func (o faulty) Observe(ev Event) {
	if ev.Kind == AttemptStarted && ev.Execution == o.id && ev.Step == "2" {
		panic("oh no")
	}
}

// A panic where a turn has landed costs the execution, not the worker and not others.
func TestAnObserverThatPanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{Observer: faulty{"bad"}})
		w.deploy(e, "def main():\n    return activity(\"add\")(activity(\"add\")(1, 2), 3)\n")
		synctest.Wait()
		first := e.current().session
		w.dispatch(e, Input{}, DispatchOptions{ID: "bad"})
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{ID: "good"})), "6")
		synctest.Wait()
		x, err := e.State(t.Context(), "bad")
		if err != nil || x.Stuck == nil || !strings.Contains(x.Stuck.Reason, "oh no") {
			t.Errorf("%+v, %v", x.Stuck, err)
		}
		sameSession(t, e, first)
		stop()
		w.check()
	})
}

// once is an observer that panics when the first attempt of all begins.
type once struct{ atomic.Bool }

func (o *once) Observe(ev Event) {
	if ev.Kind == AttemptStarted && !o.Swap(true) {
		panic("oh no")
	}
}

// Attempts that a panic has kept from beginning have not died with their process, and give their slots back; see nothingTaken.
func TestAnObserverThatPanicsKeepsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{Observer: new(once)})
		w.deploy(e, `
def main():
    return parallel([bind(activity("echo", max_crashes = 0), i) for i in range(5)])
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		want(t, w.finish(e, id), "[0,1,2,3,4]")
		h, err := e.History(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range h.Steps {
			if a := s.Attempts[0]; a.Outcome != "handed back" {
				t.Errorf("%s: %+v", s.Step, a)
			}
		}
		stop()
		w.check()
	})
}
