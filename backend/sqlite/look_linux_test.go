// Who may only read a database, and what it takes to read it then.

package sqlite_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/sqlite"
)

// asReader calls fn as somebody to whom permissions of files apply.
func asReader(fn func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		if os.Geteuid() == 0 {
			runtime.LockOSThread() // and it ends with the goroutine
			const nobody = 65534
			if _, err := unix.SetfsgidRetGid(nobody); err != nil {
				panic(err)
			}
			if _, err := unix.SetfsuidRetUid(nobody); err != nil {
				panic(err)
			}
		}
		fn()
	}()
	<-done
}

// onlyRead takes the permission to write a file, and gives its directory others.
func onlyRead(t *testing.T, path string, dir os.FileMode) {
	t.Helper()
	if err := errors.Join(os.Chmod(path, 0o444), letIn(filepath.Dir(path), dir)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Chmod(filepath.Dir(path), 0o700) }) // so that it can be removed
}

// letIn lets others into a directory of a test's.
func letIn(dir string, as os.FileMode) error {
	return errors.Join(os.Chmod(filepath.Dir(dir), 0o755), os.Chmod(dir, as))
}

// made is a database with one session in it, at rest.
func made(t *testing.T) string {
	t.Helper()
	path := file(t)
	s, err := sqlite.Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(opensSession(t, s), s.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func namesIn(t *testing.T, dir string) (names []string) {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

// looked opens a database that may only be read, looks at all of it, tries to write, and returns how many sessions there are.
func looked(t *testing.T, path string) (sessions int) {
	t.Helper()
	before := namesIn(t, filepath.Dir(path))
	copied := filepath.Join(t.TempDir(), "copy.db")
	if err := letIn(filepath.Dir(copied), 0o777); err != nil {
		t.Fatal(err)
	}
	asReader(func() {
		if s, err := sqlite.Open(context.Background(), path); !errors.Is(err, backend.ErrRefused) || !strings.Contains(err.Error(), "may not write it") {
			t.Errorf("to write it, it was opened: %v %v", s, err)
		}
		s, err := sqlite.OpenToLook(context.Background(), path)
		if err != nil {
			t.Error(err)
			return
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
			t.Error(err)
		}
		sessions = len(list)
		if _, err := s.Version(context.Background()); err != nil {
			t.Error(err)
		}
		if err := s.Backup(context.Background(), copied); err != nil {
			t.Errorf("a backup of it: %v", err)
		}
		_, _, err = s.Open(context.Background(), backend.Session{})
		if !errors.Is(err, backend.ErrRefused) || !strings.Contains(err.Error(), path+": who runs this may not write it") {
			t.Errorf("writing came to %v", err)
		}
	})
	if after := namesIn(t, filepath.Dir(path)); !slices.Equal(before, after) {
		t.Errorf("there were %v, and now there are %v", before, after)
	}
	return sessions
}

// refusedToLook expects that a database cannot be looked at, with these words in the error.
func refusedToLook(t *testing.T, path string, words ...string) {
	t.Helper()
	before := namesIn(t, filepath.Dir(path))
	asReader(func() {
		s, err := sqlite.OpenToLook(context.Background(), path)
		if err == nil {
			t.Error("it was opened", s.Close())
			return
		}
		for _, w := range append(words, path) {
			if !strings.Contains(err.Error(), w) {
				t.Errorf("error is %q, without %q", err, w)
			}
		}
	})
	if after := namesIn(t, filepath.Dir(path)); !slices.Equal(before, after) {
		t.Errorf("there were %v, and now there are %v", before, after)
	}
}

// A database at rest and a backup can be looked at where nothing can be written, and where only the file cannot be: nothing is made beside it.
func TestLookAtWhatMayOnlyBeRead(t *testing.T) {
	t.Parallel()
	for _, dir := range []os.FileMode{0o555, 0o777} {
		path := made(t)
		s := open(t, path)
		backup := filepath.Join(t.TempDir(), "backup.db")
		if err := errors.Join(s.Backup(t.Context(), backup), s.Close()); err != nil {
			t.Fatal(err)
		}
		for _, p := range []string{path, backup} {
			onlyRead(t, p, dir)
			if n := looked(t, p); n != 1 {
				t.Errorf("%s, directory %o: %d sessions", p, dir, n)
			}
		}
	}
}

// Who may write the file, but make none beside it, may look.
func TestLookInClosedDirectory(t *testing.T) {
	t.Parallel()
	path := made(t)
	for _, lock := range []string{"-next.lock", "-current.lock"} {
		if err := os.Remove(path + lock); err != nil {
			t.Fatal(err)
		}
	}
	onlyRead(t, path, 0o555)
	if err := os.Chmod(path, 0o666); err != nil {
		t.Fatal(err)
	}
	if n := looked(t, path); n != 1 {
		t.Errorf("%d sessions", n)
	}
}

// writing is a database that another process writes.
func writing(t *testing.T) (path string, kill func()) {
	t.Helper()
	path = file(t)
	child, says := begin(t, path)
	if !says.Scan() { // it stands still when nobody reads on, and has the database open
		t.Fatal("nothing has landed")
	}
	killed := false
	kill = func() {
		if !killed {
			killed = true
			_ = child.Process.Kill()
			_ = child.Wait()
		}
	}
	t.Cleanup(kill)
	return path, kill
}

// What another process writes, or has left when it was killed, is read with its log, or not at all.
func TestLookWhileOthersWrite(t *testing.T) {
	t.Parallel()
	path, kill := writing(t)
	onlyRead(t, path, 0o555)
	if n := looked(t, path); n != 1 {
		t.Errorf("%d sessions", n)
	}
	elsewhere := filepath.Join(t.TempDir(), "one.db") // as a container has it to which only the file was given
	if err := os.Link(path, elsewhere); err != nil {
		t.Fatal(err)
	}
	onlyRead(t, elsewhere, 0o555)
	refusedToLook(t, elsewhere, "a process has it open", elsewhere+"-wal, which is not here")
	if err := os.Chmod(path+"-shm", 0); err != nil {
		t.Fatal(err)
	}
	refusedToLook(t, path, path+"-shm: permission denied")
	if err := os.Chmod(path+"-shm", 0o444); err != nil {
		t.Fatal(err)
	}
	kill()
	if n := looked(t, path); n != 1 {
		t.Errorf("%d sessions when it was killed", n)
	}
	if err := os.Chmod(filepath.Dir(path), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + "-shm"); err != nil {
		t.Fatal(err)
	}
	refusedToLook(t, path, path+"-wal", path+"-shm, which is not there")
}

// Whoever looks goes from a file at rest to one that is written, and back, and does not take one for the other.
func TestLookWhenOthersBegin(t *testing.T) {
	t.Parallel()
	path := made(t)
	var look *sqlite.Store
	onlyRead(t, path, 0o555)
	asReader(func() {
		var err error
		if look, err = sqlite.OpenToLook(context.Background(), path); err != nil {
			t.Error(err)
		}
	})
	if look == nil {
		return
	}
	last := int64(-1)
	sees := func(sessions int) {
		t.Helper()
		asReader(func() {
			list, err := look.Sessions(context.Background())
			if err != nil || len(list) != sessions {
				t.Errorf("%d sessions, not %d, %v", len(list), sessions, err)
			}
			version, err := look.Version(context.Background())
			if err != nil || version == last {
				t.Errorf("the version is %d and was %d, %v", version, last, err)
			}
			last = version
		})
	}
	sees(1)
	if err := errors.Join(os.Chmod(path, 0o644), os.Chmod(filepath.Dir(path), 0o755)); err != nil {
		t.Fatal(err)
	}
	s := open(t, path)
	if err := opensSession(t, s); err != nil {
		t.Fatal(err)
	}
	sees(2)
	if err := opensSession(t, s); err != nil {
		t.Fatal(err)
	}
	sees(3)
	asReader(func() {
		if err := look.Close(); err != nil {
			t.Error(err)
		}
	})
}

// A schema that would have to be changed is named, and so is what cannot be read at all.
func TestLookRefused(t *testing.T) {
	t.Parallel()
	path := made(t)
	run(t, path, "PRAGMA user_version=1; PRAGMA journal_mode=DELETE")
	onlyRead(t, path, 0o555)
	refusedToLook(t, path, "it has schema 1", "senpuki db migrate")
	if err := os.Chmod(path, 0); err != nil {
		t.Fatal(err)
	}
	refusedToLook(t, path, "read "+path+": permission denied")
	empty := filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	onlyRead(t, empty, 0o555)
	refusedToLook(t, empty, backend.ErrNotDatabase.Error(), "empty")
	if _, err := sqlite.OpenToLook(t.Context(), path+"2"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what is not there: %v", err)
	}
}
