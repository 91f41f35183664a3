// Values as text: what str, repr, print and messages show.

package starlark

import (
	"fmt"
	"slices"
	"strings"

	star "go.starlark.net/starlark"
)

const (
	// maxTextDepth is how deep a value may be nested to be shown as a whole: the library recurses
	// without a bound, and an overflow of Go's stack ends the process.
	maxTextDepth = 10_000
	// maxText is how large a text may be that a built-in makes: a small graph may be an endless tree, and a few
	// short texts can describe an endless one.
	maxText = 64 << 20
)

// text is a value as str() shows it. Where it is nested too deep or too long it has "...".
func text(v star.Value) string {
	if s, ok := star.AsString(v); ok {
		return s
	}
	return repr(v)
}

// repr is a value as repr() shows it.
func repr(v star.Value) string {
	var w textWriter
	w.value(v)
	return w.b.String()
}

// textWriter writes values as the library does, and "..." for a value within itself.
type textWriter struct {
	b    strings.Builder
	path []star.Value // the lists and dicts around: a cycle goes through one of them
	deep int
	left string // why something was left out
}

// full tells whether nothing more is to be written.
func (w *textWriter) full() bool {
	if w.b.Len() > maxText {
		w.left = fmt.Sprintf("its text has more than %d bytes", maxText)
		return true
	}
	return false
}

func (w *textWriter) value(v star.Value) {
	if w.deep >= maxTextDepth {
		w.left = fmt.Sprintf("it is nested deeper than %d", maxTextDepth)
		w.b.WriteString("...")
		return
	}
	w.deep++
	switch v := v.(type) {
	case *star.List:
		w.around(v, '[', ']', func() { w.items(v.Len(), v.Index) })
	case *star.Dict:
		w.around(v, '{', '}', func() { w.entries(v) })
	case star.Tuple:
		w.b.WriteByte('(')
		w.items(len(v), v.Index)
		if len(v) == 1 {
			w.b.WriteByte(',')
		}
		w.b.WriteByte(')')
	case *star.Set:
		w.b.WriteString("set([")
		first := true
		for item := range v.Elements() {
			if !w.next(&first) {
				break
			}
			w.value(item)
		}
		w.b.WriteString("])")
	case structure:
		w.b.WriteString(text(v.Constructor()))
		w.b.WriteByte('(')
		first := true
		for name, field := range v.Entries() {
			if !w.next(&first) {
				break
			}
			w.b.WriteString(name)
			w.b.WriteString(" = ")
			w.value(field)
		}
		w.b.WriteByte(')')
	case *Result:
		if v.err != nil {
			w.b.WriteString("Err(")
			w.b.WriteString(v.err.String())
		} else {
			w.b.WriteString("Ok(")
			w.value(v.get())
		}
		w.b.WriteByte(')')
	default:
		w.b.WriteString(v.String())
	}
	w.deep--
}

// next puts a comma between items; false when no more of them are to be written.
func (w *textWriter) next(first *bool) bool {
	if !*first {
		w.b.WriteString(", ")
	}
	*first = false
	if w.full() {
		w.b.WriteString("...")
		return false
	}
	return true
}

func (w *textWriter) items(n int, at func(int) star.Value) {
	first := true
	for i := range n {
		if !w.next(&first) {
			return
		}
		w.value(at(i))
	}
}

func (w *textWriter) entries(d *star.Dict) {
	first := true
	for k, v := range d.Entries() {
		if !w.next(&first) {
			return
		}
		w.value(k)
		w.b.WriteString(": ")
		w.value(v)
	}
}

// around writes what is in a list or dict, unless it is within itself.
func (w *textWriter) around(v star.Value, open, end byte, body func()) {
	w.b.WriteByte(open)
	if slices.Contains(w.path, v) {
		w.b.WriteString("...")
	} else {
		w.path = append(w.path, v)
		body()
		w.path = w.path[:len(w.path)-1]
	}
	w.b.WriteByte(end)
}

// nests tells whether a value has others in it, whose text the library would write by itself.
func nests(v star.Value) bool {
	switch v.(type) {
	case *star.List, *star.Dict, *star.Set, star.Tuple, structure, *Result:
		return true
	}
	return false
}

// shownWhole is the text of a value for a built-in that shows all of it or fails.
func shownWhole(thread *star.Thread, what string, v star.Value) (star.Value, error) {
	var w textWriter
	w.value(v)
	if w.left != "" {
		return nil, fmt.Errorf("%s: a %s cannot be shown: %s", what, v.Type(), w.left)
	}
	countBytes(thread, w.b.Len())
	return star.String(w.b.String()), nil
}

// showing are the language's built-ins that make text of values.
var showing = []string{"print", "repr", "str"}

// withText gives such a built-in the text of what is nested.
func withText(name string) *star.Builtin {
	inner := star.Universe[name].(*star.Builtin)
	return method(name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		if name != "print" {
			if len(args) == 1 && len(kwargs) == 0 && nests(args[0]) {
				return shownWhole(thread, name, args[0])
			}
			return inner.CallInternal(thread, args, kwargs)
		}
		args = slices.Clone(args)
		for i, v := range args {
			if nests(v) {
				s, err := shownWhole(thread, name, v)
				if err != nil {
					return nil, err
				}
				args[i] = s
			}
		}
		return inner.CallInternal(thread, args, kwargs)
	})
}
