//go:build unix

package scripts_test

import "testing"

func TestSaga(t *testing.T) {
	t.Parallel()
	runTwice(t, `
load("@std/saga.star", "saga")
load("@std/shell.star", "sh")

def ok(seen, name):
    seen.append(sh("echo " + name))
    return name

def bad(seen, name):
    seen.append(name)
    error("Bad", name, code = 7)

def main():
    done = []
    def body(s, n):
        a = s.step(ok, done, "a", undo = bind(ok, done, "undo a"))
        s.compensate(ok, done, "undo b")
        r = s.parallel([s.task(ok, done, "c", undo = bind(ok, done, "undo c")), bind(ok, done, "d")], limit = 1)
        return [a, r, n]
    good = saga(body, 5)
    before = list(done)
    done.clear()
    def failing(s):
        s.step(ok, done, "a", undo = bind(bad, done, "undo a"))
        s.step(ok, done, "b", undo = bind(ok, done, "undo b"))
        s.step(bad, done, "c", undo = bind(ok, done, "undo c"))
    e = attempt(saga, failing).error
    plain = attempt(saga, lambda s: s.step(bad, [], "x")).error
    err = attempt(saga, lambda s: Err("Own", "returned")).error
    return [good, before, done, e.kind, e.message, e.data, plain.data, err.kind]
`, `[["a",["c","d"],5],["a","c","d"],["a","b","c","undo b","undo a"],"Bad","c",{"code":7,"compensation_errors":[{"kind":"Bad","message":"undo a"}]},{"code":7,"compensation_errors":[]},"Own"]`)
}

// The error of a saga inside another says what neither could undo.
func TestSagasInSagasTellOfAllThatWasNotUndone(t *testing.T) {
	t.Parallel()
	runTwice(t, `
load("@std/saga.star", "saga")

def undo(name, bad):
    if bad:
        error("Bad" + name)

def inner(s):
    s.step(len, [], undo = bind(undo, "In", True))
    error("Failed", "x", code = 7)

def outer(s, bad):
    s.step(len, [], undo = bind(undo, "Out", bad))
    saga(inner)

def main():
    return [attempt(saga, outer, bad).error.data for bad in [False, True]] + [attempt(saga, lambda s: error("Own", compensation_errors = "x")).error.data]
`, `[{"code":7,"compensation_errors":[{"kind":"BadIn","message":""}]},{"code":7,"compensation_errors":[{"kind":"BadIn","message":""},{"kind":"BadOut","message":""}]},{"compensation_errors":[]}]`)
}

func TestSagaIsUndoneWhenItIsCancelled(t *testing.T) {
	t.Parallel()
	runTwice(t, `
load("@std/saga.star", "saga")
load("@std/shell.star", "sh")

def main():
    done = []
    def body(s):
        s.step(sh, "echo a", undo = lambda: done.append(sh("echo undone")))
        send_signal(info.id, "booked")
        sleep("1h")
    f = spawn(saga, body)
    wait_signal("booked")
    f.cancel()
    kind = f.attempt().error.kind
    return [kind, done]
`, `["Cancelled",["undone"]]`)
}

// What cannot be called is refused before the step has done anything, and what was done before is undone.
func TestSagaRefusesWhatCannotUndo(t *testing.T) {
	t.Parallel()
	runTwice(t, `
load("@std/saga.star", "saga")
load("@std/shell.star", "sh")

def main():
    done = []
    def body(s, how):
        s.step(done.append, "a", undo = bind(done.append, "undo a"))
        if how == "step":
            s.step(done.append, "b", undo = sh("echo 1"))
        else:
            s.parallel([s.task(done.append, "b", undo = 5)])
    errors = [attempt(saga, body, how).error for how in ["step", "task"]]
    return [[e.message for e in errors], done]
`, `[["saga: undo is a function without parameters, as bind(refund, id) makes one; got string","saga: undo is a function without parameters, as bind(refund, id) makes one; got int"],["a","undo a","a","undo a"]]`)
}

func TestRetry(t *testing.T) {
	t.Parallel()
	runTwice(t, `
load("@std/retry.star", "poll_until", "with_backoff")
load("@std/shell.star", "sh")

def main():
    n = []
    def ready():
        n.append(sh("echo x"))
        return len(n) if len(n) == 3 else None
    def flaky():
        n.append(1)
        if len(n) < 6:
            error("Flaky", str(len(n)))
        return "ok"
    got = poll_until(ready, interval = "1ms", backoff = 1.5, max_interval = "2ms")
    late = attempt(poll_until, lambda: False, interval = "5ms", timeout = "20ms").error.kind
    worked = with_backoff(flaky, attempts = 5, initial_delay = "1ms")
    n.clear()
    gave_up = attempt(with_backoff, flaky, attempts = 2, initial_delay = "1ms").error.message
    other = attempt(with_backoff, flaky, attempts = 9, initial_delay = "1ms", no_retry_for = ["Flaky"]).error.message
    wrong = [attempt(poll_until, ready, interval = i).error.message for i in ["1 fortnight", 0]]
    wrong.append(attempt(with_backoff, flaky, attempts = 0).error.message)
    return [got, late, worked, gave_up, other, wrong]
`, `[3,"Timeout","ok","2","3",["poll_until: interval: \"1 fortnight\" is not a duration; write like \"500ms\", \"1h 30m\" or \"2d\"","poll_until: interval is longer than nothing, got 0","with_backoff: attempts is at least 1, got 0"]]`)
}

func TestBatch(t *testing.T) {
	t.Parallel()
	runTwice(t, `
load("@std/batch.star", "batched", "run_batches")

def half(n):
    if n == 5:
        error("Odd", "five")
    return n // 2

def main():
    seen = []
    r = run_batches(half, range(5), size = 2, limit = 1, on_progress = lambda done, total: seen.append((done, total)))
    s = run_batches(half, [4, 5, 6], size = 2, settle = True, show = False)
    e = attempt(run_batches, half, [5]).error.kind
    wrong = attempt(batched, [1], 0).error.message
    return [batched(range(5), 2), r, seen, [x.ok for x in s], e, wrong, run_batches(half, [])]
`, `[[[0,1],[2,3],[4]],[0,0,1,1,2],[[2,5],[4,5],[5,5]],[true,false,true],"Odd","batched: size is an int of at least 1, got 0",[]]`)
}
