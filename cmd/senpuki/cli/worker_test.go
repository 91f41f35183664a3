package cli

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// held is a writer that holds up whoever writes some words, until it is let go.
type held struct {
	words     string
	met, goOn chan struct{}
	once      sync.Once
}

func (h *held) Write(b []byte) (int, error) {
	if bytes.Contains(b, []byte(h.words)) {
		h.once.Do(func() { close(h.met) })
		<-h.goOn
	}
	return len(b), nil
}

// A worker that stops waits for a deployment that it has begun: the database is not closed under it.
func TestWorkerWaitsForItsWatching(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a.star"), []byte("def main():\n    return 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	errs := &held{words: "is deployed", met: make(chan struct{}), goOn: make(chan struct{})}
	ended := make(chan int, 1)
	go func() {
		ended <- Run(ctx, nil, []string{"worker", "--watch", dir, "--db", filepath.Join(dir, "x.db")}, nil, &bytes.Buffer{}, errs)
	}()
	<-errs.met
	stop()
	select {
	case <-ended:
		close(errs.goOn)
		t.Fatal("it did not wait")
	case <-time.After(300 * time.Millisecond): // it stops much sooner when it waits for nothing
	}
	close(errs.goOn)
	<-ended
}
