package cli

import (
	"bytes"
	"context"
	"errors"
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
		{engine.Health{Session: 1, Beat: 9 * time.Second}, "nothing has come from it for 9s"},
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
