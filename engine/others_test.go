package engine

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// otherScenarios are scenarios with more than one execution.
var otherScenarios = []struct{ name, script, want string }{
	{"children", `
add = activity("add")
def double(x, plus = 0):
    return add(x, x) + plus
def bad(n):
    error("Broken", "it broke", code = n)
def main():
    d = workflow(double)
    r = [d(4), d(4, plus = 1), d.map([1, 2, 3]), parallel({"a": bind(d, 5), "b": lambda: 1})]
    e = workflow(bad).attempt(3).error
    return r + [e.kind, e.cause.kind, e.cause.data, d.start(1).id]
`, `[8,9,[2,4,6],{"a":10,"b":1},"ChildFailed","Broken",{"code":3},"x.1.6"]`},
	{"children that nest", `
def down(n):
    return 0 if n == 0 else 1 + workflow(down)(n - 1)
def main():
    deep = workflow(down).attempt(120)
    cause = deep.error
    for i in range(200):
        if cause.cause:
            cause = cause.cause
    return [down(5), cause.kind, cause.message[:31]]
`, `[5,"EvalError","workflows nest deeper than 100;"]`},
	{"a child that is tried again", `
flaky = activity("flaky", retry = retry_policy(max_attempts = 1))
def child():
    if not info.id.endswith("-3"):
        error("Flaky", info.id)
    return info.id
def slow():
    sleep("1h")
def main():
    r = workflow(child, retry = retry_policy(max_attempts = 3, initial_delay = "1s"))()
    e = workflow(child, retry = retry_policy(no_retry_for = ["Flaky"])).attempt().error
    late = workflow(slow, timeout = "10s").attempt().error
    return [r, e.kind, e.cause.message, late.kind]
`, `["x.1.1-3","ChildFailed","x.1.2","Timeout"]`},
	{"what is said of a child that is late, and of one that gets too much", `
def child():
    return wait_signal("go")
def main():
    f = workflow(child, id = "slow").start()
    late = attempt(execution(f.id).result, timeout = "50ms").error
    f.signal("go", 1)
    return [late.kind, late.message, f.result(), workflow(child).attempt(*[1]).error.message]
`, `["Timeout","execution(\"slow\") has not ended within 50ms",1,"child() takes no positional arguments, got 1"]`},
	{"signals", `
def child(parent):
    send_signal(parent, "hello", {"from": info.id})
    return wait_signal("answer")
def main():
    f = workflow(child).start(info.id)
    hello = wait_signal("hello")
    f.signal("answer", (1, 2))
    late = wait_signal("never", timeout = "1m", default = "none")
    a = attempt(send_signal, "nobody", "x").error.kind
    b = [f.result(), attempt(f.signal, "x").error.kind]
    send_signal(info.id, "me", 1)
    return [hello["from"] == f.id, late, a, b, wait_signal("me"), execution(f.id).result(), attempt(execution("nobody").result).error.kind]
`, `[true,"none","NotFound",[[1,2],"Closed"],1,[1,2],"NotFound"]`},
	{"children end with their scope", `
def forever():
    wait_signal("never")
def brief():
    sleep("5s")
    return "done"
def scope():
    f = workflow(forever).start()
    w = workflow(brief, on_parent_close = "wait").start()
    a = workflow(brief, on_parent_close = "abandon", id = "left").start()
    return [f.id, w.id, a.id]
def main():
    ids = spawn(scope).result()
    return [attempt(execution(i).result).error.cause.kind if i == ids[0] else execution(i).result() for i in ids]
`, `["Cancelled","done","done"]`},
	{"continue as new", `
echo = activity("echo")
def main(n = 0, total = 0, trail = ()):
    if n == 0:
        send_signal(info.id, "kept", "s")
        echo(1)
    state.set("n", n)
    counter("rounds").add()
    sleep("1s")
    if n < 5:
        continue_as_new(n + 1, total = total + echo(n), trail = trail + (n,))
    return [total, trail, wait_signal("kept"), info.run, state.get("n"), counter("rounds").value]
`, `[10,[0,1,2,3,4],"s",6,5,6]`},
	{"watching and cancelling others", `
def child():
    wait_signal("never")
def main():
    f = workflow(child).start()
    watch = spawn(execution(f.id).result)
    sleep("1s")
    execution(f.id).cancel("enough")
    e = watch.attempt().error
    again = attempt(execution(f.id).result).error
    execution(f.id).cancel()
    return [e.kind, e.cause.message, again.kind, f.attempt().error.kind, attempt(execution("nobody").cancel).error.kind]
`, `["ChildFailed","enough","ChildFailed","ChildFailed","NotFound"]`},
}

func TestAThousandChildren(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.run(Options{MaxConcurrency: 16}, `
add = activity("add")
def one(n):
    return add(n, 1)
def main():
    return sum(workflow(one).map(range(1000)))
`, Input{}, DispatchOptions{})
		want(t, r, "500500")
		w.check()
	})
}

