// Run: one function of a program against a host.

package starlark

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	star "go.starlark.net/starlark"
)

// Info is what a script may know of its execution.
type Info struct {
	ID        string
	Run       int // counts from 1
	Workflow  string
	Digest    string
	StartedAt time.Time
	Parent    string
	Tags      []string
	Origin    string // execution and run in which the steps of a rerun were first asked for; default: of this run
}

// origin is Origin, or its default.
func (i *Info) origin() string {
	if i.Origin != "" {
		return i.Origin
	}
	return Origin(i.ID, i.Run)
}

// Origin is the name of an execution's run.
func Origin(id string, run int) string { return fmt.Sprintf("%s.%d", id, run) }

// Options say what to run, and its bounds.
type Options struct {
	Function string // default "main"
	Input    []byte // plain JSON
	Info     Info
	MaxSteps uint64     // interpreter steps a turn; default 100 million
	MaxValue int        // bytes a value; default 1 MiB
	Shown    []byte     // what the run before has published, nil when none
	Signals  []Delivery // that the run before has not consumed
}

// Run runs a function to its end on the caller's goroutine and returns the
// stored form of its result. The error is a *Failure when the script failed, a
// *Continuation when it goes on as a new run, a *StuckError when a turn does not end, else the one with which the host unwound it.
// No goroutine of the script is left when Run returns. What the script needs of the options is copied: they are passed by
// pointer because they would stay on its stack for as long as it waits.
func (p *Program) Run(h Host, o *Options) ([]byte, error) {
	fn, err := p.function(cmp.Or(o.Function, "main"))
	if err != nil {
		return nil, &Failure{Kind: "EvalError", Message: err.Error()}
	}
	s := &script{
		host: h, prog: p, function: fn, known: o.Info,
		maxSteps: cmp.Or(o.MaxSteps, 100_000_000), maxValue: cmp.Or(o.MaxValue, 1<<20),
	}
	args, kwargs, err := inputArgs(o.Input)
	if err != nil {
		return nil, &Failure{Kind: "BadArguments", Message: err.Error()}
	}
	if len(o.Shown) > 0 {
		if err := s.shows().restore(o.Shown); err != nil {
			return nil, err
		}
	}
	for _, d := range o.Signals {
		if err := s.signalled(d.Name, d.Value); err != nil {
			return nil, err
		}
	}
	s.main = s.newBranch("", 0)
	s.main.got()
	v, err := s.main.run(fn, args, kwargs)
	var b []byte
	if err == nil {
		b, err = s.result(fn, v)
	}
	continues := s.next != nil && errors.Is(err, errContinue)
	if continues {
		err = nil
	}
	err = s.cleanup(err, continues)
	s.finish()
	if s.fatal != nil {
		return nil, s.fatal
	}
	s.publish()
	switch {
	case err != nil:
		return nil, failureOf(err)
	case continues:
		return nil, s.continuation()
	}
	return b, nil
}

// finish lets what is left of an unwound script end.
func (s *script) finish() {
	for s.live > 0 {
		s.rest(s.main)
		s.main.pause()
	}
	s.wg.Wait()
}

// result turns what the function returned into the result of the run.
func (s *script) result(fn *star.Function, v star.Value) ([]byte, error) {
	if r, ok := v.(*Result); ok {
		if r.err != nil {
			return nil, &raised{r.err.f}
		}
		v = r.get()
	}
	b, perr := encodeValue(v, stored, s.maxValue)
	if perr != nil {
		return nil, raise("PayloadError", "the result of %s() (%s) cannot be stored: %v", fn.Name(), fn.Position(), perr)
	}
	if _, err := ToPlain(b); err != nil { // as clients will see it
		return nil, raise("PayloadError", "the result of %s() (%s) is no JSON: %v", fn.Name(), fn.Position(), err)
	}
	return b, nil
}
