// Memos: results shared between executions; dead letters.

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/senpuki/senpuki/backend"
)

// reserve asks for a memo on behalf of a step of an execution that is locked and runs. The memo's row is the lock under
// which one attaches to it and settles it.
func (c *committer) reserve(key int64, t *backend.Turn, r *backend.Reservation) error {
	hash, step := clean(r.Hash), clean(r.Step)
	for {
		m, err := c.memo(hash)
		switch {
		case err != nil:
			return err
		case m != nil && m.settled && !m.up:
			c.add(`INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
				SELECT $2::bigint, 'notice', $3::text, $4::bigint, $5::text, 0, now(), result FROM memo WHERE hash = $1::text`,
				hash, key, backend.Hit, int64(t.Run), step)
			return nil
		case m != nil && !m.settled:
			c.add("INSERT INTO memo_waiter (hash, execution, run, step) VALUES ($1::text, $2::bigint, $3::bigint, $4::text)", hash, key, int64(t.Run), step)
			m.awaited = true
			return nil
		case m != nil:
			c.add("DELETE FROM memo WHERE hash = $1::text", hash)
		}
		var n int64
		s := c.add(`WITH made AS (INSERT INTO memo (hash, activity, called, execution, run, step, created)
				VALUES ($1::text, $2::text, $3::text, $4::bigint, $5::bigint, $6::text, now()) ON CONFLICT DO NOTHING RETURNING 1)
			SELECT count(*), 1 / (CASE WHEN $7::bool OR EXISTS (SELECT 1 FROM made) THEN 1 ELSE 0 END) FROM made`,
			hash, clean(r.Activity), clean(r.Key), key, int64(t.Run), step, c.apart)
		s.guard, s.row = errApart, func(rows pgx.Rows) error { return rows.Scan(&n, nil) }
		if c.apart {
			if err := c.flush(); err != nil {
				return err
			}
			if n == 0 { // somebody was faster
				continue
			}
		}
		c.becomes(hash, &memo{execution: key, run: int64(t.Run), step: step})
		c.notice(key, t.Run, r.Step, backend.Reserved)
		return nil
	}
}

// waiter is a step of an execution's run that waits.
type waiter struct {
	key, run int64
	step     string
}

// grant tells one that still waits in that run that its step is to compute the memo, and reports whether it does.
func (t *tx) grant(w waiter) (bool, error) {
	var one int
	found, err := t.first([]any{&one}, `SELECT 1 FROM execution WHERE key = $1::bigint AND run = $2::bigint AND state IN ('pending', 'running')
		FOR NO KEY UPDATE`, w.key, w.run)
	if err != nil || !found {
		return false, err
	}
	t.notice(w.key, backend.RunKey(w.run), w.step, backend.Reserved)
	return true, t.exec("UPDATE execution SET due = now() WHERE key = $1::bigint AND owner = 0 AND (due IS NULL OR due > now())", w.key)
}

// conclude ends a reservation of a step: with a result everybody gets it,
// else the first who waits takes over.
func (c *committer) conclude(key int64, t *backend.Turn, r *backend.MemoResult) error {
	hash := clean(r.Hash)
	m, err := c.memo(hash)
	if err != nil || m == nil || m.settled {
		return err
	}
	if m.execution != key || backend.RunKey(m.run) != t.Run || m.step != clean(r.Step) {
		c.add("DELETE FROM memo_waiter WHERE hash = $1::text AND run = $2::bigint AND step = $3::text", hash, int64(t.Run), clean(r.Step))
		return nil
	}
	c.becomes(hash, nil)
	if r.Result == nil {
		return c.pass(hash)
	}
	c.add("UPDATE memo SET result = $2::bytea, expires = $3::timestamptz WHERE hash = $1::text", hash, r.Result, stamp(r.Expires))
	if !m.awaited {
		return nil
	}
	// In key order: others lock executions in that order, too.
	c.add(`SELECT count(*) FROM (SELECT 1 FROM execution WHERE key = ANY(ARRAY(SELECT execution FROM memo_waiter WHERE hash = $1::text))
		ORDER BY key FOR NO KEY UPDATE) AS held`, hash)
	c.add(`WITH gone AS (DELETE FROM memo_waiter WHERE hash = $1::text RETURNING key, execution, run, step),
		stored AS (INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
			SELECT gone.execution, 'notice', $2::text, gone.run, gone.step, 0, now(), (SELECT result FROM memo WHERE hash = $1::text) FROM gone
			CROSS JOIN LATERAL (SELECT run, state FROM execution WHERE execution.key = gone.execution OFFSET 0) AS x
			WHERE x.run = gone.run AND x.state IN ('pending', 'running') ORDER BY gone.key RETURNING execution)
		UPDATE execution SET due = now() WHERE key = ANY(ARRAY(SELECT execution FROM stored)) AND owner = 0 AND (due IS NULL OR due > now())`,
		hash, backend.Hit)
	return nil
}

