// Replies that get lost: nothing that a session owns may stay undone.

package engine

import (
	"context"
	"errors"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/backendtest"
)

// sameSession fails the test when the engine's worker has begun another session.
func sameSession(t *testing.T, e *Engine, first backend.SessionID) {
	t.Helper()
	if w := e.current(); w == nil || w.session != first || w.lost.Load() {
		t.Error("the worker has lost its session")
	}
}

func TestALostReplyOfAClaimLeavesNothingUndone(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			store := backendtest.Faulty(w.store)
			client, err := New(w.store, w.reg, Options{})
			if err != nil {
				t.Fatal(err)
			}
			w.deploy(client, `
add = activity("add")
def main(n):
    sleep("35m")
    return add(n, wait_signal("go"))
`)
			jobs := make([]Job, 20)
			for i := range jobs {
				jobs[i].Input = Input{Args: []any{i}}
			}
			ids, err := client.DispatchAll(t.Context(), "test", jobs)
			if err != nil {
				t.Fatal(err)
			}
			store.LoseClaims(3)
			e, stop := w.engineOn(store, Options{ReplayAlways: always, ReleaseAfter: time.Second, MaxConcurrency: 4})
			first := e.current().session
			time.Sleep(30 * time.Minute)
			if n := e.Held(); n != 0 {
				t.Errorf("%d held in their sleep", n)
			}
			store.LoseClaims(3) // when they wake up
			for _, id := range ids {
				if err := client.Signal(t.Context(), id, "go", []byte("1")); err != nil {
					t.Fatal(err)
				}
			}
			for i, id := range ids {
				if r := w.finish(client, id); r.Failure != nil || string(r.Value) != strconv.Itoa(i+1) {
					t.Errorf("%s: %s %+v", id, r.Value, r.Failure)
				}
			}
			sameSession(t, e, first)
			stop()
			w.check()
		})
	}
}

func TestALostReplyOfAClaimOfTasksLeavesNothingUndone(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, `
nap = activity("nap", queue = "far")
def main():
    return nap.map([100 + n for n in range(12)])
`)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			store := backendtest.Faulty(w.store)
			store.LoseClaims(3)
			far, stopFar := w.engineOn(store, Options{Queues: []string{"far"}, MaxConcurrency: 3})
			first := far.current().session
			want(t, w.finish(e, id), `[100,101,102,103,104,105,106,107,108,109,110,111]`)
			sameSession(t, far, first)
			stop()
			stopFar()
			w.check()
		})
	}
}

func TestANewExecutionWhoseReplyIsLostBegins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := backendtest.Faulty(w.store)
		e, stop := w.engineOn(store, Options{})
		// Nothing had begun when the reply was lost: that is no crash, of which there may be none.
		w.deploy(e, "def main():\n    return activity(\"add\", max_crashes = 0)(1, 2)\n")
		synctest.Wait()
		first := e.current().session
		store.FailAt(store.Commits()+1, backendtest.ReplyLost)
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), "3")
		sameSession(t, e, first)
		stop()
		w.check()
	})
}

// stalling is a store whose commits wait while it is told to.
type stalling struct {
	backend.Store
	wait chan struct{}
}

func (s *stalling) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	<-s.wait
	return s.Store.Commit(ctx, b)
}

func TestANewExecutionThatNobodyWaitsForBegins(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &stalling{Store: w.store, wait: make(chan struct{})}
		e, stop := w.engineOn(store, Options{MaxConcurrency: 1})
		w.deploy(e, "def main():\n    return activity(\"add\")(1, 2)\n")
		synctest.Wait()
		me := e.current()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if _, err := e.Dispatch(ctx, "test", Input{}, DispatchOptions{ID: "x"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		close(store.wait)
		synctest.Wait()
		want(t, w.finish(e, "x"), "3")
		sameSession(t, e, me.session)
		if n := len(me.creating); n != 0 {
			t.Errorf("%d executions are still being created", n)
		}
		stop()
		w.check()
	})
}

// cutOff is a store that goes down with one of its commits, whose reply is lost.
type cutOff struct {
	backend.Store
	gate  atomic.Pointer[chan struct{}] // commits wait for it
	after atomic.Int32                  // the commit that takes the store down: 1 is the next
	down  atomic.Bool
	blind atomic.Int32 // how many more reads fail afterwards
}

func (s *cutOff) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if gate := s.gate.Load(); gate != nil {
		<-*gate
	}
	if s.down.Load() {
		return backend.Reply{}, errDead
	}
	reply, err := s.Store.Commit(ctx, b)
	if s.after.Add(-1) == 0 {
		s.down.Store(true)
		return backend.Reply{}, errDead
	}
	return reply, err
}

