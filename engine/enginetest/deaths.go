// Deaths by count: at which commit the worker dies.

package enginetest

import "sync"

type fate int

const (
	lives fate = iota
	before
	landed
)

// deaths counts the commits of all workers of a world.
type deaths struct {
	mu     sync.Mutex // guards all below
	count  int
	next   int // 0: none
	landed bool
	died   int
}

// at is told of a commit, and what becomes of the worker there.
func (d *deaths) at() fate {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.count++
	switch {
	case d.count != d.next:
		return lives
	case d.landed:
		d.died++
		return landed
	}
	d.died++
	return before
}

// plan makes a worker die n commits from now.
func (d *deaths) plan(n int, landed bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.next, d.landed = d.count+n, landed
}

// had is how many workers have died as planned.
func (d *deaths) had() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.died
}
