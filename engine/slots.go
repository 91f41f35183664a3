// Slots: how many attempts may run here at once.

package engine

import "sync"

// slots counts free slots and queues the executions that want one, first come
// first served. An execution keeps the slot of an ended attempt in hand until
// its next turn is sealed, so that a sequential step never queues for one.
type slots struct {
	mu      sync.Mutex // guards all below
	free    int
	freed   func()       // called, with mu held, when slots become free and no execution here waits for one
	waiting []*execution // each at most once; execution.wants > 0
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

// available is how many more executions may be claimed.
func (s *slots) available() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) > 0 {
		return 0
	}
	return s.free
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
	if s.free > 0 && s.freed != nil {
		s.freed()
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
