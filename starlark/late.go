// The run-time hint for lambdas that a loop has made and that all see its last value.

package starlark

import (
	"fmt"
	"reflect"

	star "go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// turning says of the lambdas of a program which variables the loop around them changes, the innermost when there
// are several. The lambdas are named by their position, as it is written.
type turning map[string]map[string]bool

// add takes in what stands in a node, in a loop that changes vars when there are any.
func (t turning) add(n syntax.Node, vars map[string]bool) {
	syntax.Walk(n, func(inner syntax.Node) bool {
		if inner == n {
			return true
		}
		switch inner := inner.(type) {
		case *syntax.DefStmt: // its variables are others in each call
			t.add(inner, nil)
		case *syntax.LambdaExpr:
			if vars != nil {
				t[inner.Lambda.String()] = vars
			}
			t.add(inner, nil)
		case *syntax.ForStmt, *syntax.WhileStmt, *syntax.Comprehension:
			t.add(inner, changedIn(inner))
		default:
			return true
		}
		return false
	})
}

// changedIn are the variables that a loop changes.
func changedIn(loop syntax.Node) map[string]bool {
	vars := make(map[string]bool)
	note := func(ids []*syntax.Ident) {
		for _, id := range ids {
			vars[id.Name] = true
		}
	}
	syntax.Walk(loop, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt, *syntax.LambdaExpr:
			return false
		case *syntax.AssignStmt:
			note(targets(n.LHS))
		case *syntax.ForStmt:
			note(targets(n.Vars))
		case *syntax.ForClause:
			note(targets(n.Vars))
		}
		return true
	})
	return vars
}

// hintLateBound logs a warning when tasks are lambdas of one place that cannot
// differ: they take nothing and share the variables that they use, one of which the loop that has made them changes.
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
		if fn.Position() != first.Position() || same > 0 && fn == first { // one lambda, more than once
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
	name, changed := "", b.s.prog.turning[first.Position().String()]
	for n := range first.NumFreeVars() {
		binding, v := first.FreeVar(n)
		if _, function := v.(star.Callable); !function && changed[binding.Name] {
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
