// Tasks whose calls were cancelled: their bodies are told, and awaited as those are that run where their execution is.

package engine

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// diary notes what bodies do and when, in milliseconds since it was begun.
type diary struct {
	mu    sync.Mutex
	begun time.Time
	lines []string
	now   int
	most  int
}

func (d *diary) note(what string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.begun.IsZero() {
		d.begun = time.Now()
	}
	d.lines = append(d.lines, fmt.Sprint(what, " ", time.Since(d.begun).Round(100*time.Millisecond)))
}

// on registers an activity that says when it begins and how it ends. It takes a while to clean up when it is cancelled.
func (d *diary) on(w *world) {
	w.register("work", func(ctx context.Context, what string, ms, cleanup int) (string, error) {
		d.mu.Lock()
		d.now++
		d.most = max(d.most, d.now)
		d.mu.Unlock()
		defer func() {
			d.mu.Lock()
			d.now--
			d.mu.Unlock()
		}()
		d.note(what + " begins")
		select {
		case <-time.After(time.Duration(ms) * time.Millisecond):
			return what, nil
		case <-ctx.Done():
		}
		time.Sleep(time.Duration(cleanup) * time.Millisecond)
		d.note(what + " ends")
		return "", ctx.Err()
	})
}

func TestACancelledTaskIsAwaited(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, call, queues string
		wired              bool
		late               time.Duration // until somebody looks who is not woken
	}{
		{"limited, in the same process", "max_concurrent = 1", "other", false, time.Second},
		{"limited, elsewhere", `max_concurrent = 1, queue = "far"`, "far", true, 0},
		{"elsewhere", `queue = "far"`, "far", true, 0},
		{"elsewhere, and not woken", `queue = "far"`, "far", false, 4 * time.Second},
	} {
		for _, always := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					var d diary
					d.on(w)
					o := Options{ReplayAlways: always}
					if c.wired {
						o.Notifier = &wire{}
					}
					e, stop := w.engine(o)
					o.Queues = []string{c.queues}
					_, stopSecond := w.engine(o)
					w.deploy(e, `
work = activity("work", retry = retry_policy(max_attempts = 3), `+c.call+`)
def main():
    r = attempt(timeout, "3s", work, "first", 3600000, 2500)
    work("second", 0, 0)
    return r.error.kind
`)
					time.Sleep(time.Minute)
					begun := time.Now()
					want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `"Timeout"`)
					d.mu.Lock()
					defer d.mu.Unlock()
					if took := time.Since(begun); d.most != 1 || len(d.lines) != 3 || took < 5500*time.Millisecond || took > 6*time.Second+2*c.late {
						t.Errorf("always %v: %d at once in %v: %q", always, d.most, took, d.lines)
					}
					stop()
					stopSecond()
					w.check()
				})
			})
		}
	}
}

// A call that is cancelled before anybody runs it ends at once, also when it was asked for in the same turn.
func TestACancelledTaskThatNobodyRunsEndsAtOnce(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, `
far = activity("add", queue = "nowhere")
def main():
    f = far.start(1, 1)
    f.cancel()
    a = f.attempt().error.kind
    b = attempt(timeout, "10s", far, 1, 2).error.kind
    return [a, b]
`)
			begun := time.Now()
			want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `["Cancelled","Timeout"]`)
			if took := time.Since(begun); took > 11*time.Second {
				t.Errorf("always %v: it took %v", always, took)
			}
			if left, err := w.store.Tasks(t.Context(), backend.TaskFilter{}); err != nil || len(left) != 0 {
				t.Errorf("%+v %v", left, err)
			}
			stop()
			w.check()
		})
	}
}

// Whoever runs a task that is cancelled may stop, be killed, or succeed before it is told.
func TestACancelledTaskAndTheEndOfItsWorker(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end    func(far *Engine, stop func())
		result string
	}{
		"stops":  {func(_ *Engine, stop func()) { stop() }, `["Cancelled",3]`},
		"killed": {func(far *Engine, stop func()) { far.Kill(); stop() }, `["Cancelled",3]`},
		"works":  {func(*Engine, func()) {}, `["Cancelled",3]`},
	} {
		for _, always := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					var d diary
					d.on(w)
					hints := &wire{}
					e, stop := w.engine(Options{ReplayAlways: always, Notifier: hints})
					far, stopFar := w.engine(Options{Queues: []string{"far"}, Notifier: hints, DrainTimeout: time.Second})
					w.deploy(e, `
def main():
    f = activity("work", queue = "far").start("first", 3600000, 20000)
    sleep(2)
    f.cancel()
    return [f.attempt().error.kind, activity("add", queue = "far")(1, 2)]
`)
					id := w.dispatch(e, Input{}, DispatchOptions{})
					time.Sleep(5 * time.Second)
					c.end(far, stopFar)
					_, stopNext := w.engine(Options{Queues: []string{"far"}, Notifier: hints})
					want(t, w.finish(e, id), c.result)
					time.Sleep(time.Minute) // bodies that were given up end
					d.mu.Lock()
					defer d.mu.Unlock()
					if d.most != 1 || len(d.lines) != 2 {
						t.Errorf("always %v: %q", always, d.lines)
					}
					stop()
					stopFar()
					stopNext()
					w.check()
				})
			})
		}
	}
}

// A body that ignores that it is cancelled is not waited for once its time is up.
func TestACancelledTaskThatDoesNotHeed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		release := make(chan struct{})
		w.register("deaf", func() error { <-release; return nil }, activities.Options{Queue: "far"})
		e, stop := w.engine(Options{Notifier: &wire{}})
		far, stopFar := w.engine(Options{Queues: []string{"far"}})
		w.deploy(e, `
def main(**options):
    return attempt(timeout, "3s", activity("deaf", **options)).error.kind
`)
		begun := time.Now()
		want(t, w.finish(e, w.dispatch(e, Input{Kwargs: map[string]any{"timeout": "40s"}}, DispatchOptions{})), `"Timeout"`)
		if took := time.Since(begun); took < 40*time.Second || took > 50*time.Second {
			t.Errorf("it took %v", took)
		}
		id := w.dispatch(e, Input{Kwargs: map[string]any{}}, DispatchOptions{})
		time.Sleep(time.Minute)
		if err := e.End(t.Context(), id, ""); err != nil { // gives it up
			t.Fatal(err)
		}
		if r := w.finish(e, id); r.Execution.State != backend.Cancelled {
			t.Errorf("%+v", r)
		}
		time.Sleep(10 * time.Second)
		if n := strays(far); n != 2 {
			t.Errorf("%d stray bodies", n)
		}
		close(release)
		stop()
		stopFar()
		w.check()
	})
}
