// Running ahead: pure steps whose requests are not durable yet.
//
// An activity that is declared pure gives the same answer whenever it is run,
// and disturbs nothing. So its attempt may begin before the row that asks for it
// has landed, and the script may go on with its outcome: after a crash it simply runs
// again. Rows still land in order, what anybody else sees lands with them, and nothing but a pure attempt
// begins before its row is durable. One turn is on its way at a time; what comes meanwhile is gathered in the next.

package engine

import (
	"slices"

	"github.com/senpuki/senpuki/backend"
)

// maxAhead is how many pure steps may have begun whose rows have not landed,
// and how many turns a resumed execution lands before it runs ahead at all.
const maxAhead = 64

// outrun is a turn that the script did not wait for.
type outrun struct {
	turn   backend.Turn
	steps  int        // pure steps begun in it
	landed chan wrote // capacity 1
}

// ahead is how far an execution has run ahead of its journal.
type ahead struct {
	outrun *outrun // on its way; nil: none
	steps  int     // begun in the turn under way
	landed int     // turns landed since the execution was claimed
	row    int     // bytes of the row under way that earlier turns have written, while another turn was on its way
	lines  int     // log lines, likewise
	shown  []byte  // what the script shows, likewise
}

// mayRunAhead reports whether the turn under way need not have landed for what comes next.
func (x *execution) mayRunAhead() bool {
	a := &x.ahead
	under := a.steps
	if a.outrun != nil {
		under += a.outrun.steps
	}
	if len(x.starting)+x.attempts.Len() == 0 || under+len(x.starting) > maxAhead || x.resumed && a.landed < maxAhead {
		return false
	}
	if x.w.options.ReplayAlways || x.birth != nil || x.upgrading != nil || x.cancelled != nil || x.w.stopping.Load() || len(x.rows) > 0 || !x.plain() {
		return false
	}
	if x.w.bounded(&backend.Turn{Rows: [][]byte{x.row}, Logs: x.logs, Published: x.publish}) != nil {
		return false // the script waits for it, and is stuck
	}
	for _, st := range x.starting {
		if !st.pure {
			return false
		}
	}
	for id := range x.attempts.All() {
		if st := x.steps.At(id); st == nil || !st.pure {
			return false
		}
	}
	return true
}

// plain reports whether the turn under way has nothing but entries, log lines and what is shown.
func (x *execution) plain() bool {
	return len(x.taken)+len(x.children)+len(x.orders)+len(x.watches)+len(x.tasks)+len(x.withdrawn)+len(x.memos)+len(x.dead)+len(x.reservations) == 0
}

// runAhead begins the pure attempts of the turn under way, and sends it off unless one is on its way.
func (x *execution) runAhead() {
	a := &x.ahead
	a.steps += len(x.starting)
	if a.outrun == nil {
		f := &outrun{turn: *x.turn(backend.Hold), steps: a.steps, landed: make(chan wrote, 1)}
		f.turn.Rows = slices.Clone(x.closeRows())
		x.nextRow += int64(len(f.turn.Rows))
		x.rows, x.logs, x.publish, a.steps = nil, nil, nil, 0
		a.outrun = f
		x.w.committer.send(&write{turn: &f.turn, done: func(r wrote) {
			f.landed <- r
			x.poke()
		}})
	}
	a.row, a.lines, a.shown = len(x.row), len(x.logs), x.publish
	x.consumed = x.consumed[:0]
	for i, st := range x.starting {
		x.start(st)
		x.starting[i] = nil
	}
	x.starting = x.starting[:0]
}

// arrived takes note of the turn that was on its way.
func (x *execution) arrived(r wrote) error {
	f := x.ahead.outrun
	x.ahead.outrun = nil
	if r.err != nil {
		return x.refusedTurn(&f.turn, r.err)
	}
	x.ahead.landed++
	x.landedAt = r.now
	x.rec.Stuck = nil
	if f.turn.Published != nil {
		x.rec.Published = f.turn.Published
	}
	return nil
}

// look takes note of the turn on its way when it has landed.
func (x *execution) look() error {
	if x.ahead.outrun == nil {
		return nil
	}
	select {
	case r := <-x.ahead.outrun.landed:
		return x.arrived(r)
	default:
		return nil
	}
}

// caughtUp waits until no turn is on its way.
func (x *execution) caughtUp() error {
	if x.ahead.outrun == nil {
		return nil
	}
	return x.arrived(<-x.ahead.outrun.landed)
}

// keepMarked forgets the turn under way but for what belongs to turns that are over.
func (x *execution) keepMarked() {
	row, lines := x.row, x.logs
	if len(x.rows) > 0 {
		row = x.rows[0]
	}
	a := x.ahead
	x.discard()
	if a.row > 0 {
		x.row = row[:a.row]
	}
	x.logs, x.publish = lines[:min(a.lines, len(lines))], a.shown
}
