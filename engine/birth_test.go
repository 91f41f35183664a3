package engine

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/backendtest"
)

// told is an observer that remembers.
type told struct {
	mu     sync.Mutex
	events []Event
}

func (o *told) Observe(ev Event) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.events = append(o.events, ev)
}

// of counts events of a kind.
func (o *told) of(kind EventKind) (n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i := range o.events {
		if o.events[i].Kind == kind {
			n++
		}
	}
	return n
}

func TestOneCommitForAnExecutionAndItsFirstTurn(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		script  string
		result  string
		commits int
	}{
		{"def main():\n    return activity(\"add\")(1, 2)\n", "3", 2},
		{"def main():\n    return activity(\"add\").starmap([(1, 2), (3, 4)]) if False else activity(\"add\")(activity(\"add\")(1, 2), 3)\n", "6", 3},
		{"def main():\n    print(\"hello\")\n    return activity(\"add\")(1, 2)\n", "3", 3}, // a log line needs its run's key
		{"def main():\n    return 5\n", "5", 2},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			store := backendtest.Faulty(w.store)
			e, stop := w.engineOn(store, Options{})
			w.deploy(e, c.script)
			synctest.Wait()
			before := store.Commits()
			id := w.dispatch(e, Input{}, DispatchOptions{})
			want(t, w.finish(e, id), c.result)
			if n := store.Commits() - before; n != c.commits {
				t.Errorf("%d commits, want %d of\n%s", n, c.commits, c.script)
			}
			x, err := e.State(t.Context(), id)
			if err != nil || x.Started.IsZero() || x.Created.After(x.Finished) {
				t.Errorf("created %v, started %v, finished %v: %v", x.Created, x.Started, x.Finished, err)
			}
			stop()
			w.check()
		})
	}
}

// The script of a dispatch that finds its id taken has run up to its first step: nobody may hear of it.
func TestAnIDThatExistsIsNotBegunForAnybodyToSee(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		seen := &told{}
		e, stop := w.engine(Options{Observer: seen, MaxConcurrency: 2})
		w.deploy(e, `
def child():
    return activity("nap")(5000)
def main(n):
    print("hello")
    progress(1, 2)
    return activity("nap")(1000) + workflow(child)()
`)
		synctest.Wait()
		first := e.current().session
		for range 2 {
			w.dispatch(e, Input{Args: []any{1}}, DispatchOptions{ID: "x"})
			if _, err := e.Dispatch(t.Context(), "test", Input{Args: []any{2}}, DispatchOptions{ID: "x"}); err == nil {
				t.Error("other input is no conflict")
			}
		}
		want(t, w.finish(e, "x"), "6000")
		w.dispatch(e, Input{Args: []any{1}}, DispatchOptions{ID: "x"})
		synctest.Wait()
		if n, m := seen.of(Logged), seen.of(ExecutionStarted); n != 1 || m != 2 {
			t.Errorf("%d log lines and %d starts were told of, want 1 and 2: %+v", n, m, seen.events)
		}
		sameSession(t, e, first)
		if n := e.current().slots.available(); n != 2 || e.Held() != 0 {
			t.Errorf("%d slots are free, %d executions held", n, e.Held())
		}
		stop()
		w.check()
	})
}

// A script that takes its time before its first step does not keep its dispatch waiting.
func TestAnExecutionIsStoredBeforeALongFirstTurn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		slow := slog.New(slowly{slog.DiscardHandler}) // what the script does warns of its large value
		e, stop := w.engine(Options{Logger: slow, MaxValue: 1000})
		w.deploy(e, `
def child():
    return 1
def main():
    f = activity("echo").start("x" * 500)
    return [workflow(child)(), len(f.result())]
`)
		synctest.Wait()
		began := time.Now()
		id := w.dispatch(e, Input{}, DispatchOptions{})
		if waited := time.Since(began); waited > time.Second {
			t.Errorf("the dispatch took %v", waited)
		}
		if x, err := w.store.Execution(t.Context(), id); err != nil || x.State != backend.Running || len(e.worker.creating) != 0 {
			t.Errorf("%+v %v", x, err)
		}
		want(t, w.finish(e, id), "[1,500]")
		stop()
		w.check()
	})
}

// slowly is a handler of log records that takes a minute for each.
type slowly struct{ slog.Handler }

