package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// What has to do with others, or with time, when a run goes on after a failure.
func TestRerunOfWhatConcernsOthers(t *testing.T) {
	t.Parallel()
	type tally = map[string]int
	for name, c := range map[string]struct {
		script   string
		failures tally
		options  DispatchOptions
		between  func(w *outage)
		from     string
		result   string
		done     tally
	}{
		"a limit stands still": {
			script:   "def main():\n    return timeout(\"1m\", act, \"fragile\", 1)\n",
			failures: tally{"fragile": 1}, result: `"fragile"`, done: tally{"fragile": 1},
		},
		"the limits of a fan-out and of a future": {
			script: `
def main():
    f = act.start("slow", 50)
    return parallel([lambda: act("fragile", 5), lambda: f.result(timeout = "1m")], timeout = "2m")
`,
			failures: tally{"fragile": 1}, result: `["fragile","slow"]`, done: tally{"fragile": 1, "slow": 1},
		},
		"what is left of a limit": {
			script: `
def main():
    r = attempt(timeout, "10s", lambda: [act("first", 6), act("fragile", 3), act("late", 2)])
    if r.error.kind == "Down":
        r.error.reraise()
    return r.error.kind
`,
			failures: tally{"fragile": 1}, result: `"Timeout"`, done: tally{"first": 1, "fragile": 1},
		},
		"a child that outlived its parent, over": {
			script: `
def kid():
    return act("pay", 30)
def main():
    f = workflow(kid, on_parent_close = "abandon").start()
    act("fragile", 1)
    return f.result()
`,
			failures: tally{"fragile": 1}, result: `"pay"`, done: tally{"fragile": 1, "pay": 1},
		},
		"a child that outlived its parent, under way": {
			script: `
def kid():
    return act("pay", 30)
def main():
    f = workflow(kid, on_parent_close = "abandon").start()
    act("fragile", 1)
    return f.result()
`,
			failures: tally{"fragile": 1}, between: func(w *outage) { time.Sleep(time.Second) },
			result: `"pay"`, done: tally{"fragile": 1, "pay": 1},
		},
		"a child that was mended by itself": {
			script: `
def kid():
    return [act("pay", 1), act("fragile", 1)]
def main():
    return workflow(kid)()
`,
			failures: tally{"fragile": 1}, between: func(w *outage) {
				w.retry("x.1.1", RerunOptions{})
				w.finish(w.e, "x.1.1")
			},
			result: `["pay","fragile"]`, done: tally{"fragile": 1, "pay": 1},
		},
		"a child that is being mended": {
			script: `
def kid():
    return [act("pay", 1), act("fragile", 20)]
def main():
    return workflow(kid)()
`,
			failures: tally{"fragile": 1}, between: func(w *outage) {
				w.retry("x.1.1", RerunOptions{})
				time.Sleep(time.Second)
			},
			result: `["pay","fragile"]`, done: tally{"fragile": 1, "pay": 1},
		},
		"a child's expiry": {
			script: `
def kid():
    return act("pay", 30)
def main():
    f = workflow(kid, expiry = "5m").start()
    act("fragile", 1)
    return f.result()
`,
			failures: tally{"fragile": 1}, result: `"pay"`, done: tally{"fragile": 1, "pay": 1},
		},
		"the signals of a child": {
			script: `
def kid():
    g = wait_signal("go")
    sleep("1m")
    return g
def main():
    f = workflow(kid).start()
    f.signal("go", 7)
    act("fragile", 1)
    return f.result()
`,
			failures: tally{"fragile": 1}, result: `7`, done: tally{"fragile": 1},
		},
		"a cached result whose time is over": {
			script: `
def main():
    slow = deaf.options(cached = True, cache_ttl = "1m")
    return parallel([lambda: act("fragile", 1), lambda: slow("slow", 10)])
`,
			failures: tally{"fragile": 1}, result: `["fragile","slow"]`, done: tally{"fragile": 1, "slow": 1},
		},
		"ended again before anybody has it": {
			script: `
def main():
    return parallel([lambda: act("fragile", 1), lambda: [deaf("slow", 10), act("after", 1)]])
`,
			failures: tally{"fragile": 1}, between: func(w *outage) {
				w.stop()
				client, err := New(w.store, w.reg, Options{})
				if err != nil {
					w.t.Fatal(err)
				}
				if err := errors.Join(client.Retry(w.t.Context(), "x", RerunOptions{}), client.End(w.t.Context(), "x", "enough")); err != nil {
					w.t.Error(err)
				}
				w.e, w.stop = w.engine(w.e.options)
				w.fails("x")
			},
			result: `["fragile",["slow","after"]]`, done: tally{"fragile": 1, "slow": 1, "after": 1},
		},
		"an own id, from an earlier step": {
			script: `
def kid():
    return act("kid", 1)
def main():
    return [act("one", 1), workflow(kid, id = "k")(), act("fragile", 1)]
`,
			failures: tally{"fragile": 1}, from: "1", result: `["one","kid","fragile"]`, done: tally{"one": 2, "kid": 2, "fragile": 1},
		},
		"an own id, tried again as a whole": {
			script: `
def kid():
    return act("kid", 1)
def main():
    return [workflow(kid, id = "k")(), act("fragile", 1)]
`,
			failures: tally{"fragile": 4}, options: DispatchOptions{Retry: &activities.RetryPolicy{MaxAttempts: 3}},
			from: "2", between: func(w *outage) { w.failures["fragile"] = 0 }, result: `["kid","fragile"]`, done: tally{"kid": 3, "fragile": 1},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(t *testing.T, o Options) {
				w := newOutage(t, o, c.script, c.failures)
				w.begin(c.options)
				if c.between == nil {
					time.Sleep(time.Hour)
				} else {
					c.between(w)
				}
				w.retry("x", RerunOptions{From: c.from})
				want(t, w.finish(w.e, "x"), c.result)
				w.close(c.done)
			})
		})
	}
}

