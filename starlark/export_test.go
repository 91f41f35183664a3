package starlark

import (
	"maps"
	"slices"
	"strings"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// Predeclared lists every name that a script sees beside the language's own:
// built-ins, "module.member", and ".attribute" of the values that they return.
func Predeclared() (names []string) {
	for name, v := range predeclared {
		if slices.Contains(bounded, name) || slices.Contains(showing, name) {
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

// Signature is a signature of the table as tests see it.
type Signature struct {
	Names    []string // of all parameters, those that may be given by place first
	Short    []string // other names of these, "" where there is none
	ByPlace  int
	Required int // how many of the first have no default
	Only     int // how many of the first cannot be given by name
	Rest     bool
	Named    bool
	Result   string
}

// Signatures is the table of the built-ins.
func Signatures() map[string]Signature {
	all := make(map[string]Signature)
	for name, s := range signatures {
		v := Signature{ByPlace: s.byPlace, Rest: s.rest, Named: s.named, Result: s.result}
		for i, p := range s.params {
			v.Names = append(v.Names, p.name)
			v.Short = append(v.Short, p.short)
			if !p.optional {
				v.Required = i + 1
			}
			if p.placeOnly {
				v.Only = i + 1
			}
		}
		all[name] = v
	}
	return all
}

// WithoutSignature are the built-ins that the table leaves out.
func WithoutSignature() map[string]string { return maps.Clone(withoutSignature) }

// Callables are all built-ins that can be called, as the table names them.
func Callables() (names []string) {
	add := func(prefix string, v star.HasAttrs) {
		for _, name := range v.AttrNames() {
			if member, err := v.Attr(name); err == nil && member != nil {
				if _, ok := member.(star.Callable); ok {
					names = append(names, prefix+"."+name)
				}
			}
		}
	}
	for _, d := range []star.StringDict{star.Universe, predeclared} {
		for name, v := range d {
			switch v := v.(type) {
			case star.Callable:
				names = append(names, name)
			case *starlarkstruct.Module:
				add(name, v)
			}
		}
	}
	s := &script{}
	for _, v := range []star.HasAttrs{
		parallel{}, &handle{name: "a"}, &childHandle{name: "w"}, &Future{f: &future{child: &childRef{}}}, &Result{}, &channel{s: s}, &other{},
		&counter{s: s}, &semaphore{},
	} {
		add(strings.Replace(v.Type(), parallel{}.Type(), "parallel", 1), v)
	}
	slices.Sort(names)
	return slices.Compact(names)
}
