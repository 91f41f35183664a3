// Built-in: wait_until.

package starlark

import (
	"fmt"

	star "go.starlark.net/starlark"
)

// condition is a branch in wait_until.
type condition struct {
	b    *branch
	look bool // something has happened since it was last looked at
}

// look wakes who waits for a condition when something has run since it was
// last looked at; false when there is nobody to wake. It is called when no branch can go on, so that
// a condition sees what all the others have made of a delivery.
func (s *script) look() bool {
	if !s.stale || s.fatal != nil || len(s.open) == 0 {
		return false
	}
	for _, c := range s.open {
		c.look = true
		s.wakeUp(c.b)
	}
	s.stale = false
	return true
}

// waitUntilBuiltin calls fn after each delivery until what it returns is true.
func waitUntilBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	const what = "wait_until"
	b, err := branchOf(thread, what)
	if err != nil {
		return nil, err
	}
	args, kwargs, err = byPlace(what, args, kwargs, "fn")
	if err != nil {
		return nil, err
	}
	period, err := timeoutOption(what, kwargs, positiveDuration)
	if err != nil {
		return nil, err
	}
	fn, rest, err := callableFirst(what, args)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("wait_until: takes one function; write bind(fn, args...)")
	}
	v, err := b.purely(what, fn, nil, nil)
	if err != nil || bool(v.Truth()) {
		return v, err
	}
	kept := len(b.scope)
	var timers []*future
	if period != nil {
		timer, err := b.startLimit(*period, position(thread, 1))
		if err != nil {
			return nil, err
		}
		timer.watches = append(timer.watches, &watch{b: b})
		timers = append(timers, timer)
	}
	v, err = b.until(fn, timers)
	if err == errUnwind {
		return nil, err
	}
	if unwound := b.cancelAll(timers); unwound != nil {
		return nil, unwound
	}
	b.scope = b.scope[:kept]
	if err == nil && !bool(v.Truth()) {
		return nil, raise("Timeout", "wait_until: %s did not come true within %v", fn.Name(), *period)
	}
	return v, err
}

// until looks at a condition until it is true or a timer has settled.
func (b *branch) until(fn star.Value, timers []*future) (star.Value, error) {
	s := b.s
	c := &condition{b: b}
	s.open = append(s.open, c)
	s.outside++
	s.stale = true
	defer func() {
		s.outside--
		for i, o := range s.open {
			if o == c {
				s.open = append(s.open[:i:i], s.open[i+1:]...)
				break
			}
		}
	}()
	late := func() bool { return len(timers) > 0 && timers[0].settled }
	for {
		if err := b.block(func() bool { return c.look || late() }); err != nil {
			return nil, err
		}
		c.look = false
		v, err := b.purely("wait_until", fn, nil, nil)
		if err != nil || bool(v.Truth()) || late() {
			s.stale = true // this branch goes on
			return v, err
		}
	}
}
