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
	if t.Then == backend.Release || t.Then == backend.Finish { // which look at the inbox
		c.write()
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

// noted is what turns write together at the end, though they land one by one, or before somebody looks at it.
type noted struct {
	runs, numbers []int64 // journal rows
	data          [][]byte
	takers, taken []int64 // messages
	over          []int64 // runs that have ended
	journals      []int64 // those of them whose journals go
}

// extend notes a turn's journal rows and the messages that it takes for write; apart from others they are sent at once.
func (c *committer) extend(x *locked, t *backend.Turn) error {
	if len(t.Rows) > 0 && t.First != x.next {
		return backend.ErrNotOwner
	}
	x.next += int64(len(t.Rows))
	for n, data := range t.Rows {
		c.noted.runs, c.noted.numbers, c.noted.data = append(c.noted.runs, int64(t.Run)), append(c.noted.numbers, t.First+int64(n)), append(c.noted.data, data)
	}
	for _, id := range slices.Compact(slices.Sorted(slices.Values(t.Taken))) {
		c.noted.takers, c.noted.taken = append(c.noted.takers, x.key), append(c.noted.taken, id)
	}
	if !c.apart {
		return nil
	}
	c.write()
	return c.unique()
}

// write queues what extend has noted.
func (c *committer) write() {
	n := &c.noted
	if len(n.data) > 0 {
		c.add("INSERT INTO journal (run, row, session, data) "+sureRows, int64(c.b.Session), n.runs, n.numbers, n.data)
	}
	if len(n.taken) > 0 {
		guard := errApart
		if c.apart {
			guard = backend.ErrNotOwner
		}
		c.add(`WITH taken AS (DELETE FROM inbox WHERE ctid = ANY(ARRAY(
				SELECT i.place FROM unnest($1::bigint[], $2::bigint[]) AS t (execution, id)
				CROSS JOIN LATERAL (SELECT ctid AS place FROM inbox WHERE inbox.execution = t.execution AND inbox.id = t.id OFFSET 0) AS i)) RETURNING 1)
			SELECT 1 / (CASE WHEN (SELECT count(*) FROM taken) = $3::bigint THEN 1 ELSE 0 END)`, n.takers, n.taken, int64(len(n.taken))).guard = guard
	}
	n.runs, n.numbers, n.data, n.takers, n.taken = nil, nil, nil, nil, nil
}

// unique says of what is queued, apart from others, that it is there already: another connection of this session was faster.
func (c *committer) unique() error {
	err := c.flush()
	if duplicate(err) {
		return backend.ErrNotOwner
	}
	return err
}

// describe queues what a turn says about its execution: log lines, what it
// published, and whether it is stuck.
func (c *committer) describe(x *locked, t *backend.Turn) error {
	if len(t.Logs) > 0 {
		var l lines
		l.add(t)
		l.put(c.tx)
		if c.apart {
			if err := c.unique(); err != nil {
				return err
			}
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
