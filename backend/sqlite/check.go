// Check: the invariants over the whole store.

package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"github.com/senpuki/senpuki/backend"
)

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
	{1, "a journal exists for run %v, which does not", `SELECT DISTINCT run FROM journal WHERE run NOT IN (SELECT key FROM run)`},
	{1, "execution %v has no run %v", `SELECT id, run FROM execution AS x
		WHERE NOT EXISTS (SELECT 1 FROM run WHERE run.key = x.run AND run.execution = x.key)`},
	{3, "execution %v is owned by session %v, which is gone",
		`SELECT id, owner FROM execution WHERE owner <> 0 AND owner NOT IN (SELECT id FROM session)`},
	{4, "execution %v is %v and has an owner, a due time or messages", `SELECT id, state FROM execution AS x
		WHERE state NOT IN ('pending', 'running')
		AND (owner <> 0 OR due IS NOT NULL OR EXISTS (SELECT 1 FROM inbox WHERE inbox.execution = x.key))`},
	{5, "execution %v has messages, no owner and is not due", `SELECT id FROM execution AS x
		WHERE owner = 0 AND due IS NULL AND EXISTS (SELECT 1 FROM inbox WHERE inbox.execution = x.key)`},
	{7, "message %v is for execution %v, which does not exist",
		`SELECT id, execution FROM inbox WHERE execution NOT IN (SELECT key FROM execution)`},
	{8, "session %v is newer than the newest ever given out, %v", `SELECT session.id, seq FROM session, sqlite_sequence
		WHERE name = 'session' AND session.id > seq`},
	{4, "signal %v is kept for execution %v, which has not ended, has completed or does not exist", `SELECT id, execution FROM unread
		WHERE kind <> 'signal' OR NOT EXISTS (SELECT 1 FROM execution AS x WHERE x.key = unread.execution AND x.state IN ('failed', 'cancelled', 'timed_out'))`},
	{9, "execution %v has no program %v",
		`SELECT id, digest FROM execution WHERE digest NOT IN (SELECT digest FROM program)`},
	{9, "workflow %v version %v has no program %v",
		`SELECT name, version, digest FROM workflow WHERE digest NOT IN (SELECT digest FROM program)`},
	{10, "run %v has %v log lines %v", `SELECT run, count(*), ordinal FROM log GROUP BY run, ordinal HAVING count(*) > 1`},
	{11, "execution %v has ended and %v still waits for it", `SELECT x.id, watcher FROM watch JOIN execution AS x ON x.key = target
		WHERE x.state NOT IN ('pending', 'running')`},
	{11, "execution %v watches %v, which does not exist", `SELECT watcher, target FROM watch WHERE target NOT IN (SELECT key FROM execution)`},
	{13, "task %v is of run %v, which is over", `SELECT key, run FROM task WHERE NOT EXISTS (
		SELECT 1 FROM execution AS x WHERE x.key = task.execution AND x.run = task.run AND x.state IN ('pending', 'running'))`},
	{13, "task %v of step %v is withdrawn, and nobody runs it", "SELECT key, step FROM task WHERE withdrawn AND owner = 0"},
	{14, "memo %v is reserved by run %v, which is over", `SELECT hash, run FROM memo WHERE result IS NULL AND NOT EXISTS (
		SELECT 1 FROM execution AS x WHERE x.key = memo.execution AND x.run = memo.run AND x.state IN ('pending', 'running'))`},
	{10, "log lines exist for run %v, which does not", `SELECT DISTINCT run FROM log WHERE run NOT IN (SELECT key FROM run)`},
}

// Check verifies every invariant of package backend on one snapshot, and that
// the file itself is sound.
func (s *Store) Check(ctx context.Context) []error {
	var broken []error
	err := s.read(ctx, func(c *conn) error {
		if _, err := c.exec("BEGIN"); err != nil {
			return err
		}
		found, err := check(ctx, c)
		broken = found
		_, end := c.exec("COMMIT")
		return cmp.Or(err, end)
	})
	if err != nil {
		broken = append(broken, err)
	}
	return broken
}

func check(ctx context.Context, c *conn) (broken []error, err error) {
	if err := c.query(ctx, func(v []driver.Value) error { // first: what is below cannot be read in a file that is damaged
		if said := word(v[0]); said != "ok" {
			broken = append(broken, fmt.Errorf("the file is damaged: %s", strings.TrimPrefix(said, "*** in database main ***\n")))
		}
		return nil
	}, "PRAGMA integrity_check"); err != nil {
		return broken, err
	}
	for _, k := range checks {
		if err := c.query(ctx, func(v []driver.Value) error {
			args := make([]any, len(v))
			for i := range v {
				args[i] = v[i]
			}
			broken = append(broken, fmt.Errorf("invariant %d: "+k.sentence, append([]any{k.invariant}, args...)...))
			return nil
		}, k.sql); err != nil {
			return broken, err
		}
	}
	return broken, nil
}

var (
	_ backend.Store     = (*Store)(nil)
	_ backend.Versioner = (*Store)(nil)
)
