// Built-ins: signals, and handles of other executions.

package starlark

import (
	"fmt"
	"slices"
	"time"

	star "go.starlark.net/starlark"
)

// arrived is a signal that nobody has consumed yet.
type arrived struct {
	serial uint64 // the order of arrival
	raw    []byte // stored form
}

// signalled hands a signal to the first who waits for its name, else keeps it.
func (s *script) signalled(name string, raw []byte) error {
	s.arrivals++
	a := arrived{s.arrivals, raw}
	if taker, err := s.hand(name, a); taker != nil || err != nil {
		return err
	}
	s.keep(name, append(s.signals[name], a))
	return nil
}

// hand gives a signal to the first who waits for its name; nil when nobody does. While somebody waits, no signal is kept.
func (s *script) hand(name string, a arrived) (*future, error) {
	waiting := s.waits.At(name)
	if len(waiting) == 0 {
		return nil, nil
	}
	f := waiting[0]
	s.unwait(f)
	v, err := decodeStored(a.raw)
	if err != nil {
		return nil, fmt.Errorf("signal %s cannot be read: %w", name, err)
	}
	f.arrived = a
	f.settle(v, nil)
	return f, nil
}

// keep sets the signals of a name that are not consumed.
func (s *script) keep(name string, list []arrived) {
	if s.signals == nil {
		s.signals = make(map[string][]arrived)
	}
	s.signals[name] = list
}

// unwait takes a future out of the line of those who wait for its signal.
func (s *script) unwait(f *future) {
	s.outside--
	waiting := slices.DeleteFunc(s.waits.At(f.signal), func(o *future) bool { return o == f })
	if len(waiting) == 0 {
		s.waits.Delete(f.signal)
		return
	}
	s.waits.Put(f.signal, waiting)
}

// unconsume puts a signal that its future got and nobody read back into its place. Who gets it there has no
// delivery to show for it, so the host is told that his wait is over.
func (s *script) unconsume(f *future) error {
	a := f.arrived
	f.arrived, f.value, f.failure = arrived{}, nil, &Failure{Kind: "Cancelled", Message: "cancelled"}
	taker, err := s.hand(f.signal, a)
	switch {
	case err != nil:
		return err
	case taker != nil:
		return s.issue(Command{Kind: CancelStep, Step: taker.step})
	}
	list := s.signals[f.signal]
	i, _ := slices.BinarySearchFunc(list, a.serial, func(a arrived, serial uint64) int { return int(a.serial) - int(serial) })
	s.keep(f.signal, slices.Insert(list, i, a))
	return nil
}

// consume takes the oldest signal of a name that nobody waits for.
func (s *script) consume(name string) (v star.Value, ok bool, err error) {
	list := s.signals[name]
	if len(list) == 0 {
		return nil, false, nil
	}
	if v, err = decodeStored(list[0].raw); err != nil {
		return nil, false, fmt.Errorf("signal %s cannot be read: %w", name, err)
	}
	if list = list[1:]; len(list) == 0 {
		delete(s.signals, name)
	} else {
		s.signals[name] = list
	}
	return v, true, nil
}

// listen returns a future of the next signal of a name, in b's scope. One that
// is there already settles it at once and asks nothing of the host.
func (b *branch) listen(step, name, pos string) (*future, error) {
	s := b.s
	if err := b.halted(); err != nil {
		return nil, err
	}
	f := &future{s: s, step: step, pos: pos, signal: name}
	if list := s.signals[name]; len(list) > 0 {
		v, _, err := s.consume(name)
		if err != nil {
			return nil, err
		}
		f.arrived = list[0]
		f.settle(v, nil)
	} else {
		if err := s.issue(Command{Kind: AwaitSignal, Step: f.step, Name: name, Pos: pos}); err != nil {
			return nil, err
		}
		s.waits.Put(name, append(s.waits.At(name), f))
		s.outside++
	}
	b.scope = append(b.scope, f)
	return f, nil
}

// unlisten ends the wait of a signal's future; what it got and nobody read is there for the next.
func (f *future) unlisten(read bool) error {
	switch {
	case !f.settled:
		f.s.unwait(f)
		err := f.s.issue(Command{Kind: CancelStep, Step: f.step})
		f.settle(nil, &Failure{Kind: "Cancelled", Message: "cancelled"})
		return err
	case !read && f.failure == nil:
		return f.s.unconsume(f)
	}
	return nil
}

// receive waits for a signal, at most for a limit; without a signal it returns
// the default or raises SignalTimeout.
func (b *branch) receive(what, name string, limit, otherwise star.Value, pos string) (star.Value, error) {
	d, err := signalTimeout(what, limit)
	if err != nil {
		return nil, err
	}
	if v, ok, err := b.s.consume(name); ok || err != nil {
		return v, err
	}
	late := func() (star.Value, error) {
		if otherwise != nil {
			return otherwise, nil
		}
		return nil, raise("SignalTimeout", "no signal %q within %v", name, *d)
	}
	if d != nil && *d == 0 {
		return late()
	}
	kept := len(b.scope)
	f, err := b.listen(b.next(), name, pos)
	if err != nil {
		return nil, err
	}
	if d == nil {
		return b.await(f, kept)
	}
	err = b.waitSome([]*future{f}, d, pos)
	switch {
	case err == errUnwind:
		return nil, err
	case err != nil:
		if unwound := f.abandon(); unwound != nil {
			return nil, unwound
		}
		return nil, err
	case !f.settled:
		if err := f.abandon(); err != nil {
			return nil, err
		}
		b.scope = b.scope[:kept]
		return late()
	}
	b.scope = b.scope[:kept]
	return f.outcome()
}