// pass gives a reservation, whose row is locked, to the first who waits, or frees the key.
func (t *tx) pass(hash string) error {
	for {
		var w waiter
		found, err := t.first([]any{&w.key, &w.run, &w.step}, `DELETE FROM memo_waiter WHERE hash = $1::text AND key = (
			SELECT min(key) FROM memo_waiter WHERE hash = $1::text) RETURNING execution, run, step`, hash)
		if err != nil {
			return err
		}
		if !found {
			return t.exec("DELETE FROM memo WHERE hash = $1::text", hash)
		}
		ok, err := t.grant(w)
		if err != nil {
			return err
		}
		if ok {
			return t.exec("UPDATE memo SET execution = $2::bigint, run = $3::bigint, step = $4::text, created = now() WHERE hash = $1::text", hash, w.key, w.run, w.step)
		}
	}
}

// over removes what a run that has ended leaves behind: its tasks, and what it
// had reserved or waited for.
func (c *committer) over(run backend.RunKey) error {
	c.noted.over = append(c.noted.over, int64(run))
	if !c.apart {
		return nil
	}
	c.clear()
	var held []string
	if err := c.each(func(r pgx.Rows) error {
		var hash string
		err := r.Scan(&hash)
		held = append(held, hash)
		return err
	}, "SELECT hash FROM memo WHERE run = $1::bigint AND result IS NULL ORDER BY hash FOR UPDATE", int64(run)); err != nil {
		return err
	}
	for _, hash := range held {
		if err := c.pass(hash); err != nil {
			return err
		}
	}
	return nil
}

// clear queues the removal of what runs that have ended leave behind. A reservation is passed on step by step, apart from others.
func (c *committer) clear() {
	n := &c.noted
	if len(n.over) > 0 {
		leaves(c.tx, n.over, c.apart)
	}
	if len(n.journals) > 0 {
		c.add("DELETE FROM journal WHERE run = ANY($1::bigint[])", n.journals)
	}
	n.over, n.journals = nil, nil
}

// leaves queues the removal of the tasks of runs that have ended, and of what they waited for; it raises when one has reserved anything, unless it may.
func leaves(t *tx, runs []int64, reserved bool) {
	t.add(`WITH tasks AS (DELETE FROM task WHERE run = ANY($1::bigint[])),
			waiters AS (DELETE FROM memo_waiter WHERE run = ANY($1::bigint[]))
		SELECT 1 / (CASE WHEN NOT $2::bool AND EXISTS (SELECT 1 FROM memo WHERE run = ANY($1::bigint[]) AND result IS NULL) THEN 0 ELSE 1 END)`,
		runs, reserved).guard = errApart
}

