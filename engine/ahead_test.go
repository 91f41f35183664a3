package engine

import (
	"bytes"
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/sqlite"
)

const aheadScript = `
guess = activity("guess", pure = True)
effect = activity("effect")
def leg(n):
    v = 0
    for i in range(3):
        v = guess(v, n)
        print("leg", n, i)
    return effect(v)
def main():
    v = 0
    out = []
    for i in range(100):
        v = guess(v, i)
        if i % 17 == 0:
            out.append(effect(v))
            state.set("at", i)
    out += parallel.map(leg, range(4))
    r = attempt(activity("boom", pure = True, retry = retry_policy(max_attempts = 2, initial_delay = "1ms")), "Bad")
    out.append(r.error.kind)
    sleep("1s")
    return [guess(v, 0) > 0, len(out)]
`

// aheadWorld has an activity that says it is pure and lies, so that a value can
// be told from the same one of another attempt, and an effect that looks
// whether the journal holds what it was given.
func aheadWorld(t *testing.T, checked *atomic.Int64) *world {
	w := newWorld(t)
	var last atomic.Int64
	w.register("guess", func(_, _ int64) (int64, error) { return last.Add(1), nil })
	w.register("effect", func(ctx context.Context, v int64) (int64, error) {
		info := activities.Info(ctx)
		x, err := w.store.Execution(ctx, info.Execution)
		if err != nil {
			return 0, err
		}
		asked, known := false, false
		value := fmt.Appendf(nil, `"value":%d`, v)
		err = w.store.Journal(ctx, x.Run, 0, func(r backend.Row) error {
			known = known || bytes.Contains(r.Data, append(bytes.Clone(value), ',')) || bytes.Contains(r.Data, append(bytes.Clone(value), '}'))
			asked = asked || bytes.Contains(r.Data, fmt.Appendf(nil, `"args":[%d]`, v))
			return nil
		})
		if err == nil && (!known || !asked) {
			t.Errorf("step %s ran on %d: in the journal %v, asked there %v", info.Step, v, known, asked)
		}
		checked.Add(1)
		return v, err
	})
	return w
}

// The process dies at every commit of a script that runs ahead; no effect ever ran on a value that the journal does not hold.
func TestNoEffectRunsOnWhatIsNotDurable(t *testing.T) {
	t.Parallel()
	for _, after := range []bool{false, true} {
		for at := 1; ; at++ {
			died := false
			synctest.Test(t, func(t *testing.T) {
				var checked atomic.Int64
				w := aheadWorld(t, &checked)
				store := &crashing{Store: &slowCommits{Store: w.store}, at: at, after: after, dead: make(chan struct{})}
				e, stop := w.engineOn(store, Options{})
				w.deploy(e, aheadScript)
				id, err := e.Dispatch(t.Context(), "test", Input{}, DispatchOptions{ID: "x"})
				if err == nil {
					ended := make(chan struct{})
					go func() { _, _ = e.Wait(t.Context(), id); close(ended) }()
					select {
					case <-store.dead:
						died = true
					case <-ended:
					}
				} else {
					died = true
				}
				e.Kill()
				stop()
				<-time.After(time.Millisecond)
				next, stopNext := w.engine(Options{})
				if _, err := next.Dispatch(t.Context(), "test", Input{}, DispatchOptions{ID: "x"}); err != nil {
					t.Fatal(err)
				}
				want(t, w.finish(next, "x"), `[true,11]`)
				if checked.Load() < 10 {
					t.Errorf("%d effects", checked.Load())
				}
				v, err := next.Replay(t.Context(), "x", "")
				if err != nil || !v.Fits {
					t.Errorf("%+v %v", v, err)
				}
				stopNext()
				w.check()
			})
			if !died || t.Failed() {
				t.Logf("died at %d commits, after them: %v", at-1, after)
				break
			}
		}
	}
}

// Many pure steps share a commit, in order, and other modes give the same.
func TestPureStepsShareCommits(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}, {MaxConcurrency: 1}, {ReleaseAfter: time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			var checked atomic.Int64
			w := aheadWorld(t, &checked)
			counted := &slowCommits{Store: w.store}
			e, stop := w.engineOn(counted, o)
			w.deploy(e, aheadScript)
			want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `[true,11]`)
			if n := counted.n.Load(); !o.ReplayAlways && n > 60 { // 116 steps
				t.Errorf("%d commits", n)
			}
			stop()
			w.check()
		})
	}
}

