// Bodies of activities: nobody can stop one that ignores its context.

package engine

import "sync/atomic"

// body counts an activity's code as stray from when it is given up until it returns.
type body struct {
	w     *worker
	state atomic.Int32
}

const (
	bodyRuns int32 = iota
	bodyGivenUp
	bodyEnded
)

func newBody(w *worker) *body { return &body{w: w} }

// giveUp notes that nobody waits for the body any more.
func (b *body) giveUp() {
	if b.state.CompareAndSwap(bodyRuns, bodyGivenUp) {
		b.w.strays.Add(1)
	}
}

// end notes that the body has returned.
func (b *body) end() {
	if !b.state.CompareAndSwap(bodyRuns, bodyEnded) {
		b.w.strays.Add(-1)
	}
}
