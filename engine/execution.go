// A held execution: its mailbox, and the goroutine that drives its script.

package engine

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/internal/few"
	"github.com/senpuki/senpuki/starlark"
)

// execution is one execution that this worker owns. Its goroutine runs the
// script; the script calls back through Host (host.go). Fields below the mailbox
// belong to whoever holds the script's baton.
type execution struct {
	w     *worker
	rec   heldRecord
	prog  *starlark.Program
	extra *extra // of rec, once it was looked at; nil: none

	wake chan struct{} // capacity 1: look at the mailbox and the flags

	mu   sync.Mutex // guards mail and seen
	mail []event
	seen map[int64]int64 // inbox messages posted here; value: see receive

	wants, granted int // guarded by slots.mu

	evict  atomic.Bool // asked to be released when it waits
	endsAt int64       // who has begun to wait by then waits for this end; see Engine.changed
	going  atomic.Bool // a turn that lets it go is on its way, or has landed
	up     atomic.Bool // its turn is on its way; see flight
	nudged atomic.Bool // something came for the script meanwhile
	place  parkPlace   // guarded by worker.parking.mu

	newborn       bool // never claimed before: there is no journal
	firstborn     bool // likewise, when this worker came to hold it
	unborn        bool // the first row may be there, of a birth that was not heard of; see neverBegan
	unbegun       bool // the journal has nothing yet that the script asked for or was told
	trying        bool // but it has that this attempt of the whole began
	continued     bool // this worker has just begun the run: it has told nothing
	live          bool // the journal is used up: what is asked now is new
	resumed       bool // goLive found the journal of an earlier life
	fresh         bool // replayed and nothing delivered since (ReplayAlways)
	moved         bool // the journal says that the code was replaced
	proof         bool // only replayed, in memory
	queued        bool // waits for slots
	wary          bool // it has suspects
	expired       bool
	releasedTwice bool // a release was tried more than once; see doubts.released

	birth     *birth  // not stored yet; nil: it is
	journal   *cursor // nil: live
	now       int64   // time of the entry last delivered
	started   int64
	since     int64          // when this worker came to hold it
	steps     few.Map[*step] // that are under way, by name
	spare     *step          // that is over, for the next one
	seq       int
	ready     []*step           // attempts that wait for a slot
	behind    []*step           // attempts that wait for other suspects
	attempts  few.Map[*attempt] // that run here, by step
	slots     int               // in hand
	reborn    map[string]string // ids of children that were begun again -> of the newest
	gathered  *gathered         // the turn under way; nil: nothing
	outrun    *outrun           // the turn before, when the script did not wait for it; nil: none
	reach     int               // how many steps may have begun whose rows have not landed, if more than minAhead
	outpaced  bool              // there are that many, some of them in the turn that is on its way
	final     *gathered         // the turn with which the execution has ended; nil: it has not
	nextRow   int64
	turns     int              // landed since the execution was claimed
	landedAt  int64            // when the newest did, by the database
	line      *lineage         // of its spans; nil until somebody asks
	upgrading *backend.Message // asks for other code
	heeded    int64            // message for which an execution that is stuck was tried before its time
	watch     watcher          // of a proof, may be nil
	source    *originRun       // that asked for the entries which are read now, and whose journal was copied; nil: this run
	draws     string           // the run whose random numbers are drawn, when it is not origin
	carried   *carried         // what the run took over from the one before
	listening []listening      // in the order in which they were asked for
	printed   int64            // lines that a run which has only begun has told already
	underWay  *underWay        // what is to be taken up, after a replay
	lines     int64
	mailbox   []event             // taken from mail
	absorbed  int                 // of mailbox
	parting   int                 // turns since the worker is being stopped
	cancelled *activities.Failure // the user cancelled, or the execution expired
	expiry    *time.Timer
	cleanup   *time.Timer // posts evCut
	cutAt     int64       // when; 0: not cancelled
}

// errRestart unwinds a script that is replayed at once.
var errRestart = fmt.Errorf("%w: restart", starlark.ErrEvicted)

// errLost unwinds a script whose turn cannot land any more.
var errLost = fmt.Errorf("%w: ownership lost", starlark.ErrEvicted)

func newExecution(w *worker, c backend.Claimed) *execution {
	x := &execution{
		w: w, rec: heldRecordOf(&c.Execution), newborn: c.Fresh, firstborn: c.Fresh, carried: &nothingCarried, since: w.clock.now(),
		wake: make(chan struct{}, 1),
	}
	x.deliverAll(c.Inbox)
	return x
}

// poke makes the execution's goroutine look around.
func (x *execution) poke() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// post puts an event into the mailbox.
func (x *execution) post(ev event) {
	x.mu.Lock()
	x.mail = append(x.mail, ev)
	x.mu.Unlock()
	x.poke()
}

