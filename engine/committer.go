// The committer: one transaction for whatever waits.

package engine

import (
	"context"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// maxBatch bounds the items of one transaction, maxBatchBytes their bytes.
const (
	maxBatch      = 512
	maxBatchBytes = 8 << 20
)

// write is one item on its way into a batch: a turn or a new execution, the end of a task, or a claim.
type write struct {
	turn   *backend.Turn
	create *backend.NewExecution
	settle *backend.Settled
	of     string // the execution whose task that is, "*" when its end concerns others, too
	claim  *backend.ClaimRequest
	back   int64       // key of a task
	done   func(wrote) // called once with what became of it; it must not block
}

// wrote is what became of a write.
type wrote struct {
	err     error
	kept    bool           // of a settled task: it was still ours
	again   bool           // it was tried more than once
	run     backend.RunKey // that a continued execution has now
	now     time.Time
	created backend.Created
	claimed []backend.Claimed
	told    bool // an end in the batch was told to who waits for it
}

func (w *write) size() int {
	n := 0
	if w.turn != nil {
		n += bulk(w.turn)
	}
	if w.create != nil {
		n += sizeOfNew(*w.create)
	}
	if w.settle != nil {
		n += len(w.settle.Payload)
	}
	return n
}

// committer merges writes: while one transaction is in flight the next one
// gathers. Its goroutines take turns: while one answers for what has landed, another's batch is on its way.
type committer struct {
	store    backend.Store
	session  backend.SessionID
	ctx      context.Context  // ends when the session is lost or the engine is killed
	onError  func(error)      // told of a fault that is being retried
	onAnswer func()           // told when what failed has been answered
	now      func() time.Time // estimated database time
	commits  atomic.Int64
	retrying atomic.Int32       // batches that have failed and are tried again
	tell     func(backend.Hint) // nil: nobody listens
	leaving  *atomic.Bool       // the worker is stopping
	metrics  *Metrics

	lanes chan struct{} // as many as transactions may be in flight
	news  chan struct{} // capacity 1: the queue is not empty

	mu     sync.Mutex // guards all below
	queue  []*write
	flying int  // transactions under way
	alone  bool // no claim goes with a batch
	shut   bool // nothing is taken any more
}

// start runs the committer's goroutines.
func (c *committer) start(wg *sync.WaitGroup) {
	lanes := 1
	if p, ok := c.store.(backend.Pipeliner); ok {
		lanes = max(1, p.Commits())
	}
	c.lanes = make(chan struct{}, lanes)
	for range lanes + 1 {
		wg.Go(c.run)
	}
}

// send hands a write to the committer. Once the session is lost it is answered at once.
func (c *committer) send(w *write) {
	c.mu.Lock()
	sent, news := c.push(w)
	c.mu.Unlock()
	switch {
	case !sent:
		w.done(wrote{err: backend.ErrFenced})
	case news:
		c.call()
	}
}

// push queues a write, unless the session is lost; news: who gathers is to be told. The caller holds mu.
func (c *committer) push(w *write) (sent, news bool) {
	if c.shut {
		return false, false
	}
	c.queue = append(c.queue, w)
	return true, len(c.queue) == 1 || len(c.queue) == handful
}

// call wakes who gathers.
func (c *committer) call() {
	select {
	case c.news <- struct{}{}:
	default:
	}
}

// submit hands a write to the committer and waits for what became of it. When
// ctx ends first the write may still land if it is on its way.
func (c *committer) submit(ctx context.Context, w *write) wrote {
	done := make(chan wrote, 1)
	w.done = func(r wrote) { done <- r }
	c.send(w)
	return c.await(ctx, w, done)
}

func (c *committer) await(ctx context.Context, w *write, done <-chan wrote) wrote {
	select {
	case r := <-done:
		return r
	case <-ctx.Done():
		c.mu.Lock()
		c.queue = slices.DeleteFunc(c.queue, func(o *write) bool { return o == w })
		c.mu.Unlock()
		return wrote{err: ctx.Err()}
	}
}

// batch is what one goroutine of the committer works on; its room is used again.
type batch struct {
	writes  []*write
	answers []answer
	turns   []backend.Turn
	creates []backend.NewExecution
}

// answer is what became of a write.
type answer struct {
	to *write
	wrote
}

func (c *committer) run() {
	var b batch
	defer c.refuseAll()
	for {
		select {
		case c.lanes <- struct{}{}:
		case <-c.ctx.Done():
			return
		}
		gathered := c.gather(&b)
		if gathered {
			c.commit(&b, b.writes, false)
			c.over()
		}
		<-c.lanes
		if !gathered {
			return
		}
		b.answer()
		clear(b.writes)
	}
}

// answer tells what became of writes.
func (b *batch) answer() {
	for i := range b.answers {
		b.answers[i].to.done(b.answers[i].wrote)
	}
	clear(b.answers)
	b.answers = b.answers[:0]
}

// refuseAll answers what waits, and all that comes from now on.
func (c *committer) refuseAll() {
	c.mu.Lock()
	c.shut = true
	left := c.queue
	c.queue = nil
	c.mu.Unlock()
	for _, w := range left {
		w.done(wrote{err: backend.ErrFenced})
	}
}

// commit writes a batch and notes the answers. A turn that may not land does not cost the others
// their commit: then each is written by itself. Tried: an earlier try may have landed.
func (c *committer) commit(b *batch, writes []*write, tried bool) {
	if len(writes) == 1 && writes[0].claim != nil { // mostly this only reads
		claimed, err := c.store.Claim(c.ctx, *writes[0].claim)
		b.answers = append(b.answers, answer{writes[0], wrote{err: err, claimed: claimed}})
		return
	}
	reply, again, err := c.land(b, writes, tried)
	if len(writes) > 1 && (unlandable(err) || errors.Is(err, backend.ErrNoProgram)) {
		for i := range writes {
			c.commit(b, writes[i:i+1], false)
		}
		return
	}
	if err != nil && !errors.Is(err, backend.ErrFenced) && !unlandable(err) {
		if rest := unclaimed(writes, err); len(rest) < len(writes) { // what it may have got, who claims finds out
			c.commit(b, rest, true)
			return
		}
		// The database fails: who dispatches is told, turns are tried for ever, and by halves: all at once may be too much for it.
		switch writes = c.refuse(writes, err); len(writes) {
		case 0:
		case 1:
			c.commit(b, writes, true)
		default:
			half := len(writes) / 2
			c.commit(b, writes[:half], true)
			b.answer() // however long the others take
			c.commit(b, writes[half:], true)
		}
		return
	}
	turns, creates, settles := 0, 0, 0
	for _, w := range writes {
		r := wrote{err: err, again: again, now: reply.Now, told: len(reply.Told) > 0}
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
			case w.claim != nil:
				r.claimed = reply.Claimed
			}
		}
		b.answers = append(b.answers, answer{w, r})
	}
}

