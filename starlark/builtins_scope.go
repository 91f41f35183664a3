// Built-ins: timeout, shield, semaphore.

package starlark

import (
	"fmt"
	"slices"

	star "go.starlark.net/starlark"
)

// timeoutBuiltin is timeout(d, fn, ...): fn runs in a branch that is cancelled when it is late.
func timeoutBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "timeout")
	if err != nil {
		return nil, err
	}
	if len(args) == 0 {
		return nil, fmt.Errorf("timeout: wants a duration and a function")
	}
	if _, ok := args[0].(star.Callable); ok {
		return nil, fmt.Errorf("timeout: wants a duration first: timeout(\"30s\", fn, args...)")
	}
	d, err := positiveDuration(args[0])
	if err != nil {
		return nil, fmt.Errorf("timeout: %w", err)
	}
	if len(args) == 1 {
		return nil, fmt.Errorf("timeout: wants a function after the duration")
	}
	fn, ok := args[1].(star.Callable)
	if !ok {
		return nil, fmt.Errorf("timeout: wants a function after the duration, got %s; write timeout(d, fn, args...), not timeout(d, fn(args))", args[1].Type())
	}
	tasks := []task{{fn: &bound{fn: fn, args: args[2:], kwargs: kwargs}}}
	g := b.newGroup("timeout: "+fn.Name(), tasks, 0, firstFailure, position(thread, 1))
	g.period = *d
	if err := g.run(); err != nil {
		return nil, err
	}
	return g.all[0].outcome()
}

// shieldBuiltin is shield(fn, ...): a cancellation that comes meanwhile is raised at the first wait after it.
func shieldBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "shield")
	if err != nil {
		return nil, err
	}
	fn, rest, err := callableFirst("shield", args)
	if err != nil {
		return nil, err
	}
	return b.shielded(fn, rest, kwargs)
}

// semaphore lets n run at a time, the others in the order in which they came.
type semaphore struct {
	s     *script
	n     int
	free  int
	queue []*turn
}

// turn is a branch's place in the queue of a semaphore.
type turn struct {
	b  *branch
	is bool // it has come
}

func (m *semaphore) String() string        { return fmt.Sprintf("semaphore(%d)", m.n) }
func (m *semaphore) Type() string          { return "semaphore" }
func (m *semaphore) Freeze()               {}
func (m *semaphore) Truth() star.Bool      { return true }
func (m *semaphore) Hash() (uint32, error) { return 0, fmt.Errorf("unhashable type: semaphore") }

func semaphoreBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "semaphore")
	if err != nil {
		return nil, err
	}
	var v star.Value
	if err := star.UnpackArgs("semaphore", args, kwargs, "n", &v); err != nil {
		return nil, err
	}
	n, err := star.AsInt32(v)
	if err != nil || n < 1 {
		return nil, fmt.Errorf("semaphore: n is an int of at least 1, got %s", repr(v))
	}
	return &semaphore{s: b.s, n: n, free: n}, nil
}

// AttrNames lists the attributes.
func (m *semaphore) AttrNames() []string { return []string{"available", "run"} }

// Attr returns an attribute.
func (m *semaphore) Attr(name string) (star.Value, error) {
	switch name {
	case "available":
		return star.MakeInt(m.free), nil
	case "run":
		return method("semaphore.run", m.run), nil
	}
	return nil, nil
}

// run calls a function when there is room.
func (m *semaphore) run(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "semaphore.run")
	if err != nil {
		return nil, err
	}
	fn, rest, err := callableFirst("semaphore.run", args)
	if err != nil {
		return nil, err
	}
	if m.s != b.s {
		return nil, fmt.Errorf("this semaphore belongs to another execution")
	}
	if err := m.acquire(b); err != nil {
		return nil, err
	}
	v, err := star.Call(thread, fn, rest, kwargs)
	m.release()
	return v, err
}

// acquire waits for b's turn.
func (m *semaphore) acquire(b *branch) error {
	if m.free > 0 { // nobody waits while there is room
		m.free--
		return nil
	}
	t := &turn{b: b}
	m.queue = append(m.queue, t)
	err := b.block(func() bool { return t.is })
	switch {
	case err == nil:
		return nil
	case t.is:
		m.release()
	default:
		m.queue = slices.DeleteFunc(m.queue, func(o *turn) bool { return o == t })
	}
	return err
}

// release gives the room to who has waited longest.
func (m *semaphore) release() {
	if len(m.queue) == 0 {
		m.free++
		return
	}
	t := m.queue[0]
	m.queue = m.queue[1:]
	t.is = true
	if t.b.place > 0 {
		m.s.wakeUp(t.b)
	}
}

var _ star.HasAttrs = (*semaphore)(nil)
