// The script's host: commands, deliveries, time and log lines.

package engine

import (
	"fmt"
	"slices"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// eventKind says what came into a mailbox.
type eventKind int

const (
	evAttempt  eventKind = iota // an attempt ended: value or failure
	evTimeout                   // an attempt ran out of time
	evDue                       // a timer or a retry is due
	evFinal                     // a step failed without an attempt
	evDropped                   // a step that the script cancelled has nothing running
	evMessage                   // an inbox message
	evExpire                    // the execution's time is up
	evCut                       // the clean-up of a cancelled script takes too long
	evLate                      // no attempt of a step began in time
	evAdmitted                  // a step need not wait for other suspects any more
)

// expiredName marks the cancel entry of an execution that expired.
const expiredName = "expired"

// event is one thing that came for an execution.
type event struct {
	kind    eventKind
	run     int // number of the step's run, or of the run to be cut: the next one names its steps alike
	step    string
	attempt int
	value   []byte
	failure *activities.Failure
	message *backend.Message
	stored  bool // an outcome that the journal has
}

// Issue implements starlark.Host.
func (x *execution) Issue(c starlark.Command) error {
	if !x.live {
		return x.replayIssue(c)
	}
	if x.stillborn() {
		return errLost
	}
	if c.Kind == starlark.CancelStep {
		x.put(&entry{kind: []byte(entryDrop), step: []byte(c.Step)})
		if st := x.steps.At(c.Step); st != nil {
			x.drop(st)
		} else {
			x.unlistens(c.Step)
		}
		return nil
	}
	var e entry // field by field: what lies on the stack of a script counts
	e.kind, e.step, e.command, e.pos = []byte(entryAsk), []byte(c.Step), []byte(c.Kind), []byte(c.Pos)
	e.args, e.kwargs, e.delay = c.Args, c.Kwargs, c.Delay.Microseconds()
	if name := entryName(&c); name != "" {
		e.name = []byte(name)
	}
	if c.Target != "" {
		e.target = []byte(c.Target)
	}
	var st *step
	x.w.engine.weigh("the arguments of", c.Name, max(len(c.Args), len(c.Kwargs)))
	switch c.Kind {
	case starlark.CallActivity:
		st = x.newStep(&c)
		if failure := x.refuse(st); failure != nil {
			return x.refused(&e, failure)
		}
		x.asks(st)
		switch {
		case st.memo != "":
			e.memo, st.call = []byte(st.memo), nil
		case x.away(st), x.yields(st):
			x.beginTask(st)
			e.attempt, e.task, e.options = st.begun, 1, st.elsewhere
		case len(x.ready) == 0 && x.mayBegin():
			x.begun(st)
			e.attempt = st.begun
		default:
			x.queueUp(st, &x.ready)
		}
	case starlark.StartTimer:
		st = x.ask(&c)
		x.schedule(st)
	case starlark.AwaitSignal: // the script itself matches signals to waits
		if failure := unfitSignal(c.Name); failure != nil {
			return x.refused(&e, failure)
		}
		x.listens(&c)
	case starlark.StartChild:
		st = x.newStep(&c)
		if failure := x.refuseChild(st); failure != nil {
			return x.refused(&e, failure)
		}
		x.asks(st)
		st.asked = x.now
		x.askOther(st)
		e.attempt = st.begun
		if st.digest != x.rec.Digest {
			e.digest = []byte(st.digest)
		}
	case starlark.SendSignal:
		if failure := unfitSignal(c.Name); failure != nil {
			return x.refused(&e, failure)
		}
		x.askOther(x.ask(&c))
	case starlark.CancelOther, starlark.AwaitResult:
		x.askOther(x.ask(&c))
	default:
		return fmt.Errorf("the engine does not know the command %q", c.Kind)
	}
	x.put(&e)
	x.observeAsk(&c)
	return nil
}

// refused journals a command that cannot be asked for; the failure is raised at its call.
func (x *execution) refused(e *entry, f *activities.Failure) error {
	e.kind = []byte(entryRefused)
	e.failure, f = persisted(f)
	x.put(e)
	return ScriptFailure(f)
}

func (x *execution) observeAsk(c *starlark.Command) {
	if x.w.options.Observer != nil {
		x.tellAsk(c)
	}
}

// tellAsk is apart from observeAsk for the sake of the stack of a script that asks.
//
//go:noinline
func (x *execution) tellAsk(c *starlark.Command) {
	ev := Event{Kind: StepAsked, Execution: x.rec.ID, Step: c.Step, Name: stepName(c)}
	if st := x.steps.At(c.Step); st != nil && !st.held {
		ev.Memo = st.memo
	}
	x.observe(ev)
}

// entryName is the name of a command in the journal.
func entryName(c *starlark.Command) string {
	if c.Kind == starlark.StartChild {
		return childName(c)
	}
	return c.Name
}

// refuse says why a call cannot be made, before anything of it is stored.
func (x *execution) refuse(st *step) *activities.Failure {
	c := &st.cmd
	x.w.configure(st)
	if st.act == nil || st.queue != "" || st.tags != nil { // what is registered is fit
		if failure := unfit(name{"the activity's name", c.Name, maxName}, name{"a queue's name", st.queue, maxName}); failure != nil {
			return failure
		}
		if failure := unfitTags(st.tags); failure != nil {
			return failure
		}
	}
	if st.act != nil {
		if failure := st.bind(); failure != nil {
			return failure
		}
	} else if x.madeUp(c.Name) {
		_, failure := x.w.lookup(c.Name)
		return failure
	}
	if st.shares() {
		return x.reserve(st)
	}
	return nil
}

// bind says why the arguments of a call do not fit.
func (st *step) bind() *activities.Failure {
	args, err := starlark.ToPlain(st.cmd.Args)
	if err != nil {
		return failureOf(err)
	}
	kwargs, err := plainOrNil(st.cmd.Kwargs)
	if err != nil {
		return failureOf(err)
	}
	if st.call, err = st.act.Bind(args, kwargs); err != nil {
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
func (x *execution) ask(c *starlark.Command) *step {
	st := x.newStep(c)
	if c.Kind == starlark.StartTimer {
		st.due = max(x.now+c.Delay.Microseconds(), 1)
	}
	x.asks(st)
	return st
}

func (x *execution) asks(st *step) {
	x.seq++
	st.seq = x.seq
	st.asked = x.now
	if x.live && st.startTimeout > 0 {
		st.asked = max(x.now, x.w.clock.now()) // not stamped: the script would see it now, and not on replay
	}
	x.steps.Put(st.cmd.Step, st)
}

// enqueue makes a step's next attempt wait for its turn, here or elsewhere.
func (x *execution) enqueue(st *step) {
	x.w.configure(st)
	away := x.away(st) || x.yields(st)
	switch {
	case x.holdsBack(st, away):
		x.queueUp(st, &x.behind)
	case away:
		x.taskLater(st)
	default:
		x.queueUp(st, &x.ready)
	}
}

// queueUp makes a step's attempt wait for its turn.
func (x *execution) queueUp(st *step, line *[]*step) {
	st.call = nil // decoded arguments are not worth their room while they wait
	if !st.queued {
		st.queued = true
		st.due = 0
		*line = append(*line, st)
		if st.startTimeout > 0 {
			ev := event{kind: evLate, run: x.rec.RunNumber, step: st.cmd.Step}
			st.timer = time.AfterFunc(max(0, x.w.clock.until(x.startBy(st))), func() { x.post(ev) })
		}
	}
}

// unwait ends the step's waiting for a slot, or for the next attempt.
func (st *step) unwait() {
	if st.timer != nil {
		st.timer.Stop()
		st.timer = nil
	}
}

// absorbLate fails a step whose attempt has waited too long for a slot.
func (x *execution) absorbLate(st *step) (d starlark.Delivery, ok bool) {
	if !st.queued || st.running || st.dropped || x.w.clock.until(x.startBy(st)) > 0 {
		return d, false // it has begun, or waits for another attempt
	}
	st.queued = false
	x.ready = slices.DeleteFunc(x.ready, func(r *step) bool { return r == st })
	return x.failed(st, notStarted(st)), true
}

// taskLater makes the next attempt of a step that was asked for earlier a task.
func (x *execution) taskLater(st *step) {
	x.beginTask(st)
	x.note(entryBegin, st, nil)
}

// drop cancels a step: an attempt that runs, here or elsewhere, is told and awaited, anything else ends at once.
func (x *execution) drop(st *step) {
	if st.dropped {
		return
	}
	st.dropped = true
	if a := x.attempts.At(st.cmd.Step); a != nil {
		a.Cancel()
		return
	}
	if x.dropOther(st) {
		return
	}
	if st.remote { // its outcome comes as a message, also when nobody runs it
		g := x.gather()
		g.Withdraw = append(g.Withdraw, backend.TaskRef{Step: st.cmd.Step, Attempt: st.begun})
		return
	}
	if other(st.cmd.Kind) || !st.running { // else it begins with this turn, and start finds it dropped
		x.post(event{kind: evDropped, run: x.rec.RunNumber, step: st.cmd.Step})
	}
}

// Now implements starlark.Host.
func (x *execution) Now() time.Time { return fromMicro(x.now) }

// Log implements starlark.Host. Lines printed on replay are stored already.
func (x *execution) Log(l starlark.Line) {
	n := x.lines
	x.lines++
	if !x.live || n < x.printed {
		return
	}
	at := fromMicro(x.w.clock.now())
	g := x.gather()
	g.Logs = append(g.Logs, backend.LogLine{Ordinal: n, At: at, Step: l.Branch, Level: l.Level, Message: l.Message, Fields: l.Fields})
	if x.w.options.Observer != nil {
		x.observe(Event{Kind: Logged, Execution: x.rec.ID, At: at, Line: &LogLine{
			Run: x.rec.RunNumber, Ordinal: n, At: at, Branch: l.Branch, Level: l.Level, Message: l.Message, Fields: l.Fields,
		}})
	}
}

// ChildID implements starlark.Host. On replay it is the one in the journal, which may be of an earlier run.
func (x *execution) ChildID(step string) string {
	if !x.live {
		if e, err := x.journal.peek(); err == nil && e != nil && e.asked() && string(e.step) == step && e.target != nil {
			return string(e.target)
		}
	}
	return starlark.Origin(x.rec.ID, x.rec.RunNumber) + "." + step
}

// Publish implements starlark.Host. What is shown on replay is stored already.
func (x *execution) Publish(shown []byte) {
	if !x.live {
		return
	}
	x.gather().Published = shown
	if x.w.options.Observer != nil {
		if plain, err := starlark.PlainShown(shown); err == nil {
			x.observe(Event{Kind: Published, Execution: x.rec.ID, Shown: plain})
		}
	}
}

// FanOut implements starlark.FanOutHost.
func (x *execution) FanOut(group string, tasks int) {
	if x.live && x.w.options.Observer != nil {
		x.observe(Event{Kind: FannedOut, Execution: x.rec.ID, Step: group, Tasks: tasks})
	}
}

// Busy implements starlark.BusyHost: what a script computes after its worker has ended is for nobody.
func (x *execution) Busy() error {
	if !x.proof && x.w.ctx.Err() != nil {
		return errLost
	}
	return nil
}

// Wait implements starlark.Host: the end of a turn, unless more is there to be delivered in it.
func (x *execution) Wait() (starlark.Delivery, error) {
	if !x.live {
		d, ok, err := x.replayWait()
		if ok || err != nil {
			return d, err
		}
	}
	if err := x.takeUp(); err != nil {
		return starlark.Delivery{}, err
	}
	for {
		if x.w.ctx.Err() != nil || x.stillborn() {
			return starlark.Delivery{}, errLost
		}
		if err := x.look(); err != nil {
			return starlark.Delivery{}, err
		}
		for !x.full() && x.upgrading == nil { // else the turn is large enough, or what comes next is for the other code
			ev, ok := x.take()
			if !ok {
				break
			}
			if x.leaves() && x.attempts.At(ev.step) == nil {
				continue // whoever takes it up finds that again
			}
			x.evict.Store(false)
			if ev.kind == evCut && ev.run == x.rec.RunNumber || ev.kind == evMessage && ends(ev.message) {
				return starlark.Delivery{}, x.cutBy(&ev)
			}
			if d, ok := x.absorb(&ev); ok {
				x.fresh = false
				return d, nil
			}
		}
		x.beginReady()
		switch {
		case !x.dirty():
		case x.mayRunAhead():
			x.runAhead()
		case x.outpaced: // what is on its way lands first, and that may be all it takes
			if err := x.caughtUp(); err != nil {
				return starlark.Delivery{}, err
			}
			continue
		default:
			if err := x.seal(); err != nil {
				return starlark.Delivery{}, err
			}
			if x.w.stopping.Load() {
				x.parting++
			}
			continue
		}
		if x.upgrading != nil {
			if err := x.caughtUp(); err != nil {
				return starlark.Delivery{}, err
			}
			return starlark.Delivery{}, errUpgrade
		}
		if x.slots > 0 {
			x.w.slots.give(x.slots)
			x.slots = 0
		}
		x.settleSuspects()
		if err := x.rest(); err != nil {
			return starlark.Delivery{}, err
		}
	}
}

// partingTurns is how many turns an execution may take while its worker stops, once nothing of it runs here. Most come to rest
// within one or two; the answers to what it asks of others keep one that never does for ever.
const partingTurns = 16

// leaves reports whether the worker, which is being stopped, waits only for what runs here of the execution.
func (x *execution) leaves() bool {
	return x.w.cut.Load() || x.parting >= partingTurns && x.attempts.Len() == 0
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
	idle := x.attempts.Len() == 0
	switch {
	case x.w.options.ReplayAlways && x.live && !x.fresh:
		return errRestart
	case idle && (x.w.stopping.Load() || x.evict.Load() && !x.waits()):
		return x.release()
	case x.w.cut.Load():
		return x.handBack()
	}
	if idle && x.cancelled == nil && !x.waits() { // one whose attempts wait for their turn, or cleans up, is not let go
		x.spare = nil // it may be long until the next step
		x.w.parking.park(x)
		defer x.w.parking.unpark(x)
	}
	return x.block()
}

// hasMail reports whether something was posted that was not taken.
func (x *execution) hasMail() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.mail) > 0
}

// block waits until something comes; that may be the end of the worker.
func (x *execution) block() error {
	if x.w.ctx.Err() != nil { // who was not held yet was not poked when it ended
		return errLost
	}
	<-x.wake
	return nil
}

// release lets the execution go; its messages or its next due time bring it back.
func (x *execution) release() error {
	t := x.turn(backend.Release)
	t.Due = x.due()
	if x.leaves() { // what it has passed over waits for nothing
		t.Due = fromMicro(x.w.clock.now())
	}
	x.closeRows()
	r, err := x.landing(t)
	if !t.Due.IsZero() {
		x.w.dues.add(t.Due.UnixMicro())
	}
	switch {
	case err != nil:
		return err
	case r.kept && !x.leaves():
		x.evict.Store(false)
		x.w.look()
		if x.hasMail() { // it came while the turn was on its way, which has heard the knock
			return nil
		}
		return x.block()
	}
	x.w.options.Metrics.released()
	return starlark.ErrEvicted
}

// handBack gives up attempts that did not end in time: they count as nothing.
func (x *execution) handBack() error {
	for _, id := range x.attempts.Keys() {
		a := x.attempts.At(id)
		a.stop()
		a.giveUp()
		x.w.options.Metrics.attempt(a.Identity.Activity, AttemptReturned, a.measured)
		x.handedBack(a)
		if st := x.steps.At(id); st != nil {
			st.running = false
			st.begun = a.number
		}
		x.attempts.Delete(id)
		x.slots++
	}
	return x.release()
}
