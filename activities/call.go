// A call: do its arguments fit, and one attempt of it.

package activities

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"runtime/debug"
	"slices"
	"strconv"
)

// CheckCall checks a call before its values are known: how many positional arguments and
// which keywords. open means that there may be more of both. The
// error is a *Failure of kind BadArguments.
func (a *Activity) CheckCall(args int, keywords []string, open bool) error {
	if f := a.shape(args, keywords, open); f != nil {
		f.Activity = a.name
		return f
	}
	return nil
}

// CheckArgs checks the values of a call: a plain JSON array and a plain JSON object or nil. The
// error is a *Failure of kind BadArguments. Types that decode themselves do so here too; when one panics, the kind is Panic.
func (a *Activity) CheckArgs(args, kwargs []byte) error {
	if _, f := a.bind(args, kwargs, nil); f != nil {
		f.Activity = a.name
		return f
	}
	return nil
}

// shape checks count and names.
func (a *Activity) shape(args int, keywords []string, open bool) *Failure {
	if a.open != nil {
		return nil
	}
	n := len(a.params)
	if args > n && !a.variadic {
		return badArguments("%s: takes %s, got %d; its signature is %s", a.name, count(n), args, a.Signature())
	}
	byName := make([]bool, n)
	var inFields []string
	for i, k := range keywords {
		for _, other := range keywords[:i] {
			if other == k {
				return badArguments("%s: argument %s is given twice", a.name, k)
			}
		}
		if p := a.param(k); p >= 0 {
			if p < args {
				return badArguments("%s: argument %d (%s) is given by position and by name", a.name, p+1, k)
			}
			byName[p] = true
			continue
		}
		if a.fields.lookup(k) == nil {
			return badArguments("%s: has no parameter %s%s; its signature is %s", a.name, k, meant(k, a.keywords()), a.Signature())
		}
		if args == n {
			return badArguments("%s: argument %s is a field of argument %d, which is given by position", a.name, k, n)
		}
		inFields = append(inFields, k)
	}
	if a.fields != nil && len(inFields) > 0 && byName[n-1] {
		return badArguments("%s: argument %s is a field of argument %s, which is given too", a.name, inFields[0], a.params[n-1].name)
	}
	if open {
		return nil
	}
	for i := args; i < n; i++ {
		p := a.params[i]
		last := i == n-1
		if byName[i] || last && a.variadic {
			continue
		}
		if last && a.fields != nil && (len(inFields) > 0 || !p.optional) {
			if name := a.missingField(inFields); name != "" {
				return badArguments("%s: argument %s is missing; its signature is %s", a.name, name, a.Signature())
			}
			continue
		}
		if !p.optional {
			return badArguments("%s: argument %s is missing; its signature is %s", a.name, describe(i, p), a.Signature())
		}
	}
	return nil
}

func count(n int) string {
	if n == 1 {
		return "1 argument"
	}
	return strconv.Itoa(n) + " arguments"
}

// param is the index of the parameter of that name, -1 when there is none.
func (a *Activity) param(name string) int {
	for i, p := range a.params {
		if p.name == name && (!a.variadic || i < len(a.params)-1) {
			return i
		}
	}
	return -1
}

// keywords lists every name that can be given.
func (a *Activity) keywords() []string {
	var names []string
	for i, p := range a.params {
		if p.name != "" && (!a.variadic || i < len(a.params)-1) {
			names = append(names, p.name)
		}
	}
	for _, f := range a.fields {
		names = append(names, f.name)
	}
	return names
}

type keyword struct {
	name string
	raw  []byte
}

