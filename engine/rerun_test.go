package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// What a script knows of its run is another one after a retry, and of its execution after a fork. What was asked for before stays as it was.
func TestRerunOfWhatNamesItsRun(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var said []string
			broken := true
			w.register("say", func(text string) (string, error) { said = append(said, text); return text, nil }, activities.Options{Params: []string{"text"}})
			w.register("fragile", func(text string) (string, error) {
				said = append(said, text)
				if broken {
					return "", activities.Fail("Broken", "not now")
				}
				return text, nil
			}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
			e, stop := w.engine(Options{ReplayAlways: always})
			script := `
say = activity("say")
fragile = activity("fragile")
def main():
    a = say("%s %d" % (info.id, info.run))
    b = fragile("%s %d" % (info.id, info.run))
    return [a, b, say(text = "%s %d" % (info.id, info.run))]
`
			w.deploy(e, script)
			id := w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
			w.finish(e, id)
			broken = false
			if err := e.Retry(t.Context(), id, RerunOptions{}); err != nil {
				t.Fatal(err)
			}
			want(t, w.finish(e, id), `["x 1","x 1","x 2"]`)
			if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
				t.Errorf("replay: %+v, %v", v, err)
			}
			fork, err := e.Fork(t.Context(), id, RerunOptions{From: "3", ID: "y"})
			if err != nil {
				t.Fatal(err)
			}
			want(t, w.finish(e, fork), `["x 1","x 1","x 2"]`)
			if fork, err = e.Fork(t.Context(), fork, RerunOptions{From: "2", ID: "z"}); err != nil {
				t.Fatal(err)
			}
			want(t, w.finish(e, fork), `["x 1","x 1","z 1"]`)
			if got := strings.Join(said, ","); got != "x 1,x 1,x 1,x 2,x 2,x 1,z 1" {
				t.Errorf("said %s", got)
			}
			// Other code that asks for something else is told so.
			other, err := e.Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte(strings.ReplaceAll(script, `"%s %d" % (info.id, info.run)`, `"other"`))}}, "test.star")
			if err != nil {
				t.Fatal(err)
			}
			_, err = e.Fork(t.Context(), id, RerunOptions{From: "3", ID: "o", Code: &other})
			if !errors.Is(err, ErrCannotRetry) || !strings.Contains(err.Error(), `asks for say("other") as step 1`) {
				t.Errorf("%v", err)
			}
			if _, err := e.State(t.Context(), "o"); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("%v", err)
			}
			stop()
			w.check()
		})
	}
}

// A step that was first asked for in the second run keeps that run's key in the third and the fourth.
func TestIdempotencyKeysOverReruns(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var keys []string
			works := "" // the last step that does
			w.register("fragile", func(ctx context.Context, n int) (int, error) {
				keys = append(keys, activities.Info(ctx).IdempotencyKey)
				if !strings.Contains(works, activities.Info(ctx).Step) {
					return 0, activities.Fail("Broken", "not now")
				}
				return n, nil
			}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, "fragile = activity(\"fragile\")\ndef main():\n    return [fragile(n) for n in range(3)]\n")
			id := w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
			w.finish(e, id)
			for _, works = range []string{"1", "1", "12", "123"} {
				if err := e.Retry(t.Context(), id, RerunOptions{}); err != nil {
					t.Fatal(err)
				}
				w.finish(e, id)
			}
			want(t, w.finish(e, id), `[0,1,2]`)
			if got, want := strings.Join(keys, " "), "x/1/1 x/1/1 x/2/2 x/2/2 x/2/2 x/4/3 x/4/3"; got != want {
				t.Errorf("keys %s, want %s", got, want)
			}
			stop()
			w.check()
		})
	}
}

