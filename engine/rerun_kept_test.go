package engine

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// What succeeded after the failure is not done again by a rerun, whoever did it; what failed or was cancelled is.
func TestARerunKeepsWhatSucceededAfterTheFailure(t *testing.T) {
	t.Parallel()
	const head = `
fragile = activity("fragile")
pay = activity("pay")
deaf = activity("deaf")
far = activity("pay", max_concurrent = 2)
def kid(n):
    return pay(n, 2)
`
	for name, c := range map[string]struct {
		script, result, from string
		paid                 int
		cancel               bool
	}{
		"beside the failed step": {
			script: "def main():\n    return parallel([fragile, lambda: deaf(1)])\n",
			result: `[true,1]`, paid: 1,
		},
		"and its branch goes on": {
			script: "def main():\n    return parallel([fragile, lambda: [deaf(1), pay(2, 1)], lambda: [pay(3, 20), pay(4, 1)]])\n",
			result: `[true,[1,2],[3,4]]`, paid: 4,
		},
		"a task, a child, a signal and a timer": {
			script: `
def main():
    f = fragile.start()
    others = [far.start(1, 2), spawn(workflow(kid), 2), spawn(send_signal, info.id, "go", 7), timer("3s")]
    results = [attempt(o.result).value for o in others]
    return results + [f.result(), wait_signal("go"), signal("go").pending]
`,
			result: `[1,2,null,null,true,7,0]`, paid: 2,
		},
		"whatever failed besides": {
			script: `
def main():
    a, b, c = parallel([fragile, lambda: pay(1, 2), fragile.options(key = "other")], settle = True)
    return [a.unwrap(), b.unwrap(), c.unwrap()]
`,
			result: `[true,1,true]`, paid: 1,
		},
		"the one that is run again": {
			script: "def main():\n    f = fragile.attempt()\n    return parallel([lambda: pay(1, 2), lambda: deaf(2), fragile])\n",
			result: `[1,2,true]`, from: "2.3", paid: 2,
		},
		"in the order in which they came": {
			script: `
def main():
    f = fragile.start()
    out = []
    others = [spawn(lambda: out.append(pay(1, 3))), spawn(lambda: out.append(pay(2, 2)))]
    for o in others:
        attempt(o.result)
    return [f.result(), out]
`,
			result: `[true,[2,1]]`, paid: 2,
		},
		"after it was cancelled": {
			script: "def main():\n    return parallel([lambda: deaf(1), lambda: pay(2, 60)])\n",
			result: `[1,2]`, paid: 2, cancel: true,
		},
	} {
		for _, always := range []bool{false, true} {
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					var broken atomic.Bool
					broken.Store(true)
					w.register("fragile", func() (bool, error) {
						time.Sleep(time.Second)
						if broken.Load() {
							return false, activities.Fail("Broken", "not now", activities.NotRetryable())
						}
						return true, nil
					}, activities.Options{})
					var paid atomic.Int32
					w.register("pay", func(ctx context.Context, n, seconds int) (int, error) {
						select {
						case <-ctx.Done():
							return 0, ctx.Err()
						case <-time.After(time.Duration(seconds) * time.Second):
						}
						paid.Add(1)
						return n, nil
					}, activities.Options{})
					w.register("deaf", func(n int) (int, error) {
						time.Sleep(10 * time.Second)
						paid.Add(1)
						return n, nil
					}, activities.Options{})
					e, stop := w.engine(Options{ReplayAlways: always})
					defer stop()
					w.deploy(e, head+c.script)
					id := w.dispatch(e, Input{}, DispatchOptions{})
					time.Sleep(2500 * time.Millisecond)
					if c.cancel {
						if err := e.Cancel(t.Context(), id, "enough"); err != nil {
							t.Fatal(err)
						}
					}
					if r := w.finish(e, id); r.Failure == nil {
						t.Fatalf("it did not fail: %s", r.Value)
					}
					broken.Store(false)
					time.Sleep(time.Hour)
					if err := e.Retry(t.Context(), id, RerunOptions{From: c.from}); err != nil {
						t.Fatal(err)
					}
					want(t, w.finish(e, id), c.result)
					if n := int(paid.Load()); n != c.paid {
						t.Errorf("%d paid, want %d", n, c.paid)
					}
					if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
						t.Errorf("replay: %s %v", v.Reason, err)
					}
					stop()
					w.check()
				})
			})
		}
	}
}

