// What a cancelled call held is free when the call has ended, however long its execution goes on.

package engine

import (
	"testing"
	"testing/synctest"
	"time"
)

func TestACancelledCallFreesItsKey(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]string{
		"idempotent":           `activity("nap", key = "k", idempotent = True)`,
		"cached":               `activity("nap", key = "k", cached = True)`,
		"elsewhere":            `activity("nap", key = "k", idempotent = True, queue = "far")`,
		"between two attempts": `activity("flaky", key = "k", idempotent = True, retry = retry_policy(initial_delay = "1h", max_delay = "1h"))`,
		"nobody serves it":     `activity("nap", key = "k", idempotent = True, queue = "nowhere")`,
	} {
		for _, always := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					o := Options{ReplayAlways: always}
					e, stop := w.engine(o)
					_, stopFar := w.engine(Options{ReplayAlways: always, Queues: []string{"far"}})
					w.deploy(e, `
call = `+call+`
def main():
    r = attempt(timeout, "2s", call, 3600000)
    sleep(300)
    return r.error.kind
def waits():
    return call.options(queue = "default")(0)
`)
					holder := w.dispatch(e, Input{}, DispatchOptions{})
					time.Sleep(time.Second)
					given := w.dispatch(e, Input{}, DispatchOptions{}) // waits for the holder, and gives up
					time.Sleep(100 * time.Millisecond)
					waiter := w.dispatch(e, Input{}, DispatchOptions{Function: "waits"})
					begun := time.Now()
					if r := w.finish(e, waiter); r.Failure != nil {
						t.Errorf("%+v", r.Failure)
					}
					if took := time.Since(begun); took > 20*time.Second {
						t.Errorf("always %v: the key came free after %v", always, took)
					}
					want(t, w.finish(e, holder), `"Timeout"`)
					want(t, w.finish(e, given), `"Timeout"`)
					stop()
					stopFar()
					w.check()
				})
			})
		}
	}
}
