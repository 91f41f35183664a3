// Built-ins: defer, on_failure.

package starlark

import (
	"encoding/json"

	star "go.starlark.net/starlark"
)

// cleanup is a call for the end of the execution.
type cleanup struct {
	fn        star.Callable
	args      star.Tuple
	kwargs    []star.Tuple
	onFailure bool // not when the execution succeeds
	pos       string
}

func deferBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	return register(thread, "defer", args, kwargs, false)
}

func onFailureBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	return register(thread, "on_failure", args, kwargs, true)
}

func register(thread *star.Thread, what string, args star.Tuple, kwargs []star.Tuple, onFailure bool) (star.Value, error) {
	b, err := branchOf(thread, what)
	if err != nil {
		return nil, err
	}
	fn, rest, err := callableFirst(what, args)
	if err != nil {
		return nil, err
	}
	b.s.last = append(b.s.last, cleanup{fn: fn, args: rest, kwargs: kwargs, onFailure: onFailure, pos: position(thread, 1)})
	return star.None, nil
}

// cleanup runs what was registered, the last first, shielded, in main's branch
// when its scope has closed. err is how the execution ended, nil when it succeeded or
// continues; what is returned is how it ends now: the first failure of a cleanup makes a
// success one. The failures of the others are logged. A run that was to be continued, and is cancelled where nothing
// can see it any more, ends with that, and so does what succeeds when that counts no more.
func (s *script) cleanup(err error, continues bool) error {
	b := s.main
	s.cleaning = true
	for s.fatal == nil {
		if continues && err == nil && b.cancel != nil {
			err, b.cancel = &raised{b.cancel}, nil
		}
		if !continues && err == nil && s.late != nil { // it caught that
			err = &raised{s.late}
		}
		if len(s.last) == 0 {
			break
		}
		c := s.last[len(s.last)-1]
		s.last = s.last[:len(s.last)-1]
		if c.onFailure && err == nil {
			continue
		}
		_, failed := b.shielded(c.fn, c.args, c.kwargs)
		if failed == nil || failed == errUnwind {
			continue
		}
		f := failureOf(failed)
		f.Traceback = joinTraceback(f.Traceback, placed(c.pos, "registered here"))
		if err == nil {
			err = &raised{f}
		} else {
			b.logFailure(c.fn.Name(), f)
		}
	}
	return err
}

// logFailure keeps the failure of a cleanup that is not how the execution ends.
func (b *branch) logFailure(name string, f *Failure) {
	fields, err := json.Marshal(map[string]string{"kind": f.Kind, "traceback": f.Traceback})
	if err != nil {
		fields = nil
	}
	b.s.log(Line{Branch: b.path, Level: "error", Message: "cleanup " + name + " failed: " + f.Error(), Fields: fields})
}
