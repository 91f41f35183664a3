// The json module of the language's library, bounded in depth and size.

package starlark

import (
	"fmt"

	starjson "go.starlark.net/lib/json"
	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// jsonModule is the library's. It recurses without a bound, and an overflow of
// Go's stack ends the process; so what is nested too deep is refused before.
func jsonModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "json", Members: star.StringDict{}}
	for name, v := range starjson.Module.Members {
		m.Members[name] = v
	}
	guarded := func(name string, check func(*star.Thread, star.Value) error) {
		inner := m.Members[name]
		m.Members[name] = method("json."+name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			values := args
			for _, kv := range kwargs {
				values = append(values[:len(values):len(values)], kv[1])
			}
			for _, v := range values {
				if err := check(thread, v); err != nil {
					return nil, fmt.Errorf("json.%s: %w", name, err)
				}
			}
			return star.Call(thread, inner, args, kwargs)
		})
	}
	for _, name := range []string{"encode", "encode_indent"} {
		guarded(name, func(thread *star.Thread, v star.Value) error {
			items := 0
			if err := shallow(v, 0, &items); err != nil {
				return err
			}
			thread.Steps += uint64(items)
			return nil
		})
	}
	guarded("decode", func(_ *star.Thread, v star.Value) error { return shallowText(v) })
	guarded("indent", func(_ *star.Thread, v star.Value) error { return shallowText(v) })
	return m
}

// maxTree is how many items a value may have when each is counted where it stands.
const maxTree = 1_000_000

// shallow refuses a value that is nested too deep or that is, as a tree, too large.
func shallow(v star.Value, depth int, items *int) error {
	if *items++; *items > maxTree {
		return fmt.Errorf("more than %d items", maxTree)
	}
	if depth > maxNesting {
		return fmt.Errorf("nested deeper than %d", maxNesting)
	}
	switch v := v.(type) {
	case *star.Dict:
		for _, value := range v.Entries() {
			if err := shallow(value, depth+1, items); err != nil {
				return err
			}
		}
	case *starlarkstruct.Struct:
		for _, name := range v.AttrNames() {
			field, err := v.Attr(name)
			if err == nil {
				err = shallow(field, depth+1, items)
			}
			if err != nil {
				return err
			}
		}
	case star.Sequence:
		for item := range star.Elements(v) {
			if err := shallow(item, depth+1, items); err != nil {
				return err
			}
		}
	}
	return nil
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