// slowCommits counts commits, each of which takes a while.
type slowCommits struct {
	backend.Store
	n atomic.Int64
}

func (s *slowCommits) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	s.n.Add(1)
	time.Sleep(time.Millisecond)
	return s.Store.Commit(ctx, b)
}

// overtaken notes how many calls begin from the beginning of a commit to the end of the next: while the first is under way, and, on one
// processor, also before the second is let begin.
type overtaken struct {
	backend.Store
	calls  atomic.Int64
	before int64
	most   []int64
}

func (s *overtaken) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	begun := s.calls.Load()
	time.Sleep(time.Millisecond)
	s.most = append(s.most, s.calls.Load()-s.before)
	s.before = begun
	return s.Store.Commit(ctx, b)
}

// A script that always outpaces the database runs twice as far ahead with each commit that it waits for, but not without end.
func TestHowFarAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		s := &overtaken{Store: w.store}
		w.register("guess", func(n int64) (int64, error) { s.calls.Add(1); return n + 1, nil })
		e, stop := w.engineOn(s, Options{})
		w.deploy(e, `
guess = activity("guess", pure = True)
def main():
    v = 0
    for i in range(20000):
        v = guess(v)
    return v
`)
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), `20000`)
		stop()
		if first, most := slices.Max(s.most[:3]), slices.Max(s.most); first > 2*(minAhead+1) || most <= 4*minAhead || most > 2*maxAhead || len(s.most) > 100 {
			t.Errorf("calls in the time of two commits: %d", s.most)
		}
		w.check()
	})
}

// A script that fails its turn while it has run ahead keeps what is over of it.
func TestStuckWhileAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var calls atomic.Int64
		w.register("guess", func(n int64) (int64, error) { calls.Add(1); return n + 1, nil })
		e, stop := w.engineOn(&slowCommits{Store: w.store}, Options{MaxSteps: 20_000})
		w.deploy(e, `
guess = activity("guess", pure = True)
def main():
    v = 0
    for i in range(20):
        state.set("at", i)
        v = guess(v)
    while True:
        v += 1
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(10 * time.Second)
		x, err := e.State(t.Context(), id)
		if err != nil || x.Stuck == nil {
			t.Fatalf("%+v %v", x, err)
		}
		if string(x.Shown) != `{"state":{"at":19}}` { // when it goes on, that is in its journal and not told again
			t.Errorf("it shows %s", x.Shown)
		}
		if n := calls.Load(); n != 20 {
			t.Errorf("%d calls of 20 steps: what was over was run again", n)
		}
		if err := e.End(t.Context(), id, "enough"); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if x, err = e.Wait(ctx, id); err != nil || x.State != backend.Cancelled {
			t.Errorf("%+v %v", x, err)
		}
		stop()
		w.check()
	})
}

// A run that has run ahead, and whose next one asks for too much, is stuck.
func TestStuckWithTheNextRunWhileAhead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register("guess", func(n int64) (int64, error) { return n + 1, nil })
		e, stop := w.engineOn(&slowCommits{Store: w.store}, Options{})
		w.deploy(e, `
guess = activity("guess", pure = True)
def main():
    v = 0
    for i in range(20):
        v = guess(v)
    for i in range(80):
        print("x" * 100000)
    continue_as_new()
`)
		synctest.Wait()
		e.current().maxTurn = 6 << 20
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(10 * time.Second)
		x, err := e.State(t.Context(), id)
		if err != nil || x.Stuck == nil || !strings.Contains(x.Stuck.Reason, "asks for 7 MB") {
			t.Errorf("%+v %v", x.Stuck, err)
		}
		stop()
		w.check()
	})
}

// BenchmarkPureStep is a sequential step that runs ahead, on a file.
func BenchmarkPureStep(b *testing.B) {
	store, err := sqlite.Open(context.Background(), filepath.Join(b.TempDir(), "b.db"))
	if err != nil {
		b.Fatal(err)
	}
	e := benchEngine(b, store, `
next = activity("next", pure = True)
def main(steps):
    n = 0
    for _ in range(steps):
        n = next(n)
    return n
`, Options{})
	b.ReportAllocs()
	b.ResetTimer()
	runOne(b, e, b.N)
}
