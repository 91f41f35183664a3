// What a turn has to do with other executions, and with the run that follows its own.

package sqlite

import (
	"database/sql/driver"
	"errors"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// others carries out what a turn asks of other executions. What it finds out
// goes into the turn's own inbox.
func (s *Store) others(c *conn, session backend.SessionID, key int64, t *backend.Turn, at time.Time) error {
	if len(t.Children) > 0 {
		if err := children(c, session, key, t, at); err != nil {
			return err
		}
	}
	for i := range t.Orders {
		o := &t.Orders[i]
		found, err := send(c, &o.Message, at)
		if err != nil {
			return err
		}
		if o.Answer == "" {
			continue
		}
		name := backend.Delivered
		switch {
		case errors.Is(found, backend.ErrNotFound):
			name = backend.NotFound
		case errors.Is(found, backend.ErrClosed):
			name = backend.Closed
		}
		if err := notice(c, key, t.Run, o.Answer, name, at); err != nil {
			return err
		}
	}
	for i := range t.Watches {
		if err := watch(c, key, t.Run, &t.Watches[i], at); err != nil {
			return err
		}
	}
	if err := putTasks(c, key, t, at); err != nil {
		return err
	}
	for i := range t.Reserve {
		if err := reserve(c, key, t, &t.Reserve[i], at); err != nil {
			return err
		}
	}
	for i := range t.Memos {
		if err := concludeMemo(c, key, t, &t.Memos[i], at); err != nil {
			return err
		}
	}
	return bury(c, key, t, at)
}

// children creates the children of a turn. One that is there already is no news.
func children(c *conn, session backend.SessionID, key int64, t *backend.Turn, at time.Time) error {
	if err := demand(c, t.Children); err != nil {
		return err
	}
	created, err := create(c, session, t.Children, at)
	if err != nil {
		return err
	}
	for i, made := range created {
		n, x := &t.Children[i], made.Existing
		if n.Replaces != "" {
			if _, err := c.exec("DELETE FROM dead_letter WHERE execution = (SELECT key FROM execution WHERE id = ?)", n.Replaces); err != nil {
				return err
			}
		}
		if x == nil || x.Parent == n.Parent && x.ParentRun == n.ParentRun && x.ParentStep == n.ParentStep {
			continue
		}
		if err := notice(c, key, t.Run, n.ParentStep, backend.Taken, at); err != nil {
			return err
		}
	}
	return nil
}

// watch registers for the end of an execution, or tells of it at once; or it ends that.
func watch(c *conn, key int64, run backend.RunKey, w *backend.Watch, at time.Time) error {
	if w.Over {
		_, err := c.exec("DELETE FROM watch WHERE target = (SELECT key FROM execution WHERE id = ?) AND watcher = ? AND run = ? AND step = ?",
			w.Execution, key, run, w.Step)
		return err
	}
	v, err := c.first(nonstop, "SELECT key, state, result, failure FROM execution WHERE id = ?", w.Execution)
	switch {
	case err != nil:
		return err
	case v == nil:
		return notice(c, key, run, w.Step, backend.NotFound, at)
	}
	if state := backend.State(word(v[1])); state.Terminal() {
		_, err := outcome(c, waiter{key, int64(run), w.Step}, state, ending(state, v[2], v[3]), at)
		return err
	}
	_, err = c.exec("INSERT OR IGNORE INTO watch (target, watcher, run, step) VALUES (?, ?, ?, ?)", number(v[0]), key, run, w.Step)
	return err
}

// ending is what those who wait for an execution's end get.
func ending(state backend.State, result, failure driver.Value) []byte {
	if state == backend.Completed {
		return bytes(result)
	}
	return bytes(failure)
}

// waiter is who waits for the end of an execution.
type waiter struct {
	key, run int64
	step     string
}

// outcome tells a waiter of an end; told is empty when he has ended, too.
func outcome(c *conn, w waiter, state backend.State, payload []byte, at time.Time) (told string, err error) {
	return tell(c, w.key, &backend.Message{Kind: backend.Outcome, Name: string(state), Run: backend.RunKey(w.run), Step: w.step, Payload: payload}, at)
}

// finish ends an execution and tells who waits for that; told says whether
// anybody was. When the store is quiet there are no messages, watches, tasks or reservations.
func finish(c *conn, t *backend.Turn, at time.Time, quiet bool) (told bool, err error) {
	v, err := c.first(nonstop, `UPDATE execution SET state = ?, result = ?, failure = ?, finished = ?, owner = 0, due = NULL, stuck = NULL
		WHERE id = ? RETURNING key, parent, parent_run, parent_step`, t.State, t.Result, text(t.Failure), at, t.Execution)
	if err != nil {
		return false, err
	}
	var waiters []waiter
	if key := number(v[0]); !quiet {
		if err := empty(c, key, t.State); err != nil {
			return false, err
		}
		if waiters, err = waitersOf(c, key); err != nil {
			return false, err
		}
		if err := over(c, t.Run, at); err != nil {
			return false, err
		}
	}
	if parent, step := word(v[1]), word(v[3]); parent != "" && step != "" {
		p, err := c.first(nonstop, "SELECT key FROM execution WHERE id = ?", parent)
		if err != nil {
			return false, err
		}
		if p != nil {
			waiters = append(waiters, waiter{number(p[0]), number(v[2]), step})
		}
	}
	payload := t.Failure
	if t.State == backend.Completed {
		payload = t.Result
	}
	for _, w := range waiters {
		id, err := outcome(c, w, t.State, payload, at)
		if err != nil {
			return false, err
		}
		if id != "" {
			c.told = append(c.told, id)
		}
	}
	return len(waiters) > 0, nil
}

// waitersOf lists who watches an execution, and forgets them.
func waitersOf(c *conn, key int64) (list []waiter, err error) {
	err = c.query(nonstop, func(v []driver.Value) error {
		list = append(list, waiter{number(v[0]), number(v[1]), word(v[2])})
		return nil
	}, "SELECT watcher, run, step FROM watch WHERE target = ?", key)
	if err == nil && len(list) > 0 {
		_, err = c.exec("DELETE FROM watch WHERE target = ?", key)
	}
	return list, err
}

// next begins the run that follows a turn's own. The old run's journal goes, its log lines stay.
func (s *Store) next(c *conn, session backend.SessionID, key int64, t *backend.Turn, at time.Time) (backend.RunKey, error) {
	if err := stored(c, t.Next.Digest); err != nil {
		return 0, err
	}
	v, err := c.first(nonstop, "INSERT INTO run (execution, number, created) SELECT ?1, run_number + 1, ?2 FROM execution WHERE key = ?1 RETURNING key", key, at)
	if err != nil {
		return 0, err
	}
	run := backend.RunKey(number(v[0]))
	if _, err := c.exec("UPDATE execution SET run = ?, run_number = run_number + 1, digest = ?, edition = ? WHERE key = ?",
		run, t.Next.Digest, t.Next.Edition, key); err != nil {
		return 0, err
	}
	if _, err := c.exec("DELETE FROM journal WHERE run = ?", t.Run); err != nil {
		return 0, err
	}
	if t.Next.DropLetters {
		if _, err := c.exec("DELETE FROM dead_letter WHERE execution = ? AND run = ?", key, t.Run); err != nil {
			return 0, err
		}
	}
	delete(s.known, t.Run)
	if err := over(c, t.Run, at); err != nil {
		return 0, err
	}
	return run, s.appendRows(c, session, &backend.Turn{Run: run, Rows: t.Next.Rows})
}
