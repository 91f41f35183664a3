// Due times of executions that this worker has let go, so that it looks in time.

package engine

import (
	"container/heap"
	"sync"
	"time"
)

// dues is a heap of points in database time, microseconds since 1970.
type dues struct {
	sooner chan struct{} // capacity 1: a point was noted that is before all others; nil: nobody waits for them
	mu     sync.Mutex    // guards times
	times  dueTimes
}

// maxDues bounds the memory: later ones are found by polling.
const maxDues = 100_000

// add notes a point in time.
func (d *dues) add(at int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.times) > 0 && d.times[0] == at {
		return
	}
	if last := len(d.times) - 1; last+1 == maxDues { // it takes the place of a later one
		if d.times[last] <= at {
			return
		}
		d.times[last] = at
		heap.Fix(&d.times, last)
	} else {
		heap.Push(&d.times, at)
	}
	if d.times[0] < at {
		return
	}
	select {
	case d.sooner <- struct{}{}:
	default:
	}
}

// next is how long it is to the next point, at most limit.
func (d *dues) next(c *clock, limit time.Duration) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.times) > 0 {
		limit = min(limit, c.until(d.times[0]))
	}
	return max(0, limit)
}

// passed forgets the points that have passed and reports whether there were any. Who asks looks afterwards: a point that
// passes while he does makes him look again.
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