// deliver posts an inbox message unless it was posted before.
func (x *execution) deliver(m *backend.Message) {
	x.mu.Lock()
	if x.seen == nil {
		x.seen = make(map[int64]int64)
	}
	_, again := x.seen[m.ID]
	if !again {
		x.seen[m.ID] = 0
		x.mail = append(x.mail, event{kind: evMessage, message: m})
	}
	x.mu.Unlock()
	if !again {
		x.poke()
	}
}

func (x *execution) deliverAll(inbox []backend.Message) {
	for i := range inbox {
		x.deliver(&inbox[i])
	}
}

// drive runs the script until it ends, is released or is lost.
func (x *execution) drive() {
	growStack(x == nil)
	defer x.leave()
	for {
		err := x.cutFirst()
		if err == nil {
			err = x.sound()
		}
		if err == nil {
			err = x.prepare()
		}
		if err == nil {
			err = x.waitsToTry()
		}
		if err == nil {
			err = x.runScript()
		}
		switch {
		case errors.Is(err, errCut):
			err = x.endCut()
		case errors.Is(err, errUpgrade):
			err = x.upgrade()
		}
		switch {
		case err == nil, errors.Is(err, errRestart):
		case errors.Is(err, starlark.ErrEvicted):
			return
		default:
			if x.expires() || !x.stuck(err) {
				return
			}
			if errors.Is(err, errRecord) {
				x.reread()
			}
		}
		if err == nil {
			return
		}
	}
}

// runScript runs the script from its first line; nil says that it has ended.
func (x *execution) runScript() error {
	value, err := x.prog.Run(x, x.options(x.w.options.MaxSteps, x.w.options.MaxValue))
	var failure *starlark.Failure
	var next *starlark.Continuation
	switch {
	case errors.As(err, &next):
		if !x.live {
			return &NondeterminismError{Want: "continues as new", Have: x.journal.describe()}
		}
		return x.continueAs(next)
	case err != nil && !errors.As(err, &failure):
		return err
	}
	if failure != nil && failure.Kind == activities.KindBadArguments {
		if err := damagedInput(x.rec.Input); err != nil {
			return err
		}
	}
	if !x.live {
		return &NondeterminismError{Want: "ends", Have: x.journal.describe()}
	}
	return x.end(value, failure)
}

// options say what the script runs with.
func (x *execution) options(maxSteps uint64, maxValue int) *starlark.Options {
	return &starlark.Options{
		Function: x.rec.Function, Input: x.input(), MaxSteps: maxSteps, MaxValue: maxValue,
		Info: starlark.Info{
			ID: x.rec.ID, Run: x.rec.RunNumber, Workflow: x.rec.Workflow, Digest: x.rec.Digest,
			StartedAt: fromMicro(x.started), Parent: x.rec.Parent, Tags: x.rec.Tags, Origin: x.origin(),
		},
		Shown: x.carried.Shown, Signals: x.carried.deliveries(),
	}
}

// origin names the run on which the script's random numbers depend: of a rerun the one whose journal was copied first. "" is this run.
func (x *execution) origin() string {
	if o := x.carried.Origin; o != nil {
		return starlark.Origin(o.ID, o.Run)
	}
	return ""
}

// input is what the run was begun with; that of the first run is the execution's own.
func (x *execution) input() []byte {
	if x.carried.Input != nil {
		return x.carried.Input
	}
	return x.rec.Input
}

// prepare gets the journal and the program. Other code that somebody asks for comes first: this may be what cannot go on.
func (x *execution) prepare() error {
	first := x.prog == nil
	asked := x.inMail(upgrades)
	if !x.newborn || !first || asked != nil {
		if err := x.rewind(); err != nil {
			return err
		}
	}
	if asked != nil {
		found := func(ev event) bool { return ev.message == asked }
		x.mailbox, x.absorbed = slices.DeleteFunc(x.mailbox[x.absorbed:], found), 0
		x.mu.Lock()
		x.mail = slices.DeleteFunc(x.mail, found)
		x.mu.Unlock()
		x.upgrading, x.newborn = asked, false
		return errUpgrade
	}
	prog, err := x.w.program(x.rec.Digest)
	if err != nil {
		return err
	}
	x.prog = prog
	if !first {
		return nil
	}
	started := ExecutionResumed
	if x.newborn {
		started = ExecutionStarted
		x.begin()
	}
	x.observe(Event{Kind: started, Execution: x.rec.ID, Name: x.rec.Workflow})
	return nil
}

// begin opens the journal of a new run.
func (x *execution) begin() {
	x.live, x.unbegun = true, true
	x.now = x.w.clock.now()
	x.started = x.now
	x.put(&entry{kind: []byte(entryStart), at: x.now, version: journalVersion, edition: starlark.Edition})
	x.scheduleExpiry()
}

