package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// backupWith makes a backup of a database into which a program was put.
func backupWith(t *testing.T, digest, path string) {
	t.Helper()
	s, err := Open(t.Context(), path+".origin")
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.Deploy(t.Context(), []backend.Program{{Digest: digest, Sources: []byte("{}")}}, nil)
	if err = errors.Join(err, s.Backup(t.Context(), path), s.Close()); err != nil {
		t.Fatal(err)
	}
}

// A file that takes the place of the one that was looked at, while its writer's turn is waited for, is the one that is read and written.
func TestReplacedWhileItIsOpened(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "senpuki.db")
	backupWith(t, "first", path) // to be used it is changed first, and for that its turn is waited for
	backupWith(t, "second", path+".second")
	busy, err := newTurnstile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := busy.enter(t.Context()); err != nil {
		t.Fatal(err)
	}
	look, err := newTurnstile(path)
	if err != nil {
		t.Fatal(err)
	}
	type opened struct {
		s   *Store
		err error
	}
	done := make(chan opened, 1)
	go func() {
		s, err := Open(context.Background(), path)
		done <- opened{s, err}
	}()
	for { // until it is the next
		ok, err := lockFile(look.next, false)
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			break
		}
		if err := unlockFile(look.next); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond)
	}
	replaced := os.Rename(path+".second", path)
	busy.leave()
	o := <-done
	if err := errors.Join(o.err, busy.close(), look.close()); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := o.s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if replaced != nil {
		t.Skip("an open file cannot be replaced here:", replaced)
	}
	if _, err := o.s.Program(t.Context(), "second"); err != nil {
		t.Errorf("reading: %v", err)
	}
	if _, err := o.s.Deploy(t.Context(), nil, []backend.Deployment{{Workflow: "w", Digest: "second"}}); err != nil {
		t.Errorf("writing: %v", err)
	}
	if list, err := o.s.Deployments(t.Context(), "w"); err != nil || len(list) != 1 {
		t.Errorf("what was written is %v, %v", list, err)
	}
}

// Whoever opens one more connection to a file that is gone, or replaced, is told so, and neither reads the other file nor makes one.
func TestReadsOfReplacedFile(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "senpuki.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	away := path + ".away"
	if err := os.Rename(path, away); err != nil {
		t.Skip("an open file cannot be moved here:", err)
	}
	refused := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, backend.ErrTransient) || !strings.Contains(err.Error(), path+" was removed or replaced") {
			t.Errorf("%s came to %v", what, err)
		}
	}
	for _, other := range []bool{false, true} {
		if other {
			backupWith(t, "other", path)
		}
		_, err := s.Sessions(t.Context())
		refused("reading", err)
		_, err = s.Version(t.Context())
		refused("the version", err)
		refused("a backup", s.Backup(t.Context(), path+".copy"))
		if _, err := os.Stat(path); !other && err == nil {
			t.Error("a file was made")
		}
	}
	if err := errors.Join(os.Remove(path), os.Rename(away, path)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Sessions(t.Context()); err != nil {
		t.Errorf("it is there again: %v", err)
	}
}