// signalTimeout reads a timeout; None and none given wait for ever, 0 does not wait.
func signalTimeout(what string, v star.Value) (*time.Duration, error) {
	if v == nil || v == star.None {
		return nil, nil
	}
	d, err := duration(v)
	if err != nil {
		return nil, fmt.Errorf("%s: timeout: %w", what, err)
	}
	return &d, nil
}

// signalName reads the name of a signal.
func signalName(what string, v star.Value) (string, error) {
	name, ok := star.AsString(v)
	if !ok || name == "" {
		return "", fmt.Errorf("%s: the name of a signal is text, got %s", what, repr(v))
	}
	return name, wellFormed(what+": the name of a signal", name)
}

func waitSignalBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "wait_signal")
	if err != nil {
		return nil, err
	}
	var v, limit, otherwise star.Value
	if len(args) > 1 {
		return nil, fmt.Errorf("wait_signal: takes the signal's name; timeout and default are keyword arguments")
	}
	if err := star.UnpackArgs("wait_signal", args, kwargs, "name", &v, "timeout?", &limit, "default?", &otherwise); err != nil {
		return nil, err
	}
	name, err := signalName("wait_signal", v)
	if err != nil {
		return nil, err
	}
	return b.receive("wait_signal", name, limit, otherwise, position(thread, 1))
}

func signalBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := readerOf(thread, "signal")
	if err != nil {
		return nil, err
	}
	var v star.Value
	if err := star.UnpackArgs("signal", args, kwargs, "name", &v); err != nil {
		return nil, err
	}
	name, err := signalName("signal", v)
	if err != nil {
		return nil, err
	}
	return &channel{s: b.s, name: name}, nil
}

// channel is the value signal(name): where the signals of a name arrive.
type channel struct {
	s    *script
	name string
}

func (c *channel) String() string        { return fmt.Sprintf("signal(%q)", c.name) }
func (c *channel) Type() string          { return "signal" }
func (c *channel) Freeze()               {}
func (c *channel) Truth() star.Bool      { return true }
func (c *channel) Hash() (uint32, error) { return hashText(c.name), nil }

// AttrNames lists the attributes.
func (c *channel) AttrNames() []string { return []string{"drain", "name", "pending", "recv", "start"} }

// Attr returns an attribute.
func (c *channel) Attr(name string) (star.Value, error) {
	switch name {
	case "name":
		return star.String(c.name), nil
	case "pending":
		return star.MakeInt(len(c.s.signals[c.name])), nil
	case "recv":
		return c.method(name, func(b *branch, args star.Tuple, kwargs []star.Tuple, pos string) (star.Value, error) {
			var limit, otherwise star.Value
			if err := star.UnpackArgs("recv", args, kwargs, "timeout?", &limit, "default?", &otherwise); err != nil {
				return nil, err
			}
			return b.receive("recv", c.name, limit, otherwise, pos)
		}), nil
	case "start":
		return c.method(name, func(b *branch, args star.Tuple, kwargs []star.Tuple, pos string) (star.Value, error) {
			if err := star.UnpackArgs("start", args, kwargs); err != nil {
				return nil, err
			}
			b.prune() // not in listen: those who cut the scope back afterwards have counted what is in it
			f, err := c.listen(b, b.next(), pos)
			if err != nil {
				return nil, err
			}
			return &Future{f: f}, nil
		}), nil
	case "drain":
		return c.method(name, func(b *branch, args star.Tuple, kwargs []star.Tuple, _ string) (star.Value, error) {
			if err := star.UnpackArgs("drain", args, kwargs); err != nil {
				return nil, err
			}
			list := []star.Value{}
			for {
				v, ok, err := b.s.consume(c.name)
				if err != nil {
					return nil, err
				}
				if !ok {
					return star.NewList(list), nil
				}
				list = append(list, v)
			}
		}), nil
	}
	return nil, nil
}

// listen returns a future of the channel's next signal.
func (c *channel) listen(b *branch, step, pos string) (*future, error) {
	if c.s != b.s {
		return nil, fmt.Errorf("this signal belongs to another execution")
	}
	return b.listen(step, c.name, pos)
}

// method is a method of the channel, for the script that it belongs to.
func (c *channel) method(name string, fn func(b *branch, args star.Tuple, kwargs []star.Tuple, pos string) (star.Value, error)) star.Value {
	return method(name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		b, err := branchOf(thread, "a signal")
		if err != nil {
			return nil, err
		}
		if b.s != c.s {
			return nil, fmt.Errorf("this signal belongs to another execution")
		}
		return fn(b, args, kwargs, position(thread, 1))
	})
}

