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
		if err := c.order(key, t, &t.Orders[i]); err != nil {
			return err
		}
	}
	for i := range t.Watches {
		if err := c.watch(key, t.Run, &t.Watches[i]); err != nil {
			return err
		}
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
	return c.flush()
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

// order sends a message, and answers what became of it.
func (c *committer) order(key int64, t *backend.Turn, o *backend.Order) error {
	var found error
	put(c.tx, []backend.Message{o.Message}, func(_ int, err error) { found = err })
	if err := c.flush(); err != nil || o.Answer == "" {
		return err
	}
	name := backend.Delivered
	switch {
	case errors.Is(found, backend.ErrNotFound):
		name = backend.NotFound
	case errors.Is(found, backend.ErrClosed):
		name = backend.Closed
	}
	c.notice(key, t.Run, o.Answer, name)
	return nil
}

// notice queues a finding for the inbox of the execution whose turn lands; it
// is owned, so that nothing more is to be done.
func (c *committer) notice(key int64, run backend.RunKey, step, name string) {
	c.post(key, &backend.Message{Kind: backend.Notice, Name: name, Run: run, Step: step})
}

// watch registers for the end of an execution, or tells of it at once; or it ends that. The lock
// decides between this and that end: who has it second sees what the first did.
func (c *committer) watch(key int64, run backend.RunKey, w *backend.Watch) error {
	if w.Over {
		c.add(`DELETE FROM watch WHERE target = (SELECT key FROM request WHERE id = $1::text) AND watcher = $2::bigint AND run = $3::bigint AND step = $4::text`,
			clean(w.Execution), key, int64(run), clean(w.Step))
		return nil
	}
	var target int64
	var state backend.State
	var result []byte
	var failure *string
	found, err := c.first([]any{&target, (*string)(&state), &result, &failure},
		"SELECT key, state, result, failure FROM execution WHERE key = (SELECT key FROM request WHERE id = $1::text) FOR NO KEY UPDATE", clean(w.Execution))
	switch {
	case err != nil:
		return err
	case !found:
		c.notice(key, run, w.Step, backend.NotFound)
	case state.Terminal():
		payload := bytes(failure)
		if state == backend.Completed {
			payload = result
		}
		c.post(key, &backend.Message{Kind: backend.Outcome, Name: string(state), Run: run, Step: w.Step, Payload: payload})
	default:
		c.add("INSERT INTO watch (target, watcher, run, step) VALUES ($1::bigint, $2::bigint, $3::bigint, $4::text) ON CONFLICT DO NOTHING",
			target, key, int64(run), clean(w.Step))
	}
	return nil
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
func (c *committer) next(key int64, t *backend.Turn) (backend.RunKey, error) {
	ok, err := exist(c.tx, []string{t.Next.Digest})
	if err != nil {
		return 0, err
	}
	if !ok {
		return 0, backend.ErrNoProgram
	}
	var run int64
	if _, err := c.first([]any{&run}, `INSERT INTO run (key, execution, number, created)
		SELECT nextval('run_key'), key, run_number + 1, now() FROM execution WHERE key = $1::bigint RETURNING key`, key); err != nil {
		return 0, err
	}
	c.add("UPDATE execution SET run = $2::bigint, run_number = run_number + 1, edition = $3::int WHERE key = $1::bigint", key, run, small(t.Next.Edition))
	c.add("UPDATE request SET digest = $2::text WHERE key = $1::bigint AND digest <> $2::text", key, t.Next.Digest)
	c.add("DELETE FROM journal WHERE run = $1::bigint", int64(t.Run))
	if t.Next.DropLetters {
		c.add("DELETE FROM dead_letter WHERE execution = $1::bigint AND run = $2::bigint", key, int64(t.Run))
	}
	if err := c.over(t.Run); err != nil {
		return 0, err
	}
	return backend.RunKey(run), c.extend(&backend.Turn{Run: backend.RunKey(run), Rows: t.Next.Rows})
}
