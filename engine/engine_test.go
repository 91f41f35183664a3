package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// scenarios are workflows that end the same however often they are replayed.
var scenarios = []struct{ name, script, want string }{
	{"no step", `
def main():
    return {"b": 1, "a": [1.0, 2]}
`, `{"b":1,"a":[1.0,2]}`},
	{"sequence", `
add = activity("add")
def main():
    n = 0
    for i in range(20):
        n = add(n, i)
    return n
`, `190`},
	{"fan-out", `
add = activity("add")
def main():
    return sum(parallel.map(lambda i: add(i, 1), range(30), limit = 7)) + sum(add.starmap([(i, i) for i in range(20)]))
`, `845`},
	{"retries", `
flaky = activity("flaky", retry = retry_policy(max_attempts = 4, initial_delay = "1s"))
def main():
    r = activity("boom").attempt("Bad")
    return [flaky(2), r.error.kind, r.error.attempts]
`, `[3,"Bad",3]`},
	{"branches and sleeps", `
add = activity("add")
nap = activity("nap")
def leg(n):
    sleep("%ds" % n)
    x = nap(n * 10)
    sleep("1m")
    return add(x, n)
def main():
    f = spawn(leg, 3)
    r = parallel([bind(leg, 1), bind(leg, 2)])
    return r + [f.result()]
`, `[11,22,33]`},
	{"failures are values", `
boom = activity("boom", retry = retry_policy(max_attempts = 1))
def f():
    boom("First")
def main():
    v, err = attempt(f)
    rs = parallel([bind(boom, "A"), bind(boom, "B")], settle = True)
    return [err.kind, err.message, [r.error.kind for r in rs]]
`, `["First","as asked",["A","B"]]`},
	{"first failure cancels", `
boom = activity("boom", retry = retry_policy(max_attempts = 1))
block = activity("block")
def main():
    r = attempt(parallel, [bind(boom, "X"), block])
    return r.error.kind
`, `"X"`},
	{"unknown and wrong", `
def main():
    a = attempt(activity("ad" + "d"), "x", 1)
    b = attempt(activity("ad" + "x"))
    return [a.error.kind, b.error.kind]
`, `["BadArguments","UnknownActivity"]`},
	{"logs", `
echo = activity("echo")
def main():
    for i in range(5):
        print("line", i)
        echo(i)
    log.info("done", n = 5)
    return "ok"
`, `"ok"`},
}

func TestScenarios(t *testing.T) {
	t.Parallel()
	for _, s := range append(scenarios, otherScenarios...) {
		for _, o := range []struct {
			name    string
			options Options
		}{
			{"hot", Options{}},
			{"one slot", Options{MaxConcurrency: 1}},
			{"replay at every wait", Options{ReplayAlways: true}},
			{"released at once", Options{ReleaseAfter: time.Millisecond, MaxParked: 1}},
		} {
			t.Run(s.name+"/"+o.name, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					r := w.run(o.options, s.script, Input{}, DispatchOptions{ID: "x", Here: true})
					want(t, r, s.want)
					w.check()
				})
			})
		}
	}
}

func TestLogsAreKeptOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{ReplayAlways: true})
		w.deploy(e, scenarios[8].script)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		w.finish(e, id)
		lines, err := e.Logs(t.Context(), id, LogPosition{})
		if err != nil || len(lines) != 6 {
			t.Fatalf("%d lines, %v: %+v", len(lines), err, lines)
		}
		stop()
		w.check()
	})
}

func TestTimeoutGivesUpTheAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		release := make(chan struct{})
		w.register("deaf", func() error { <-release; return nil })
		r := w.run(Options{MaxConcurrency: 1}, `
deaf = activity("deaf", timeout = "1s", retry = retry_policy(max_attempts = 2))
add = activity("add")
def main():
    r = deaf.attempt()
    return [r.error.kind, r.error.attempts, add(1, 2)]
`, Input{}, DispatchOptions{})
		close(release)
		want(t, r, `["Timeout",2,3]`)
		w.check()
	})
}

