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

// mend loads code that is a script's, mended.
func (w *world) mend(e *Engine, script string) *Program {
	w.t.Helper()
	p, err := e.Load(w.t.Context(), fstest.MapFS{"test.star": {Data: []byte(script)}}, "test.star")
	if err != nil {
		w.t.Fatal(err)
	}
	return &p
}

// What happens to a rerun before a worker has it, and to what goes on from one that went live in the middle of a turn.
func TestAfterAMendedRerun(t *testing.T) {
	t.Parallel()
	const was = `
echo = activity("echo")
def kid(n):
    return n
def main():
    a = echo("a")
    f = echo.start("b")
    fail("x")
`
	is := strings.Replace(was, `    fail("x")`, `    c = workflow(kid)(3)
    return [a, f.result(), c, echo("d")]`, 1)
	for _, always := range []bool{false, true} {
		for _, upgraded := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{ReplayAlways: always})
				w.deploy(e, was)
				id := w.dispatch(e, Input{}, DispatchOptions{})
				w.finish(e, id)
				stop()
				if err := e.Retry(t.Context(), id, RerunOptions{Code: w.mend(e, is)}); err != nil {
					t.Fatal(err)
				}
				if upgraded {
					other := w.mend(e, is+"# other\n")
					if err := e.Store(t.Context(), *other); err != nil {
						t.Fatal(err)
					}
					v, err := e.Upgrade(t.Context(), id, other.Digest)
					if err != nil || !v.Fits {
						t.Fatalf("%+v, %v", v, err)
					}
				}
				e, stop = w.engine(Options{ReplayAlways: always})
				want(t, w.finish(e, id), `["a","b",3,"d"]`)
				// A third run finds the child that the second has asked for behind what it had copied.
				for _, from := range []string{"3", "4"} {
					fork, err := e.Fork(t.Context(), id, RerunOptions{From: from})
					if err != nil {
						t.Fatal(err)
					}
					want(t, w.finish(e, fork), `["a","b",3,"d"]`)
					if v, err := e.Replay(t.Context(), fork, ""); err != nil || !v.Fits {
						t.Errorf("replay: %s %v", v.Reason, err)
					}
				}
				stop()
				w.check()
			})
		}
	}
}

// A rerun from behind a cancel has the time to clean up that the run before had.
func TestARerunFromBehindACancelMayCleanUp(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			broken := true
			w.register("undo", func() error {
				if broken {
					return activities.Fail("Broken", "not now", activities.NotRetryable())
				}
				return nil
			}, activities.Options{})
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, `
def clean():
    sleep(1)
    activity("undo")()
    activity("echo")("clean")
def main():
    defer(clean)
    sleep("1h")
`)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			time.Sleep(time.Second)
			if err := e.Cancel(t.Context(), id, "enough"); err != nil {
				t.Fatal(err)
			}
			w.finish(e, id)
			broken = false
			time.Sleep(time.Hour)
			if err := e.Retry(t.Context(), id, RerunOptions{From: "3"}); err != nil {
				t.Fatal(err)
			}
			w.finish(e, id)
			if n := w.called("echo"); n != 1 {
				t.Errorf("it has cleaned up %d times", n)
			}
			if x, err := e.State(t.Context(), id); err != nil || x.State != backend.Cancelled || x.Failure == nil || x.Failure.Message != "enough" {
				t.Errorf("%s %v %v", x.State, x.Failure, err)
			}
			stop()
			w.check()
		})
	}
}

// A rerun that goes live in the middle of a turn, with a task, a child and a timer under way and a value kept, survives a death at every commit.
func TestCrashOfAMendedRerun(t *testing.T) {
	t.Parallel()
	const was = `
add = activity("add")
far = activity("add", max_concurrent = 2)
late = activity("late")
def kid(n):
    sleep("2s")
    return far(n, n)
def bad():
    n = add(1, 1)
    log.info("added")
    fail("x")
def main():
    return parallel([bad, lambda: workflow(kid)(3), lambda: [sleep("3s"), far(4, 4)][1], lambda: late(9)])
`
	is := strings.Replace(was, `    fail("x")`, `    f = far.start(n, 10)
    m = workflow(kid)(n)
    log.info("gone on")
    return [n, f.result(), m, add(m, 1)]`, 1)
	dieEverywhere(t, 7, func(t *testing.T, w *world) (check func()) {
		late := 0
		w.register("late", func(n int) (int, error) {
			time.Sleep(time.Minute)
			late++
			return n, nil
		}, activities.Options{})
		e, stop := w.engine(Options{})
		w.deploy(e, was)
		w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
		w.finish(e, "x")
		stop()
		if err := e.Retry(t.Context(), "x", RerunOptions{Code: w.mend(e, is)}); err != nil {
			t.Fatal(err)
		}
		return func() {
			if late != 1 {
				t.Errorf("what succeeded after the failure was done %d times", late)
			}
		}
	}, `[[2,12,4,5],6,8,9]`)
}

// dieEverywhere runs execution x, once for each of its commits, on a worker that dies before or after that commit, and then to its
// end on another. There must be more than so many commits.
func dieEverywhere(t *testing.T, commits int, begin func(*testing.T, *world) (check func()), result string) {
	t.Helper()
	for _, always := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			for i := 1; ; i++ {
				died := false
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					check := begin(t, w)
					store := &crashing{Store: w.store, at: i, after: after, dead: make(chan struct{})}
					e, stop := w.engineOn(store, Options{ReplayAlways: always})
					ctx, cancel := context.WithCancel(context.Background())
					ended := make(chan struct{})
					go func() {
						defer close(ended)
						_ = waitSilently(ctx, e)
					}()
					select {
					case <-store.dead:
						died = true
						e.Kill()
					case <-ended:
					}
					cancel()
					<-ended
					stop()
					if died {
						e, stop = w.engine(Options{ReplayAlways: always})
						want(t, w.finish(e, "x"), result)
						stop()
					}
					check()
					w.check()
					checkHistory(t, e, "x")
				})
				if !died || t.Failed() {
					if i <= commits {
						t.Errorf("only %d commits", i-1)
					}
					break
				}
			}
		}
	}
}
