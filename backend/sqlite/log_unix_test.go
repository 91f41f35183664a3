//go:build unix

package sqlite

import (
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// While the log is made longer no other program can write: not one either that knows nothing of the turnstile.
func TestNobodyWritesWhileTheLogGrows(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "s.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	// A log that cannot be opened until somebody reads from it: growing stands still.
	s.log.path = filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(s.log.path, 0o600); err != nil {
		t.Fatal(err)
	}
	other, err := connect(path, "busy_timeout=0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = other.close() }()
	written := make(chan error, 1)
	go func() {
		_, _, err := s.Open(t.Context(), backend.Session{})
		written <- err
	}()
	for until, held := time.Now().Add(30*time.Second), 0; held < 20; { // long enough for any transaction that does not stand still
		time.Sleep(10 * time.Millisecond)
		err := other.script("BEGIN IMMEDIATE; ROLLBACK")
		switch {
		case locked(err):
			held++
		case err != nil:
			t.Fatal(err)
		default:
			held = 0
			if v, err := other.first(t.Context(), "SELECT count(*) FROM session"); err != nil || number(v[0]) > 0 || time.Now().After(until) {
				t.Error("the log is made longer outside a transaction", err)
				held = 20
			}
		}
	}
	fd, err := syscall.Open(s.log.path, syscall.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Close(fd) }()
	if err := <-written; err != nil {
		t.Fatal(err)
	}
}
