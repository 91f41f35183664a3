package engine

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

func TestTasksGoToWhoServesTheirQueue(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, `
add = activity("add", queue = "far")
flaky = activity("flaky", queue = "far", tags = ["gpu"], retry = retry_policy(initial_delay = "1s"))
boom = activity("boom", queue = "far", retry = retry_policy(max_attempts = 1))
def main():
    r = attempt(boom, "Bad")
    return [add(1, 2), add.map_ if False else [x for x in add.starmap([(i, i) for i in range(30)])][29], flaky(2), r.error.kind, r.error.attempts]
`)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			synctest.Wait()
			if tasks, err := w.store.Tasks(t.Context(), backend.TaskFilter{Queue: "far"}); err != nil || len(tasks) != 1 || tasks[0].Activity != "boom" {
				t.Fatalf("%+v %v", tasks, err)
			}
			far, stopFar := w.engine(Options{Queues: []string{"far"}, Tags: []string{"gpu"}, MaxConcurrency: 2})
			want(t, w.finish(e, id), `[3,58,3,"Bad",1]`)
			if n := len(far.worker.tasks); n != 0 {
				t.Errorf("%d tasks still run", n)
			}
			stop()
			stopFar()
			w.check()
		})
	}
}

// An attempt is told of the same queue wherever it runs.
func TestTheQueueThatAnAttemptIsToldOf(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		for _, both := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.register("queue", func(ctx context.Context) (string, error) { return activities.Info(ctx).Queue, nil })
				serves := []string{"mine"}
				if both {
					serves = append(serves, "far")
				}
				e, stop := w.engine(Options{ReplayAlways: always, Queues: serves})
				_, stopFar := w.engine(Options{Queues: []string{"far"}})
				w.deploy(e, `
def main():
    queue = activity("queue")
    return [queue(), queue.options(queue = "far")(), queue.options(max_concurrent = 1)()]
`)
				want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{Queue: "mine"})), `["mine","far","mine"]`)
				stop()
				stopFar()
				w.check()
			})
		}
	}
}

func TestACrashedTaskIsCountedApart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var calls atomic.Int32
		w.register("deadly", func(ctx context.Context) (int, error) {
			if calls.Add(1) == 1 {
				<-ctx.Done()
				return 0, ctx.Err()
			}
			return activities.Info(ctx).Attempt, nil
		}, activities.Options{Queue: "far", Retry: activities.RetryPolicy{MaxAttempts: 1}})
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main():
    return activity("deadly")()
`)
		far, stopFar := w.engine(Options{Queues: []string{"far"}})
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(3 * time.Second) // it polls
		far.Kill()
		stopFar()
		_, stopNext := w.engine(Options{Queues: []string{"far"}})
		want(t, w.finish(e, id), `2`)
		stop()
		stopNext()
		w.check()
	})
}

func TestAGracefulStopGivesTasksBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register("slow", func(ctx context.Context) (int, error) {
			select {
			case <-ctx.Done():
				return 0, ctx.Err()
			case <-time.After(time.Minute):
				return activities.Info(ctx).Attempt, nil
			}
		}, activities.Options{Queue: "far", Retry: activities.RetryPolicy{MaxAttempts: 1}, MaxCrashes: new(int)})
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main():
    return activity("slow")()
`)
		_, stopFar := w.engine(Options{Queues: []string{"far"}, DrainTimeout: time.Second})
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(3 * time.Second) // it polls
		stopFar()
		_, stopNext := w.engine(Options{Queues: []string{"far"}})
		want(t, w.finish(e, id), `1`)
		stop()
		stopNext()
		w.check()
	})
}

func TestLimitsHoldAcrossWorkers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var now, most atomic.Int32
		w.register("narrow", func(context.Context) error {
			if n := now.Add(1); n > most.Load() {
				most.Store(n)
			}
			time.Sleep(100 * time.Millisecond)
			now.Add(-1)
			return nil
		}, activities.Options{MaxConcurrent: 3})
		e, stop := w.engine(Options{})
		_, stopOther := w.engine(Options{})
		w.deploy(e, `
paced = activity("add", rate = "5/1m")
def main():
    parallel([activity("narrow")] * 20)
    t = time.now()
    parallel([bind(paced, 1, 1)] * 11)
    return (time.now() - t) >= time.minute * 2
`)
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `true`)
		if most.Load() > 3 || most.Load() < 2 {
			t.Errorf("%d at once", most.Load())
		}
		stop()
		stopOther()
		w.check()
	})
}

