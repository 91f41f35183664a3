// The json module of the language's library, bounded in depth and size.

package starlark

import (
	"errors"
	"fmt"
	"slices"

	starjson "go.starlark.net/lib/json"
	startime "go.starlark.net/lib/time"
	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// jsonModule is the library's. It recurses without a bound, and an overflow of
// Go's stack ends the process; so what is nested too deep is refused before. It takes the
// attributes of any value for fields; so it is given data alone.
func jsonModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "json", Members: star.StringDict{}}
	for name, v := range starjson.Module.Members {
		m.Members[name] = v
	}
	guarded := func(name, parameter string, guard func(*star.Thread, star.Tuple, []star.Tuple) (star.Tuple, error)) {
		inner := m.Members[name]
		m.Members[name] = method("json."+name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			args, kwargs, err := byPlace("json."+name, args, kwargs, parameter) // the library takes it by place only
			if err != nil {
				return nil, err
			}
			args, err = guard(thread, args, kwargs)
			if err != nil {
				return nil, fmt.Errorf("json.%s: %w", name, err)
			}
			return star.Call(thread, inner, args, kwargs)
		})
	}
	for _, name := range []string{"encode", "encode_indent"} {
		guarded(name, "x", func(thread *star.Thread, args star.Tuple, _ []star.Tuple) (star.Tuple, error) {
			if len(args) == 0 {
				return args, nil
			}
			w := jsonWalk{}
			v, _, err := w.data(args[0], 0)
			if err != nil {
				return nil, err
			}
			thread.Steps += uint64(w.items)
			args = slices.Clone(args)
			args[0] = v
			return args, nil
		})
	}
	for _, name := range []string{"decode", "indent"} {
		guarded(name, "text", func(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Tuple, error) {
			for _, v := range args {
				if err := shallowText(v); err != nil {
					return nil, err
				}
			}
			for _, kv := range kwargs {
				if err := shallowText(kv[1]); err != nil {
					return nil, err
				}
			}
			return args, nil
		})
	}
	return m
}

// maxTree is how many items a value may have when each is counted where it stands.
const maxTree = 1_000_000

// jsonLimit refuses a value as a whole: it matters not where in it the limit was reached.
type jsonLimit string

func (e jsonLimit) Error() string { return string(e) }

// inJSON says where in a value something cannot be encoded, as the library does.
func inJSON(err error, place string, args ...any) error {
	if errors.As(err, new(jsonLimit)) {
		return err
	}
	return fmt.Errorf("%s: %w", fmt.Sprintf(place, args...), err)
}

// jsonWalk goes through a value that is to be encoded, and refuses one that is
// nested too deep, is as a tree too large, or is no data.
type jsonWalk struct{ items int }

// data is a value with its bytes, times, Errors and Results in the form that they have outside of
// scripts, since JSON has none for them. It tells whether that is another value.
func (w *jsonWalk) data(v star.Value, depth int) (_ star.Value, other bool, err error) {
	if w.items++; w.items > maxTree {
		return nil, false, jsonLimit(fmt.Sprintf("more than %d items", maxTree))
	}
	if depth > maxNesting {
		return nil, false, jsonLimit(fmt.Sprintf("nested deeper than %d", maxNesting))
	}
	switch v := v.(type) {
	case star.NoneType, star.Bool, star.Int, star.Float, star.String:
		return v, false, nil
	case star.Bytes, moment, startime.Duration, *Error:
		b, perr := encodeValue(v, plain, 0)
		if perr != nil {
			return nil, false, perr
		}
		p, err := decodePlain(b)
		return p, true, err
	case *Result:
		d := star.NewDict(3)
		for _, name := range []string{"ok", "value", "error"} {
			field, err := v.Attr(name)
			if err == nil {
				err = d.SetKey(star.String(name), field)
			}
			if err != nil {
				return nil, false, err
			}
		}
		p, _, err := w.data(d, depth)
		return p, true, err
	case *star.Dict:
		return w.dict(v, depth)
	case structure:
		return w.fields(v, depth)
	case *completion: // it would wait for its futures
	case star.Iterable:
		return w.sequence(v, depth)
	}
	return nil, false, fmt.Errorf("cannot encode %s as JSON", described(v))
}

func (w *jsonWalk) dict(d *star.Dict, depth int) (star.Value, bool, error) {
	out, other := d, false
	for k, v := range d.Entries() {
		p, changed, err := w.data(v, depth+1)
		if err != nil {
			return nil, false, inJSON(err, "in dict key %s", repr(k))
		}
		if !changed {
			continue
		}
		if !other {
			out, other = star.NewDict(d.Len()), true
			for k, v := range d.Entries() {
				if err := out.SetKey(k, v); err != nil {
					return nil, false, err
				}
			}
		}
		if err := out.SetKey(k, p); err != nil {
			return nil, false, err
		}
	}
	return out, other, nil
}

func (w *jsonWalk) fields(s structure, depth int) (star.Value, bool, error) {
	fields, other := make(star.StringDict), false
	for _, name := range s.AttrNames() {
		v, err := s.Attr(name)
		if err != nil {
			return nil, false, err
		}
		p, changed, err := w.data(v, depth+1)
		if err != nil {
			return nil, false, inJSON(err, "in field .%s", name)
		}
		fields[name], other = p, other || changed
	}
	if !other {
		return s, false, nil
	}
	return structNamed(s.Constructor(), fields), true, nil
}

func (w *jsonWalk) sequence(s star.Iterable, depth int) (star.Value, bool, error) {
	var items []star.Value
	other := false
	for v := range star.Elements(s) {
		p, changed, err := w.data(v, depth+1)
		if err != nil {
			return nil, false, inJSON(err, "at %s index %d", s.Type(), len(items))
		}
		items, other = append(items, p), other || changed
	}
	if !other {
		return s, false, nil
	}
	return star.NewList(items), true, nil
}

// shallowText refuses JSON that is nested too deep.
func shallowText(v star.Value) error {
	text, _ := star.AsString(v)
	depth, quoted := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '[' || c == '{':
			if depth++; depth > maxNesting {
				return fmt.Errorf("nested deeper than %d", maxNesting)
			}
		case c == ']' || c == '}':
			depth--
		}
	}
	return nil
}
