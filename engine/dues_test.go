// Looking in time for what is due, however seldom a worker looks by itself.

package engine

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
)

const sleepers = `
def sleeper(s):
    sleep(s)
def patient(s):
    wait_signal("never", timeout = s, default = None)
def fails(s):
    fail("x")
def cron(s):
    sleep_until(time.from_timestamp(info.started_at.unix + s))
    if info.run < 2:
        continue_as_new(s)
def parent(s):
    workflow(sleeper, queue = "far", timeout = s).attempt(3600)
def main():
    pass
`

// late is by how much an execution ended later than it was to.
func (w *world) late(e *Engine, id string, due time.Time) time.Duration {
	w.t.Helper()
	w.finish(e, id)
	x, err := e.State(w.t.Context(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	return x.Finished.Sub(due)
}

// A worker that wake-ups let look seldom knows when what it has let go is due.
func TestAnIdleWorkerIsInTime(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		for _, function := range []string{"sleeper", "patient", "fails", "cron", "parent"} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				o := Options{Notifier: &wire{}, ReplayAlways: always}
				e, stop := w.engine(o)
				o.Queues = []string{"far"}
				_, stopFar := w.engine(o)
				w.deploy(e, sleepers)
				time.Sleep(3 * time.Minute)
				for s := 2; s < 40; s += 4 {
					d := time.Duration(s) * time.Second
					do := DispatchOptions{Function: function}
					if function == "fails" {
						do.Retry = &activities.RetryPolicy{MaxAttempts: 2, InitialDelay: d, BackoffFactor: 1, Jitter: -1}
					}
					due := time.Now().Add(d)
					if function == "cron" {
						due = due.Add(d)
					}
					if late := w.late(e, w.dispatch(e, Input{Args: []any{s}}, do), due); late < -time.Second || late > 50*time.Millisecond {
						t.Errorf("always %v: %s of %v ended %v late", always, function, d, late)
					}
					time.Sleep(time.Minute + time.Duration(s)*777*time.Millisecond)
				}
				stop()
				stopFar()
				w.check()
			})
		}
	}
}

// Many that sleep at once are in time on several workers.
func TestManySleepersAreInTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		o := Options{Notifier: &wire{}, MaxConcurrency: 5}
		e, stop := w.engine(o)
		_, stop2 := w.engine(o)
		w.deploy(e, sleepers)
		time.Sleep(time.Minute)
		begun := time.Now()
		var ids []string
		for i := range 200 {
			ids = append(ids, w.dispatch(e, Input{Args: []any{20 + i%3}}, DispatchOptions{Function: "sleeper"}))
		}
		for i, id := range ids {
			if late := w.late(e, id, begun.Add(time.Duration(20+i%3)*time.Second)); late > 50*time.Millisecond {
				t.Errorf("sleeper %d ended %v late", i, late)
			}
		}
		stop()
		stop2()
		w.check()
	})
}

// What a worker knew of due times others find out when it stops or dies, whether it let the sleeper go before or then.
func TestAWorkerThatIsGoneMakesNobodyLate(t *testing.T) {
	t.Parallel()
	for _, killed := range []bool{false, true} {
		for _, after := range []time.Duration{2 * time.Second, 9 * time.Second, 12 * time.Second} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				o := Options{Notifier: &wire{}}
				e, stop := w.engine(o)
				w.deploy(e, sleepers)
				time.Sleep(100 * time.Second)
				due := time.Now().Add(50 * time.Second)
				id := w.dispatch(e, Input{Args: []any{50}}, DispatchOptions{Function: "sleeper"})
				time.Sleep(50*time.Second - after - 20*time.Second)
				other, stopOther := w.engine(o)
				time.Sleep(20 * time.Second) // it looks by itself every 15 s
				if killed {
					e.Kill()
				} else {
					stop()
				}
				// A death is found out in time only when the sleeper is due later than that.
				if late := w.late(other, id, due); late > 50*time.Millisecond && (!killed || after > 2*time.Second) {
					t.Errorf("killed %v, %v before: ended %v late", killed, after, late)
				}
				stop()
				stopOther()
				w.check()
			})
		}
	}
}

// Sleepers that a stopping worker lets go are in time elsewhere, while it still waits for an attempt, too.
func TestAStoppingWorkerTellsWhenSleepersAreDue(t *testing.T) {
	t.Parallel()
	for s := 8; s < 26; s += 3 {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			o := Options{Notifier: &wire{}, DrainTimeout: time.Hour}
			e, stop := w.engine(o)
			w.deploy(e, sleepers+"def naps():\n    activity(\"nap\")(600000)\n")
			_, stopFirst := w.engine(o)
			time.Sleep(time.Minute)
			stopFirst()
			naps := w.dispatch(e, Input{}, DispatchOptions{Function: "naps"})
			due := time.Now().Add(time.Duration(s) * time.Second)
			id := w.dispatch(e, Input{Args: []any{s}}, DispatchOptions{Function: "sleeper"})
			time.Sleep(time.Second)
			other, stopOther := w.engine(o)
			time.Sleep(3 * time.Second)
			go stop()
			if late := w.late(other, id, due); late > 50*time.Millisecond {
				t.Errorf("sleep(%d) ended %v late", s, late)
			}
			w.finish(other, naps)
			stopOther()
			stop()
			w.check()
		})
	}
}

// An expiry is enforced though nobody serves the execution, and however seldom a worker looks for work.
func TestWhatNobodyServesExpires(t *testing.T) {
	t.Parallel()
	for _, do := range []DispatchOptions{{Queue: "nobody"}, {Tags: []string{"gpu"}}, {Queue: "nobody", Delay: 2 * time.Second}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{Notifier: &wire{}})
			w.deploy(e, sleepers)
			for range 9 {
				time.Sleep(100*time.Second + 700*time.Millisecond)
				do.Expiry = 3 * time.Second
				life := e.options.SessionLife
				if late := w.late(e, w.dispatch(e, Input{}, do), time.Now().Add(do.Delay+do.Expiry)); late < 0 || late > life/3+life/5 {
					t.Errorf("%+v: %v late", do, late)
				}
			}
			stop()
			w.check()
		})
	}
}

// slowLooks is a store that takes its time to say what is due next.
type slowLooks struct{ backend.Store }

func (s slowLooks) NextDue(ctx context.Context, queues []string) (time.Time, error) {
	time.Sleep(10 * time.Millisecond)
	return s.Store.NextDue(ctx, queues)
}

// A worker that thinks the database's clock to be ahead of where it is looks again when that has come so far.
func TestAClockThatIsAheadMakesNobodyLate(t *testing.T) {
	t.Parallel()
	for _, behind := range []time.Duration{time.Millisecond, 5 * time.Millisecond, 30 * time.Millisecond, 300 * time.Millisecond} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var off atomic.Int64
			w.store = memory.NewAt(func() time.Time { return time.Now().Add(time.Duration(off.Load())) })
			e, stop := w.engineOn(slowLooks{w.store}, Options{Notifier: &wire{}, SessionLife: time.Hour})
			defer stop()
			w.deploy(e, "def main():\n    return 1\n")
			time.Sleep(30 * time.Second)
			begun := time.Now()
			id := w.dispatch(e, Input{}, DispatchOptions{Delay: 7 * time.Second})
			off.Store(-int64(behind)) // since it was last asked
			want(t, w.finish(e, id), "1")
			if took := time.Since(begun); took < 7*time.Second+behind || took > 7*time.Second+behind+200*time.Millisecond {
				t.Errorf("%v behind: it took %v", behind, took)
			}
			stop()
			w.check()
		})
	}
}
