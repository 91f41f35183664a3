// The cursor: reading a journal while its script runs again.

package engine

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/starlark"
)

// cursor walks the entries of a journal.
type cursor struct {
	rows   [][]byte
	row    int
	reader rowReader
	opened bool
	e      entry
	loaded bool // e is the next entry
	passed int  // entries before it

	begun time.Time // the replay; zero unless measured
	kept  []*event  // outcomes that wait for their delivery
}

// peek returns the next entry without passing it, nil at the end. A nil cursor is at its end.
func (c *cursor) peek() (*entry, error) {
	if c == nil {
		return nil, nil
	}
	for !c.loaded {
		if !c.opened {
			if c.row == len(c.rows) {
				return nil, nil
			}
			c.reader, c.opened = rowReader{data: c.rows[c.row]}, true
		}
		ok, err := c.reader.next(&c.e)
		if err != nil {
			return nil, fmt.Errorf("row %d: %w", c.row, err)
		}
		if ok {
			c.loaded = true
			break
		}
		c.rows[c.row] = nil // read, no longer needed
		c.row++
		c.opened = false
	}
	return &c.e, nil
}

// advance passes the entry that peek returned.
func (c *cursor) advance() { c.loaded, c.passed = false, c.passed+1 }

// describe says what the journal has next, in the words of a script author.
func (c *cursor) describe() string {
	e, err := c.peek()
	switch {
	case err != nil:
		return err.Error()
	case e == nil:
		return "a wait"
	}
	return e.describe()
}

func (e *entry) describe() string {
	switch {
	case e.is(entryDrop):
		return fmt.Sprintf("the cancelling of step %s", e.step)
	case e.is(entrySignal):
		return fmt.Sprintf("signal %s", e.name)
	case e.asked() && string(e.command) != string(starlark.StartTimer) && string(e.command) != string(starlark.CallActivity):
		c := starlark.Command{
			Kind: starlark.CommandKind(e.command), Step: string(e.step), Name: string(e.name), Target: string(e.target), Args: e.args, Kwargs: e.kwargs,
		}
		return describeCommand(c) + fmt.Sprintf(" (asked at %s)", e.pos)
	case e.asked() && string(e.command) == string(starlark.StartTimer):
		return fmt.Sprintf("a timer of %v as step %s (asked at %s)", fromMicroDuration(e.delay), e.step, e.pos)
	case e.asked():
		return fmt.Sprintf("%s(%s) as step %s (asked at %s)", e.name, callText(e.args, e.kwargs), e.step, e.pos)
	}
	return fmt.Sprintf("the %s entry of step %s", e.kind, e.step)
}

// callText shows a call's arguments, cut to a line.
func callText(args, kwargs []byte) string {
	text := string(bytes.TrimSuffix(bytes.TrimPrefix(args, []byte("[")), []byte("]")))
	if len(kwargs) > 2 {
		if text != "" {
			text += ", "
		}
		text += "**" + string(kwargs)
	}
	if r := []rune(text); len(r) > 60 {
		text = string(r[:57]) + "..."
	}
	return text
}

// replayIssue answers a command from the journal, and goes on where a rerun has copied no more.
func (x *execution) replayIssue(c starlark.Command) error {
	err := x.replayCommand(c)
	var refused *starlark.Failure
	if err == nil || errors.As(err, &refused) {
		if err := x.goOn(); err != nil {
			return err
		}
	}
	return err
}

