// Built-ins: continue_as_new, and the input that one script gives another.

package starlark

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"

	star "go.starlark.net/starlark"
)

// errContinue ends a run that is followed by another.
var errContinue = errors.New("continued as new")

// tagCall is the only key of an input that plain JSON cannot say:
// [positional arguments, keyword arguments], in stored form.
const tagCall = "$call"

// CallInput is the input of a call, of the stored forms of its arguments: plain
// JSON where that says it all.
func CallInput(args, kwargs []byte) []byte {
	none := func(b []byte) bool { return len(b) <= 2 }
	switch {
	case mayTag(args) || mayTag(kwargs):
	case none(kwargs):
		if none(args) {
			return []byte("[]")
		}
		return args
	case none(args):
		return kwargs
	}
	if len(args) == 0 {
		args = []byte("[]")
	}
	if len(kwargs) == 0 {
		kwargs = []byte("{}")
	}
	return bytes.Join([][]byte{[]byte(`{"` + tagCall + `":[`), args, {','}, kwargs, []byte("]}")}, nil)
}

// PlainInput is an input as clients see it: JSON without tags.
func PlainInput(input []byte) []byte {
	args, kwargs, ok := cutCall(input)
	if !ok {
		return input
	}
	a, err := ToPlain(args)
	if err != nil {
		return input
	}
	k, err := ToPlain(kwargs)
	switch {
	case err != nil:
		return input
	case string(k) == "{}":
		return a
	case string(a) == "[]":
		return k
	}
	return bytes.Join([][]byte{[]byte(`{"args":`), a, []byte(`,"kwargs":`), k, []byte("}")}, nil)
}

// cutCall takes an input of CallInput apart.
func cutCall(input []byte) (args, kwargs []byte, ok bool) {
	rest, ok := bytes.CutPrefix(input, []byte(`{"`+tagCall+`":[`))
	if !ok || !bytes.HasSuffix(rest, []byte("]}")) {
		return nil, nil, false
	}
	rest = rest[:len(rest)-2]
	n := valueEnd(rest)
	if n <= 0 || n >= len(rest) || rest[n] != ',' {
		return nil, nil, false
	}
	return rest[:n], rest[n+1:], true
}

// valueEnd is the length of the array that a JSON text begins with.
func valueEnd(b []byte) int {
	depth, quoted := 0, false
	for i := 0; i < len(b); i++ {
		switch c := b[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			depth++
		case c == ']' || c == '}':
			if depth--; depth == 0 {
				return i + 1
			}
		}
	}
	return 0
}

// continueBuiltin is continue_as_new(*args, pin=False, **kwargs).
func continueBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "continue_as_new")
	if err != nil {
		return nil, err
	}
	if _, ok := b.s.host.(*testHost); ok {
		return nil, errors.New("continue_as_new is for workflows")
	}
	s := b.s
	switch {
	case b != s.main:
		return nil, fmt.Errorf("continue_as_new is not available in a branch: only the function that the execution began with can continue; return to it first")
	case b.attempts > 0:
		return nil, fmt.Errorf("continue_as_new is not available inside attempt(...), saga(...) or another function that catches errors: return from it first")
	case s.cleaning:
		return nil, fmt.Errorf("continue_as_new is not available in a clean-up function")
	}
	next := &Continuation{}
	isPin := func(kv star.Tuple) bool { return kv[0] == star.String("pin") }
	if i := slices.IndexFunc(kwargs, isPin); i >= 0 {
		pin, err := boolOption(kwargs[i][1])
		if err != nil {
			return nil, fmt.Errorf("continue_as_new: pin %w", err)
		}
		next.Pin = *pin
		kwargs = slices.DeleteFunc(slices.Clone(kwargs), isPin)
	}
	if err := fits(s.function, args, kwargs); err != nil {
		return nil, fmt.Errorf("continue_as_new: %w", err)
	}
	a, k, err := encodeCall("continue_as_new", s.maxValue, args, kwargs)
	if err != nil {
		return nil, err
	}
	next.Input = CallInput(a, k)
	s.next = next
	return nil, errContinue
}

// continuation completes what the next run takes over.
func (s *script) continuation() *Continuation {
	n := s.next
	n.Shown = s.shown.encode()
	for _, name := range slices.Sorted(maps.Keys(s.signals)) {
		for _, a := range s.signals[name] {
			n.Signals = append(n.Signals, Delivery{Kind: SignalArrived, Name: name, Value: a.raw})
		}
	}
	return n
}
