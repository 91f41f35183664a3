// Scopes: what a branch started is awaited, or cancelled and awaited; shields.

package starlark

import (
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	star "go.starlark.net/starlark"
)

// run is the life of b: it calls fn, unless b was cancelled before it began.
func (b *branch) run(fn star.Value, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if b.s.fatal != nil { // built-ins do not look at a cancelled thread
		return nil, errUnwind
	}
	if f := b.interrupted(); f != nil {
		return nil, &raised{f}
	}
	return b.scoped(fn, args, kwargs)
}

// scoped calls fn and closes the scope of b: what was started in it is awaited,
// or cancelled and awaited when fn fails.
func (b *branch) scoped(fn star.Value, args star.Tuple, kwargs []star.Tuple) (_ star.Value, err error) {
	defer func() { // a fault of the interpreter or of ours costs this script, not its neighbours
		if r := recover(); r != nil {
			b.s.unwind(&StuckError{Reason: fmt.Sprintf("internal error in branch %q: %v\n%s", b.path, r, debug.Stack())})
			b.s.rise(b)
			b.s.ready = slices.DeleteFunc(b.s.ready, func(o *branch) bool { return o == b })
			b.queued = false
			err = errUnwind
		}
	}()
	v, err := b.call(fn, args, kwargs)
	switch {
	case err == nil:
		err = b.closeScope()
	case errors.Is(err, errContinue):
		if f := b.unread(); f != nil {
			err = f.missed()
		}
	}
	if b.s.fatal != nil { // what waits in the scope is not given up: whoever replays the script takes it up again
		return nil, errUnwind
	}
	if err != nil {
		if unwound := b.cancelScope(); unwound != nil {
			return nil, unwound
		}
		return nil, err
	}
	return v, nil
}

// shielded is scoped with cancellation kept pending, in a scope of its own.
func (b *branch) shielded(fn star.Value, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	scope := b.scope
	b.scope = nil
	b.shields++
	v, err := b.scoped(fn, args, kwargs)
	b.shields--
	b.scope = scope
	return v, err
}

// closeScope awaits what b started; an unread failure is raised.
func (b *branch) closeScope() error {
	w := &watch{b: b, unread: true}
	for _, f := range b.scope {
		await := true
		var err error
		switch {
		case f.timer, f.signal != "":
			err = f.abandon()
		case f.child == nil || f.cancelled:
		case f.child.policy == closeAbandon:
			f.read, await = true, false
		case f.child.policy == closeCancel && !f.settled:
			err = f.abandon()
		}
		if err != nil {
			return err
		}
		if await {
			w.add(f)
		}
	}
	defer w.end(b.scope)
	if err := b.block(func() bool { return w.left == 0 || w.failed != nil }); err != nil {
		return err
	}
	if w.failed != nil {
		return w.failed.missed()
	}
	b.scope = nil
	return nil
}

// unread is what b started that has failed, and nobody has seen it; nil when there is none.
func (b *branch) unread() *future {
	w := &watch{unread: true}
	for _, f := range b.scope {
		if f.settled && (f.child == nil || f.child.policy != closeAbandon) {
			w.note(f)
		}
	}
	return w.failed
}

// missed is the failure of f, raised at the end of the scope because nobody has read it.
func (f *future) missed() error {
	f.read = true
	failure := *f.failure
	failure.Traceback = joinTraceback(failure.Traceback, placed(f.pos, "started here and not awaited"))
	return &raised{&failure}
}

// cancelScope cancels and awaits what b started.
func (b *branch) cancelScope() error {
	err := b.abandonAll(b.scope, (*future).close)
	b.scope = nil
	return err
}

// cancelAll cancels and awaits futures. Being cancelled meanwhile is kept for
// the next wait; a deadlock ends it.
func (b *branch) cancelAll(list []*future) error {
	return b.abandonAll(list, func(f *future) (bool, error) { return true, f.abandon() })
}

// abandonAll gives futures up and awaits those that are to be awaited.
func (b *branch) abandonAll(list []*future, give func(*future) (await bool, err error)) error {
	b.shields++
	b.closing++
	defer func() {
		b.shields--
		b.closing--
	}()
	left := list[:0:0]
	for _, f := range list {
		await, err := give(f)
		if err != nil {
			return err
		}
		if await && !f.settled {
			left = append(left, f)
		}
	}
	return b.waitAll(left)
}

// await waits for a future that b has just started, and returns its outcome; kept is the length of the
// scope before. When the wait is cut short the future is given up, as at the end of its scope.
func (b *branch) await(f *future, kept int) (star.Value, error) {
	err := b.wait(f)
	switch {
	case err == errUnwind:
		return nil, err
	case err != nil:
		if _, unwound := f.close(); unwound != nil {
			return nil, unwound
		}
		return nil, err
	}
	b.scope = b.scope[:kept]
	return f.outcome()
}

// prune forgets what has settled and needs nobody's attention, now and then:
// a branch may start things in a loop for a long time.
func (b *branch) prune() {
	if len(b.scope) < max(64, 2*b.pruned) {
		return
	}
	b.scope = slices.DeleteFunc(b.scope, func(f *future) bool { return f.settled && (f.read || f.failure == nil && f.signal == "") })
	b.pruned = len(b.scope)
}
