// Due times of executions that this worker has let go, so that it looks in time.

package engine

import (
	"container/heap"
	"sync"
	"time"
)

// dues is a heap of points in database time, microseconds since 1970.
type dues struct {
	mu    sync.Mutex // guards times
	times dueTimes
}

// maxDues bounds the memory: later ones are found by polling.
const maxDues = 100_000

// add notes a point in time.
func (d *dues) add(at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.times) < maxDues {
		heap.Push(&d.times, at)
	}
}

// next is how long it is to the next point, at most limit; those that have passed are forgotten.
func (d *dues) next(c *clock, limit time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.times) > 0 {
		wait := c.until(d.times[0])
		if wait > 0 {
			return min(wait, limit)
		}
		heap.Pop(&d.times)
	}
	return limit
}

// passed forgets the points that have passed and reports whether there were any.
func (d *dues) passed(c *clock) (any bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for len(d.times) > 0 && c.until(d.times[0]) <= 0 {
		heap.Pop(&d.times)
		any = true
	}
	return any
}

// dueTimes implements heap.Interface.
type dueTimes []int64

func (t dueTimes) Len() int           { return len(t) }
func (t dueTimes) Less(i, j int) bool { return t[i] < t[j] }
func (t dueTimes) Swap(i, j int)      { t[i], t[j] = t[j], t[i] }
func (t *dueTimes) Push(v any)        { *t = append(*t, v.(int64)) }
func (t *dueTimes) Pop() any {
	last := (*t)[len(*t)-1]
	*t = (*t)[:len(*t)-1]
	return last
}
