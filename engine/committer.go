// The committer: one transaction for whatever waits.

package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// maxBatch bounds the items of one transaction, maxBatchBytes their bytes.
const (
	maxBatch      = 512
	maxBatchBytes = 8 << 20
)

// write is one item on its way into a batch: a turn or a new execution.
type write struct {
	turn   *backend.Turn
	create *backend.NewExecution
	settle *backend.Settled
	back   int64      // key of a task
	done   chan wrote // buffered
}

// wrote is what became of a write.
type wrote struct {
	err     error
	kept    bool           // of a settled task: it was still ours
	run     backend.RunKey // that a continued execution has now
	now     time.Time
	created backend.Created
}

func (w *write) size() int {
	n := 0
	if w.turn != nil {
		for _, r := range w.turn.Rows {
			n += len(r)
		}
		for i := range w.turn.Children {
			n += len(w.turn.Children[i].Input)
		}
		for i := range w.turn.Orders {
			n += len(w.turn.Orders[i].Payload)
		}
	}
	if w.create != nil {
		n += len(w.create.Input) + len(w.create.First)
	}
	return n
}

// committer merges writes: while one transaction is in flight the next one
// gathers. One goroutine runs it.
type committer struct {
	store   backend.Store
	session backend.SessionID
	in      chan *write
	ctx     context.Context  // ends when the session is lost or the engine is killed
	onError func(error)      // told of a fault that is being retried
	now     func() time.Time // estimated database time
	commits atomic.Int64
	tell    func(backend.Hint) // nil: nobody listens
	metrics *Metrics

	turns   []backend.Turn // scratch space of land
	creates []backend.NewExecution
}

// send hands a write to the committer, which answers on its channel.
func (c *committer) send(w *write) {
	select {
	case c.in <- w:
	case <-c.ctx.Done():
		w.done <- wrote{err: backend.ErrFenced}
	}
}

// submit hands a write to the committer and waits for what became of it. When
// ctx ends first the write may still land.
func (c *committer) submit(ctx context.Context, w *write) wrote {
	select {
	case c.in <- w:
	case <-c.ctx.Done():
		return wrote{err: backend.ErrFenced}
	case <-ctx.Done():
		return wrote{err: ctx.Err()}
	}
	select {
	case r := <-w.done:
		return r
	case <-ctx.Done():
		return wrote{err: ctx.Err()}
	case <-c.ctx.Done():
		select {
		case r := <-w.done:
			return r
		default:
			return wrote{err: backend.ErrFenced}
		}
	}
}

func (c *committer) run() {
	batch := make([]*write, 0, maxBatch)
	var left *write
	for {
		batch = batch[:0]
		if left != nil {
			batch, left = append(batch, left), nil
		} else {
			select {
			case w := <-c.in:
				batch = append(batch, w)
			case <-c.ctx.Done():
				return
			}
		}
		bytes := batch[0].size()
	gather:
		for len(batch) < maxBatch {
			select {
			case w := <-c.in:
				if bytes += w.size(); bytes > maxBatchBytes {
					left = w
					break gather
				}
				batch = append(batch, w)
			default:
				break gather
			}
		}
		c.commit(batch, false)
	}
}

// commit writes a batch. A turn that may not land does not cost the others
// their commit: then each is written by itself. Tried: an earlier try may have landed.
func (c *committer) commit(batch []*write, tried bool) {
	reply, err := c.land(batch, tried)
	if len(batch) > 1 && (unlandable(err) || errors.Is(err, backend.ErrNoProgram)) {
		for i := range batch {
			c.commit(batch[i:i+1], false)
		}
		return
	}
	if err != nil && !errors.Is(err, backend.ErrFenced) && !unlandable(err) {
		// The database fails: who dispatches is told, turns are tried for ever.
		batch = c.refuse(batch, err)
		if len(batch) > 0 {
			c.commit(batch, true)
		}
		return
	}
	turns, creates, settles := 0, 0, 0
	for _, w := range batch {
		r := wrote{err: err, now: reply.Now}
		if err == nil {
			switch {
			case w.turn != nil:
				r.kept, r.run = reply.Turns[turns].Kept, reply.Turns[turns].Run
				turns++
			case w.create != nil:
				r.created = reply.Created[creates]
				creates++
			case w.settle != nil:
				r.kept = reply.Settled[settles]
				settles++
			}
		}
		w.done <- r
	}
}

// unlandable reports whether a commit failed for a turn that may not land.
func unlandable(err error) bool {
	_, ok := errors.AsType[*backend.TurnError](err)
	return ok
}

// refuse answers the new executions of a batch with err and returns the turns.
func (c *committer) refuse(batch []*write, err error) (turns []*write) {
	for _, w := range batch {
		if w.create != nil {
			w.done <- wrote{err: err}
		} else {
			turns = append(turns, w)
		}
	}
	return turns
}

