// Which members a struct has in JSON.

package activities

import (
	"cmp"
	"reflect"
	"slices"
	"strings"
)

// member is a field of a struct, or of one that is embedded in it, that JSON knows by a name.
type member struct {
	name    string
	goName  string
	options string // of its tag
	typ     reflect.Type
	index   []int
	tagged  bool
}

// promoted lists the members of a struct in the order of its fields, and reports whether it has unexported ones besides. Of those
// that have one name the least deep is meant, among several the one with a tag, or else none, as in encoding/json: it is the
// names in JSON that count, so that reflect.VisibleFields, which goes by those in Go, is of no use.
func promoted(t reflect.Type) (list []member, hidden bool) {
	type embedded struct {
		typ   reflect.Type
		index []int
	}
	byName, above := make(map[string][]member), make(map[reflect.Type]bool)
	for level := []embedded{{typ: t}}; len(level) > 0; {
		var below []embedded
		for _, e := range level {
			for i := range e.typ.NumField() {
				sf := e.typ.Field(i)
				tag := sf.Tag.Get("json")
				if tag == "-" {
					continue
				}
				name, options, _ := strings.Cut(tag, ",")
				m := member{cmp.Or(name, sf.Name), sf.Name, options, sf.Type, append(slices.Clone(e.index), i), name != ""}
				inner := deref(sf.Type)
				switch {
				case sf.Anonymous && name == "" && inner.Kind() == reflect.Struct && !ownDecoding(inner):
					if sf.IsExported() || sf.Type.Kind() != reflect.Pointer { // else it cannot be set
						below = append(below, embedded{inner, m.index})
					}
				case sf.IsExported():
					byName[m.name] = append(byName[m.name], m)
				default:
					hidden = hidden || !sf.Anonymous
				}
			}
		}
		for _, e := range level {
			above[e.typ] = true
		}
		level = slices.DeleteFunc(below, func(e embedded) bool { return above[e.typ] })
	}
	for _, same := range byName {
		if m, ok := dominant(same); ok {
			list = append(list, m)
		}
	}
	slices.SortFunc(list, func(a, b member) int { return slices.Compare(a.index, b.index) })
	return list, hidden
}

// dominant is the one among members of one name that is meant by it; the least deep come first.
func dominant(same []member) (m member, ok bool) {
	same = slices.DeleteFunc(same, func(m member) bool { return len(m.index) > len(same[0].index) })
	if len(same) > 1 {
		same = slices.DeleteFunc(same, func(m member) bool { return !m.tagged })
	}
	if len(same) != 1 {
		return m, false
	}
	return same[0], true
}
