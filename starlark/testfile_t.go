// The value t of a test, and the executions that it starts.

package starlark

import (
	"errors"
	"fmt"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

type builtinFunc = func(*star.Thread, star.Tuple, []star.Tuple) (star.Value, error)

func (t *tester) String() string        { return "t" }
func (t *tester) Type() string          { return "test" }
func (t *tester) Freeze()               {}
func (t *tester) Truth() star.Bool      { return true }
func (t *tester) Hash() (uint32, error) { return 0, errors.New("unhashable type: test") }

// AttrNames lists the attributes.
func (t *tester) AttrNames() []string {
	return []string{"advance", "calls", "crash", "equal", "fail", "fails", "mock", "now", "run", "signal", "true"}
}

// Attr returns an attribute.
func (t *tester) Attr(name string) (star.Value, error) {
	var fn builtinFunc
	switch name {
	case "equal":
		return method("t.equal", testEqual), nil
	case "true":
		return method("t.true", testTrue), nil
	case "fail":
		return method("t.fail", testFail), nil
	case "fails":
		return method("t.fails", testFails), nil
	case "advance":
		fn = t.advance
	case "calls":
		fn = t.calls
	case "crash":
		fn = t.crash
	case "mock":
		fn = t.mock
	case "now":
		fn = t.now
	case "run":
		fn = t.run
	case "signal":
		fn = t.signal
	default:
		return nil, nil
	}
	return drives("t."+name, fn), nil
}

// drives is a built-in that needs the driver, which is busy while a mock runs.
func drives(name string, fn builtinFunc) *star.Builtin {
	return method(name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		b, err := branchOf(thread, name)
		if err != nil {
			return nil, err
		}
		if h, ok := b.s.host.(*testHost); !ok || h.mock {
			return nil, fmt.Errorf("%s cannot be called by a mock", name)
		}
		return fn(thread, args, kwargs)
	})
}

// raisedBy makes an error of the driver one of the script.
func raisedBy(err error) error {
	var f *Failure
	switch {
	case err == nil:
		return nil
	case errors.As(err, &f):
		return &raised{f}
	}
	return &raised{&Failure{Kind: testFailed, Message: err.Error()}}
}

// run is t.run(workflow, *args, id=None, fn=None, **kwargs).
func (t *tester) run(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if len(args) == 0 {
		return nil, errors.New(`t.run: wants a workflow, a file such as "order.star", as its first argument`)
	}
	var s TestStart
	var ok bool
	if s.Workflow, ok = star.AsString(args[0]); !ok {
		return nil, fmt.Errorf("t.run: the workflow is the name of a file, such as \"order.star\", got %s", args[0].Type())
	}
	named := star.NewDict(len(kwargs))
	for _, kv := range kwargs {
		into := map[star.Value]*string{star.String("id"): &s.ID, star.String("fn"): &s.Function}[kv[0]]
		if into == nil {
			if err := named.SetKey(kv[0], kv[1]); err != nil {
				return nil, err
			}
			continue
		}
		if *into, ok = star.AsString(kv[1]); !ok && kv[1] != star.None {
			return nil, fmt.Errorf("t.run: %s is text, got %s", kv[0], kv[1].Type())
		}
	}
	a, perr := encodeValue(star.NewList(args[1:]), plain, 1<<20)
	if perr != nil {
		return nil, raise("PayloadError", "t.run: %v", perr)
	}
	k, perr := encodeValue(named, plain, 1<<20)
	if perr != nil {
		return nil, raise("PayloadError", "t.run: %v", perr)
	}
	s.Input = CallInput(a, k)
	id, err := t.driver.Start(s)
	if err != nil {
		return nil, raisedBy(err)
	}
	return &testRun{t: t, id: id}, nil
}

// mock is t.mock(activity, function_or_value).
func (t *tester) mock(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var name string
	var with star.Value
	if err := star.UnpackArgs("t.mock", args, kwargs, "activity", &name, "function_or_value", &with); err != nil {
		return nil, err
	}
	if fn, ok := with.(star.Callable); ok {
		return star.None, raisedBy(t.driver.Mock(name, func(c TestCall) ([]byte, *Failure) { return t.answer(fn, c) }))
	}
	value, failure := answered(with)
	if failure != nil && failure.Kind == "PayloadError" {
		return nil, fmt.Errorf("t.mock: %s", failure.Message)
	}
	return star.None, raisedBy(t.driver.Mock(name, func(TestCall) ([]byte, *Failure) { return value, failure }))
}

// calls is t.calls(activity): a list of structs.
func (t *tester) calls(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var name string
	if err := star.UnpackArgs("t.calls", args, kwargs, "activity", &name); err != nil {
		return nil, err
	}
	var list []star.Value
	for _, c := range t.driver.Calls(name) {
		positional, err := decodePlain(c.Args)
		if err != nil {
			return nil, err
		}
		var named star.Value = star.NewDict(0)
		if len(c.Kwargs) > 0 {
			if named, err = decodePlain(c.Kwargs); err != nil {
				return nil, err
			}
		}
		list = append(list, structNamed(starlarkstruct.Default, star.StringDict{
			"args": positional, "kwargs": named, "attempt": star.MakeInt(c.Attempt),
			"at": momentOf(c.At.UTC()), "execution": star.String(c.Execution),
		}))
	}
	return star.NewList(list), nil
}