// A rerun that takes over what has come of its children, waits for one that still runs and begins others again survives a death at
// every commit.
func TestCrashOfARerunWithChildren(t *testing.T) {
	t.Parallel()
	dieEverywhere(t, 7, func(t *testing.T, w *world) (check func()) {
		var calls atomic.Int64 // one that dies is not waited for
		w.register("wobbly", func() error {
			if calls.Add(1) == 1 {
				return activities.Fail("Broken", "not now", activities.NotRetryable())
			}
			return nil
		}, activities.Options{})
		e, stop := w.engine(Options{})
		w.deploy(e, `
def quick(n):
    return activity("echo")(n)
def slow(n):
    sleep("10m")
    return activity("echo")(n)
def told(n):
    x = wait_signal("go")
    sleep("1m")
    return activity("add")(n, x)
def main():
    a = workflow(quick, on_parent_close = "abandon").start(1)
    b = workflow(slow, on_parent_close = "abandon").start(2)
    c = workflow(told).start(3)
    c.signal("go", 5)
    activity("wobbly")()
    return timeout("1h", lambda: [a.result(), b.result(), c.result()])
`)
		w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
		w.finish(e, "x")
		time.Sleep(time.Minute)
		stop()
		if err := e.Retry(t.Context(), "x", RerunOptions{}); err != nil {
			t.Fatal(err)
		}
		return func() {
			list, err := w.store.List(t.Context(), backend.Filter{})
			if err != nil || len(list) != 5 { // the third child was begun again
				t.Errorf("%d executions, %v", len(list), err)
			}
		}
	}, "[1,2,8]")
}

