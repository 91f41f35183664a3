// Failures: errors as data, as values of the language, and on their way through the interpreter.

package starlark

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"regexp"
	"strings"
	"unicode/utf8"

	star "go.starlark.net/starlark"
)

// Error is the failure as an error: "Kind: message".
func (f *Failure) Error() string {
	if f.Message == "" {
		return f.Kind
	}
	return f.Kind + ": " + f.Message
}

type failureFields Failure

type failureJSON struct {
	*failureFields
	Data json.RawMessage `json:"data,omitempty"`
}

// MarshalJSON writes the failure; Data stands in it as it is.
func (f *Failure) MarshalJSON() ([]byte, error) {
	return json.Marshal(failureJSON{(*failureFields)(f), f.Data})
}

// UnmarshalJSON reads what MarshalJSON wrote.
func (f *Failure) UnmarshalJSON(b []byte) error {
	j := failureJSON{failureFields: (*failureFields)(f)}
	if err := json.Unmarshal(b, &j); err != nil {
		return err
	}
	f.Data = j.Data
	if string(j.Data) == "null" {
		f.Data = nil
	}
	return nil
}

// raised is a failure on its way through the interpreter.
type raised struct{ f *Failure }

func (r *raised) Error() string { return r.f.Error() }

func raise(kind, format string, args ...any) error {
	return &raised{&Failure{Kind: kind, Message: fmt.Sprintf(format, args...)}}
}

// errUnwind is what every wait returns while the script is unwound. It cannot be caught:
// attempt looks at the script's fatal error first.
var errUnwind = errors.New("unwound")

var kindPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// failureOf turns an error of a call into a failure with a backtrace.
func failureOf(err error) *Failure {
	var f Failure
	var r *raised
	var eval *star.EvalError
	isEval := errors.As(err, &eval)
	switch {
	case errors.As(err, &r):
		f = *r.f
	case isEval:
		f = Failure{Kind: "EvalError", Message: teachEval(eval.Msg)}
	default:
		f = Failure{Kind: "EvalError", Message: err.Error()}
	}
	f.Message = cut(f.Message, maxMessage)
	if isEval {
		f.Traceback = joinTraceback(f.Traceback, trimStack(eval.CallStack))
	}
	return &f
}

// maxMessage is how many bytes of a failure's message are kept, maxLine of a line that is logged: they
// go wherever the failure goes, into each who waits for the execution.
const (
	maxMessage = 64 << 10
	maxLine    = 1 << 20
)

// Bounded is a kind and a message as far as they are kept.
func Bounded(kind, message string) (string, string) {
	return cut(kind, maxKind), cut(message, maxMessage)
}

// cut is the beginning of a text that is too long, and how long that was.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most - len("... (9223372036854775807 bytes)") // what is cut once is short enough
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return fmt.Sprintf("%s... (%d bytes)", text[:end], len(text))
}

// maxFrames is how many frames of each end of a stack a backtrace shows, and
// maxTraceback how long it may be before the stacks of callers are left out.
const (
	tracebackHead = "Traceback (most recent call last):\n"
	// RaisedAgain stands between the backtraces of one error, the first of which is where it came from.
	RaisedAgain = "\nraised again in:\n"

	maxFrames    = 10
	maxTraceback = 8 << 10
)

// trimStack leaves the frames of built-ins out of a stack, and the middle of a deep one.
func trimStack(stack star.CallStack) string {
	var b strings.Builder
	for i, fr := range stack {
		if i == maxFrames && len(stack) > 2*maxFrames {
			fmt.Fprintf(&b, "  ... %d more calls\n", len(stack)-2*maxFrames)
		}
		if fr.Pos.Line == 0 || i >= maxFrames && i < len(stack)-maxFrames {
			continue
		}
		fmt.Fprintf(&b, "  %s: in %s\n", fr.Pos, fr.Name)
	}
	if b.Len() == 0 {
		return ""
	}
	return tracebackHead + b.String()
}

// placed is a backtrace of one place, with what was done there.
func placed(pos, what string) string {
	if pos == "" {
		return ""
	}
	return tracebackHead + "  " + pos + ": " + what + "\n"
}

// joinTraceback puts the stack of who was told under the stack of where it happened.
func joinTraceback(inner, outer string) string {
	switch {
	case outer == "":
		return inner
	case inner == "", strings.HasPrefix(inner, strings.TrimSuffix(outer, "\n")):
		return outer
	}
	if len(inner) > maxTraceback || strings.Contains(inner, outer) {
		return inner
	}
	return strings.TrimSuffix(inner, "\n") + RaisedAgain + outer
}

// Error is a failure as a value of the language.
type Error struct {
	f *Failure
}

func (e *Error) String() string        { return e.f.Error() }
func (e *Error) Type() string          { return "Error" }
func (e *Error) Freeze()               {}
func (e *Error) Truth() star.Bool      { return true }
func (e *Error) Hash() (uint32, error) { return hashText(e.f.Kind + "\x00" + e.f.Message), nil }

func hashText(s string) uint32 {
	h := fnv.New32a()
	_, _ = h.Write([]byte(s))
	return h.Sum32()
}

// AttrNames lists the attributes.
func (e *Error) AttrNames() []string {
	return []string{"activity", "attempts", "cause", "data", "kind", "message", "reraise", "traceback"}
}

