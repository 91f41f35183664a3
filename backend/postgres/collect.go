// Runs after the last, retention, counting.

package postgres

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/senpuki/senpuki/backend"
)

// Rerun begins a run after the last.
func (s *Store) Rerun(ctx context.Context, r backend.Rerun) error {
	return s.transact(ctx, 0, func(t *tx) error {
		ok, err := exist(t, []string{r.Digest})
		if err != nil {
			return err
		}
		var x backend.Execution
		t.add("SELECT 1 FROM execution WHERE key = (SELECT key FROM request WHERE id = $1::text) FOR NO KEY UPDATE", clean(r.Execution))
		if err := t.each(func(rows pgx.Rows) (err error) {
			x, err = execution(rows)
			return err
		}, "SELECT "+executionColumns+" FROM "+executions+" WHERE id = $1::text", clean(r.Execution)); err != nil {
			return err
		}
		switch {
		case x.ID == "":
			return backend.ErrNotFound
		case !x.State.Terminal() || x.Run != r.Run:
			return backend.Explain(backend.ErrConflict, "execution %s has not ended, or has another run by now", r.Execution)
		case !ok:
			return backend.ErrNoProgram
		}
		if r.ID != "" {
			return fork(t, &r, &x)
		}
		var run int64
		if _, err := t.first([]any{&run}, `INSERT INTO run (key, execution, number, created)
			SELECT nextval('run_key'), key, run_number + 1, now() FROM `+executions+` WHERE id = $1::text RETURNING key`, x.ID); err != nil {
			return err
		}
		return begin(t, &r, x.ID, run, x.RunNumber+1)
	})
}

// fork makes a new execution like x, of which all must be readable.
func fork(t *tx, r *backend.Rerun, x *backend.Execution) error {
	if x.Damage != "" {
		return fmt.Errorf("execution %s is damaged: %s", x.ID, x.Damage)
	}
	made, err := insert(t, 0, []backend.NewExecution{{
		ID: r.ID, Workflow: x.Workflow, Digest: r.Digest, Edition: r.Edition, Function: x.Function, Input: x.Input,
		Queue: x.Queue, Priority: x.Priority, Tags: x.Tags, Parent: x.ID, Depth: x.Depth, Extra: x.Extra,
	}}, false)
	if err != nil {
		return err
	}
	if made[0].Existing != nil {
		return backend.Explain(backend.ErrConflict, "execution %s exists already", r.ID)
	}
	// An execution bears the key of its first run.
	t.add("UPDATE execution SET published = $2::text WHERE key = $1::bigint", int64(made[0].Run), text(x.Published))
	return begin(t, r, clean(r.ID), int64(made[0].Run), 1)
}

// begin gives an execution a run that begins with copied rows.
func begin(t *tx, r *backend.Rerun, id string, run int64, runNumber int) error {
	var numbers, sessions []int64
	var data [][]byte
	for _, row := range r.Rows {
		numbers, sessions, data = append(numbers, row.Number), append(sessions, int64(row.Session)), append(data, row.Data)
	}
	state := backend.Running
	if len(r.Rows) == 0 {
		state = backend.Pending
	} else {
		t.add(`INSERT INTO journal (run, row, session, data) SELECT $1::bigint, n.row, n.session, n.data
			FROM unnest($2::bigint[], $3::bigint[], $4::bytea[]) AS n (row, session, data)`, run, numbers, sessions, data)
	}
	t.add("UPDATE request SET digest = $1::text, parent_step = '', parent_run = 0 WHERE id = $2::text", clean(r.Digest), id)
	t.add(`UPDATE execution SET run = $1::bigint, run_number = $2::int, edition = $3::int, state = $4::text, result = NULL, failure = NULL,
			finished = NULL, expires = NULL, stuck = NULL, owner = 0, due = now(), queue = CASE $5::text WHEN '' THEN queue ELSE $5::text END,
			started = CASE $4::text WHEN 'pending' THEN NULL ELSE started END
		WHERE key = (SELECT key FROM request WHERE id = $6::text)`, run, small(runNumber), small(r.Edition), string(state), clean(r.Queue), id)
	if len(r.Messages) > 0 {
		messages := append([]backend.Message{}, r.Messages...)
		for i := range messages {
			messages[i].Execution = id
		}
		put(t, messages, func(int, error) {})
	}
	t.refill(id)
	if len(r.Letters) > 0 {
		t.add("DELETE FROM dead_letter WHERE id = ANY($1::bigint[])", r.Letters)
	}
	return t.flush()
}

