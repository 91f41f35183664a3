package engine

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// slowOpen is a store whose sessions take a while to open.
type slowOpen struct {
	backend.Store
}

func (s slowOpen) Open(ctx context.Context, me backend.Session) (backend.SessionID, time.Time, error) {
	time.Sleep(time.Second)
	return s.Store.Open(ctx, me)
}

// Kill ends the Run that runs, whatever it is at, and no later one.
func TestKillIsOfOneRun(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, err := New(slowOpen{w.store}, w.reg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		e.Kill() // nothing runs
		run := func() (stop func(), done chan error) {
			ctx, stop := context.WithCancel(t.Context())
			done = make(chan error, 1)
			go func() { done <- e.Run(ctx) }()
			return stop, done
		}
		for _, at := range []time.Duration{0, 500 * time.Millisecond, time.Second, time.Minute} {
			stop, done := run()
			time.Sleep(at)
			synctest.Wait()
			e.Kill()
			e.Kill()
			if err := <-done; !errors.Is(err, ErrStopped) {
				t.Errorf("killed after %v: %v", at, err)
			}
			stop()
		}
		w.deploy(e, `
nap = activity("nap", max_crashes = 0, retry = retry_policy(max_attempts = 1))
def main():
    return nap(3000)
`)
		stop, done := run()
		time.Sleep(5 * time.Second)
		if err := w.store.Revoke(t.Context(), e.Health().Session); err != nil { // it goes on with another session
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(time.Second)
		begun := time.Now()
		stop() // what runs may end
		if err := <-done; err != nil || time.Since(begun) != 2*time.Second {
			t.Errorf("%v after %v", err, time.Since(begun))
		}
		_, done = run()
		want(t, w.finish(e, id), "3000")
		synctest.Wait()
		e.Kill()
		<-done
		w.check()
	})
}