// unlandable reports whether a commit failed for a turn that may not land.
func unlandable(err error) bool {
	_, ok := errors.AsType[*backend.TurnError](err)
	return ok
}

// refuse answers the new executions of a batch with err, at once, and returns the turns.
func (c *committer) refuse(writes []*write, err error) (turns []*write) {
	for _, w := range writes {
		if w.create != nil {
			w.done(wrote{err: err})
		} else {
			turns = append(turns, w)
		}
	}
	return turns
}

// patience is how long a batch with new executions is tried, and how long a try of any may take before it is made with fewer items: a
// store calls off what takes long, over a slow line say, and would do so each time.
const patience = 5 * time.Second

// land writes a batch until the database says what became of it. When the
// reply of a try is lost, the next first asks whether the batch is there, and is
// not made without an answer: what has landed would be refused. One that is refused asks again. A
// batch with new executions is given up after some time, or when the disk is full, and one of several items when a try took long.
func (c *committer) land(room *batch, writes []*write, tried bool) (reply backend.Reply, again bool, err error) {
	b := backend.Batch{Session: c.session, Turns: room.turns[:0], Create: room.creates[:0]}
	defer func() {
		room.turns, room.creates = b.Turns, b.Create
		clear(b.Turns)
		clear(b.Create)
	}()
	for _, w := range writes {
		switch {
		case w.turn != nil:
			b.Turns = append(b.Turns, *w.turn)
		case w.create != nil:
			b.Create = append(b.Create, *w.create)
		case w.settle != nil:
			b.Settle = append(b.Settle, *w.settle)
		case w.claim != nil:
			b.Claim = w.claim
		default:
			b.Back = append(b.Back, w.back)
		}
	}
	begun, delay := time.Now(), 10*time.Millisecond
	failed, over := false, false
	defer func() {
		if failed {
			c.retrying.Add(-1)
		}
		if failed && over {
			c.onAnswer()
		}
	}()
	for {
		var landed bool
		reply, again, err = backend.Reply{}, tried, nil
		if tried {
			reply, landed, err = c.landed(&b)
		}
		slow := false
		if !landed && (err == nil || errors.Is(err, backend.ErrNotFound)) {
			if tried {
				c.hasten(&b)
			}
			started, before := c.metrics.clock(), time.Now()
			reply, err = c.store.Commit(c.ctx, b)
			slow = time.Since(before) > patience
			c.commits.Add(1)
			landed = err == nil
			if tried && unlandable(err) { // what went before may have been on its way still when it was asked for
				if r, there, fault := c.landed(&b); there || fault != nil && !errors.Is(fault, backend.ErrNotFound) {
					reply, landed, err = r, there, fault
				}
			}
			tried = true
			c.metrics.commit(len(b.Turns)+len(b.Create)+len(b.Settle)+len(b.Back), started, !landed && !answered(err))
		}
		switch {
		case landed, answered(err):
			if over = true; landed {
				c.announce(&b, &reply, writes)
			}
			return reply, again, err
		case c.ctx.Err() != nil:
			return reply, again, backend.ErrFenced
		}
		if !failed {
			failed = true
			c.retrying.Add(1)
		}
		c.onError(err)
		c.unclaim(b.Claim != nil)
		if b.Claim != nil {
			return reply, again, err
		}
		if len(b.Create) > 0 && (errors.Is(err, backend.ErrFull) || time.Since(begun) > patience) {
			return reply, again, err
		}
		if slow && len(writes) > 1 {
			return reply, again, err
		}
		select {
		case <-time.After(delay/2 + rand.N(delay)):
		case <-c.ctx.Done():
			return reply, again, backend.ErrFenced
		}
		delay = min(2*delay, time.Second)
	}
}

