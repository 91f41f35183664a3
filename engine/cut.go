// Ending an execution without its script: on demand, or when clean-up takes too long.

package engine

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// errCut unwinds a script whose execution is to end without it.
var errCut = errors.New("ended without its script")

// ends reports whether a message ends an execution without asking its script.
func ends(m *backend.Message) bool { return m.Kind == backend.Cancel && m.Name == atOnce }

// cancels reports whether a message asks for the end of an execution.
func cancels(m *backend.Message) bool { return m.Kind == backend.Cancel }

// scheduleCut bounds the clean-up of a script that was cancelled at a time.
func (x *execution) scheduleCut(at int64) {
	if x.cleanup == nil {
		x.cutAt = at + x.w.options.CleanupTimeout.Microseconds()
		ev := event{kind: evCut, run: x.rec.RunNumber}
		x.cleanup = time.AfterFunc(max(0, x.w.clock.until(x.cutAt)), func() { x.post(ev) })
	}
}

// stopTimers takes away what bounds the run: it has ended. The next one has its own.
func (x *execution) stopTimers() {
	if x.expiry != nil {
		x.expiry.Stop()
	}
	if x.cleanup != nil {
		x.cleanup.Stop()
	}
	x.expiry, x.cleanup, x.cutAt = nil, nil, 0
}

// cutBy notes why the execution ends.
func (x *execution) cutBy(ev *event) error {
	if ev.kind == evMessage {
		x.takes(ev.message)
		x.cutFor(ev.message)
	}
	return errCut
}

func (x *execution) cutFor(m *backend.Message) {
	if x.cancelled != nil {
		return
	}
	x.cancelled = cancelledFor(m.Payload)
}

// cutFirst looks, before the script is replayed, for a message that ends the
// execution without it: the script may be what keeps it from going on.
func (x *execution) cutFirst() error {
	if x.newborn && x.outOfTime() {
		x.cancelled, x.expired = x.expiredFailure(), true
		return errCut
	}
	if m := x.inMail(ends); m != nil {
		x.cutFor(m)
		return errCut
	}
	return nil
}

// outOfTime reports whether the execution's expiry has passed.
func (x *execution) outOfTime() bool {
	return x.rec.expires != 0 && x.w.clock.until(x.rec.expires) <= 0
}

// expires ends an execution that is stuck, and could not have cleaned up in time any more; false says that it did not. It has
// been tried once more before: what was mended goes on.
func (x *execution) expires() bool {
	if x.rec.Stuck == nil || x.rec.expires == 0 || x.w.clock.until(x.rec.expires+x.w.options.CleanupTimeout.Microseconds()) > 0 {
		return false
	}
	if x.cancelled == nil {
		x.cancelled, x.expired = x.expiredFailure(), true
	}
	return x.endCut() == nil
}

