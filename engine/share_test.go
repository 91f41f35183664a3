package engine

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// ran records where and in which order attempts began.
type ran struct {
	mu   sync.Mutex
	list []string
}

func (r *ran) add(s string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, s)
}

// on registers an activity that takes a second and says under whose name it ran.
func (r *ran) on(t *testing.T, name string) *activities.Registry {
	t.Helper()
	reg := activities.NewRegistry()
	if err := reg.Register("work", func(_ context.Context, what string) error {
		time.Sleep(time.Second)
		r.add(name + " " + what)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return reg
}

func TestWorkWithoutASlotGoesToOtherWorkers(t *testing.T) {
	t.Parallel()
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var r ran
			w.reg = r.on(t, "one")
			e, stop := w.engine(Options{MaxConcurrency: 2})
			w.deploy(e, `
def main():
    parallel.map(activity("work"), ["x"] * 60)
`)
			w.reg = r.on(t, "two")
			start := func() func() {
				_, stop := w.engine(Options{MaxConcurrency: 2})
				return stop
			}
			var stopTwo func()
			if !late {
				stopTwo = start()
				time.Sleep(3 * time.Second) // they have met
			}
			begun := time.Now()
			id := w.dispatch(e, Input{}, DispatchOptions{})
			if late {
				time.Sleep(4500 * time.Millisecond)
				stopTwo = start()
			}
			want(t, w.finish(e, id), `null`)
			two := 0
			for _, s := range r.list {
				if s == "two x" {
					two++
				}
			}
			if took := time.Since(begun); len(r.list) != 60 || two < 20 || took > 25*time.Second {
				t.Errorf("late %v: %d attempts, %d of them elsewhere, in %v", late, len(r.list), two, took)
			}
			stop()
			stopTwo()
			w.check()
		})
	}
}

// A script that holds the only slot would never let a task of its queue begin.
func TestLocalWorkDoesNotOvertakeTasks(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var r ran
		w.reg = r.on(t, "one")
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main(what, n, **options):
    for i in range(n):
        activity("work", **options)(what)
`)
		far, stopFar := w.engine(Options{Queues: []string{"far"}, MaxConcurrency: 1})
		long := w.dispatch(far, Input{Args: []any{"long", 30}}, DispatchOptions{Queue: "far"})
		time.Sleep(1500 * time.Millisecond)
		high := w.dispatch(e, Input{Kwargs: map[string]any{"what": "high", "n": 1, "queue": "far", "priority": 1}}, DispatchOptions{})
		task := w.dispatch(e, Input{Kwargs: map[string]any{"what": "task", "n": 1, "queue": "far"}}, DispatchOptions{})
		for _, id := range []string{long, high, task} {
			want(t, w.finish(e, id), `null`)
		}
		at := make(map[string]int)
		for i, s := range r.list {
			at[s] = i
		}
		if at["one high"] > 6 || at["one task"] > 8 || at["one high"] > at["one task"] {
			t.Errorf("order %v", r.list)
		}
		stop()
		stopFar()
		w.check()
	})
}

// Whoever was told to run an execution runs all of it, and is no worker for others.
func TestAHeldExecutionIsNotShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var r ran
		w.reg = r.on(t, "one")
		e, stop := w.engine(Options{MaxConcurrency: 1, Hold: true})
		w.deploy(e, `
def main():
    parallel.map(activity("work"), ["x"] * 5)
`)
		w.reg = r.on(t, "two")
		other, stopOther := w.engine(Options{MaxConcurrency: 1})
		time.Sleep(3 * time.Second)
		here := w.dispatch(e, Input{}, DispatchOptions{Here: true})
		there := w.dispatch(other, Input{}, DispatchOptions{})
		want(t, w.finish(e, here), `null`)
		want(t, w.finish(other, there), `null`)
		one := 0
		for _, s := range r.list {
			if s == "one x" {
				one++
			}
		}
		if one != 5 || len(r.list) != 10 {
			t.Errorf("%v", r.list)
		}
		stop()
		stopOther()
		w.check()
	})
}
