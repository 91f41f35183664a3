package engine

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
)

// Machines whose clocks are an hour off the database's, either way, notice nothing of it.
func TestAnHourOff(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{-time.Hour, 0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.store = memory.NewAt(func() time.Time { return time.Now().Add(off) })
			var log bytes.Buffer
			logger := slog.New(slog.NewTextHandler(&log, nil))
			_, stop := w.engine(Options{Logger: logger})
			_, stopFar := w.engine(Options{Queues: []string{"far"}, Logger: logger})
			client, err := New(w.store, w.reg, Options{})
			if err != nil {
				t.Fatal(err)
			}
			w.deploy(client, `
far = activity("add", queue = "far", start_timeout = "1m")
flaky = activity("flaky", retry = retry_policy(initial_delay = "20s", jitter = 0))
def main(n):
    far(1, n)
    begun = time.now()
    sleep("10m")
    flaky(1)
    late = attempt(wait_signal, "never", timeout = "1m")
    return [(time.now() - begun).seconds, late.error.kind]
`)
			begun := time.Now()
			took := func(id string, want time.Duration) {
				t.Helper()
				x, err := client.Wait(context.Background(), id)
				if err != nil {
					t.Fatal(err)
				}
				if d := time.Since(begun); d < want || d > want+time.Minute { // workers of other queues poll
					t.Errorf("%v off: %s %s after %v, not %v", off, id, x.State, d, want)
				}
				if x.State == backend.Completed && string(x.Result) != `[680.0,"SignalTimeout"]` {
					t.Errorf("%v off: %s", off, x.Result)
				}
			}
			for id, o := range map[string]DispatchOptions{
				"now": {}, "later": {Delay: 30 * time.Minute}, "brief": {Expiry: 5 * time.Minute}, "both": {Delay: 40 * time.Minute, Expiry: 5 * time.Minute},
			} {
				o.ID = id
				if _, err := client.Dispatch(context.Background(), "test", Input{Args: []any{2}}, o); err != nil {
					t.Fatal(err)
				}
			}
			took("brief", 5*time.Minute)
			took("now", 680*time.Second)
			took("later", 30*time.Minute+680*time.Second)
			took("both", 45*time.Minute)
			for id, state := range map[string]backend.State{"now": backend.Completed, "brief": backend.TimedOut, "both": backend.TimedOut} {
				if x, err := client.State(context.Background(), id); err != nil || x.State != state {
					t.Errorf("%v off: %s is %s, %v", off, id, x.State, err)
				}
			}
			sessions, err := w.store.Sessions(context.Background())
			if err != nil || len(sessions) != 2 || sessions[1].ID != 2 {
				t.Errorf("%v off: sessions %+v, %v", off, sessions, err) // both still stand
			}
			keep := Retention{Completed: 10 * time.Minute, Failed: 20 * time.Minute}
			got, err := client.Collect(context.Background(), keep, false)
			if err != nil || got.Executions != 2 { // "brief" and "now"
				t.Errorf("%v off: collected %+v, %v", off, got, err)
			}
			if _, err := client.State(context.Background(), "brief"); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("%v off: %v", off, err)
			}
			stop()
			stopFar()
			if n := strings.Count(log.String(), "the clock of this machine is far from the database's"); n != 2 && off != 0 || n != 0 && off == 0 {
				t.Errorf("%v off: warned %d times by two workers", off, n)
			}
			w.check()
		})
	}
}

// A database whose clock is set back, as one that another machine takes over may be, is followed.
func TestADatabaseSetBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var off atomic.Int64
		off.Store(int64(time.Hour))
		w.store = memory.NewAt(func() time.Time { return time.Now().Add(time.Duration(off.Load())) })
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main():
    sleep("10m")
    return 1
`)
		off.Store(0)
		time.Sleep(time.Minute)
		begun := time.Now()
		id := w.dispatch(e, Input{}, DispatchOptions{})
		synctest.Wait()
		h, err := e.History(t.Context(), id)
		if err != nil || len(h.Steps) != 1 || h.Steps[0].Due.Sub(begun).Round(time.Second) != 10*time.Minute {
			t.Errorf("%+v %v", h.Steps, err)
		}
		x, err := e.Wait(t.Context(), id)
		if d := time.Since(begun); err != nil || string(x.Result) != "1" || d > 11*time.Minute {
			t.Errorf("%s after %v, %v", x.Result, d, err)
		}
		stop()
		w.check()
	})
}

// Who asks what time it is just when the database turns out to be set back does not stop the clock until that time has come again.
func TestAClockThatIsReadWhileItIsSetBack(t *testing.T) {
	t.Parallel()
	c := newClock()
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					c.now()
				}
			}
		})
	}
	defer readers.Wait()
	defer close(stop)
	for range 20_000 {
		ahead := time.Now()
		c.set(ahead.Add(time.Hour), ahead)
		back := time.Now()
		c.set(back, back)
		if d := c.until(time.Now().UnixMicro()); d.Abs() > 30*time.Minute {
			t.Fatalf("the clock is off by %v", d)
		}
	}
}

// slowBeats is a store on which heartbeats wait for a lock that somebody else holds.
type slowBeats struct {
	backend.Store
	wait atomic.Int64 // before the database looks at its clock, and after it
}

func (s *slowBeats) Beat(ctx context.Context, id backend.SessionID, info []byte) (backend.Beaten, error) {
	wait := time.Duration(s.wait.Load())
	time.Sleep(wait)
	defer time.Sleep(wait / 8)
	return s.Store.Beat(ctx, id, info)
}

// A heartbeat that was long on its way does not tell what time it is.
func TestASlowHeartbeatLeavesTheClockAlone(t *testing.T) {
	t.Parallel()
	for _, off := range []time.Duration{0, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.store = memory.NewAt(func() time.Time { return time.Now().Add(off) })
			store := &slowBeats{Store: w.store}
			var log bytes.Buffer
			e, stop := w.engineOn(store, Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
			time.Sleep(10 * time.Second)
			before := log.Len()
			store.wait.Store(int64(16 * time.Second))
			for range 100 {
				time.Sleep(time.Second)
				if ahead := e.current().clock.until(time.Now().Add(off).UnixMicro()).Abs(); ahead > time.Millisecond {
					t.Errorf("%v off: the clock is wrong by %v", off, ahead)
					break
				}
			}
			if log.Len() > before {
				t.Errorf("%v off: %s", off, log.String()[before:])
			}
			stop()
		})
	}
}
