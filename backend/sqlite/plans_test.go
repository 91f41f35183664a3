// That statements find what they are about by an index, however much else there is.

package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// plansOf are the lines of the plans of the statements that a store has kept, with the statement.
func plansOf(t *testing.T, s *Store) map[string]string {
	t.Helper()
	conns := []*conn{s.writer}
	for range maxReaders {
		c, err := s.readers.take(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		defer s.readers.put(c)
		if c != nil {
			conns = append(conns, c)
		}
	}
	plans := make(map[string]string)
	for _, c := range conns {
		var kept []string
		for sql := range c.kept {
			if !strings.HasPrefix(sql, "PRAGMA") {
				kept = append(kept, sql)
			}
		}
		for _, sql := range kept {
			err := c.query(context.Background(), func(v []driver.Value) error {
				plans[word(v[3])] = sql
				return nil
			}, "EXPLAIN QUERY PLAN "+sql, make([]any, 50)...)
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return plans
}

// opened is a new database with a program "d", and a session on it.
func opened(t *testing.T) (*Store, backend.SessionID) {
	t.Helper()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "senpuki.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	if _, err := s.Deploy(t.Context(), []backend.Program{{Digest: "d", Sources: []byte("{}")}}, nil); err != nil {
		t.Fatal(err)
	}
	id, _, err := s.Open(t.Context(), backend.Session{})
	if err != nil {
		t.Fatal(err)
	}
	return s, id
}

func TestPlans(t *testing.T) {
	t.Parallel()
	s, id := opened(t)
	made, err := s.Commit(t.Context(), backend.Batch{Session: id, Create: []backend.NewExecution{{ID: "x", Digest: "d", Edition: 1, Queue: "q", Claim: true}}})
	if err != nil {
		t.Fatal(err)
	}
	limit := &backend.Limit{Max: 1, Rate: 9, Per: time.Hour}
	_, err = s.Commit(t.Context(), backend.Batch{Session: id, Turns: []backend.Turn{{Execution: "x", Run: made.Created[0].Run, Rows: [][]byte{[]byte("[]")}, Tasks: []backend.Task{
		{Step: "1", Attempt: 1, Activity: "lacking", Queue: "q"}, {Step: "2", Attempt: 1, Activity: "a", Queue: "q", Limit: limit},
		{Step: "3", Attempt: 1, Activity: "a", Queue: "q", Limit: limit}, {Step: "4", Attempt: 1, Activity: "a", Queue: "q"},
	}}}})
	if err != nil {
		t.Fatal(err)
	}
	for _, executions := range [][]string{nil, {"x"}} {
		for range 2 {
			if _, err := s.ClaimTasks(t.Context(), backend.TaskRequest{Session: id, Queues: []string{"q"}, Activities: []string{"a"}, Executions: executions, Limit: 2}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, err := s.NextDue(t.Context(), []string{"q"}); err != nil {
		t.Fatal(err)
	}
	for _, f := range []backend.TaskFilter{{Execution: "x"}, {Execution: "x", Waiting: true}, {Waiting: true}, {Queue: "q", Waiting: true}, {Owner: id}} {
		if _, err := s.Tasks(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.DeadLetters(t.Context(), backend.LetterFilter{Execution: "x"}); err != nil {
		t.Fatal(err)
	}
	for _, f := range []backend.Filter{{IDPrefix: "x"}, {Owner: id}, {Parent: "x"}, {IDs: []string{"x"}}} {
		if _, err := s.List(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	whole := regexp.MustCompile(`^SCAN (task|execution|dead_letter|x|d|k)( USING INDEX .*)?$`) // of an index alone a look whether there is any reads one entry
	searches := 0
	for line, sql := range plansOf(t, s) {
		if whole.MatchString(line) {
			t.Errorf("%s\nin %s", line, sql)
		}
		if strings.HasPrefix(line, "SEARCH") {
			searches++
		}
	}
	if searches < 10 {
		t.Errorf("%d plans were looked at", searches)
	}
	for _, err := range s.Check(t.Context()) {
		t.Error(err)
	}
}

// Whose programs are in use takes a look through all executions: not while nobody else can write.
func TestCollectLooksForProgramsFirst(t *testing.T) {
	t.Parallel()
	s, err := Open(t.Context(), filepath.Join(t.TempDir(), "senpuki.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	if _, err := s.Deploy(t.Context(), []backend.Program{{Digest: "used", Sources: []byte("{}")}}, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Commit(t.Context(), backend.Batch{Create: []backend.NewExecution{{ID: "x", Digest: "used", Edition: 1, Queue: "q"}}}); err != nil {
		t.Fatal(err)
	}
	clear(s.writer.kept)
	collect := func(want int64) {
		t.Helper()
		r := backend.Retention{Completed: time.Now().Add(time.Hour), Limit: 9, Rows: 9}
		if got, err := s.Collect(t.Context(), r); err != nil || got.Programs != want {
			t.Errorf("collected %+v, %v", got, err)
		}
	}
	collect(0)
	for sql := range s.writer.kept {
		if strings.Contains(sql, "FROM program") {
			t.Errorf("the writer has run %s", sql)
		}
	}
	if _, err := s.Deploy(t.Context(), []backend.Program{{Digest: "unused", Sources: []byte("{}")}}, nil); err != nil {
		t.Fatal(err)
	}
	collect(1)
	for _, err := range s.Check(t.Context()) {
		t.Error(err)
	}
}

// What is held by exec may be thousands of children: a claim of their tasks is no statement, or several, for each.
func TestClaimOfManyExecutions(t *testing.T) {
	s, session := opened(t)
	const many = 200
	b := backend.Batch{Session: session}
	var ids []string
	for i := range many {
		ids = append(ids, fmt.Sprintf("x%03d", i))
		b.Create = append(b.Create, backend.NewExecution{ID: ids[i], Digest: "d", Edition: 1, Queue: "q", Claim: true})
	}
	made, err := s.Commit(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	b = backend.Batch{Session: session}
	for i, id := range ids {
		b.Turns = append(b.Turns, backend.Turn{Execution: id, Run: made.Created[i].Run, Rows: [][]byte{[]byte("[]")}, Tasks: []backend.Task{
			{Step: "1", Attempt: 1, Activity: "a", Queue: "far", Limit: &backend.Limit{Max: 1}},
		}})
	}
	if _, err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	claims := func(of []string, want int) float64 {
		claim := func(want int) {
			r := backend.TaskRequest{Session: session, Executions: of, Activities: []string{"a"}, Limit: 1}
			if got, err := s.ClaimTasks(t.Context(), r); err != nil || len(got.Tasks) != want {
				t.Fatalf("claimed %+v, %v", got, err)
			}
		}
		claim(want)
		return testing.AllocsPerRun(3, func() { claim(0) }) // the limit is reached
	}
	few, all := claims(ids[:2], 1), claims(ids, 0)
	if all > few+many {
		t.Errorf("a claim allocates %v times for two executions and %v for %d", few, all, many)
	}
	for _, err := range s.Check(t.Context()) {
		t.Error(err)
	}
}