func (s *cutOff) Journal(ctx context.Context, run backend.RunKey, from int64, row func(backend.Row) error) error {
	if s.down.Load() || s.blind.Add(-1) >= 0 {
		return errDead
	}
	return s.Store.Journal(ctx, run, from, row)
}

// A batch has landed, the database is away for longer than dispatching waits, and
// the batch is found when it is back, also what is left of it without the new execution.
func TestABatchThatHasLandedIsNotWrittenAgain(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		away  time.Duration
		blind int32
	}{{time.Second, 2}, {3 * patience, 2}, {time.Second, 12}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			store := &cutOff{Store: w.store}
			e, stop := w.engineOn(store, Options{})
			w.deploy(e, "def main(n):\n    return activity(\"nap\")(1000 + n) + activity(\"nap\")(n)\n")
			synctest.Wait()
			first := e.current().session
			for i := range 4 {
				w.dispatch(e, Input{Args: []any{i}}, DispatchOptions{ID: strconv.Itoa(i)})
			}
			synctest.Wait()
			gate := make(chan struct{})
			store.gate.Store(&gate)
			time.Sleep(time.Second + time.Millisecond/2) // the turn of the first is on its way, those of the others will gather
			go func() {
				_, _ = e.Dispatch(context.Background(), "test", Input{Args: []any{4}}, DispatchOptions{ID: "4"})
			}()
			time.Sleep(time.Second)
			store.after.Store(2)
			store.blind.Store(c.blind)
			close(gate)
			time.Sleep(c.away)
			if !store.down.Load() {
				t.Error("nothing was lost")
			}
			store.down.Store(false)
			for i := range 5 { // the last has landed with the others, whatever who dispatched it was told
				want(t, w.finish(e, strconv.Itoa(i)), strconv.Itoa(1000+2*i))
			}
			sameSession(t, e, first)
			stop()
			w.check()
		})
	}
}

func TestAnIDDispatchedAgainWhileItRunsIsLeftAlone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, "def main():\n    return activity(\"nap\")(1000)\n")
		synctest.Wait()
		first := e.current().session
		for range 3 {
			w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
			w.dispatch(e, Input{}, DispatchOptions{ID: "x", Here: true})
			synctest.Wait()
		}
		want(t, w.finish(e, "x"), "1000")
		synctest.Wait()
		sameSession(t, e, first)
		if n := e.Held(); n != 0 {
			t.Errorf("%d held after the end", n)
		}
		stop()
		w.check()
	})
}

// The reply of a claim is lost for an execution whose former self is just leaving.
func TestALostClaimOfWhatIsLeavingIsFoundWhenItHasLeft(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, "def main():\n    return activity(\"add\")(wait_signal(\"go\"), 2)\n")
		id := w.dispatch(e, Input{}, DispatchOptions{})
		synctest.Wait()
		x := e.worker.held[id]
		x.going.Store(true) // as if its last turn had landed and nobody had told it yet
		e.worker.doubts.executions.Store(true)
		e.worker.hint()
		synctest.Wait()
		if e.worker.doubts.leaving[id] != x {
			t.Fatal("who is leaving is not watched")
		}
		context.AfterFunc(e.worker.ctx, x.poke) // nobody else will: it is held no more, but its goroutine waits still
		e.worker.gone(x)
		synctest.Wait()
		if y := e.worker.held[id]; y == nil || y == x || len(e.worker.doubts.leaving) != 0 {
			t.Fatal("the execution that the session owns is not held")
		}
		if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
			t.Fatal(err)
		}
		want(t, w.finish(e, id), "3")
		stop()
		w.check()
	})
}

// So does one whose first step was cancelled in the turn that asked for it.
func TestANewExecutionWhoseReplyIsLostEnds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := backendtest.Faulty(w.store)
		e, stop := w.engineOn(store, Options{})
		w.deploy(e, "def main():\n    activity(\"nap\").start(1000)\n    error(\"Sad\")\n")
		synctest.Wait()
		store.FailAt(store.Commits()+1, backendtest.ReplyLost)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		x, err := e.Wait(t.Context(), id)
		if err != nil || x.Failure == nil || x.Failure.Kind != "Sad" {
			t.Errorf("%s %v, %v", x.State, x.Failure, err)
		}
		stop()
		w.check()
	})
}

// tongueTied is a store that loses the reply of the first release that says nothing else, after a while, and whose claims may answer later still.
type tongueTied struct {
	backend.Store
	lost  atomic.Bool
	claim time.Duration // how long a claim's answer is on its way once a reply was lost
}