// Collect removes what ended long ago, one chunk in a transaction.
func (s *Store) Collect(ctx context.Context, r backend.Retention) (got backend.Collected, err error) {
	if r.DryRun {
		err = s.read(ctx, func(t *tx) (err error) {
			got, err = collectable(t, &r)
			return err
		})
		return got, err
	}
	err = s.transact(ctx, 0, func(t *tx) (err error) {
		got, err = collect(t, &r)
		return err
	})
	return got, err
}

const (
	oldExecution  = `finished IS NOT NULL AND finished < greatest($1::timestamptz, $2::timestamptz) AND finished < CASE state WHEN 'completed' THEN $1::timestamptz ELSE $2::timestamptz END`
	oldExecutions = `(SELECT key FROM execution WHERE ` + oldExecution + ` ORDER BY finished LIMIT $3::bigint)`
	oldMemos      = `result IS NOT NULL AND expires IS NOT NULL AND expires <= now()`
	oldPrograms   = `created < $1::timestamptz AND NOT EXISTS (SELECT 1 FROM request WHERE request.digest = program.digest)
		AND NOT EXISTS (SELECT 1 FROM workflow WHERE workflow.digest = program.digest)`
	// doomedPrograms are oldPrograms while the executions that are old are still there.
	doomedPrograms = `created < $1::timestamptz AND NOT EXISTS (SELECT 1 FROM request JOIN execution USING (key)
			WHERE request.digest = program.digest AND NOT (` + oldExecution + `))
		AND NOT EXISTS (SELECT 1 FROM workflow WHERE workflow.digest = program.digest)`
)

// horizon is a time before which things go; the zero time is before all.
func horizon(t time.Time) pgtype.Timestamptz {
	if t.IsZero() {
		return pgtype.Timestamptz{InfinityModifier: pgtype.NegativeInfinity, Valid: true}
	}
	return stamp(ceiling(t))
}

func collectable(t *tx, r *backend.Retention) (got backend.Collected, err error) {
	_, err = t.first([]any{&got.Executions, &got.DeadLetters, &got.Memos, &got.Programs}, `SELECT (SELECT count(*) FROM `+oldExecutions+` AS x),
		(SELECT count(*) FROM dead_letter WHERE execution = ANY(ARRAY`+oldExecutions+`)),
		(SELECT count(*) FROM memo WHERE `+oldMemos+`), (SELECT count(*) FROM program WHERE `+doomedPrograms+`)`,
		horizon(r.Completed), horizon(r.Failed), most(r.Limit))
	return got, err
}