func (x *execution) replayCommand(c starlark.Command) error {
	e, err := x.journal.peek()
	if err != nil {
		return err
	}
	if e == nil && x.proof && x.source != nil { // a rerun goes on here
		return errProven
	}
	differs := func() error {
		return &NondeterminismError{Pos: c.Pos, Want: "asks for " + describeCommand(c), Have: x.journal.describe()}
	}
	if e == nil || string(e.step) != c.Step {
		return differs()
	}
	if c.Kind == starlark.CancelStep {
		if !e.is(entryDrop) {
			return differs()
		}
		x.journal.advance()
		if st := x.steps.At(c.Step); st != nil {
			st.dropped = true
		} else {
			x.unlistens(c.Step)
		}
		return nil
	}
	if !e.is(entryAsk) && !e.is(entryRefused) || string(e.command) != string(c.Kind) ||
		string(e.name) != entryName(&c) || string(e.target) != c.Target || e.delay != c.Delay.Microseconds() {
		return differs()
	}
	if !sameValue(e.args, c.Args) || !sameValue(e.kwargs, c.Kwargs) {
		return differs()
	}
	x.journal.advance()
	if e.is(entryRefused) {
		return ScriptFailure(decodeFailure(e.failure))
	}
	if c.Kind == starlark.AwaitSignal {
		x.listens(&c)
		return nil
	}
	st := x.ask(&c)
	if c.Kind == starlark.StartChild {
		st.asked, st.input, st.digest = x.now, starlark.CallInput(c.Args, c.Kwargs), x.rec.Digest
		if e.digest != nil {
			st.digest = string(e.digest)
		}
	}
	st.memo, st.source = string(e.memo), x.source
	if c.Kind == starlark.AwaitResult {
		st.child = x.addressee(c.Target)
	}
	st.elsewhere = bytes.Clone(e.options)
	if e.attempt > 0 {
		st.begun, st.running, st.remote = e.attempt, true, e.task != 0
		if c.Kind == starlark.StartChild {
			st.child = c.Target
		}
	}
	return nil
}

// sameValue compares two stored values; the order of dict keys does not count.
func sameValue(have, want []byte) bool {
	if bytes.Equal(have, want) {
		return true
	}
	if have == nil || want == nil {
		return false
	}
	h, err1 := starlark.Canonical(have)
	w, err2 := starlark.Canonical(want)
	return err1 == nil && err2 == nil && bytes.Equal(h, w)
}

func describeCommand(c starlark.Command) string {
	switch c.Kind {
	case starlark.CancelStep:
		return "the cancelling of step " + c.Step
	case starlark.AwaitSignal:
		return fmt.Sprintf("signal %s as step %s", c.Name, c.Step)
	case starlark.SendSignal:
		return fmt.Sprintf("sending signal %s to %s as step %s", c.Name, c.Target, c.Step)
	case starlark.CancelOther:
		return fmt.Sprintf("cancelling execution %s as step %s", c.Target, c.Step)
	case starlark.AwaitResult:
		return fmt.Sprintf("the result of execution %s as step %s", c.Target, c.Step)
	case starlark.StartChild:
		return fmt.Sprintf("workflow %s(%s) with the id %s as step %s", strings.TrimSuffix(childName(&c), "()"), callText(c.Args, c.Kwargs), c.Target, c.Step)
	case starlark.StartTimer:
		return fmt.Sprintf("a timer of %v as step %s", c.Delay, c.Step)
	}
	return fmt.Sprintf("%s(%s) as step %s", c.Name, callText(c.Args, c.Kwargs), c.Step)
}

// replayWait returns the next delivery of the journal; ok is false when the
// journal is used up and the script stands where it stood.
func (x *execution) replayWait() (d starlark.Delivery, ok bool, err error) {
	for {
		e, err := x.journal.peek()
		if err != nil {
			return d, false, err
		}
		if e == nil {
			if x.proof {
				return d, false, errProven
			}
			x.goLive()
			return d, false, nil
		}
		if x.proof && e.is(entryEnd) { // it was ended without its script
			return d, false, errProven
		}
		if e.asked() {
			return d, false, &NondeterminismError{Want: "waits", Have: e.describe()}
		}
		x.journal.advance()
		before := x.now
		if e.at != 0 {
			x.now = e.at
		}
		if e.delivered() {
			d := x.redeliver(e)
			return d, true, x.goOn()
		}
		switch string(e.kind) {
		case entryRerun:
			if err := x.readOn(e, before); err != nil {
				return d, false, err
			}
			continue
		case entryUpgrade:
			x.moved = x.moved || e.failure == nil
			continue
		}
		st := x.steps.At(string(e.step))
		if st == nil {
			return d, false, fmt.Errorf("%w: %s of step %s, which is not under way", errRow, e.kind, e.step)
		}
		if err := x.noted(st, e); err != nil {
			return d, false, err
		}
	}
}

