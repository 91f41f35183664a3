// What a test expects: equal, true, fails, fail.

package starlark

import (
	"errors"
	"fmt"
	"strings"

	star "go.starlark.net/starlark"
)

// testFailed is the kind of an expectation that was not met.
const testFailed = "TestFailed"

// unmet is the failure of an expectation, with what the test says to it.
func unmet(message, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	if message != "" {
		text = message + ": " + text
	}
	return &raised{&Failure{Kind: testFailed, Message: text}}
}

// testEqual is t.equal(got, want, message="").
func testEqual(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var got, want star.Value
	var message string
	if err := star.UnpackArgs("t.equal", args, kwargs, "got", &got, "want", &want, "message?", &message); err != nil {
		return nil, err
	}
	equal, err := star.Equal(got, want)
	if err != nil || equal {
		return star.None, err
	}
	if repr(got) == repr(want) {
		return nil, unmet(message, "got %s, a %s, want a %s", repr(got), got.Type(), want.Type())
	}
	return nil, unmet(message, "got %s, want %s", repr(got), repr(want))
}

// testTrue is t.true(x, message="").
func testTrue(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var v star.Value
	var message string
	if err := star.UnpackArgs("t.true", args, kwargs, "x", &v, "message?", &message); err != nil {
		return nil, err
	}
	if !v.Truth() {
		return nil, unmet(message, "%s is not true", repr(v))
	}
	return star.None, nil
}

// testFail is t.fail(*message).
func testFail(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if err := star.UnpackArgs("t.fail", nil, kwargs); err != nil {
		return nil, err
	}
	words := make([]string, len(args))
	for i, a := range args {
		words[i] = text(a)
	}
	return nil, &raised{&Failure{Kind: testFailed, Message: strings.Join(words, " ")}}
}

// testFails is t.fails(fn, kind=None): calls fn, which must raise, and returns the error.
func testFails(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var fn star.Callable
	var kind string
	if err := star.UnpackArgs("t.fails", args, kwargs, "fn", &fn, "kind??", &kind); err != nil {
		if len(args) > 0 {
			if _, ok := args[0].(star.Callable); !ok {
				return nil, fmt.Errorf("t.fails: wants a function that takes nothing, such as run.result or a lambda, got %s", args[0].Type())
			}
		}
		return nil, err
	}
	b, err := readerOf(thread, "t.fails")
	if err != nil {
		return nil, err
	}
	v, err := b.attempt(fn, nil, nil)
	if err != nil {
		return nil, err
	}
	r, ok := v.(*Result)
	switch {
	case !ok:
		return nil, errors.New("t.fails: no result")
	case r.err == nil:
		return nil, unmet("", "%s has not failed, it returned %s", fn.Name(), repr(r.get()))
	case kind != "" && r.err.f.Kind != kind:
		return nil, unmet("", "failed with %s, want the kind %s", r.err.f.Error(), kind)
	}
	return r.err, nil
}
