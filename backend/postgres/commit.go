// Commit: a batch whole or not at all.

package postgres

import (
	"context"
	"errors"

	"github.com/jackc/pgx/v5"

	"github.com/senpuki/senpuki/backend"
)

// errApart says that part of a batch was refused in the middle of a flush. The
// batch is run again turn by turn, to find out which part.
var errApart = errors.New("a batch did not land together")

// Commit writes a batch.
func (s *Store) Commit(ctx context.Context, b backend.Batch) (reply backend.Reply, err error) {
	if !s.pooler && plainly(&b) {
		reply, landed, err := s.commitPlain(ctx, &b)
		if landed {
			s.known.landed(b.Turns)
		}
		if landed || err != nil {
			return reply, s.translate(err)
		}
	}
	session := backend.SessionID(0)
	fenced := len(b.Turns) > 0 || len(b.Settle) > 0 || len(b.Back) > 0 || b.Claim != nil
	for i := range b.Create {
		fenced = fenced || b.Create[i].Claim
	}
	if fenced {
		if session = b.Session; session == 0 {
			session = -1 // nobody's: no such row
		}
	}
	ends := s.known.ends(&b)
	s.known.leaving(b.Turns)
	apart := false
	var claimed []int64
	for {
		err = s.transact(ctx, session, func(t *tx) error {
			c := &committer{Store: s, tx: t, b: &b, apart: apart}
			if !apart {
				c.lone = ends
			}
			if err := c.commit(); err != nil {
				if !apart && duplicate(err) { // a row or a log line that is there already
					return errApart
				}
				return err
			}
			reply, claimed = c.reply, c.claimed
			return nil
		})
		switch {
		case apart || !errors.Is(err, errApart):
		case ends != nil: // somebody waits for the end of one, perhaps
			ends = nil
			continue
		default:
			apart = true
			continue
		}
		break
	}
	if err != nil {
		return backend.Reply{}, err
	}
	s.known.created(b.Session, b.Create, reply.Created)
	s.known.landed(b.Turns)
	s.known.claimed(reply.Claimed, claimed)
	return reply, nil
}

// committer is one try to write a batch.
type committer struct {
	*Store
	*tx
	b       *backend.Batch
	reply   backend.Reply
	group   []int // turns that land together
	rest    []int // turns that land one by one
	lone    []lone
	alone   map[int]bool // turns in lone
	apart   bool         // each turn is to say for itself whether it lands
	ahead   ahead
	noted   noted
	claimed []int64 // keys of reply.Claimed
}

// commit writes the batch and commits. Together, everything may be one flush.
func (c *committer) commit() error {
	c.reply = backend.Reply{Turns: make([]backend.TurnReply, len(c.b.Turns))}
	c.sort()
	if len(c.lone) > 0 {
		c.alone = make(map[int]bool, len(c.lone))
		for i := range c.lone {
			c.alone[c.lone[i].turn] = true
		}
	}
	whole := !c.apart && len(c.rest) == 0
	c.demand()
	created, err := insert(c.tx, c.b.Session, c.b.Create, whole)
	if err != nil {
		return err
	}
	c.lock()
	c.together()
	if err := c.bear(); err != nil {
		return err
	}
	if !whole {
		c.lookAhead()
		if err := c.flush(); err != nil {
			return err
		}
		for _, i := range c.rest {
			if err := c.turn(&c.b.Turns[i], &c.reply.Turns[i]); err != nil {
				return c.failed(i, err)
			}
		}
		c.write()
		c.clear()
	}
	c.send()
	c.settle()
	c.back()
	if err := c.claim(); err != nil {
		return err
	}
	c.reply.Created, c.reply.Now, c.reply.Woken, c.reply.Told = created, c.at.UTC(), c.woken > 0, c.reached
	return nil
}

// claim takes what the batch asks for, which costs a look before it is known, and commits.
func (c *committer) claim() (err error) {
	if r := c.b.Claim; r != nil && r.Limit > 0 {
		if c.claimed, err = candidates(c.tx, r); err != nil {
			return err
		}
		if len(c.claimed) > 0 {
			c.reply.Claimed, err = claim(c.tx, c.claimed, c.b.Session)
			return err
		}
	}
	c.tx.commit()
	return c.flush()
}

