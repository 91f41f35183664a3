// The connections that read, and what opening leaves as it is.

package sqlite

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
)

func TestOneReaderIsUsedAgain(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 * maxReaders {
		if _, err := s.Sessions(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := len(s.readers.idle); n != 1 {
		t.Errorf("%d connections are open", n)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Who looked at an open store and comes for a connection when it is closed does not wait for ever.
func TestReadersAreFreeWhenClosed(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "x.db"))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	late, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	for range maxReaders + 1 {
		c, err := s.readers.take(late)
		if c != nil || err != nil {
			t.Fatal(c, err)
		}
		s.readers.put(c)
	}
}

// A log that a killed process has left is not folded into the database, which takes long, only because somebody opens it.
func TestOpeningLeavesTheLogAlone(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	for range 20 {
		if _, _, err := s.Open(t.Context(), backend.Session{Host: "h"}); err != nil {
			t.Fatal(err)
		}
	}
	killed := filepath.Join(t.TempDir(), "x.db")
	for _, name := range []string{"", "-wal"} {
		copyFile(t, path+name, killed+name)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	before := sizeOf(t, killed+"-wal")
	s, err = Open(t.Context(), killed)
	if err != nil {
		t.Fatal(err)
	}
	if after := sizeOf(t, killed+"-wal"); before == 0 || after != before {
		t.Errorf("the log was %d bytes long, and is %d", before, after)
	}
	list, err := s.Sessions(t.Context())
	if err != nil || len(list) != 20 {
		t.Errorf("%d sessions; %v", len(list), err)
	}
	for _, err := range s.Check(t.Context()) {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// Who gives up while another process makes or migrates the file need not wait for that.
func TestOpeningCanBeCalledOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.db")
	other, err := newTurnstile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := other.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	done := make(chan error, 1)
	go func() {
		_, err := Open(ctx, path)
		done <- err
	}()
	select {
	case err := <-done:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Error("it waits for the other")
	}
	other.leave()
	if err := other.close(); err != nil {
		t.Fatal(err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}

func sizeOf(t *testing.T, path string) int64 {
	t.Helper()
	at, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	return at.Size()
}
