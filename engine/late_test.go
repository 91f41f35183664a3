package engine

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// A step that waits for a slot has failed when its time to begin is up, also one that was asked for long before the script last ran.
func TestStartTimeoutOfAStepThatWaitsForASlot(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			o.MaxConcurrency = 1
			e, stop := w.engine(o)
			w.deploy(e, `
nap = activity("nap", start_timeout = "30s", retry = retry_policy(max_attempts = 2, initial_delay = "10s", jitter = 0))
def main():
    begun = time.now()
    def late(ms):
        r = nap.attempt(ms)
        return [r.value, r.error.kind if r.error else None, r.error.message if r.error else None, (time.now() - begun).seconds]
    long = spawn(late, 100000)
    sleep(1)
    return [late(1), parallel([bind(late, 2), bind(late, 3)], limit = 1)[0][1], long.result(), late(4)[0]]
`)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			want(t, w.finish(e, id), `[[null,"Timeout","no attempt of nap began within 30s",31.0],"Timeout",[100000,null,null,100.0],4]`)
			if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
				t.Errorf("replay: %+v, %v", v, err)
			}
			stop()
			w.check()
		})
	}
}

// Each attempt has its own time. Where another worker takes over it begins anew: nobody was there.
func TestStartTimeoutOfLaterAttempts(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.register("fragile", func(context.Context) error {
				w.count("fragile")
				return activities.Fail("Broken", "not now")
			}, activities.Options{StartTimeout: 30 * time.Second, Retry: activities.RetryPolicy{MaxAttempts: 2, InitialDelay: 20 * time.Second, Jitter: -1}})
			e, stop := w.engine(Options{MaxConcurrency: 1, ReplayAlways: always, DrainTimeout: time.Second})
			w.deploy(e, `
def main():
    begun = time.now()
    f = spawn(activity("fragile"))
    sleep(10)
    g = spawn(activity("nap"), 100000)
    return [f.attempt().error.kind, (time.now() - begun).seconds]
def long():
    activity("nap")(300000)
def plain():
    return activity("fragile").attempt().error.kind
`)
			want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `["Timeout",50.0]`)
			if w.called("fragile") != 1 {
				t.Errorf("ran %d times", w.called("fragile"))
			}
			w.dispatch(e, Input{}, DispatchOptions{Function: "long"})
			synctest.Wait()
			id, err := e.Dispatch(t.Context(), "test", Input{}, DispatchOptions{Function: "plain", Here: true}) // whose script needs no slot
			if err != nil {
				t.Fatal(err)
			}
			time.Sleep(20 * time.Second)
			stop()
			time.Sleep(time.Hour)
			e, stop = w.engine(Options{MaxConcurrency: 2, ReplayAlways: always})
			want(t, w.finish(e, id), `"Broken"`)
			if w.called("fragile") != 3 {
				t.Errorf("ran %d times", w.called("fragile"))
			}
			stop()
			w.check()
		})
	}
}

// What has failed because nobody began it is a dead letter, wherever it waited, of the attempts that were begun.
func TestADeadLetterOfAStepThatNobodyBegan(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.register("picky", func(ms int) error {
				if ms == 0 {
					return activities.Fail("Broken", "not now")
				}
				time.Sleep(time.Duration(ms) * time.Millisecond)
				return nil
			})
			e, stop := w.engine(Options{MaxConcurrency: 1, ReplayAlways: always})
			w.deploy(e, `
retry = retry_policy(initial_delay = "10s", jitter = 0)
picky = activity("picky", max_concurrent = 1, start_timeout = "5s", retry = retry)
nap = activity("nap", start_timeout = "5s")
def main():
    kinds = [activity("nap", queue = "nobody", start_timeout = "5s").attempt(1).error.kind]
    f = spawn(nap, 10000)
    sleep(1)
    kinds.append(nap.attempt(2).error.kind)
    f.result()
    again = picky.start(0)
    sleep(5)
    long = picky.start(20000)
    kinds.append(again.attempt().error.kind)
    long.result()
    return kinds
`)
			want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `["Timeout","Timeout","Timeout"]`)
			letters, err := e.Letters(t.Context(), backend.LetterFilter{})
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, l := range letters {
				got = append(got, fmt.Sprint(l.Activity, string(l.Args), l.Attempts))
			}
			slices.Reverse(got) // oldest first
			if all := strings.Join(got, " "); all != "nap[1]0 nap[2]0 picky[0]1" {
				t.Errorf("dead letters: %s", all)
			}
			if id, err := e.ReplayLetter(t.Context(), letters[1], ReplayOptions{}); err != nil {
				t.Error(err)
			} else {
				want(t, w.finish(e, id), "2")
			}
			stop()
			w.check()
		})
	}
}

// nosy counts how often an idle worker looks for work.
type nosy struct {
	backend.Store
	asked atomic.Int64
}

func (c *nosy) Claim(ctx context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	c.asked.Add(1)
	return c.Store.Claim(ctx, r)
}

func (c *nosy) ClaimTasks(ctx context.Context, r backend.TaskRequest) (backend.ClaimedTasks, error) {
	c.asked.Add(1)
	return c.Store.ClaimTasks(ctx, r)
}

