package cli

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/engine"
)

// fullStore takes no turns while its disk is full.
type fullStore struct {
	backend.Store
	full atomic.Bool
}

func (s *fullStore) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if s.full.Load() {
		return backend.Reply{}, backend.ErrFull
	}
	return s.Store.Commit(ctx, b)
}

// notes is what a person is told.
type notes struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (n *notes) Write(p []byte) (int, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.Write(p)
}

func (n *notes) String() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.text.String()
}

func TestFullDiskIsTold(t *testing.T) {
	t.Parallel()
	signal.Stop(notified()) // what hands out signals begins with the first who asks, and stays: not in a bubble
	for _, end := range []string{"room", "interrupt"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, told := t.Context(), &notes{}
			store := &fullStore{Store: memory.New()}
			registry := activities.NewRegistry()
			registry.MustRegister("fill", func() error { store.full.Store(true); return nil }) // before its outcome is stored
			a := &app{registry: registry, out: &output{to: &notes{}}, err: told, env: func(string) string { return "" }}
			d, err := a.newDriver(ctx, store, true)
			if err != nil {
				t.Fatal(err)
			}
			signals := make(chan os.Signal, 1)
			d.signals = signals
			if _, err := d.engine.Deploy(ctx, fstest.MapFS{"f.star": &fstest.MapFile{Data: []byte("def main():\n    activity(\"fill\")()\n    return 1\n")}}, "f.star"); err != nil {
				t.Fatal(err)
			}
			id, err := d.engine.Dispatch(ctx, "f", engine.Input{}, engine.DispatchOptions{Here: true})
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() {
				_, err := d.wait(ctx, id, 0)
				ended <- err
			}()
			time.Sleep(time.Minute)
			if want := "the disk is full; going on as soon as there is room\n"; told.String() != want {
				t.Errorf("told %q, want %q", told, want)
			}
			began := time.Now()
			if end == "interrupt" {
				signals <- syscall.SIGINT
				if err := <-ended; !errors.Is(err, errSignal) || !strings.Contains(err.Error(), "the disk is full") {
					t.Errorf("ended with %v", err)
				}
				if took := time.Since(began); took > time.Second {
					t.Errorf("it took %v", took)
				}
			} else {
				store.full.Store(false)
				if err := <-ended; err != nil {
					t.Error(err)
				}
				time.Sleep(time.Minute)
				if !strings.HasSuffix(told.String(), "\nthe database answers again\n") {
					t.Errorf("told %q", told)
				}
			}
			d.close()
			if n := strings.Count(told.String(), "disk is full"); n != 1 {
				t.Errorf("told %d times: %s", n, told)
			}
			if err := store.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// notified is a channel that gets signals.
func notified() chan os.Signal {
	c := make(chan os.Signal, 1)
	signal.Notify(c, syscall.SIGINT)
	return c
}

func TestSilentServerIsAFault(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	for _, k := range []struct {
		h    engine.Health
		want string
	}{
		{engine.Health{Session: 1, Beat: 4 * time.Second}, ""},
		{engine.Health{Session: 1, Beat: 10 * time.Second}, "nothing has come from it for 10s"},
		{engine.Health{Session: 1, Beat: 9 * time.Second, Fault: broken}, "broken"},
		{engine.Health{Beat: 9 * time.Second}, ""}, // no session: it is not asked for anything
	} {
		got := ""
		if err := faultOf(k.h); err != nil {
			got = err.Error()
		}
		if got != k.want {
			t.Errorf("%+v: %q, want %q", k.h, got, k.want)
		}
	}
}

func TestARefusalIsNotCalledSilence(t *testing.T) {
	t.Parallel()
	why, next := faultText(fmt.Errorf("%w: permission denied", backend.ErrRefused))
	if why != "the database refuses: permission denied" || next != "trying again" {
		t.Errorf("%s; %s", why, next)
	}
}

// awayStore cannot be read for a while.
type awayStore struct {
	backend.Store
	away atomic.Bool
}

func (s *awayStore) answer() error {
	if s.away.Load() {
		return fmt.Errorf("%w: connection reset", backend.ErrTransient)
	}
	return nil
}

func (s *awayStore) Execution(ctx context.Context, id string) (backend.Execution, error) {
	if err := s.answer(); err != nil {
		return backend.Execution{}, err
	}
	return s.Store.Execution(ctx, id)
}

// List is what looks for several who wait at once.
func (s *awayStore) List(ctx context.Context, f backend.Filter) ([]backend.Execution, error) {
	if err := s.answer(); err != nil {
		return nil, err
	}
	return s.Store.List(ctx, f)
}

func (s *awayStore) Runs(ctx context.Context, id string, from int) ([]backend.Run, error) {
	if err := s.answer(); err != nil {
		return nil, err
	}
	return s.Store.Runs(ctx, id, from)
}

// Who only waits and looks goes on when the database does.
func TestWhoWaitsOutlastsAnOutage(t *testing.T) {
	t.Parallel()
	signal.Stop(notified()) // as above
	synctest.Test(t, func(t *testing.T) {
		ctx, told, out := t.Context(), &notes{}, &notes{}
		store := &awayStore{Store: memory.New()}
		a := &app{registry: activities.NewRegistry(), out: &output{to: out}, err: told, env: func(string) string { return "" }}
		d, err := a.newDriver(ctx, store.Store, true)
		if err != nil {
			t.Fatal(err)
		}
		script := "def main():\n    for n in range(3):\n        sleep(\"1m\")\n        print(\"line\", n)\n"
		if _, err := d.engine.Deploy(ctx, fstest.MapFS{"f.star": &fstest.MapFile{Data: []byte(script)}}, "f.star"); err != nil {
			t.Fatal(err)
		}
		id, err := d.engine.Dispatch(ctx, "f", engine.Input{}, engine.DispatchOptions{Here: true})
		if err != nil {
			t.Fatal(err)
		}
		looker, err := engine.New(store, nil, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		x, err := looker.State(ctx, id)
		if err != nil {
			t.Fatal(err)
		}
		waited, followed := make(chan error, 1), make(chan error, 1)
		go func() {
			x, err := await(ctx, looker, id, 0, nil, a.outage())
			if err == nil && x.State != backend.Completed {
				err = errors.New(string(x.State))
			}
			waited <- err
		}()
		go func() { followed <- a.printLogs(ctx, looker, x, true) }()
		time.Sleep(90 * time.Second)
		store.away.Store(true)
		time.Sleep(time.Minute)
		if err := a.printLogs(ctx, looker, x, false); !errors.Is(err, backend.ErrTransient) {
			t.Errorf("who does not follow is told %v", err)
		}
		short, cancel := context.WithTimeout(ctx, time.Minute/2)
		defer cancel()
		if _, err := looker.Wait(short, id); !errors.Is(err, context.DeadlineExceeded) || !errors.Is(err, backend.ErrTransient) {
			t.Errorf("who waits too short is told %v", err)
		}
		store.away.Store(false)
		if err := errors.Join(<-waited, <-followed); err != nil {
			t.Error(err)
		}
		line := "the database does not answer: connection reset; going on as soon as it does\n"
		text := strings.ReplaceAll(told.String(), "execution "+id+": ", "") // who looks for several at once names none
		if !strings.HasPrefix(text, line+line+"the database answers again\n") || strings.Count(text, line) != 2 {
			t.Errorf("told %q", told)
		}
		if n := strings.Count(out.String(), "line"); n != 3 {
			t.Errorf("printed %s", out)
		}
		d.close()
	})
}

// heldStore answers no write while it is held, and then all that have waited.
type heldStore struct {
	backend.Store
	free atomic.Pointer[chan struct{}]
}

func (s *heldStore) hold() func() {
	free := make(chan struct{})
	s.free.Store(&free)
	return func() { s.free.Store(nil); close(free) }
}

func (s *heldStore) wait(ctx context.Context) error {
	free := s.free.Load()
	if free == nil {
		return nil
	}
	select {
	case <-*free:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("%w: %w", backend.ErrTransient, ctx.Err())
	}
}

func (s *heldStore) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if err := s.wait(ctx); err != nil {
		return backend.Reply{}, err
	}
	return s.Store.Commit(ctx, b)
}

func (s *heldStore) Beat(ctx context.Context, id backend.SessionID, info []byte) (backend.Beaten, error) {
	if err := s.wait(ctx); err != nil {
		return backend.Beaten{}, err
	}
	return s.Store.Beat(ctx, id, info)
}

// Who was told that the database does not answer hears that it does before an end that it has waited with, and when none is near.
func TestAnEndSaysThatTheDatabaseAnswers(t *testing.T) {
	t.Parallel()
	signal.Stop(notified()) // as above
	for _, script := range []string{"def main():\n    sleep(5)\n", "def main():\n    sleep(5)\n    sleep(60)\n"} {
		synctest.Test(t, func(t *testing.T) {
			ctx, told := t.Context(), &notes{}
			store := &heldStore{Store: memory.New()}
			a := &app{registry: activities.NewRegistry(), out: &output{to: &notes{}}, err: told, env: func(string) string { return "" }}
			ran := make(chan error, 1)
			go func() {
				ran <- a.run(ctx, store, false, func(d *driver) (string, error) {
					if _, err := d.engine.Deploy(ctx, fstest.MapFS{"f.star": &fstest.MapFile{Data: []byte(script)}}, "f.star"); err != nil {
						return "", err
					}
					return d.engine.Dispatch(ctx, "f", engine.Input{}, engine.DispatchOptions{ID: "x", Here: true})
				})
			}()
			time.Sleep(time.Second)
			free := store.hold()
			time.Sleep(30 * time.Second)
			free()
			if err := <-ran; err != nil {
				t.Error(err)
			}
			_, after, found := strings.Cut(told.String(), "the database does not answer: nothing has come from it for 10s; going on as soon as it does\n")
			again, end, both := strings.Cut(after, "the database answers again\n")
			if !found || !both || strings.Contains(again, "completed") || !strings.Contains(end, "x completed") || strings.Contains(end, "again") {
				t.Errorf("told %s", told)
			}
			if two := strings.Contains(script, "60"); two && strings.Contains(again, "step 2") {
				t.Errorf("told late: %s", told)
			}
		})
	}
}

// The end of what is waited for is an answer, too.
func TestWhoWaitsHearsThatTheDatabaseAnswers(t *testing.T) {
	t.Parallel()
	signal.Stop(notified()) // as above
	synctest.Test(t, func(t *testing.T) {
		ctx, told := t.Context(), &notes{}
		store := &awayStore{Store: memory.New()}
		a := &app{registry: activities.NewRegistry(), out: &output{to: &notes{}}, err: told, env: func(string) string { return "" }}
		d, err := a.newDriver(ctx, store.Store, true)
		if err != nil {
			t.Fatal(err)
		}
		defer d.close()
		if _, err := d.engine.Deploy(ctx, fstest.MapFS{"f.star": &fstest.MapFile{Data: []byte("def main():\n    sleep(10)\n")}}, "f.star"); err != nil {
			t.Fatal(err)
		}
		id, err := d.engine.Dispatch(ctx, "f", engine.Input{}, engine.DispatchOptions{Here: true})
		if err != nil {
			t.Fatal(err)
		}
		looker, err := engine.New(store, nil, engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond) // await looks on the half second, the engine on the whole one
		waited := make(chan error, 1)
		go func() {
			_, err := await(ctx, looker, id, 0, nil, a.outage())
			waited <- err
		}()
		time.Sleep(4 * time.Second)
		store.away.Store(true)
		time.Sleep(17*time.Second + 100*time.Millisecond)
		store.away.Store(false) // between a look of await, which was the last, and one of the engine
		if err := <-waited; err != nil {
			t.Error(err)
		}
		if text := told.String(); !strings.HasSuffix(text, "going on as soon as it does\nthe database answers again\n") {
			t.Errorf("told %q", text)
		}
	})
}