func TestStartTimeoutHeartbeatAndStrays(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		release := make(chan struct{})
		w.register("quiet", func(ctx context.Context) error {
			for range 5 {
				activities.Heartbeat(ctx, nil)
				time.Sleep(time.Second)
			}
			<-release
			return nil
		})
		e, stop := w.engine(Options{})
		w.deploy(e, `
once = retry_policy(max_attempts = 1)
def main():
    a = activity("add", queue = "nowhere", start_timeout = "10s").attempt(1, 2).error
    t = time.now()
    b = activity("quiet", heartbeat = "3s", retry = once).attempt().error
    d = (time.now() - t)
    c = activity("quiet", heartbeat = "3s", retry = once, rate = "1/1s").attempt().error
    return [a.kind, b.kind, b.message, d > time.second * 5, c.kind]
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		want(t, w.finish(e, id), `["Timeout","Timeout","quiet gave no heartbeat within 3s",true,"Timeout"]`)
		if n := strays(e); n != 2 {
			t.Errorf("%d stray bodies", n)
		}
		close(release)
		synctest.Wait()
		if n := strays(e); n != 0 {
			t.Errorf("%d stray bodies after they have returned", n)
		}
		stop()
		w.check()
	})
}

func TestSharedResults(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}, {ReleaseAfter: time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var calls atomic.Int32
			w.register("quote", func(sku string, n float64) (string, error) {
				time.Sleep(time.Second)
				return fmt.Sprintf("%s%v%d", sku, n, calls.Add(1)), nil
			}, activities.Options{Params: []string{"sku", "n"}, Cached: true, CacheTTL: time.Hour})
			w.register("charge", func(order string) (int32, error) {
				time.Sleep(time.Second)
				n := calls.Add(1)
				if n == 1 {
					return 0, activities.Fail("Declined", "no")
				}
				return n, nil
			}, activities.Options{Idempotent: true, Retry: activities.RetryPolicy{MaxAttempts: 1}})
			e, stop := w.engine(o)
			w.deploy(e, `
quote, charge = activity("quote"), activity("charge")
def main():
    return [quote("a", 1), quote(sku = "a", n = 1), quote("a", n = 1), quote.options(version = "2")("a", 1), quote("a", 1.0)]
def charging():
    return charge.attempt("o1").unwrap_or("failed")
def keyed():
    return quote.options(key = lambda sku, n: sku)("b", 1) == quote.options(key = "b")("c", 2)
`)
			first := w.dispatch(e, Input{}, DispatchOptions{ID: "first"})
			second := w.dispatch(e, Input{}, DispatchOptions{ID: "second"})
			want(t, w.finish(e, first), `["a11","a11","a11","a12","a13"]`)
			want(t, w.finish(e, second), `["a11","a11","a11","a12","a13"]`)
			if calls.Load() != 3 {
				t.Errorf("%d calls for three keys", calls.Load())
			}
			h, err := e.History(t.Context(), "second")
			if err != nil || !h.Steps[1].Hit {
				t.Errorf("no hit in the history: %+v %v", h.Steps[1], err)
			}
			time.Sleep(2 * time.Hour)
			want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `["a14","a14","a14","a15","a16"]`)
			calls.Store(0)
			var ids []string
			for range 5 {
				ids = append(ids, w.dispatch(e, Input{}, DispatchOptions{Function: "charging"}))
			}
			failed := 0
			for _, id := range ids {
				r := w.finish(e, id)
				if string(r.Value) == `"failed"` {
					failed++
				} else if string(r.Value) != "2" {
					t.Errorf("%s", r.Value)
				}
			}
			if failed != 1 || calls.Load() != 2 {
				t.Errorf("%d failed of %d calls, want 1 of 2: a failure frees the key for the first who waits", failed, calls.Load())
			}
			want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{Function: "keyed"})), `true`)
			stop()
			w.check()
		})
	}
}

// Keyword arguments have the names that a script gives them, and calls share a result when they are the same.
func TestSharedResultsByOddNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		calls := 0
		err := w.reg.RegisterOpen("tag", func(_ context.Context, c activities.Call) (any, error) {
			calls++
			return c.Kwargs, nil
		}, activities.Options{Idempotent: true})
		if err != nil {
			t.Fatal(err)
		}
		e, stop := w.engine(Options{})
		w.deploy(e, `
tag = activity("tag")
def main(*names):
    return all([tag(**{n: 1}) == {n: 1} and tag(**{n: 1}) == {n: 1} for n in names])
`)
		names := []any{"a", "\x00", "\x1b", "\x7f", "\u2028", "\U000e0001", "<&>", "a\"\\\n", "\u00e9"}
		want(t, w.finish(e, w.dispatch(e, Input{Args: names}, DispatchOptions{})), "true")
		if calls != len(names) {
			t.Errorf("%d calls for %d names", calls, len(names))
		}
		stop()
		w.check()
	})
}

func TestExpiryOfWhatNobodyClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main():
    print("never")
`)
		id := w.dispatch(e, Input{}, DispatchOptions{Queue: "nowhere", Expiry: time.Minute})
		r := w.finish(e, id)
		lines, err := e.Logs(t.Context(), id, LogPosition{})
		if r.Execution.State != backend.TimedOut || r.Failure.Kind != "Timeout" || len(lines) != 0 || err != nil {
			t.Errorf("%s %+v, %d lines, %v", r.Execution.State, r.Failure, len(lines), err)
		}
		stop()
		w.check()
	})
}

// Many are ended as fast as one: none waits for as many heartbeats as there are before it.
func TestExpiryOfManyThatNobodyClaims(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{MaxConcurrency: 10})
		w.deploy(e, `
def main():
    pass
`)
		at := time.Now()
		ids, err := e.DispatchAll(t.Context(), "test", slices.Repeat([]Job{{Options: DispatchOptions{Queue: "nowhere", Expiry: time.Minute}}}, 1500))
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			w.finish(e, id)
		}
		all, err := e.List(t.Context(), backend.Filter{States: []backend.State{backend.TimedOut}})
		if err != nil || len(all) != len(ids) {
			t.Fatalf("%d of %d have timed out, %v", len(all), len(ids), err)
		}
		for _, x := range all {
			if late := x.Finished.Sub(at) - time.Minute; late > 10*time.Second {
				t.Errorf("%s ended %v after it expired", x.ID, late)
				break
			}
		}
		stop()
		w.check()
	})
}

func TestDeadLetters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
boom = activity("boom", retry = retry_policy(max_attempts = 2))
def main():
    boom.attempt("A")
    boom("B")
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		w.finish(e, id)
		letters, err := w.store.DeadLetters(t.Context(), backend.LetterFilter{Execution: id})
		if err != nil || len(letters) != 2 || letters[0].Step != "2" || letters[0].Attempts != 2 || letters[1].Activity != "boom" {
			t.Errorf("%+v %v", letters, err)
		}
		stop()
		w.check()
	})
}

func strays(e *Engine) int64 {
	_, n, _ := e.worker.bodies.look(0)
	return n
}
