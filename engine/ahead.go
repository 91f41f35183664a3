// Running ahead: pure steps whose requests are not durable yet.
//
// An activity that is declared pure gives the same answer whenever it is run,
// and disturbs nothing. So its attempt may begin before the row that asks for it
// has landed, and the script may go on with its outcome: after a crash it simply runs
// again. Rows still land in order, what anybody else sees lands with them, and nothing but a pure attempt
// begins before its row is durable. One turn is on its way at a time; what comes meanwhile is gathered in the next.

package engine

import (
	"github.com/senpuki/senpuki/backend"
)

// minAhead is how many pure steps may have begun whose rows have not landed, and how many turns a resumed execution lands before
// it runs ahead at all. While rows do land, and the script has to wait for nothing else, it is twice as many, up to maxAhead.
const (
	minAhead = 64
	maxAhead = 512
)

// outrun is a turn that the script did not wait for.
type outrun struct {
	*gathered
	landed chan wrote // capacity 1
}

// mayRunAhead reports whether the turn under way need not have landed for what comes next.
func (x *execution) mayRunAhead() bool {
	x.outpaced = false
	g := x.gather()
	under := g.pure + len(g.starting)
	if x.outrun != nil {
		under += x.outrun.pure
	}
	if len(g.starting)+x.attempts.Len() == 0 || x.resumed && x.turns < minAhead {
		return false
	}
	if under > max(minAhead, x.reach) {
		x.outpaced = x.outrun != nil
		return false
	}
	if x.w.options.ReplayAlways || x.birth != nil || x.upgrading != nil || x.cancelled != nil || x.w.stopping.Load() || x.full() || !g.plain() {
		return false
	}
	if x.w.bounded(&backend.Turn{Rows: [][]byte{g.row}, Logs: g.Logs, Published: g.Published}) != nil {
		return false // the script waits for it, and is stuck
	}
	for _, st := range g.starting {
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

// plain reports whether a turn has nothing but entries, log lines and what is shown.
func (g *gathered) plain() bool {
	return len(g.Taken)+len(g.Children)+len(g.Orders)+len(g.Watches)+len(g.Tasks)+len(g.Withdraw)+len(g.Memos)+len(g.Dead)+len(g.Reserve) == 0
}

// runAhead begins the pure attempts of the turn under way, and sends it off unless one is on its way.
func (x *execution) runAhead() {
	g := x.gathered
	g.pure += len(g.starting)
	starting := g.starting
	g.starting = nil
	if x.outrun == nil {
		t := x.turn(backend.Hold)
		x.closeRows()
		x.nextRow += int64(len(t.Rows))
		f := &outrun{gathered: g, landed: make(chan wrote, 1)}
		x.gathered, x.outrun = nil, f
		x.w.committer.send(&write{turn: t, done: func(r wrote) {
			f.landed <- r
			x.poke()
		}})
	} else {
		g.mark()
	}
	x.startAll(starting)
}

// arrived takes note of the turn that was on its way.
func (x *execution) arrived(r wrote) error {
	f := x.outrun
	x.outrun = nil
	if r.err != nil {
		return x.refusedTurn(&f.Turn, r.err)
	}
	x.turns++
	if x.outpaced {
		x.outpaced, x.reach = false, min(2*max(minAhead, x.reach), maxAhead)
	}
	x.landedAt = micro(r.now)
	x.rec.Stuck = nil
	if f.Published != nil {
		x.rec.Published = f.Published
	}
	f.recycle()
	return nil
}

// look takes note of the turn on its way when it has landed.
func (x *execution) look() error {
	if x.outrun == nil {
		return nil
	}
	select {
	case r := <-x.outrun.landed:
		return x.arrived(r)
	default:
		return nil
	}
}

// caughtUp waits until no turn is on its way.
func (x *execution) caughtUp() error {
	if x.outrun == nil {
		return nil
	}
	return x.arrived(<-x.outrun.landed)
}

// mark notes that what has been gathered so far belongs to turns that are over, which another one on its way keeps from landing.
func (g *gathered) mark() {
	g.marked.row, g.marked.lines, g.marked.shown = len(g.row), len(g.Logs), g.Published
	g.consumed = g.consumed[:0]
}

// keepMarked forgets the turn under way but for what belongs to turns that are over, and returns the outcomes that it took.
func (x *execution) keepMarked() (consumed []event) {
	g := x.gathered
	if g == nil {
		return nil
	}
	x.discard()
	row := g.row
	if len(g.Rows) > 0 {
		row = g.Rows[0]
	}
	m := g.marked
	kept := x.gather()
	if m.row > 0 {
		kept.row = row[:m.row]
	}
	kept.Logs, kept.Published = g.Logs[:min(m.lines, len(g.Logs))], m.shown
	return g.consumed
}
