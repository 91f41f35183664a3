package engine

import (
	"testing"
	"time"
)

// A step that is named is run again, what it was cancelled for included, and its child gets once what it is sent.
func TestRerunFromAStep(t *testing.T) {
	t.Parallel()
	type tally = map[string]int
	for name, c := range map[string]struct {
		script   string
		failures tally
		fork     bool // of one that completes
		from     string
		result   string
		done     tally
	}{
		"a child that completed": {
			script: `
def kid():
    return act("kid", 1)
def main():
    return [workflow(kid)(), act("fragile", 1)]
`,
			failures: tally{"fragile": 1}, from: "1", result: `["kid","fragile"]`, done: tally{"kid": 2, "fragile": 1},
		},
		"what a limit cut": {
			script:   "def main():\n    return timeout(\"10s\", act, \"slow\", 9 if info.run > 1 else 20)\n",
			failures: nil, from: "1.1", result: ``,
		},
		"a wait that a limit cut": {
			script:   "def main():\n    return wait_signal(\"go\", timeout = \"10s\")\n",
			failures: nil, from: "1", result: `7`,
		},
		"a sibling of what failed": {
			script:   "def main():\n    return parallel([lambda: act(\"fragile\", 1), lambda: act(\"slow\", 5)])\n",
			failures: tally{"fragile": 1}, from: "1.2.1", result: `["fragile","slow"]`, done: tally{"fragile": 1, "slow": 1},
		},
		"a signal that is sent again": {
			script: `
def kid():
    a = wait_signal("go")
    sleep("1m")
    return [a] + signal("go").drain()
def main():
    f = workflow(kid).start()
    f.signal("go", 7)
    r = attempt(act, "fragile", 5)
    f.signal("go", 7)
    act("two", 1)
    if r.error:
        r.error.reraise()
    return f.result()
`,
			failures: tally{"fragile": 1}, from: "3", result: `[7,7]`, done: tally{"fragile": 1, "two": 2},
		},
		"a signal that a fork sends again": {
			script: `
def kid():
    sleep("1m")
    return signal("go").drain()
def main():
    f = workflow(kid).start()
    act("one", 1)
    f.signal("go", 7)
    return f.result()
`,
			fork: true, from: "2", result: `[7]`, done: tally{"one": 2},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bothWays(t, func(t *testing.T, o Options) {
				w := newOutage(t, o, c.script, c.failures)
				id := w.dispatch(w.e, Input{}, DispatchOptions{ID: "x"})
				if c.fork {
					want(t, w.finish(w.e, id), c.result)
					fork, err := w.e.Fork(t.Context(), id, RerunOptions{From: c.from})
					if err != nil {
						t.Fatal(err)
					}
					id = fork
				} else {
					w.fails(id)
					time.Sleep(time.Hour)
					w.retry(id, RerunOptions{From: c.from})
				}
				switch name {
				case "what a limit cut": // again, but not before the step has run for as long
					begun := time.Now()
					w.fails(id)
					if took := time.Since(begun); took < 9*time.Second {
						t.Errorf("it ended after %v", took)
					}
				case "a wait that a limit cut":
					if err := w.e.Signal(t.Context(), id, "go", []byte("7")); err != nil {
						t.Error(err)
					}
					fallthrough
				default:
					want(t, w.finish(w.e, id), c.result)
				}
				w.close(c.done)
			})
		})
	}
}

// A fan-out whose steps failed alike, each in words of its own, is repaired by one retry.
func TestAFanOutIsRepairedByOneRetry(t *testing.T) {
	t.Parallel()
	for _, fan := range []string{
		"parallel([bind(each, \"n%d\" % i, 5 - i) for i in range(4)], settle = True)",
		"parallel([bind(workflow(kid), i) for i in range(4)], settle = True)",
	} {
		bothWays(t, func(t *testing.T, o Options) {
			all := map[string]int{"n0": 1, "n1": 1, "n2": 1, "n3": 1}
			w := newOutage(t, o, `
each = activity("each")
def kid(i):
    return each("n%d" % i, 5 - i)
def main():
    return [r.unwrap() for r in `+fan+`]
`, all)
			w.begin(DispatchOptions{})
			w.retry("x", RerunOptions{})
			want(t, w.finish(w.e, "x"), `["n0","n1","n2","n3"]`)
			w.close(all)
		})
	}
}

// Whoever asks for a child by an id of its own in a run that begins anew finds one of its own, and no other.
func TestAnOwnIDThatOthersHave(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, o Options) {
		w := newOutage(t, o, `
def kid(n):
    return [n, wait_signal("go")]
def main(n = 0):
    act("one", 1)
    f = workflow(kid, id = "k").start(n)
    f.signal("go", n)
    r = f.result(timeout = "1m")
    if n < 2:
        continue_as_new(n + 1)
    return r
`, nil)
		w.dispatch(w.e, Input{}, DispatchOptions{ID: "x"})
		want(t, w.finish(w.e, "x"), `[2,2]`)
		from := "x"
		for range 3 { // forks of the same and of each other
			for range 2 {
				fork, err := w.e.Fork(t.Context(), from, RerunOptions{From: "1"})
				if err != nil {
					t.Fatal(err)
				}
				want(t, w.finish(w.e, fork), `[2,2]`)
				from = fork
			}
		}
		w.close(map[string]int{"one": 9})
	})
}

// The result of a child by its id is that of the one that was begun last, and one that outlives its parents is found again
// though the script names it.
func TestTheResultOfAChildByItsID(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, o Options) {
		w := newOutage(t, o, `
def kid():
    return act("fragile", 1)
def main():
    f = workflow(kid, retry = retry_policy(max_attempts = 2)).start()
    f.result()
    return execution(f.id).result()
`, map[string]int{"fragile": 1})
		w.dispatch(w.e, Input{}, DispatchOptions{ID: "x"})
		want(t, w.finish(w.e, "x"), `"fragile"`)
		w.close(map[string]int{"fragile": 1})
	})
	bothWays(t, func(t *testing.T, o Options) {
		w := newOutage(t, o, `
def kid():
    return act("pay", 60)
def main():
    act("one", 1)
    f = workflow(kid, id = "k", on_parent_close = "abandon").start()
    act("fragile", 1)
    return f.result()
`, map[string]int{"fragile": 1})
		w.begin(DispatchOptions{})
		w.retry("x", RerunOptions{From: "1"})
		want(t, w.finish(w.e, "x"), `"pay"`)
		w.close(map[string]int{"one": 2, "fragile": 1, "pay": 1})
	})
}

// The child of another step that has the id which a step asks for is not taken for its own by a retry.
func TestAnOwnIDOfAnotherStep(t *testing.T) {
	t.Parallel()
	bothWays(t, func(t *testing.T, o Options) {
		w := newOutage(t, o, `
def kid(n):
    return act("kid", n)
def main():
    return [workflow(kid, id = "k")(1), workflow(kid, id = "k")(2)]
`, nil)
		w.begin(DispatchOptions{})
		w.retry("x", RerunOptions{})
		want(t, w.finish(w.e, "x"), `["kid","kid"]`)
		w.close(map[string]int{"kid": 2})
	})
}
