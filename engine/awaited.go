// Who waits for ends: as long as nobody does, few processes are woken for any.

package engine

import (
	"time"

	"github.com/senpuki/senpuki/backend"
)

const (
	// awaitsFor is for how long a process that has said that it waits for ends is told of them, and awaitsAgain how often it says so.
	awaitsFor   = 30 * time.Second
	awaitsAgain = 10 * time.Second
	// asksFor is for how long a worker that has asked who waits tells of all ends.
	asksFor = 2 * time.Second
	// triesAgain is after how long without a hint an end is told though nobody waits for it: who cannot send any finds out by trying.
	triesAgain = asksFor
	// awaitsLook is when who has just said that he waits looks again: what ended before that was heard is not told.
	awaitsLook = 50 * time.Millisecond
)

// expectAwaited takes others to wait for ends for so long.
func (w *wakeups) expectAwaited(d time.Duration) {
	until := time.Now().Add(d)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.awaited.Before(until) {
		w.awaited = until
	}
}

// tellsEnds reports whether the end of an execution is told. The caller holds mu.
func (w *wakeups) tellsEnds() bool {
	now := time.Now()
	return !now.After(w.awaited) || now.Sub(w.tried) >= triesAgain
}

// askWhoAwaits asks who waits for ends, when hints begin to come in: those who said so before were not heard.
func (e *Engine) askWhoAwaits() {
	e.wakeups.expectAwaited(asksFor)
	e.tell(backend.Hint{Asks: true})
}

// await says that somebody here waits for ends, unless that was said lately, and reports whether it did.
func (e *Engine) await() bool {
	w := &e.wakeups
	if w.notifier == nil || !w.hears.Load() {
		return false
	}
	w.mu.Lock()
	told := !w.awaits.IsZero() && time.Since(w.awaits) < awaitsAgain
	if !told {
		w.awaits = time.Now()
	}
	w.mu.Unlock()
	if !told {
		e.tell(backend.Hint{Awaits: true})
	}
	return !told
}

// isWaiting reports whether anybody here waits for an end.
func (e *Engine) isWaiting() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.waiters) > 0
}
