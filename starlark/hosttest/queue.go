// The deliveries to come, by time.

package hosttest

import (
	"time"

	"github.com/senpuki/senpuki/starlark"
)

// event is a delivery to come.
type event struct {
	at     time.Time
	weight uint64 // among those of the same time
	serial int
	d      starlark.Delivery
}

func (e event) before(o event) bool {
	if !e.at.Equal(o.at) {
		return e.at.Before(o.at)
	}
	if e.weight != o.weight {
		return e.weight < o.weight
	}
	return e.serial < o.serial
}

// queue is a heap of events.
type queue []event

func (q queue) Len() int           { return len(q) }
func (q queue) Less(i, j int) bool { return q[i].before(q[j]) }
func (q queue) Swap(i, j int)      { q[i], q[j] = q[j], q[i] }

// Push adds an event.
func (q *queue) Push(x any) {
	e, _ := x.(event)
	*q = append(*q, e)
}

// Pop takes the last.
func (q *queue) Pop() any {
	last := len(*q) - 1
	e := (*q)[last]
	*q = (*q)[:last]
	return e
}
