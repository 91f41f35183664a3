// Test files: functions test_*(t) that run workflows through a driver.

package starlark

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	star "go.starlark.net/starlark"
)

// Test is one test of a file.
type Test struct {
	Name string
	Pos  string // file:line:col
}

// Tests lists the functions of the entry file that are tests, in their order.
func (p *Program) Tests() []Test {
	var found []*star.Function
	for name, v := range p.globals {
		if fn, ok := v.(*star.Function); ok && strings.HasPrefix(name, "test_") && fn.Position().Filename() == p.entry {
			found = append(found, fn)
		}
	}
	slices.SortFunc(found, func(a, b *star.Function) int { return int(a.Position().Line - b.Position().Line) })
	tests := make([]Test, len(found))
	for i, fn := range found {
		tests[i] = Test{Name: fn.Name(), Pos: fn.Position().String()}
	}
	return tests
}

// TestDriver is what a test works on: executions of workflows, doubles of activities, time. Values are
// plain JSON. Its methods are called by one goroutine at a time; an error that is a *Failure keeps its kind in the script.
type TestDriver interface {
	Start(s TestStart) (id string, err error)
	State(id string) (string, error)
	Wait(id string) (value []byte, failure *Failure, err error) // until the execution has ended
	Logs(id string) ([]string, error)
	Signal(id, name string, payload []byte) error
	Cancel(id, reason string) error
	Mock(activity string, m TestMock) error
	Calls(activity string) []TestCall
	Advance(d time.Duration) error
	Crash() error
	Now() time.Time
}

// TestStart says what execution to start.
type TestStart struct {
	Workflow string // a file relative to the test's, //file from the root, or the name of a workflow
	Input    []byte // as Options.Input
	ID       string // "": any
	Function string // "": main
}

// TestMock answers one call of an activity. It may be called by any goroutine while a method of the driver
// is under way.
type TestMock func(c TestCall) (value []byte, failure *Failure)

// TestCall is one attempt of an activity.
type TestCall struct {
	Execution    string
	Attempt      int // counts from 1
	At           time.Time
	Args, Kwargs []byte // plain JSON, Kwargs nil when none
}

// TestFailure says why a test has failed.
type TestFailure struct {
	Pos     string // file:line:col in the test file
	Failure *Failure
}

func (f *TestFailure) Error() string { return f.Pos + ": " + f.Failure.Error() }

// RunTest runs one test. print gets what it prints. The error is a *TestFailure.
func (p *Program) RunTest(name string, d TestDriver, print func(string)) error {
	fn, err := p.function(name)
	if err != nil {
		return &TestFailure{Pos: p.entry, Failure: &Failure{Kind: "EvalError", Message: err.Error()}}
	}
	t := &tester{prog: p, driver: d, print: print}
	h := &testHost{print: t.printed, now: d.Now}
	v, err := t.call(h, fn, star.Tuple{t}, nil)
	if r, ok := v.(*Result); ok && err == nil && r.err != nil { // an Err that the test returns
		err = &raised{r.err.f}
	}
	if err == nil {
		return nil
	}
	f := &TestFailure{Pos: fn.Position().String(), Failure: failureOf(err)}
	var eval *star.EvalError
	if errors.As(err, &eval) {
		for i := range len(eval.CallStack) { // the innermost place of the test's own file
			if pos := eval.CallStack.At(i).Pos; pos.Filename() == p.entry && pos.Line > 0 {
				f.Pos = pos.String()
				break
			}
		}
	}
	return f
}

// call runs a function to its end in a script of its own, without durable steps.
func (t *tester) call(h *testHost, fn star.Callable, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	s := &script{
		host: h, prog: t.prog, maxSteps: 100_000_000, maxValue: 1 << 20, known: Info{ID: "test", Run: 1, StartedAt: h.now()},
	}
	s.main = s.newBranch("", 0)
	s.main.got()
	v, err := s.main.run(fn, args, kwargs)
	err = s.cleanup(err, false)
	s.finish()
	if s.fatal != nil {
		return nil, s.fatal
	}
	return v, err
}

// answer calls a function of the test as an activity.
func (t *tester) answer(fn star.Callable, c TestCall) ([]byte, *Failure) {
	t.mocks.Lock() // values of the language are not for several goroutines
	defer t.mocks.Unlock()
	kw := c.Kwargs
	if len(kw) == 0 {
		kw = []byte("{}")
	}
	args, kwargs, err := plainCall(c.Args, kw)
	if err != nil {
		return nil, failureOf(err)
	}
	v, err := t.call(&testHost{print: t.printed, now: func() time.Time { return c.At }, mock: true}, fn, args, kwargs)
	if err != nil {
		return nil, failureOf(err)
	}
	return answered(v)
}

// answered is what a value is as the outcome of an activity.
func answered(v star.Value) ([]byte, *Failure) {
	switch r := v.(type) {
	case *Error:
		return nil, r.f
	case *Result:
		if r.err != nil {
			return nil, r.err.f
		}
		v = r.get()
	}
	b, perr := encodeValue(v, plain, 1<<20)
	if perr != nil {
		return nil, &Failure{Kind: "PayloadError", Message: perr.Error(), NoRetry: true}
	}
	return b, nil
}

// plainCall decodes arguments in plain JSON.
func plainCall(args, kwargs []byte) (star.Tuple, []star.Tuple, error) {
	a, _, err := inputArgs(args)
	if err != nil {
		return nil, nil, err
	}
	_, k, err := inputArgs(kwargs)
	return a, k, err
}

// testHost is the world of a test's own functions: there are no durable steps in it.
type testHost struct {
	print func(string)
	now   func() time.Time
	mock  bool // of a function that stands for an activity
}

// Issue refuses every command.
func (h *testHost) Issue(c Command) error {
	what := "durable steps are for workflows: start one with t.run"
	if c.Kind == StartTimer {
		what = "a test does not sleep: let time pass with t.advance"
	}
	return &Failure{Kind: "EvalError", Message: what}
}

// Wait is called when every branch waits, for what cannot come.
func (h *testHost) Wait() (Delivery, error) {
	return Delivery{}, &StuckError{Reason: "the test waits for something that cannot come"}
}

func (h *testHost) Now() time.Time        { return h.now().UTC() }
func (h *testHost) Log(l Line)            { h.print(l.Message) }
func (h *testHost) ChildID(string) string { return "" }
func (h *testHost) Publish([]byte)        {}

// tester is the value t.
type tester struct {
	prog   *Program
	driver TestDriver
	mocks  sync.Mutex // one function of the test at a time stands for an activity

	mu    sync.Mutex // guards print
	print func(string)
}

func (t *tester) printed(text string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.print(text)
}
