package sqlite

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// What is read of a file at rest is thrown away when it was not at rest any more in the end, and the next look is another one.
func TestReadWhileOthersBegin(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "senpuki.db")
	opened := func() *Store {
		t.Helper()
		s, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	if err := opened().Close(); err != nil {
		t.Fatal(err)
	}
	s, err := openOnlooker(t.Context(), path, errors.New("not here"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	sessions := int64(0)
	reads := func(as manner, meanwhile func()) error {
		t.Helper()
		return s.read(t.Context(), func(c *conn) error {
			if now := s.onlooker.last.manner; now != as {
				t.Errorf("it is read in manner %d, not %d", now, as)
			}
			v, err := c.first(context.Background(), "SELECT count(*) FROM session")
			if err != nil || number(v[0]) != sessions {
				t.Errorf("%v sessions, not %d, %v", v, sessions, err)
			}
			meanwhile()
			return nil
		})
	}
	nothing := func() {}
	if err := reads(rest, nothing); err != nil {
		t.Error(err)
	}
	var writer *Store
	begin := func() {
		writer = opened()
		if _, _, err := writer.Open(t.Context(), backend.Session{}); err != nil {
			t.Fatal(err)
		}
	}
	if err := reads(rest, begin); err != nil { // what was read is of before
		t.Error(err)
	}
	sessions++
	if err := reads(live, nothing); err != nil {
		t.Error(err)
	}
	// A log that goes while a connection reads it is another matter: it is kept from going.
	if err := writer.Close(); err != nil {
		t.Fatal(err)
	}
	if err := reads(live, nothing); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if err := opened().Close(); err != nil { // it folds the log
		t.Fatal(err)
	}
	if s, err = openOnlooker(t.Context(), path, errors.New("not here")); err != nil {
		t.Fatal(err)
	}
	if err := reads(rest, func() { // the log came, and went into the file
		begin()
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
	}); !errors.Is(err, backend.ErrTransient) {
		t.Errorf("it was written meanwhile: %v", err)
	}
	sessions++
	if err := reads(rest, nothing); err != nil {
		t.Error(err)
	}
}

// A log of which one file is there and the other is not yet, or not any more, is no reason to refuse the database: another process is opening or
// closing it just then.
func TestLookWhileALogComesOrGoes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "senpuki.db")
		writer, err := Open(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		if err := writer.Close(); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path+"-wal", []byte("going"), 0o600); err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(5*pause, func() {
			if err := os.Remove(path + "-wal"); err != nil {
				t.Error(err)
			}
		})
		o := onlooker{path: path}
		if now, err := o.look(); err != nil || now.manner != rest {
			t.Errorf("it stands in manner %d, %v", now.manner, err)
		}
	})
}
