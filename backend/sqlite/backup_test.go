package sqlite_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/sqlite"
)

// A backup that fails leaves nothing that could be taken for one, and may be made again.
func TestBackupFails(t *testing.T) {
	t.Parallel()
	path := file(t)
	s := open(t, path)
	sources := append(append([]byte(`{"x":"`), bytes.Repeat([]byte("x"), 1<<20)...), `"}`...)
	if _, err := s.Deploy(t.Context(), []backend.Program{{Digest: "d", Sources: sources}}, nil); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	hurt := bytes.Clone(whole)
	copy(hurt[len(hurt)/2:], bytes.Repeat([]byte{0xff}, 1<<15)) // where pages say which is the next
	dir := t.TempDir()
	for _, c := range []struct {
		file []byte
		made int
	}{{hurt, 0}, {whole, 1}} {
		if err := os.WriteFile(path, c.file, 0o600); err != nil {
			t.Fatal(err)
		}
		s := open(t, path)
		if err := s.Backup(t.Context(), filepath.Join(dir, "copy.db")); (err == nil) != (c.made == 1) {
			t.Errorf("the backup came to %v", err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) != c.made {
			t.Errorf("there are %v, %v", left, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if err := open(t, path).Backup(t.Context(), filepath.Join(dir, "none", "copy.db")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("into a directory that is not there: %v", err)
	}
}

// What a killed process has left in the log of a database does not get into the backup that is copied over it.
func TestBackupOverDeadLog(t *testing.T) {
	t.Parallel()
	path, dead := file(t), file(t)
	s := open(t, path)
	if _, err := s.Deploy(t.Context(), []backend.Program{{Digest: "d", Sources: []byte("{}")}}, nil); err != nil {
		t.Fatal(err)
	}
	copyFile := func(from, to string) {
		t.Helper()
		data, err := os.ReadFile(from)
		if err == nil {
			err = os.WriteFile(to, data, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	backup := filepath.Join(filepath.Dir(path), "copy.db")
	if err := s.Backup(t.Context(), backup); err != nil {
		t.Fatal(err)
	}
	copyFile(path+"-wal", dead+"-wal")
	copyFile(backup, dead)
	if got, err := sqlite.Open(t.Context(), dead); !errors.Is(err, backend.ErrDamaged) || !strings.Contains(err.Error(), dead+"-wal is not its log") {
		if err == nil {
			err = got.Close()
		}
		t.Fatalf("with the log of another: %v", err)
	}
	before, err := os.ReadFile(backup)
	if err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(dead); err != nil || !bytes.Equal(after, before) {
		t.Errorf("the file that was refused has changed: %v", err)
	}
	if err := os.Remove(dead + "-wal"); err != nil {
		t.Fatal(err)
	}
	open(t, dead)
	copyFile(path, dead+"2") // a log of its own is no reason
	copyFile(path+"-wal", dead+"2-wal")
	open(t, dead+"2")
}