func collect(t *tx, r *backend.Retention) (got backend.Collected, err error) {
	// Locked, an execution stays as it is: nobody begins another run of it.
	keys, err := found(t, `SELECT key FROM execution WHERE key = ANY(ARRAY`+oldExecutions+`) AND finished IS NOT NULL ORDER BY key FOR UPDATE SKIP LOCKED`,
		horizon(r.Completed), horizon(r.Failed), most(r.Limit))
	if err != nil {
		return got, err
	}
	got.More = r.Limit > 0 && len(keys) >= r.Limit
	if len(keys) > 0 && r.Rows > 0 {
		few, err := lightest(t, keys, int64(r.Rows))
		if err != nil {
			return got, err
		}
		got.More = got.More || len(few) < len(keys)
		keys = few
	}
	if got.Executions = int64(len(keys)); len(keys) > 0 {
		for _, table := range []string{"journal", "log"} {
			t.add("DELETE FROM "+table+" WHERE run = ANY(ARRAY(SELECT key FROM run WHERE execution = ANY($1::bigint[])))", keys)
		}
		t.add("DELETE FROM dead_letter WHERE execution = ANY($1::bigint[])", keys).n = &got.DeadLetters
		t.add("DELETE FROM unread WHERE execution = ANY($1::bigint[])", keys)
		t.add("DELETE FROM run WHERE execution = ANY($1::bigint[])", keys)
		t.add("DELETE FROM execution WHERE key = ANY($1::bigint[])", keys)
		t.add("DELETE FROM request WHERE key = ANY($1::bigint[])", keys)
	}
	if got.Memos, err = t.count("DELETE FROM memo WHERE hash = ANY(ARRAY(SELECT hash FROM memo WHERE "+oldMemos+" LIMIT $1::bigint))", most(r.Rows)); err != nil {
		return got, err
	}
	if got.More = got.More || r.Rows > 0 && got.Memos >= int64(r.Rows); got.More {
		return got, nil // whose programs are in use is asked once, at the end
	}
	t.add(plans)
	// Who makes executions holds their programs. Locked first, and looked at
	// again in a later statement, a program is either seen to be in use or nobody can begin to use it.
	var digests []string
	if err := t.each(func(r pgx.Rows) error {
		var digest string
		err := r.Scan(&digest)
		digests = append(digests, digest)
		return err
	}, "SELECT digest FROM program WHERE "+oldPrograms+" ORDER BY digest FOR UPDATE SKIP LOCKED", horizon(r.Completed)); err != nil || len(digests) == 0 {
		return got, err
	}
	got.Programs, err = t.count("DELETE FROM program WHERE digest = ANY($2::text[]) AND "+oldPrograms, horizon(r.Completed), digests)
	return got, err
}

// lightest returns the first of some executions, as many as it takes for their journals and logs to have that many rows.
func lightest(t *tx, keys []int64, rows int64) ([]int64, error) {
	n := 0
	err := t.each(func(r pgx.Rows) error {
		var has int64
		if err := r.Scan(&has); err != nil {
			return err
		}
		if rows > 0 {
			n++
		}
		rows -= has
		return nil
	}, `SELECT coalesce(sum(coalesce((SELECT max(row) + 1 FROM journal WHERE journal.run = run.key), 0)
			+ coalesce((SELECT max(ordinal) + 1 FROM log WHERE log.run = run.key), 0)), 0)::bigint
		FROM unnest($1::bigint[]) WITH ORDINALITY AS k (key, place) LEFT JOIN run ON run.execution = k.key GROUP BY k.place ORDER BY k.place`, keys)
	return keys[:n], err
}

// Stats counts what the store holds.
func (s *Store) Stats(ctx context.Context, since time.Time) (st backend.Stats, err error) {
	st = backend.Stats{States: make(map[backend.State]int64), Since: since}
	err = s.look(ctx, func(t *tx) error {
		t.add("SELECT state, count(*) FROM execution GROUP BY state").row = func(r pgx.Rows) error {
			var state string
			var n int64
			err := r.Scan(&state, &n)
			st.States[backend.State(state)] = n
			return err
		}
		t.add(`SELECT (SELECT count(*) FROM execution WHERE stuck IS NOT NULL), (SELECT count(*) FROM dead_letter), (SELECT count(*) FROM memo),
			(SELECT count(*) FROM execution WHERE finished IS NOT NULL AND finished >= $1::timestamptz),
			(SELECT count(*) FROM execution WHERE finished IS NOT NULL AND finished >= $1::timestamptz AND state NOT IN ('completed', 'cancelled'))`, horizon(since)).row = func(r pgx.Rows) error {
			return r.Scan(&st.Stuck, &st.Dead, &st.Memos, &st.Ended, &st.Failed)
		}
		t.add(`SELECT queue, sum(x)::bigint, sum(k)::bigint, min(due) FROM (
				SELECT queue, 1 AS x, 0 AS k, due FROM execution WHERE owner = 0 AND due IS NOT NULL AND due <= now()
				UNION ALL SELECT queue, 0, 1, due FROM task WHERE owner = 0 AND due <= now()) AS q
			GROUP BY queue ORDER BY queue`).row = func(r pgx.Rows) error {
			var q backend.QueueStats
			var oldest pgtype.Timestamptz
			err := r.Scan(&q.Queue, &q.Pending, &q.Tasks, &oldest)
			q.OldestDue = instant(oldest)
			st.Queues = append(st.Queues, q)
			return err
		}
		return t.flush()
	})
	return st, err
}
