// What a cancelled call held is free when the call has ended, however long its execution goes on.

package engine

import (
	"context"
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

// Who waits for what an execution holds, in another process that looks seldom by itself, is woken when it ends.
func TestTheEndOfWhoHoldsIsTold(t *testing.T) {
	t.Parallel()
	for name, call := range map[string]string{
		"idempotent":     `idempotent = True, key = "k"`,
		"cached":         `cached = True, key = "k"`,
		"max_concurrent": `max_concurrent = 1`,
		"a task":         `max_concurrent = 1, queue = "third"`,
	} {
		for how, end := range map[string]func(e *Engine, id string) error{
			"cancel":     func(e *Engine, id string) error { return e.Cancel(context.Background(), id, "") },
			"cancel now": func(e *Engine, id string) error { return e.End(context.Background(), id, "") },
			"expiry":     func(*Engine, string) error { time.Sleep(7 * time.Second); return nil },
		} {
			t.Run(name+" "+how, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					hints := &wire{}
					e, stop := w.engine(Options{Notifier: hints})
					_, stopFar := w.engine(Options{Notifier: hints, Queues: []string{"far"}, ReleaseAfter: time.Minute})
					third, stopThird := w.engine(Options{Notifier: hints, Queues: []string{"third"}})
					w.deploy(e, `
call = activity("nap", `+call+`)
def main(ms):
    call(ms)
`)
					time.Sleep(time.Minute)
					o := DispatchOptions{Queue: "far"}
					if how == "expiry" {
						o.Expiry = 20 * time.Second
					}
					holder := w.dispatch(e, Input{Args: []any{3600000}}, o)
					time.Sleep(3 * time.Second)
					waiter := w.dispatch(e, Input{Args: []any{0}}, DispatchOptions{})
					time.Sleep(10 * time.Second)
					if err := end(e, holder); err != nil {
						t.Fatal(err)
					}
					begun := time.Now()
					want(t, w.finish(e, waiter), `null`)
					if took := time.Since(begun); took > time.Second {
						t.Errorf("who waits is %v late", took)
					}
					if r := w.finish(e, holder); r.Failure == nil {
						t.Errorf("the holder: %s", r.Value)
					}
					time.Sleep(100 * time.Millisecond)
					third.worker.mu.Lock()
					if n := len(third.worker.tasks); n != 0 {
						t.Errorf("%d tasks run on", n)
					}
					third.worker.mu.Unlock()
					stop()
					stopFar()
					stopThird()
					w.check()
				})
			})
		}
	}
}