func (slowly) Enabled(context.Context, slog.Level) bool { return true }

func (slowly) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn {
		time.Sleep(time.Minute)
	}
	return nil
}

// When the database refuses an execution its script is forgotten, and the dispatch says why.
func TestAnExecutionThatCannotBeStoredIsForgotten(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		seen := &told{}
		store := &refusing{Store: w.store}
		e, stop := w.engineOn(store, Options{Observer: seen, MaxConcurrency: 1})
		w.deploy(e, "def main():\n    return activity(\"add\")(1, 2)\n")
		synctest.Wait()
		first := e.current().session
		for _, fault := range []error{backend.ErrFull, backend.ErrNoProgram} {
			store.set(fault)
			if _, err := e.Dispatch(t.Context(), "test", Input{}, DispatchOptions{ID: "x"}); !errors.Is(err, fault) {
				t.Errorf("%v, want %v", err, fault)
			}
			store.set(nil)
			synctest.Wait()
			if n := len(seen.events) + e.Held() + len(e.worker.creating) + w.called("add"); n != 0 {
				t.Errorf("something is left: %+v, %d held, %d in the making", seen.events, e.Held(), len(e.worker.creating))
			}
		}
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{ID: "x"})), "3")
		sameSession(t, e, first)
		stop()
		w.check()
	})
}

// refusing is a store that refuses commits with an error.
type refusing struct {
	backend.Store
	mu  sync.Mutex
	err error
}

func (s *refusing) set(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.err = err
}

func (s *refusing) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	s.mu.Lock()
	err := s.err
	s.mu.Unlock()
	if err != nil {
		return backend.Reply{}, err
	}
	return s.Store.Commit(ctx, b)
}

// closable is a store that nobody may use once it is closed.
type closable struct {
	backend.Store
	closed, used atomic.Bool
}

func (s *closable) Program(ctx context.Context, digest string) (backend.Program, error) {
	if s.closed.Load() {
		s.used.Store(true)
	}
	return s.Store.Program(ctx, digest)
}

// A dispatch that comes as the worker ends begins nothing behind its back: the store may be closed by then.
func TestNothingBeginsWhenTheWorkerHasEnded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, "def main():\n    sleep(1)\n")
		digest := w.digestOf(e, "def main():\n    sleep(1)\n")
		stop()
		store := &closable{Store: w.store}
		e, stop = w.engineOn(store, Options{})
		worker := e.current()
		stop()
		store.closed.Store(true)
		n := &backend.NewExecution{ID: "x", Workflow: "test", Digest: digest, Edition: 1, Function: "main", Input: []byte("[]"), Queue: "default", Claim: true}
		if r := worker.begin(t.Context(), n, false); !errors.Is(r.err, backend.ErrFenced) {
			t.Errorf("%v", r.err)
		}
		synctest.Wait()
		if store.used.Load() {
			t.Error("the store was used")
		}
		w.check()
	})
}

// slowBirths is a store whose reply comes a second after an execution that begins here is there.
type slowBirths struct{ backend.Store }

func (s slowBirths) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	r, err := s.Store.Commit(ctx, b)
	if len(b.Create) > 0 && b.Create[0].Claim {
		time.Sleep(time.Second)
	}
	return r, err
}

// What comes for an execution that is stored, before its worker knows that it is, does not wait for a poll.
func TestAMessageForOneThatIsJustBeingStored(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		n := &wire{}
		e, stop := w.engineOn(slowBirths{w.store}, Options{Notifier: n, PollInterval: time.Minute})
		client, err := New(w.store, w.reg, Options{Notifier: n})
		if err != nil {
			t.Fatal(err)
		}
		w.deploy(client, "def main():\n    return wait_signal(\"go\")\n")
		time.Sleep(time.Hour)
		begun := time.Now()
		id := "x"
		born := make(chan error, 1)
		go func() {
			_, err := e.Dispatch(t.Context(), "test", Input{}, DispatchOptions{ID: id})
			born <- err
		}()
		time.Sleep(time.Second / 2)
		if err := client.Signal(t.Context(), id, "go", []byte("1")); err != nil {
			t.Fatal(err)
		}
		want(t, w.finish(client, id), `1`)
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("it took %v", took)
		}
		if err := <-born; err != nil {
			t.Error(err)
		}
		stop()
		w.check()
	})
}
