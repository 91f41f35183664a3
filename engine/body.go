// Bodies of activities: which run here, and that nobody can stop one that ignores its context.

package engine

import (
	"encoding/json"
	"sync"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// bodies are the activity bodies that run in a worker, oldest first.
type bodies struct {
	mu     sync.Mutex // guards all below
	first  *body
	last   *body
	count  int64
	strays int64 // given up, and not returned
	cut    bool  // every one is cancelled
}

// body is one of them, with its context.
type body struct {
	activities.Context

	of             *bodies
	prev, next     *body
	began          time.Time
	givenUp, ended bool
}

func (l *bodies) begin(b *body) {
	b.of, b.began = l, time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count++
	if b.prev = l.last; l.last == nil {
		l.first = b
	} else {
		l.last.next = b
	}
	l.last = b
	if l.cut {
		b.Cancel()
	}
}

// cancelAll cancels all that run and all that begin from now on.
func (l *bodies) cancelAll() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.cut = true
	for b := l.first; b != nil; b = b.next {
		b.Cancel()
	}
}

// giveUp notes that nobody waits for the body any more: it is stray until it returns.
func (b *body) giveUp() {
	if b.of == nil { // it has not begun
		return
	}
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

// maxProgress is how long a progress may be that a session tells, in bytes.
const maxProgress = 200

// RunningBody is an activity's code that runs in a worker.
type RunningBody struct {
	Activity  string  `json:"activity"`
	Execution string  `json:"execution"`
	Step      string  `json:"step"`
	Seconds   float64 `json:"seconds"` // for how long, when the session last told
	Stuck     bool    `json:"stuck,omitempty"`
	// Progress is what its newest heartbeat has told; left out when it is long.
	Progress json.RawMessage `json:"progress,omitempty"`
}

// look says how many bodies run, how many of them are stray, and which are the oldest.
func (l *bodies) look(most int) (count, strays int64, oldest []RunningBody) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for b := l.first; b != nil && len(oldest) < most; b = b.next {
		now := RunningBody{
			Activity: b.Identity.Activity, Execution: b.Identity.Execution, Step: b.Identity.Step,
			Seconds: time.Since(b.began).Seconds(), Stuck: b.givenUp, Progress: b.Progress(),
		}
		if len(now.Progress) > maxProgress {
			now.Progress = nil
		}
		oldest = append(oldest, now)
	}
	return l.count, l.strays, oldest
}
