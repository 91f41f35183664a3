// The ways in which a random script is run.

package engine

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// shaky is a store that fails now and then, before it has done something or after it.
type shaky struct {
	backend.Store

	mu    sync.Mutex // guards all below
	rand  *rand.Rand
	share int // of calls that fail, in percent
}

// fails reports whether a call fails there.
func (s *shaky) fails() (before, after error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.rand.IntN(100) >= s.share {
		return nil, nil
	}
	err := backend.ErrTransient
	if s.rand.IntN(3) == 0 {
		err = errors.New("something else")
	}
	if s.rand.IntN(2) == 0 {
		return err, nil
	}
	return nil, err
}

// shaken calls a method that may fail.
func shaken[T any](s *shaky, do func() (T, error)) (v T, err error) {
	before, after := s.fails()
	if before != nil {
		return v, before
	}
	got, err := do()
	if err == nil && after != nil {
		return v, after
	}
	return got, err
}

func (s *shaky) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	return shaken(s, func() (backend.Reply, error) { return s.Store.Commit(ctx, b) })
}

func (s *shaky) Claim(ctx context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	return shaken(s, func() ([]backend.Claimed, error) { return s.Store.Claim(ctx, r) })
}

func (s *shaky) ClaimTasks(ctx context.Context, r backend.TaskRequest) (backend.ClaimedTasks, error) {
	return shaken(s, func() (backend.ClaimedTasks, error) { return s.Store.ClaimTasks(ctx, r) })
}

func (s *shaky) Receive(ctx context.Context, id backend.SessionID) ([]backend.Message, error) {
	return shaken(s, func() ([]backend.Message, error) { return s.Store.Receive(ctx, id) })
}

func (s *shaky) Execution(ctx context.Context, id string) (backend.Execution, error) {
	return shaken(s, func() (backend.Execution, error) { return s.Store.Execution(ctx, id) })
}

func (s *shaky) NextDue(ctx context.Context, queues []string) (time.Time, error) {
	return shaken(s, func() (time.Time, error) { return s.Store.NextDue(ctx, queues) })
}

func (s *shaky) Journal(ctx context.Context, run backend.RunKey, from int64, row func(backend.Row) error) error {
	_, err := shaken(s, func() (struct{}, error) { return struct{}{}, s.Store.Journal(ctx, run, from, row) })
	return err
}

func (s *shaky) Program(ctx context.Context, digest string) (backend.Program, error) {
	return shaken(s, func() (backend.Program, error) { return s.Store.Program(ctx, digest) })
}

func (s *shaky) Memos(ctx context.Context, f backend.MemoFilter) ([]backend.Memo, error) {
	return shaken(s, func() ([]backend.Memo, error) { return s.Store.Memos(ctx, f) })
}

func (s *shaky) Tasks(ctx context.Context, f backend.TaskFilter) ([]backend.Task, error) {
	return shaken(s, func() ([]backend.Task, error) { return s.Store.Tasks(ctx, f) })
}

func (s *shaky) List(ctx context.Context, f backend.Filter) ([]backend.Execution, error) {
	return shaken(s, func() ([]backend.Execution, error) { return s.Store.List(ctx, f) })
}

func (s *shaky) Deployments(ctx context.Context, workflow string) ([]backend.Deployment, error) {
	return shaken(s, func() ([]backend.Deployment, error) { return s.Store.Deployments(ctx, workflow) })
}

func (s *shaky) Runs(ctx context.Context, id string, from int) ([]backend.Run, error) {
	return shaken(s, func() ([]backend.Run, error) { return s.Store.Runs(ctx, id, from) })
}

func (s *shaky) Sessions(ctx context.Context) ([]backend.Session, error) {
	return shaken(s, func() ([]backend.Session, error) { return s.Store.Sessions(ctx) })
}

