// What the handles of activities and of workflows have in common.

package starlark

import (
	"fmt"
	"slices"
	"strings"

	star "go.starlark.net/starlark"

	"github.com/senpuki/senpuki/internal/spelling"
)

// stepHandle is a callable each of whose calls is a step.
type stepHandle interface {
	star.Callable

	// begin asks for a call as the step of that name.
	begin(b *branch, step string, args star.Tuple, kwargs []star.Tuple, pos string) (*future, error)

	// with is a copy with other options.
	with(kwargs []star.Tuple) (star.Value, error)
}

var handleAttrs = []string{"attempt", "map", "name", "options", "start", "starmap"}

// handleAttr returns an attribute of a handle.
func handleAttr(h stepHandle, name string) (star.Value, error) {
	what := h.Name() + "." + name
	switch name {
	case "name":
		return star.String(h.Name()), nil
	case "start":
		return methodOf(h, what, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			b, err := branchOf(thread, what)
			if err != nil {
				return nil, err
			}
			b.prune()
			f, err := h.begin(b, b.next(), args, kwargs, position(thread, 1))
			if err != nil {
				return nil, err
			}
			return &Future{f: f}, nil
		}), nil
	case "attempt":
		return methodOf(h, what, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			b, err := branchOf(thread, what)
			if err != nil {
				return nil, err
			}
			return b.attempt(h, args, kwargs)
		}), nil
	case "map", "starmap":
		return methodOf(h, what, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			args, kwargs, err := byPlace(what, args, kwargs, itemsName(name))
			if err != nil {
				return nil, err
			}
			return mapOver(thread, what, h, args, kwargs, name == "starmap")
		}), nil
	case "options":
		return methodOf(h, what, func(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			if len(args) > 0 {
				return nil, fmt.Errorf("%s: options are keyword arguments", what)
			}
			return h.with(kwargs)
		}), nil
	}
	return nil, nil
}

// applyOptions sets options given as keyword arguments, of those that what has.
func applyOptions(what string, have []string, kwargs []star.Tuple, set func(name string, v star.Value) error) error {
	for _, kv := range kwargs {
		name := string(kv[0].(star.String))
		if !slices.Contains(have, name) {
			return fmt.Errorf("%s: there is no option %s%s", what, name, didYouMean(name, have))
		}
		if kv[1] == star.None {
			continue
		}
		if err := set(name, kv[1]); err != nil {
			return fmt.Errorf("%s: option %s: %w", what, name, err)
		}
	}
	return nil
}

// didYouMean suggests the nearest of names, or says which there are.
func didYouMean(name string, names []string) string {
	best, distance := "", 3
	for _, n := range names {
		d, begins := spelling.Distance(name, n), strings.HasPrefix(n, name)
		if d < distance && (begins || d < len(name)) || d == distance && begins { // one where nothing is the same is not near
			best, distance = n, d
		}
	}
	switch {
	case len(names) == 0:
		return ""
	case best == "" && len(names) == 1:
		return "; there is only " + names[0]
	case best == "":
		return "; there are " + strings.Join(names, ", ")
	}
	return "; did you mean " + best + "?"
}
