package sqlite_test

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/senpuki/senpuki/backend"
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
