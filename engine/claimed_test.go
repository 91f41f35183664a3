// How tasks are claimed: how many at once, and beside a heartbeat that looks for those that were withdrawn.

package engine

import (
	"context"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// slowTasks is a store that takes a second to say which tasks a session owns.
type slowTasks struct{ backend.Store }

func (s slowTasks) Tasks(ctx context.Context, f backend.TaskFilter) ([]backend.Task, error) {
	found, err := s.Store.Tasks(ctx, f)
	if f.Owner != 0 {
		time.Sleep(time.Second)
	}
	return found, err
}

func TestAHeartbeatLeavesATaskAloneThatWasJustClaimed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
nap = activity("nap", queue = "far", retry = retry_policy(max_attempts = 1))
def main(ms):
    return nap(ms)
`)
		_, stopFar := w.engineOn(slowTasks{w.store}, Options{Queues: []string{"far"}})
		ids := []string{w.dispatch(e, Input{Args: []any{60_000}}, DispatchOptions{})}
		for range 20 { // each is claimed at another moment of a heartbeat
			ids = append(ids, w.dispatch(e, Input{Args: []any{5_000}}, DispatchOptions{}))
			time.Sleep(377 * time.Millisecond)
		}
		for i, id := range ids {
			if r := w.finish(e, id); r.Failure != nil {
				t.Errorf("execution %d: %+v", i, r.Failure)
			}
		}
		stop()
		stopFar()
		w.check()
	})
}

// askedTasks is a store that notes how many tasks are asked for, and how often it is asked what waits.
type askedTasks struct {
	backend.Store
	limits []int
	looks  int
	whole  atomic.Int64 // looks that read inputs
}

func (s *askedTasks) ClaimTasks(ctx context.Context, r backend.TaskRequest) (backend.ClaimedTasks, error) {
	c, err := s.Store.ClaimTasks(ctx, r)
	if len(c.Tasks) > 0 {
		s.limits = append(s.limits, r.Limit)
	}
	return c, err
}

func (s *askedTasks) Tasks(ctx context.Context, f backend.TaskFilter) ([]backend.Task, error) {
	if f.Waiting {
		s.looks++
	}
	if !f.Bare {
		s.whole.Add(1)
	}
	return s.Store.Tasks(ctx, f)
}

// The more tasks there are, the more are claimed at once; and a worker does not read what is left after each claim, nor
// the inputs of what is left or runs.
func TestClaimsOfTasksGrow(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register("hold", func(string) error { time.Sleep(time.Minute); return nil })
		e, stop := w.engine(Options{})
		w.deploy(e, `
nap = activity("nap", queue = "far")
hold = activity("hold", queue = "far")
def main(n, bytes = 0):
    if bytes:
        return len(hold.map(["x" * bytes] * n))
    return len(nap.map([60 * 1000] * n))
`)
		store := &askedTasks{Store: w.store}
		_, stopFar := w.engineOn(store, Options{Queues: []string{"far"}, MaxConcurrency: 2000})
		for _, c := range []struct{ n, bytes int }{{1500, 0}, {100, 0}, {130, 140_000}} { // it begins with few again, and keeps to that where they are large
			n := c.n
			store.limits, store.looks = nil, 0
			if r := w.finish(e, w.dispatch(e, Input{Args: []any{n, c.bytes}}, DispatchOptions{})); string(r.Value) != strconv.Itoa(n) {
				t.Errorf("%s of %d: %+v", r.Value, n, r.Failure)
			}
			want := map[int][]int{1500: {64, 128, 256, 512, 512, 512}, 100: {64, 128}, 130: {64, 64, 64}}[n]
			if !slices.Equal(store.limits, want) || store.looks > 1 {
				t.Errorf("%d tasks in claims of up to %d, and %d looks", n, store.limits, store.looks)
			}
		}
		if n := store.whole.Load(); n > 0 {
			t.Errorf("%d looks read the inputs of tasks", n)
		}
		stop()
		stopFar()
		w.check()
	})
}

// A worker without a free slot sees tasks that come, also when a claim has just looked for what it has left.
func TestTasksThatComeAfterAFullClaimAreSeen(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := &wire{}
		e, stop := w.engine(Options{Notifier: n})
		_, stopFar := w.engine(Options{Notifier: n, Queues: []string{"far"}, MaxConcurrency: 2})
		w.deploy(e, `
nap = activity("nap", queue = "far")
def main(ms):
    nap(ms)
def busy():
    for i in range(300):
        nap(100)
`)
		time.Sleep(time.Minute)
		busy := w.dispatch(e, Input{}, DispatchOptions{Function: "busy", Queue: "far"})
		time.Sleep(time.Second)
		begun := time.Now()
		var last string
		for _, k := range []struct{ at, ms int }{{0, 105}, {60, 60_000}, {108, 10}} {
			time.Sleep(time.Until(begun.Add(time.Duration(k.at) * time.Millisecond)))
			last = w.dispatch(e, Input{Args: []any{k.ms}}, DispatchOptions{})
		}
		if late := w.late(e, last, time.Now()); late > time.Second {
			t.Errorf("a task began %v late beside an execution of many steps", late)
		}
		w.finish(e, busy)
		stop()
		stopFar()
		w.check()
	})
}

// hourLooks is a store that takes an hour to say what is due next, has expired, or was left by sessions that are gone.
type hourLooks struct{ backend.Store }

func (s hourLooks) NextDue(ctx context.Context, queues []string) (time.Time, error) {
	time.Sleep(time.Hour)
	return s.Store.NextDue(ctx, queues)
}

func (s hourLooks) Claim(ctx context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	if r.Expired {
		time.Sleep(time.Hour)
	}
	return s.Store.Claim(ctx, r)
}

func (s hourLooks) Revoke(ctx context.Context, id backend.SessionID) error {
	if id == 0 {
		time.Sleep(time.Hour)
	}
	return s.Store.Revoke(ctx, id)
}

// What a dead process was at goes on before a new worker looks for all else.
func TestTakingOverComesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client, err := New(w.store, w.reg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(client, "def main():\n    return 1\n")
		me := self()
		if me.Boot == "" || me.Started == "" {
			t.Skip("whether a process is dead is not known here")
		}
		me.Started += "0" // another one had this number
		dead, _, err := w.store.Open(t.Context(), me)
		if err != nil {
			t.Fatal(err)
		}
		id := w.dispatch(client, Input{}, DispatchOptions{})
		if c, err := w.store.Claim(t.Context(), backend.ClaimRequest{Session: dead, IDs: []string{id}, Editions: editions, Limit: 1}); err != nil || len(c) != 1 {
			t.Fatal(len(c), err)
		}
		begun := time.Now()
		_, stop := w.engineOn(hourLooks{w.store}, Options{})
		want(t, w.finish(client, id), `1`)
		if took := time.Since(begun); took > time.Minute {
			t.Errorf("it went on after %v", took)
		}
		time.Sleep(4 * time.Hour)
		stop()
		w.check()
	})
}