// bind decodes the arguments of a call and appends them to in. Types that decode themselves may panic: what panics on
// an argument once does so again.
func (a *Activity) bind(args, kwargs []byte, in []reflect.Value) (bound []reflect.Value, failure *Failure) {
	defer a.caught(&failure, true)
	if a.open != nil {
		return in, nil
	}
	var few [8][]byte
	positional, err := elements(args, few[:0])
	if err != nil {
		return nil, badArguments("%s: the arguments are no JSON array: %v", a.name, err)
	}
	var named []keyword
	if len(kwargs) > 0 && !isNull(kwargs) {
		if named, err = keywords(kwargs); err != nil {
			return nil, badArguments("%s: the keyword arguments are no JSON object: %v", a.name, err)
		}
	}
	if len(named) > 0 || len(positional) != len(a.params) {
		if f := a.shape(len(positional), names(named), false); f != nil {
			return nil, f
		}
	}
	before := len(in)
	for i, raw := range positional {
		p := &a.params[min(i, len(a.params)-1)]
		v := reflect.New(p.typ).Elem()
		if err := p.decode(raw, v); err != nil {
			return nil, a.wrong(describe(i, *p), err)
		}
		in = append(in, v)
	}
	for i := len(positional); i < len(a.params); i++ {
		if a.variadic && i == len(a.params)-1 {
			break
		}
		in = append(in, reflect.New(a.params[i].typ).Elem())
	}
	for _, k := range named {
		if err := a.set(k, in[before:]); err != nil {
			return nil, a.wrong(k.name, err)
		}
	}
	return in, nil
}

// keywords takes keyword arguments apart.
func keywords(kwargs []byte) (named []keyword, err error) {
	err = members(kwargs, func(name string, raw []byte) error {
		named = append(named, keyword{name, raw})
		return nil
	})
	return named, err
}

func names(named []keyword) (all []string) {
	for _, k := range named {
		all = append(all, k.name)
	}
	return all
}

// set decodes a keyword argument to the parameter of its name, or to a field of the last one.
func (a *Activity) set(k keyword, in []reflect.Value) error {
	if p := a.param(k.name); p >= 0 {
		return a.params[p].decode(k.raw, in[p])
	}
	whole := in[len(in)-1]
	if whole.Kind() == reflect.Pointer {
		if whole.IsNil() {
			whole.Set(reflect.New(a.whole))
		}
		whole = whole.Elem()
	}
	return a.fields.lookup(k.name).set(k.raw, whole)
}

// wrong is the failure of an argument that does not decode.
func (a *Activity) wrong(argument string, err error) *Failure {
	var m *mismatch
	if errors.As(err, &m) && m.path != "" {
		return badArguments("%s: argument %s: %s %v", a.name, argument, m.path, m)
	}
	return badArguments("%s: argument %s %v", a.name, argument, err)
}

// Bound is a checked call with its arguments decoded, for one attempt: what it is given is its own.
type Bound struct {
	activity     *Activity
	in           []reflect.Value // the first is for the context, if the function takes one
	args, kwargs []byte
}

// Bind is CheckArgs for a call that is about to be made: it keeps what it has decoded.
func (a *Activity) Bind(args, kwargs []byte) (*Bound, error) {
	in := make([]reflect.Value, 0, len(a.params)+1)
	if a.ctx {
		in = append(in, reflect.Value{})
	}
	in, f := a.bind(args, kwargs, in)
	if f != nil {
		f.Activity = a.name
		return nil, f
	}
	return &Bound{a, in, args, kwargs}, nil
}

// Invoke runs one attempt. The result is plain JSON, null when the function
// has none. A panic is recovered.
func (a *Activity) Invoke(ctx context.Context, args, kwargs []byte) ([]byte, *Failure) {
	c, err := a.Bind(args, kwargs)
	if err != nil {
		return nil, FailureOf(err)
	}
	return c.Invoke(ctx)
}

// Invoke runs the attempt; see [Activity.Invoke].
func (c *Bound) Invoke(ctx context.Context) ([]byte, *Failure) {
	if c.activity.around == nil {
		return c.attempt(ctx)
	}
	return c.activity.around(ctx, Call{Activity: c.activity.name, Args: c.args, Kwargs: c.kwargs}, c.attempt)
}

func (c *Bound) attempt(ctx context.Context) (result []byte, failure *Failure) {
	a := c.activity
	defer a.caught(&failure, false)
	var err error
	if a.open != nil {
		result, err = a.callOpen(ctx, c.args, c.kwargs)
	} else {
		result, err = a.call(ctx, c.in)
	}
	if err != nil {
		f := *FailureOf(err)
		f.Activity, f.Attempts = a.name, 0 // it may be another execution's, handed on; whoever invokes counts
		return nil, &f
	}
	return result, nil
}

