// Package hosttest is a deterministic host for scripts: activities are Go
// functions, time is virtual, and everything that a script asks for or gets is kept in a journal.
//
// A [World] outlives the runs of a script: a run that is evicted is started
// again and answered from the journal, a command that differs from it fails the test
// run with an error. With [World.ReplayAlways] every wait evicts the script, so that
// each delivery is seen by a fresh run.
package hosttest

import (
	"container/heap"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/senpuki/senpuki/starlark"
)

// Call is a call of an activity. Args and Kwargs are in stored form.
type Call struct {
	Step, Name   string
	Args, Kwargs []byte
	Options      *starlark.ActivityOptions
	Attempt      int // counts the calls of this name in this world
}

// A world has one execution and its children, which live in worlds of their own. Signals
// that it sends to itself arrive; nobody has the id "unknown", and "closed" has ended.

// Activity answers a call with a value in stored form or a failure. After is how long it takes.
type Activity func(c Call) (value []byte, failure *starlark.Failure, after time.Duration)

// Entry is a line of the journal: a command or a delivery.
type Entry struct {
	Command  *starlark.Command
	Delivery *starlark.Delivery
	At       time.Time // of a delivery
}

// World is what a script runs against.
type World struct {
	Activities   map[string]Activity
	Start        time.Time
	ReplayAlways bool   // evict at every wait
	Seed         uint64 // not 0: outcomes that are due together come in this random order

	Journal []Entry
	Lines   []starlark.Line // each once, whatever is replayed
	Shown   []byte          // what the script last published
	Runs    int

	program *starlark.Program
	id      string
	run     int
	endless map[string]bool // children that wait for ever, by step
	said    int             // lines of the runs before
	end     time.Time

	due    queue
	serial int
	calls  map[string]int
	random *rand.Rand
}

// New returns a world that begins at noon of the first of January 2030.
func New(activities map[string]Activity) *World {
	return &World{Activities: activities, Start: time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)}
}

// After makes something arrive from outside when the world has lived for d.
func (w *World) After(d time.Duration, delivery starlark.Delivery) { w.push(w.Start.Add(d), delivery) }

func (w *World) push(at time.Time, d starlark.Delivery) {
	w.serial++
	e := event{at: at, serial: w.serial, d: d}
	if w.Seed != 0 {
		if w.random == nil {
			w.random = rand.New(rand.NewPCG(w.Seed, 0))
		}
		e.weight = w.random.Uint64()
	}
	heap.Push(&w.due, e)
}

// Run runs a function to its end, again from the start after each eviction and
// with an empty journal after continue_as_new.
func (w *World) Run(p *starlark.Program, o starlark.Options) ([]byte, error) {
	w.program, w.id = p, o.Info.ID
	begin := w.Start
	for {
		w.Runs++
		h := &host{w: w, now: begin, lines: w.said}
		w.run = o.Info.Run
		b, err := p.Run(h, &o)
		if h.broken != nil {
			return nil, h.broken
		}
		var next *starlark.Continuation
		if errors.As(err, &next) {
			o.Input, o.Shown, o.Signals = next.Input, next.Shown, next.Signals
			o.Info.Run++
			w.Journal, w.said, begin = nil, len(w.Lines), h.now
			continue
		}
		w.end = h.now
		if err != starlark.ErrEvicted {
			if err == nil && h.next < len(w.Journal) {
				return nil, fmt.Errorf("the script ended with %d entries of its journal unread", len(w.Journal)-h.next)
			}
			return b, err
		}
	}
}

// Host is the host of one more run, for those who call Program.Run themselves.
func (w *World) Host() starlark.Host { return &host{w: w, now: w.Start} }

// Replay runs a function again, answered from the journal alone.
func (w *World) Replay(p *starlark.Program, o starlark.Options) ([]byte, error) {
	h := &host{w: w, now: w.Start, sealed: true}
	b, err := p.Run(h, &o)
	if h.broken != nil {
		return nil, h.broken
	}
	return b, err
}
