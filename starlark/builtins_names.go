// Names of parameters, for built-ins that read their arguments by hand or whose parameters have two names.

package starlark

import (
	"fmt"

	star "go.starlark.net/starlark"
)

// byPlace puts keyword arguments of these names at their places.
func byPlace(what string, args star.Tuple, kwargs []star.Tuple, names ...string) (star.Tuple, []star.Tuple, error) {
	for i, name := range names {
		for k, kv := range kwargs {
			if kv[0] != star.Value(star.String(name)) {
				continue
			}
			switch {
			case len(args) > i:
				return nil, nil, fmt.Errorf("%s: got multiple values for keyword argument %q", what, name)
			case len(args) < i:
				return nil, nil, fmt.Errorf("%s: missing argument for %s", what, names[len(args)])
			}
			args = append(args[:i:i], kv[1])
			kwargs = append(kwargs[:k:k], kwargs[k+1:]...)
			break
		}
	}
	return args, kwargs, nil
}

// renamed gives keyword arguments the names that the built-in reads. Those of the
// documentation are short, those of before are kept: pairs are the short one and the one that is read.
func renamed(kwargs []star.Tuple, pairs ...string) []star.Tuple {
	out := kwargs
	for k, kv := range kwargs {
		for i := 0; i < len(pairs); i += 2 {
			if kv[0] == star.Value(star.String(pairs[i])) {
				if &out[0] == &kwargs[0] {
					out = append([]star.Tuple(nil), kwargs...)
				}
				out[k] = star.Tuple{star.String(pairs[i+1]), kv[1]}
			}
		}
	}
	return out
}