// A retry by itself of a child whose parent waits for its next attempt is what the parent gets, and what earlier
// attempts of a child have left as dead letters goes when the next begins, to which their signals are given.
func TestTheNextAttemptOfAChild(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		between func(w *outage)
		result  string
		pays    int
	}{
		"by its parent": {func(*outage) {}, `["pay",7,"fragile"]`, 2},
		"by hand":       {func(w *outage) { w.retry("x.1.1", RerunOptions{}) }, `["pay",7,"fragile"]`, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(t *testing.T, o Options) {
				w := newOutage(t, o, `
def kid():
    return [act("pay", 1), wait_signal("go"), act("fragile", 1)]
def main():
    f = workflow(kid, retry = retry_policy(max_attempts = 2, initial_delay = "1m", jitter = 0)).start()
    f.signal("go", 7)
    return f.result(timeout = "5m")
`, map[string]int{"fragile": 1})
				w.dispatch(w.e, Input{}, DispatchOptions{ID: "x"})
				time.Sleep(10 * time.Second)
				c.between(w)
				want(t, w.finish(w.e, "x"), c.result)
				if letters, err := w.e.Letters(t.Context(), backend.LetterFilter{}); err != nil || len(letters) > 0 {
					t.Errorf("%+v %v", letters, err)
				}
				w.close(map[string]int{"pay": c.pays, "fragile": 1})
			})
		})
	}
}

// A named workflow that is begun again as a child has the newest code.
func TestAChildIsBegunAgainOnTheNewestCode(t *testing.T) {
	t.Parallel()
	for _, options := range []string{"", ", retry = retry_policy(max_attempts = 2, initial_delay = \"1m\")"} {
		bothWays(t, func(t *testing.T, o Options) {
			w := newOutage(t, o, "def main():\n    return workflow(\"kid\""+options+")()\n", nil)
			deploy := func(script string) {
				if _, err := w.e.Deploy(t.Context(), fstest.MapFS{"kid.star": {Data: []byte(script)}}, "kid.star"); err != nil {
					t.Error(err)
				}
			}
			deploy("def main():\n    return {}[1]\n")
			w.dispatch(w.e, Input{}, DispatchOptions{ID: "x"})
			if options == "" {
				w.fails("x")
			} else {
				time.Sleep(10 * time.Second)
			}
			deploy("def main():\n    return 1\n")
			if options == "" {
				w.retry("x", RerunOptions{})
			}
			want(t, w.finish(w.e, "x"), "1")
			w.close(nil)
		})
	}
}

// A compensation that failed like the step that it was to undo is not taken for it.
func TestRetryKnowsTheStepThatEndedTheRun(t *testing.T) {
	t.Parallel()
	for _, script := range []string{`
def main():
    def body(s):
        s.step(act, "reserve", 1, undo = bind(act, "release", 1))
        return s.step(act, "charge", 1)
    return saga(body)
`, `
def main():
    r = attempt(act, "charge", 1)
    if r.error:
        attempt(act, "release", 1)
        r.error.reraise()
`} {
		bothWays(t, func(t *testing.T, o Options) {
			w := newOutage(t, o, script, map[string]int{"charge": 1, "release": 1})
			w.begin(DispatchOptions{})
			err := w.e.Retry(t.Context(), "x", RerunOptions{})
			if !errors.Is(err, ErrCannotRetry) || !strings.Contains(err.Error(), "began other steps after") {
				t.Errorf("%v", err)
			}
			done := w.done
			w.close(done)
		})
	}
}

