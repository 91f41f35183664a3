// One turn at a time: whatever it asks for.

package postgres

import (
	"encoding/json"
	"slices"

	"github.com/senpuki/senpuki/backend"
)

// turn lands any turn.
func (c *committer) turn(t *backend.Turn) (r backend.TurnReply, err error) {
	var key, owner, run int64
	var state backend.State
	var stuck bool
	found, err := c.first([]any{&key, &owner, &run, (*string)(&state), &stuck},
		"SELECT key, owner, run, state, stuck IS NOT NULL FROM execution WHERE key = (SELECT key FROM request WHERE id = $1::text) FOR NO KEY UPDATE", clean(t.Execution))
	if err != nil {
		return r, err
	}
	if !found || backend.SessionID(owner) != c.b.Session || backend.RunKey(run) != t.Run || state.Terminal() ||
		t.Then == backend.Continue && (t.Next == nil || len(t.Rows) > 0) {
		return r, backend.ErrNotOwner
	}
	if err := c.extend(t); err != nil {
		return r, err
	}
	if err := c.takeEach(key, t); err != nil {
		return r, err
	}
	if t.Digest != "" {
		ok, err := exist(c.tx, []string{t.Digest})
		if err != nil {
			return r, err
		}
		if !ok {
			return r, backend.ErrNoProgram
		}
		c.add("UPDATE request SET digest = $2::text WHERE key = $1::bigint", key, t.Digest)
	}
	if err := c.describe(key, t, stuck); err != nil {
		return r, err
	}
	if err := c.others(key, t); err != nil {
		return r, err
	}
	switch t.Then {
	case backend.Release:
		r.Kept = true
		_, err = c.first([]any{&r.Kept}, `UPDATE execution SET owner = 0, due = $2::timestamptz
			WHERE key = $1::bigint AND NOT EXISTS (SELECT 1 FROM inbox WHERE execution = $1::bigint) RETURNING false`, key, stamp(t.Due))
	case backend.Finish:
		err = c.end(key, t)
	case backend.Continue:
		r.Run, err = c.next(key, t)
	}
	return r, err
}

// extend writes a turn's journal rows.
func (c *committer) extend(t *backend.Turn) error {
	if len(t.Rows) == 0 {
		return nil
	}
	next := int64(0)
	if _, err := c.first([]any{&next}, "SELECT row + 1 FROM journal WHERE run = $1::bigint ORDER BY row DESC LIMIT 1", int64(t.Run)); err != nil {
		return err
	}
	if t.First != next {
		return backend.ErrNotOwner
	}
	err := c.exec(`INSERT INTO journal (run, row, session, data)
		SELECT $1::bigint, $2::bigint + n - 1, $3::bigint, data FROM unnest($4::bytea[]) WITH ORDINALITY AS t (data, n)`,
		int64(t.Run), t.First, int64(c.b.Session), t.Rows)
	if duplicate(err) { // another connection of this session was faster
		return backend.ErrNotOwner
	}
	return err
}

// takeEach removes the messages that a turn takes.
func (c *committer) takeEach(key int64, t *backend.Turn) error {
	if len(t.Taken) == 0 {
		return nil
	}
	ids := slices.Compact(slices.Sorted(slices.Values(t.Taken)))
	n, err := c.count("DELETE FROM inbox WHERE execution = $1::bigint AND id = ANY($2::bigint[])", key, ids)
	if err == nil && n != int64(len(ids)) {
		err = backend.ErrNotOwner
	}
	return err
}

// describe writes what a turn says about its execution: log lines, what it
// published, and whether it is stuck.
func (c *committer) describe(key int64, t *backend.Turn, stuck bool) error {
	if len(t.Logs) > 0 {
		if err := c.flush(); err != nil {
			return err
		}
		var l lines
		l.add(t)
		l.put(c.tx)
		if err := c.flush(); duplicate(err) {
			return backend.ErrNotOwner
		} else if err != nil {
			return err
		}
	}
	if t.Published != nil {
		c.add("UPDATE execution SET published = $2::text WHERE key = $1::bigint", key, text(t.Published))
	}
	if t.Stuck != nil || stuck && len(t.Rows) > 0 {
		var words *string
		if t.Stuck != nil {
			b, err := json.Marshal(t.Stuck)
			if err != nil {
				return err
			}
			words = text(b)
		}
		c.add("UPDATE execution SET stuck = $2::text WHERE key = $1::bigint", key, words)
	}
	return c.flush()
}
