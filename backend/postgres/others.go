// What a turn has to do with other executions, and with the run that follows its own.

package postgres

import (
	"errors"

	"github.com/senpuki/senpuki/backend"
)

// others carries out what a turn asks of other executions. What it finds out
// goes into the turn's own inbox.
func (c *committer) others(key int64, t *backend.Turn) error {
	if err := c.children(t); err != nil {
		return err
	}
	for i := range t.Orders {
		c.order(key, t, &t.Orders[i])
	}
	for i := range t.Watches {
		c.watch(key, t.Run, &t.Watches[i])
	}
	var k tasks
	k.add(t)
	k.put(c.tx)
	c.withdraw(t)
	for i := range t.Reserve {
		if err := c.reserve(key, t, &t.Reserve[i]); err != nil {
			return err
		}
	}
	for i := range t.Memos {
		if err := c.conclude(key, t, &t.Memos[i]); err != nil {
			return err
		}
	}
	var dead letters
	dead.add(t)
	dead.put(c.tx)
	return nil
}

// withdraw queues the withdrawal of tasks. Only who holds the lock of their execution makes them ownerless, so one that is claimed
// while the first statement waits for it is found by the second.
func (c *committer) withdraw(t *backend.Turn) {
	if len(t.Withdraw) == 0 {
		return
	}
	var steps []string
	var attempts []int32
	for _, w := range t.Withdraw {
		steps, attempts = append(steps, clean(w.Step)), append(attempts, small(w.Attempt))
	}
	const these = `key = ANY(ARRAY(SELECT k.key FROM unnest($2::text[], $3::int[]) AS w (step, attempt)
			CROSS JOIN LATERAL (SELECT key FROM task WHERE run = $1::bigint AND step = w.step AND attempt = w.attempt OFFSET 0) AS k))`
	c.add(`WITH gone AS (DELETE FROM task WHERE `+these+` AND owner + 0 = 0
			RETURNING key AS n, $4::text AS name, NULL::bytea AS payload, execution, run, step, attempt),
		`+outcomes+`
		SELECT count(*) FROM gone`, int64(t.Run), steps, attempts, backend.TaskWithdrawn)
	c.add("UPDATE task SET withdrawn = true WHERE "+these+" AND owner + 0 <> 0", int64(t.Run), steps, attempts)
}

// bear creates the children of the group's turns.
func (c *committer) bear() error {
	var list []*backend.Turn
	for _, i := range c.group {
		if t := &c.b.Turns[i]; len(t.Children) > 0 {
			list = append(list, t)
		}
	}
	err := c.children(list...)
	if errors.Is(err, backend.ErrNoProgram) { // whose, is to be said
		return errApart
	}
	return err
}

// children creates the children of turns. One that is there already is no news.
func (c *committer) children(of ...*backend.Turn) error {
	var all []backend.NewExecution
	var digests []string
	var parents []*backend.Turn
	for _, t := range of {
		for i := range t.Children {
			all, parents, digests = append(all, t.Children[i]), append(parents, t), append(digests, t.Children[i].Digest)
		}
	}
	if len(all) == 0 {
		return nil
	}
	if ok, err := exist(c.tx, digests); err != nil {
		return err
	} else if !ok {
		return backend.ErrNoProgram
	}
	created, err := insert(c.tx, c.b.Session, all, false)
	if err != nil {
		return err
	}
	for i, made := range created {
		n, x, parent := &all[i], made.Existing, parents[i]
		if n.Replaces != "" {
			c.add("DELETE FROM dead_letter WHERE execution = (SELECT key FROM request WHERE id = $1::text)", clean(n.Replaces))
		}
		if x == nil || x.Parent == clean(n.Parent) && x.ParentRun == n.ParentRun && x.ParentStep == clean(n.ParentStep) {
			continue
		}
		var key int64
		if _, err := c.first([]any{&key}, "SELECT key FROM request WHERE id = $1::text", clean(parent.Execution)); err != nil {
			return err
		}
		c.notice(key, parent.Run, n.ParentStep, backend.Taken)
	}
	return nil
}

