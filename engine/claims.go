// What a worker claims: executions, with and without a slot, and tasks between them.

package engine

import (
	"github.com/senpuki/senpuki/backend"
)

// claimAll claims executions and, when there is news, tasks. Due says that a point was reached
// that somebody has noted. Where slots are scarce, it is now those and now these that come first.
func (w *worker) claimAll(news, due bool) (more bool) {
	w.slots.looks()
	defer w.slots.looked()
	w.report("reconcile tasks", w.reconcileTasks())
	tasks := func() {
		if !news {
			return
		}
		others, err := w.claimTasks(due)
		w.report("tasks", err)
		if others {
			w.engine.mailed.Store(true)
			more = true
		}
	}
	w.sharing.first = news && !w.sharing.first && w.sharing.missed.Load()
	w.unclaimed = w.unclaimed || news
	if w.sharing.first {
		tasks()
	}
	others, err := w.claim()
	w.report("claim", err)
	more = more || others
	if !w.sharing.first {
		tasks()
	}
	return more
}

// hasTurn is told that the loop has a slot for what it could not claim without one.
func (w *worker) hasTurn() {
	if w.sharing.missed.Load() {
		w.engine.mailed.Store(true)
	}
	w.hint()
}

// claim takes due executions while there are free slots, and without one those that have begun: a timer, a signal or a cancel
// needs none. More says that there may be more.
func (w *worker) claim() (more bool, err error) {
	if err := w.adopt(); err != nil {
		return false, err
	}
	if w.options.Hold || w.stopping.Load() {
		return false, nil
	}
	n := min(w.slots.available(), maxBatch)
	if n == 0 {
		return w.claimBegun()
	}
	began, known := w.options.Metrics.clock(), w.works.Load()
	claimed, err := w.takeSome(backend.ClaimRequest{Queues: w.options.Queues, Tags: w.options.Tags, Limit: n})
	if err != nil {
		return false, err
	}
	w.options.Metrics.asked(began)
	if claimed == n {
		known = -1
	} else {
		w.unclaimed = false
	}
	w.clear.Store(known)
	return claimed == n, nil
}

// maxInLine is how many executions may wait for a slot before no more are claimed without one.
const maxInLine = 64

// claimBegun takes due executions that have begun, when some may have become due since that was last done. One that then wants a
// slot queues for it; as long as too many do, no more are taken.
func (w *worker) claimBegun() (more bool, err error) {
	n := min(w.slots.room(maxInLine), maxBatch)
	if w.unclaimed && n > 0 {
		claimed, err := w.takeSome(backend.ClaimRequest{Queues: w.options.Queues, Tags: w.options.Tags, Begun: true, Limit: n})
		if err != nil {
			return false, err
		}
		w.unclaimed = claimed == n
	}
	if w.unclaimed || !w.isClear() {
		behind := 1
		if n == 0 { // many wait here already, and more would only wait with them
			behind = maxInLine
		}
		w.slots.queue(behind)
	}
	return w.unclaimed && n > 0, nil
}

// takeSome carries out one request for executions and reports how many came of it.
func (w *worker) takeSome(r backend.ClaimRequest) (int, error) {
	r.Session, r.Editions = w.session, editions
	w.mu.Lock()
	clear(w.doubts.released)
	w.claiming = true
	w.mu.Unlock()
	claimed, went, err := w.committer.claim(w.asks, &r)
	doubt(&w.doubts.executions, err)
	if went && err != nil { // the batch has failed, for whatever reason: what waits is not to wait for the next look
		w.hint()
	}
	for i := range claimed {
		w.take(claimed[i], w.slots.claimed())
	}
	w.mu.Lock()
	w.claiming = false
	w.mu.Unlock()
	return len(claimed), err
}

// adopt claims the executions that this engine was told to run.
func (w *worker) adopt() error {
	now, due := w.engine.wanted()
	for i, ids := range [][]string{now, due} {
		if len(ids) == 0 || w.stopping.Load() {
			continue
		}
		if _, err := w.takeSome(backend.ClaimRequest{IDs: ids, OnlyDue: i == 1, Limit: len(ids)}); err != nil {
			return err
		}
	}
	if len(now)+len(due) == 0 || w.stopping.Load() {
		return nil
	}
	return w.adoptStrays()
}

// claimExpired takes executions whose time is up, whatever their queue: nobody else may come for them. When there are many, the loop
// comes again for the rest as soon as there is room: most end at once. A worker
// without activities, which claims no tasks, ends those that nobody has begun in time instead, unless it was told that there are some.
func (w *worker) claimExpired(told bool) error {
	if w.options.Hold || w.stopping.Load() {
		return nil
	}
	if !told && len(w.registry.Names()) == 0 {
		return w.sweepTasks()
	}
	n := min(max(minTasks, w.slots.available()), maxBatch)
	claimed, err := w.takeSome(backend.ClaimRequest{Expired: true, Limit: n})
	if w.overdue = claimed == n; w.overdue && w.slots.queue(1) {
		w.hint()
	}
	return err
}

// take begins to drive an execution that the session owns.
func (w *worker) take(c backend.Claimed, slot bool) {
	w.mu.Lock()
	old, held := w.held[c.ID]
	doubtful := w.doubts.released[c.ID]
	if !held && !doubtful {
		x := w.hold(c)
		w.mu.Unlock()
		if slot {
			x.slots = 1
		}
		w.drive(x)
		return
	}
	leaves := held && old.going.Load() // it has been released and claimed again, and has not left yet
	if leaves {
		w.again[c.ID] = c
	}
	w.mu.Unlock()
	if slot {
		w.slots.give(1)
	}
	if !leaves { // whose it is now, the database tells
		w.doubts.executions.Store(true)
		w.hint()
	}
}