const muted = 10 * time.Second

func (s *tongueTied) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	reply, err := s.Store.Commit(ctx, b)
	if len(b.Turns) == 1 && b.Turns[0].Then == backend.Release && len(b.Turns[0].Rows) == 0 && !s.lost.Swap(true) {
		time.Sleep(muted)
		return backend.Reply{}, errDead
	}
	return reply, err
}

func (s *tongueTied) Claim(ctx context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	claimed, err := s.Store.Claim(ctx, r)
	if len(claimed) > 0 && s.lost.Load() {
		time.Sleep(s.claim)
	}
	return claimed, err
}

// The reply of a release is lost, and before anybody asks what became of it the same session has claimed the execution again.
func TestALostReleaseOfWhatWasClaimedAgain(t *testing.T) {
	t.Parallel()
	for _, claim := range []time.Duration{0, 2 * muted} { // known of when that is asked, and not yet
		for _, early := range []bool{false, true} { // by a signal, that keeps it, or by a timer
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				store := &tongueTied{Store: w.store, claim: claim}
				e, stop := w.engineOn(store, Options{ReleaseAfter: time.Second, SessionLife: 5 * time.Minute})
				first := e.current().session
				w.deploy(e, "def main():\n    wait_signal(\"go\", timeout = \"8s\", default = None)\n    sleep(\"1m\")\n    return activity(\"add\")(1, 2)\n")
				id := w.dispatch(e, Input{}, DispatchOptions{})
				if time.Sleep(4 * time.Second); early {
					if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
						t.Fatal(err)
					}
				}
				want(t, w.finish(e, id), "3")
				if !store.lost.Load() {
					t.Error("nothing was lost")
				}
				time.Sleep(time.Minute)
				sameSession(t, e, first)
				if n := e.Held(); n != 0 {
					t.Errorf("%d held after the end", n)
				}
				stop()
				w.check()
			})
		}
	}
}

// It stays, for there was a message, and ends before the claim is heard of.
func TestAClaimIsHeardOfAfterTheEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &tongueTied{Store: w.store, claim: 2 * muted}
		e, stop := w.engineOn(store, Options{ReleaseAfter: time.Second, SessionLife: 5 * time.Minute})
		first := e.current().session
		w.deploy(e, "def main():\n    return wait_signal(\"go\")\n")
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(4 * time.Second)
		if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
			t.Fatal(err)
		}
		want(t, w.finish(e, id), "1")
		time.Sleep(time.Minute)
		sameSession(t, e, first)
		if n := e.Held(); n != 0 || !store.lost.Load() {
			t.Errorf("%d held after the end, reply lost: %v", n, store.lost.Load())
		}
		stop()
		w.check()
	})
}

// shy is a tongueTied whose claims find nothing while it is told so.
type shy struct {
	tongueTied
	waits atomic.Bool
}

func (s *shy) Claim(ctx context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	if s.waits.Load() {
		return nil, nil
	}
	return s.tongueTied.Claim(ctx, r)
}

// The reply of a release is lost, another worker moves the execution on and lets it go, and the same session claims it again before
// anybody asks what became of the release. A message keeps it then, and what that is an answer to its former self does not know; or it
// is let go, and when it is due its former self does not know either.
func TestALostReleaseOfWhatHasMovedOn(t *testing.T) {
	t.Parallel()
	for _, rest := range []string{`return activity("add", queue = "far")(n, 2)`, "sleep(\"5s\")\n    return n + 2"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			store := &shy{tongueTied: tongueTied{Store: w.store}}
			o := Options{ReleaseAfter: time.Second, SessionLife: 5 * time.Minute}
			e, stop := w.engineOn(store, o)
			first := e.current().session
			w.deploy(e, "def main():\n    n = wait_signal(\"go\")\n    "+rest+"\n")
			id := w.dispatch(e, Input{}, DispatchOptions{})
			time.Sleep(2 * time.Second)
			if !store.lost.Load() {
				t.Fatal("nothing was lost")
			}
			store.waits.Store(true)
			other, stopOther := w.engine(o)
			if err := other.Signal(t.Context(), id, "go", []byte("1")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(4 * time.Second)
			stopOther()
			store.waits.Store(false)
			_, stopFar := w.engine(Options{Queues: []string{"far"}, SessionLife: o.SessionLife})
			want(t, w.finish(e, id), "3")
			time.Sleep(time.Minute)
			sameSession(t, e, first)
			if n := e.Held(); n != 0 {
				t.Errorf("%d held after the end", n)
			}
			stop()
			stopFar()
			w.check()
		})
	}
}
