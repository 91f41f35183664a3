// The script's host: commands, deliveries, time and log lines.

package engine

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// eventKind says what came into a mailbox.
type eventKind int

const (
	evAttempt eventKind = iota // an attempt ended: value or failure
	evTimeout                  // an attempt ran out of time
	evDue                      // a timer or a retry is due
	evFinal                    // a step failed without an attempt
	evDropped                  // a step that the script cancelled has nothing running
	evMessage                  // an inbox message
	evExpire                   // the execution's time is up
)

// expiredName marks the cancel entry of an execution that expired.
const expiredName = "expired"

// event is one thing that came for an execution.
type event struct {
	kind    eventKind
	step    string
	attempt int
	value   []byte
	failure *activities.Failure
	message backend.Message
}

// Issue implements starlark.Host.
func (x *execution) Issue(c starlark.Command) error {
	if !x.live {
		return x.replayIssue(c)
	}
	if c.Kind == starlark.CancelStep {
		x.put(&entry{kind: []byte(entryDrop), step: []byte(c.Step)})
		if st := x.steps[c.Step]; st != nil {
			x.drop(st)
		}
		return nil
	}
	e := entry{
		kind: []byte(entryAsk), step: []byte(c.Step), command: []byte(c.Kind), pos: []byte(c.Pos),
		args: c.Args, kwargs: c.Kwargs, delay: c.Delay.Microseconds(),
	}
	if c.Name != "" {
		e.name = []byte(c.Name)
	}
	var st *step
	switch c.Kind {
	case starlark.CallActivity:
		if failure := x.refuse(c); failure != nil {
			e.kind, e.failure = []byte(entryRefused), encodeFailure(failure)
			x.put(&e)
			return scriptFailure(failure)
		}
		st = x.ask(c)
		if len(x.ready) == 0 && x.mayBegin() {
			x.begun(st)
			e.attempt = st.begun
		} else {
			x.enqueue(st)
		}
	case starlark.StartTimer:
		st = x.ask(c)
		x.schedule(st)
	default:
		return fmt.Errorf("the engine does not know the command %q", c.Kind)
	}
	x.put(&e)
	if x.w.options.Observer != nil {
		name := c.Name
		if c.Kind == starlark.StartTimer {
			name = "sleep"
		}
		x.w.observe(Event{Kind: StepAsked, Execution: x.rec.ID, Step: c.Step, Name: name})
	}
	return nil
}

// refuse says why a call cannot be made, before anything of it is stored.
func (x *execution) refuse(c starlark.Command) *activities.Failure {
	act, failure := x.w.lookup(c.Name)
	if failure != nil {
		return failure
	}
	args, err := starlark.ToPlain(c.Args)
	if err != nil {
		return failureOf(err)
	}
	kwargs, err := plainOrNil(c.Kwargs)
	if err != nil {
		return failureOf(err)
	}
	if err := act.CheckArgs(args, kwargs); err != nil {
		return failureOf(err)
	}
	return nil
}

func plainOrNil(stored []byte) ([]byte, error) {
	if stored == nil {
		return nil, nil
	}
	return starlark.ToPlain(stored)
}

// ask notes a step as waited for.
func (x *execution) ask(c starlark.Command) *step {
	x.seq++
	st := &step{cmd: c, seq: x.seq}
	if c.Kind == starlark.StartTimer {
		st.due = max(x.now+c.Delay.Microseconds(), 1)
	}
	x.steps[c.Step] = st
	return st
}

// enqueue makes a step's attempt wait for a slot.
func (x *execution) enqueue(st *step) {
	if !st.queued {
		st.queued = true
		st.due = 0
		x.ready = append(x.ready, st)
	}
}

// drop cancels a step: a running attempt is told and awaited, anything else ends at once.
func (x *execution) drop(st *step) {
	if st.dropped {
		return
	}
	st.dropped = true
	if a := x.attempts[st.cmd.Step]; a != nil {
		a.cancel()
		return
	}
	if !st.running { // else it begins with this turn, and start finds it dropped
		x.post(event{kind: evDropped, step: st.cmd.Step})
	}
}

// Now implements starlark.Host.
func (x *execution) Now() time.Time { return fromMicro(x.now) }

