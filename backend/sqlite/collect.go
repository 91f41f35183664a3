// Runs after the last, retention, counting.

package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// Rerun begins a run after the last.
func (s *Store) Rerun(ctx context.Context, r backend.Rerun) error {
	return s.write(ctx, func(c *conn, at time.Time) error {
		x, err := read(nonstop, c, r.Execution)
		switch {
		case err != nil:
			return err
		case !x.State.Terminal() || x.Run != r.Run:
			return backend.Explain(backend.ErrConflict, "execution %s has not ended, or has another run by now", r.Execution)
		}
		if err := stored(c, r.Digest); err != nil {
			return err
		}
		if r.ID != "" {
			return s.fork(c, &r, &x, at)
		}
		v, err := c.first(nonstop, `INSERT INTO run (execution, number, created) SELECT key, run_number + 1, ? FROM execution WHERE id = ? RETURNING key`, at, r.Execution)
		if err != nil {
			return err
		}
		return s.begin(c, &r, r.Execution, number(v[0]), x.RunNumber+1, at)
	})
}

// fork makes a new execution like x, of which all must be readable.
func (s *Store) fork(c *conn, r *backend.Rerun, x *backend.Execution, at time.Time) error {
	if x.Damage != "" {
		return fmt.Errorf("execution %s is damaged: %s", x.ID, x.Damage)
	}
	made, err := create(c, 0, []backend.NewExecution{{
		ID: r.ID, Workflow: x.Workflow, Digest: r.Digest, Edition: r.Edition, Function: x.Function, Input: x.Input,
		Queue: x.Queue, Priority: x.Priority, Tags: x.Tags, Due: at, Parent: x.ID, Depth: x.Depth, Extra: x.Extra,
	}}, at)
	if err != nil {
		return err
	}
	if made[0].Existing != nil {
		return backend.Explain(backend.ErrConflict, "execution %s exists already", r.ID)
	}
	if _, err := c.exec("UPDATE execution SET published = ? WHERE id = ?", text(x.Published), r.ID); err != nil {
		return err
	}
	return s.begin(c, r, r.ID, int64(made[0].Run), 1, at)
}

// begin gives an execution a run that begins with copied rows.
func (s *Store) begin(c *conn, r *backend.Rerun, id string, run int64, runNumber int, at time.Time) error {
	for _, row := range r.Rows {
		if _, err := c.exec("INSERT INTO journal (run, row, session, data) VALUES (?, ?, ?, ?)", run, row.Number, row.Session, row.Data); err != nil {
			return err
		}
	}
	state := backend.Running
	if len(r.Rows) == 0 {
		state = backend.Pending
	}
	if _, err := c.exec(`UPDATE execution SET run = ?1, run_number = ?2, digest = ?3, edition = ?4, state = ?5, result = NULL, failure = NULL,
			finished = NULL, expires = NULL, stuck = NULL, owner = 0, due = ?6, queue = CASE ?7 WHEN '' THEN queue ELSE ?7 END,
			started = CASE ?5 WHEN 'pending' THEN NULL ELSE started END, parent_step = '', parent_run = 0
		WHERE id = ?8`, run, runNumber, r.Digest, r.Edition, state, at, r.Queue, id); err != nil {
		return err
	}
	for _, m := range r.Messages {
		m.Execution = id
		if _, err := send(c, &m, at); err != nil {
			return err
		}
	}
	if err := refill(c, id); err != nil {
		return err
	}
	if len(r.Letters) > 0 {
		if _, err := discard(c, r.Letters); err != nil {
			return err
		}
	}
	return nil
}

const (
	oldExecution = "finished IS NOT NULL AND finished < max(?1, ?2) AND finished < CASE state WHEN 'completed' THEN ?1 ELSE ?2 END"
	oldMemo      = "expires IS NOT NULL AND expires <= ? AND result IS NOT NULL"
	oldProgram   = "created < ?1 AND digest NOT IN (SELECT digest FROM workflow) AND digest NOT IN (SELECT digest FROM execution)"
	// leftProgram is oldProgram once some executions are gone.
	leftProgram = "created < ?1 AND digest NOT IN (SELECT digest FROM workflow) AND digest NOT IN (SELECT digest FROM execution WHERE key NOT IN (SELECT value FROM json_each(?2)))"
	// doomedProgram is oldProgram while the executions that are old are still there.
	doomedProgram = "created < ?1 AND digest NOT IN (SELECT digest FROM workflow) AND digest NOT IN (SELECT digest FROM execution WHERE NOT (" + oldExecution + "))"
)