// A signal that was acknowledged is there for the run that goes on, however the one before was ended.
func TestSignalsOutliveAnEndWithoutTheScript(t *testing.T) {
	t.Parallel()
	const drains = "def main():\n    act(\"slow\", 30)\n    sleep(\"1s\")\n    return [wait_signal(\"go\", timeout = \"1m\", default = None), signal(\"go\").drain()]\n"
	for name, c := range map[string]struct {
		options DispatchOptions
		idle    bool // no worker until it has ended
		end     func(w *outage) error
	}{
		"at work":           {end: func(w *outage) error { return w.e.End(w.t.Context(), "x", "now") }},
		"without a worker":  {idle: true, end: func(w *outage) error { return w.e.End(w.t.Context(), "x", "now") }},
		"cancelled":         {end: func(w *outage) error { return w.e.Cancel(w.t.Context(), "x", "now") }},
		"before it began":   {options: DispatchOptions{Delay: time.Hour}, end: func(w *outage) error { return w.e.Cancel(w.t.Context(), "x", "now") }},
		"expired":           {options: DispatchOptions{Expiry: 10 * time.Second}, end: func(*outage) error { return nil }},
		"expired, unworked": {options: DispatchOptions{Expiry: 10 * time.Second}, idle: true, end: func(*outage) error { time.Sleep(time.Hour); return nil }},
		"between two tries": {
			options: DispatchOptions{Retry: &activities.RetryPolicy{MaxAttempts: 3, InitialDelay: time.Hour, MaxDelay: time.Hour}},
			end:     func(w *outage) error { return w.e.Cancel(w.t.Context(), "x", "now") },
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(t *testing.T, o Options) {
				script, failures := drains, map[string]int(nil)
				if c.options.Retry != nil {
					script, failures = strings.Replace(drains, "30", "1", 1), map[string]int{"slow": 1}
				}
				w := newOutage(t, o, script, failures)
				if c.idle {
					w.stop()
					client, err := New(w.store, w.reg, Options{})
					if err != nil {
						t.Fatal(err)
					}
					w.e, w.stop = client, func() {}
				}
				c.options.ID = "x"
				w.dispatch(w.e, Input{}, c.options)
				time.Sleep(3 * time.Second)
				for _, n := range []string{"1", "2"} {
					if err := w.e.Signal(t.Context(), "x", "go", []byte(n)); err != nil {
						t.Error(err)
					}
				}
				time.Sleep(time.Second)
				if err := c.end(w); err != nil {
					t.Error(err)
				}
				if c.idle {
					w.e, w.stop = w.engine(o)
				}
				w.fails("x")
				w.retry("x", RerunOptions{})
				want(t, w.finish(w.e, "x"), `[1,[2]]`)
				w.close(map[string]int{"slow": 1})
			})
		})
	}
}

// knocking is a store that calls before ahead of a commit which ends an execution.
type knocking struct {
	backend.Store
	before func()
}

func (k *knocking) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if slices.ContainsFunc(b.Turns, func(t backend.Turn) bool { return t.Then == backend.Finish }) {
		k.before()
	}
	return k.Store.Commit(ctx, b)
}

// Another process signals an execution while that ends: what it was told is there is for the run that goes on.
func TestSignalsInTheInstantOfAnEnd(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		end  func(w *outage) error // nil: a step fails
		from string
		done map[string]int
	}{
		"a step fails":                    {done: map[string]int{"first": 1, "slow": 1}},
		"from before it":                  {from: "1", done: map[string]int{"first": 2, "slow": 1}},
		"ended":                           {end: func(w *outage) error { return w.e.End(w.t.Context(), "x", "now") }, done: map[string]int{"first": 1, "slow": 1}},
		"cancelled":                       {end: func(w *outage) error { return w.e.Cancel(w.t.Context(), "x", "now") }, done: map[string]int{"first": 1, "slow": 1}},
		"cancelled, and from before that": {end: func(w *outage) error { return w.e.Cancel(w.t.Context(), "x", "now") }, from: "1", done: map[string]int{"first": 2, "slow": 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(t *testing.T, o Options) {
				failures := map[string]int{"slow": 1}
				if c.end != nil {
					failures = nil
				}
				w := newOutage(t, o, "def main():\n    act(\"first\", 1)\n    act(\"slow\", 5)\n    return signal(\"go\").drain()\n", failures)
				w.stop()
				client, err := New(w.store, w.reg, Options{})
				if err != nil {
					t.Fatal(err)
				}
				var sent []string
				signal := func() {
					n := fmt.Sprint(len(sent) + 1)
					if err := client.Signal(context.Background(), "x", "go", []byte(n)); err != nil {
						t.Error(err)
					}
					sent = append(sent, n)
				}
				store := &knocking{w.store, signal}
				w.e, w.stop = w.engineOn(store, o)
				w.dispatch(w.e, Input{}, DispatchOptions{ID: "x"})
				time.Sleep(3 * time.Second)
				signal()
				time.Sleep(time.Second)
				if c.end != nil {
					if err := c.end(w); err != nil {
						t.Error(err)
					}
				}
				w.fails("x")
				if err := client.Signal(t.Context(), "x", "go", []byte("9")); !errors.Is(err, backend.ErrClosed) {
					t.Errorf("a signal after the end: %v", err)
				}
				store.before = func() {}
				w.retry("x", RerunOptions{From: c.from})
				want(t, w.finish(w.e, "x"), "["+strings.Join(sent, ",")+"]")
				if len(sent) != 2 {
					t.Errorf("sent %v", sent)
				}
				w.close(c.done)
			})
		})
	}
}