// goOn makes what follows new where a rerun has come to the end of what it has copied, also in the middle of a turn: the
// run before may have failed by what its script did there. It comes behind each command and each delivery of the copy, so that a
// replay finds the rerun entry where it was written.
func (x *execution) goOn() error {
	for x.source != nil {
		e, err := x.journal.peek()
		switch {
		case err != nil:
			return err
		case e == nil && x.proof:
			return nil
		case e == nil:
			x.goLive()
			x.fresh = false
			return nil
		case e.is(entryRerun):
			before := x.now
			x.now = e.at
			if err := x.readOn(e, before); err != nil {
				return err
			}
		case e.is(entryUpgrade):
			x.moved = x.moved || e.failure == nil
		case (e.is(entryBack) || e.is(entryGot)) && x.steps.At(string(e.step)) != nil:
			if err := x.noted(x.steps.At(string(e.step)), e); err != nil {
				return err
			}
		default:
			return nil
		}
		x.journal.advance()
	}
	return nil
}

// noted applies a bookkeeping entry to its step.
func (x *execution) noted(st *step, e *entry) error {
	if !e.is(entryHeld) {
		st.got = nil // taken since
	}
	switch string(e.kind) {
	case entryBegin:
		st.begun, st.running, st.due = e.attempt, true, 0
		st.remote = e.task != 0
		st.anew, st.resent = false, nil
		if e.options != nil {
			st.elsewhere = bytes.Clone(e.options)
		}
		if e.target != nil {
			x.begunAs(st, string(e.target))
		}
		if e.digest != nil {
			st.digest = string(e.digest)
		}
	case entryHeld:
		st.held, st.asked = true, e.at
	case entryFail:
		st.failed, st.running, st.remote, st.due = st.failed+1, false, false, e.retry
	case entryCrash:
		st.crashes, st.running, st.remote, st.due = st.crashes+1, false, false, e.retry
	case entryBack:
		st.running, st.remote, st.due, st.asked = false, false, 0, e.at
		st.begun = max(st.begun, e.attempt) // of a child, also those of earlier runs
		if e.target != nil {
			x.begunAs(st, string(e.target))
		}
		st.anew, st.resent = string(e.name) == anewName, nil
		if e.value != nil {
			if err := json.Unmarshal(e.value, &st.resent); err != nil {
				return fmt.Errorf("%w: what is sent again: %w", errRow, err)
			}
		}
	case entryGot:
		st.got = &event{kind: evAttempt, step: st.cmd.Step, attempt: e.attempt, value: e.value, stored: true}
		if e.failure != nil {
			st.got.failure = decodeFailure(e.failure)
		}
		x.journal.kept = append(x.journal.kept, st.got)
	default:
		return fmt.Errorf("%w: entry of unknown kind %q", errRow, e.kind)
	}
	return nil
}

// redeliver makes the delivery of a journal entry.
func (x *execution) redeliver(e *entry) starlark.Delivery {
	switch string(e.kind) {
	case entrySignal:
		x.hears(string(e.name))
		return starlark.Delivery{Kind: starlark.SignalArrived, Name: string(e.name), Value: e.value}
	case entryCancel:
		x.cancelled = decodeFailure(e.failure)
		x.expired = string(e.name) == expiredName
		return cancelDelivery(x.cancelled, x.expired)
	}
	id := string(e.step)
	x.steps.Delete(id)
	d := starlark.Delivery{Kind: starlark.StepOutcome, Step: id, Value: e.value}
	if e.failure != nil {
		d.Failure = ScriptFailure(decodeFailure(e.failure))
		d.Failure.Step = id
	}
	return d
}

