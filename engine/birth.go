// Birth: an execution that begins where it is dispatched, stored together with its first turn.

package engine

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// bearing is how long a dispatch waits for the script's first turn before the
// execution is stored without it: a script may compute for long before its first step.
const bearing = 20 * time.Millisecond

// birth belongs to an execution that is not stored yet. Its script runs to the end of its first turn. Until
// the execution is stored no attempt begins and no observer is told.
type birth struct {
	n      *backend.NewExecution
	sent   atomic.Bool   // somebody writes it; who sets this does
	done   chan struct{} // closed when it is known what became of it
	dead   atomic.Bool   // it is not stored, or not this session's to run: its script is to end
	r      wrote         // that; read when done is closed
	events []Event       // that the observer is told of when it is stored
}

// stored reports whether the execution is new, stored and this session's.
func (b *birth) stored() bool { return b.r.err == nil && b.r.created.Existing == nil }

// begin makes an execution that begins here, and waits until it is stored. When ctx ends first it may be stored all the same.
// A worker that has ended begins nothing: nobody would wait for it.
func (w *worker) begin(ctx context.Context, n *backend.NewExecution, slot bool) wrote {
	b := &birth{n: n, done: make(chan struct{})}
	x := newExecution(w, backend.Claimed{Fresh: true, Execution: born(n, 0, w.session, time.Time{})})
	x.birth = b
	if slot {
		x.slots = 1
	}
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return wrote{err: backend.ErrFenced}
	}
	w.creating[n.ID]++
	w.wg.Go(x.drive)
	w.mu.Unlock()
	timer := time.NewTimer(bearing)
	defer timer.Stop()
	for {
		select {
		case <-b.done:
			return b.r
		case <-timer.C:
			w.bear(x, b, nil)
		case <-ctx.Done():
			w.bear(x, b, nil) // it was asked for
			return wrote{err: ctx.Err()}
		}
	}
}

// bear has the committer store an execution with the row of its first turn, nil when it has none yet, and does not wait.
// It reports false, and does nothing, when that was asked for already.
func (w *worker) bear(x *execution, b *birth, row []byte) bool {
	if b.sent.Swap(true) {
		return false
	}
	n := *b.n
	n.First = row
	w.committer.send(&write{create: &n, done: func(r wrote) {
		b.r = r
		w.mu.Lock()
		if b.stored() {
			w.held[n.ID] = x
		}
		early := w.early
		w.early = false
		w.mu.Unlock()
		w.decided(b)
		if early {
			w.look()
		}
	}})
	return true
}

// decided notes what became of a new execution.
func (w *worker) decided(b *birth) {
	w.created(b.n.ID)
	if b.stored() {
		w.options.Metrics.claimed()
		close(b.done)
		return
	}
	b.dead.Store(true)
	switch existing := b.r.created.Existing; {
	case b.r.err != nil && !errors.Is(b.r.err, backend.ErrFenced): // it may be there all the same
		w.unborn(b.n.ID)
		w.doubts.executions.Store(true)
	case b.r.err != nil:
	case existing.Owner == w.session:
		w.found(b.n.ID)
	}
	w.hint()
	close(b.done)
}

// unborn notes that of an execution, should it be this session's, nothing has begun.
func (w *worker) unborn(id string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.doubts.unborn == nil {
		w.doubts.unborn = make(map[string]bool)
	}
	w.doubts.unborn[id] = true
}

// stillborn reports whether the script runs for nothing: the execution was not stored.
func (x *execution) stillborn() bool { return x.birth != nil && x.birth.dead.Load() }

// neverBegan reports whether the journal is the row of a birth that this session has written without hearing of it:
// what that lists as begun was never begun, for its script was gone.
func (x *execution) neverBegan() bool {
	if !x.unborn || x.nextRow != 1 {
		return false
	}
	ours := false
	err := x.w.store.Journal(x.w.ctx, x.rec.Run, 0, func(r backend.Row) error {
		ours = r.Number == 0 && r.Session == x.w.session
		return nil
	})
	return err == nil && ours
}

// comeToLife stores the execution, with its first turn if that is nothing but a row: then it has
// landed. It returns errLost when there is no such execution, or it is somebody else's.
func (x *execution) comeToLife(t *backend.Turn) (landed bool, err error) {
	b := x.birth
	var row []byte
	if t.Then == backend.Hold && len(t.Rows) == 1 && t.OnlyRows() {
		row = t.Rows[0]
	}
	landed = x.w.bear(x, b, row) && row != nil
	<-b.done
	if !b.stored() {
		return false, errLost
	}
	x.birth = nil
	x.rec.Run, x.rec.created, x.rec.startedAt = b.r.created.Run, micro(b.r.now), micro(b.r.now)
	for i := range b.events {
		x.w.observe(b.events[i])
	}
	x.retraceTasks(t)
	t.Run = x.rec.Run
	for i := range t.Children {
		t.Children[i].ParentRun = x.rec.Run
	}
	return landed, nil
}

// observe tells the observer, once the execution is stored.
func (x *execution) observe(ev Event) {
	if b := x.birth; b != nil && x.w.options.Observer != nil {
		if ev.At.IsZero() {
			ev.At = fromMicro(x.w.clock.now())
		}
		b.events = append(b.events, ev)
		return
	}
	x.w.observe(ev)
}
