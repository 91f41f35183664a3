// Doubt: what the session may own although this worker was never told so.

package engine

import (
	"errors"
	"maps"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// doubts say what the session may own that this worker does not know of. The
// reply of a claim can be lost with the connection: then the store has given what
// nobody works on, and as the session lives on nobody else may come for it.
type doubts struct {
	executions, tasks atomic.Bool

	// unborn are executions whose creation ended in doubt: should one turn out to be this session's, then nothing
	// has begun of what its first row lists. Guarded by worker.mu.
	unborn map[string]bool

	// released are executions that have left since the loop last began to claim, and whose release was tried again: the
	// first may have landed already, and the second have undone a claim in between. Guarded by worker.mu.
	released map[string]bool

	second  time.Time             // when to look again: a claim that was cut off may land after the first look; owned by the loop
	leaving map[string]*execution // owned when looked for and about to leave; guarded by worker.mu
}

// doubt notes a claim that failed, unless it was refused.
func doubt(of *atomic.Bool, err error) {
	if err != nil && !errors.Is(err, backend.ErrFenced) {
		of.Store(true)
	}
}

// reconcile begins what the session owns and this worker does not know of. The loop calls it, which
// is who claims: meanwhile the session comes to own nothing but what is in creating.
func (w *worker) reconcile() error {
	d := &w.doubts
	if w.stopping.Load() {
		return nil
	}
	fresh := d.executions.Load() || d.tasks.Load()
	last := !d.second.IsZero() && !time.Now().Before(d.second)
	if last {
		d.second = time.Time{}
		d.executions.Store(true)
		d.tasks.Store(true)
	}
	if fresh { // whatever came of it has a second look of its own
		d.second = time.Now().Add(w.options.SessionLife)
	}
	w.mu.Lock()
	leaving := maps.Clone(d.leaving)
	w.mu.Unlock()
	for id, x := range leaving {
		if err := w.reconcileOne(id, x); err != nil {
			return err
		}
	}
	if !d.executions.Load() {
		return nil
	}
	err := w.reconcileExecutions()
	if err == nil && last && !fresh {
		w.mu.Lock()
		clear(d.unborn)
		w.mu.Unlock()
	}
	return err
}

// reconcileTasks runs the tasks that the session owns and that do not run here. Without a slot the loop waits for its turn.
func (w *worker) reconcileTasks() error {
	if !w.doubts.tasks.Load() || w.stopping.Load() {
		return nil
	}
	if w.slots.available() == 0 {
		w.slots.queue(1)
		return nil
	}
	w.doubts.tasks.Store(false)
	w.mu.Lock()
	running := make(map[int64]bool, len(w.tasks))
	for key := range w.tasks {
		running[key] = true
	}
	w.mu.Unlock()
	owned, err := w.store.Tasks(w.asks, backend.TaskFilter{Owner: w.session})
	doubt(&w.doubts.tasks, err)
	for i := range owned {
		switch k := &owned[i]; {
		case running[k.Key]:
		case w.slots.claimed():
			w.log.Info("the reply of a claim was lost: task found by its owner", "execution", k.Execution, "step", k.Step)
			w.options.Metrics.claimedTask()
			w.runTask(k)
		default:
			w.doubts.tasks.Store(true) // until there is a slot
		}
	}
	return err
}

// reconciled is how many executions are looked at in one go.
const reconciled = 1000

// reconcileExecutions drives the executions that the session owns and that are not held here.
func (w *worker) reconcileExecutions() error {
	w.doubts.executions.Store(false)
	for owned, err := range w.engine.each(w.asks, backend.Filter{Owner: w.session, Limit: reconciled}) {
		if err == nil {
			err = w.reconcileOne(owned.ID, nil)
		}
		if err != nil {
			w.doubts.executions.Store(true)
			return err
		}
	}
	return nil
}

// reconcileOne drives an execution that the session owned a moment ago, unless this worker holds it or is storing it. One that
// is leaving may be owned because its last turn has not landed yet. It is noted, and the loop calls again with it as
// left: when it has gone and the session still owns the execution, nobody holds it.
func (w *worker) reconcileOne(id string, left *execution) error {
	w.mu.Lock()
	delete(w.doubts.released, id)
	x, held := w.held[id]
	_, again := w.again[id]
	known := held || again || w.creating[id] > 0
	if held && !again && x.going.Load() && (left == nil || left == x) {
		if w.doubts.leaving == nil {
			w.doubts.leaving = make(map[string]*execution)
		}
		w.doubts.leaving[id] = x
	} else {
		delete(w.doubts.leaving, id)
	}
	w.mu.Unlock()
	if !known {
		rec, err := w.store.Execution(w.asks, id)
		if err == nil && rec.Owner == w.session {
			w.log.Info("the reply of a claim was lost: execution found by its owner", "execution", id)
			w.engine.mailed.Store(true) // for its inbox: the loop, which calls this, looks at once
			w.take(backend.Claimed{Execution: rec}, w.slots.tryTake())
		} else if err != nil && !errors.Is(err, backend.ErrNotFound) {
			w.doubts.executions.Store(true)
			return err
		}
	}
	return nil
}

// created notes that an execution which was on its way into the store has arrived, or has failed to.
func (w *worker) created(id string) {
	w.mu.Lock()
	if w.creating[id]--; w.creating[id] <= 0 {
		delete(w.creating, id)
	}
	w.mu.Unlock()
}

// found notes that an execution to be created exists and is this session's: either it is
// driven here, or the reply of an earlier try was lost.
func (w *worker) found(id string) {
	w.mu.Lock()
	x, held := w.held[id]
	_, again := w.again[id]
	known := held && !x.going.Load() || again || w.creating[id] > 0
	w.mu.Unlock()
	if !known {
		w.unborn(id)
		w.doubts.executions.Store(true)
	}
	w.hint()
}

// stays notes that a turn which was to let x go has left it with the session, because it had messages.
func (w *worker) stays(x *execution) { x.going.Store(false) }
