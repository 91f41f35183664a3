// What comes late, for a step that is over, must not reach another one that has its name.

package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// The steps of the next run have the names of those of this one.
func TestWhatComesLateDoesNotReachTheNextRun(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		script, want string
		retry        *activities.RetryPolicy
	}{
		"the outcome of an attempt that was given up": {script: `
deaf = activity("deaf", retry = retry_policy(max_attempts = 1))
def main(round = 0):
    if round == 0:
        deaf.options(timeout = "2s").attempt("old", 10)
        continue_as_new(1)
    return deaf("new", 20)
`, want: `"new"`},
		"that, when the execution is tried again": {script: `
deaf = activity("deaf", retry = retry_policy(max_attempts = 1))
def main():
    if info.run == 1:
        return deaf.options(timeout = "2s")("old", 10)
    return deaf("new", 20)
`, want: `"new"`, retry: &activities.RetryPolicy{MaxAttempts: 2, InitialDelay: time.Second, Jitter: -1}},
		"a heartbeat of an attempt that was given up": {script: `
slow = activity("slow", retry = retry_policy(max_attempts = 1), heartbeat = "3s")
def main(round = 0):
    if round == 0:
        slow.attempt(5000)
        continue_as_new(1)
    return slow(1000)
`, want: `1000`},
		"the cancelling of a step": {script: `
nap = activity("nap", queue = "far")
def main(round = 0):
    r = parallel([bind(nap, 2000), bind(nap, 3000)]) if round else race([bind(nap, 1), bind(nap, 2)])
    if round == 0:
        continue_as_new(1)
    return r
`, want: `[2000,3000]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.register("deaf", func(value string, seconds int) (string, error) {
					time.Sleep(time.Duration(seconds) * time.Second)
					return value, nil
				})
				w.register("slow", func(ctx context.Context, ms int) (int, error) {
					for range 6 {
						time.Sleep(time.Duration(ms) * time.Millisecond)
						activities.Heartbeat(ctx, nil)
					}
					return ms, nil
				})
				e, stop := w.engine(Options{})
				far, stopFar := w.engine(Options{Queues: []string{"far"}})
				w.deploy(e, c.script)
				id := w.dispatch(e, Input{}, DispatchOptions{Retry: c.retry})
				for range 40 { // it is told of both outcomes at once
					time.Sleep(50 * time.Millisecond)
					far.Look()
				}
				want(t, w.finish(e, id), c.want)
				time.Sleep(time.Minute)
				stop()
				stopFar()
				w.check()
			})
		})
	}
}

// What wakes a step that waits for another time, or one that nobody has cancelled, is of no consequence.
func TestAnEarlyWakeUpIsOfNoConsequence(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{ReleaseAfter: 24 * time.Hour})
		w.deploy(e, `
def main():
    sleep("10m")
`)
		begun := time.Now()
		id := w.dispatch(e, Input{}, DispatchOptions{})
		synctest.Wait()
		x := e.worker.held[id]
		for _, kind := range []eventKind{evDue, evDropped, evDue} {
			x.post(event{kind: kind, run: 1, step: "1"})
			time.Sleep(time.Minute)
		}
		want(t, w.finish(e, id), "null")
		if took := time.Since(begun); took < 10*time.Minute {
			t.Errorf("it slept for %v", took)
		}
		stop()
		w.check()
	})
}

// A late outcome that came in a turn which could not land is not kept for the attempt that runs now.
func TestALateOutcomeInATurnThatFailsIsNotKept(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register("deaf", func(ctx context.Context) (int, error) {
			n := activities.Info(ctx).Attempt
			time.Sleep([]time.Duration{0, 10 * time.Second, 20 * time.Second}[n])
			return n, nil
		})
		e, stop := w.engine(Options{MaxSteps: 100_000})
		w.deploy(e, `
deaf = activity("deaf", timeout = "5s", retry = retry_policy(max_attempts = 2, initial_delay = "1s", jitter = 0))
def main():
    f = spawn(deaf.options(timeout = "5s"))
    wait_signal("go")
    return f.attempt().error.kind
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		synctest.Wait()
		x := e.worker.held[id]
		time.Sleep(7 * time.Second) // the second attempt runs
		x.post(event{kind: evAttempt, run: 1, step: "1", attempt: 1, value: []byte("1")})
		synctest.Wait()
		if g := x.gathered; g != nil && len(g.consumed) > 0 {
			t.Errorf("%d late outcomes are kept", len(g.consumed))
		}
		if err := e.Signal(t.Context(), id, "go", nil); err != nil {
			t.Fatal(err)
		}
		want(t, w.finish(e, id), `"Timeout"`)
		time.Sleep(time.Minute) // the bodies return
		stop()
		w.check()
	})
}