// goLive ends the replay: what is asked from here on is new. What is under way is taken up when the script next waits.
func (x *execution) goLive() {
	x.live, x.fresh = true, true
	x.w.options.Metrics.replay(x.journal.begun)
	x.underWay = &underWay{seq: x.seq, rerun: x.source != nil, kept: x.journal.kept}
	if x.source != nil { // a rerun goes on for the first time
		before := x.now
		e := &entry{kind: []byte(entryRerun), at: x.stamp()}
		if x.source.ID != x.rec.ID {
			e.name, x.draws = []byte(forkName), starlark.Origin(x.rec.ID, x.rec.RunNumber)
		}
		x.put(e)
		x.started = e.at
		x.stoodStill(before, e.at)
		x.goesOn()
	}
	x.journal = nil
	x.scheduleExpiry()
	if x.cancelled != nil { // how long nobody had it says nothing of its clean-up, which has its time here anew
		x.scheduleCut(x.w.clock.now())
	}
}

// stoodStill notes that what was between the last that a rerun has copied and its own beginning does not count: limits of what the
// script waits for are that much longer, and what was handed back is asked for anew. Sleeps end when they were to end.
func (x *execution) stoodStill(from, to int64) {
	for _, st := range x.steps.All() {
		if st.cmd.Limit {
			st.due += max(to-from, 0)
		}
		if st.asked == 0 {
			st.asked = to
		}
	}
}

// goesOn notes that a rerun has nothing more that it repeats.
func (x *execution) goesOn() { x.source = nil }

// underWay is what goLive leaves to be taken up: steps up to this one.
type underWay struct {
	seq   int
	rerun bool // for the first time in this run
	kept  []*event
}

// takeUp goes on with the steps that were under way where the replay ended. Attempts that had
// begun without an outcome and do not run here died with their process.
func (x *execution) takeUp() error {
	from := x.underWay
	if from == nil {
		return nil
	}
	x.underWay = nil
	begins := from.rerun
	if x.moved { // the code may print other lines than that which was replaced
		next, err := x.nextLine(x.lines)
		if err != nil {
			return err
		}
		x.lines = max(x.lines, next)
	}
	unbegun := x.neverBegan()
	var timed []*step
	steps := make([]*step, 0, x.steps.Len())
	for _, st := range x.steps.All() {
		if st.seq <= from.seq {
			steps = append(steps, st)
		}
	}
	slices.SortFunc(steps, func(a, b *step) int { return cmp.Compare(a.seq, b.seq) })
	for _, ev := range from.kept {
		if st := x.steps.At(ev.step); st != nil && st.got == ev {
			st.running, st.remote, st.begun, ev.run = true, false, ev.attempt, x.rec.RunNumber
			if !st.held { // an earlier run has concluded what it reserved
				st.memo = ""
			}
			x.post(*ev)
		}
	}
	for _, l := range x.listening {
		x.observeAsk(&starlark.Command{Kind: starlark.AwaitSignal, Step: l.step, Name: l.name})
	}
	for _, st := range steps {
		id := st.cmd.Step
		x.observeAsk(&st.cmd)
		switch {
		case st.got != nil: // posted
		case st.memo != "" && !st.held && !st.dropped && begins: // what an earlier run had reserved is free
			x.w.configure(st)
			x.reserveAgain(st)
		case st.remote && st.running, st.memo != "" && !st.held && !st.dropped: // a message will come
			x.w.configure(st)
			if st.remote {
				x.observeLack(st)
			}
		case st.running && x.attempts.At(id) != nil:
		case st.cmd.Kind == starlark.StartChild && st.running:
			x.keepChild(st)
		case st.cmd.Kind == starlark.StartChild && st.due == 0 && !st.dropped:
			if err := x.beginAgain(st); err != nil {
				return err
			}
		case other(st.cmd.Kind) && st.due == 0 && !st.dropped && begins:
			x.askOther(st)
		case other(st.cmd.Kind) && st.due == 0 && !st.dropped: // its answer comes as a message
		case st.running && unbegun:
			st.running = false
			x.note(entryBack, st, nil)
			if st.dropped {
				x.post(event{kind: evDropped, run: x.rec.RunNumber, step: id})
			} else {
				x.enqueue(st)
			}
		case st.running:
			x.crashed(st)
		case st.dropped:
			x.post(event{kind: evDropped, run: x.rec.RunNumber, step: id})
		case st.cmd.Kind == starlark.StartTimer, st.due > 0:
			timed = append(timed, st)
		default:
			x.enqueue(st)
		}
	}
	slices.SortStableFunc(timed, func(a, b *step) int { return cmp.Compare(a.due, b.due) }) // some may be overdue, the first of them first
	for _, st := range timed {
		x.schedule(st)
	}
	return nil
}

