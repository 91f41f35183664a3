// Ending an execution without its script: on demand, or when clean-up takes too long.

package engine

import (
	"errors"
	"fmt"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// errCut unwinds a script whose execution is to end without it.
var errCut = errors.New("ended without its script")

// ends reports whether a message ends an execution without asking its script.
func ends(m *backend.Message) bool { return m.Kind == backend.Cancel && m.Name == atOnce }

// scheduleCut bounds the clean-up of a script that was cancelled at a time.
func (x *execution) scheduleCut(at int64) {
	if x.cleanup == nil {
		x.cutAt = at + x.w.options.CleanupTimeout.Microseconds()
		wait := x.w.clock.until(x.cutAt)
		x.cleanup = time.AfterFunc(max(wait, 0), func() { x.post(event{kind: evCut}) })
	}
}

// cutBy notes why the execution ends.
func (x *execution) cutBy(ev *event) error {
	if ev.kind == evMessage {
		x.taken = append(x.taken, ev.message.ID)
		x.cutFor(ev.message)
	}
	return errCut
}

func (x *execution) cutFor(m *backend.Message) {
	if x.cancelled != nil {
		return
	}
	reason := string(m.Payload)
	if reason == "" {
		reason = "cancelled"
	}
	x.cancelled = &activities.Failure{Kind: activities.KindCancelled, Message: reason, NoRetry: true}
}

// cutFirst looks, before the script is replayed, for a message that ends the
// execution without it: the script may be what keeps it from going on.
func (x *execution) cutFirst() error {
	if x.newborn && !x.rec.Expires.IsZero() && x.w.clock.until(x.rec.Expires.UnixMicro()) <= 0 {
		x.cancelled, x.expired = x.expiredFailure(), true
		return errCut
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	for i := range x.mail {
		if m := x.mail[i].message; m != nil && ends(m) {
			x.cutFor(m)
			return errCut
		}
	}
	return nil
}

// endCut ends the execution without its script. Its children are cancelled,
// unless they were to outlive it.
func (x *execution) endCut() error {
	why := x.cancelled
	children := x.openChildren()
	x.discard()
	x.cutAttempts()
	for _, id := range x.attempts.Keys() {
		x.attempts.At(id).giveUp()
		x.w.options.Metrics.attempt(x.attempts.At(id).Identity.Activity, AttemptCancelled, x.attempts.At(id).measured)
		x.attempts.Delete(id)
		x.slots++
	}
	if !x.live { // the journal may not be readable: only its length is needed
		rows, err := x.w.journal(x.rec.Run)
		if err != nil {
			return err
		}
		x.nextRow = int64(len(rows))
		x.now = max(x.now, x.w.clock.now())
	}
	x.orders = children
	t := x.turn(backend.Finish)
	t.State, t.Failure = backend.Cancelled, encodeFailure(why)
	if x.expired {
		t.State = backend.TimedOut
	}
	if x.nextRow == 0 {
		x.put(&entry{kind: []byte(entryStart), at: x.stamp(), version: journalVersion, edition: starlark.Edition})
	}
	x.put(&entry{kind: []byte(entryEnd), at: x.stamp(), name: []byte(t.State), failure: t.Failure})
	t.Rows = x.closeRows()
	return x.ended(t)
}

// openChildren are orders that cancel the children which do not outlive the execution.
func (x *execution) openChildren() (orders []backend.Order) {
	for _, id := range x.steps.Keys() {
		st := x.steps.At(id)
		if st.cmd.Kind != starlark.StartChild || !st.running || st.cmd.Child.OnParentClose == "abandon" {
			continue
		}
		orders = append(orders, backend.Order{Message: backend.Message{
			Execution: st.childID(st.begun), Kind: backend.Cancel,
			Payload: fmt.Appendf(nil, "its parent %s has ended", x.rec.ID),
		}})
	}
	return orders
}