// patience is how long a batch with new executions is tried.
const patience = 5 * time.Second

// land writes a batch until the database says what became of it. When the
// reply of a try is lost, the next first asks whether the batch is there, and is
// not made without an answer: what has landed would be refused. A
// batch with new executions is given up after some time, or when the disk is full.
func (c *committer) land(batch []*write, tried bool) (backend.Reply, error) {
	b := backend.Batch{Session: c.session, Turns: c.turns[:0], Create: c.creates[:0]}
	defer func() {
		c.turns, c.creates = b.Turns, b.Create
		clear(b.Turns)
		clear(b.Create)
	}()
	for _, w := range batch {
		switch {
		case w.turn != nil:
			b.Turns = append(b.Turns, *w.turn)
		case w.create != nil:
			b.Create = append(b.Create, *w.create)
		case w.settle != nil:
			b.Settle = append(b.Settle, *w.settle)
		default:
			b.Back = append(b.Back, w.back)
		}
	}
	begun, delay := time.Now(), 10*time.Millisecond
	for {
		var reply backend.Reply
		var landed bool
		var err error
		if tried {
			reply, landed, err = c.landed(&b)
		}
		if !landed && (err == nil || errors.Is(err, backend.ErrNotFound)) {
			started := c.metrics.clock()
			reply, err = c.store.Commit(c.ctx, b)
			c.commits.Add(1)
			tried, landed = true, err == nil
			c.metrics.commit(len(batch), started, !landed && !answered(err))
		}
		switch {
		case landed:
			c.announce(&b)
			return reply, nil
		case answered(err):
			return reply, err
		case c.ctx.Err() != nil:
			return reply, backend.ErrFenced
		}
		c.onError(err)
		if len(b.Create) > 0 && (errors.Is(err, backend.ErrFull) || time.Since(begun) > patience) {
			return reply, err
		}
		select {
		case <-time.After(delay/2 + rand.N(delay)):
		case <-c.ctx.Done():
			return reply, backend.ErrFenced
		}
		delay = min(2*delay, time.Second)
	}
}

// answered reports whether an error is the database's own word on a batch.
func answered(err error) bool {
	return errors.Is(err, backend.ErrFenced) || errors.Is(err, backend.ErrNoProgram) || unlandable(err)
}

// landed asks whether an earlier try of b is in the database: one item tells
// for the whole batch.
func (c *committer) landed(b *backend.Batch) (backend.Reply, bool, error) {
	for i := range b.Turns {
		t := &b.Turns[i]
		if len(t.Rows) == 0 {
			continue
		}
		found := false
		err := c.store.Journal(c.ctx, t.Run, t.First, func(r backend.Row) error {
			found = r.Number == t.First && r.Session == c.session
			return errStop
		})
		if err != nil && !errors.Is(err, errStop) {
			return backend.Reply{}, false, err
		}
		if !found {
			return backend.Reply{}, false, nil
		}
		return c.rebuild(b)
	}
	for i := range b.Turns { // turns without rows: has what they change changed?
		t := &b.Turns[i]
		switch {
		case t.Then == backend.Continue:
			x, err := c.store.Execution(c.ctx, t.Execution)
			if err != nil || x.Run == t.Run {
				return backend.Reply{}, false, err
			}
			return c.rebuild(b)
		case t.Then == backend.Release:
			x, err := c.store.Execution(c.ctx, t.Execution)
			if err != nil || x.Owner == c.session {
				return backend.Reply{}, false, err
			}
			return c.rebuild(b)
		case len(t.Taken) > 0:
			messages, err := c.store.Receive(c.ctx, c.session)
			if err != nil || slices.ContainsFunc(messages, func(m backend.Message) bool { return m.ID == t.Taken[0] }) {
				return backend.Reply{}, false, err
			}
			return c.rebuild(b)
		}
	}
	return backend.Reply{}, false, nil // new executions: the next try finds them
}

// rebuild makes the reply of a batch that has landed.
func (c *committer) rebuild(b *backend.Batch) (backend.Reply, bool, error) {
	reply := backend.Reply{Now: c.now()}
	for i := range b.Turns {
		r := backend.TurnReply{}
		if then := b.Turns[i].Then; then == backend.Release || then == backend.Continue {
			x, err := c.store.Execution(c.ctx, b.Turns[i].Execution)
			if err != nil {
				return reply, false, err
			}
			r.Kept, r.Run = then == backend.Release && x.Owner == c.session, x.Run
		}
		reply.Turns = append(reply.Turns, r)
	}
	for range b.Settle {
		reply.Settled = append(reply.Settled, true)
	}
	for i := range b.Create {
		x, err := c.store.Execution(c.ctx, b.Create[i].ID)
		if err != nil {
			return reply, false, err
		}
		reply.Created = append(reply.Created, backend.Created{Run: x.Run, Existing: &x})
	}
	return reply, true, nil
}

var errStop = errors.New("stop")
