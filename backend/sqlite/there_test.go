package sqlite_test

import (
	"context"
	"errors"
	"os"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/sqlite"
)

func opensSession(t *testing.T, s *sqlite.Store) error {
	t.Helper()
	_, _, err := s.Open(t.Context(), backend.Session{Host: "h"})
	return err
}

// openWithout opens a database, begins a session and removes a file beside it.
func openWithout(t *testing.T, path, name string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := opensSession(t, s); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + name); err != nil {
		t.Skip("an open file cannot be removed here:", err)
	}
	return s
}

func sessionsOf(t *testing.T, path string) int {
	t.Helper()
	s, err := sqlite.Open(context.Background(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	for _, err := range s.Check(context.Background()) {
		t.Error(err)
	}
	list, err := s.Sessions(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// What is beside a database, and was removed while it is open, takes nothing with it: nothing more is written, and what was is in the file, or comes to be.
func TestFilesBesideRemovedWhileOpen(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"-wal", "-shm"} {
		path := file(t)
		s := openWithout(t, path, name)
		for range 2 {
			if err := opensSession(t, s); !errors.Is(err, backend.ErrTransient) || !strings.Contains(err.Error(), path+name+" was removed") {
				t.Errorf("without its %s: %v", name, err)
			}
		}
		if name == "-wal" { // as if the process were killed now
			whole, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			alone := file(t) + ".copy"
			if err := os.WriteFile(alone, whole, 0o600); err != nil {
				t.Fatal(err)
			}
			if n := sessionsOf(t, alone); n != 1 {
				t.Errorf("%d sessions in the file alone", n)
			}
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if n := sessionsOf(t, path); n != 1 {
			t.Errorf("%d sessions after the %s was removed", n, name)
		}
	}
}

// The log of somebody who has begun anew stays when those end that have lost theirs.
func TestLogOfOthersStays(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := openWithout(t, path, "-wal")
	if err := os.WriteFile(path+"-wal", []byte("somebody else's"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := opensSession(t, s); err == nil || !strings.Contains(err.Error(), "-wal was removed or replaced") {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(path + "-wal"); err != nil || string(b) != "somebody else's" {
		t.Errorf("%q, %v", b, err)
	}
}
