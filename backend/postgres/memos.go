// Memos: results shared between executions; dead letters.

package postgres

import (
	"context"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/senpuki/senpuki/backend"
)

// reserve asks for a memo on behalf of a step. The memo's row is the lock under
// which one attaches to it and settles it.
func (c *committer) reserve(key int64, t *backend.Turn, r *backend.Reservation) error {
	hash := clean(r.Hash)
	for {
		var result []byte
		var up bool
		found, err := c.first([]any{&result, &up}, "SELECT result, coalesce(expires <= now(), false) FROM memo WHERE hash = $1::text FOR UPDATE", hash)
		switch {
		case err != nil:
			return err
		case found && result != nil && !up:
			_, err := c.answer(waiter{key, int64(t.Run), r.Step}, backend.Hit, result)
			return err
		case found && result == nil:
			c.add("INSERT INTO memo_waiter (hash, execution, run, step) VALUES ($1::text, $2::bigint, $3::bigint, $4::text)", hash, key, int64(t.Run), clean(r.Step))
			return nil
		case found:
			c.add("DELETE FROM memo WHERE hash = $1::text", hash)
		}
		n, err := c.count(`INSERT INTO memo (hash, activity, called, execution, run, step, created)
			VALUES ($1::text, $2::text, $3::text, $4::bigint, $5::bigint, $6::text, now()) ON CONFLICT DO NOTHING`,
			hash, clean(r.Activity), clean(r.Key), key, int64(t.Run), clean(r.Step))
		if err != nil {
			return err
		}
		if n > 0 { // else somebody was faster
			_, err := c.answer(waiter{key, int64(t.Run), r.Step}, backend.Reserved, nil)
			return err
		}
	}
}

// waiter is a step of an execution's run that waits.
type waiter struct {
	key, run int64
	step     string
}

// answer puts a notice about a memo into the inbox of one that still waits for
// it in that run, and reports whether it does.
func (t *tx) answer(w waiter, name string, payload []byte) (bool, error) {
	var one int
	found, err := t.first([]any{&one}, `SELECT 1 FROM execution WHERE key = $1::bigint AND run = $2::bigint AND state IN ('pending', 'running')
		FOR NO KEY UPDATE`, w.key, w.run)
	if err != nil || !found {
		return false, err
	}
	t.post(w.key, &backend.Message{Kind: backend.Notice, Name: name, Run: backend.RunKey(w.run), Step: w.step, Payload: payload})
	return true, t.exec("UPDATE execution SET due = now() WHERE key = $1::bigint AND owner = 0 AND (due IS NULL OR due > now())", w.key)
}

// conclude ends a reservation of a step: with a result everybody gets it,
// else the first who waits takes over.
func (c *committer) conclude(key int64, t *backend.Turn, r *backend.MemoResult) error {
	hash := clean(r.Hash)
	var holder, run int64
	var step string
	found, err := c.first([]any{&holder, &run, &step}, "SELECT execution, run, step FROM memo WHERE hash = $1::text AND result IS NULL FOR UPDATE", hash)
	if err != nil || !found {
		return err
	}
	if holder != key || backend.RunKey(run) != t.Run || step != clean(r.Step) {
		c.add("DELETE FROM memo_waiter WHERE hash = $1::text AND run = $2::bigint AND step = $3::text", hash, int64(t.Run), clean(r.Step))
		return nil
	}
	if r.Result == nil {
		return c.pass(hash)
	}
	c.add("UPDATE memo SET result = $2::bytea, expires = $3::timestamptz WHERE hash = $1::text", hash, r.Result, stamp(r.Expires))
	// In key order: others lock executions in that order, too.
	c.add(`SELECT count(*) FROM (SELECT 1 FROM execution WHERE key = ANY(ARRAY(SELECT execution FROM memo_waiter WHERE hash = $1::text))
		ORDER BY key FOR NO KEY UPDATE) AS held`, hash)
	return c.exec(`WITH gone AS (DELETE FROM memo_waiter WHERE hash = $1::text RETURNING key, execution, run, step),
		stored AS (INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
			SELECT gone.execution, 'notice', $2::text, gone.run, gone.step, 0, now(), $3::bytea FROM gone
			CROSS JOIN LATERAL (SELECT run, state FROM execution WHERE execution.key = gone.execution OFFSET 0) AS x
			WHERE x.run = gone.run AND x.state IN ('pending', 'running') ORDER BY gone.key RETURNING execution)
		UPDATE execution SET due = now() WHERE key = ANY(ARRAY(SELECT execution FROM stored)) AND owner = 0 AND (due IS NULL OR due > now())`,
		hash, backend.Hit, r.Result)
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
		ok, err := t.answer(w, backend.Reserved, nil)
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
func (t *tx) over(run backend.RunKey) error {
	t.add("DELETE FROM task WHERE run = $1::bigint", int64(run))
	t.add("DELETE FROM memo_waiter WHERE run = $1::bigint", int64(run))
	var held []string
	if err := t.each(func(r pgx.Rows) error {
		var hash string
		err := r.Scan(&hash)
		held = append(held, hash)
		return err
	}, "SELECT hash FROM memo WHERE run = $1::bigint AND result IS NULL ORDER BY hash FOR UPDATE", int64(run)); err != nil {
		return err
	}
	for _, hash := range held {
		if err := t.pass(hash); err != nil {
			return err
		}
	}
	return nil
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
