// Bodies of activities: which run here, and that nobody can stop one that ignores its context.

package engine

import (
	"sync"
	"time"
)

// bodies are the activity bodies that run in a worker, oldest first.
type bodies struct {
	mu     sync.Mutex // guards all below
	first  *body
	last   *body
	count  int64
	strays int64 // given up, and not returned
}

// body is one of them.
type body struct {
	of              *bodies
	prev, next      *body
	execution, step string
	activity        string
	began           time.Time
	givenUp, ended  bool
}

func (b *bodies) begin(execution, step, activity string) *body {
	one := &body{of: b, execution: execution, step: step, activity: activity, began: time.Now()}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.count++
	if one.prev = b.last; b.last == nil {
		b.first = one
	} else {
		b.last.next = one
	}
	b.last = one
	return one
}

// giveUp notes that nobody waits for the body any more: it is stray until it returns.
func (b *body) giveUp() {
	b.of.mu.Lock()
	defer b.of.mu.Unlock()
	if !b.givenUp && !b.ended {
		b.givenUp = true
		b.of.strays++
	}
}

// end notes that the body has returned.
func (b *body) end() {
	l := b.of
	l.mu.Lock()
	defer l.mu.Unlock()
	b.ended = true
	l.count--
	if b.givenUp {
		l.strays--
	}
	if b.prev == nil {
		l.first = b.next
	} else {
		b.prev.next = b.next
	}
	if b.next == nil {
		l.last = b.prev
	} else {
		b.next.prev = b.prev
	}
}

// RunningBody is an activity's code that runs in a worker.
type RunningBody struct {
	Activity  string  `json:"activity"`
	Execution string  `json:"execution"`
	Step      string  `json:"step"`
	Seconds   float64 `json:"seconds"` // for how long, when the session last told
	Stuck     bool    `json:"stuck,omitempty"`
}

// look says how many bodies run, how many of them are stray, and which are the oldest.
func (b *bodies) look(most int) (count, strays int64, oldest []RunningBody) {
	b.mu.Lock()
	defer b.mu.Unlock()
	for one := b.first; one != nil && len(oldest) < most; one = one.next {
		oldest = append(oldest, RunningBody{one.activity, one.execution, one.step, time.Since(one.began).Seconds(), one.givenUp})
	}
	return b.count, b.strays, oldest
}