// A loop of runs may begin a child under the same id in each, and two forks theirs.
func TestAnOwnIDInLaterRunsAndForks(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, o Options) {
		w := newOutage(t, o, `
def kid():
    return act("kid", 1)
def main(n = 0):
    r = workflow(kid, id = "k")()
    if n < 5:
        continue_as_new(n + 1)
    return act(r, 1)
`, nil)
		w.dispatch(w.e, Input{}, DispatchOptions{ID: "x"})
		want(t, w.finish(w.e, "x"), `"kid"`)
		for range 2 {
			fork, err := w.e.Fork(t.Context(), "x", RerunOptions{From: "1"})
			if err != nil {
				t.Error(err)
			}
			want(t, w.finish(w.e, fork), `"kid"`)
		}
		w.close(map[string]int{"kid": 6 + 1 + 2*2})
	})
}

// An id that is free again may be used, though children of the execution that had it are still there.
func TestAnIDThatIsUsedAgain(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, o Options) {
		w := newOutage(t, o, `
def kid():
    return wait_signal("go")
def main():
    f = workflow(kid, on_parent_close = "abandon").start()
    sleep("1s")
    return f.id
`, nil)
		for _, id := range []string{"x.1.1", "x.1.1-2"} {
			w.dispatch(w.e, Input{}, DispatchOptions{ID: "x"})
			want(t, w.finish(w.e, "x"), `"x.1.1"`)
			if _, err := w.store.Collect(t.Context(), backend.Retention{Completed: time.Now().Add(time.Hour)}); err != nil {
				t.Error(err)
			}
			if x, err := w.e.State(t.Context(), id); err != nil || x.State.Terminal() {
				t.Errorf("%s: %s %v", id, x.State, err)
			}
		}
		for _, id := range []string{"x.1.1", "x.1.1-2"} {
			if err := w.e.Signal(t.Context(), id, "go", []byte("7")); err != nil {
				t.Error(err)
			}
			want(t, w.finish(w.e, id), "7")
		}
		w.close(nil)
	})
}

// Whoever goes on from a step that ended as the execution was cancelled is not cancelled again.
func TestARerunFromAStepThatWasCancelled(t *testing.T) {
	t.Parallel()
	for from, done := range map[string]map[string]int{
		"2": {"one": 1, "two": 1, "clean": 2},
		"3": {"one": 1, "clean": 2}, // the clean-up itself
	} {
		for _, expiry := range []time.Duration{0, 5 * time.Second} {
			bothWays(t, func(t *testing.T, o Options) {
				w := newOutage(t, o, `
def main():
    defer(act, "clean", 1)
    return [act("one", 1), act("two", 10)]
`, nil)
				w.dispatch(w.e, Input{}, DispatchOptions{ID: "x", Expiry: expiry})
				time.Sleep(4 * time.Second)
				if expiry == 0 {
					if err := w.e.Cancel(t.Context(), "x", "enough"); err != nil {
						t.Error(err)
					}
				}
				w.fails("x")
				w.retry("x", RerunOptions{From: from})
				if from == "2" {
					want(t, w.finish(w.e, "x"), `["one","two"]`)
				} else {
					w.fails("x")
				}
				w.close(done)
			})
		}
	}
}