// failed names the turn that may not land; faults are passed on. What was queued by turns before it may fail, too, unless each was sent by itself.
func (c *committer) failed(i int, err error) error {
	if err != backend.ErrNotOwner && err != backend.ErrNoProgram { //nolint:errorlint // this package's own
		return err
	}
	if !c.apart {
		return errApart
	}
	return &backend.TurnError{Index: i, Err: err}
}

// sort tells the turns that can share statements from those that cannot. Turns
// of one execution land in their order: the second and later ones come last. So does a turn of
// an execution that another one of the batch sends to or watches: whether that comes before the end must not depend on this.
func (c *committer) sort() {
	seen := make(map[string]bool, len(c.b.Turns))
	for i := range c.b.Turns {
		t := &c.b.Turns[i]
		for j := range t.Orders {
			seen[t.Orders[j].Execution] = true
		}
		for j := range t.Watches {
			seen[t.Watches[j].Execution] = true
		}
	}
	// A turn with tasks, or with children, comes last: those of later turns must come behind, for tasks of one instant go by their
	// keys, and a child's id is whose who asks first.
	late, born := false, false
	for i := range c.b.Turns {
		t := &c.b.Turns[i]
		if c.apart || !joins(t) || seen[t.Execution] || late && len(t.Tasks) > 0 || born && len(t.Children) > 0 {
			c.rest = append(c.rest, i)
			late, born = late || len(t.Tasks) > 0, born || len(t.Children) > 0
		} else {
			c.group = append(c.group, i)
		}
		seen[t.Execution] = true
	}
}

// joins reports whether a turn may share statements: it is ordinary, but for children that it begins while it goes on.
func joins(t *backend.Turn) bool {
	if len(t.Children) == 0 || t.Then != backend.Hold {
		return t.Ordinary()
	}
	childless := *t
	childless.Children = nil
	return childless.Ordinary()
}

// lock queues locks on all execution rows that the batch is known to change or
// to send to, in key order; see "Who waits for whom".
func (c *committer) lock() {
	var ends, ids, hashes, reserved []string
	var over []int64 // runs whose reservations may be passed on
	for _, i := range c.group {
		switch t := &c.b.Turns[i]; {
		case t.Then == backend.Finish && !c.alone[i]:
			ends = append(ends, clean(t.Execution))
		case t.Then == backend.Release || t.Published != nil:
			ids = append(ids, clean(t.Execution))
		}
	}
	for _, i := range c.rest {
		t := &c.b.Turns[i]
		ids = append(ids, clean(t.Execution))
		for j := range t.Orders {
			ids = append(ids, clean(t.Orders[j].Execution))
		}
		for j := range t.Watches {
			ids = append(ids, clean(t.Watches[j].Execution))
		}
		for j := range t.Memos {
			hashes = append(hashes, clean(t.Memos[j].Hash))
		}
		for j := range t.Reserve {
			reserved = append(reserved, clean(t.Reserve[j].Hash))
		}
		if t.Then == backend.Finish || t.Then == backend.Continue {
			over = append(over, int64(t.Run))
		}
		if t.Then == backend.Finish {
			ends = append(ends, clean(t.Execution))
		}
	}
	var settled []int64
	for i := range c.b.Settle {
		settled = append(settled, c.b.Settle[i].Key)
	}
	settled = append(settled, c.b.Back...)
	if len(ids)+len(ends)+len(hashes)+len(settled) == 0 {
		return // messages at most: their statement locks in key order, too
	}
	for i := range c.b.Send {
		ids = append(ids, clean(c.b.Send[i].Execution))
	}
	c.add(`SELECT count(*) FROM (SELECT 1 FROM execution WHERE key = ANY(ARRAY(
			SELECT key FROM request WHERE id = ANY($1::text[] || $2::text[])
			UNION SELECT (SELECT p.key FROM request AS p WHERE p.id = x.parent) FROM request AS x
				WHERE x.id = ANY($2::text[]) AND x.parent <> '' AND x.parent_step <> ''
			UNION SELECT execution FROM task WHERE key = ANY($3::bigint[]) AND owner + 0 = $4::bigint
			UNION SELECT execution FROM memo_waiter WHERE hash = ANY($5::text[])
			UNION SELECT execution FROM memo_waiter WHERE hash = ANY(ARRAY(SELECT hash FROM memo WHERE run = ANY($6::bigint[]) AND result IS NULL))))
		ORDER BY key FOR NO KEY UPDATE) AS held`, ids, ends, settled, int64(c.b.Session), hashes, over)
	if len(ends) > 0 { // now that they are locked, nobody new can watch them
		c.add(`SELECT count(*) FROM (SELECT 1 FROM execution WHERE EXISTS (SELECT 1 FROM watch) AND key = ANY(ARRAY(
				SELECT watcher FROM watch WHERE target = ANY(ARRAY(SELECT key FROM request WHERE id = ANY($1::text[])))))
			ORDER BY key FOR NO KEY UPDATE) AS held`, ends)
	}
	if len(hashes)+len(reserved)+len(over) > 0 {
		c.add(`SELECT count(*) FROM (SELECT 1 FROM memo WHERE hash = ANY($1::text[] || $2::text[] || ARRAY(
				SELECT hash FROM memo WHERE run = ANY($3::bigint[]) AND result IS NULL))
			ORDER BY hash FOR UPDATE) AS held`, hashes, reserved, over)
	}
}

