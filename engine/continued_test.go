package engine

import (
	"bytes"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// What ends an execution also ends one that is about to go on in another run.
func TestACancelEndsWhatIsContinued(t *testing.T) {
	t.Parallel()
	const clean = `
nap = activity("nap")
echo = activity("echo")
def main(n = 0):
    on_failure(echo, "failed")
    defer(nap, 2000)
    if n > 100:
        return n
    continue_as_new(n + 1)
`
	const shielded = `
nap = activity("nap")
echo = activity("echo")
def main(n = 0):
    on_failure(echo, "failed")
    if n > 100:
        return n
    def more():
        nap(2000)
        continue_as_new(n + 1)
    shield(more)
`
	const caught = `
nap = activity("nap")
echo = activity("echo")
def main(n = 0):
    on_failure(echo, "failed")
    attempt(nap, 2000)
    if n > 100:
        return n
    continue_as_new(n + 1)
`
	twice := strings.Replace(caught, "nap, 2000)", "nap, 2000)\n    attempt(nap, 2000)", 1)
	for name, c := range map[string]struct {
		script string
		expiry time.Duration
		state  backend.State
		undone int
	}{
		"cancelled in its clean-up":   {script: clean, state: backend.Cancelled, undone: 1},
		"expired in its clean-up":     {script: clean, expiry: 3 * time.Second, state: backend.TimedOut, undone: 1},
		"cancelled in a shield":       {script: shielded, state: backend.Cancelled, undone: 1},
		"expired in a shield":         {script: shielded, expiry: 3 * time.Second, state: backend.TimedOut, undone: 1},
		"cancelled, and it is caught": {script: caught, state: backend.Completed},
		"expired, and it is caught":   {script: caught, expiry: 3 * time.Second, state: backend.TimedOut},
		"expired later":               {script: twice, expiry: 5 * time.Second, state: backend.TimedOut},
	} {
		for _, always := range []bool{false, true} {
			t.Run(fmt.Sprint(name, " ", always), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					e, stop := w.engine(Options{ReplayAlways: always})
					w.deploy(e, c.script)
					id := w.dispatch(e, Input{}, DispatchOptions{Expiry: c.expiry})
					time.Sleep(3 * time.Second)
					if c.expiry != 3*time.Second {
						if err := e.Cancel(t.Context(), id, "enough"); err != nil {
							t.Fatal(err)
						}
					}
					r := w.finish(e, id)
					if r.Execution.State != c.state {
						t.Errorf("%s after run %d: %v", r.Execution.State, r.Execution.Run, r.Failure)
					}
					if c.state != backend.Completed && (r.Execution.Run > 3 || r.Failure == nil || r.Failure.Message == "") {
						t.Errorf("run %d: %+v", r.Execution.Run, r.Failure)
					}
					if c.state == backend.Cancelled && r.Failure.Message != "enough" {
						t.Errorf("%v", r.Failure)
					}
					if n := w.called("echo"); n != c.undone {
						t.Errorf("on_failure ran %d times", n)
					}
					if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
						t.Errorf("replay: %s %v", v.Reason, err)
					}
					stop()
					w.check()
				})
			})
		}
	}
}

// A run that never waits sees no message; the execution is cancelled between two of them.
func TestACancelBetweenRuns(t *testing.T) {
	t.Parallel()
	for _, expiry := range []time.Duration{0, 5 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engineOn(&slowCommits{Store: w.store}, Options{})
			w.deploy(e, "def main(n = 0):\n    continue_as_new(n + 1)\n")
			id := w.dispatch(e, Input{}, DispatchOptions{Expiry: expiry})
			time.Sleep(2 * time.Second)
			if expiry == 0 {
				if err := e.Cancel(t.Context(), id, "enough"); err != nil {
					t.Fatal(err)
				}
			}
			r := w.finish(e, id)
			if expiry == 0 && (r.Execution.State != backend.Cancelled || r.Failure.Message != "enough") || expiry > 0 && r.Execution.State != backend.TimedOut {
				t.Errorf("%s %v", r.Execution.State, r.Failure)
			}
			stop()
			w.check()
		})
	}
}

// A script that never comes to rest does not keep a worker from stopping, also when it has messages that it never reads.
func TestAStopOfWhatNeverRests(t *testing.T) {
	t.Parallel()
	const published = `
def main():
    for n in range(1000000):
        state.set("n", n)
        ` // what is due when the turn that asks for it has landed
	for name, script := range map[string]string{
		"continues":  "def main(n = 0):\n    state.set(\"n\", n)\n    continue_as_new(n + 1)\n",
		"sleeps":     published + "sleep(\"0.1ms\")\n",
		"looks":      published + "wait_signal(\"x\", timeout = \"0.1ms\", default = None)\n",
		"in a scope": published + "parallel([lambda: attempt(timeout, \"0.1ms\", sleep, 1)])\n",
		"talks":      published + "send_signal(info.id, \"self\", n)\n        wait_signal(\"self\")\n",
		"asks":       published + "attempt(send_signal, \"nobody\", \"x\").only(\"NotFound\")\n",
		"hits":       published + "activity(\"echo\", cached = True)(1)\n",
	} {
		for _, signals := range []int{0, 1} {
			t.Run(fmt.Sprint(name, " ", signals), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) { stopsWhatNeverRests(t, script, signals) })
			})
		}
	}
}