// Memos lists memos, newest first.
func (s *Store) Memos(ctx context.Context, f backend.MemoFilter) (list []backend.Memo, err error) {
	err = s.read(ctx, func(t *tx) error {
		return t.each(func(r pgx.Rows) error {
			var m backend.Memo
			var created, expires pgtype.Timestamptz
			err := r.Scan(&m.Hash, &m.Activity, &m.Key, &m.Execution, &m.Step, &created, &expires, &m.Result, &m.Waiting)
			m.Created, m.Expires = instant(created), instant(expires)
			list = append(list, m)
			return err
		}, `SELECT hash, activity, called, coalesce((SELECT id FROM request AS x WHERE x.key = memo.execution), ''), step, created, expires, result,
				(SELECT count(*) FROM memo_waiter AS w WHERE w.hash = memo.hash)
			FROM memo WHERE ($1::text = '' OR activity = $1::text) AND ($2::timestamptz IS NULL OR (created, hash) < ($2::timestamptz, $3::text))
				AND ($5::text = '' OR hash = $5::text)
			ORDER BY created DESC, hash DESC LIMIT $4::bigint`, clean(f.Activity), stamp(f.BeforeAt), clean(f.BeforeHash), most(f.Limit), clean(f.Hash))
	})
	return list, err
}

// ClearMemos removes stored results; reservations stay.
func (s *Store) ClearMemos(ctx context.Context, activity string) (n int64, err error) {
	err = s.transact(ctx, 0, func(t *tx) (err error) {
		n, err = t.count("DELETE FROM memo WHERE result IS NOT NULL AND ($1::text = '' OR activity = $1::text)", clean(activity))
		return err
	})
	return n, err
}

// letters is dead letters to be written, column by column.
type letters struct {
	ids, steps, activities []string
	runs                   []int64
	attempts               []int32
	failures               []*string
	inputs                 [][]byte
}

func (l *letters) add(t *backend.Turn) {
	for i := range t.Dead {
		d := &t.Dead[i]
		l.ids, l.runs, l.steps = append(l.ids, clean(t.Execution)), append(l.runs, int64(t.Run)), append(l.steps, clean(d.Step))
		l.attempts, l.activities = append(l.attempts, small(d.Attempts)), append(l.activities, clean(d.Activity))
		l.failures, l.inputs = append(l.failures, text(d.Failure)), append(l.inputs, d.Input)
	}
}

// put queues them.
func (l *letters) put(t *tx) {
	if len(l.ids) > 0 {
		t.add(`INSERT INTO dead_letter (execution, run, step, attempts, activity, at, failure, input)
			SELECT x.key, t.run, t.step, t.attempts, t.activity, now(), t.failure, t.input
			FROM unnest($1::text[], $2::bigint[], $3::text[], $4::int[], $5::text[], $6::text[], $7::bytea[])
			WITH ORDINALITY AS t (id, run, step, attempts, activity, failure, input, n)`+lookup+` ORDER BY t.n`,
			l.ids, l.runs, l.steps, l.attempts, l.activities, l.failures, l.inputs)
	}
}

// DeadLetters lists dead letters, newest first.
func (s *Store) DeadLetters(ctx context.Context, f backend.LetterFilter) (list []backend.DeadLetter, err error) {
	low, high := f.IDs()
	of := "$1::text = ''"
	if f.Execution != "" { // said so that its index is used
		of = "d.execution = (SELECT key FROM request WHERE id = $1::text)"
	}
	err = s.read(ctx, func(t *tx) error {
		return t.each(func(r pgx.Rows) error {
			var d backend.DeadLetter
			var at pgtype.Timestamptz
			var failure *string
			err := r.Scan(&d.ID, &d.Execution, (*int64)(&d.Run), &d.Step, &d.Attempts, &d.Activity, &at, &failure, &d.Input)
			d.At, d.Failure = instant(at), bytes(failure)
			list = append(list, d)
			return err
		}, `SELECT d.id, x.id, d.run, step, attempts, activity, at, d.failure, d.input
			FROM dead_letter AS d CROSS JOIN LATERAL (SELECT id FROM request WHERE request.key = d.execution OFFSET 0) AS x
			WHERE `+of+` AND d.id BETWEEN $2::bigint AND $3::bigint
			ORDER BY d.id DESC LIMIT $4::bigint`, clean(f.Execution), low, high, most(f.Limit))
	})
	return list, err
}

// Discard removes dead letters.
func (s *Store) Discard(ctx context.Context, ids []int64) (n int64, err error) {
	err = s.transact(ctx, 0, func(t *tx) (err error) {
		n, err = t.count("DELETE FROM dead_letter WHERE id = ANY($1::bigint[])", ids)
		return err
	})
	return n, err
}