// settle queues the end of tasks that the session owns; their executions are locked.
func (c *committer) settle() {
	c.reply.Settled = make([]bool, len(c.b.Settle))
	if len(c.b.Settle) == 0 {
		return
	}
	var keys []int64
	var names []string
	var payloads [][]byte
	for i := range c.b.Settle {
		d := &c.b.Settle[i]
		keys, names, payloads = append(keys, d.Key), append(names, clean(d.Name)), append(payloads, d.Payload)
	}
	// owner + 0: by their keys, and not through all tasks that the session owns.
	c.add(`WITH deleted AS (DELETE FROM task WHERE key = ANY($1::bigint[]) AND owner + 0 = $4::bigint AND $4::bigint <> 0
			RETURNING array_position($1::bigint[], key) AS n, execution, run, step, attempt),
		gone AS (SELECT n, ($2::text[])[n] AS name, ($3::bytea[])[n] AS payload, execution, run, step, attempt FROM deleted),
		`+outcomes+`
		SELECT n, (SELECT count(*) FROM woken) FROM gone`, keys, names, payloads, int64(c.b.Session)).row = func(r pgx.Rows) error {
		var n int
		var woken int64
		err := r.Scan(&n, &woken)
		if err == nil {
			c.reply.Settled[n-1] = true
		}
		c.woken += woken
		return err
	}
}

// back queues that tasks which the session owns are ownerless again, or end when they were withdrawn; their executions are locked.
func (c *committer) back() {
	if len(c.b.Back) == 0 {
		return
	}
	c.add(`WITH gone AS (DELETE FROM task WHERE key = ANY($1::bigint[]) AND owner + 0 = $2::bigint AND $2::bigint <> 0 AND withdrawn
			RETURNING key AS n, $3::text AS name, NULL::bytea AS payload, execution, run, step, attempt),
		`+outcomes+`
		SELECT 1 FROM woken`, c.b.Back, int64(c.b.Session), backend.TaskWithdrawn).wakes = &c.woken
	c.add("UPDATE task SET owner = 0, due = now(), began = NULL WHERE key = ANY($1::bigint[]) AND owner + 0 = $2::bigint AND $2::bigint <> 0", c.b.Back, int64(c.b.Session))
}

// Commits is how many transactions of one process are worth having in flight: while the server
// writes one to its disk, or its answer is on a slow line, the other is read and planned.
func (s *Store) Commits() int { return 2 }
