package engine

import (
	"context"
	"errors"
	"reflect"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

func TestADeadLetterIsReplayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var broken atomic.Bool
		broken.Store(true)
		w.register("fragile", func(n int) (int, error) {
			if broken.Load() {
				return 0, activities.Fail("Broken", "not now")
			}
			return n, nil
		}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
		e, stop := w.engine(Options{})
		w.deploy(e, `
fragile = activity("fragile")
def main(catch):
    return fragile.attempt(1).ok if catch else fragile(2)
`)
		caught := w.dispatch(e, JSON([]byte(`[true]`)), DispatchOptions{})
		failed := w.dispatch(e, JSON([]byte(`[false]`)), DispatchOptions{})
		w.finish(e, caught)
		w.finish(e, failed)
		broken.Store(false)
		letters, err := e.Letters(t.Context(), backend.LetterFilter{})
		if err != nil || len(letters) != 2 {
			t.Fatalf("%+v %v", letters, err)
		}
		for _, l := range letters {
			id, err := e.ReplayLetter(t.Context(), l, ReplayOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if l.Execution == failed {
				if id != failed {
					t.Errorf("the execution that failed was not continued, but %s begun", id)
				}
				want(t, w.finish(e, id), "2")
			} else {
				want(t, w.finish(e, id), "1")
			}
		}
		if left, err := e.Letters(t.Context(), backend.LetterFilter{}); err != nil || len(left) != 0 {
			t.Errorf("%+v %v", left, err)
		}
		stop()
		w.check()
	})
}

// undiscarding is a store whose process dies before it discards a dead letter.
type undiscarding struct{ backend.Store }

func (undiscarding) Discard(context.Context, []int64) (int64, error) { return 0, errDead }