func TestCancel(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, `
block = activity("block")
add = activity("add")
def main():
    r = attempt(block)
    if r.error and r.error.kind == "Cancelled":
        add(1, 1)
        r.error.reraise()
    return "?"
`)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			synctest.Wait()
			if err := e.Cancel(t.Context(), id, "enough"); err != nil {
				t.Fatal(err)
			}
			r := w.finish(e, id)
			if r.Execution.State != backend.Cancelled || r.Failure.Kind != "Cancelled" || w.called("add") != 1 {
				t.Fatalf("%s %+v, cleaned up %d times", r.Execution.State, r.Failure, w.called("add"))
			}
			if err := e.Cancel(t.Context(), id, ""); !errors.Is(err, backend.ErrClosed) {
				t.Errorf("cancelling the finished: %v", err)
			}
			if err := e.Cancel(t.Context(), "nobody", ""); !errors.Is(err, backend.ErrNotFound) {
				t.Errorf("cancelling the unknown: %v", err)
			}
			stop()
			w.check()
		})
	}
}

func TestExpiry(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main(how):
    err = attempt(sleep, "20m").error
    if how == "passed on":
        err.reraise()
    if how == "another":
        fail("cleaning up")
    return "caught"
`)
		for how, want := range map[string]backend.State{"passed on": backend.TimedOut, "caught": backend.TimedOut, "another": backend.Failed} {
			id := w.dispatch(e, Input{Args: []any{how}}, DispatchOptions{Expiry: 10 * time.Minute})
			w.finishWithin(e, id, 15*time.Minute)
			r := w.finish(e, id)
			if r.Execution.State != want || r.Failure == nil || (want == backend.TimedOut) != (r.Failure.Kind == "Timeout") || r.Execution.Result != nil {
				t.Errorf("%s: %s %+v", how, r.Execution.State, r.Failure)
			}
		}
		stop()
		w.check()
	})
}

func TestWhatExpiresHasFailedWhateverItReturns(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(o)
			w.deploy(e, `
def main(how):
    on_failure(lambda: [sleep(1), log.info("failed")])
    if how == "in a clean-up":
        defer(sleep, "10m 10s")
        return "done"
    attempt(sleep, "20m")
    if how == "Err":
        return Err("Late")
    return "caught"
`)
			for how, state := range map[string]backend.State{"caught": backend.TimedOut, "in a clean-up": backend.TimedOut, "Err": backend.Failed} {
				id := w.dispatch(e, Input{Args: []any{how}}, DispatchOptions{Expiry: 10 * time.Minute})
				w.finishWithin(e, id, 15*time.Minute)
				x := w.finish(e, id).Execution
				lines, err := e.Logs(t.Context(), id, LogPosition{})
				if err != nil || x.State != state || len(lines) != 1 || lines[0].Message != "failed" {
					t.Errorf("%s: %s, lines %+v, %v", how, x.State, lines, err)
				}
			}
			stop()
			w.check()
		})
	}
}

func TestASleeperIsReleasedAndComesBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{ReleaseAfter: 20 * time.Second, SessionLife: time.Hour, PollInterval: 20 * time.Second}) // three days of looking round take long
		w.deploy(e, `
def main():
    sleep("3d")
    return time.now().unix
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(time.Minute) // the bubble's clock
		synctest.Wait()
		x, err := w.store.Execution(t.Context(), id)
		if err != nil || x.Owner != 0 || x.Due.IsZero() {
			t.Fatalf("not released: owner %d, due %v, %v", x.Owner, x.Due, err)
		}
		time.Sleep(3 * 24 * time.Hour) // a Wait of all that time would look a million times
		w.finishWithin(e, id, time.Hour)
		stop()
		w.check()
	})
}

func (w *world) finishWithin(e *Engine, id string, d time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	if _, err := e.Wait(ctx, id); err != nil {
		w.t.Fatal(err)
	}
}

