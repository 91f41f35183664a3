package sqlite

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/senpuki/senpuki/backend"
)

// The log grows in steps, nothing is lost with what stands behind its end, and who writes once leaves it alone.
func TestLogGrowsInSteps(t *testing.T) {
	t.Parallel()
	const commits = 300
	path := filepath.Join(t.TempDir(), "s.db")
	s, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	if _, err := s.Deploy(t.Context(), []backend.Program{{Digest: "d", Sources: []byte("{}")}}, nil); err != nil {
		t.Fatal(err)
	}
	id, _, err := s.Open(t.Context(), backend.Session{})
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.Commit(t.Context(), backend.Batch{Session: id, Create: []backend.NewExecution{{ID: "x", Digest: "d", Input: []byte("[]"), Claim: true}}})
	if err != nil {
		t.Fatal(err)
	}
	size := func() int64 {
		info, err := os.Stat(path + "-wal")
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	land := func(s *Store, row int64) {
		t.Helper()
		if _, err := s.Commit(t.Context(), backend.Batch{Session: id, Turns: []backend.Turn{{Execution: "x", Run: made.Created[0].Run, First: row, Rows: [][]byte{[]byte("[]")}}}}); err != nil {
			t.Fatal(err)
		}
	}
	sizes := map[int64]bool{}
	for row := range int64(commits) {
		land(s, row)
		sizes[size()] = true
	}
	if len(sizes) > 12 {
		t.Errorf("the log had %d lengths in %d commits", len(sizes), commits)
	}
	other, err := Open(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	before := size()
	land(other, commits)
	if now := size(); now > before {
		t.Errorf("one commit of another program made the log longer: %d, then %d", before, now)
	}
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}

	// As after a crash: the files as they are.
	left := filepath.Join(t.TempDir(), "s.db")
	for _, suffix := range []string{"", "-wal"} {
		b, err := os.ReadFile(path + suffix)
		if err == nil {
			err = os.WriteFile(left+suffix, b, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	again, err := Open(t.Context(), left)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = again.Close() }()
	rows := int64(0)
	if err := again.Journal(t.Context(), made.Created[0].Run, 0, func(backend.Row) error { rows++; return nil }); err != nil || rows != commits+1 {
		t.Errorf("%d rows of %d, %v", rows, commits+1, err)
	}
	for _, err := range again.Check(t.Context()) {
		t.Error(err)
	}
}