// Log implements starlark.Host. Lines printed on replay are stored already.
func (x *execution) Log(l starlark.Line) {
	n := x.lines
	x.lines++
	if !x.live {
		return
	}
	at := fromMicro(x.w.clock.now())
	x.logs = append(x.logs, backend.LogLine{Ordinal: n, At: at, Step: l.Branch, Level: l.Level, Message: l.Message, Fields: l.Fields})
	if x.w.options.Observer != nil {
		x.w.observe(Event{Kind: Logged, Execution: x.rec.ID, At: at, Line: &LogLine{
			Ordinal: n, At: at, Branch: l.Branch, Level: l.Level, Message: l.Message, Fields: l.Fields,
		}})
	}
}

// Publish implements starlark.Host. What is shown on replay is stored already.
func (x *execution) Publish(shown []byte) {
	if x.live {
		x.publish = shown
	}
}

// Wait implements starlark.Host: the end of a turn, unless more is there to be delivered in it.
func (x *execution) Wait() (starlark.Delivery, error) {
	if !x.live {
		d, ok, err := x.replayWait()
		if ok || err != nil {
			return d, err
		}
	}
	for {
		if x.w.ctx.Err() != nil {
			return starlark.Delivery{}, errLost
		}
		for len(x.rows) == 0 { // else the turn is large enough
			ev, ok := x.take()
			if !ok {
				break
			}
			x.evict.Store(false)
			if ev.kind == evAttempt {
				x.consumed = append(x.consumed, ev)
			}
			if d, ok := x.absorb(&ev); ok {
				x.fresh = false
				return d, nil
			}
		}
		x.beginReady()
		if x.dirty() {
			if err := x.seal(); err != nil {
				return starlark.Delivery{}, err
			}
			continue
		}
		if x.slots > 0 {
			x.w.slots.give(x.slots)
			x.slots = 0
		}
		if err := x.rest(); err != nil {
			return starlark.Delivery{}, err
		}
	}
}

// maxMailbox is how many events an emptied mailbox keeps room for.
const maxMailbox = 64

// take returns the next event.
func (x *execution) take() (event, bool) {
	if x.absorbed == len(x.mailbox) {
		if cap(x.mailbox) > maxMailbox {
			x.mailbox = nil
		}
		clear(x.mailbox)
		x.mu.Lock()
		x.mailbox, x.mail, x.absorbed = x.mail, x.mailbox[:0], 0
		x.mu.Unlock()
		if len(x.mailbox) == 0 {
			return event{}, false
		}
	}
	x.absorbed++
	return x.mailbox[x.absorbed-1], true
}

// rest blocks until something comes, or lets the execution go.
func (x *execution) rest() error {
	idle := len(x.attempts) == 0
	switch {
	case x.w.options.ReplayAlways && x.live && !x.fresh:
		return errRestart
	case idle && (x.w.stopping.Load() || x.evict.Load() && len(x.ready) == 0):
		return x.release()
	case x.w.cut.Load():
		return x.handBack()
	}
	if idle {
		x.w.parking.park(x)
		defer x.w.parking.unpark(x)
	}
	return x.block()
}

func (x *execution) block() error {
	select {
	case <-x.wake:
		return nil
	case <-x.w.ctx.Done():
		return errLost
	}
}

// release lets the execution go; its messages or its next due time bring it back.
func (x *execution) release() error {
	t := x.turn(backend.Release)
	t.Due = x.due()
	t.Rows = x.closeRows()
	kept, err := x.landing(t)
	switch {
	case err != nil:
		return err
	case kept && !x.w.cut.Load():
		x.evict.Store(false)
		x.w.engine.mailed.Store(true)
		x.w.hint()
		return x.block()
	}
	return starlark.ErrEvicted
}

// handBack gives up attempts that did not end in time: they count as nothing.
func (x *execution) handBack() error {
	for _, id := range slices.Sorted(maps.Keys(x.attempts)) {
		a := x.attempts[id]
		a.stop()
		x.put(&entry{kind: []byte(entryBack), at: x.stamp(), step: []byte(id), attempt: a.number})
		if st := x.steps[id]; st != nil {
			st.running = false
			st.begun = a.number
		}
		delete(x.attempts, id)
		x.slots++
		x.w.strays.Add(1)
	}
	return x.release()
}