// Workers that can run no task end those that nobody has begun in time: one without activities, one without a free slot, one that holds what it
// was told to, whoever has made the tasks.
func TestStartTimeoutOfTasksThatNobodyCanClaim(t *testing.T) {
	t.Parallel()
	script := `
def main():
    begun = time.now()
    r = activity("far", queue = "far", start_timeout = "30s").attempt()
    return [r.error.kind, (time.now() - begun).seconds < 31]
def busy():
    activity("nap")(600000)
`
	for name, c := range map[string]struct {
		idle, busy, hold, other bool
	}{
		"without activities": {idle: true}, "full": {busy: true}, "hold without activities": {hold: true, idle: true},
		"of another": {other: true, idle: true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.register("far", func() error { return nil })
				o := Options{MaxConcurrency: 1, Hold: c.hold}
				client, err := New(w.store, w.reg, Options{})
				if err != nil {
					t.Fatal(err)
				}
				w.deploy(client, script)
				within := 40 * time.Second
				if c.other { // which dies with the task on its way
					e, stop := w.engine(Options{ReleaseAfter: time.Second})
					w.dispatch(client, Input{}, DispatchOptions{ID: "x"})
					time.Sleep(10 * time.Second)
					e.Kill()
					stop()
				}
				if c.idle {
					w.reg = activities.NewRegistry()
				}
				e, stop := w.engine(o)
				if c.busy {
					w.dispatch(client, Input{}, DispatchOptions{Function: "busy"})
					time.Sleep(2 * time.Second)
				}
				id := "x"
				if !c.other {
					if c.busy { // whose script runs without a slot
						_, err = e.Dispatch(t.Context(), "test", Input{}, DispatchOptions{ID: id, Here: true})
					} else {
						id, err = e.Dispatch(t.Context(), "test", Input{}, DispatchOptions{ID: id, Here: c.hold})
					}
					if err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(within)
				synctest.Wait()
				x, err := client.State(t.Context(), id)
				if err != nil || string(x.Result) != `["Timeout",true]` && !(c.other && strings.HasPrefix(string(x.Result), `["Timeout"`)) {
					t.Errorf("%s %s %+v, %v", x.State, x.Result, x.Failure, err)
				}
				stop()
			})
		})
	}
}

// A start timeout is enforced in time though the worker that made the task is gone, and others look seldom by themselves.
func TestStartTimeoutWhenTheMakerIsGone(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		for _, queue := range []string{"nobody", "default"} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				o := Options{Notifier: &wire{}}
				e, stop := w.engine(o)
				w.deploy(e, "def main(q):\n    return activity(\"echo\", queue = q, tags = [\"gpu\"], start_timeout = \"40s\").attempt(1).error.kind\n")
				other, stopOther := w.engine(o)
				time.Sleep(time.Minute)
				begun := time.Now()
				id := w.dispatch(e, Input{Args: []any{queue}}, DispatchOptions{})
				time.Sleep(9 * time.Second)
				if killed {
					e.Kill()
				}
				stop()
				want(t, w.finish(other, id), `"Timeout"`)
				// Who takes the execution over counts from there, if it had not been let go.
				if late := time.Since(begun) - 40*time.Second; late > 100*time.Millisecond {
					t.Errorf("killed %v, queue %s: %v late", killed, queue, late)
				}
				stopOther()
				w.check()
			})
		}
	}
}

// An idle worker without activities asks no more than any other one.
func TestAnIdleWorkerWithoutActivitiesAsksNoMore(t *testing.T) {
	t.Parallel()
	asks := func(reg *activities.Registry) (asked int64) {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			if reg != nil {
				w.reg = reg
			}
			store := &nosy{Store: w.store}
			_, stop := w.engineOn(store, Options{})
			time.Sleep(time.Minute)
			asked = store.asked.Load()
			stop()
		})
		return asked
	}
	// A claim a second, and a look for what has expired every two.
	if n := asks(activities.NewRegistry()); n > 95 {
		t.Errorf("%d looks a minute; one with activities has %d", n, asks(nil))
	}
}

// Timers that came due while nobody ran the script fire in the order in which they were due.
func TestOverdueTimersFireInOrder(t *testing.T) {
	t.Parallel()
	for script, result := range map[string]string{
		"def main():\n    return race({\"long\": timer(\"6s\"), \"short\": timer(\"3s\")})[0]\n":                `"short"`,
		"def main():\n    return timeout(\"6s\", lambda: sleep(\"3s\") or \"in time\")\n":                       `"in time"`,
		"def main():\n    return [f.key for f in as_completed({str(9 - i): timer(9 - i) for i in range(3)})]\n": `["7","8","9"]`,
	} {
		for _, always := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{ReplayAlways: always})
				w.deploy(e, script)
				id := w.dispatch(e, Input{}, DispatchOptions{})
				time.Sleep(time.Second)
				e.Kill()
				stop()
				time.Sleep(time.Minute)
				e, stop = w.engine(Options{ReplayAlways: always})
				defer stop()
				want(t, w.finish(e, id), result)
				stop()
				w.check()
			})
		}
	}
}
