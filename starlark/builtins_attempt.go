// Built-ins: attempt, Ok, Err, error, fail.

package starlark

import (
	"fmt"
	"strings"

	star "go.starlark.net/starlark"
)

// attempt calls fn and captures what it raises.
func (b *branch) attempt(fn star.Value, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b.attempts++
	v, err := b.call(fn, args, kwargs)
	b.attempts--
	switch {
	case b.s.fatal != nil:
		return nil, errUnwind
	case err != nil:
		return &Result{err: &Error{f: failureOf(err)}}, nil
	}
	return asResult(v), nil
}

func attemptBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := readerOf(thread, "attempt")
	if err != nil {
		return nil, err
	}
	fn, rest, err := callableFirst("attempt", args)
	if err != nil {
		return nil, err
	}
	return b.attempt(fn, rest, kwargs)
}

func okBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var v star.Value = star.None
	if err := star.UnpackArgs("Ok", args, kwargs, "value?", &v); err != nil {
		return nil, err
	}
	return &Result{value: v}, nil
}

func errBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	f, err := newFailure("Err", args, kwargs)
	if err != nil {
		return nil, err
	}
	return &Result{err: &Error{f: f}}, nil
}

func errorBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	f, err := newFailure("error", args, kwargs)
	if err != nil {
		return nil, err
	}
	return nil, &raised{f}
}

// maxKind bounds the kind of a failure, in bytes.
const maxKind = 200

// newFailure reads kind, message, retryable and data.
func newFailure(what string, args star.Tuple, kwargs []star.Tuple) (*Failure, error) {
	f := &Failure{}
	given := []string{"kind", "message"}
	if len(args) > 2 {
		return nil, fmt.Errorf("%s: takes a kind and a message; data is given by keyword arguments", what)
	}
	for i, a := range args {
		for _, kv := range kwargs {
			if kv[0] == star.String(given[i]) {
				return nil, fmt.Errorf("%s: got two values for %s; data of that name needs another one", what, given[i])
			}
		}
		kwargs = append(kwargs[:len(kwargs):len(kwargs)], star.Tuple{star.String(given[i]), a})
	}
	data := star.NewDict(0)
	for _, kv := range kwargs {
		name := string(kv[0].(star.String))
		text, isText := star.AsString(kv[1])
		switch {
		case name == "kind" && isText:
			f.Kind = text
		case name == "message" && isText:
			f.Message = cut(text, maxMessage)
		case name == "kind":
			return nil, fmt.Errorf("%s: the kind is text, got %s", what, kv[1].Type())
		case name == "message":
			f.Message = cut(repr(kv[1]), maxMessage)
		case name == "retryable":
			retryable, err := boolOption(kv[1])
			if err != nil {
				return nil, fmt.Errorf("%s: retryable: %w", what, err)
			}
			f.NoRetry = !*retryable
		default:
			if err := data.SetKey(kv[0], kv[1]); err != nil {
				return nil, err
			}
		}
	}
	if len(f.Kind) > maxKind {
		return nil, fmt.Errorf("%s: the kind has %d bytes, at most %d are allowed", what, len(f.Kind), maxKind)
	}
	if !kindPattern.MatchString(f.Kind) {
		return nil, fmt.Errorf("%s: a kind is an identifier like \"OutOfStock\", got %q; for a message alone write fail(%q)", what, f.Kind, f.Kind)
	}
	if data.Len() > 0 {
		b, perr := encodeValue(data, stored, 1<<20)
		if perr != nil {
			return nil, raise("PayloadError", "%s: the data of %s cannot be stored: %v", what, f.Kind, perr)
		}
		f.Data = b
	}
	return f, nil
}

// failBuiltin is fail(*args, sep=" ").
func failBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	sep := " "
	if err := star.UnpackArgs("fail", nil, kwargs, "sep?", &sep); err != nil {
		return nil, err
	}
	texts := make([]string, len(args))
	for i, a := range args {
		texts[i] = text(a)
	}
	return nil, &raised{&Failure{Kind: "Fail", Message: cut(strings.Join(texts, sep), maxMessage)}}
}
