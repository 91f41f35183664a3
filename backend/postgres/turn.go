// One turn at a time: whatever it asks for.

package postgres

import (
	"encoding/json"
	"slices"

	"github.com/senpuki/senpuki/backend"
)

// turn lands any turn whose execution is locked. It queues what it can, so that many need few round trips; apart from others it is
// sent at once.
func (c *committer) turn(t *backend.Turn, r *backend.TurnReply) error {
	x, err := c.standing(clean(t.Execution))
	if err != nil {
		return err
	}
	if x == nil || backend.SessionID(x.owner) != c.b.Session || backend.RunKey(x.run) != t.Run || x.state.Terminal() ||
		t.Then == backend.Continue && (t.Next == nil || len(t.Rows) > 0) {
		return backend.ErrNotOwner
	}
	if err := c.extend(x, t); err != nil {
		return err
	}
	c.takeEach(x, t)
	if t.Digest != "" {
		if err := c.stored(t.Digest); err != nil {
			return err
		}
		c.add("UPDATE request SET digest = $2::text WHERE key = $1::bigint", x.key, t.Digest)
	}
	if err := c.describe(x, t); err != nil {
		return err
	}
	if err := c.others(x.key, t); err != nil {
		return err
	}
	if t.Then != backend.Hold {
		delete(c.ahead.standings, clean(t.Execution))
	}
	switch t.Then {
	case backend.Release:
		r.Kept = true
		c.add(`UPDATE execution SET owner = 0, due = $2::timestamptz
			WHERE key = $1::bigint AND NOT EXISTS (SELECT 1 FROM inbox WHERE execution = $1::bigint) RETURNING false`, x.key, stamp(t.Due)).row = scan(&r.Kept)
	case backend.Finish:
		err = c.end(x.key, t)
	case backend.Continue:
		err = c.next(x.key, t, r)
	}
	if err == nil && c.apart {
		err = c.flush()
	}
	return err
}

// refused is what it means that a statement of a turn divides by zero.
func (c *committer) refused() error {
	if c.apart {
		return backend.ErrNotOwner
	}
	return errApart
}

// extend queues a turn's journal rows.
func (c *committer) extend(x *locked, t *backend.Turn) error {
	if len(t.Rows) == 0 {
		return nil
	}
	if t.First != x.next {
		return backend.ErrNotOwner
	}
	x.next += int64(len(t.Rows))
	c.add(`INSERT INTO journal (run, row, session, data)
		SELECT $1::bigint, $2::bigint + n - 1, $3::bigint, data FROM unnest($4::bytea[]) WITH ORDINALITY AS t (data, n)`,
		int64(t.Run), t.First, int64(c.b.Session), t.Rows)
	return c.unique()
}

// unique says of what is queued, apart from others, that it is there already: another connection of this session was faster.
func (c *committer) unique() error {
	if !c.apart {
		return nil
	}
	err := c.flush()
	if duplicate(err) {
		return backend.ErrNotOwner
	}
	return err
}

// takeEach queues the removal of the messages that a turn takes.
func (c *committer) takeEach(x *locked, t *backend.Turn) {
	if len(t.Taken) == 0 {
		return
	}
	ids := slices.Compact(slices.Sorted(slices.Values(t.Taken)))
	c.add(`WITH taken AS (DELETE FROM inbox WHERE execution = $1::bigint AND id = ANY($2::bigint[]) RETURNING 1)
		SELECT 1 / (CASE WHEN (SELECT count(*) FROM taken) = $3::bigint THEN 1 ELSE 0 END)`, x.key, ids, int64(len(ids))).guard = c.refused()
}

// describe queues what a turn says about its execution: log lines, what it
// published, and whether it is stuck.
func (c *committer) describe(x *locked, t *backend.Turn) error {
	if len(t.Logs) > 0 {
		if c.apart {
			if err := c.flush(); err != nil {
				return err
			}
		}
		var l lines
		l.add(t)
		l.put(c.tx)
		if err := c.unique(); err != nil {
			return err
		}
	}
	if t.Published != nil {
		c.add("UPDATE execution SET published = $2::text WHERE key = $1::bigint", x.key, text(t.Published))
	}
	if t.Stuck != nil || x.stuck && len(t.Rows) > 0 {
		var words *string
		if t.Stuck != nil {
			b, err := json.Marshal(t.Stuck)
			if err != nil {
				return err
			}
			words = text(b)
		}
		c.add("UPDATE execution SET stuck = $2::text WHERE key = $1::bigint", x.key, words)
		x.stuck = t.Stuck != nil
	}
	return nil
}