func TestRetryGoesOnFromTheFailedStep(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var broken atomic.Bool
			var keys []string
			broken.Store(true)
			w.register("fragile", func(ctx context.Context, n int) (int, error) {
				keys = append(keys, activities.Info(ctx).IdempotencyKey)
				if broken.Load() {
					return 0, activities.Fail("Broken", "not now")
				}
				return n, nil
			}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 2}})
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, `
add = activity("add")
fragile = activity("fragile")
def child(n):
    return add(n, 1)
def main():
    print("begun")
    a = add(1, 2)
    f = spawn(sleep, "2m")
    b = workflow(child)(a)
    u = uuid4()
    s = wait_signal("s")
    c = fragile(b)
    return [a, b, c, s, u == uuid4(), add(c, 1)]
`)
			id := w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
			synctest.Wait() // it waits for the signal, which takes a number then
			if err := e.Signal(t.Context(), id, "s", []byte("7")); err != nil {
				t.Fatal(err)
			}
			if r := w.finish(e, id); r.Failure == nil || r.Failure.Kind != "Broken" {
				t.Fatalf("%+v", r)
			}
			adds := w.called("add")
			broken.Store(false)
			if err := e.Retry(t.Context(), id, RerunOptions{}); err != nil {
				t.Fatal(err)
			}
			want(t, w.finish(e, id), `[3,4,4,7,false,5]`)
			if w.called("add") != adds+1 {
				t.Errorf("add was called %d more times", w.called("add")-adds)
			}
			if len(keys) != 3 || keys[0] != "x/1/5" || keys[2] != keys[0] {
				t.Errorf("idempotency keys %q", keys)
			}
			x, err := e.State(t.Context(), id)
			if err != nil || x.Run != 2 {
				t.Errorf("run %d, %v", x.Run, err)
			}
			if err := e.Retry(t.Context(), id, RerunOptions{}); !errors.Is(err, ErrCannotRetry) {
				t.Errorf("retry of the completed: %v", err)
			}
			forked, err := e.Fork(t.Context(), id, RerunOptions{From: "1", ID: "y"})
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Signal(t.Context(), forked, "s", []byte("8")); err != nil {
				t.Fatal(err)
			}
			r := w.finish(e, forked)
			if r.Failure != nil || !strings.HasPrefix(string(r.Value), "[3,4,4,") {
				t.Errorf("fork: %s %+v", r.Value, r.Failure)
			}
			if err := e.Retry(t.Context(), "nobody", RerunOptions{}); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("retry of the unknown: %v", err)
			}
			stop()
			w.check()
		})
	}
}

// The refusal of a retry can be read, however many steps the execution has begun since, and says what to do once.
func TestRetryNamesSomeOfTheStepsBegunAfterTheFailure(t *testing.T) {
	t.Parallel()
	for _, cancel := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{})
			w.deploy(e, `
echo = activity("echo")
boom = activity("boom", retry = retry_policy(max_attempts = 1))
def main():
    r = attempt(boom, "Bad") if info.id == "x" else attempt(sleep, "1h")
    shield(lambda: echo.map(range(1000)))
    r.unwrap()
`)
			id := "x"
			if cancel {
				id = "y"
			}
			w.dispatch(e, Input{}, DispatchOptions{ID: id})
			if cancel {
				synctest.Wait()
				if err := e.Cancel(t.Context(), id, "enough"); err != nil {
					t.Fatal(err)
				}
			}
			w.finish(e, id)
			err := e.Retry(t.Context(), id, RerunOptions{})
			if !errors.Is(err, ErrCannotRetry) || !strings.Contains(err.Error(), " and 990 more; --from ") || strings.Contains(err.Error(), ErrCannotRetry.Error()) {
				t.Errorf("retry: %v", err)
			}
			stop()
			w.check()
		})
	}
}

func TestRetryRefusesWhenStepsWereBegunAfterTheFailure(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
add = activity("add")
boom = activity("boom", retry = retry_policy(max_attempts = 1))
def main():
    r = attempt(boom, "Bad")
    if not r.ok:
        add(1, 1)
        r.error.reraise()
def script():
    add(1, 1)
    error("Own", "of the script")
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		w.finish(e, id)
		err := e.Retry(t.Context(), id, RerunOptions{})
		if !errors.Is(err, ErrCannotRetry) || !strings.Contains(err.Error(), "2 (add)") {
			t.Errorf("retry: %v", err)
		}
		if err := e.Retry(t.Context(), id, RerunOptions{From: "9"}); !errors.Is(err, ErrCannotRetry) {
			t.Errorf("retry from an unknown step: %v", err)
		}
		if err := e.Retry(t.Context(), id, RerunOptions{From: "1"}); err != nil {
			t.Fatal(err)
		}
		if r := w.finish(e, id); r.Failure.Kind != "Bad" || w.called("boom") != 2 {
			t.Errorf("%+v after %d calls", r.Failure, w.called("boom"))
		}
		own := w.dispatch(e, Input{}, DispatchOptions{Function: "script"})
		w.finish(e, own)
		if err := e.Retry(t.Context(), own, RerunOptions{}); !errors.Is(err, ErrCannotRetry) || !strings.Contains(err.Error(), "Own: of the script") {
			t.Errorf("retry of a script's own failure: %v", err)
		}
		if err := e.Retry(t.Context(), own, RerunOptions{From: "1"}); err != nil {
			t.Fatal(err)
		}
		if r := w.finish(e, own); r.Failure == nil || r.Failure.Kind != "Own" {
			t.Errorf("%+v", r)
		}
		stop()
		w.check()
	})
}

