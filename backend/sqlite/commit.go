// Commit: a batch whole or not at all.

package sqlite

import (
	"context"
	"errors"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// errApart says that turns which share statements did not all land. The batch is
// written again turn by turn, to find out which is the first that may not.
var errApart = errors.New("a batch did not land together")

// Commit writes a batch.
func (s *Store) Commit(ctx context.Context, b backend.Batch) (reply backend.Reply, err error) {
	apart := false
	try := func() error {
		if done, err := s.commitOne(&b, &reply); done || err != nil {
			return err
		}
		return s.transact(func(c *conn, at time.Time) error {
			reply, c.woken, c.told = backend.Reply{Now: at}, false, nil
			err := s.commit(c, &b, &reply, apart)
			reply.Woken, reply.Told = c.woken, c.told
			return err
		})
	}
	err = s.writing(ctx, lookInterval, try)
	if errors.Is(err, errApart) {
		apart = true
		err = s.writing(ctx, lookInterval, try)
	}
	if err != nil {
		return backend.Reply{}, err
	}
	return reply, nil
}

// commitOne lands a batch that is one plain turn of an execution that is known to be the session's, with one
// statement, which is its fence and its transaction, too. It reports false when it has changed nothing. When the log
// is to grow, which takes a transaction, it leaves the batch alone.
func (s *Store) commitOne(b *backend.Batch, reply *backend.Reply) (bool, error) {
	if !b.OnlyTurns() || len(b.Turns) != 1 {
		return false, nil
	}
	t := &b.Turns[0]
	if !plain(t) || !s.known.follows(t) || !s.known.held(b.Session, t) || s.log.due() > 0 {
		return false, nil
	}
	at := now()
	n, err := s.writer.exec(`INSERT OR FAIL INTO journal (run, row, session, data)
		SELECT ?, ?, ?3, ? WHERE EXISTS (SELECT 1 FROM session WHERE id = ?3)`, t.Run, t.First, b.Session, t.Rows[0])
	if err != nil || n == 0 {
		if duplicate(err) {
			err = nil
		}
		return false, err
	}
	s.known.wrote(t.Run, t.First)
	*reply = backend.Reply{Now: at, Turns: make([]backend.TurnReply, 1)}
	return true, nil
}

func (s *Store) commit(c *conn, b *backend.Batch, reply *backend.Reply, apart bool) error {
	fenced := len(b.Turns) > 0 || len(b.Settle) > 0 || len(b.Back) > 0 || b.Claim != nil
	for i := range b.Create {
		fenced = fenced || b.Create[i].Claim
	}
	if err := demand(c, b.Create); err != nil {
		return err
	}
	if fenced {
		if err := fence(c, b.Session); err != nil {
			return err
		}
	}
	if len(b.Create) > 0 {
		created, err := create(c, b.Session, b.Create, reply.Now)
		if err != nil {
			return err
		}
		reply.Created = created
		for i := range created {
			if n := &b.Create[i]; n.Claim && created[i].Existing == nil {
				s.known.owns(created[i].Run, b.Session, n.ID)
				if n.First != nil {
					s.known.wrote(created[i].Run, 0)
				}
			}
		}
	}
	if len(b.Turns) > 0 {
		reply.Turns = make([]backend.TurnReply, len(b.Turns))
		if err := s.land(c, b, reply, apart); err != nil {
			return err
		}
	}
	for i := range b.Send {
		found, err := send(c, &b.Send[i], reply.Now)
		if err != nil {
			return err
		}
		reply.Sent = append(reply.Sent, found)
	}
	for i := range b.Settle {
		ok, err := settle(c, b.Session, &b.Settle[i], reply.Now)
		if err != nil {
			return err
		}
		reply.Settled = append(reply.Settled, ok)
	}
	if err := giveBack(c, b.Session, b.Back, reply.Now); err != nil || b.Claim == nil {
		return err
	}
	claimed, err := s.claim(c, b.Claim, b.Session, reply.Now)
	reply.Claimed = claimed
	return err
}

// fence fails when the session's row is gone.
func fence(c *conn, id backend.SessionID) error {
	v, err := c.first(nonstop, "SELECT 1 FROM session WHERE id = ?", id)
	if err == nil && v == nil {
		err = backend.ErrFenced
	}
	return err
}

// failed names the turn that may not land; faults are passed on.
func failed(i int, err error) error {
	if err == backend.ErrNotOwner || err == backend.ErrNoProgram { //nolint:errorlint // this package's own
		return &backend.TurnError{Index: i, Err: err}
	}
	return err
}

// plain reports whether a turn is one journal row and nothing else.
func plain(t *backend.Turn) bool { return single(t) && t.Then == backend.Hold }

// single reports whether all that a turn writes beside its end is one journal row.
func single(t *backend.Turn) bool { return len(t.Rows) == 1 && t.OnlyRows() }