// order queues a message, and an answer that says what became of it: one statement, for between two the addressee may come to be.
func (c *committer) order(key int64, t *backend.Turn, o *backend.Order) {
	var l mail
	l.add(&o.Message)
	c.add(addressed+`answered AS (INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
			SELECT $8::bigint, 'notice', CASE WHEN state IS NULL THEN $11::text WHEN state IN ('pending', 'running') THEN $12::text ELSE $13::text END,
				$9::bigint, $10::text, 0, now(), NULL FROM message WHERE $10::text <> '')
		`+delivered, append(l.args(), key, int64(t.Run), clean(o.Answer), backend.NotFound, backend.Delivered, backend.Closed)...)
	c.add(woken, l.ids).wakes = &c.woken
}

// watch queues that an execution is watched for its end, or tells of it at once; or it ends that. The lock
// decides between this and that end: who has it second sees what the first did.
func (c *committer) watch(key int64, run backend.RunKey, w *backend.Watch) {
	if w.Over {
		c.add(`DELETE FROM watch WHERE target = (SELECT key FROM request WHERE id = $1::text) AND watcher = $2::bigint AND run = $3::bigint AND step = $4::text`,
			clean(w.Execution), key, int64(run), clean(w.Step))
		return
	}
	c.add(`WITH x AS MATERIALIZED (SELECT key, state, result, failure FROM execution
				WHERE key = (SELECT key FROM request WHERE id = $1::text) FOR NO KEY UPDATE),
			watched AS (INSERT INTO watch (target, watcher, run, step)
				SELECT key, $2::bigint, $3::bigint, $4::text FROM x WHERE state IN ('pending', 'running') ON CONFLICT DO NOTHING),
			missed AS (INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
				SELECT $2::bigint, 'notice', $5::text, $3::bigint, $4::text, 0, now(), NULL WHERE NOT EXISTS (SELECT 1 FROM x))
		INSERT INTO inbox (execution, kind, name, run, step, attempt, sent, payload)
		SELECT $2::bigint, 'outcome', state, $3::bigint, $4::text, 0, now(), CASE WHEN state = 'completed' THEN result ELSE convert_to(failure, 'UTF8') END
		FROM x WHERE state NOT IN ('pending', 'running')`, clean(w.Execution), key, int64(run), clean(w.Step), backend.NotFound)
}

// end ends an execution and tells who waits for that.
func (c *committer) end(key int64, t *backend.Turn) error {
	c.add(`UPDATE execution SET state = $2::text, result = $3::bytea, failure = $4::text, finished = now(), owner = 0, due = NULL, stuck = NULL
		WHERE key = $1::bigint`, key, string(t.State), t.Result, text(t.Failure))
	c.add(`SELECT count(*) FROM (SELECT 1 FROM execution WHERE key = ANY(ARRAY(SELECT watcher FROM watch WHERE target = $1::bigint))
		ORDER BY key FOR NO KEY UPDATE) AS held`, key)
	ids := []string{clean(t.Execution)}
	keep := ids
	if t.State == backend.Completed {
		keep = nil
	}
	tell(c.tx, ids, keep)
	return c.over(t.Run)
}

// next begins the run that follows a turn's own. The old run's journal goes, its log lines stay.
func (c *committer) next(key int64, t *backend.Turn, r *backend.TurnReply) error {
	if err := c.stored(t.Next.Digest); err != nil {
		return err
	}
	c.add(`WITH made AS (INSERT INTO run (key, execution, number, created)
			SELECT nextval('run_key'), key, run_number + 1, now() FROM execution WHERE key = $1::bigint RETURNING key),
		first AS (INSERT INTO journal (run, row, session, data)
			SELECT made.key, n - 1, $3::bigint, data FROM made, unnest($4::bytea[]) WITH ORDINALITY AS t (data, n))
		UPDATE execution SET run = (SELECT key FROM made), run_number = run_number + 1, edition = $2::int WHERE key = $1::bigint RETURNING run`,
		key, small(t.Next.Edition), int64(c.b.Session), t.Next.Rows).row = scan((*int64)(&r.Run))
	c.add("UPDATE request SET digest = $2::text WHERE key = $1::bigint AND digest <> $2::text", key, t.Next.Digest)
	if t.Next.DropLetters {
		c.add("DELETE FROM dead_letter WHERE execution = $1::bigint AND run = $2::bigint", key, int64(t.Run))
	}
	c.noted.journals = append(c.noted.journals, int64(t.Run))
	return c.over(t.Run)
}