// What a script makes of its names up to where a rerun goes on is what it made of them then, whatever it is.
func TestARerunKnowsWhatItKnewThen(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			broken := true
			w.register("fragile", func(text string) (string, error) {
				if broken {
					return "", activities.Fail("Broken", "not now")
				}
				return text, nil
			}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
			e, stop := w.engine(Options{ReplayAlways: always})
			script := `
echo = activity("echo")
fragile = activity("fragile")
def child(n):
    return n
def parent():
    return workflow(main, id = "x")()
def main():
    kept = info.id
    a = workflow(child, id = "%s-child-%d" % (info.id, info.run))(1)
    sleep(info.run)
    send_signal(info.parent, "hello")
    echo.options(key = "k-" + info.id)(info.digest) if info.run == 1 else sleep(5)
    b = wait_signal("reply-" + info.id, timeout = "1m", default = "none")
    c = fragile("%s %d" % (info.id, info.run))
    d = workflow(child, id = "%s-last-%d" % (info.id, info.run)).start(2)
    return [kept, a, b, c, d.id, info.id, info.run, info.parent]
`
			w.deploy(e, script)
			top := w.dispatch(e, Input{}, DispatchOptions{ID: "p", Function: "parent"})
			w.finish(e, top)
			id := "x"
			retry := func(o RerunOptions) Result {
				t.Helper()
				if err := e.Retry(t.Context(), id, o); err != nil {
					t.Fatal(err)
				}
				return w.finish(e, id)
			}
			if r := retry(RerunOptions{}); r.Failure == nil || r.Failure.Kind != "Broken" {
				t.Errorf("%s %v", r.Value, r.Failure)
			}
			broken = false
			want(t, retry(RerunOptions{}), `["x",1,"none","x 1","x-last-3","x",3,"p"]`)
			fork := func(id, from, as, result string, code *Program) {
				t.Helper()
				if _, err := e.Fork(t.Context(), id, RerunOptions{From: from, ID: as, Code: code}); err != nil {
					t.Fatal(err)
				}
				want(t, w.finish(e, as), result)
				if v, err := e.Replay(t.Context(), as, ""); err != nil || !v.Fits {
					t.Errorf("replay: %s %v", v.Reason, err)
				}
			}
			fork(id, "7", "y", `["x",1,"none","x 1","y-last-1","y",1,"x"]`, nil)
			fork("y", "7", "z", `["x",1,"none","x 1","z-last-1","z",1,"y"]`, nil)
			other, err := e.Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte(script + "# more\n")}}, "test.star")
			if err != nil {
				t.Fatal(err)
			}
			fork("y", "7", "o", `["x",1,"none","x 1","o-last-1","o",1,"y"]`, &other)
			// It goes on behind the last line here.
			fork("o", "8", "q", `["x",1,"none","x 1","o-last-1","o",1,"y"]`, nil)
			stop()
			w.check()
		})
	}
}

// What differs of a child is told, also when it is the id.
func TestNondeterminismTellsTheIDOfAChild(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		script := "def child():\n    return 1\ndef main():\n    workflow(child, id = \"one\")()\n    wait_signal(\"go\")\n"
		w.deploy(e, script)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(time.Minute)
		other, err := e.Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte(strings.Replace(script, "one", "two", 1))}}, "test.star")
		if err != nil {
			t.Fatal(err)
		}
		v, err := e.Replay(t.Context(), id, other.Digest)
		if err != nil || v.Fits || !strings.Contains(v.Asks, "with the id two") || !strings.Contains(v.Has, "with the id one") {
			t.Errorf("%+v %v", v, err)
		}
		stop()
		w.check()
	})
}

// A rerun of a script that had not come to its first step has one clock, live and on replay: that of its own begin.
func TestTheClockOfARerunFromTheFirstLine(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, "def main():\n    error(\"Early\")\n")
			id := w.dispatch(e, Input{}, DispatchOptions{})
			w.finish(e, id)
			time.Sleep(time.Hour)
			code, err := e.Load(t.Context(), fstest.MapFS{"test.star": {Data: []byte("def main():\n    now = time.now()\n    activity(\"echo\")(now.unix)\n    sleep(1)\n    return now.unix\n")}}, "test.star")
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Retry(t.Context(), id, RerunOptions{Code: &code}); err != nil {
				t.Fatal(err)
			}
			want(t, w.finish(e, id), fmt.Sprint(time.Now().Unix()-1))
			if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
				t.Errorf("replay: %s %v", v.Reason, err)
			}
			stop()
			w.check()
		})
	}
}