// rewind reads the journal and makes ready to replay it.
func (x *execution) rewind() error {
	if err := x.caughtUp(); err != nil {
		return err
	}
	x.live, x.unbegun, x.resumed, x.turns = false, false, true, 0
	replayAt := x.w.options.Metrics.clock()
	x.steps = few.Map[*step]{}
	x.seq, x.lines, x.now = 0, 0, 0
	x.unsuspect()
	x.ready, x.listening = nil, nil
	x.cancelled, x.expired, x.source, x.moved, x.draws = nil, false, nil, false, ""
	x.underWay, x.printed, x.trying, x.reborn = nil, 0, false, nil
	x.discard() // a turn that did not land
	rows, err := x.w.journal(x.rec.Run)
	if err != nil {
		return err
	}
	x.nextRow = int64(len(rows))
	if len(rows) == 0 {
		x.begin()
		return nil
	}
	x.newborn = false
	if err := x.open(rows); err != nil {
		return err
	}
	x.journal.begun = replayAt
	e, err := x.journal.peek()
	if err != nil || e != nil {
		return err
	}
	x.unbegun = true // a run that has only begun, and may have told something
	if !x.moved && !x.continued {
		if x.printed, err = x.nextLine(0); err != nil {
			return err
		}
	}
	x.continued = false
	x.goLive()
	return x.takeUp()
}

// open begins to read a journal.
func (x *execution) open(rows [][]byte) error {
	x.journal = &cursor{rows: rows}
	e, err := x.journal.peek()
	switch {
	case err != nil:
		return err
	case e == nil || !e.is(entryStart):
		return fmt.Errorf("%w: row 0 does not begin the run", errRow)
	case e.version > journalVersion:
		return fmt.Errorf("journal has format %d, this release reads up to %d; use a newer senpuki", e.version, journalVersion)
	}
	x.now, x.started = e.at, e.at
	x.carried = &nothingCarried
	if e.value != nil {
		x.carried = new(carried)
		if err := json.Unmarshal(e.value, x.carried); err != nil {
			return fmt.Errorf("%w: what the run took over: %w", errRow, err)
		}
	}
	if x.carried.Rerun {
		x.source = x.carried.Origin
	}
	x.journal.advance()
	for { // what a run that had only begun was told before its script ran
		e, err := x.journal.peek()
		switch {
		case err != nil || e == nil:
			return err
		case e.is(entryRerun):
			if err := x.readOn(e, x.now); err != nil {
				return err
			}
		case e.is(entryUpgrade):
			x.moved = x.moved || e.failure == nil
		case e.is(entryTry):
			x.started, x.trying = e.at, true
		default:
			return nil
		}
		if e.at != 0 {
			x.now = e.at
		}
		x.journal.advance()
	}
}

// end records the outcome of the script.
func (x *execution) end(value []byte, failure *starlark.Failure) error {
	if failure != nil {
		if again, err := x.tryAgain(failure); again || err != nil {
			return err
		}
	}
	t := x.turn(backend.Finish)
	switch {
	case x.expired && (failure == nil || failure.Kind == activities.KindCancelled): // what it caught and then returned comes too late
		t.State, t.Failure = backend.TimedOut, encodeFailure(x.cancelled)
	case failure == nil:
		t.State, t.Result = backend.Completed, value
	case x.cancelled != nil && failure.Kind == activities.KindCancelled:
		t.State, t.Failure = backend.Cancelled, encodeFailure(ActivityFailure(failure))
	default:
		t.State, t.Failure = backend.Failed, encodeFailure(ActivityFailure(failure))
	}
	e := &entry{kind: []byte(entryEnd), at: x.stamp(), name: []byte(t.State), failure: t.Failure}
	if failure != nil && failure.Step != "" {
		e.step = []byte(failure.Step)
	}
	x.put(e)
	x.closeRows()
	return x.ended(t)
}

// ended lands the last turn and tells of the end.
func (x *execution) ended(t *backend.Turn) error {
	g := x.gathered
	x.endsAt = x.w.engine.waits.Load()
	r, err := x.landing(t)
	if err != nil {
		return err
	}
	x.final = g
	ev := Event{Kind: ExecutionEnded, Execution: x.rec.ID, Name: string(t.State)}
	if t.Failure != nil {
		ev.Failure = shownFailure(t.Failure)
		x.w.log.Info("execution ended without a result", "execution", x.rec.ID, "workflow", x.rec.Workflow, "run", x.rec.RunNumber, "state", t.State, "failure", ev.Failure.Error())
	}
	x.w.engine.disown(x.rec.ID)
	if r.told {
		x.w.look()
	}
	x.w.options.Metrics.ended(t.State)
	x.traceRun(ev.Failure)
	x.observe(ev)
	return nil
}

