// Parked scripts: which of them wait here, and which are let go.

package engine

import (
	"container/list"
	"slices"
	"sync"
	"time"
)

// parkPlace is an execution's place among the parked ones.
type parkPlace struct {
	element *list.Element
	since   time.Time
}

// parking lists the executions that wait with nothing running here, the one that has waited longest first.
type parking struct {
	mu    sync.Mutex // guards all below and execution.place
	order list.List
	max   int
}

func (p *parking) park(x *execution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	x.place = parkPlace{element: p.order.PushBack(x), since: time.Now()}
	for e, n := p.order.Front(), p.order.Len()-p.max; n > 0; e, n = e.Next(), n-1 {
		askToLeave(e.Value.(*execution))
	}
}

func (p *parking) unpark(x *execution) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.order.Remove(x.place.element)
	x.place = parkPlace{}
}

// sweep asks those to leave that have waited longer than age.
func (p *parking) sweep(age time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for e := p.order.Front(); e != nil; e = e.Next() {
		x := e.Value.(*execution)
		if time.Since(x.place.since) < age {
			return
		}
		if !x.mayStray() {
			askToLeave(x)
		}
	}
}

// mayStray reports whether an execution is to run here and, once it was let go, might be taken by another worker.
func (x *execution) mayStray() bool {
	offers := x.w.sharing.offers.Load()
	return offers != nil && x.w.engine.isAdopted(x.rec.ID) && slices.ContainsFunc(*offers, func(o SessionInfo) bool {
		return contains(o.Queues, x.rec.Queue) && !slices.ContainsFunc(x.rec.Tags, func(t string) bool { return !contains(o.Tags, t) })
	})
}

func askToLeave(x *execution) {
	x.evict.Store(true)
	x.poke()
}
