package sqlite

import (
	"database/sql"
	"path/filepath"
	"testing"

	"github.com/senpuki/senpuki/backend"
)

// TestReclaim finishes a revocation whose process died after its first transaction.
func TestReclaim(t *testing.T) {
	t.Parallel()
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
	_, err = s.Commit(t.Context(), backend.Batch{Session: id, Create: []backend.NewExecution{{ID: "x", Digest: "d", Input: []byte("[]"), Claim: true}}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := raw.Exec("DELETE FROM session"); err != nil {
		t.Fatal(err)
	}
	_ = raw.Close()
	if len(s.Check(t.Context())) == 0 {
		t.Error("Check does not see an owner without a session")
	}
	if err := s.Revoke(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	x, err := s.Execution(t.Context(), "x")
	if err != nil || x.Owner != 0 || x.Due.IsZero() {
		t.Errorf("owner %d, due %v, %v", x.Owner, x.Due, err)
	}
	for _, err := range s.Check(t.Context()) {
		t.Error(err)
	}
}
