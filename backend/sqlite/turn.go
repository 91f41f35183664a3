// One turn at a time: whatever it asks for.

package sqlite

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/senpuki/senpuki/backend"
)

func (s *Store) landOne(c *conn, session backend.SessionID, t *backend.Turn, at time.Time) (r backend.TurnReply, err error) {
	if plain(t) {
		if ok, err := s.append1(c, session, t); ok || err != nil {
			return r, err
		}
	}
	return s.turnOf(c, session, t, at)
}

// append1 lands a plain turn with a single statement, which is also its fence.
// It reports false when it did not: the turn may not land, or there is an
// earlier Stuck to clear. The statement reads only the execution: one that
// read the journal too would build a temporary table each time.
func (s *Store) append1(c *conn, session backend.SessionID, t *backend.Turn) (bool, error) {
	if !s.known.follows(t) {
		v, err := c.first(nonstop, "SELECT 1 FROM journal WHERE run = ? AND row = ?", t.Run, t.First-1)
		if err != nil || v == nil {
			return false, err
		}
	}
	n, err := c.exec(`INSERT OR FAIL INTO journal (run, row, session, data)
		SELECT run, ?1, ?2, ?3 FROM execution
		WHERE id = ?4 AND owner = ?2 AND run = ?5 AND state = 'running' AND stuck IS NULL`,
		t.First, session, t.Rows[0], t.Execution, t.Run)
	if duplicate(err) {
		return false, backend.ErrNotOwner
	}
	if err != nil || n == 0 {
		return false, err
	}
	s.known.wrote(t.Run, t.First)
	return true, nil
}

// turnOf lands any turn.
func (s *Store) turnOf(c *conn, session backend.SessionID, t *backend.Turn, at time.Time) (r backend.TurnReply, err error) {
	if t.Then != backend.Hold || t.Stuck != nil {
		s.known.leaves(t.Run)
	}
	v, err := c.first(nonstop, "SELECT key, owner, run, state, stuck IS NOT NULL FROM execution WHERE id = ?", t.Execution)
	if err != nil {
		return r, err
	}
	if v == nil || backend.SessionID(number(v[1])) != session || backend.RunKey(number(v[2])) != t.Run ||
		backend.State(word(v[3])).Terminal() || t.Then == backend.Continue && (t.Next == nil || len(t.Rows) > 0) {
		return r, backend.ErrNotOwner
	}
	key, stuck := number(v[0]), number(v[4]) != 0
	if err := s.appendRows(c, session, t); err != nil {
		return r, err
	}
	for i, id := range t.Taken {
		n, err := c.exec("DELETE FROM inbox WHERE id = ? AND execution = ?", id, key)
		if err != nil {
			return r, err
		}
		if n == 0 && !slices.Contains(t.Taken[:i], id) {
			return r, backend.ErrNotOwner
		}
	}
	if t.Digest != "" {
		if err := stored(c, t.Digest); err != nil {
			return r, err
		}
		if _, err := c.exec("UPDATE execution SET digest = ? WHERE key = ?", t.Digest, key); err != nil {
			return r, err
		}
	}
	if err := describe(c, key, t, stuck); err != nil {
		return r, err
	}
	if err := s.others(c, session, key, t, at); err != nil {
		return r, err
	}
	switch t.Then {
	case backend.Release:
		r.Kept, err = release(c, key, t)
	case backend.Finish:
		_, err = finish(c, t, at, false)
	case backend.Continue:
		r.Run, err = s.next(c, session, key, t, at)
	}
	return r, err
}

// appendRows writes a turn's journal rows.
func (s *Store) appendRows(c *conn, session backend.SessionID, t *backend.Turn) error {
	if len(t.Rows) == 0 {
		return nil
	}
	if r, ok := s.known[t.Run]; !ok || r.last < 0 || r.last != t.First-1 {
		v, err := c.first(nonstop, "SELECT row FROM journal WHERE run = ? ORDER BY row DESC LIMIT 1", t.Run)
		if err != nil {
			return err
		}
		next := int64(0)
		if v != nil {
			next = number(v[0]) + 1
		}
		if t.First != next {
			return backend.ErrNotOwner
		}
	}
	for i, data := range t.Rows {
		if _, err := c.exec("INSERT INTO journal (run, row, session, data) VALUES (?, ?, ?, ?)",
			t.Run, t.First+int64(i), session, data); err != nil {
			return err
		}
	}
	s.known.wrote(t.Run, t.First+int64(len(t.Rows))-1)
	return nil
}

// describe writes what a turn says about its execution: log lines, what it
// published, and whether it is stuck.
func describe(c *conn, key int64, t *backend.Turn, stuck bool) error {
	for i := range t.Logs {
		l := &t.Logs[i]
		_, err := c.exec("INSERT INTO log (run, ordinal, at, step, level, message, fields) VALUES (?, ?, ?, ?, ?, ?, ?)",
			t.Run, l.Ordinal, l.At.UnixMicro(), l.Step, l.Level, l.Message, text(l.Fields))
		if duplicate(err) {
			return backend.ErrNotOwner
		}
		if err != nil {
			return err
		}
	}
	if t.Published != nil {
		if _, err := c.exec("UPDATE execution SET published = ? WHERE key = ?", text(t.Published), key); err != nil {
			return err
		}
	}
	if t.Stuck == nil && (!stuck || len(t.Rows) == 0) {
		return nil
	}
	var words any
	if t.Stuck != nil {
		b, err := json.Marshal(t.Stuck)
		if err != nil {
			return err
		}
		words = string(b)
	}
	_, err := c.exec("UPDATE execution SET stuck = ? WHERE key = ?", words, key)
	return err
}

// release gives an execution up, unless there is a message for it.
func release(c *conn, key int64, t *backend.Turn) (kept bool, err error) {
	n, err := c.exec(`UPDATE execution SET owner = 0, due = ?2
		WHERE key = ?1 AND NOT EXISTS (SELECT 1 FROM inbox WHERE execution = ?1)`, key, t.Due)
	return n == 0, err
}
