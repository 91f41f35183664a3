// An activity: a Go function, checked once, that calls from scripts fit or not.

package activities

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"strings"
)

var (
	contextType = reflect.TypeFor[context.Context]()
	errorType   = reflect.TypeFor[error]()
)

// Activity is a registered function. Parameters after the context are positional; those that
// Options.Params names can be given by keyword. When the last parameter is
// a struct that was not given itself, its fields are keyword arguments, required
// unless they are pointers or tagged omitempty or omitzero. Pointer parameters at the end may be left out.
type Activity struct {
	name     string
	opts     Options
	fn       reflect.Value
	ctx      bool
	params   []param
	variadic bool         // the last parameter takes any number of arguments
	fields   fields       // of the last parameter, nil when it is no struct
	whole    reflect.Type // that struct's type
	result   reflect.Type // nil when there is none
	open     OpenFunc     // set instead of all from fn on: takes any arguments
	around   Around       // nil: nothing
}

type param struct {
	name     string // "" when it was not declared
	typ      reflect.Type
	decode   decodeFunc
	optional bool
}

// newActivity checks a function's signature.
func newActivity(name string, fn any, opts Options) (*Activity, error) {
	if err := opts.Validate(); err != nil {
		return nil, err
	}
	v := reflect.ValueOf(fn)
	if fn == nil || v.Kind() != reflect.Func {
		return nil, fmt.Errorf("an activity is a func([context.Context,] A, B, ...) ([R,] error), not a %T", fn)
	}
	if v.IsNil() {
		return nil, errors.New("the function is nil")
	}
	t := v.Type()
	a := &Activity{name: name, opts: opts, fn: v, variadic: t.IsVariadic()}
	a.ctx = t.NumIn() > 0 && t.In(0) == contextType
	if err := a.results(t); err != nil {
		return nil, err
	}
	if err := a.parameters(t); err != nil {
		return nil, err
	}
	return a, nil
}

func (a *Activity) results(t reflect.Type) error {
	n := t.NumOut()
	if n == 0 || n > 2 || t.Out(n-1) != errorType {
		return fmt.Errorf("an activity returns error or (R, error), not %s", outputs(t))
	}
	if n == 2 {
		a.result = t.Out(0)
		if err := encodable(a.result, map[reflect.Type]bool{}); err != nil {
			return fmt.Errorf("result: %w", err)
		}
	}
	return nil
}

func outputs(t reflect.Type) string {
	var words []string
	for out := range t.Outs() {
		words = append(words, out.String())
	}
	if len(words) == 0 {
		return "nothing"
	}
	return "(" + strings.Join(words, ", ") + ")"
}

func (a *Activity) parameters(t reflect.Type) error {
	first := 0
	if a.ctx {
		first = 1
	}
	n := t.NumIn() - first
	if len(a.opts.Params) > n {
		return fmt.Errorf("params names %d parameters, the function has %d", len(a.opts.Params), n)
	}
	for i := range n {
		p := param{typ: t.In(first + i)}
		if p.typ == contextType {
			return errors.New("context.Context can only be the first parameter")
		}
		if i < len(a.opts.Params) {
			p.name = a.opts.Params[i]
		}
		if a.variadic && i == n-1 {
			p.typ = p.typ.Elem()
		}
		var err error
		if p.decode, err = compile(p.typ); err != nil {
			return fmt.Errorf("parameter %s: %w", describe(i, p), err)
		}
		a.params = append(a.params, p)
	}
	if a.variadic || n == 0 {
		return nil
	}
	for i := n - 1; i >= 0 && a.params[i].typ.Kind() == reflect.Pointer; i-- {
		a.params[i].optional = true
	}
	last := &a.params[n-1]
	if s := deref(last.typ); s.Kind() == reflect.Struct && s != timeType && !ownDecoding(s) {
		whole, _ := compile(s) // it has found any mistake above
		c := compiler{open: map[reflect.Type]*decodeFunc{s: &whole}}
		a.fields, _ = c.fields(s)
		a.whole = s
		if a.missingField(nil) == "" {
			last.optional = true
		}
	}
	return nil
}

// missingField names the first required field that is not among the given ones.
func (a *Activity) missingField(given []string) string {
	for _, f := range a.fields {
		if f.optional {
			continue
		}
		found := false
		for _, g := range given {
			found = found || a.fields.lookup(g) == f
		}
		if !found {
			return f.name
		}
	}
	return ""
}

func describe(i int, p param) string {
	if p.name == "" {
		return fmt.Sprint(i + 1)
	}
	return fmt.Sprintf("%d (%s)", i+1, p.name)
}

// encodable refuses results that JSON cannot say. What an interface holds shows only at run time.
func encodable(t reflect.Type, seen map[reflect.Type]bool) error {
	if seen[t] {
		return nil
	}
	seen[t] = true
	if t == durationType {
		return errors.New("a time.Duration would arrive as nanoseconds; return seconds or text")
	}
	if t.Implements(marshalerType) || t.Implements(textOutType) ||
		reflect.PointerTo(t).Implements(marshalerType) || reflect.PointerTo(t).Implements(textOutType) {
		return nil
	}
	switch t.Kind() {
	case reflect.Chan, reflect.Func, reflect.Complex64, reflect.Complex128, reflect.UnsafePointer:
		return fmt.Errorf("JSON has no %s", t)
	case reflect.Pointer, reflect.Slice, reflect.Array:
		return encodable(t.Elem(), seen)
	case reflect.Map:
		if !t.Key().Implements(textOutType) {
			if _, err := mapKey(t.Key()); err != nil {
				return err
			}
		}
		return encodable(t.Elem(), seen)
	case reflect.Struct:
		for sf := range t.Fields() {
			if sf.Tag.Get("json") == "-" || !sf.IsExported() && !sf.Anonymous {
				continue
			}
			if err := encodable(sf.Type, seen); err != nil {
				return fmt.Errorf("field %s: %w", sf.Name, err)
			}
		}
	}
	return nil
}

// Name is the name that scripts use.
func (a *Activity) Name() string { return a.name }

// Options are those of the registration.
func (a *Activity) Options() Options { return a.opts }

// Signature is the activity as a line of text, "charge(order string, cents int64) -> Receipt".
// A parameter that may be left out has a question mark; those after a star are keywords.
func (a *Activity) Signature() string {
	if a.open != nil {
		return a.name + "(...)"
	}
	var words []string
	for i, p := range a.params {
		word := typeWord(p.typ)
		last := i == len(a.params)-1
		if last && a.fields != nil && p.name == "" {
			words = append(words, "*")
			for _, f := range a.fields {
				words = append(words, optionally(f.name+" "+f.word, f.optional))
			}
			continue
		}
		if last && a.variadic {
			word = "..." + word
		}
		if p.name != "" {
			word = p.name + " " + word
		}
		words = append(words, optionally(word, p.optional))
	}
	s := a.name + "(" + strings.Join(words, ", ") + ")"
	if a.result != nil {
		s += " -> " + typeWord(a.result)
	}
	return s
}

func optionally(word string, optional bool) string {
	if optional {
		return word + "?"
	}
	return word
}

// marshal is json.Marshal without the escaping for HTML.
func marshal(v any) ([]byte, error) {
	if raw, ok := v.(json.RawMessage); ok && raw == nil {
		return []byte("null"), nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
