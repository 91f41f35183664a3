// That statements find their rows one by one, whatever the planner knew when it planned them.

package postgres_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/servertest"
)

// live makes n executions, half of them children of another, and takes them through claims, a release, reads and their ends, of which
// some leave a signal unread.
func live(t *testing.T, s *postgres.Store, session backend.SessionID, prefix string, n int) {
	t.Helper()
	b := backend.Batch{Session: session}
	for i := range n {
		x := backend.NewExecution{ID: fmt.Sprint(prefix, i), Digest: "d", Edition: 1, Queue: "q"}
		if i%2 == 1 {
			x.Parent, x.ParentStep = fmt.Sprint(prefix, i-1), "1"
		}
		b.Create = append(b.Create, x)
	}
	commit := func(b backend.Batch) {
		t.Helper()
		if _, err := s.Commit(t.Context(), b); err != nil {
			t.Fatal(err)
		}
	}
	commit(b)
	commit(b) // all of them are there
	for _, then := range []backend.Then{backend.Release, backend.Finish} {
		claimed, err := s.Claim(t.Context(), backend.ClaimRequest{Session: session, Queues: []string{"q"}, Editions: []int{1}, Begun: then == backend.Finish, Limit: n})
		if err != nil || len(claimed) != n {
			t.Fatalf("%d of %d are claimed, %v", len(claimed), n, err)
		}
		all := backend.Batch{Session: session}
		var signals backend.Batch
		for i := range claimed {
			turn := backend.Turn{Execution: claimed[i].ID, Run: claimed[i].Run, Then: then, Due: claimed[i].Created}
			if then == backend.Release {
				turn.Rows = [][]byte{[]byte("row")}
			} else {
				turn.State = backend.Completed
				if i%4 < 2 {
					turn.State = backend.Failed
					signals.Send = append(signals.Send, backend.Message{Execution: turn.Execution, Kind: backend.Signal})
				}
				for _, m := range claimed[i].Inbox {
					turn.Taken = append(turn.Taken, m.ID)
				}
			}
			all.Turns = append(all.Turns, turn)
		}
		commit(signals)
		commit(all)
	}
	ids := make([]string, n)
	for i := range ids {
		ids[i] = fmt.Sprint(prefix, i)
		if _, err := s.Execution(t.Context(), ids[i]); err != nil {
			t.Fatal(err)
		}
	}
	if list, err := s.List(t.Context(), backend.Filter{IDs: ids, Limit: n}); err != nil || len(list) != n {
		t.Fatalf("%d of %d are listed, %v", len(list), n, err)
	}
}