func stopsWhatNeverRests(t *testing.T, script string, signals int) {
	w := newWorld(t)
	o := Options{DrainTimeout: 3 * time.Second}
	e, stop := w.engineOn(&slowCommits{Store: w.store}, o)
	w.deploy(e, script)
	id := w.dispatch(e, Input{}, DispatchOptions{})
	for range signals {
		if err := e.Signal(t.Context(), id, "unread", []byte("1")); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(200 * time.Millisecond)
	asked := time.Now()
	stop()
	if took := time.Since(asked); took > time.Second {
		t.Errorf("stopped after %s", took)
	}
	x, err := e.State(t.Context(), id)
	if err != nil || x.State != backend.Running || x.Owner != 0 || x.Due.IsZero() {
		t.Fatalf("%+v %v", x, err)
	}
	e, stop = w.engineOn(&slowCommits{Store: w.store}, o) // it goes on
	time.Sleep(200 * time.Millisecond)
	if later, err := e.State(t.Context(), id); err != nil || bytes.Equal(later.Shown, x.Shown) {
		t.Errorf("%s after %s: %v", later.Shown, x.Shown, err)
	}
	if err := e.Cancel(t.Context(), id, "enough"); err != nil {
		t.Fatal(err)
	}
	if r := w.finish(e, id); r.Execution.State != backend.Cancelled {
		t.Errorf("%s", r.Execution.State)
	}
	stop()
	w.check()
}

// A script that never comes to rest beside an attempt that does not heed its context has that handed back when its worker stops:
// it has not crashed.
func TestAStopOfWhatNeverRestsHandsBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		enough := make(chan struct{})
		w.register("deaf", func() error {
			<-enough
			return nil
		})
		o := Options{DrainTimeout: 3 * time.Second}
		e, stop := w.engineOn(&slowCommits{Store: w.store}, o)
		w.deploy(e, `
def main():
    spawn(activity("deaf"))
    while True:
        send_signal(info.id, "self")
        wait_signal("self")
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(200 * time.Millisecond)
		stop()
		h, err := e.History(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if a := h.Steps[0].Attempts; len(a) != 1 || a[0].Outcome != "handed back" {
			t.Errorf("%+v", a)
		}
		close(enough)
		w.check()
	})
}

// A timer that ends a step which begins while the worker is asked to stop ends it all the same.
func TestAStopWhileAStepBegins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var me *worker
		ask := make(chan struct{})
		e, stop := w.engine(Options{DrainTimeout: time.Minute, Observer: observerFunc(func(ev Event) {
			if ev.Kind == StepAsked && ev.Name == "block" {
				close(ask)
				for !me.stopping.Load() {
					time.Sleep(time.Millisecond)
				}
				time.Sleep(time.Second)
			}
		})})
		me = e.current()
		w.deploy(e, "def main():\n    sleep(\"1s\")\n    return attempt(timeout, \"0.5s\", activity(\"block\")).error.kind\n")
		id := w.dispatch(e, Input{}, DispatchOptions{})
		<-ask
		asked := time.Now()
		stop()
		if took := time.Since(asked); took > 5*time.Second {
			t.Errorf("stopped after %s", took)
		}
		e, stop = w.engine(Options{})
		want(t, w.finish(e, id), `"Timeout"`)
		stop()
		w.check()
	})
}

// spinning is closed when a script prints.
type spinning chan struct{}

func (s spinning) Observe(ev Event) {
	if ev.Kind == Logged {
		close(s)
	}
}

// A script that computes and computes ends with its worker.
func TestWhatComputesEndsWithItsWorker(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	begun := make(chan struct{})
	e, stop := w.engine(Options{MaxSteps: math.MaxInt64, Observer: spinning(begun)})
	w.deploy(e, "def main():\n    activity(\"echo\")(1)\n    print(\"begun\")\n    while True:\n        pass\n")
	id := w.dispatch(e, Input{}, DispatchOptions{})
	<-begun
	e.Kill()
	stop() // waits for it
	if x, err := e.State(t.Context(), id); err != nil || x.State != backend.Running {
		t.Errorf("%s %v", x.State, err)
	}
}

type observerFunc func(Event)

func (f observerFunc) Observe(ev Event) { f(ev) }