// readOn notes that what follows in the journal was asked for in a later run than what is before, which ended at the time given;
// the later one began at that of the entry.
func (x *execution) readOn(e *entry, before int64) error {
	x.started = e.at
	x.stoodStill(before, e.at)
	by := originRun{ID: x.rec.ID, Run: x.rec.RunNumber}
	if e.value != nil {
		if err := json.Unmarshal(e.value, &by); err != nil {
			return fmt.Errorf("%w: the run that the journal was copied from: %w", errRow, err)
		}
		x.source = &by
	} else {
		x.goesOn()
	}
	if string(e.name) == forkName {
		x.draws = starlark.Origin(by.ID, by.Run)
	}
	return nil
}

// Known implements starlark.CopyHost: while the journal has what an earlier run asked for, the script knows what
// it knew then. So it asks for the same again, and takes the same ways.
func (x *execution) Known(i *starlark.Info) {
	i.StartedAt = fromMicro(x.started)
	if o := x.source; o != nil {
		i.ID, i.Run, i.Parent = o.ID, o.Run, o.Parent
		if o.Digest != "" {
			i.Digest = o.Digest
		}
	}
	if x.draws != "" {
		i.Origin = x.draws
	}
}

// keyRun is the execution and run in a step's idempotency key: those in which it was first asked for.
func (x *execution) keyRun(st *step) (id string, run int) {
	if o := st.source; o != nil {
		return o.ID, o.Run
	}
	return x.rec.ID, x.rec.RunNumber
}

// crashed counts an attempt whose process died, before the next one.
func (x *execution) crashed(st *step) {
	st.running = false
	st.crashes++
	x.w.options.Metrics.attempt(st.cmd.Name, AttemptCrashed, time.Time{})
	if st.dropped {
		x.note(entryCrash, st, nil)
		x.post(event{kind: evDropped, run: x.rec.RunNumber, step: st.cmd.Step})
		return
	}
	x.w.configure(st)
	var failure *activities.Failure
	if st.crashes > st.maxCrashes {
		failure = &activities.Failure{
			Kind:    activities.KindCrashLoop,
			Message: fmt.Sprintf("the process died under %s of %s", counted(st.crashes, "attempt", "attempts"), st.cmd.Name),
			NoRetry: true,
		}
	}
	x.w.log.Warn("an attempt died with its process", "execution", x.rec.ID, "step", st.cmd.Step, "activity", st.cmd.Name, "attempt", st.begun, "crashes", st.crashes)
	if failure == nil {
		st.due = x.stamp() + st.retry.Delay(st.crashes, x.w.random()).Microseconds()
	}
	x.note(entryCrash, st, nil)
	if failure != nil {
		x.post(event{kind: evFinal, run: x.rec.RunNumber, step: st.cmd.Step, failure: failure})
		return
	}
	x.schedule(st)
}
