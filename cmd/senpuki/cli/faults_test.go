package cli

import (
	"bytes"
	"context"
	"errors"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
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

// saysWithin waits until the notes have some words.
func (n *notes) saysWithin(t *testing.T, limit time.Duration, words string) {
	t.Helper()
	for deadline := time.Now().Add(limit); !strings.Contains(n.String(), words); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%q was not told: %s", words, n)
		}
	}
}

func TestFullDiskIsTold(t *testing.T) {
	t.Parallel()
	for _, end := range []string{"room", "interrupt"} {
		t.Run(end, func(t *testing.T) {
			t.Parallel()
			ctx, told := t.Context(), &notes{}
			store := &fullStore{Store: memory.New()}
			defer store.Close()
			registry := activities.NewRegistry()
			fill, filled := make(chan struct{}), make(chan struct{})
			registry.MustRegister("fill", func() error { // the disk is full before its outcome is stored
				<-fill
				store.full.Store(true)
				close(filled)
				return nil
			})
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
			close(fill)
			<-filled
			told.saysWithin(t, time.Minute, "the disk is full; going on as soon as there is room\n")
			if end == "interrupt" {
				began := time.Now()
				signals <- syscall.SIGINT
				if err := <-ended; !errors.Is(err, errSignal) || !strings.Contains(err.Error(), "the disk is full") {
					t.Errorf("ended with %v", err)
				}
				if took := time.Since(began); took > 5*time.Second {
					t.Errorf("it took %v", took)
				}
			} else {
				time.Sleep(4 * healthEvery) // nothing is told twice
				store.full.Store(false)
				if err := <-ended; err != nil {
					t.Error(err)
				}
				told.saysWithin(t, time.Minute, "the database answers again\n")
			}
			d.close()
			if n := strings.Count(told.String(), "disk is full"); n != 1 {
				t.Errorf("told %d times: %s", n, told)
			}
		})
	}
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