// inMail finds a message that has come and that no turn has looked at; nil when there is none of that kind.
func (x *execution) inMail(is func(*backend.Message) bool) *backend.Message {
	find := func(list []event) *backend.Message {
		for i := range list {
			if m := list[i].message; m != nil && is(m) {
				return m
			}
		}
		return nil
	}
	if m := find(x.mailbox[x.absorbed:]); m != nil {
		return m
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	return find(x.mail)
}

// overtaken ends an execution that is about to continue as new, and reports whether it did: when its script has caught that the
// time is up, what it does then comes too late. A cancel that has come since the script last waited is for the next run, which
// has its own clean-up; but a run that has not waited at all may be one of many that never do.
func (x *execution) overtaken() (bool, error) {
	waited := x.nextRow > 1
	if m := x.inMail(cancels); m != nil && !waited {
		x.cutFor(m)
		return true, x.end(nil, ScriptFailure(x.cancelled))
	}
	if !waited && x.outOfTime() {
		x.cancelled, x.expired = x.expiredFailure(), true
	}
	if x.expired {
		return true, x.end(nil, nil)
	}
	return false, nil
}

// endCut ends the execution without its script. Its children are cancelled,
// unless they were to outlive it.
func (x *execution) endCut() error {
	why := x.cancelled
	children := x.openChildren()
	x.discard() // the messages that the turn under way has taken, too: they are in the inbox still, and signals stay there
	x.cutAttempts()
	for _, id := range x.attempts.Keys() {
		x.attempts.At(id).giveUp()
		x.w.options.Metrics.attempt(x.attempts.At(id).Identity.Activity, AttemptCancelled, x.attempts.At(id).measured)
		x.attempts.Delete(id)
		x.slots++
	}
	if !x.live {
		var err error
		if children, err = x.childrenLeft(); err != nil {
			return err
		}
		x.now = max(x.now, x.w.clock.now())
	}
	x.gather().Orders = children
	if x.nextRow == 0 {
		x.put(&entry{kind: []byte(entryStart), at: x.stamp(), version: journalVersion, edition: starlark.Edition})
	}
	t := x.turn(backend.Finish)
	t.State, t.Failure = backend.Cancelled, encodeFailure(why)
	if x.expired {
		t.State = backend.TimedOut
	}
	x.put(&entry{kind: []byte(entryEnd), at: x.stamp(), name: []byte(t.State), failure: t.Failure})
	x.closeRows()
	began := x.nextRow > 0
	if err := x.ended(t); err != nil || !began {
		return err
	}
	// A script ends when its steps have. Now what they had reserved is for others, limits have room, and their tasks are to end.
	x.w.engine.tell(backend.Hint{Executions: anybodys.Executions, Recall: true})
	x.w.recall()
	x.w.look()
	return nil
}

// childrenLeft is openChildren of an execution whose script has not been replayed: it is now, in memory, as far as its journal
// and its code go. Neither has to be sound: what is needed to end the execution is the number of the next row.
func (x *execution) childrenLeft() ([]backend.Order, error) {
	var rows [][]byte
	err := x.w.read(func() error {
		rows, x.nextRow = rows[:0], 0
		return x.w.store.Journal(x.w.ctx, x.rec.Run, 0, func(r backend.Row) error {
			rows, x.nextRow = append(rows, bytes.Clone(r.Data)), r.Number+1
			return nil
		})
	})
	if err != nil || !asksItself(rows) {
		return nil, err
	}
	prog, unknown := x.w.program(x.rec.Digest)
	was := &execution{rec: x.rec, proof: true, prog: prog}
	if unknown == nil && was.open(rows) == nil {
		_ = was.replayOn(prog, x.w.options.MaxSteps, x.w.options.MaxValue)
	}
	return was.openChildren(), nil
}

// asksItself reports whether a run has asked for anything itself. One that has only begun has not, nor a rerun that has yet to go
// on behind what it has copied: there the script would run what it never ran, and that may be why the execution is to end.
func asksItself(rows [][]byte) bool {
	asked, copied := false, false
	for _, row := range rows {
		for e, err := range entriesOf(row) {
			if err != nil { // as far as it can be read
				return asked && !copied
			}
			switch {
			case e.is(entryStart) && e.value != nil:
				var c carried
				copied = json.Unmarshal(e.value, &c) == nil && c.Rerun
			case e.is(entryRerun):
				copied = e.value != nil
			}
			asked = asked || e.asked()
		}
	}
	return asked && !copied
}

// openChildren are orders that cancel the children which do not outlive the execution.
func (x *execution) openChildren() (orders []backend.Order) {
	for _, id := range x.steps.Keys() {
		st := x.steps.At(id)
		if st.cmd.Kind != starlark.StartChild || !st.running || st.cmd.Child.OnParentClose == "abandon" {
			continue
		}
		orders = append(orders, backend.Order{Message: backend.Message{
			Execution: st.child, Kind: backend.Cancel,
			Payload: fmt.Appendf(nil, "its parent %s has ended", x.rec.ID),
		}})
	}
	return orders
}
