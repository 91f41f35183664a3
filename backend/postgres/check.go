// Check: the invariants over the whole store.

package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend"
)

// whole is all executions.
const whole = `(SELECT * FROM ` + joined + `) AS x`

// checks are queries that find nothing in a sound store. Their columns fill
// the sentence.
var checks = []struct {
	invariant int
	sentence  string
	sql       string
}{
	{1, "run %v has %v journal rows numbered %v to %v, the lowest session being %v",
		`SELECT run, count(*), min(row), max(row), min(session) FROM journal GROUP BY run
		HAVING min(row) <> 0 OR max(row) <> count(*) - 1 OR min(session) <= 0`},
	{1, "execution %v is there by half: asked for %v, standing %v", `SELECT key, id, state FROM request FULL JOIN execution USING (key)
		WHERE id IS NULL OR state IS NULL`},
	{1, "a journal exists for run %v, which does not",
		`SELECT DISTINCT run FROM journal WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.key = journal.run)`},
	{1, "execution %v has no run %v", `SELECT id, run FROM ` + whole + `
		WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.key = x.run AND run.execution = x.key)`},
	{3, "execution %v is owned by session %v, which is gone",
		`SELECT id, owner FROM ` + whole + ` WHERE owner <> 0 AND NOT EXISTS (SELECT 1 FROM session WHERE session.id = x.owner)`},
	{4, "execution %v is %v and has an owner, a due time or messages", `SELECT id, state FROM ` + whole + `
		WHERE state NOT IN ('pending', 'running')
		AND (owner <> 0 OR due IS NOT NULL OR EXISTS (SELECT 1 FROM inbox WHERE inbox.execution = x.key))`},
	{5, "execution %v has messages, no owner and is not due", `SELECT id FROM ` + whole + `
		WHERE owner = 0 AND due IS NULL AND EXISTS (SELECT 1 FROM inbox WHERE inbox.execution = x.key)`},
	{7, "message %v is for execution %v, which does not exist",
		`SELECT id, execution FROM inbox WHERE NOT EXISTS (SELECT 1 FROM execution AS x WHERE x.key = inbox.execution)`},
	{4, "signal %v is kept for execution %v, which has not ended, has completed or does not exist", `SELECT id, execution FROM unread
		WHERE kind <> 'signal' OR NOT EXISTS (SELECT 1 FROM execution AS x WHERE x.key = unread.execution AND x.state IN ('failed', 'cancelled', 'timed_out'))`},
	{9, "execution %v has no program %v",
		`SELECT id, digest FROM request AS x WHERE NOT EXISTS (SELECT 1 FROM program WHERE program.digest = x.digest)`},
	{9, "workflow %v version %v has no program %v",
		`SELECT name, version, digest FROM workflow AS w WHERE NOT EXISTS (SELECT 1 FROM program WHERE program.digest = w.digest)`},
	{10, "log lines exist for run %v, which does not",
		`SELECT DISTINCT run FROM log WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.key = log.run)`},
	{11, "execution %v has ended and %v still waits for it", `SELECT x.id, watcher FROM watch JOIN ` + whole + ` ON x.key = target
		WHERE x.state NOT IN ('pending', 'running')`},
	{11, "execution %v watches %v, which does not exist",
		`SELECT watcher, target FROM watch WHERE NOT EXISTS (SELECT 1 FROM execution AS x WHERE x.key = target)`},
	{13, "task %v is of run %v, which is over", `SELECT key, run FROM task WHERE NOT EXISTS (
		SELECT 1 FROM execution AS x WHERE x.key = task.execution AND x.run = task.run AND x.state IN ('pending', 'running'))`},
	{13, "task %v is owned by session %v, which is gone",
		`SELECT key, owner FROM task WHERE owner <> 0 AND NOT EXISTS (SELECT 1 FROM session WHERE session.id = task.owner)`},
	{13, "task %v of step %v is withdrawn, and nobody runs it", "SELECT key, step FROM task WHERE withdrawn AND owner = 0"},
	{14, "memo %v is reserved by run %v, which is over", `SELECT hash, run FROM memo WHERE result IS NULL AND NOT EXISTS (
		SELECT 1 FROM execution AS x WHERE x.key = memo.execution AND x.run = memo.run AND x.state IN ('pending', 'running'))`},
	{14, "run %v waits for memo %v, which is not reserved", `SELECT run, hash FROM memo_waiter AS w WHERE NOT EXISTS (
		SELECT 1 FROM memo WHERE memo.hash = w.hash AND memo.result IS NULL)`},
}

// Check verifies every invariant of package backend on one snapshot. That
// (run, ordinal) and session ids are unique the schema itself sees to.
func (s *Store) Check(ctx context.Context) []error {
	var broken []error
	if err := s.look(ctx, func(t *tx) error {
		for _, k := range checks {
			t.add(k.sql).row = func(r pgx.Rows) error {
				values, err := r.Values()
				broken = append(broken, fmt.Errorf("invariant %d: "+k.sentence, append([]any{k.invariant}, values...)...))
				return err
			}
		}
		return t.flush()
	}); err != nil {
		broken = append(broken, err)
	}
	return broken
}

var _ backend.Store = (*Store)(nil)
