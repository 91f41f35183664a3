package engine

import (
	"context"
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// outage is a world whose activity act(name, seconds) fails as often as failures says for its name.
type outage struct {
	*world
	failures map[string]int
	done     map[string]int
	e        *Engine
	stop     func()
}

func newOutage(t *testing.T, o Options, script string, failures map[string]int) *outage {
	w := &outage{world: newWorld(t), failures: maps.Clone(failures), done: make(map[string]int)}
	act := func(ctx context.Context, name string, seconds int) (string, error) {
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(time.Duration(seconds) * time.Second):
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		if w.failures[name] > 0 {
			w.failures[name]--
			return "", activities.Fail("Down", "no connection")
		}
		w.done[name]++
		return name, nil
	}
	w.register("act", act, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
	w.register("each", func(ctx context.Context, name string, seconds int) (string, error) {
		r, err := act(ctx, name, seconds)
		if err != nil {
			err = activities.Fail("Down", "no connection for "+name)
		}
		return r, err
	}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
	w.register("deaf", func(_ context.Context, name string, seconds int) (string, error) {
		return act(context.Background(), name, seconds)
	},
		activities.Options{})
	w.e, w.stop = w.engine(o)
	w.deploy(w.e, "load(\"@std/saga.star\", \"saga\")\nact = activity(\"act\")\ndeaf = activity(\"deaf\")\n"+script)
	return w
}

// begin dispatches execution x, which is to fail.
func (w *outage) begin(o DispatchOptions) {
	w.t.Helper()
	o.ID = "x"
	w.dispatch(w.e, Input{}, o)
	w.fails("x")
}

func (w *outage) fails(id string) {
	w.t.Helper()
	if r := w.finish(w.e, id); r.Failure == nil {
		w.t.Errorf("%s did not fail: %s", id, r.Value)
	}
}

func (w *outage) retry(id string, o RerunOptions) {
	w.t.Helper()
	if err := w.e.Retry(w.t.Context(), id, o); err != nil {
		w.t.Errorf("retry %s: %v", id, err)
	}
}

// close checks what was done, and that all that ended replays.
func (w *outage) close(done map[string]int) {
	w.t.Helper()
	if !maps.Equal(w.done, done) {
		w.t.Errorf("done %v, want %v", w.done, done)
	}
	list, err := w.e.List(w.t.Context(), backend.Filter{})
	if err != nil {
		w.t.Error(err)
	}
	for _, x := range list {
		if v, err := w.e.Replay(w.t.Context(), x.ID, ""); err != nil || !v.Fits {
			w.t.Errorf("replay of %s: %s %v", x.ID, v.Reason, err)
		}
	}
	w.stop()
	w.check()
}

// bothWays runs a test with and without replays at every wait.
func bothWays(t *testing.T, test func(t *testing.T, o Options)) {
	t.Helper()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) { test(t, Options{ReplayAlways: always}) })
	}
}
