// The bubble: where virtual time passes.

package enginetest

import (
	"flag"
	"fmt"
	"runtime/debug"
	"sync"
	"testing"
	"testing/synctest"
)

// bubble runs functions one after the other where time is virtual. Its goroutine waits for them at a
// channel from outside, so that time stands still between two of them.
type bubble struct {
	work chan func()
	over chan struct{} // closed when no goroutine of the bubble is left
}

// newBubble begins a bubble; t is nil outside of go test.
func newBubble(t *testing.T) *bubble {
	b := &bubble{work: make(chan func()), over: make(chan struct{})}
	serve := func(t *testing.T) {
		defer close(b.over)
		synctest.Test(t, func(*testing.T) {
			for f := range b.work {
				f()
			}
		})
	}
	if t != nil {
		go serve(t)
	} else {
		bubbles() <- serve
	}
	return b
}

// do runs f in the bubble and returns when everything in it is at rest. A panic of f is one of do.
func (b *bubble) do(f func()) {
	done := make(chan any, 1)
	b.work <- func() {
		defer func() {
			p := recover()
			if p != nil {
				p = fmt.Sprintf("%v\n%s", p, debug.Stack())
			}
			done <- p
		}()
		f()
		synctest.Wait()
	}
	if p := <-done; p != nil {
		panic(p)
	}
}

// end waits until the bubble is empty.
func (b *bubble) end() {
	close(b.work)
	<-b.over
}

// bubbles serves those who are no test. Bubbles are to be had from package testing only, so one test is
// run beside the program, for ever; testing.Main is there for "systems that simulate go test", which this is.
var bubbles = sync.OnceValue(func() chan<- func(*testing.T) {
	jobs := make(chan func(*testing.T))
	testing.Init()
	if !flag.Parsed() { // the flags are those of the package, and none is given
		_ = flag.CommandLine.Parse(nil)
	}
	all := func(string, string) (bool, error) { return true, nil }
	serve := func(t *testing.T) {
		for job := range jobs {
			go job(t)
		}
	}
	go testing.Main(all, []testing.InternalTest{{Name: "bubbles", F: serve}}, nil, nil)
	return jobs
})
