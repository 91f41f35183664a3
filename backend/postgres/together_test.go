// That many turns land in few statements.

package postgres_test

import (
	"fmt"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/servertest"
)

// What the turns of a batch publish, their children and their dead letters are written by few statements: rows that one statement of a
// transaction has written have the same cmin.
func TestTurnsThatPublishTogether(t *testing.T) {
	t.Parallel()
	base := servertest.Postgres(t)
	conn, _ := connect(t, base)
	s := open(t, base)
	if _, err := s.Deploy(t.Context(), []backend.Program{{Digest: "d"}}, nil); err != nil {
		t.Fatal(err)
	}
	session, _, err := s.Open(t.Context(), backend.Session{Host: "h"})
	if err != nil {
		t.Fatal(err)
	}
	made := backend.Batch{Session: session}
	for i := range 6 {
		made.Create = append(made.Create, backend.NewExecution{ID: fmt.Sprint("x", i), Digest: "d", Edition: 1, Queue: "q", Claim: true})
	}
	created, err := s.Commit(t.Context(), made)
	if err != nil {
		t.Fatal(err)
	}
	b := backend.Batch{Session: session}
	for i, c := range created.Created {
		turn := backend.Turn{Execution: made.Create[i].ID, Run: c.Run, Rows: [][]byte{[]byte("row")}}
		if i < 4 {
			turn.Published = fmt.Appendf(nil, "%d", i)
		}
		if i >= 2 {
			turn.Dead = []backend.DeadLetter{{Step: fmt.Sprint(i)}, {Step: "b"}}
		}
		if i%2 == 1 {
			turn.Then, turn.State, turn.Failure = backend.Finish, backend.Failed, []byte("{}")
		} else {
			turn.Children = []backend.NewExecution{{ID: fmt.Sprint("kid", i), Digest: "d", Edition: 1, Queue: "q", Parent: turn.Execution, ParentRun: c.Run, ParentStep: "1"}}
		}
		b.Turns = append(b.Turns, turn)
	}
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	for what, sql := range map[string]string{
		"what they publish": "SELECT count(DISTINCT x.cmin::text), string_agg(id || '=' || published, ' ' ORDER BY key) FROM request JOIN execution AS x USING (key) WHERE published IS NOT NULL AND owner <> 0",
		"dead letters":      "SELECT count(DISTINCT d.cmin::text), string_agg(r.id || '=' || step, ' ' ORDER BY d.id) FROM dead_letter AS d JOIN request AS r ON r.key = d.execution",
		"children":          "SELECT count(DISTINCT request.cmin::text || execution.cmin::text), string_agg(id, ' ' ORDER BY key) FROM request JOIN execution USING (key) WHERE parent <> ''",
		"of those that end": "SELECT count(DISTINCT x.cmin::text), string_agg(id || '=' || coalesce(published, ''), ' ' ORDER BY key) FROM request JOIN execution AS x USING (key) WHERE finished IS NOT NULL",
	} {
		var statements int
		var got string
		if err := conn.QueryRow(t.Context(), sql).Scan(&statements, &got); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{
			"what they publish": "x0=0 x2=2",
			"children":          "kid0 kid2 kid4",
			"dead letters":      "x2=2 x2=b x3=3 x3=b x4=4 x4=b x5=5 x5=b",
			"of those that end": "x1=1 x3=3 x5=",
		}[what]
		if statements != 1 || got != want {
			t.Errorf("%s: %s in %d statements, want %s in one", what, got, statements, want)
		}
	}
	for _, err := range s.Check(t.Context()) {
		t.Error(err)
	}
}
