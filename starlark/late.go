// The run-time hint for lambdas that a loop has made and that all see its last value.

package starlark

import (
	"fmt"
	"reflect"

	star "go.starlark.net/starlark"
)

// hintLateBound logs a warning when tasks are lambdas of one place that cannot
// differ: they take nothing and share the variables that they use.
func (b *branch) hintLateBound(what string, tasks []task) {
	var first *star.Function
	same := 0
	for i := range tasks {
		fn, ok := tasks[i].fn.(*star.Function)
		if !ok || fn.Name() != "lambda" || fn.NumFreeVars() == 0 || fn.NumParams() > 0 || len(tasks[i].args) > 0 {
			return
		}
		if first == nil {
			first = fn
		}
		if fn.Position() != first.Position() {
			return
		}
		for n := range fn.NumFreeVars() {
			_, v := fn.FreeVar(n)
			if _, w := first.FreeVar(n); !identical(v, w) {
				return
			}
		}
		same++
	}
	if same < 2 {
		return
	}
	name := ""
	for n := range first.NumFreeVars() {
		binding, v := first.FreeVar(n)
		if _, function := v.(star.Callable); !function {
			name = binding.Name
		}
	}
	if name == "" {
		return
	}
	b.s.log(Line{Branch: b.path, Level: "warn", Message: fmt.Sprintf(
		"%s: the %d lambdas of %s are all the same: each sees the last %s; write bind(fn, %s)", what, same, first.Position(), name, name)})
}

// identical reports whether two values are one, as far as Go can compare them.
func identical(v, w star.Value) bool {
	if v == nil || w == nil {
		return v == nil && w == nil
	}
	return reflect.TypeOf(v) == reflect.TypeOf(w) && reflect.TypeOf(v).Comparable() && v == w
}