// signal is t.signal(handle, name, payload=None).
func (t *tester) signal(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var target, payload star.Value = nil, star.None
	var name string
	if err := star.UnpackArgs("t.signal", args, kwargs, "run", &target, "name", &name, "payload?", &payload); err != nil {
		return nil, err
	}
	id, ok := star.AsString(target)
	if r, isRun := target.(*testRun); isRun {
		id, ok = r.id, true
	}
	if !ok {
		return nil, fmt.Errorf("t.signal: wants what t.run returned, or an id, got %s", target.Type())
	}
	return star.None, t.send(id, name, payload)
}

func (t *tester) send(id, name string, payload star.Value) error {
	b, perr := encodeValue(payload, plain, 1<<20)
	if perr != nil {
		return raise("PayloadError", "the payload of signal %s: %v", name, perr)
	}
	return raisedBy(t.driver.Signal(id, name, b))
}

// advance is t.advance(d).
func (t *tester) advance(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var v star.Value
	if err := star.UnpackArgs("t.advance", args, kwargs, "duration", &v); err != nil {
		return nil, err
	}
	d, err := duration(v)
	if err != nil {
		return nil, fmt.Errorf("t.advance: %w", err)
	}
	return star.None, raisedBy(t.driver.Advance(d))
}

// crash is t.crash().
func (t *tester) crash(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if err := star.UnpackArgs("t.crash", args, kwargs); err != nil {
		return nil, err
	}
	return star.None, raisedBy(t.driver.Crash())
}

// now is t.now().
func (t *tester) now(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if err := star.UnpackArgs("t.now", args, kwargs); err != nil {
		return nil, err
	}
	return momentOf(t.driver.Now().UTC()), nil
}

// testRun is an execution that a test has started.
type testRun struct {
	t  *tester
	id string
}

func (r *testRun) String() string        { return fmt.Sprintf("run(%q)", r.id) }
func (r *testRun) Type() string          { return "run" }
func (r *testRun) Freeze()               {}
func (r *testRun) Truth() star.Bool      { return true }
func (r *testRun) Hash() (uint32, error) { return hashText(r.id), nil }

// AttrNames lists the attributes.
func (r *testRun) AttrNames() []string {
	return []string{"cancel", "failure", "id", "logs", "result", "signal", "state"}
}

// Attr returns an attribute.
func (r *testRun) Attr(name string) (star.Value, error) {
	switch name {
	case "id":
		return star.String(r.id), nil
	case "state":
		return drives(name, r.state), nil
	case "result":
		return drives(name, r.result), nil
	case "failure":
		return drives(name, r.failure), nil
	case "logs":
		return drives(name, r.logs), nil
	case "signal":
		return drives(name, r.signal), nil
	case "cancel":
		return drives(name, r.cancel), nil
	}
	return nil, nil
}

func (r *testRun) state(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if err := star.UnpackArgs("state", args, kwargs); err != nil {
		return nil, err
	}
	state, err := r.t.driver.State(r.id)
	return star.String(state), raisedBy(err)
}

// result lets time pass until the execution has ended; its failure is raised.
func (r *testRun) result(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if err := star.UnpackArgs("result", args, kwargs); err != nil {
		return nil, err
	}
	value, failure, err := r.t.driver.Wait(r.id)
	switch {
	case err != nil:
		return nil, raisedBy(err)
	case failure != nil:
		return nil, &raised{failure}
	}
	return decodePlain(value)
}

// failure lets time pass until the execution has ended; None when it has completed.
func (r *testRun) failure(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if err := star.UnpackArgs("failure", args, kwargs); err != nil {
		return nil, err
	}
	_, failure, err := r.t.driver.Wait(r.id)
	switch {
	case err != nil:
		return nil, raisedBy(err)
	case failure != nil:
		return &Error{f: failure}, nil
	}
	return star.None, nil
}

func (r *testRun) logs(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if err := star.UnpackArgs("logs", args, kwargs); err != nil {
		return nil, err
	}
	lines, err := r.t.driver.Logs(r.id)
	list := make([]star.Value, len(lines))
	for i, l := range lines {
		list[i] = star.String(l)
	}
	return star.NewList(list), raisedBy(err)
}

func (r *testRun) signal(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var name string
	var payload star.Value = star.None
	if err := star.UnpackArgs("signal", args, kwargs, "name", &name, "payload?", &payload); err != nil {
		return nil, err
	}
	return star.None, r.t.send(r.id, name, payload)
}

func (r *testRun) cancel(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var reason string
	if err := star.UnpackArgs("cancel", args, kwargs, "reason?", &reason); err != nil {
		return nil, err
	}
	return star.None, raisedBy(r.t.driver.Cancel(r.id, reason))
}

var (
	_ star.HasAttrs = (*tester)(nil)
	_ star.HasAttrs = (*testRun)(nil)
)
