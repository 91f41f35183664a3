// Built-ins: futures as values.

package starlark

import (
	"errors"
	"fmt"
	"time"

	star "go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

var errForeign = errors.New("this Future belongs to another execution")

// Future is an outcome to come as a value of the language.
type Future struct {
	f   *future
	key star.Value // among those it was asked for with
}

func (f *Future) String() string        { return "Future(" + f.f.step + ")" }
func (f *Future) Type() string          { return "Future" }
func (f *Future) Freeze()               {}
func (f *Future) Truth() star.Bool      { return true }
func (f *Future) Hash() (uint32, error) { return hashText(f.f.step), nil }

// CompareSameType makes two values of one outcome equal.
func (f *Future) CompareSameType(op syntax.Token, y star.Value, _ int) (bool, error) {
	o, ok := y.(*Future)
	switch op {
	case syntax.EQL:
		return ok && f.f == o.f, nil
	case syntax.NEQ:
		return !ok || f.f != o.f, nil
	}
	return false, fmt.Errorf("Future %s Future is not defined", op)
}

// AttrNames lists the attributes.
func (f *Future) AttrNames() []string {
	names := []string{"attempt", "cancel", "done", "key", "result"}
	if f.f.child != nil {
		names = append(names, "id", "signal")
	}
	return names
}

// Attr returns an attribute.
func (f *Future) Attr(name string) (star.Value, error) {
	switch name {
	case "done":
		return star.Bool(f.f.settled), nil
	case "key":
		if f.key == nil {
			return star.None, nil
		}
		return f.key, nil
	case "id", "signal":
		if f.f.child == nil {
			return nil, nil
		}
		if name == "id" {
			return star.String(f.f.child.id), nil
		}
		return signalMethod(f.f.child.id), nil
	case "result":
		return method(name, f.result), nil
	case "attempt":
		return method(name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			b, err := f.branch(thread)
			if err != nil {
				return nil, err
			}
			return b.attempt(method("result", f.result), args, kwargs)
		}), nil
	case "cancel":
		return method(name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			if err := star.UnpackArgs(name, args, kwargs); err != nil {
				return nil, err
			}
			if _, err := f.branch(thread); err != nil {
				return nil, err
			}
			return star.None, f.f.abandon()
		}), nil
	}
	return nil, nil
}

// branch is the calling branch, which must be of the future's own execution.
func (f *Future) branch(thread *star.Thread) (*branch, error) {
	b, err := branchOf(thread, "a Future")
	if err == nil && b.s != f.f.s {
		err = errForeign
	}
	return b, err
}

// result waits for the outcome, at most for a timeout.
func (f *Future) result(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	return f.resultOf(f, thread, args, kwargs)
}

// resultOf is result of what the script has asked, which an error names.
func (f *Future) resultOf(what fmt.Stringer, thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := readerOf(thread, "a Future")
	if err != nil {
		return nil, err
	}
	var limit star.Value
	if err := star.UnpackArgs("result", args, kwargs, "timeout??", &limit); err != nil {
		return nil, err
	}
	var d time.Duration
	if limit != nil {
		if d, err = duration(limit); err != nil {
			return nil, fmt.Errorf("result: timeout: %w", err)
		}
	}
	if b.pure == "" || !f.f.settled {
		if b, err = f.branch(thread); err != nil {
			return nil, err
		}
		if limit == nil || f.f.settled {
			err = b.wait(f.f)
		} else {
			err = b.waitSome([]*future{f.f}, &d, position(thread, 1))
		}
	}
	switch {
	case err != nil:
		return nil, err
	case !f.f.settled:
		return nil, raise("Timeout", "%s has not ended within %v", what, d)
	}
	return f.f.outcome()
}

// waitSome blocks until one of the futures has settled, or the time is over.
func (b *branch) waitSome(list []*future, d *time.Duration, pos string) error {
	kept := len(b.scope)
	w := b.watchAll(list)
	defer w.end(list)
	var timers []*future
	if d != nil && w.first == nil {
		timer, err := b.startLimit(*d, pos)
		if err != nil {
			return err
		}
		timers = []*future{timer}
		timer.watches = append(timer.watches, &watch{b: b})
	}
	err := b.block(func() bool { return w.first != nil || len(timers) > 0 && timers[0].settled })
	if err == errUnwind {
		return err
	}
	if unwound := b.cancelAll(timers); unwound != nil {
		return unwound
	}
	b.scope = b.scope[:kept]
	return err
}

var (
	_ star.HasAttrs   = (*Future)(nil)
	_ star.Comparable = (*Future)(nil)
)
