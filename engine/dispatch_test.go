package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// A process that works itself dispatches also when its session was lost, as of a machine that was suspended.
func TestDispatchWithoutASession(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, "def main(n):\n    return activity(\"add\")(n, 1)\n")
		synctest.Wait()
		for i, o := range []DispatchOptions{{}, {Here: true}, {Here: true, Queue: "far"}, {ID: "again"}, {ID: "again"}} {
			if err := w.store.Revoke(t.Context(), e.Health().Session); err != nil {
				t.Fatal(err)
			}
			n := i
			if o.ID != "" {
				n = 9
			}
			want(t, w.finish(e, w.dispatch(e, Input{Args: []any{n}}, o)), fmt.Sprint(n+1))
		}
		if n := w.called("add"); n != 4 {
			t.Errorf("%d calls", n)
		}
		stop()
		w.check()
	})
}

// cutting is a store to which something happens at a new execution.
type cutting struct {
	backend.Store
	cut func(ctx context.Context, b backend.Batch) error
}

func (c *cutting) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if c.cut != nil && b.Session != 0 && len(b.Create) > 0 {
		cut := c.cut
		c.cut = nil
		if err := cut(ctx, b); err != nil {
			return backend.Reply{}, err
		}
	}
	return c.Store.Commit(ctx, b)
}

// The session is lost while a dispatch is under way that has landed, but not answered: it is one execution.
func TestDispatchThatLandsWithALostSession(t *testing.T) {
	t.Parallel()
	for _, o := range []DispatchOptions{{}, {Here: true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			store := &cutting{Store: w.store}
			e, stop := w.engineOn(store, Options{})
			w.deploy(e, "def main(n):\n    return activity(\"add\")(n, 1)\n")
			synctest.Wait()
			store.cut = func(ctx context.Context, b backend.Batch) error {
				_, err := w.store.Commit(ctx, b)
				return errors.Join(errors.New("the connection broke"), err, w.store.Revoke(ctx, b.Session))
			}
			want(t, w.finish(e, w.dispatch(e, Input{Args: []any{1}}, o)), "2")
			if all, err := e.List(t.Context(), backend.Filter{}); err != nil || len(all) != 1 || w.called("add") != 1 {
				t.Errorf("%d executions, %d calls, %v", len(all), w.called("add"), err)
			}
			stop()
			w.check()
		})
	}
}

// What is on its way when the engine is killed is dispatched for others.
func TestDispatchAtAKill(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &cutting{Store: w.store}
		e, stop := w.engineOn(store, Options{})
		w.deploy(e, "def main(n):\n    return activity(\"add\")(n, 1)\n")
		synctest.Wait()
		store.cut = func(ctx context.Context, b backend.Batch) error {
			e.Kill()
			return ctx.Err()
		}
		id := w.dispatch(e, Input{Args: []any{1}}, DispatchOptions{})
		stop()
		other, stop := w.engine(Options{})
		want(t, w.finish(other, id), "2")
		stop()
		w.check()
	})
}

// A job whose id is taken costs no other its beginning.
func TestDispatchAllWithIDsThatAreTaken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{Hold: true})
		w.deploy(e, "def main(n):\n    return n\n")
		jobs := make([]Job, maxCreated+3)
		for i := range jobs {
			jobs[i] = Job{Input{Args: []any{i}}, DispatchOptions{ID: fmt.Sprint("job-", i), Here: true}}
		}
		taken := map[int]bool{1: true, 2: true, maxCreated + 1: true}
		for i := range taken {
			want(t, w.finish(e, w.dispatch(e, Input{Args: []any{-1}}, jobs[i].Options)), "-1")
		}
		ids, err := e.DispatchAll(t.Context(), "test", jobs)
		if conflict, ok := errors.AsType[*ConflictError](err); !ok || conflict.ID != "job-1" || len(ids) != len(jobs) {
			t.Fatalf("%d ids, %v", len(ids), err)
		}
		for i, id := range ids {
			if taken[i] != (id == "") {
				t.Fatalf("job %d has the id %q", i, id)
			}
			if id != "" {
				want(t, w.finish(e, id), fmt.Sprint(i))
			}
		}
		stop()
		w.check()
	})
}

func TestInputThatCannotBeStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, "def main(x):\n    return activity(\"echo\")(x)\n")
		id := w.dispatch(e, JSON([]byte("[\"a\xffb\"]")), DispatchOptions{})
		want(t, w.finish(e, id), "\"a\uFFFDb\"")
		if x, err := e.State(t.Context(), id); err != nil || string(x.Input) != "[\"a\uFFFDb\"]" {
			t.Errorf("input %q %v", x.Input, err)
		}
		for _, in := range []Input{JSON([]byte("[[1e999]]")), {Args: []any{[]any{json.Number("1e999")}}}} {
			if _, err := e.Dispatch(t.Context(), "test", in, DispatchOptions{}); err == nil || !strings.Contains(err.Error(), "at [0][0]: ") {
				t.Errorf("dispatched with %v", err)
			}
		}
		if err := e.Signal(t.Context(), id, "x", []byte(`{"a":1e999}`)); err == nil || !strings.Contains(err.Error(), `at ["a"]: `) {
			t.Errorf("signalled with %v", err)
		}
		stop()
		w.check()
	})
}

// Together a delay and an expiry may be longer than any Duration.
func TestTheLongestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, "def main():\n    sleep(5)\n    return 1\n")
		for _, delay := range []time.Duration{0, time.Second, time.Minute} {
			r := w.finish(e, w.dispatch(e, Input{}, DispatchOptions{Delay: delay, Expiry: math.MaxInt64}))
			want(t, r, "1")
			if at := time.Now().Add(math.MaxInt64 - 24*time.Hour); r.Execution.Expires.Before(at) {
				t.Errorf("expires %v", r.Execution.Expires)
			}
		}
		stop()
		w.check()
	})
}

// A dispatch that finds its id taken changes nothing about what this process was told to run.
func TestAConflictDisownsNothing(t *testing.T) {
	t.Parallel()
	for _, here := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{Hold: true})
			w.deploy(e, "def main(n):\n    return activity(\"nap\")(n)\n")
			id := w.dispatch(e, Input{Args: []any{5000}}, DispatchOptions{Here: true})
			if _, err := e.Dispatch(t.Context(), "test", Input{Args: []any{1}}, DispatchOptions{ID: id, Here: here}); err == nil {
				t.Error("other input is no conflict")
			}
			if err := w.store.Revoke(t.Context(), e.Health().Session); err != nil { // the next session is to go on with it
				t.Fatal(err)
			}
			want(t, w.finish(e, id), "5000")
			stop()
			w.check()
		})
	}
}

// meanwhile deploys once while a look for the newest deployments is under way.
type meanwhile struct {
	backend.Store
	deploy func()
}

func (m *meanwhile) Deployments(ctx context.Context, workflow string) ([]backend.Deployment, error) {
	found, err := m.Store.Deployments(ctx, workflow)
	if deploy := m.deploy; deploy != nil {
		m.deploy = nil
		deploy()
	}
	return found, err
}

// What a process has deployed is what it dispatches, also when a look for the newest code was under way.
func TestDispatchTakesWhatWasJustDeployed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	store := &meanwhile{Store: w.store}
	e, err := New(store, w.reg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	deploy := func(text string) string {
		t.Helper()
		d, err := e.Deploy(t.Context(), fstest.MapFS{"flow.star": {Data: []byte(text)}}, "flow.star")
		if err != nil {
			t.Fatal(err)
		}
		return d[0].Digest
	}
	old := deploy("def main(): return 1\n")
	newer := ""
	store.deploy = func() { newer = deploy("def main(): return 2\n") }
	for _, d := range []struct {
		id   string
		want *string
	}{{"first", &old}, {"second", &newer}} {
		if _, err := e.Dispatch(t.Context(), "flow", Input{}, DispatchOptions{ID: d.id}); err != nil {
			t.Fatal(err)
		}
		if x, err := e.State(t.Context(), d.id); err != nil || x.Digest != *d.want {
			t.Errorf("%s runs %.8s, %v, want %.8s", d.id, x.Digest, err, *d.want)
		}
	}
	w.check()
}
