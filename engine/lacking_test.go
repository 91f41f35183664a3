package engine

import (
	"fmt"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// notes are what an observer was told of steps that run elsewhere.
type notes struct {
	mu   sync.Mutex
	list []string
}

func (n *notes) Observe(ev Event) {
	if ev.Kind == StepElsewhere {
		n.mu.Lock()
		n.list = append(n.list, fmt.Sprintf("%s/%s %s on %s", ev.Execution, ev.Step, ev.Name, ev.Queue))
		n.mu.Unlock()
	}
}

// An engine that was told to run an execution hands out what it lacks, and goes on when a worker has run it.
func TestWhatAnAdoptedExecutionLacksIsWaitedFor(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.register("here", func() (int, error) { return 7, nil })
			client, err := New(w.store, w.reg, Options{})
			if err != nil {
				t.Fatal(err)
			}
			w.deploy(client, `
add = activity("add", queue = "far")
far = activity("add", queue = "far", idempotent = True)
def child(n):
    return add(n, 1)
def main():
    return [add(1, 2), far(1, 2), workflow(child)(5), activity("here")()]
`)
			all := w.reg
			w.reg = activities.NewRegistry()
			w.register("here", func() (int, error) { return 7, nil })
			var told notes
			o := Options{Hold: true, ReplayAlways: always, ReleaseAfter: time.Second, Observer: &told}
			e, stop := w.engine(o)
			id, err := e.Dispatch(t.Context(), "test", Input{}, DispatchOptions{ID: "x", Queue: "mine", Here: true})
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			stop()
			e, stop = w.engine(o)
			if err := e.Adopt(t.Context(), id); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			w.reg = all
			_, stopOther := w.engine(Options{}) // of another queue
			time.Sleep(time.Minute)
			if x, err := e.State(t.Context(), id); err != nil || x.State.Terminal() {
				t.Errorf("%s %+v %v", x.State, x.Failure, err)
			}
			_, stopFar := w.engine(Options{Queues: []string{"far"}})
			want(t, w.finish(e, id), "[3,3,6,7]")
			for step, times := range map[string]int{"x/1 add on far": 2, "x/2 add on far": 1, "x.1.3/1 add on far": 1} {
				n := 0
				for _, line := range told.list {
					if line == step {
						n++
					}
				}
				if n < times {
					t.Errorf("told %d times of %s: %q", n, step, told.list)
				}
			}
			stop()
			stopOther()
			stopFar()
			w.check()
		})
	}
}

// What live workers offer on the queue of a call is not missing.
func TestCheckOfWhatIsOffered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	offers := []SessionInfo{
		{Queues: []string{"far"}, Activities: []string{"charge"}},
		{Queues: []string{"default"}, Activities: []string{"refund", "charge"}, Hold: true},
	}
	for script, c := range map[string]struct{ queue, want string }{
		`c = activity("charge", queue = "far")`:             {"default", ""},
		`c = activity("charge")`:                            {"far", ""},
		`c = activity("charge" )`:                           {"", ""},
		`c = activity("charge", queue = "f" + "ar")`:        {"default", ""},
		`c = activity("charge", tags = [])`:                 {"default", `test.star:1:5: no live worker offers "charge" on queue default, where the call goes; it is offered on far`},
		`c = activity("charge", queue = "default")`:         {"far", `test.star:1:5: no live worker offers "charge" on queue default, where the call goes; it is offered on far`},
		`c = activity("refund")`:                            {"default", `test.star:1:5: unknown activity "refund"; this program registers add, block, boom, echo, flaky, nap, panics`},
		"c = activity(\"charge\")\ndef f(): return c(1, 2)": {"far", ""},
	} {
		p, err := Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte(script + "\ndef main(): pass\n")}}, "test.star")
		if err == nil {
			err = p.Check(Activities{Registry: w.reg, Offers: offers, Queue: c.queue})
		}
		if got := fmt.Sprint(err); got != c.want && (err != nil || c.want != "") {
			t.Errorf("%s on %q: %s", script, c.queue, got)
		}
	}
	p, err := Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte("c = activity(\"charge\")\ndef main(): pass\n")}}, "test.star")
	if err == nil {
		err = p.Check(Activities{Registry: activities.NewRegistry()})
	}
	if got, want := fmt.Sprint(err), `test.star:1:5: unknown activity "charge"; this program registers none`; got != want {
		t.Error(got)
	}
}