// Plans that were made while each table was known to have one row do not look through them when they are large.
func TestPlansOfSmallTables(t *testing.T) {
	t.Parallel()
	base := servertest.Postgres(t)
	conn, _ := connect(t, base)
	exec := func(sql string) { t.Helper(); administer(t, conn, sql) }
	first := open(t, base)
	if _, err := first.Deploy(t.Context(), []backend.Program{{Digest: "d"}}, nil); err != nil {
		t.Fatal(err)
	}
	exec("INSERT INTO request (key, created, parent_run, depth, id, workflow, digest, function, parent, parent_step) SELECT -k, now(), 0, 0, 'old' || k, '', 'd', '', '', '' FROM generate_series(1, 60) AS k")
	exec("INSERT INTO execution (key, owner, run, priority, edition, run_number, state, queue, finished) SELECT -k, 0, -k, 0, 1, 1, 'completed', 'q', now() FROM generate_series(1, 60) AS k")
	for _, table := range []string{"request", "execution"} {
		exec("DELETE FROM " + table + " WHERE key < -1")
		exec("VACUUM (ANALYZE) " + table)
	}
	s, err := postgres.Open(t.Context(), with(base, "application_name", "watched"))
	if err != nil {
		t.Fatal(err)
	}
	session, _, err := s.Open(t.Context(), backend.Session{Host: "h"})
	if err != nil {
		t.Fatal(err)
	}
	live(t, s, session, "few", 4)
	const many = 20_000
	exec(fmt.Sprintf("INSERT INTO request (key, created, parent_run, depth, id, workflow, digest, function, parent, parent_step) SELECT -k, now(), 0, 0, 'old' || k, '', 'd', '', '', '' FROM generate_series(2, %d) AS k", many))
	exec(fmt.Sprintf("INSERT INTO execution (key, owner, run, priority, edition, run_number, state, queue, finished) SELECT -k, 0, -k, 0, 1, 1, 'completed', 'q', now() FROM generate_series(2, %d) AS k", many))
	exec(fmt.Sprintf("INSERT INTO run (key, execution, number, created) SELECT -k, -k, 1, now() FROM generate_series(1, %d) AS k", many))
	looked := func() (n int64) {
		exec("SELECT pg_stat_force_next_flush()")
		if err := conn.QueryRow(t.Context(), `SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_all_tables
			WHERE schemaname = current_schema() AND relname IN ('request', 'execution')`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	before := looked()
	live(t, s, session, "some", 100)
	if err := s.Revoke(context.WithoutCancel(t.Context()), session); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil { // what its connections have counted is known once they are gone
		t.Fatal(err)
	}
	for left := int64(1); left > 0; {
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'watched'").Scan(&left); err != nil {
			t.Fatal(err)
		}
	}
	n := looked()
	if n == before || n-before > 100*100 {
		t.Errorf("%d rows of the two tables were looked at for 100 executions", n-before)
	}
	for _, err := range first.Check(t.Context()) {
		t.Error(err)
	}
}

// Claims pass over what waits for others, and what a limit keeps, however much there is of it.
func TestPlansOfKinds(t *testing.T) {
	t.Parallel()
	base := servertest.Postgres(t)
	conn, _ := connect(t, base)
	first := open(t, base)
	if _, err := first.Deploy(t.Context(), []backend.Program{{Digest: "d"}}, nil); err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(t.Context(), with(base, "application_name", "watched"))
	if err != nil {
		t.Fatal(err)
	}
	session, _, err := s.Open(t.Context(), backend.Session{Host: "h"})
	if err != nil {
		t.Fatal(err)
	}
	made, err := s.Commit(t.Context(), backend.Batch{Session: session, Create: []backend.NewExecution{{ID: "x", Digest: "d", Edition: 1, Queue: "q", Claim: true}}})
	if err != nil {
		t.Fatal(err)
	}
	run, row := made.Created[0].Run, int64(0)
	put := func(step string, names ...string) {
		t.Helper()
		var tasks []backend.Task
		for _, name := range names {
			k := backend.Task{Step: step, Attempt: 1, Activity: name, Queue: "q"}
			if name == "limited" {
				k.Limit = &backend.Limit{Max: 1}
			}
			tasks = append(tasks, k)
		}
		if _, err := s.Commit(t.Context(), backend.Batch{Session: session, Turns: []backend.Turn{{Execution: "x", Run: run, First: row, Rows: [][]byte{[]byte("[]")}, Tasks: tasks}}}); err != nil {
			t.Fatal(err)
		}
		row++
	}
	claim := func(executions []string, want int) {
		t.Helper()
		got, err := s.ClaimTasks(t.Context(), backend.TaskRequest{Session: session, Queues: []string{"q"}, Activities: []string{"limited", "free"}, Executions: executions, Limit: 2})
		if err != nil || len(got.Tasks) != want {
			t.Errorf("%d tasks are claimed, not %d, %v", len(got.Tasks), want, err)
		}
	}
	looked := func() (n int64) {
		administer(t, conn, "SELECT pg_stat_force_next_flush()")
		if err := conn.QueryRow(t.Context(), `SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint FROM pg_stat_all_tables
			WHERE schemaname = current_schema() AND relname = 'task'`).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	put("1", "limited", "limited", "lacking")
	claim(nil, 1)
	claim([]string{"x"}, 0)
	administer(t, conn, `INSERT INTO task (execution, run, step, attempt, owner, due, queue, priority, activity, created, bounds, input)
		SELECT execution, run, 'm' || k, attempt, owner, due, queue, priority, activity, created, bounds, input FROM task, generate_series(1, 10000) AS k WHERE owner = 0`)
	for i := range 5 {
		claim(nil, 0)
		claim([]string{"x"}, 0)
		put(fmt.Sprint("n", i), "free")
		claim(nil, 1)
		put(fmt.Sprint("o", i), "free")
		claim([]string{"x"}, 1)
	}
	if err := s.Close(); err != nil { // what its connections have counted is known once they are gone
		t.Fatal(err)
	}
	for left := int64(1); left > 0; {
		if err := conn.QueryRow(t.Context(), "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'watched'").Scan(&left); err != nil {
			t.Fatal(err)
		}
	}
	if n := looked(); n == 0 || n > 2000 {
		t.Errorf("%d tasks were looked at for 20 claims", n)
	}
	for _, err := range first.Check(t.Context()) {
		t.Error(err)
	}
}
