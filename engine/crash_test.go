// The process dies at every commit: before it, and after it with the reply lost.

package engine

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// crashing is a store whose process dies around its n-th commit: the commit is
// lost, or lands and its reply is lost; nothing is answered afterwards.
type crashing struct {
	backend.Store
	at     int
	after  bool
	n      int // commits so far; the committer is the only caller
	dead   chan struct{}
	closed bool
}

var errDead = errors.New("process is dead")

func (c *crashing) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if c.closed {
		return backend.Reply{}, errDead
	}
	if c.n++; c.n == c.at {
		c.closed = true
		if c.after {
			if _, err := c.Store.Commit(ctx, b); err != nil {
				return backend.Reply{}, err
			}
		}
		close(c.dead)
		return backend.Reply{}, errDead
	}
	return c.Store.Commit(ctx, b)
}

const crashScript = `
add = activity("add")
flaky = activity("flaky", retry = retry_policy(initial_delay = "1s"))
boom = activity("boom", retry = retry_policy(max_attempts = 1))
def leg(n):
    sleep("%ds" % n)
    print("leg", n)
    return add(n, flaky(n % 3))
def main():
    f = spawn(leg, 5)
    r = parallel.map(leg, [1, 2], limit = 2)
    e = boom.attempt("Bad").error.kind
    s = 0
    for i in range(4):
        s = add(s, i)
    return [r, f.result(), e, s]
`

const crashWant = `[[3,5],8,"Bad",6]`

// crashOthers is a script with children, signals and a second run.
const crashOthers = `
add = activity("add")
def child(n, parent):
    print("child", n)
    send_signal(parent, "hello", n)
    return add(n, wait_signal("go"))
def main(round = 0):
    print("round", round)
    fs = [workflow(child).start(n, info.id) for n in range(2)]
    heard = sorted([wait_signal("hello") for f in fs])
    for f in fs:
        f.signal("go", 10)
    got = [f.result() for f in fs]
    state.update(got = got)
    counter("rounds").add()
    if round == 0:
        send_signal(info.id, "left", "over")
        continue_as_new(1)
    return [heard, got, wait_signal("left"), counter("rounds").value, attempt(send_signal, "nobody", "x").error.kind]
`

const crashOthersWant = `[[0,1],[10,11],"over",2,"NotFound"]`

// crashTries is a script that is tried again as a whole.
const crashTries = `
add = activity("add")
def main():
    begun = time.now()
    print("try", info.run)
    sleep("500ms")
    slept = time.now() - begun
    n = add(add(info.run, 1), 1)
    defer(add, 1, 1)
    if info.run < 3:
        error("NotYet")
    return [n, slept.milliseconds, begun == info.started_at]
`

const crashTriesWant = `[5,500,true]`

// crashes are the scripts that are killed at every commit.
var crashes = []struct {
	name, script, want string
	lines              int // of all runs
	dispatch           DispatchOptions
}{
	{"steps", crashScript, crashWant, 3, DispatchOptions{ID: "x"}},
	{"others", crashOthers, crashOthersWant, 2, DispatchOptions{ID: "x"}},
	{"tries", crashTries, crashTriesWant, 3, DispatchOptions{ID: "x", Retry: &activities.RetryPolicy{MaxAttempts: 3, InitialDelay: time.Second}}},
}

func TestCrashAtEveryCommit(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		for _, after := range []bool{false, true} {
			for c := range crashes {
				t.Run(fmt.Sprintf("%s after=%v replay=%v", crashes[c].name, after, always), func(t *testing.T) {
					t.Parallel()
					for i := 1; ; i++ {
						reached := false
						synctest.Test(t, func(t *testing.T) { reached = crashAt(t, c, i, after, always) })
						if !reached || t.Failed() {
							t.Logf("%d commits", i-1)
							if i < 10 {
								t.Errorf("only %d commits", i-1)
							}
							return
						}
					}
				})
			}
		}
	}
}

// crashAt runs the script with a death around commit number at and reports whether there was one.
func crashAt(t *testing.T, which, at int, after, always bool) bool {
	script, result, wantLines := crashes[which].script, crashes[which].want, crashes[which].lines
	w := newWorld(t)
	store := &crashing{Store: w.store, at: at, after: after, dead: make(chan struct{})}
	e, stop := w.engineOn(store, Options{ReplayAlways: always})
	w.deploy(e, script)
	started := make(chan error, 1)
	go func() {
		_, err := e.Dispatch(context.Background(), "test", Input{}, crashes[which].dispatch)
		started <- err
	}()
	ended := make(chan struct{})
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		defer close(ended)
		_ = waitSilently(ctx, e)
	}()
	died := false
	select {
	case <-store.dead:
		died = true
		e.Kill()
	case <-ended:
	}
	cancel()
	<-ended
	<-started
	stop()
	if died { // another process takes over when the session has lapsed
		e, stop = w.engine(Options{ReplayAlways: always})
		if _, err := e.Dispatch(context.Background(), "test", Input{}, crashes[which].dispatch); err != nil {
			t.Fatalf("commit %d: %v", at, err)
		}
		r := w.finish(e, "x")
		if string(r.Value) != result {
			t.Fatalf("commit %d: %s %+v, want %s", at, r.Value, r.Failure, result)
		}
		lines, err := e.Logs(context.Background(), "x", LogPosition{})
		if err != nil || len(lines) != wantLines {
			t.Fatalf("commit %d: %d log lines, %v", at, len(lines), err)
		}
		stop()
	}
	w.check()
	checkHistory(t, e, "x")
	return died
}

// waitSilently waits until the execution exists and has ended.
func waitSilently(ctx context.Context, e *Engine) error {
	for {
		_, err := e.Wait(ctx, "x")
		if !errors.Is(err, backend.ErrNotFound) {
			return err
		}
		select {
		case <-time.After(time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// checkHistory fails the test unless every step has one outcome.
func checkHistory(t *testing.T, e *Engine, id string) {
	t.Helper()
	h, err := e.History(context.Background(), id)
	if err != nil {
		t.Fatal(err)
	}
	outcomes := make(map[string]int)
	for _, en := range h.Entries {
		if en.Kind == entryDone || en.Kind == entryFailed {
			outcomes[en.Step]++
		}
	}
	for _, s := range h.Steps {
		if outcomes[s.Step] != 1 && s.Kind != "wait_signal" {
			t.Errorf("step %s has %d outcomes", s.Step, outcomes[s.Step])
		}
	}
}
