package engine

import (
	"strings"
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