// Attr returns an attribute.
func (e *Error) Attr(name string) (star.Value, error) {
	switch name {
	case "kind":
		return star.String(e.f.Kind), nil
	case "message":
		return star.String(e.f.Message), nil
	case "attempts":
		return star.MakeInt(e.f.Attempts), nil
	case "activity":
		if e.f.Activity == "" {
			return star.None, nil
		}
		return star.String(e.f.Activity), nil
	case "traceback":
		return star.String(e.f.Traceback), nil
	case "cause":
		if e.f.Cause == nil {
			return star.None, nil
		}
		return &Error{f: e.f.Cause}, nil
	case "data":
		return e.data()
	case "reraise":
		return method("reraise", e.reraise), nil
	}
	return nil, nil
}

// data is what the error carries. An activity's may have been recorded as it came, so that it looks like a tag.
func (e *Error) data() (*star.Dict, error) {
	if e.f.Data == nil {
		return star.NewDict(0), nil
	}
	for _, read := range []func([]byte) (star.Value, error){decodeStored, decodePlain} {
		v, err := read(e.f.Data)
		if err != nil {
			return nil, err
		}
		if d, ok := v.(*star.Dict); ok {
			return d, nil
		}
	}
	v, err := decodeStored(e.f.Data)
	if err != nil {
		return nil, err
	}
	d := star.NewDict(1)
	return d, d.SetKey(star.String("value"), v)
}

// reraise raises the error again; keyword arguments are added to its data.
func (e *Error) reraise(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if len(args) > 0 {
		return nil, errors.New("reraise: what is added to the data is given by keyword arguments")
	}
	if len(kwargs) == 0 {
		return nil, &raised{e.f}
	}
	d, err := e.data()
	if err != nil {
		return nil, err
	}
	for _, kv := range kwargs {
		if err := d.SetKey(kv[0], kv[1]); err != nil {
			return nil, err
		}
	}
	f := *e.f
	b, perr := encodeValue(d, stored, 1<<20)
	if perr != nil {
		return nil, raise("PayloadError", "reraise: the data cannot be stored: %v", perr)
	}
	f.Data = b
	return nil, &raised{&f}
}

// Result is a value or an error.
type Result struct {
	value star.Value
	err   *Error
}

func (r *Result) get() star.Value {
	if r.err != nil || r.value == nil {
		return star.None
	}
	return r.value
}

func (r *Result) String() string        { return repr(r) }
func (r *Result) Type() string          { return "Result" }
func (r *Result) Freeze()               { r.get().Freeze() }
func (r *Result) Truth() star.Bool      { return r.err == nil }
func (r *Result) Hash() (uint32, error) { return 0, errors.New("unhashable type: Result") }

// Len, Index and Iterate let a result unpack as value, error.
func (r *Result) Len() int { return 2 }

// Index returns the value or the error.
func (r *Result) Index(i int) star.Value {
	if i == 0 {
		return r.get()
	}
	if r.err == nil {
		return star.None
	}
	return r.err
}

// Iterate iterates over value, error.
func (r *Result) Iterate() star.Iterator {
	return star.Tuple{r.Index(0), r.Index(1)}.Iterate()
}

// AttrNames lists the attributes.
func (r *Result) AttrNames() []string {
	return []string{"error", "map", "ok", "only", "unwrap", "unwrap_or", "value"}
}

// Attr returns an attribute.
func (r *Result) Attr(name string) (star.Value, error) {
	switch name {
	case "ok":
		return star.Bool(r.err == nil), nil
	case "value":
		return r.get(), nil
	case "error":
		return r.Index(1), nil
	case "unwrap":
		return methodOf(r, name, func(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			if err := star.UnpackArgs(name, args, kwargs); err != nil {
				return nil, err
			}
			if r.err != nil {
				return nil, &raised{r.err.f}
			}
			return r.get(), nil
		}), nil
	case "unwrap_or":
		return methodOf(r, name, func(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			var def star.Value
			if err := star.UnpackArgs(name, args, renamed(kwargs, "x", "default"), "default", &def); err != nil {
				return nil, err
			}
			if r.err != nil {
				return def, nil
			}
			return r.get(), nil
		}), nil
	case "map":
		return methodOf(r, name, r.mapped), nil
	case "only":
		return methodOf(r, name, r.only), nil
	}
	return nil, nil
}

func (r *Result) mapped(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var fn star.Callable
	if err := star.UnpackArgs("map", args, kwargs, "fn", &fn); err != nil {
		return nil, err
	}
	if r.err != nil {
		return r, nil
	}
	v, err := star.Call(thread, fn, star.Tuple{r.get()}, nil)
	if err != nil {
		return nil, err
	}
	return &Result{value: v}, nil
}

func (r *Result) only(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if len(kwargs) > 0 {
		return nil, errors.New("only: takes kinds, no keyword arguments")
	}
	for _, a := range args {
		kind, ok := star.AsString(a)
		if !ok {
			return nil, fmt.Errorf("only: a kind is a string, got %s", a.Type())
		}
		if r.err != nil && r.err.f.Kind == kind {
			return r, nil
		}
	}
	if r.err != nil {
		return nil, &raised{r.err.f}
	}
	return r, nil
}

// method is a built-in function.
func method(name string, fn func(*star.Thread, star.Tuple, []star.Tuple) (star.Value, error)) *star.Builtin {
	return star.NewBuiltin(name, func(thread *star.Thread, _ *star.Builtin, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		return fn(thread, args, kwargs)
	})
}

// methodOf is a built-in function of a value, which is frozen with it.
func methodOf(v star.Value, name string, fn func(*star.Thread, star.Tuple, []star.Tuple) (star.Value, error)) *star.Builtin {
	return method(name, fn).BindReceiver(v)
}

var (
	_ star.HasAttrs  = (*Error)(nil)
	_ star.HasAttrs  = (*Result)(nil)
	_ star.Indexable = (*Result)(nil)
	_ star.Sequence  = (*Result)(nil)
)
