package engine

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// A script that failed by what it did with an outcome goes on from there on code that is mended.
func TestRetryOnMendedCode(t *testing.T) {
	t.Parallel()
	const head = "say = activity(\"say\")\nslow = activity(\"slow\")\nfar = activity(\"slow\", max_concurrent = 2)\nfragile = activity(\"fragile\", idempotent = True)\n"
	for name, c := range map[string]struct{ was, is, result, said string }{
		"asks another step": {
			"def main():\n    a = say(\"a\")\n    return {}[a]\n",
			"def main():\n    begun = time.now().unix\n    a = say(\"a\")\n    log.info(\"more\")\n    return [a, say(\"b\"), info.run, time.now().unix > begun]\n",
			`["a","b",2,true]`, "a,b",
		},
		"ends": {
			"def main():\n    a = say(\"a\")\n    return {}[a]\n",
			"def main():\n    return say(\"a\")\n",
			`"a"`, "a",
		},
		"fails otherwise": {
			"def main():\n    a = say(\"a\")\n    return {}[a]\n",
			"def main():\n    say(\"a\")\n    error(\"Mine\", \"no\")\n",
			"Mine: no", "a",
		},
		"follows a timer": {
			"def main():\n    sleep(1)\n    fail(\"x\")\n",
			"def main():\n    sleep(1)\n    return say(\"b\")\n",
			`"b"`, "b",
		},
		"beside a step under way": {
			"def bad():\n    say(\"a\")\n    fail(\"x\")\ndef main():\n    return parallel([bad, lambda: slow(\"s\")])\n",
			"def bad():\n    return say(\"a\") + say(\"b\")\ndef main():\n    return parallel([bad, lambda: slow(\"s\")])\n",
			`["ab","s"]`, "a,b,s",
		},
		"beside a task under way": {
			"def bad():\n    say(\"a\")\n    fail(\"x\")\ndef main():\n    return parallel([bad, lambda: far(\"s\")])\n",
			"def bad():\n    return say(\"a\") + say(\"b\") + str(time.now().unix > 0)\ndef main():\n    return parallel([bad, lambda: far(\"s\")])\n",
			`["abTrue","s"]`, "a,b,s",
		},
		"beside a child under way": {
			"def kid():\n    return slow(\"s\")\ndef bad():\n    say(\"a\")\n    fail(\"x\")\ndef main():\n    return parallel([bad, lambda: workflow(kid)()])\n",
			"def kid():\n    return slow(\"s\")\ndef bad():\n    x = say(\"a\") + say(\"b\")\n    return x + workflow(kid)()\ndef main():\n    return parallel([bad, lambda: workflow(kid)()])\n",
			`["abs","s"]`, "a,b,s,s",
		},
		"asks beside what it had asked for": {
			"def main():\n    say(\"a\")\n    f = slow.start(\"s\")\n    fail(\"x\")\n",
			"def main():\n    say(\"a\")\n    f = slow.start(\"s\")\n    b = say(\"b\")\n    return [f.result(), b]\n",
			`["s","b"]`, "a,b,s",
		},
		"follows a signal": {
			"def main():\n    x = wait_signal(\"go\")\n    return {}[x]\n",
			"def main():\n    x = wait_signal(\"go\")\n    return [x, wait_signal(\"go\"), say(\"b\")]\n",
			`[1,2,"b"]`, "b",
		},
		"calls the failed step otherwise": {
			"def main():\n    say(\"a\")\n    return fragile(\"bad\")\n",
			"def main():\n    say(\"a\")\n    return [fragile(text = \"good\"), say(\"b\")]\n",
			`["good","b"]`, "a,b,bad,good",
		},
		"calls another activity in its place": {
			"def main():\n    return fragile(\"bad\")\n",
			"def main():\n    return say(\"c\")\n",
			`"c"`, "bad,c",
		},
		"calls the failed step otherwise, beside another": {
			"def main():\n    return parallel([lambda: fragile(\"bad\"), lambda: say(\"a\")])\n",
			"def main():\n    return parallel([lambda: fragile(\"good\"), lambda: say(\"a\")])\n",
			`["good","a"]`, "a,bad,good",
		},
	} {
		for _, always := range []bool{false, true} {
			t.Run(fmt.Sprint(name, always), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					var mu sync.Mutex // guards said
					var said, keys []string
					say := func(ctx context.Context, text string) (string, error) {
						mu.Lock()
						said = append(said, text)
						mu.Unlock()
						if text == "bad" {
							return "", activities.Fail("Broken", "not now", activities.NotRetryable())
						}
						return text, nil
					}
					w.register("say", say, activities.Options{Params: []string{"text"}})
					w.register("fragile", func(ctx context.Context, text string) (string, error) {
						keys = append(keys, activities.Info(ctx).IdempotencyKey)
						return say(ctx, text)
					}, activities.Options{Params: []string{"text"}})
					w.register("slow", func(ctx context.Context, text string) (string, error) {
						select {
						case <-ctx.Done():
							return "", ctx.Err()
						case <-time.After(time.Minute):
						}
						return say(ctx, text)
					}, activities.Options{})
					e, stop := w.engine(Options{ReplayAlways: always})
					w.deploy(e, head+c.was)
					id := w.dispatch(e, Input{}, DispatchOptions{})
					signal := func(n string) {
						if !strings.Contains(c.was, "wait_signal") {
							return
						}
						if err := e.Signal(t.Context(), id, "go", []byte(n)); err != nil {
							t.Fatal(err)
						}
					}
					signal("1")
					if r := w.finish(e, id); r.Failure == nil {
						t.Fatalf("it did not fail: %s", r.Value)
					}
					time.Sleep(time.Hour)
					code, err := e.Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte(head + c.is)}}, "test.star")
					if err != nil {
						t.Fatal(err)
					}
					if err := e.Retry(t.Context(), id, RerunOptions{Code: &code}); err != nil {
						t.Fatal(err)
					}
					signal("2")
					r := w.finish(e, id)
					got := string(r.Value)
					if r.Failure != nil {
						got = r.Failure.Kind + ": " + r.Failure.Message
					}
					if got != c.result {
						t.Errorf("got %s, want %s", got, c.result)
					}
					if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
						t.Errorf("replay: %s %v", v.Reason, err)
					}
					slices.Sort(said)
					if strings.Join(said, ",") != c.said {
						t.Errorf("said %s, want %s", said, c.said)
					}
					if len(keys) == 2 && keys[0] != keys[1] {
						t.Errorf("keys %s", keys)
					}
					stop()
					w.check()
				})
			})
		}
	}
}

