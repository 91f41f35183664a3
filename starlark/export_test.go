package starlark

import (
	"maps"
	"slices"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// Predeclared lists every name that a script sees beside the language's own:
// built-ins, "module.member", and ".attribute" of the values that they return.
func Predeclared() (names []string) {
	for name, v := range predeclared {
		if slices.Contains(bounded, name) {
			continue
		}
		names = append(names, name)
		if m, ok := v.(*starlarkstruct.Module); ok {
			for member := range maps.Keys(m.Members) {
				names = append(names, name+"."+member)
			}
		}
	}
	for _, v := range []star.HasAttrs{
		parallel{}, &handle{}, &childHandle{}, &Future{f: &future{child: &childRef{}}}, &Result{}, &Error{f: &Failure{}}, &channel{}, &other{}, &counter{},
	} {
		for _, name := range v.AttrNames() {
			names = append(names, "."+name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}
