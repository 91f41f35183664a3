// A turn: gathering entries into rows, landing them, starting what may begin.

package engine

import (
	"errors"
	"sync"
	"time"

	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/starlark"
)

// maxRow is the size at which a turn goes on in another row of the same transaction.
const maxRow = 4 << 20

// put adds an entry to the turn under way.
func (x *execution) put(e *entry) {
	g := x.gather()
	if len(g.row) > maxRow {
		g.closeRow()
	}
	if g.row == nil {
		g.row = make([]byte, 0, 512)
	}
	if len(g.row) == 0 && len(g.Rows) == 0 {
		g.begun = x.w.options.clock()
	}
	g.row = e.append(g.row)
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

// gathered is what a turn brings together until it lands, and what waits for that.
type gathered struct {
	backend.Turn           // Rows: those that are closed
	row          []byte    // the one under way
	begun        time.Time // when the first entry was put; zero unless measured
	starting     []*step   // attempts that begin when the turn has landed
	consumed     []event   // outcomes that it took
	pure         int       // pure steps begun before it has landed
	marked       struct {  // see mark
		row, lines int // bytes, log lines
		shown      []byte
	}
}

// turns keeps what turns that have landed were gathered in.
var turns = sync.Pool{New: func() any { return new(gathered) }}

// maxRoom is how many items what is used again keeps room for.
const maxRoom = 64

// gather returns the turn under way.
func (x *execution) gather() *gathered {
	if x.gathered == nil {
		x.gathered = turns.Get().(*gathered)
	}
	return x.gathered
}

// recycle makes room for another turn of what this one was gathered in; nobody uses it any more.
func (g *gathered) recycle() {
	rows, row, starting, consumed := g.Rows, g.row[:0], g.starting, g.consumed
	if len(rows) == 1 && cap(rows[0]) <= 64<<10 {
		row = rows[0][:0]
	}
	if cap(rows) > maxRoom || cap(starting) > maxRoom || cap(consumed) > maxRoom {
		rows, starting, consumed = nil, nil, nil
	}
	clear(rows)
	clear(starting)
	clear(consumed[:cap(consumed)])
	*g = gathered{Turn: backend.Turn{Rows: rows[:0]}, row: row, starting: starting[:0], consumed: consumed[:0]}
	turns.Put(g)
}

// discard forgets the turn under way; the slots of attempts that were to begin with it are in hand.
func (x *execution) discard() {
	x.slots += len(x.starting())
	x.gathered = nil
}

// starting are the attempts that begin when the turn under way has landed.
func (x *execution) starting() []*step {
	if x.gathered == nil {
		return nil
	}
	return x.gathered.starting
}

// takes notes that the turn under way takes an inbox message.
func (x *execution) takes(m *backend.Message) {
	g := x.gather()
	g.Taken = append(g.Taken, m.ID)
}

// dirty reports whether the turn under way has something to land.
func (x *execution) dirty() bool {
	g := x.gathered
	return g != nil && (len(g.row) > 0 || len(g.Rows) > 0 || len(g.Logs) > 0 || len(g.Taken) > 0 || g.Published != nil)
}

// full reports whether the turn under way is large enough.
func (x *execution) full() bool { return x.gathered != nil && len(x.gathered.Rows) > 0 }

func (g *gathered) closeRow() {
	g.Rows = append(g.Rows, append(g.row, ']'))
	g.row = nil
}

// closeRows closes the last row of the turn under way, and returns them all.
func (x *execution) closeRows() [][]byte {
	g := x.gather()
	if len(g.row) > 0 {
		g.closeRow()
	}
	return g.Rows
}

// turn is the record of the turn under way.
func (x *execution) turn(then backend.Then) *backend.Turn {
	t := &x.gather().Turn
	t.Execution, t.Run, t.First, t.Then = x.rec.ID, x.rec.Run, x.nextRow, then
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

// took notes that the turn under way has landed.
func (x *execution) took(t *backend.Turn, at time.Time) {
	g := x.gathered
	x.turns++
	x.w.options.Metrics.turn(g.begun)
	x.told(t)
	x.nextRow += int64(len(t.Rows))
	x.landedAt = micro(at)
	if len(t.Rows) > 0 && t.Stuck == nil {
		x.rec.Stuck = nil
	}
	if t.Published != nil {
		x.rec.Published = t.Published
	}
	x.landed(t.Taken)
	x.gathered = nil
	x.traceTurn(g.begun) // last: somebody else's code may panic
}

// flight is a turn that its script waits for. While it is up the execution belongs to the committer.
type flight struct {
	x        *execution
	write    write // done: touchdown
	answer   wrote
	quiet    bool
	panicked any // with what finish has panicked, an observer's call say
}

// flights keeps those that have landed.
var flights = sync.Pool{New: func() any {
	f := &flight{}
	f.write.done = f.touchdown
	return f
}}

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
	releases := t.Then == backend.Release
	leaves := releases || t.Then == backend.Finish
	if leaves {
		x.going.Store(true)
	}
	r := x.fly(t, quiet)
	if r.err != nil {
		return r, x.refusedTurn(t, r.err)
	}
	if releases && r.again { // between the tries another worker may have had it, and what this one knows be old; see gone
		x.releasedTwice, r.kept = true, false
		x.w.dues.add(x.w.clock.now() + lateness)
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
	if len(t.Children)+len(t.Orders)+len(t.Watches)+len(t.Tasks)+len(t.Withdraw)+len(t.Reserve)+len(t.Memos) == 0 {
		return
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
	x.closeRows()
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
	return nil
}

// mayBeQuiet reports whether nothing is left to do for the script, once the turn under way has landed, until one
// of the attempts that begin with it has ended. Then the committer finishes the turn, and the script is not woken for it.
func (x *execution) mayBeQuiet() bool {
	return len(x.starting()) > 0 && x.birth == nil && x.upgrading == nil && x.absorbed == len(x.mailbox) && !x.hasMail() &&
		x.w.options.Tracer == nil && !x.w.options.ReplayAlways
}

// finish does what follows when the turn under way has landed. The record of it is gone then.
func (x *execution) finish(t *backend.Turn, at time.Time) {
	g := x.gathered
	x.took(t, at)
	x.startAll(g.starting)
	g.recycle()
}

// fly sends a turn off and waits: for its landing or, when it is quiet, for whatever comes after it.
func (x *execution) fly(t *backend.Turn, quiet bool) wrote {
	f := flights.Get().(*flight)
	f.x, f.write.turn, f.quiet = x, t, quiet
	x.nudged.Store(false)
	x.up.Store(true)
	x.w.committer.send(&f.write)
	for x.up.Load() {
		<-x.wake
		x.nudged.Store(true)
	}
	if p := f.panicked; p != nil { // it costs this script, and not who commits
		panic(p)
	}
	answer := f.answer
	f.x, f.answer = nil, wrote{}
	flights.Put(f)
	return answer
}

// touchdown is told by the committer what became of the turn. Once it is not up any more, both the execution and f are the script's.
func (f *flight) touchdown(r wrote) {
	x := f.x
	f.answer = r
	done := f.quiet && r.err == nil && f.finishes(r.now)
	f.write.turn = nil
	x.up.Store(false)
	if !done || x.nudged.Load() {
		x.poke()
	}
}

// finishes is finish for the committer; false after a panic.
func (f *flight) finishes(at time.Time) (ok bool) {
	defer func() {
		if !ok {
			f.panicked = recover()
		}
	}()
	f.x.finish(f.write.turn, at)
	return true
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
	g := x.gather()
	g.starting = append(g.starting, st)
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
	if x.rec.expires == 0 || x.expiry != nil {
		return
	}
	x.expiry = time.AfterFunc(x.w.clock.until(x.rec.expires), func() { x.post(event{kind: evExpire}) })
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
	if at := x.rec.expires; at != 0 && x.cancelled == nil && (first == 0 || at < first) {
		first = at
	}
	return fromMicro(first)
}