// A failed attempt that a turn took which did not land is counted once, however often its script runs again.
func TestAKeptFailureIsCountedOnce(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.register("wobbly", func(ctx context.Context) (int, error) {
				time.Sleep(time.Second)
				if n := activities.Info(ctx).Attempt; n != 2 {
					return 0, activities.Fail("Broken", "not now")
				}
				return 2, nil
			}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 2, InitialDelay: time.Minute}})
			w.register("slow", func(n int) (int, error) {
				time.Sleep(time.Second)
				return n, nil
			}, activities.Options{})
			e, stop := w.engine(Options{MaxSteps: 10_000, ReplayAlways: always})
			w.deploy(e, `
slow = activity("slow")
def main():
    f = activity("wobbly").start()
    n = slow(50000)
    for i in range(n):
        pass
    return [f.result(), slow(1)]
`)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			time.Sleep(10 * time.Second)
			if x, err := e.State(t.Context(), id); err != nil || x.Stuck == nil {
				t.Fatalf("%+v %v", x, err)
			}
			stop()
			e, stop = w.engine(Options{ReplayAlways: always})
			want(t, w.finish(e, id), `[2,1]`)
			stop()
			w.check()
		})
	}
}

// A rerun begins a child that failed with the attempts that it has, none of which an earlier run or another fork has begun.
func TestARerunOfAChildHasAllItsAttempts(t *testing.T) {
	t.Parallel()
	for _, options := range []string{"", "id = \"k\", "} {
		for _, always := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				calls := 0
				w.register("wobbly", func() (int, error) {
					if calls++; calls%6 != 0 {
						return 0, activities.Fail("Broken", "not now")
					}
					return calls, nil
				}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
				e, stop := w.engine(Options{ReplayAlways: always})
				defer stop()
				w.deploy(e, `
def kid():
    return activity("wobbly")()
def main():
    return workflow(kid, `+options+`retry = retry_policy(max_attempts = 3))()
`)
				id := w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
				if r := w.finish(e, id); r.Failure == nil {
					t.Fatalf("it did not fail: %s", r.Value)
				}
				time.Sleep(5 * time.Minute)
				if err := e.Retry(t.Context(), id, RerunOptions{}); err != nil {
					t.Fatal(err)
				}
				want(t, w.finish(e, id), "6")
				h, err := e.History(t.Context(), id)
				if err != nil || !strings.HasSuffix(h.Steps[0].Target, "-6") {
					t.Errorf("%+v %v", h, err)
				}
				for _, n := range []string{"12", "18"} {
					fork, err := e.Fork(t.Context(), id, RerunOptions{From: "1", ID: "y" + n})
					if err != nil {
						t.Fatal(err)
					}
					if r := w.finish(e, fork); r.Failure == nil {
						t.Fatalf("%s did not fail: %s", fork, r.Value)
					}
					if err := e.Retry(t.Context(), fork, RerunOptions{}); err != nil {
						t.Fatal(err)
					}
					want(t, w.finish(e, fork), n)
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

// What is for a child goes to the one that was begun last, and that is shown.
func TestASignalForAChildThatWasBegunAgain(t *testing.T) {
	t.Parallel()
	for _, call := range []string{`f.signal("go", 7)`, `execution(f.id).signal("go", 7)`} {
		for _, always := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				calls := 0
				w.register("wobbly", func() (int, error) {
					if calls++; calls < 2 {
						return 0, activities.Fail("Broken", "not now")
					}
					return calls, nil
				}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
				e, stop := w.engine(Options{ReplayAlways: always})
				defer stop()
				w.deploy(e, `
def kid():
    return [activity("wobbly")(), wait_signal("go")]
def main():
    f = workflow(kid, retry = retry_policy(max_attempts = 2)).start()
    sleep("20s")
    `+call+`
    return f.result()
`)
				id := w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
				time.Sleep(10 * time.Second)
				if h, err := e.History(t.Context(), id); err != nil || h.Steps[0].Target != "x.1.1-2" {
					t.Errorf("%+v %v", h, err)
				}
				want(t, w.finish(e, id), "[2,7]")
				stop()
				w.check()
			})
		}
	}
}
