// The suite on SQLite, and what is SQLite's own.

package sqlite_test

import (
	"path/filepath"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/backendtest"
	"github.com/senpuki/senpuki/backend/sqlite"
)

func open(t testing.TB, url string) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func file(t testing.TB) string { return filepath.Join(t.TempDir(), "senpuki.db") }

func TestStore(t *testing.T) {
	t.Parallel()
	backendtest.Run(t, func(t *testing.T) backend.Store { return open(t, file(t)) })
}

func TestPair(t *testing.T) {
	t.Parallel()
	backendtest.RunPair(t, func(t *testing.T) (a, b backend.Store) {
		path := file(t)
		return open(t, path), open(t, path)
	})
}

func BenchmarkCommit(b *testing.B) {
	backendtest.BenchmarkCommit(b, func(b *testing.B) backend.Store { return open(b, file(b)) })
}

func BenchmarkJournal(b *testing.B) {
	backendtest.BenchmarkJournal(b, func(b *testing.B) backend.Store { return open(b, file(b)) })
}
