// Executions that are dispatched with a delay.

package engine

import (
	"context"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// The delay stands whatever reaches the execution meanwhile, and whoever holds it.
func TestADelayedStartIsNotBegunEarly(t *testing.T) {
	t.Parallel()
	const delay = 6 * time.Minute
	const script = `
def main():
    return [(time.now() - info.started_at).seconds < 1, wait_signal("go", timeout = "1s", default = "none"), wait_signal("go", timeout = "1s", default = "none")]
`
	upgraded := func(times int) func(t *testing.T, w *world, e *Engine, id string) *Engine {
		return func(t *testing.T, w *world, e *Engine, id string) *Engine {
			for i := range times {
				next := w.digestOf(e, script+strings.Repeat("# repaired\n", i+1))
				if v, err := e.Upgrade(t.Context(), id, next); err != nil || !v.Moved {
					t.Errorf("%+v, %v", v, err)
				}
				time.Sleep(time.Minute)
			}
			return e
		}
	}
	for name, c := range map[string]struct {
		options DispatchOptions
		touch   func(t *testing.T, w *world, e *Engine, id string) *Engine
		want    string
	}{
		"nothing": {touch: func(_ *testing.T, _ *world, e *Engine, _ string) *Engine { return e }, want: `[true,"none","none"]`},
		"signals": {touch: func(t *testing.T, _ *world, e *Engine, id string) *Engine {
			for _, payload := range []string{"1", "2"} {
				if err := e.Signal(t.Context(), id, "go", []byte(payload)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
			}
			return e
		}, want: `[true,1,2]`},
		"an upgrade":           {touch: upgraded(1), want: `[true,"none","none"]`},
		"two upgrades":         {touch: upgraded(2), want: `[true,"none","none"]`},
		"here, and an upgrade": {options: DispatchOptions{Here: true}, touch: upgraded(1), want: `[true,"none","none"]`},
		"an upgrade of what a worker holds": {touch: func(t *testing.T, w *world, e *Engine, id string) *Engine {
			if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			next := w.digestOf(e, strings.Replace(script, "none", "nothing", 2)+"\n# repaired\n")
			if v, err := e.Upgrade(t.Context(), id, next); err != nil || !v.Moved {
				t.Errorf("%+v, %v", v, err)
			}
			return e
		}, want: `[true,1,"nothing"]`},
		"here": {options: DispatchOptions{Here: true}, touch: func(t *testing.T, _ *world, e *Engine, id string) *Engine {
			return e
		}, want: `[true,"none","none"]`},
		"another worker": {touch: func(t *testing.T, w *world, e *Engine, id string) *Engine {
			if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Minute)
			e.Kill()
			next, _ := w.engine(Options{})
			return next
		}, want: `[true,1,"none"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{})
				_, stopOther := w.engine(Options{Queues: []string{"other"}})
				defer stopOther()
				w.deploy(e, script)
				c.options.Delay = delay
				begun := time.Now()
				id := w.dispatch(e, Input{}, c.options)
				time.Sleep(time.Minute)
				last := c.touch(t, w, e, id)
				time.Sleep(delay - time.Since(begun) - time.Second)
				if h, err := last.History(t.Context(), id); err != nil || len(h.Entries) != 0 {
					t.Errorf("it has begun: %+v, %v", h.Entries, err)
				}
				r := w.finish(last, id)
				if string(r.Value) != c.want {
					t.Errorf("%s %+v, want %s", r.Value, r.Failure, c.want)
				}
				if took := time.Since(begun); took < delay || took > delay+5*time.Second {
					t.Errorf("took %v", took)
				}
				stop()
				if last != e {
					last.Kill()
				}
				w.check()
			})
		})
	}
}

// One that is cancelled before its time has come ends without its script.
func TestADelayedStartIsCancelled(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, "def main():\n    print(\"begun\")\n    sleep(1)\n")
		id := w.dispatch(e, Input{}, DispatchOptions{Delay: time.Hour})
		time.Sleep(time.Minute)
		if err := e.Signal(t.Context(), id, "go", nil); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		if err := e.Cancel(t.Context(), id, "enough"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Minute)
		x, err := e.State(t.Context(), id)
		if err != nil || x.State != backend.Cancelled || x.Failure.Message != "enough" {
			t.Errorf("%s %+v, %v", x.State, x.Failure, err)
		}
		if lines, err := e.Logs(t.Context(), id, LogPosition{}); err != nil || len(lines) != 0 {
			t.Errorf("it has begun: %+v, %v", lines, err)
		}
		stop()
		w.check()
	})
}

// between is a store that lets somebody else work before it opens a session.
type between struct {
	backend.Store
	first func()
}

func (b between) Open(ctx context.Context, s backend.Session) (backend.SessionID, time.Time, error) {
	b.first()
	return b.Store.Open(ctx, s)
}

// What is moved to other code after it has run once more is due when it is, not when it had been.
func TestAnUpgradeLosesNoTimer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{ReleaseAfter: time.Second})
		const script = `
def main():
    wait_signal("go")
    sleep("5m")
    return "slept"
`
		w.deploy(e, script)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(time.Minute) // it is released, and due when a signal comes
		next := w.digestOf(e, script+"\n# repaired\n")
		client, err := New(between{w.store, func() {
			if err := e.Signal(t.Context(), id, "go", nil); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Minute) // it sleeps, and is released again
		}}, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		if v, err := client.Upgrade(t.Context(), id, next); err != nil || !v.Moved {
			t.Errorf("%+v, %v", v, err)
		}
		want(t, w.finish(e, id), `"slept"`)
		stop()
		w.check()
	})
}

// An upgrade between two attempts of an execution as a whole does not begin the next one.
func TestAnUpgradeBetweenTwoAttempts(t *testing.T) {
	t.Parallel()
	for _, held := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{})
			const script = `
add = activity("add")
def main():
    n = add(1, 1)
    if info.run == 1:
        error("NotYet", "run 1")
    return [info.run, n, "old"]
`
			w.deploy(e, script)
			id := w.dispatch(e, Input{}, DispatchOptions{Retry: &activities.RetryPolicy{InitialDelay: 8 * time.Minute, MaxDelay: time.Hour, Jitter: -1}})
			begun := time.Now()
			time.Sleep(time.Minute)
			if held {
				if err := e.Signal(t.Context(), id, "go", nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
			}
			bad, err := e.Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte("def main(n):\n    return n\n")}}, "test.star")
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Store(t.Context(), bad); err != nil {
				t.Fatal(err)
			}
			if v, err := e.Upgrade(t.Context(), id, bad.Digest); err != nil || v.Fits || v.Moved {
				t.Errorf("it takes another input: %+v, %v", v, err)
			}
			mended := fstest.MapFS{"test.star": {Data: []byte(strings.Replace(script, "old", "new", 1))}}
			d, err := e.DeployWith(t.Context(), mended, DeployOptions{RequireCompatible: true}, "test.star")
			if err != nil {
				t.Fatal(err)
			}
			next := d[0].Digest
			if v, err := e.Replay(t.Context(), id, next); err != nil || !v.Fits {
				t.Errorf("%+v, %v", v, err)
			}
			if v, err := e.Upgrade(t.Context(), id, next); err != nil || !v.Moved {
				t.Errorf("%+v, %v", v, err)
			}
			want(t, w.finish(e, id), `[2,2,"new"]`)
			if took := time.Since(begun); took < 8*time.Minute {
				t.Errorf("took %v", took)
			}
			stop()
			w.check()
		})
	}
}
