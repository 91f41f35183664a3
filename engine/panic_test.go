package engine

import (
	"context"
	"runtime"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/senpuki/senpuki/activities"
)

// day is a parameter's type that decodes itself; some texts make it panic.
type day string

func (d *day) UnmarshalText(b []byte) error {
	if len(b) < 10 {
		panic("too short")
	}
	*d = day(b[:10])
	return nil
}

// picky reads what it read before only until it was told not to.
type picky struct{}

var pickyNow atomic.Bool

func (picky) UnmarshalText([]byte) error {
	if pickyNow.Load() {
		panic("read otherwise")
	}
	return nil
}

// Code of the user runs where arguments are decoded, too: at the call, with a task, and for each further attempt.
func TestArgumentsThatPanic(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			pickyNow.Store(false)
			w := newWorld(t)
			w.register("date", func(day) error { return nil })
			w.register("again", func(picky) error { pickyNow.Store(true); return activities.Fail("Flaky", "once more") })
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, `
def main():
    r = [activity("date").attempt("2026").error, activity("again").attempt("x").error, activity("date").attempt("2026-01-02").error]
    sleep(1)
    return [(f.kind, f.message, f.attempts) if f else None for f in r]
`)
			want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})),
				`[["Panic","too short",0],["Panic","read otherwise",2],null]`)
			stop()
			w.check()
		})
	}
}

// A worker that has a task whose arguments panic goes on.
func TestArgumentsOfATaskThatPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		client, err := New(w.store, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(client, `
def main():
    return activity("date", queue = "far").attempt("2026").error.kind
`)
		far := newWorld(t)
		far.store = w.store
		far.register("date", func(day) error { return nil })
		_, stopFar := far.engine(Options{Queues: []string{"far"}})
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `"Panic"`)
		stop()
		stopFar()
		w.check()
	})
}

// An activity that ends its goroutine has failed, wherever it runs, and nothing waits for it.
func TestActivitiesThatEndTheirGoroutine(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		for _, queue := range []string{"default", "far"} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.register("quit", func(ctx context.Context) (int, error) {
					if w.count("quit"); w.called("quit") <= 2 {
						runtime.Goexit()
					}
					return activities.Info(ctx).Attempt, nil
				}, activities.Options{Queue: queue})
				e, stop := w.engine(Options{MaxConcurrency: 1, ReplayAlways: always})
				_, stopFar := w.engine(Options{Queues: []string{"far"}, MaxConcurrency: 1})
				w.deploy(e, `
def main():
    f = activity("quit", retry = retry_policy(max_attempts = 2)).attempt().error
    return [activity("quit")(), f.kind, f.message, f.attempts]
`)
				want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `[1,"Panic","quit ended its goroutine without returning (runtime.Goexit)",2]`)
				stop()
				stopFar()
				w.check()
			})
		}
	}
}
