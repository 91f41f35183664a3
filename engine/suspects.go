// Suspects: steps that can bear few more crashes begin with few others beside them.

package engine

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// A crash counts for every attempt that was under way, since nobody knows which of them has killed the process. Were they all to begin
// together each time, the one that kills it would take its neighbours along to CrashLoop. So the fewer crashes a step
// can bear, the fewer such steps it has beside it, and at the last one none: whoever is to blame then dies alone, and
// those that only stood by run to their end.
//
// One that has run for long is not waited for any more: it may never end, or wait itself for what is held back.

// farOff is how many crashes a step can bear before it is a suspect.
const farOff = 4

// company is how many suspects may be under way when one of them can bear so many crashes.
func company(left int) int { return 1 << (2 * left) }

// left is how many more crashes a step can bear. It may have had more than its limit, which somebody has lowered since.
func (st *step) left() int { return max(0, st.maxCrashes-st.crashes) }

// longLife is how long a suspect keeps others back.
const longLife = time.Hour

// suspects lists those of this worker's executions that are under way, and those that wait for them, by group.
type suspects struct {
	mu     sync.Mutex // guards all below
	groups map[string]*suspectGroup
	later  *time.Timer // looks again when one that others wait for has run for long; nil: none waits
}

type suspectGroup struct {
	under   []suspect
	waiting []suspect // in their order, so that one that is to be alone has its turn, too
}

type suspect struct {
	x    *execution
	step string
	run  int
	left int // crashes that it can bear

	since time.Time // when it was let begin
}

// suspected reports whether a step is one.
func (st *step) suspected() bool { return st.crashes > 0 && st.left() < farOff }

// group is what st runs among: all that this worker could run, which may be elsewhere, or what waits for the same workers as
// st, so that nothing waits for a suspect that nobody begins. A rate may hold that up, too.
func (x *execution) group(st *step, away bool) string {
	here := st.act != nil && contains(x.w.options.Queues, x.queueOf(st)) && x.w.has(st.tags) && (st.limit == nil || st.limit.Rate == 0)
	if !away || here {
		return ""
	}
	return strings.Join(append([]string{x.queueOf(st), st.cmd.Name}, st.tags...), "\x00")
}

// admit reports whether a suspect may begin. When it may not, its execution is told by evAdmitted when it may.
func (s *suspects) admit(q suspect, group string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	g := s.groups[group]
	if g == nil {
		if s.groups == nil {
			s.groups = make(map[string]*suspectGroup)
		}
		g = &suspectGroup{}
		s.groups[group] = g
	}
	switch {
	case slices.ContainsFunc(g.under, func(u suspect) bool { return u.x == q.x && u.step == q.step && u.run == q.run }):
		return true // it has waited
	case len(g.waiting) > 0 || !g.fits(q):
		g.waiting = append(g.waiting, q)
		s.proceed()
		return false
	}
	g.begins(q)
	return true
}

func (g *suspectGroup) begins(q suspect) {
	q.since = time.Now()
	g.under = append(g.under, q)
}

// proceed lets those begin for whom there is room now; the caller holds mu.
func (s *suspects) proceed() {
	if s.later != nil {
		s.later.Stop()
		s.later = nil
	}
	look := time.Duration(-1)
	for name, g := range s.groups {
		g.under = slices.DeleteFunc(g.under, func(u suspect) bool { return time.Since(u.since) >= longLife })
		for len(g.waiting) > 0 && g.fits(g.waiting[0]) {
			q := g.waiting[0]
			g.waiting = g.waiting[1:]
			g.begins(q)
			q.x.post(event{kind: evAdmitted, run: q.run, step: q.step})
		}
		switch {
		case len(g.under) == 0: // nobody waits, then
			delete(s.groups, name)
		case len(g.waiting) > 0:
			if wait := longLife - time.Since(g.under[0].since); look < 0 || wait < look { // the first has begun first
				look = wait
			}
		}
	}
	if look >= 0 {
		s.later = time.AfterFunc(look, func() {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.proceed()
		})
	}
}

func (g *suspectGroup) fits(q suspect) bool {
	least := q.left
	for _, u := range g.under {
		least = min(least, u.left)
	}
	return len(g.under) < company(least)
}

// settle takes away those of an execution that are under way no more, and with them all that wait when it leaves.
func (s *suspects) settle(x *execution, leaves bool, under func(suspect) bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, g := range s.groups {
		g.under = slices.DeleteFunc(g.under, func(u suspect) bool { return u.x == x && !under(u) })
		if leaves {
			g.waiting = slices.DeleteFunc(g.waiting, func(q suspect) bool { return q.x == x })
		}
	}
	s.proceed()
}

// holdsBack reports whether a step must wait for other suspects.
func (x *execution) holdsBack(st *step, away bool) bool {
	if !st.suspected() {
		return false
	}
	x.wary = true
	q := suspect{x: x, step: st.cmd.Step, run: x.rec.RunNumber, left: st.left()}
	return !x.w.suspects.admit(q, x.group(st, away))
}

// settleSuspects tells who waits for suspects of this execution which of them have ended.
func (x *execution) settleSuspects() {
	if !x.wary {
		return
	}
	x.w.suspects.settle(x, false, func(q suspect) bool {
		st := x.steps.At(q.step)
		return q.run == x.rec.RunNumber && st != nil && (st.running || st.queued)
	})
}

// unsuspect gives up all that the execution has among the suspects.
func (x *execution) unsuspect() {
	if x.wary {
		x.wary = false
		x.w.suspects.settle(x, true, func(suspect) bool { return false })
	}
	x.behind = nil
}

// absorbAdmitted has a suspect go on for which there is room now.
func (x *execution) absorbAdmitted(st *step) {
	if i := slices.Index(x.behind, st); i >= 0 && st.queued && !st.dropped {
		x.behind = slices.Delete(x.behind, i, i+1)
		st.queued = false
		st.unwait()
		x.enqueue(st)
	}
}

// waits reports whether attempts wait for their turn to begin.
func (x *execution) waits() bool {
	x.behind = slices.DeleteFunc(x.behind, func(st *step) bool { return !x.stands(st) || !st.queued })
	return len(x.ready)+len(x.behind) > 0
}