// step issues a command and waits for its outcome.
func (b *branch) step(c Command) (star.Value, error) {
	kept := len(b.scope)
	f, err := b.start(c)
	if err != nil {
		return nil, err
	}
	return b.await(f, kept)
}

// payload is a value that goes to another execution, in stored form.
func (b *branch) payload(what string, v star.Value) ([]byte, error) {
	raw, perr := encodeValue(v, stored, b.s.maxValue)
	if perr != nil {
		return nil, raise("PayloadError", "%s: the payload cannot be stored: %v", what, perr)
	}
	return raw, nil
}

func (b *branch) sendSignal(what, id string, v, payload star.Value, pos string) (star.Value, error) {
	name, err := signalName(what, v)
	if err != nil {
		return nil, err
	}
	raw, err := b.payload(what, payload)
	if err != nil {
		return nil, err
	}
	return b.step(Command{Kind: SendSignal, Step: b.next(), Target: id, Name: name, Args: raw, Pos: pos})
}

func sendSignalBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "send_signal")
	if err != nil {
		return nil, err
	}
	var target, name star.Value
	var payload star.Value = star.None
	if err := star.UnpackArgs("send_signal", args, kwargs, "execution_id", &target, "name", &name, "payload?", &payload); err != nil {
		return nil, err
	}
	id, err := executionID("send_signal", target)
	if err != nil {
		return nil, err
	}
	return b.sendSignal("send_signal", id, name, payload, position(thread, 1))
}

// executionID reads the id of an execution, which may be given by its handle.
func executionID(what string, v star.Value) (string, error) {
	switch v := v.(type) {
	case *other:
		return v.id, nil
	case *Future:
		if v.f.child != nil {
			return v.f.child.id, nil
		}
	case star.String:
		if v != "" {
			return string(v), wellFormed(what+": the id of an execution", string(v))
		}
	}
	return "", fmt.Errorf("%s: the id of an execution is text, got %s", what, repr(v))
}

func executionBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if _, err := readerOf(thread, "execution"); err != nil {
		return nil, err
	}
	var v star.Value
	if err := star.UnpackArgs("execution", args, kwargs, "id", &v); err != nil {
		return nil, err
	}
	id, err := executionID("execution", v)
	if err != nil {
		return nil, err
	}
	return &other{id: id}, nil
}

// other is the value execution(id): a handle of an execution, by its id.
type other struct{ id string }

func (o *other) String() string        { return fmt.Sprintf("execution(%q)", o.id) }
func (o *other) Type() string          { return "execution" }
func (o *other) Freeze()               {}
func (o *other) Truth() star.Bool      { return true }
func (o *other) Hash() (uint32, error) { return hashText(o.id), nil }

// AttrNames lists the attributes.
func (o *other) AttrNames() []string { return []string{"cancel", "id", "result", "signal"} }

// Attr returns an attribute.
func (o *other) Attr(name string) (star.Value, error) {
	switch name {
	case "id":
		return star.String(o.id), nil
	case "signal":
		return signalMethod(o.id), nil
	case "cancel":
		return method(name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			b, err := branchOf(thread, "execution")
			if err != nil {
				return nil, err
			}
			reason := ""
			if err := star.UnpackArgs("cancel", args, kwargs, "reason?", &reason); err != nil {
				return nil, err
			}
			reason = string([]rune(reason)) // what is no UTF-8 becomes U+FFFD, as in the journal
			return b.step(Command{Kind: CancelOther, Step: b.next(), Target: o.id, Name: reason, Pos: position(thread, 1)})
		}), nil
	case "result":
		return method(name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			b, err := branchOf(thread, "execution")
			if err != nil {
				return nil, err
			}
			kept := len(b.scope)
			f, err := b.start(Command{Kind: AwaitResult, Step: b.next(), Target: o.id, Pos: position(thread, 1)})
			if err != nil {
				return nil, err
			}
			v, err := (&Future{f: f}).resultOf(o, thread, args, kwargs)
			if err == errUnwind {
				return nil, err
			}
			if unwound := b.cancelAll([]*future{f}); unwound != nil {
				return nil, unwound
			}
			b.scope = b.scope[:kept]
			return v, err
		}), nil
	}
	return nil, nil
}

// signalMethod is the method signal(name, payload) of an execution's handle.
func signalMethod(id string) star.Value {
	return method("signal", func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		b, err := branchOf(thread, "execution")
		if err != nil {
			return nil, err
		}
		var name star.Value
		var payload star.Value = star.None
		if err := star.UnpackArgs("signal", args, kwargs, "name", &name, "payload?", &payload); err != nil {
			return nil, err
		}
		return b.sendSignal("signal", id, name, payload, position(thread, 1))
	})
}

var (
	_ star.HasAttrs = (*channel)(nil)
	_ star.HasAttrs = (*other)(nil)
)
