// What turns that land one by one have to know, read for all of them at once.

package postgres

import (
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend"
)

// ahead is what was read before the first of them, under the locks that stand until the batch has landed, and what the turns that are
// queued since have made of it. What is not there is asked for when it is needed; a turn apart from others asks for all.
type ahead struct {
	standings map[string]*locked // by id; nil: there is none
	memos     map[string]*memo   // by hash; nil: there is none
	programs  map[string]bool    // those that are stored
}

// locked is how an execution stands that is locked.
type locked struct {
	key, owner, run int64
	state           backend.State
	stuck           bool
	next            int64 // row of its journal
}

// memo is how one stands.
type memo struct {
	execution, run int64
	step           string
	settled        bool // else it is reserved for that step
	up             bool // the result has expired
	awaited        bool // somebody waits for it
}

// lookAhead queues the look.
func (c *committer) lookAhead() {
	if c.apart {
		return
	}
	var ids, hashes, digests []string
	for _, i := range c.rest {
		t := &c.b.Turns[i]
		ids = append(ids, clean(t.Execution))
		for j := range t.Reserve {
			hashes = append(hashes, clean(t.Reserve[j].Hash))
		}
		for j := range t.Memos {
			hashes = append(hashes, clean(t.Memos[j].Hash))
		}
		if t.Digest != "" {
			digests = append(digests, clean(t.Digest))
		}
		if t.Next != nil {
			digests = append(digests, clean(t.Next.Digest))
		}
	}
	c.ahead.standings = make(map[string]*locked)
	c.readStandings(distinct(ids), c.ahead.standings)
	if len(hashes) > 0 {
		c.ahead.memos = make(map[string]*memo)
		c.readMemos(distinct(hashes), c.ahead.memos)
	}
	if len(digests) > 0 {
		c.ahead.programs = make(map[string]bool)
		c.add("SELECT digest FROM program WHERE digest = ANY($1::text[]) ORDER BY digest FOR KEY SHARE", distinct(digests)).row = func(r pgx.Rows) error {
			var digest string
			err := r.Scan(&digest)
			c.ahead.programs[digest] = true
			return err
		}
	}
}

func distinct(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// readStandings queues that the executions with these ids are looked for.
func (c *committer) readStandings(ids []string, into map[string]*locked) {
	for _, id := range ids {
		into[id] = nil
	}
	c.add(`SELECT t.id, x.key, x.owner, x.run, x.state, x.stuck IS NOT NULL,
			coalesce((SELECT row + 1 FROM journal WHERE journal.run = x.run ORDER BY row DESC LIMIT 1), 0)
		FROM unnest($1::text[]) AS t (id)`+lookup, ids).row = func(r pgx.Rows) error {
		var id string
		x := new(locked)
		err := r.Scan(&id, &x.key, &x.owner, &x.run, (*string)(&x.state), &x.stuck, &x.next)
		into[id] = x
		return err
	}
}

// readMemos queues that the memos with these hashes are locked and looked at.
func (c *committer) readMemos(hashes []string, into map[string]*memo) {
	for _, hash := range hashes {
		into[hash] = nil
	}
	c.add(`SELECT hash, execution, run, step, result IS NOT NULL, coalesce(expires <= now(), false),
			EXISTS (SELECT 1 FROM memo_waiter WHERE memo_waiter.hash = memo.hash) FROM memo
		WHERE hash = ANY($1::text[]) ORDER BY hash FOR UPDATE`, hashes).row = func(r pgx.Rows) error {
		var hash string
		m := new(memo)
		err := r.Scan(&hash, &m.execution, &m.run, &m.step, &m.settled, &m.up, &m.awaited)
		into[hash] = m
		return err
	}
}

// standing is how an execution stands; nil: there is none.
func (c *committer) standing(id string) (*locked, error) {
	if x, ok := c.ahead.standings[id]; ok {
		return x, nil
	}
	c.write() // its journal may be longer by that
	found := make(map[string]*locked)
	c.readStandings([]string{id}, found)
	err := c.flush()
	if c.ahead.standings != nil {
		c.ahead.standings[id] = found[id]
	}
	return found[id], err
}

// memo is how one stands; nil: there is none.
func (c *committer) memo(hash string) (*memo, error) {
	if m, ok := c.ahead.memos[hash]; ok {
		return m, nil
	}
	found := make(map[string]*memo)
	c.readMemos([]string{hash}, found)
	err := c.flush()
	if c.ahead.memos != nil {
		c.ahead.memos[hash] = found[hash]
	}
	return found[hash], err
}

// becomes notes what a queued statement makes of a memo; nil: that is to be asked for.
func (c *committer) becomes(hash string, m *memo) {
	switch {
	case c.ahead.memos == nil:
	case m == nil:
		delete(c.ahead.memos, hash)
	default:
		c.ahead.memos[hash] = m
	}
}

// stored fails when a program is not there, and keeps it from being collected while the transaction lasts.
func (c *committer) stored(digest string) error {
	if c.ahead.programs[clean(digest)] {
		return nil
	}
	ok, err := exist(c.tx, []string{digest})
	if err == nil && !ok {
		err = backend.ErrNoProgram
	}
	return err
}

// scan is a row of one value.
func scan(to any) func(pgx.Rows) error {
	return func(r pgx.Rows) error { return r.Scan(to) }
}