// However often a letter is replayed, one after a crash or two at once, it runs once.
func TestADeadLetterRunsOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register("fragile", func(n int) (int, error) {
			w.count("fragile")
			if w.called("fragile") <= 2 {
				return 0, activities.Fail("Broken", "not now")
			}
			return n, nil
		}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
		e, stop := w.engine(Options{})
		w.deploy(e, `
fragile = activity("fragile")
def main():
    return [fragile.attempt(1).ok, fragile.attempt(2).ok]
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		want(t, w.finish(e, id), "[false,false]")
		letters, err := e.Letters(t.Context(), backend.LetterFilter{})
		if err != nil || len(letters) != 2 {
			t.Fatalf("%+v %v", letters, err)
		}
		dies, err := New(undiscarding{w.store}, w.reg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		first, err := dies.ReplayLetter(t.Context(), letters[0], ReplayOptions{})
		if !errors.Is(err, errDead) {
			t.Fatal(err)
		}
		want(t, w.finish(e, first), "2")
		if _, err := dies.ReplayLetter(t.Context(), letters[0], ReplayOptions{Args: []byte("[3]")}); !errors.Is(err, ErrRunAgain) {
			t.Errorf("with other arguments: %v", err)
		}
		if again, err := e.ReplayLetter(t.Context(), letters[0], ReplayOptions{}); err != nil || again != first {
			t.Errorf("%s after %s, %v", again, first, err)
		}
		var both sync.WaitGroup
		for _, by := range []*Engine{e, dies, e} {
			both.Go(func() {
				if _, err := by.ReplayLetter(t.Context(), letters[1], ReplayOptions{}); err != nil && !errors.Is(err, errDead) && !errors.Is(err, backend.ErrNotFound) {
					t.Error(err)
				}
			})
		}
		both.Wait()
		want(t, w.finish(e, letters[1].runsAs()), "1")
		if left, err := e.Letters(t.Context(), backend.LetterFilter{}); err != nil || len(left) != 0 || w.called("fragile") != 4 {
			t.Errorf("%+v left after %d calls, %v", left, w.called("fragile"), err)
		}
		stop()
		w.check()
	})
}

// A letter that runs as an execution of its own has the options of its step, each of them, and runs where its execution would have.
func TestADeadLetterKeepsItsOptions(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register("once", func(n int) error { w.count("once"); return activities.Fail("Broken", "as ever") }, activities.Options{Tags: []string{"gpu"}})
		e, stop := w.engine(Options{Queues: []string{"side"}})
		w.deploy(e, `
once = activity("once", retry = retry_policy(max_attempts = 1, initial_delay = "1.5s", max_delay = 0, backoff_factor = 1.5, jitter = 0, no_retry_for = ["Bad"]),
    timeout = "1m 30s", start_timeout = "2d", heartbeat = "250ms", priority = 3, tags = [], idempotent = True, key = lambda n: "k%d" % n,
    cache_ttl = "1h", version = "2", max_concurrent = 4, rate = "100/1m", max_crashes = 0)
def main():
    return once.attempt(1).ok
`)
		id := w.dispatch(e, Input{}, DispatchOptions{Queue: "side"})
		want(t, w.finish(e, id), "false")
		replay := func(execution string, o ReplayOptions) Letter {
			t.Helper()
			letters, err := e.Letters(t.Context(), backend.LetterFilter{Execution: execution})
			if err != nil || len(letters) != 1 {
				t.Fatalf("%+v %v", letters, err)
			}
			id, err := e.ReplayLetter(t.Context(), letters[0], o)
			if err != nil {
				t.Fatal(err)
			}
			if r := w.finish(e, id); r.Failure == nil || r.Failure.Kind != "Broken" || r.Execution.Queue != "side" {
				t.Errorf("%+v", r)
			}
			again, err := e.Letters(t.Context(), backend.LetterFilter{Execution: id})
			if err != nil || len(again) != 1 {
				t.Fatalf("%+v %v", again, err)
			}
			was, is := *letters[0].input.Options, *again[0].input.Options
			if o.Args != nil { // the key of other arguments is not theirs
				was.Key = nil
			}
			if o.Queue != "" {
				was.Queue = &o.Queue
			}
			if !reflect.DeepEqual(was, is) {
				t.Errorf("options %+v, were %+v", is, was)
			}
			return again[0]
		}
		l := replay(id, ReplayOptions{})
		if w.called("once") != 2 {
			t.Errorf("once ran %d times", w.called("once"))
		}
		replay(l.Execution, ReplayOptions{Args: []byte("[2]"), Queue: "side"})
		if w.called("once") != 3 {
			t.Errorf("once ran %d times", w.called("once"))
		}
		stop()
		w.check()
	})
}

// The dead letters of steps that a retry runs again go with it; those of failures that stay, and those of the original of a fork, do not.
func TestARetryTakesItsDeadLettersAlong(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			works := ""
			var calls []string
			w.register("fragile", func(name string) (string, error) {
				calls = append(calls, name)
				if !strings.Contains(works, name) {
					return "", activities.Fail("Broken", name)
				}
				return name, nil
			}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, `
fragile = activity("fragile")
def main(again = True):
    if again:
        fragile.attempt("z")
        continue_as_new(again = False)
    fragile.attempt("a")
    return [fragile("b"), fragile("c")]
`)
			id := w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
			steps := func(id string) string {
				letters, err := e.Letters(t.Context(), backend.LetterFilter{Execution: id})
				if err != nil {
					t.Fatal(err)
				}
				var list []string
				for _, l := range letters {
					list = append(list, string(l.Args))
				}
				return strings.Join(list, " ")
			}
			w.finish(e, id)
			if got := steps(id); got != `["b"] ["a"] ["z"]` {
				t.Fatalf("letters %s", got)
			}
			old, err := e.Letters(t.Context(), backend.LetterFilter{Execution: id, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			fork, err := e.Fork(t.Context(), id, RerunOptions{From: "2", ID: "y"})
			if err != nil {
				t.Fatal(err)
			}
			w.finish(e, fork)
			if got := steps(id) + ", " + steps(fork); got != `["b"] ["a"] ["z"], ["b"]` {
				t.Errorf("letters after a fork %s", got)
			}
			retry := func(now, from, left string) {
				t.Helper()
				works = now
				if err := e.Retry(t.Context(), id, RerunOptions{From: from}); err != nil {
					t.Fatal(err)
				}
				w.finish(e, id)
				if got := steps(id); got != left {
					t.Errorf("letters %s, want %s", got, left)
				}
			}
			retry("b", "", `["c"] ["a"] ["z"]`)
			// That of a is of an earlier run, and goes when a is run again.
			retry("ab", "1", `["c"] ["z"]`)
			if _, err := e.ReplayLetter(t.Context(), old[0], ReplayOptions{}); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("a letter that is gone: %v", err)
			}
			retry("abc", "", `["z"]`)
			want(t, w.finish(e, id), `["b","c"]`)
			// The letter of another run than those that were continued is none of theirs, though its step has the name of one.
			calls = nil
			letters, err := e.Letters(t.Context(), backend.LetterFilter{Execution: id, Limit: 1})
			if err != nil {
				t.Fatal(err)
			}
			works = "z"
			own, err := e.ReplayLetter(t.Context(), letters[0], ReplayOptions{})
			if err != nil {
				t.Fatal(err)
			}
			want(t, w.finish(e, own), `"z"`)
			if got := strings.Join(calls, ""); got != "z" {
				t.Errorf("called %s", got)
			}
			stop()
			w.check()
		})
	}
}

// keeper is a store whose reruns leave the dead letters, as earlier releases did.
type keeper struct{ backend.Store }

func (k keeper) Rerun(ctx context.Context, r backend.Rerun) error {
	r.Letters = nil
	return k.Store.Rerun(ctx, r)
}

func TestADeadLetterOfARepairedStepIsNotReplayed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		broken := true
		w.register("fragile", func(ctx context.Context) error {
			w.count("fragile")
			if broken {
				return activities.Fail("Broken", "not now")
			}
			time.Sleep(time.Minute)
			return nil
		}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
		e, stop := w.engineOn(keeper{w.store}, Options{})
		w.deploy(e, `
def main():
    activity("fragile")()
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		w.finish(e, id)
		letters, err := e.Letters(t.Context(), backend.LetterFilter{Execution: id})
		if err != nil || len(letters) != 1 {
			t.Fatalf("%+v %v", letters, err)
		}
		broken = false
		if err := e.Retry(t.Context(), id, RerunOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		refused := func(text string) {
			t.Helper()
			for _, o := range []ReplayOptions{{}, {Args: []byte("[]")}} {
				if _, err := e.ReplayLetter(t.Context(), letters[0], o); !errors.Is(err, ErrRunAgain) || !strings.Contains(err.Error(), text) {
					t.Errorf("replay: %v", err)
				}
			}
		}
		refused("step 1 (fragile) of execution " + id + " is under way again, in run 2")
		w.finish(e, id)
		refused("has succeeded since, in run 2; 'senpuki dlq discard 1'")
		if w.called("fragile") != 2 {
			t.Errorf("ran %d times", w.called("fragile"))
		}
		stop()
		w.check()
	})
}
