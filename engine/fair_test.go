// Taking turns: who gets the slots when there are too few.

package engine

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

const crowd = `
nap = activity("nap")
def main(ms):
    return nap(ms)
def fan():
    return len(nap.map([1000] * 100))
def small():
    sleep(3)
    nap(10)
def nothing():
    pass
def family(n):
    parallel.map(workflow(main), [200] * n)
def limited():
    activity("nap", max_concurrent = 2, priority = 100)(10)
def rated():
    activity("nap", rate = "1/1s").map([10] * 10)
`

// A fan-out leaves slots to others: to who is held beside it, and to who comes later.
func TestAFanOutTakesTurns(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}, {Notifier: &wire{}}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			o.MaxConcurrency = 4
			e, stop := w.engine(o)
			w.deploy(e, crowd)
			time.Sleep(time.Minute)
			begun := time.Now()
			held := w.dispatch(e, Input{}, DispatchOptions{Function: "small"})
			fan := w.dispatch(e, Input{}, DispatchOptions{Function: "fan"})
			time.Sleep(5500 * time.Millisecond)
			young := w.dispatch(e, Input{Args: []any{10}}, DispatchOptions{Priority: 10})
			empty := w.dispatch(e, Input{}, DispatchOptions{Function: "nothing"})
			for id, due := range map[string]time.Duration{held: 3010 * time.Millisecond, young: 5510 * time.Millisecond, empty: 5500 * time.Millisecond} {
				if late := w.late(e, id, begun.Add(due)); late > 3*time.Second {
					t.Errorf("%+v: who was due %v after the fan-out began was %v late", o, due, late)
				}
			}
			if late := w.late(e, fan, begun.Add(25*time.Second)); late > 2*time.Second {
				t.Errorf("%+v: the fan-out took %v more than it must", o, late)
			}
			stop()
			w.check()
		})
	}
}

// A step with a limit gets its slot beside a backlog of executions, and beside executions that come all the time; so does one with a rate.
func TestLimitedStepsTakeTurns(t *testing.T) {
	t.Parallel()
	for _, notifier := range []backend.Notifier{nil, &wire{}} {
		for function, allowed := range map[string]time.Duration{"limited": 1500 * time.Millisecond, "rated": 15 * time.Second} {
			for _, steady := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					e, stop := w.engine(Options{MaxConcurrency: 2, Notifier: notifier})
					w.deploy(e, crowd)
					time.Sleep(time.Minute)
					ended := make(chan struct{})
					var last string
					if steady {
						go func() {
							defer close(ended)
							for range 400 {
								last = w.dispatch(e, Input{Args: []any{200}}, DispatchOptions{})
								time.Sleep(95 * time.Millisecond)
							}
						}()
						time.Sleep(3 * time.Second)
					} else {
						close(ended)
						last = w.dispatch(e, Input{Args: []any{300}}, DispatchOptions{Function: "family"})
						time.Sleep(time.Second)
					}
					if late := w.late(e, w.dispatch(e, Input{}, DispatchOptions{Function: function, Priority: 100}), time.Now()); late > allowed {
						t.Errorf("%s, steady %v, wake-ups %v: took %v", function, steady, notifier != nil, late)
					}
					<-ended
					w.finish(e, last)
					stop()
					w.check()
				})
			}
		}
	}
}

// A timer, a signal and a cancel need no slot: they come in time though all slots are taken for long, and a backlog waits for them.
func TestWhatWaitsNeedsNoSlot(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}, {Notifier: &wire{}}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			o.MaxConcurrency = 2
			e, stop := w.engine(o)
			w.deploy(e, crowd+"def wakes():\n    sleep(38)\n    nap(10)\ndef sleeper(s):\n    sleep(s)\ndef waits():\n    return wait_signal(\"x\")\n")
			time.Sleep(time.Minute)
			begun := time.Now()
			var sleepers []string
			for range 9 {
				sleepers = append(sleepers, w.dispatch(e, Input{Args: []any{60}}, DispatchOptions{Function: "sleeper"}))
			}
			signalled, cancelled := w.dispatch(e, Input{}, DispatchOptions{Function: "waits"}), w.dispatch(e, Input{}, DispatchOptions{Function: "waits"})
			var busy []string
			for range 10 { // these will want slots, too
				busy = append(busy, w.dispatch(e, Input{}, DispatchOptions{Function: "wakes"}))
			}
			time.Sleep(35 * time.Second)
			for range 5 {
				busy = append(busy, w.dispatch(e, Input{Args: []any{300_000}}, DispatchOptions{Priority: 5}))
			}
			time.Sleep(5 * time.Second)
			time.Sleep(5 * time.Second)
			if err := e.Signal(t.Context(), signalled, "x", []byte("1")); err != nil {
				t.Fatal(err)
			}
			if err := e.Cancel(t.Context(), cancelled, ""); err != nil {
				t.Fatal(err)
			}
			allowed := 100 * time.Millisecond
			if o.Notifier == nil {
				allowed = time.Second // a poll
			}
			for id, due := range map[string]time.Duration{signalled: 45 * time.Second, cancelled: 45 * time.Second, sleepers[0]: time.Minute, sleepers[8]: time.Minute} {
				if late := w.late(e, id, begun.Add(due)); late > allowed {
					t.Errorf("%+v: what was due after %v was %v late", o, due, late)
				}
			}
			for _, id := range busy {
				w.finish(e, id)
			}
			stop()
			w.check()
		})
	}
}

// Executions that go on have no precedence over what is dispatched with a higher priority.
func TestWhatGoesOnTakesTurnsWithWhatIsNew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{MaxConcurrency: 2, ReleaseAfter: time.Second})
		w.deploy(e, crowd+`
def loops(n):
    for i in range(n):
        sleep(3)
        nap(1000)
`)
		time.Sleep(time.Minute)
		var loops []string
		for range 40 {
			loops = append(loops, w.dispatch(e, Input{Args: []any{4}}, DispatchOptions{Function: "loops"}))
		}
		time.Sleep(20 * time.Second)
		for range 3 {
			if late := w.late(e, w.dispatch(e, Input{Args: []any{10}}, DispatchOptions{Priority: 5}), time.Now()); late > 3*time.Second {
				t.Errorf("a new execution ended after %v", late)
			}
		}
		for _, id := range loops {
			w.finish(e, id)
		}
		stop()
		w.check()
	})
}
