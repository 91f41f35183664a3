// Signatures: what a function takes, and whether a call gives it that.

package starlark

import (
	"fmt"
	"strings"

	star "go.starlark.net/starlark"
)

// signature is what a function takes.
type signature struct {
	params  []parameter // those that may be given by place come first
	byPlace int         // how many these are
	rest    bool        // *args
	named   bool        // **kwargs
	result  string      // type of what a built-in returns, where a call of that is judged, too
}

type parameter struct {
	name      string
	optional  bool
	placeOnly bool
}

// parseSignature reads parameters as Python's reference writes them, "/" and "*" included, with
// "?" behind the optional ones and "-> type" behind all: "fn, /, *args, **kwargs -> Future".
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
			s.params = append(s.params, parameter{name: name, optional: optional})
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

// misfit says what is wrong with a call that gives so many arguments by place and these by
// name, "" when nothing is. When it is one of the names, i is its index, else -1.
func (s *signature) misfit(places int, names []string) (what string, i int) {
	switch {
	case places <= s.byPlace || s.rest:
	case s.byPlace == 0:
		return fmt.Sprintf("takes no positional arguments, got %d", places), -1
	case s.byPlace == 1:
		return fmt.Sprintf("takes at most 1 positional argument, got %d", places), -1
	default:
		return fmt.Sprintf("takes at most %d positional arguments, got %d", s.byPlace, places), -1
	}
	given := make([]bool, len(s.params))
	for p := range min(places, s.byPlace) {
		given[p] = true
	}
next:
	for i, name := range names {
		for p := range s.params {
			switch {
			case s.params[p].name != name || s.params[p].placeOnly && s.named:
				continue
			case s.params[p].placeOnly:
				return "takes " + name + " by its place, not by name", i
			case given[p]:
				return "gets " + name + " twice", i
			}
			given[p] = true
			continue next
		}
		if !s.named {
			return unknownParameter(name), i
		}
	}
	for p := range s.params {
		if !given[p] && !s.params[p].optional {
			return "misses its argument " + s.params[p].name, -1
		}
	}
	return "", -1
}

func unknownParameter(name string) string { return "has no parameter " + name }

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
