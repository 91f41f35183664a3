// A turn: gathering entries into rows, landing them, starting what may begin.

package engine

import (
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// maxRow is the size at which a turn goes on in another row of the same transaction.
const maxRow = 4 << 20

// put adds an entry to the turn under way.
func (x *execution) put(e *entry) {
	if len(x.row) > maxRow {
		x.rows = append(x.rows, append(x.row, ']'))
		x.row = nil
	}
	if x.row == nil {
		x.row = make([]byte, 0, 512)
	}
	if len(x.row) == 0 && len(x.rows) == 0 {
		x.turnAt = x.w.options.clock()
	}
	x.row = e.append(x.row)
}

// note journals how the newest attempt of a step stands.
func (x *execution) note(kind string, st *step, failure []byte) {
	e := entry{kind: []byte(kind), at: x.stamp(), step: []byte(st.cmd.Step), attempt: st.begun, failure: failure, retry: st.due}
	if kind == entryBegin && st.remote {
		e.task, e.options = 1, st.elsewhere
	}
	if kind == entryBegin && st.child != "" {
		e.target = []byte(st.child)
		if st.digest != x.rec.Digest {
			e.digest = []byte(st.digest)
		}
	}
	x.put(&e)
}

// handedBack journals that an attempt which runs here counts as nothing.
func (x *execution) handedBack(a *attempt) {
	x.put(&entry{kind: []byte(entryBack), at: x.stamp(), step: []byte(a.Identity.Step), attempt: a.number})
}

// done journals the value of a step, and of a shared result that another step computed it (backend.Hit). The step is over.
func (x *execution) done(st *step, name string, value []byte) starlark.Delivery {
	id := st.cmd.Step
	e := entry{kind: []byte(entryDone), at: x.stamp(), step: []byte(id), value: value}
	if name != "" {
		e.name = []byte(name)
	}
	x.put(&e)
	x.steps.Delete(id)
	if x.w.options.Observer != nil {
		x.observe(Event{Kind: StepDone, Execution: x.rec.ID, Step: id, Name: stepName(&st.cmd)})
	}
	return starlark.Delivery{Kind: starlark.StepOutcome, Step: id, Value: value}
}

// stamp is the time of a new entry: database time, never before the entry last delivered.
func (x *execution) stamp() int64 {
	x.now = max(x.now, x.w.clock.now())
	return x.now
}

// dirty reports whether the turn under way has something to land.
func (x *execution) dirty() bool {
	return len(x.row) > 0 || len(x.rows) > 0 || len(x.logs) > 0 || len(x.taken) > 0 || x.publish != nil
}

// closeRows returns the rows of the turn under way.
func (x *execution) closeRows() [][]byte {
	if len(x.row) > 0 {
		x.rows = append(x.rows, append(x.row, ']'))
		x.row = nil
	}
	return x.rows
}

// turns keeps the records of turns that have landed; turn() uses them again.
var turns = sync.Pool{New: func() any { return new(backend.Turn) }}

// turn begins the record of the turn under way.
func (x *execution) turn(then backend.Then) *backend.Turn {
	t := turns.Get().(*backend.Turn)
	t.Execution, t.Run, t.First, t.Then = x.rec.ID, x.rec.Run, x.nextRow, then
	t.Taken, t.Logs, t.Published = x.taken, x.logs, x.publish
	t.Children, t.Orders, t.Watches = x.children, x.orders, x.watches
	t.Tasks, t.Withdraw, t.Reserve, t.Memos, t.Dead = x.tasks, x.withdrawn, x.reservations, x.memos, x.dead
	return t
}

// land writes a turn and returns errLost when it can never land.
func (x *execution) land(t *backend.Turn) error {
	_, err := x.landing(t)
	return err
}

func (x *execution) landing(t *backend.Turn) (wrote, error) {
	if err := x.caughtUp(); err != nil {
		return wrote{}, errLost
	}
	r, err := x.submit(t, false)
	if err == nil {
		x.took(t, r.now)
	}
	return r, err
}

// took notes that a turn has landed.
func (x *execution) took(t *backend.Turn, at time.Time) {
	x.ahead.row, x.ahead.lines, x.ahead.steps, x.ahead.shown = 0, 0, 0, nil
	x.ahead.landed++
	x.w.options.Metrics.turn(x.turnAt)
	x.traceTurn()
	x.turnAt = time.Time{}
	x.told(t)
	x.nextRow += int64(len(t.Rows))
	x.landedAt = at
	if len(t.Rows) > 0 && t.Stuck == nil {
		x.rec.Stuck = nil
	}
	if t.Published != nil {
		x.rec.Published = t.Published
	}
	x.landed(t.Taken)
	if len(t.Rows) == 1 && cap(t.Rows[0]) <= 64<<10 {
		x.row = t.Rows[0][:0] // its buffer serves the next turn
	}
	clear(x.rows)
	x.rows, x.taken, x.logs, x.publish, x.consumed = x.rows[:0], nil, nil, nil, x.consumed[:0]
	x.forgetOthers()
}

// finishes is finish for the committer; false after a panic.
func (x *execution) finishes(t *backend.Turn, at time.Time) (ok bool) {
	defer func() {
		if !ok {
			x.flight.panicked = recover()
		}
	}()
	x.finish(t, at)
	return true
}

// flight is the turn that the script waits for.
type flight struct {
	write    write
	landed   func(wrote) // touchdown, made once
	answer   wrote
	quiet    bool
	panicked any         // with what finish has panicked, an observer's call say
	up       atomic.Bool // on its way: until this is false again the execution belongs to the committer
	nudged   atomic.Bool // something came for the script meanwhile
}

// submit writes a turn, and with the first one the execution. What follows from a quiet turn
// is done when it has landed; see finish.
func (x *execution) submit(t *backend.Turn, quiet bool) (wrote, error) {
	if err := x.w.bounded(t); err != nil {
		return wrote{}, err
	}
	if b := x.birth; b != nil {
		if landed, err := x.comeToLife(t); landed || err != nil {
			return b.r, err
		}
	}
	leaves := t.Then == backend.Release || t.Then == backend.Finish
	if leaves {
		x.going.Store(true)
	}
	r := x.fly(t, quiet)
	if r.err != nil {
		return r, x.refusedTurn(t, r.err)
	}
	if t.Then == backend.Release && r.again {
		x.releasedTwice = true
	}
	if leaves && r.kept {
		x.w.stays(x)
	}
	return r, nil
}

// refusedTurn gives everything up: what this worker holds is not what it thinks.
func (x *execution) refusedTurn(t *backend.Turn, err error) error {
	if !errors.Is(err, backend.ErrFenced) {
		x.w.log.Error("turn refused", "execution", x.rec.ID, "row", t.First, "error", err)
	}
	x.w.lose()
	return errLost
}

// told makes this worker look for what a landed turn has done to other
// executions, or to the inbox of its own.
func (x *execution) told(t *backend.Turn) {
	if len(t.Children) > 0 {
		x.w.newWork()
		for i := range t.Children {
			x.w.engine.adoptWith(x.rec.ID, t.Children[i].ID)
		}
	}
	ends := t.Then == backend.Finish && (x.rec.Parent != "" || x.w.engine.watched.Load())
	if len(t.Children)+len(t.Orders)+len(t.Watches)+len(t.Tasks)+len(t.Withdraw)+len(t.Reserve)+len(t.Memos) == 0 && !ends {
		return
	}
	if len(t.Watches) > 0 {
		x.w.engine.watched.Store(true)
	}
	if len(t.Withdraw) > 0 {
		x.w.recall()
	}
	x.w.look()
}

// keepChild looks after a child that a resumed execution waits for.
func (x *execution) keepChild(st *step) { x.w.engine.adoptWith(x.rec.ID, st.child) }

// landed marks inbox messages as taken; see receive.
func (x *execution) landed(taken []int64) {
	if len(taken) == 0 {
		return
	}
	pass := x.w.pass.Load()
	x.mu.Lock()
	for _, id := range taken {
		x.seen[id] = pass
	}
	x.mu.Unlock()
}

// seal lands the turn under way and then starts the attempts that it lists.
func (x *execution) seal() error {
	x.w.slots.give(x.slots)
	x.slots = 0
	t := x.turn(backend.Hold)
	t.Rows = x.closeRows()
	if err := x.caughtUp(); err != nil {
		return errLost
	}
	quiet := x.mayBeQuiet()
	r, err := x.submit(t, quiet)
	if err != nil {
		return err
	}
	if !quiet {
		x.finish(t, r.now)
	}
	*t = backend.Turn{}
	turns.Put(t)
	return nil
}

// mayBeQuiet reports whether nothing is left to do for the script, once the turn under way has landed, until one
// of the attempts that begin with it has ended. Then the committer finishes the turn, and the script is not woken for it.
func (x *execution) mayBeQuiet() bool {
	return len(x.starting) > 0 && x.birth == nil && x.upgrading == nil && x.absorbed == len(x.mailbox) && !x.hasMail() &&
		x.w.options.Tracer == nil && !x.w.options.ReplayAlways
}

// finish does what follows when a turn has landed.
func (x *execution) finish(t *backend.Turn, at time.Time) {
	x.took(t, at)
	for i, st := range x.starting {
		x.start(st)
		x.starting[i] = nil
	}
	x.starting = x.starting[:0]
}

// fly sends a turn off and waits: for its landing or, when it is quiet, for whatever comes after it.
func (x *execution) fly(t *backend.Turn, quiet bool) wrote {
	f := &x.flight
	f.quiet = quiet
	f.nudged.Store(false)
	f.write.turn, f.write.done = t, f.landed
	if f.landed == nil {
		f.landed = x.touchdown
		f.write.done = f.landed
	}
	f.up.Store(true)
	x.w.committer.send(&f.write)
	for f.up.Load() {
		<-x.wake
		f.nudged.Store(true)
	}
	f.write.turn = nil
	if p := f.panicked; p != nil { // it costs this script, and not who commits
		f.panicked = nil
		panic(p)
	}
	return f.answer
}

// touchdown is told by the committer what became of the turn; x is its own until up is false.
func (x *execution) touchdown(r wrote) {
	f := &x.flight
	f.answer = r
	done := f.quiet && r.err == nil && x.finishes(f.write.turn, r.now)
	f.up.Store(false)
	if !done || f.nudged.Load() {
		x.poke()
	}
}

// mayBegin takes a slot for one attempt, from the hand or from the worker.
func (x *execution) mayBegin() bool {
	if x.w.stopping.Load() {
		return false
	}
	if x.slots == 0 && !x.w.slots.tryTake() {
		return false
	} else if x.slots > 0 {
		x.slots--
	}
	return true
}

// beginReady lists as many waiting attempts as there are slots for.
func (x *execution) beginReady() {
	if len(x.ready) == 0 || x.w.stopping.Load() {
		if x.queued {
			x.queued = false
			x.w.slots.leave(x)
		}
		return
	}
	if x.queued && x.slots > 0 && x.w.slots.contended() { // it takes turns with others
		x.w.slots.give(x.slots)
		x.slots = 0
	}
	if need := len(x.ready) - x.slots; need > 0 {
		x.slots += x.w.slots.take(x, need)
		x.queued = true
	}
	n := min(len(x.ready), x.slots)
	for _, st := range x.ready[:n] {
		st.queued = false
		if !x.stands(st) || st.dropped {
			continue
		}
		x.slots--
		x.begun(st)
		e := entry{kind: []byte(entryBegin), step: []byte(st.cmd.Step), attempt: st.begun}
		if x.w.clock.now()-x.now > noticeable { // it waited: for its delay, or for a slot
			e.at = x.stamp()
		}
		x.put(&e)
	}
	if x.ready = x.ready[n:]; len(x.ready) > 0 {
		x.overflow()
	}
}

// noticeable is from how many microseconds on an entry has a time of its own that need not have one.
const noticeable = 1000

// begun notes that the next attempt of a step begins with this turn.
func (x *execution) begun(st *step) {
	st.begun++
	st.running, st.remote = true, false
	st.due = 0
	st.unwait()
	x.starting = append(x.starting, st)
}

// stands reports whether the step is still waited for.
func (x *execution) stands(st *step) bool { return x.steps.At(st.cmd.Step) == st }

// schedule posts evDue for a step when its time has come.
func (x *execution) schedule(st *step) {
	ev := event{kind: evDue, run: x.rec.RunNumber, step: st.cmd.Step}
	wait := x.w.clock.until(st.due)
	if wait <= 0 {
		x.post(ev)
		return
	}
	st.timer = time.AfterFunc(wait, func() { x.post(ev) })
}

// scheduleExpiry posts evExpire when the execution's time is up.
func (x *execution) scheduleExpiry() {
	if x.rec.Expires.IsZero() || x.expiry != nil {
		return
	}
	x.expiry = time.AfterFunc(x.w.clock.until(x.rec.Expires.UnixMicro()), func() { x.post(event{kind: evExpire}) })
}

// due is when an ownerless execution has to be looked at again.
func (x *execution) due() time.Time {
	var first int64
	for _, st := range x.steps.All() {
		at := st.due
		if at == 0 && (other(st.cmd.Kind) || st.remote || st.memo != "" && !st.held) {
			continue
		}
		if at == 0 && st.cmd.Kind != "" { // an attempt that waits to begin
			at = x.w.clock.now()
		}
		if first == 0 || at < first {
			first = at
		}
	}
	if x.cutAt > 0 && (first == 0 || x.cutAt < first) {
		first = x.cutAt
	}
	if !x.rec.Expires.IsZero() && x.cancelled == nil {
		if at := x.rec.Expires.UnixMicro(); first == 0 || at < first {
			first = at
		}
	}
	return fromMicro(first)
}