// stuck leaves an execution that cannot be advanced where its journal stands.
// Outcomes that the failed turn had consumed are kept, so that no attempt is
// run again for it. It reports whether the script is to be tried again here:
// when messages kept the execution from being released.
func (x *execution) stuck(cause error) (again bool) {
	consumed := x.keepMarked()
	x.cutAttempts()
	s := backend.Stuck{Reason: cause.Error(), Since: fromMicro(x.w.clock.now()), Tries: 1}
	if x.rec.Stuck != nil {
		s.Since, s.Tries = x.rec.Stuck.Since, x.rec.Stuck.Tries+1
	}
	for i := range consumed {
		x.keep(&consumed[i])
	}
	for _, id := range x.attempts.Keys() {
		x.handedBack(x.attempts.At(id))
		x.attempts.Delete(id)
		x.slots++
	}
	backoff := time.Second << min(s.Tries, 8)
	t := x.turn(backend.Release)
	t.Stuck = &s
	x.closeRows()
	t.Due = fromMicro(x.w.clock.now()).Add(backoff)
	x.w.options.Metrics.stuck()
	x.w.log.Warn("execution is stuck", "execution", x.rec.ID, "reason", s.Reason, "next_try", t.Due)
	r, err := x.landing(t)
	if err != nil {
		return false
	}
	x.rec.Stuck = &s
	x.w.dues.add(t.Due.UnixMicro())
	x.observe(Event{Kind: ExecutionStuck, Execution: x.rec.ID, Failure: &activities.Failure{Kind: "Stuck", Message: s.Reason}})
	if !r.kept {
		return false
	}
	x.giveSlots()
	x.unread()
	timer := time.NewTimer(backoff)
	defer timer.Stop()
	for {
		if x.w.stopping.Load() { // revoking the session frees it
			return false
		}
		// What needs no script need not wait. An upgrade may find the journal damaged, too: then once is enough.
		if m := x.inMail(func(m *backend.Message) bool { return ends(m) || upgrades(m) && m.ID > x.heeded }); m != nil {
			x.heeded = m.ID
			return true
		}
		select {
		case <-timer.C:
			return true
		case <-x.wake:
		case <-x.w.ctx.Done():
			return false
		}
	}
}

// giveSlots gives back every slot that the execution has or waits for.
func (x *execution) giveSlots() {
	x.queued = false
	x.unsuspect()
	x.w.slots.leave(x)
	x.w.slots.give(x.slots)
	x.slots = 0
}

// unread has all messages posted again that no turn has taken: also those that a turn took which did not land, and in their order.
func (x *execution) unread() {
	x.upgrading = nil
	fromInbox := func(ev event) bool { return ev.kind == evMessage }
	x.mailbox, x.absorbed = slices.DeleteFunc(x.mailbox[x.absorbed:], fromInbox), 0
	x.mu.Lock()
	x.mail = slices.DeleteFunc(x.mail, fromInbox)
	maps.DeleteFunc(x.seen, func(_, taken int64) bool { return taken == 0 })
	x.mu.Unlock()
	x.w.look()
}

// keep journals a consumed event without delivering it, unless an earlier try has.
func (x *execution) keep(ev *event) {
	if ev.kind != evAttempt || ev.stored {
		return
	}
	e := &entry{kind: []byte(entryGot), at: x.stamp(), step: []byte(ev.step), attempt: ev.attempt, value: ev.value}
	if ev.failure != nil {
		e.failure = encodeFailure(ev.failure)
	}
	x.put(e)
}

// leave gives back what the execution holds of the worker.
func (x *execution) leave() {
	x.stopTimers()
	for _, st := range x.steps.All() {
		if st.timer != nil {
			st.timer.Stop()
		}
	}
	x.slots += x.attempts.Len() + len(x.starting())
	x.unsuspect()
	x.cutAttempts()
	x.w.slots.leave(x)
	x.w.slots.give(x.slots)
	if b := x.birth; b == nil {
		x.w.gone(x)
	} else if !b.sent.Swap(true) { // the worker ends
		b.r.err = backend.ErrFenced
		x.w.decided(b)
	}
}

// cutAttempts cancels the contexts of all attempts that run here.
func (x *execution) cutAttempts() {
	for _, a := range x.attempts.All() {
		a.stop()
	}
}

func (a *attempt) stop() {
	a.Cancel()
	a.stopTimers()
}

func (a *attempt) stopTimers() {
	if a.timeout != nil {
		a.timeout.Stop()
	}
	if a.pulse != nil {
		a.pulse.Stop()
	}
}