func TestATakenChildIDFailsTheCall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
def child():
    pass
def main(first = False):
    return None if first else workflow(child, id = "mine").attempt().error.message
`)
		w.finish(e, w.dispatch(e, JSON([]byte("[true]")), DispatchOptions{ID: "mine"}))
		r := w.finish(e, w.dispatch(e, Input{}, DispatchOptions{}))
		stop()
		want(t, r, `"the id mine belongs to another execution"`)
		w.check()
	})
}

func TestNamedWorkflowsAreResolvedWhenTheyStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main(n = 0):
    if n:
        return n
    e = attempt(workflow("nothing")).error
    f = attempt(workflow("test"), m = 1).error
    return [workflow("test")(3), e.kind, e.message, f.kind]
`)
		r := w.finish(e, w.dispatch(e, Input{}, DispatchOptions{}))
		stop()
		want(t, r, `[3,"NotFound","no workflow \"nothing\" is deployed; deploy it, or give workflow(...) a function of this script","BadArguments"]`)
		w.check()
	})
}

func TestEndingWithoutTheScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{CleanupTimeout: time.Minute})
		w.deploy(e, `
block = activity("block")
def child():
    wait_signal("never")
def stubborn():
    for i in range(1000):
        attempt(sleep, "1h")
def main():
    workflow(child, id = "child").start()
    for i in range(1000):
        attempt(block)
`)
		w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
		synctest.Wait()
		if err := e.End(t.Context(), "x", "now"); err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{"x", "child"} {
			if r := w.finish(e, id); r.Execution.State != backend.Cancelled {
				t.Errorf("%s is %s", id, r.Execution.State)
			}
		}
		w.dispatch(e, Input{}, DispatchOptions{ID: "y", Function: "stubborn"})
		synctest.Wait()
		begun := time.Now()
		if err := e.Cancel(t.Context(), "y", "please"); err != nil {
			t.Fatal(err)
		}
		r := w.finish(e, "y")
		if r.Execution.State != backend.Cancelled || r.Failure.Message != "please" || time.Since(begun) > 2*time.Minute {
			t.Errorf("y is %s after %v: %+v", r.Execution.State, time.Since(begun), r.Failure)
		}
		stop()
		w.check()
	})
}

func TestSignalsFromOutside(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}, {ReleaseAfter: time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(o)
			w.deploy(e, `
def main():
    return [wait_signal("n") for i in range(20)]
`)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			var sent []string
			for i := range 20 {
				if i%3 == 0 {
					time.Sleep(time.Duration(i) * time.Millisecond)
				}
				sent = append(sent, fmt.Sprint(i))
				if err := e.Signal(t.Context(), id, "n", []byte(fmt.Sprint(i))); err != nil {
					t.Fatal(err)
				}
			}
			want(t, w.finish(e, id), "["+strings.Join(sent, ",")+"]")
			if err := e.Signal(t.Context(), id, "n", []byte("1")); !errors.Is(err, backend.ErrClosed) {
				t.Errorf("signal to the finished: %v", err)
			}
			if err := e.Signal(t.Context(), "nobody", "n", []byte("1")); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("signal to the unknown: %v", err)
			}
			if err := e.Signal(t.Context(), id, "n", []byte(`"`+strings.Repeat("a", 2<<20)+`"`)); err == nil {
				t.Error("a payload over the limit was taken")
			}
			stop()
			w.check()
		})
	}
}

func TestWhatIsShownIsReadFromOutside(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(o)
			w.deploy(e, `
def main():
    progress(0.5, "half")
    status("waiting")
    state.set("at", (1, 2))
    counter("n").add(3)
    wait_signal("go")
    status("gone")
`)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			synctest.Wait()
			x, err := e.State(t.Context(), id)
			if want := `{"progress":{"fraction":0.5,"message":"half"},"status":"waiting","state":{"at":[1,2]},"counters":{"n":3}}`; err != nil || string(x.Shown) != want {
				t.Errorf("published %s, %v; want %s", x.Shown, err, want)
			}
			if err := e.Signal(t.Context(), id, "go", []byte("null")); err != nil {
				t.Fatal(err)
			}
			w.finish(e, id)
			if x, err = e.State(t.Context(), id); err != nil || !strings.Contains(string(x.Shown), `"status":"gone"`) {
				t.Errorf("published %s, %v at the end", x.Shown, err)
			}
			stop()
			w.check()
		})
	}
}

func TestALongLoopStaysSmall(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main(n = 0):
    if n < 2000:
        continue_as_new(n + 1)
    return [n, info.run]
`)
		id := w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
		want(t, w.finish(e, id), "[2000,2001]")
		h, err := e.History(t.Context(), id)
		if err != nil || len(h.Entries) > 2 {
			t.Errorf("%d entries, %v", len(h.Entries), err)
		}
		stop()
		w.check()
	})
}