// Other code that would forget a step that was begun is refused, and nothing of it is stored.
func TestRetryOnCodeThatDoesNotFit(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ was, is, says string }{
		"asks for something else": {
			"def main():\n    say(\"a\")\n    fail(\"x\")\n", "def main():\n    say(\"b\")\n", `asks for say("b") as step 1`,
		},
		"forgets what has cleaned up": {
			"def main():\n    on_failure(say, \"undo a\")\n    say(\"a\")\n    fail(\"x\")\n",
			"def main():\n    on_failure(say, \"undo a\")\n    return say(\"a\")\n", `the journal has say("undo a")`,
		},
		"forgets an outcome": {
			"def a():\n    say(\"a\")\n    sleep(1)\ndef main():\n    parallel([a, lambda: [sleep(2), say(\"pay\")]])\n    fail(\"x\")\n",
			"def a():\n    say(\"a\")\n    sleep(1)\n    sleep(5)\ndef main():\n    parallel([a, lambda: [sleep(2), say(\"pay\")]])\n", `the journal has`,
		},
		"does not come so far": {
			"def main():\n    say(\"a\")\n    say(\"b\")\n    fail(\"x\")\n", "def main():\n    return say(\"a\")\n", `ends, the journal has say("b")`,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				w.register("say", func(text string) (string, error) { return text, nil }, activities.Options{})
				e, stop := w.engine(Options{})
				w.deploy(e, "say = activity(\"say\")\n"+c.was)
				id := w.dispatch(e, Input{}, DispatchOptions{})
				w.finish(e, id)
				code, err := e.Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte("say = activity(\"say\")\n" + c.is)}}, "test.star")
				if err != nil {
					t.Fatal(err)
				}
				err = e.Retry(t.Context(), id, RerunOptions{Code: &code})
				if !errors.Is(err, ErrCannotRetry) || !strings.Contains(err.Error(), c.says) {
					t.Errorf("%v", err)
				}
				if x, err := e.State(t.Context(), id); err != nil || x.State != backend.Failed {
					t.Errorf("%s %v", x.State, err)
				}
				if _, err := w.store.Program(t.Context(), code.Digest); !errors.Is(err, backend.ErrNotFound) {
					t.Errorf("the code is stored: %v", err)
				}
				stop()
				w.check()
			})
		})
	}
}