// hasten makes what a batch that was tried before lets go due at once, where no row says that the earlier try has not landed: others may
// have moved it on since and let it go, and when it is due then is not what its turn says. Who takes it finds out.
func (c *committer) hasten(b *backend.Batch) {
	for i := range b.Turns {
		if t := &b.Turns[i]; t.Then == backend.Release && len(t.Rows) == 0 {
			t.Due = c.now()
		}
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
		case len(t.Taken) > 0: // also of one that was to be released: others may have kept it
			messages, err := c.store.Receive(c.ctx, c.session)
			if err != nil || slices.ContainsFunc(messages, func(m backend.Message) bool { return m.ID == t.Taken[0] }) {
				return backend.Reply{}, false, err
			}
			return c.rebuild(b)
		}
	}
	for i := range b.Turns {
		t := &b.Turns[i]
		if t.Then != backend.Release {
			continue
		}
		x, err := c.store.Execution(c.ctx, t.Execution)
		if err != nil || x.Owner == c.session {
			return backend.Reply{}, false, err
		}
		return c.rebuild(b)
	}
	return backend.Reply{}, false, nil // new executions: the next try finds them
}

// rebuild makes the reply of a batch that has landed.
func (c *committer) rebuild(b *backend.Batch) (backend.Reply, bool, error) {
	reply := backend.Reply{Now: c.now(), Woken: true, Told: []string{"*"}} // who knows
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
