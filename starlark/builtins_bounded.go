// Built-ins of the language that loop without interpreter steps, bounded and counted.

package starlark

import (
	"fmt"

	star "go.starlark.net/starlark"
)

// maxItems is how many items a built-in may loop over: range(1 << 40) is small
// until somebody makes a list of it, which would cost every script of the process its memory.
const maxItems = 10_000_000

// bounded are the language's built-ins that loop over their arguments.
var bounded = []string{"all", "any", "dict", "enumerate", "list", "max", "min", "reversed", "set", "sorted", "tuple", "zip"}

// withBounds refuses arguments of too many items and counts the others as interpreter steps.
func withBounds(name string) *star.Builtin {
	inner := star.Universe[name]
	return method(name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		for _, a := range args {
			if err := countItems(thread, name, a); err != nil {
				return nil, err
			}
		}
		for _, kv := range kwargs { // dict's are its entries
			if kv[0] == star.String("iterable") && name != "dict" {
				if err := countItems(thread, name, kv[1]); err != nil {
					return nil, err
				}
			}
		}
		return star.Call(thread, inner, args, kwargs)
	})
}

// countItems counts the items of v as steps, unless they are too many.
func countItems(thread *star.Thread, name string, v star.Value) error {
	n := star.Len(v)
	if n > maxItems {
		return fmt.Errorf("%s: %d items, more than %d", name, n, maxItems)
	}
	thread.Steps += uint64(max(n, 0))
	return nil
}

// countBytes counts the bytes that a built-in goes through as steps, which take it far less time than the interpreter.
func countBytes(thread *star.Thread, n int) { thread.Steps += uint64(n / 16) }