func TestStuckKeepsTheOutcomeAndGoesOnAfterwards(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{MaxSteps: 10_000})
		w.deploy(e, `
add = activity("add")
def main():
    n = add(1, 2)
    for i in range(100000):
        n += 1
    return n
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		synctest.Wait()
		x, err := e.State(t.Context(), id)
		if err != nil || x.Stuck == nil || !strings.Contains(x.Stuck.Reason, "test.star:5") || x.State != backend.Running {
			t.Fatalf("%+v %v", x, err)
		}
		stop()
		e, stop = w.engine(Options{})
		r := w.finish(e, id)
		want(t, r, `100003`)
		if w.called("add") != 1 {
			t.Errorf("add ran %d times", w.called("add"))
		}
		if r.Execution.Stuck != nil {
			t.Errorf("still stuck: %+v", r.Execution.Stuck)
		}
		stop()
		w.check()
	})
}

func TestGracefulStopBurnsNoAttempt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		script := `
nap = activity("nap", retry = retry_policy(max_attempts = 1), max_crashes = 0)
def main():
    return parallel.map(nap, [100, 60000, 200])
`
		e, stop := w.engine(Options{DrainTimeout: time.Second})
		w.deploy(e, script)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		synctest.Wait()
		stop()
		h, err := e.History(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		kinds := make(map[string]int)
		for _, en := range h.Entries {
			kinds[en.Kind]++
		}
		if kinds["done"] != 2 || kinds["back"] != 1 {
			t.Fatalf("entries %v", kinds)
		}
		e, stop = w.engine(Options{})
		want(t, w.finish(e, id), `[100,60000,200]`)
		stop()
		w.check()
	})
}

func TestPanicAndCrashLimits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		r := w.run(Options{}, `
panics = activity("panics", retry = retry_policy(max_attempts = 2))
def main():
    r = panics.attempt()
    return [r.error.kind, r.error.attempts]
`, Input{}, DispatchOptions{})
		want(t, r, `["Panic",2]`)
		w.check()
	})
}

func TestDispatchTwice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, "def main(n):\n    return n\n")
		o := DispatchOptions{ID: "one"}
		w.dispatch(e, Input{Args: []any{1}}, o)
		w.dispatch(e, Input{Args: []any{1}}, o)
		var conflict *ConflictError
		if _, err := e.Dispatch(t.Context(), "test", Input{Args: []any{2}}, o); !errors.As(err, &conflict) || conflict.Field != "input" {
			t.Errorf("other input: %v", err)
		}
		w.finish(e, "one")
		w.deploy(e, "def main(n):\n    return n + 1\n")
		if _, err := e.Dispatch(t.Context(), "test", Input{Args: []any{1}}, o); !errors.As(err, &conflict) || conflict.Field != "code" {
			t.Errorf("other code: %v", err)
		}
		if _, err := e.Dispatch(t.Context(), "test", Input{}, DispatchOptions{}); err == nil {
			t.Error("input that does not fit was taken")
		}
		if _, err := e.Dispatch(t.Context(), "nothing", Input{}, DispatchOptions{}); !errors.Is(err, backend.ErrNotFound) {
			t.Errorf("unknown workflow: %v", err)
		}
		stop()
		w.check()
	})
}

func TestDeployOfAFileWithoutAName(t *testing.T) {
	t.Parallel()
	for _, entry := range []string{".star", "flows/.star"} {
		fsys := fstest.MapFS{entry: {Data: []byte("def main():\n    pass\n")}}
		if p, err := Load(t.Context(), fsys, entry); err == nil || !strings.Contains(err.Error(), "no name") {
			t.Errorf("%s is loaded as %q, %v", entry, p.Workflow, err)
		}
	}
}

// A pipe would be waited for until somebody writes to it, and what is far too large is read into memory, and kept with each version.
func TestLoadRefusesWhatIsNoScript(t *testing.T) {
	t.Parallel()
	fsys := fstest.MapFS{
		"pipe.star": {Mode: fs.ModeNamedPipe},
		"data.json": {Data: make([]byte, maxSource+1<<20)},
		"load.star": {Data: []byte("load(\"data.json\", \"x\")\n")},
		"main.star": {Data: []byte("load(\"pipe.star\", \"x\")\n")},
	}
	for entry, want := range map[string]string{
		"pipe.star": "pipe.star: cannot be read: it is no regular file",
		"main.star": "main.star:1:6: cannot load pipe.star: it is no regular file",
		"data.json": "data.json: cannot be read: it has 17 MB; a script has up to 16 (let an activity read what is data)",
		"load.star": "load.star:1:6: cannot load data.json: it has 17 MB; a script has up to 16 (let an activity read what is data)",
	} {
		if _, err := Load(t.Context(), fsys, entry); err == nil || err.Error() != want {
			t.Errorf("%s: %v", entry, err)
		}
	}
}

func TestDeployRefusesAllOrNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	e, err := New(w.store, w.reg, Options{})
	if err != nil {
		t.Fatal(err)
	}
	fsys := fstest.MapFS{
		"good.star": {Data: []byte("def main():\n    return 1\n")},
		"bad.star":  {Data: []byte("ad = activity(\"ad\")\nadd = activity(\"add\")\ndef main():\n    return add(1)\n")},
	}
	_, err = e.Deploy(t.Context(), fsys, "good.star", "bad.star")
	var problems starlark.Problems
	if !errors.As(err, &problems) || len(problems) != 2 {
		t.Fatalf("problems: %v", err)
	}
	if !strings.Contains(err.Error(), "did you mean add") {
		t.Errorf("no nearest name: %v", err)
	}
	if d, err := w.store.Deployments(t.Context(), ""); err != nil || len(d) != 0 {
		t.Errorf("deployed %v, %v", d, err)
	}
	w.check()
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if _, err := New(w.store, activities.NewRegistry(), Options{MaxConcurrency: -1, ReleaseAfter: -1}); err == nil ||
		!strings.Contains(err.Error(), "MaxConcurrency") || !strings.Contains(err.Error(), "ReleaseAfter") {
		t.Errorf("%v", err)
	}
	_, err := New(w.store, activities.NewRegistry(), Options{SessionLife: 10, PollInterval: 5}) // seconds were meant
	if err == nil || !strings.Contains(err.Error(), "SessionLife is 10ns, the least is 10ms") || !strings.Contains(err.Error(), "PollInterval is 5ns, the least is 1ms") {
		t.Errorf("%v", err)
	}
	if _, err := New(nil, nil, Options{}); err == nil {
		t.Error("no store was taken")
	}
}

func TestDispatchAll(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main(n):
    return n * 2
`)
		jobs := make([]Job, 1200)
		for i := range jobs {
			jobs[i] = Job{Input: Input{Args: []any{i}}, Options: DispatchOptions{ID: fmt.Sprint("job-", i)}}
		}
		for range 2 { // the second time they are there already
			ids, err := e.DispatchAll(t.Context(), "test", jobs)
			if err != nil || len(ids) != len(jobs) || ids[7] != "job-7" {
				t.Fatal(len(ids), err)
			}
		}
		want(t, w.finish(e, "job-1199"), `2398`)
		want(t, w.finish(e, "job-0"), `0`)
		wrong := []Job{{Input: Input{Args: []any{1}}}, {Input: Input{Args: []any{1, 2}}}}
		if ids, err := e.DispatchAll(t.Context(), "test", wrong); err == nil || ids != nil || !strings.Contains(err.Error(), "job 1: ") {
			t.Errorf("%v %v", ids, err)
		}
		list, err := e.List(t.Context(), backend.Filter{Limit: 2000})
		if err != nil || len(list) != 1200 {
			t.Errorf("%d executions, %v", len(list), err)
		}
		_, err = e.DispatchAll(t.Context(), "test", []Job{{Input: Input{Args: []any{5}}, Options: DispatchOptions{ID: "job-3"}}})
		if conflict, ok := errors.AsType[*ConflictError](err); !ok || conflict.Field != "input" {
			t.Error(err)
		}
		stop()
		w.check()
	})
}