// caught is deferred where code of the user runs: a panic becomes a failure.
func (a *Activity) caught(failure **Failure, final bool) {
	if p := recover(); p != nil {
		*failure = &Failure{Kind: KindPanic, Message: fmt.Sprint(p), Activity: a.name, Traceback: string(debug.Stack()), NoRetry: final}
	}
}

func (a *Activity) call(ctx context.Context, in []reflect.Value) ([]byte, error) {
	if a.ctx {
		in[0] = reflect.ValueOf(ctx)
	}
	out := a.fn.Call(in)
	if err := out[len(out)-1]; !err.IsNil() {
		return nil, err.Interface().(error)
	}
	if a.result == nil {
		return []byte("null"), nil
	}
	result, err := encode(out[0])
	return result, a.notJSON(err)
}

// callOpen calls an activity that takes any arguments.
func (a *Activity) callOpen(ctx context.Context, args, kwargs []byte) ([]byte, error) {
	v, err := a.open(ctx, Call{Activity: a.name, Args: args, Kwargs: kwargs})
	if err != nil {
		return nil, err
	}
	result, err := marshal(v)
	return result, a.notJSON(err)
}

// notJSON is the failure of a result that JSON cannot say, nil when it can.
func (a *Activity) notJSON(err error) error {
	if err == nil {
		return nil
	}
	return &Failure{Kind: KindPayloadError, Message: fmt.Sprintf("%s: the result is not JSON: %v", a.name, err), NoRetry: true}
}

// encode is marshal with a short way for the commonest results. A struct is given by its address, as its decoder has it:
// else the methods of pointers to it, and to what is in it, would not be asked, and a big.Int would be {}.
func encode(v reflect.Value) ([]byte, error) {
	switch v.Type() {
	case intType, int64Type:
		return strconv.AppendInt(nil, v.Int(), 10), nil
	case boolType:
		return strconv.AppendBool(nil, v.Bool()), nil
	}
	if k := v.Kind(); k == reflect.Struct || k == reflect.Array {
		p := reflect.New(v.Type())
		p.Elem().Set(v)
		v = p
	}
	return marshal(v.Interface())
}

var (
	intType   = reflect.TypeFor[int]()
	int64Type = reflect.TypeFor[int64]()
	boolType  = reflect.TypeFor[bool]()
)

// Names are the names of all parameters, "" for those that cannot be given by name.
func (a *Activity) Names() []string {
	var names []string
	for i, p := range a.params {
		if a.variadic && i == len(a.params)-1 {
			p.name = ""
		}
		names = append(names, p.name)
	}
	return names
}

// Positional is a call of an activity, whose parameters have these names, with its keyword arguments in their places, so that
// two forms of one call are the same: a JSON array, in which what was left out at the end is missing.
// Arguments that fit no parameter stay in an object at its end.
func Positional(params []string, args, kwargs []byte) ([]byte, error) {
	positional, err := elements(args, nil)
	if err != nil {
		return nil, err
	}
	var rest []keyword
	if len(kwargs) > 0 && !isNull(kwargs) {
		if err := members(kwargs, func(name string, raw []byte) error {
			p := slices.Index(params, name)
			if p < 0 {
				rest = append(rest, keyword{name, raw})
				return nil
			}
			for len(positional) <= p {
				positional = append(positional, nil)
			}
			positional[p] = raw
			return nil
		}); err != nil {
			return nil, err
		}
	}
	if len(rest) > 0 {
		fields := []byte{'{'}
		for i, k := range rest {
			if i > 0 {
				fields = append(fields, ',')
			}
			name, err := marshal(k.name)
			if err != nil {
				return nil, err
			}
			fields = append(append(append(fields, name...), ':'), k.raw...)
		}
		last := max(len(params)-1, len(positional))
		for len(positional) <= last {
			positional = append(positional, nil)
		}
		positional[last] = append(fields, '}')
	}
	out := []byte{'['}
	for i, raw := range positional {
		if i > 0 {
			out = append(out, ',')
		}
		if raw == nil {
			raw = []byte("null")
		}
		out = append(out, raw...)
	}
	return append(out, ']'), nil
}
