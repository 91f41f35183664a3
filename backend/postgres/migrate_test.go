// What a schema of an earlier version becomes.

package postgres_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/postgres"
	"github.com/senpuki/senpuki/backend/servertest"
)

// A schema with one table for executions keeps what is in it.
func TestSchemaWithOneTable(t *testing.T) {
	t.Parallel()
	base := servertest.Postgres(t)
	conn, schema := connect(t, base)
	first, err := os.ReadFile("migrations/0001_init.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range []string{
		"CREATE SCHEMA " + schema,
		"CREATE TABLE senpuki_migration (version integer PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL)",
		string(first),
		"INSERT INTO senpuki_migration VALUES (1, '0001_init.sql', now())",
		"INSERT INTO program VALUES ('d', now(), NULL)",
		`INSERT INTO execution (key, id, owner, run, state, due, queue, priority, edition, run_number, created, started, finished, workflow, digest,
				function, parent, parent_run, parent_step, depth, tags, extra, input, result)
			VALUES (nextval('run_key'), 'over', 0, 1, 'completed', NULL, 'q', 0, 1, 1, '2026-01-01Z', '2026-01-02Z', '2026-01-03Z', 'w', 'd', 'f', '', 0, '', 0, NULL, NULL, '1', '2'),
				(nextval('run_key'), 'waits', 0, 2, 'running', '2026-01-04Z', 'q', 3, 1, 1, '2026-01-02Z', '2026-01-02Z', NULL, 'w', 'd', 'f', 'over', 1, '', 1, '{a,b}', '{}', '3', NULL)`,
		"INSERT INTO run SELECT key, key, 1, created FROM execution",
		"INSERT INTO journal VALUES (1, 0, 1, 'row'), (2, 0, 1, 'row')",
	} {
		administer(t, conn, sql)
	}
	s := open(t, base)
	over, err := s.Execution(t.Context(), "over")
	if err != nil {
		t.Fatal(err)
	}
	if over.State != backend.Completed || string(over.Result) != "2" || string(over.Input) != "1" || over.Workflow != "w" || over.Run != 1 ||
		!over.Finished.Equal(time.Date(2026, 1, 3, 0, 0, 0, 0, time.UTC)) {
		t.Errorf("what has ended is %+v", over)
	}
	session, _, err := s.Open(t.Context(), backend.Session{Host: "h"})
	if err != nil {
		t.Fatal(err)
	}
	claimed, err := s.Claim(t.Context(), backend.ClaimRequest{Session: session, Queues: []string{"q"}, Tags: []string{"a", "b", "c"}, Editions: []int{1}, Limit: 5})
	if err != nil || len(claimed) != 1 {
		t.Fatalf("claimed %+v, %v", claimed, err)
	}
	if x := claimed[0].Execution; x.ID != "waits" || x.Parent != "over" || x.Priority != 3 || x.Depth != 1 || len(x.Tags) != 2 || string(x.Extra) != "{}" || x.Run != 2 {
		t.Errorf("what was due is %+v", x)
	}
	if _, err := s.Commit(t.Context(), backend.Batch{
		Session: session,
		Turns:   []backend.Turn{{Execution: "waits", Run: 2, First: 1, Rows: [][]byte{[]byte("last")}, Then: backend.Finish, State: backend.Completed}},
		Create:  []backend.NewExecution{{ID: "new", Digest: "d", Edition: 1, Queue: "q"}},
	}); err != nil {
		t.Fatal(err)
	}
	for _, err := range s.Check(t.Context()) {
		t.Error(err)
	}
}

// Claims of the release before and a migration wait for each other in one order only.
func TestMigrateBesideClaims(t *testing.T) {
	t.Parallel()
	names, err := filepath.Glob("migrations/*.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, done := range []string{"SELECT key FROM task FOR NO KEY UPDATE", "UPDATE task SET owner = 1"} {
		base := servertest.Postgres(t)
		conn, schema := connect(t, base)
		administer(t, conn, "CREATE SCHEMA "+schema)
		administer(t, conn, "CREATE TABLE senpuki_migration (version integer PRIMARY KEY, name text NOT NULL, at timestamptz NOT NULL)")
		for n, name := range names[:5] {
			sql, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			administer(t, conn, string(sql))
			administer(t, conn, fmt.Sprintf("INSERT INTO senpuki_migration VALUES (%d, '%s', now())", n+1, name))
		}
		administer(t, conn, "SET deadlock_timeout = '1ms'") // it is this one that is told of a deadlock
		administer(t, conn, "BEGIN; "+done)
		opened := make(chan error)
		go func() {
			s, err := postgres.Open(t.Context(), base)
			if err == nil {
				err = s.Close()
			}
			opened <- err
		}()
		for waits := false; !waits; {
			if err := conn.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks JOIN pg_class ON pg_class.oid = relation JOIN pg_namespace AS n ON n.oid = relnamespace
					WHERE nspname = $1 AND NOT granted)`, schema).Scan(&waits); err != nil {
				t.Fatal(err)
			}
		}
		administer(t, conn, "UPDATE task SET owner = 2; INSERT INTO task_begun (activity, at, key) VALUES ('add', now(), 1); COMMIT")
		if err := <-opened; err != nil {
			t.Fatal(err)
		}
	}
}