// Collect removes what ended long ago, one chunk in a transaction.
func (s *Store) Collect(ctx context.Context, r backend.Retention) (got backend.Collected, err error) {
	// Beside those that go there may be many that stay: they are looked through without keeping writers waiting.
	old, unused := []int64{}, false
	var found []byte
	if err := s.read(ctx, func(c *conn) (err error) {
		if err := c.query(ctx, func(v []driver.Value) error {
			old = append(old, number(v[0]))
			return nil
		}, "SELECT key FROM execution WHERE "+oldExecution+" ORDER BY finished LIMIT +?3", moment(r.Completed), moment(r.Failed), most(r.Limit)); err != nil {
			return err
		}
		if found, err = json.Marshal(old); err != nil || r.DryRun || r.Limit > 0 && len(old) >= r.Limit {
			return err
		}
		v, err := c.first(ctx, "SELECT EXISTS (SELECT 1 FROM program WHERE "+leftProgram+")", moment(r.Completed), string(found))
		unused = err == nil && number(v[0]) != 0
		return err
	}); err != nil {
		return got, err
	}
	work := func(c *conn, at time.Time) error {
		got = backend.Collected{}
		keys, err := c.all(nonstop, "SELECT key FROM execution WHERE key IN (SELECT value FROM json_each(?3)) AND "+oldExecution+" ORDER BY finished", moment(r.Completed), moment(r.Failed), string(found))
		if err != nil {
			return err
		}
		if r.DryRun {
			got.Executions = int64(len(keys))
			if got.DeadLetters, err = counted(c, "dead_letter", "execution IN (SELECT value FROM json_each(?))", string(found)); err != nil {
				return err
			}
			if got.Memos, err = counted(c, "memo", oldMemo, at); err != nil {
				return err
			}
			got.Programs, err = counted(c, "program", doomedProgram, moment(r.Completed), moment(r.Failed))
			return err
		}
		rows := int64(0)
		for _, v := range keys {
			if r.Rows > 0 && rows >= int64(r.Rows) {
				got.More = true
				break
			}
			n, letters, err := remove(c, number(v[0]))
			if err != nil {
				return err
			}
			rows += n
			got.Executions++
			got.DeadLetters += letters
		}
		if got.Memos, err = c.exec("DELETE FROM memo WHERE hash IN (SELECT hash FROM memo WHERE "+oldMemo+" LIMIT +?)", at, most(r.Rows)); err != nil {
			return err
		}
		if got.More = got.More || r.Limit > 0 && len(old) >= r.Limit || r.Rows > 0 && got.Memos >= int64(r.Rows); got.More || !unused {
			return nil // whose programs are in use is asked once, at the end, and with the writer's lock only when there are such
		}
		got.Programs, err = c.exec("DELETE FROM program WHERE "+oldProgram, moment(r.Completed))
		return err
	}
	if r.DryRun {
		err = s.read(ctx, func(c *conn) error { return work(c, now()) })
	} else {
		err = s.write(ctx, work)
	}
	return got, err
}

// moment is a time as it is stored; nothing is before the zero time.
func moment(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// remove deletes an execution with all that belongs to it. It returns how many rows its journals and logs had.
func remove(c *conn, key int64) (rows, letters int64, err error) {
	for _, table := range []string{"journal", "log"} {
		n, err := c.exec("DELETE FROM "+table+" WHERE run IN (SELECT key FROM run WHERE execution = ?)", key)
		if err != nil {
			return 0, 0, err
		}
		rows += n
	}
	if letters, err = c.exec("DELETE FROM dead_letter WHERE execution = ?", key); err != nil {
		return 0, 0, err
	}
	for _, table := range []string{"unread", "run"} {
		if _, err := c.exec("DELETE FROM "+table+" WHERE execution = ?", key); err != nil {
			return 0, 0, err
		}
	}
	_, err = c.exec("DELETE FROM execution WHERE key = ?", key)
	return rows, letters, err
}

// counted counts rows of a table.
func counted(c *conn, table, where string, args ...any) (int64, error) {
	v, err := c.first(nonstop, "SELECT count(*) FROM "+table+" WHERE "+where, args...)
	if err != nil {
		return 0, err
	}
	return number(v[0]), nil
}

// Stats counts what the store holds.
func (s *Store) Stats(ctx context.Context, since time.Time) (st backend.Stats, err error) {
	st = backend.Stats{States: make(map[backend.State]int64), Since: since}
	err = s.read(ctx, func(c *conn) error {
		at := now()
		if err := c.query(ctx, func(v []driver.Value) error {
			st.States[backend.State(word(v[0]))] = number(v[1])
			return nil
		}, "SELECT state, count(*) FROM execution GROUP BY state"); err != nil {
			return err
		}
		v, err := c.first(ctx, `SELECT (SELECT count(*) FROM execution WHERE stuck IS NOT NULL), (SELECT count(*) FROM dead_letter), (SELECT count(*) FROM memo),
			(SELECT count(*) FROM execution WHERE finished IS NOT NULL AND finished >= ?1),
			(SELECT count(*) FROM execution WHERE finished IS NOT NULL AND finished >= ?1 AND state NOT IN ('completed', 'cancelled'))`, moment(since))
		if err != nil {
			return err
		}
		st.Stuck, st.Dead, st.Memos, st.Ended, st.Failed = number(v[0]), number(v[1]), number(v[2]), number(v[3]), number(v[4])
		return c.query(ctx, func(v []driver.Value) error {
			st.Queues = append(st.Queues, backend.QueueStats{Queue: word(v[0]), Pending: number(v[1]), Tasks: number(v[2]), OldestDue: instant(v[3])})
			return nil
		}, `SELECT queue, sum(x), sum(k), min(due) FROM (
				SELECT queue, 1 AS x, 0 AS k, due FROM execution WHERE owner = 0 AND due IS NOT NULL AND due <= ?1
				UNION ALL SELECT queue, 0, 1, due FROM task WHERE owner = 0 AND due <= ?1)
			GROUP BY queue ORDER BY queue`, at)
	})
	return st, err
}