// ways are the ways in which a random script is run; each ends with the checks of its store.
var ways = map[string]struct {
	dies bool // what activities do may be done again
	anew bool // random numbers are drawn anew
	run  func(t *testing.T, r *rand.Rand, script string) ending
}{
	"replayed": {run: func(t *testing.T, _ *rand.Rand, script string) ending {
		return runRandom(t, script, Options{ReplayAlways: true})
	}},
	"released": {run: func(t *testing.T, r *rand.Rand, script string) ending {
		return runRandom(t, script, Options{ReleaseAfter: time.Duration(1 + r.IntN(300_000_000)), MaxParked: 1 + r.IntN(3)})
	}},
	"narrow": {run: func(t *testing.T, r *rand.Rand, script string) ending {
		return runRandom(t, script, Options{MaxConcurrency: 1 + r.IntN(3), ReplayAlways: r.IntN(2) == 0})
	}},
	"two": {run: func(t *testing.T, r *rand.Rand, script string) ending {
		w, f := randomWorld(t)
		e, stop := w.engine(Options{MaxConcurrency: 2, ReleaseAfter: time.Second})
		_, stop2 := w.engine(Options{MaxConcurrency: 1 + r.IntN(2), ReplayAlways: r.IntN(2) == 0})
		w.deployFiles(e, script, "")
		w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
		end := w.ending(e, "x", f)
		w.holds(e, "x")
		stop2()
		stop()
		w.check()
		return end
	}},
	"stopped": {dies: true, run: func(t *testing.T, r *rand.Rand, script string) ending {
		w, f := randomWorld(t)
		o := Options{ReplayAlways: r.IntN(2) == 0, DrainTimeout: time.Duration(1 + r.IntN(1e9))}
		e, stop := w.engine(o)
		w.deployFiles(e, script, "")
		w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
		for range 5 {
			time.Sleep(time.Duration(r.IntN(5_000)) * time.Millisecond)
			stop()
			w.holds(e, "x")
			e, stop = w.engine(o)
		}
		end := w.ending(e, "x", f)
		w.holds(e, "x")
		stop()
		w.check()
		return end
	}},
	"upgraded": {run: func(t *testing.T, r *rand.Rand, script string) ending {
		w, f := randomWorld(t)
		e, stop := w.engine(Options{ReplayAlways: r.IntN(2) == 0})
		w.deployFiles(e, script, "")
		w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
		for i := range 5 {
			time.Sleep(time.Duration(r.IntN(5_000)) * time.Millisecond)
			p := w.deployFiles(e, script, fmt.Sprintf("# %d\n", i))
			x, err := e.State(t.Context(), "x")
			if err != nil {
				t.Fatal(err)
			}
			v, err := e.Upgrade(t.Context(), "x", p.Digest)
			if err != nil || !v.Moved && !x.State.Terminal() {
				if x, _ = e.State(t.Context(), "x"); !x.State.Terminal() {
					t.Errorf("upgrade: %+v %v", v, err)
				}
			}
		}
		end := w.ending(e, "x", f)
		w.holds(e, "x")
		stop()
		w.check()
		return end
	}},
	"killed": {dies: true, run: func(t *testing.T, r *rand.Rand, script string) ending {
		w, f := randomWorld(t)
		for range 6 {
			o := Options{ReplayAlways: r.IntN(2) == 0, MaxConcurrency: oneOf(r, 1, 3, 256), ReleaseAfter: oneOf(r, time.Millisecond, time.Second, time.Minute)}
			store := &crashing{Store: w.store, at: 1 + r.IntN(25), after: r.IntN(2) == 0, dead: make(chan struct{})}
			e, stop := w.engineOn(store, o)
			w.deployFiles(e, script, "")
			ended := make(chan struct{})
			ctx, cancel := context.WithCancel(context.Background())
			started := make(chan struct{})
			go func() {
				defer close(started)
				_, _ = e.Dispatch(ctx, "test", Input{}, DispatchOptions{ID: "x"})
			}()
			go func() {
				defer close(ended)
				_ = waitSilently(ctx, e)
			}()
			select {
			case <-store.dead:
				e.Kill()
			case <-ended:
			}
			cancel()
			<-ended
			<-started
			stop()
		}
		e, stop := w.engine(Options{})
		if _, err := e.Dispatch(context.Background(), "test", Input{}, DispatchOptions{ID: "x"}); err != nil {
			t.Fatal(err)
		}
		end := w.ending(e, "x", f)
		w.holds(e, "x")
		stop()
		w.check()
		checkHistory(t, e, "x")
		return end
	}},
	"shaky": {dies: true, run: func(t *testing.T, r *rand.Rand, script string) ending {
		w, f := randomWorld(t)
		client, err := New(w.store, w.reg, Options{})
		if err != nil {
			t.Fatal(err)
		}
		w.deployFiles(client, script, "")
		o := Options{ReplayAlways: r.IntN(2) == 0, MaxConcurrency: oneOf(r, 2, 256), ReleaseAfter: oneOf(r, time.Millisecond, time.Second, time.Minute)}
		_, stop := w.engineOn(&shaky{Store: w.store, rand: r, share: 1 + r.IntN(20)}, o)
		w.dispatch(client, Input{}, DispatchOptions{ID: "x"})
		end := w.ending(client, "x", f)
		w.holds(client, "x")
		stop()
		w.check()
		checkHistory(t, client, "x")
		return end
	}},
	"forked": {anew: true, run: func(t *testing.T, r *rand.Rand, script string) ending {
		w, f := randomWorld(t)
		e, stop := w.engine(Options{ReplayAlways: r.IntN(2) == 0})
		w.deployFiles(e, script, "")
		w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
		first := w.ending(e, "x", f)
		last := "x"
		for i := range 3 {
			h, err := e.History(t.Context(), last)
			if err != nil {
				t.Fatal(err)
			}
			if len(h.Steps) == 0 {
				break
			}
			step := h.Steps[r.IntN(len(h.Steps))]
			from := step.Step
			if step.Kind == "signal" { // it would be sent to whom it was sent
				continue
			}
			t.Log("fork", last, from)
			if last, err = e.Fork(t.Context(), last, RerunOptions{From: from, ID: fmt.Sprint("y", i)}); err != nil {
				t.Fatal(err)
			}
			if r.IntN(2) == 0 {
				time.Sleep(time.Duration(r.IntN(2_000)) * time.Millisecond)
				stop()
				e, stop = w.engine(Options{ReplayAlways: r.IntN(2) == 0})
			}
			end := w.ending(e, last, f)
			w.holds(e, last)
			if end.Result != first.Result || end.Shown != first.Shown {
				end.Lines, end.Effects = first.Lines, first.Effects
				t.Errorf("fork %d from %s:\n%s", i, from, differ(end, first, false))
				break
			}
		}
		stop()
		w.check()
		return first
	}},
}
