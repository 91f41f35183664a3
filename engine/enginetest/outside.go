// Real activities: they run outside the bubble, in real time.

package enginetest

import (
	"context"
	"runtime"
	"sync/atomic"
	"time"

	"github.com/senpuki/senpuki/activities"
)

// outside runs functions outside the bubble. Its channels are made there: what a
// goroutine of the bubble waits for at them does not let virtual time pass.
type outside struct {
	jobs chan *job
	free chan chan outcome // results come by these
}

type outcome struct {
	value   []byte
	failure *activities.Failure
	exited  bool // it ended its goroutine
}

type job struct {
	ctx    context.Context
	run    func(context.Context) ([]byte, *activities.Failure)
	result chan outcome
	state  atomic.Int32 // 0, then who was first: finished or abandoned
}

const (
	finished  = 1
	abandoned = 2
)

// maxOutside is how many real activities run at once.
const maxOutside = 256

func newOutside() *outside {
	o := &outside{jobs: make(chan *job), free: make(chan chan outcome, maxOutside)}
	for range maxOutside {
		o.free <- make(chan outcome, 1)
	}
	go func() {
		for j := range o.jobs {
			go o.serve(j)
		}
	}()
	return o
}

func (o *outside) serve(j *job) {
	out := outcome{exited: true}
	defer func() {
		if j.state.CompareAndSwap(0, finished) {
			j.result <- out
			return
		}
		o.free <- make(chan outcome, 1)
	}()
	out.value, out.failure = j.run(j.ctx)
	out.exited = false
}

// run is called in the bubble. It returns early when ctx ends; run then goes on unheeded.
func (o *outside) run(ctx context.Context, run func(context.Context) ([]byte, *activities.Failure)) ([]byte, *activities.Failure) {
	info := activities.Info(ctx)
	info.Deadline = time.Time{} // it is a virtual one
	// A context from here would take its channel along, which cannot be used outside.
	own, cancel := context.WithCancel(activities.WithInfo(context.Background(), info))
	defer cancel()
	j := &job{ctx: own, run: run, result: <-o.free}
	o.jobs <- j
	var out outcome
	select {
	case out = <-j.result:
	case <-ctx.Done():
		if j.state.CompareAndSwap(0, abandoned) {
			return nil, &activities.Failure{Kind: activities.KindCancelled, Message: ctx.Err().Error()}
		}
		out = <-j.result
	}
	o.free <- j.result
	if out.exited {
		runtime.Goexit() // as it would have done here
	}
	return out.value, out.failure
}

// end is called when nothing runs in the bubble any more.
func (o *outside) end() { close(o.jobs) }
