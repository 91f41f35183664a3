// Signatures: what a function takes, and whether a call gives it that.

package starlark

import (
	"fmt"
	"strings"

	star "go.starlark.net/starlark"
)

// signature is what a function takes.
type signature struct {
	params  []parameter                       // those that may be given by place come first
	byPlace int                               // how many these are
	rest    bool                              // *args
	named   bool                              // **kwargs
	checks  map[string]func(star.Value) error // of a built-in, by parameter: what it will refuse
	result  string                            // type of what a built-in returns, where a call of that is judged, too
}

type parameter struct {
	name      string
	short     string // another name of it, "" when there is none
	optional  bool
	placeOnly bool
}

// called tells whether a name is one of the parameter's. "" is none, though input may have it.
func (p parameter) called(name string) bool { return name != "" && (p.name == name || p.short == name) }

// parseSignature reads parameters as Python's reference writes them, "/" and "*" included, with
// "?" behind the optional ones, "name|n" for one with two names, and "-> type" behind all: "fn, /, *args, **kwargs -> Future".
func parseSignature(text string) *signature {
	params, result, _ := strings.Cut(text, "->")
	s := &signature{result: strings.TrimSpace(result)}
	byName := false
	for p := range strings.SplitSeq(params, ",") {
		p = strings.TrimSpace(p)
		switch {
		case p == "":
		case p == "/":
			for i := range s.params {
				s.params[i].placeOnly = true
			}
		case strings.HasPrefix(p, "**"):
			s.named = true
		case strings.HasPrefix(p, "*"):
			byName, s.rest = true, p != "*"
		default:
			name, optional := strings.CutSuffix(p, "?")
			name, short, _ := strings.Cut(name, "|")
			s.params = append(s.params, parameter{name: name, short: short, optional: optional})
			if !byName {
				s.byPlace++
			}
		}
	}
	return s
}

// signatureOf is that of a function of a script.
func signatureOf(f *star.Function) *signature {
	n := f.NumParams()
	if f.HasKwargs() {
		n--
	}
	if f.HasVarargs() {
		n--
	}
	s := &signature{params: make([]parameter, n), byPlace: n - f.NumKwonlyParams(), rest: f.HasVarargs(), named: f.HasKwargs()}
	for i := range n {
		s.params[i].name, _ = f.Param(i)
		s.params[i].optional = f.ParamDefault(i) != nil
	}
	return s
}

// fullName is the name of the parameter that has this one, too.
func (s *signature) fullName(name string) string {
	for _, p := range s.params {
		if p.called(name) {
			return p.name
		}
	}
	return name
}

// misfit is what is wrong with a call.
type misfit struct {
	what    string
	name    int  // index of the name that is wrong, -1: none of them
	unknown bool // the function has no parameter of that name
}

// judge says what is wrong with a call that gives so many arguments by place and these by name, nil when nothing is.
func (s *signature) judge(places int, names []string) *misfit {
	none := func(format string, args ...any) *misfit { return &misfit{what: fmt.Sprintf(format, args...), name: -1} }
	switch {
	case places <= s.byPlace || s.rest:
	case s.byPlace == 0:
		return none("takes no positional arguments, got %d", places)
	case s.byPlace == 1:
		return none("takes at most 1 positional argument, got %d", places)
	default:
		return none("takes at most %d positional arguments, got %d", s.byPlace, places)
	}
	given := make([]bool, len(s.params))
	for p := range min(places, s.byPlace) {
		given[p] = true
	}
next:
	for i, name := range names {
		for p := range s.params {
			switch {
			case !s.params[p].called(name) || s.params[p].placeOnly && s.named:
				continue
			case s.params[p].placeOnly:
				return &misfit{what: "takes " + name + " by its place, not by name", name: i}
			case given[p]:
				return &misfit{what: "gets " + s.params[p].name + " twice", name: i}
			}
			given[p] = true
			continue next
		}
		if !s.named {
			return &misfit{what: "has no parameter " + shownName(name), name: i, unknown: true}
		}
	}
	for p := range s.params {
		if !given[p] && !s.params[p].optional {
			return none("misses its argument %s", s.params[p].name)
		}
	}
	return nil
}

// shownName is a name as a message has it: one that is empty would not be seen.
func shownName(name string) string {
	if name == "" {
		return `""`
	}
	return name
}

// suggest is what to write in place of a name that the function does not know.
func (s *signature) suggest(name string) string {
	var names []string
	for _, p := range s.params {
		if !p.placeOnly {
			names = append(names, p.name)
		}
	}
	if names == nil {
		return "; it takes no keyword arguments"
	}
	return didYouMean(name, names)
}
