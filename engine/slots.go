// Slots: how many attempts may run here at once.

package engine

import (
	"slices"
	"sync"
)

// slots counts free slots and queues those who want one: executions, and the worker's loop for what is in the
// database and not claimed yet. They take turns. An execution keeps the slot of an ended attempt in hand until
// its next turn is sealed, so that a sequential step never queues for one.
type slots struct {
	mu      sync.Mutex   // guards all below
	free    int          // none while anybody waits
	waiting []*execution // each at most once; execution.wants > 0. Nil is the loop
	turn    func()       // called, with mu held, when the loop has its turn
	granted int          // to the loop, which has not looked since
	aside   int          // what it looks with now
}

// take gives x up to n slots now; when it gives fewer, x is queued and woken
// with the rest as slots become free.
func (s *slots) take(x *execution, n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	got := 0
	if x.granted > 0 {
		got = min(n, x.granted)
		x.granted -= got
	}
	if len(s.waiting) == 0 || x.wants > 0 && s.waiting[0] == x {
		more := min(n-got, s.free)
		s.free -= more
		got += more
	}
	queued := x.wants > 0
	x.wants = n - got
	if x.wants > 0 && !queued {
		s.waiting = append(s.waiting, x)
	} else if x.wants == 0 && queued {
		s.drop(x)
	}
	return got
}

// tryTake takes one slot when one is free and nobody waits.
func (s *slots) tryTake() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.free == 0 || len(s.waiting) > 0 {
		return false
	}
	s.free--
	return true
}

// available is how many slots the loop may fill with what it claims.
func (s *slots) available() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.aside + s.free
}

// looks begins the loop's look for what it may claim.
func (s *slots) looks() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aside, s.granted = s.granted, 0
}

// unclaimed takes back n slots that the loop had taken in vain; it may use them for something else.
func (s *slots) unclaimed(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.aside += n
}

// claimed takes a slot for what the loop has claimed, or is about to.
func (s *slots) claimed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.aside > 0:
		s.aside--
	case s.free > 0:
		s.free--
	default:
		return false
	}
	return true
}

// queue has the loop wait for its turn, when it has found no slot for what it wants to claim. It
// stands for all that is in the database, and so behind one execution only, as a rule: each second slot is for that. It
// need not wait when it is its turn already.
func (s *slots) queue(behind int) (turn bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if turn = s.free > 0 || s.granted > 0; !turn && !slices.Contains(s.waiting, nil) {
		s.waiting = slices.Insert(s.waiting, min(behind, len(s.waiting)), nil)
	}
	return turn
}

// looked ends the loop's look: what it did not need is for others.
func (s *slots) looked() {
	s.mu.Lock()
	n := s.aside
	s.aside = 0
	s.mu.Unlock()
	s.give(n)
}

// room is how many executions may come beside those that wait for a slot, when most may.
func (s *slots) room(most int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return max(0, most-len(s.waiting))
}

// contended reports whether others wait, beside one who does.
func (s *slots) contended() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.waiting) > 1
}

// give returns n slots and grants them to who waits, one each in turn.
func (s *slots) give(n int) {
	if n == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.free += n
	for s.free > 0 && len(s.waiting) > 0 {
		x := s.waiting[0]
		if x == nil {
			s.waiting = s.waiting[1:]
			s.free--
			s.granted++
			s.turn()
			continue
		}
		// One at a time to each keeps executions fair to each other; the only one gets all.
		n := 1
		if len(s.waiting) == 1 {
			n = min(s.free, x.wants)
		}
		s.free -= n
		x.granted += n
		if x.wants -= n; x.wants == 0 {
			s.waiting = s.waiting[1:]
		} else if len(s.waiting) > 1 {
			s.waiting = append(s.waiting[1:], x)
		}
		x.poke()
	}
}

// leave ends x's waiting and returns what it was granted.
func (s *slots) leave(x *execution) {
	s.mu.Lock()
	granted := x.granted
	x.granted = 0
	if x.wants > 0 {
		x.wants = 0
		s.drop(x)
	}
	s.mu.Unlock()
	s.give(granted)
}

func (s *slots) drop(x *execution) {
	for i, y := range s.waiting {
		if y == x {
			s.waiting = append(s.waiting[:i:i], s.waiting[i+1:]...)
			return
		}
	}
}
