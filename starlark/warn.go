// Warnings: lambdas that see the last value of a loop, futures that nobody keeps, names that hide built-ins.

package starlark

import (
	"strings"

	star "go.starlark.net/starlark"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// lateBound warns of lambdas that a loop keeps for later and that use its variable.
func lateBound(n syntax.Node) (warnings Problems) {
	switch n := n.(type) {
	case *syntax.Comprehension:
		vars := make(map[string]bool)
		for _, c := range n.Clauses {
			if f, ok := c.(*syntax.ForClause); ok {
				loopVars(f.Vars, vars)
			}
		}
		return lambdasUsing(n.Body, vars)
	case *syntax.ForStmt:
		vars := make(map[string]bool)
		loopVars(n.Vars, vars)
		for _, stmt := range n.Body {
			syntax.Walk(stmt, func(inner syntax.Node) bool {
				switch inner := inner.(type) {
				case *syntax.ForStmt, *syntax.DefStmt:
					return false
				case *syntax.CallExpr:
					if keeps(inner.Fn) {
						for _, a := range inner.Args {
							warnings = append(warnings, lambdasUsing(a, vars)...)
						}
					}
				case *syntax.AssignStmt:
					if _, ok := inner.LHS.(*syntax.IndexExpr); ok {
						warnings = append(warnings, lambdasUsing(inner.RHS, vars)...)
					}
				}
				return true
			})
		}
	}
	return warnings
}

// keeps tells whether a function keeps its arguments beyond the call.
func keeps(fn syntax.Expr) bool {
	switch fn := fn.(type) {
	case *syntax.DotExpr:
		return fn.Name.Name == "append"
	case *syntax.Ident:
		return fn.Name == "spawn" && predeclaredIdent(fn)
	}
	return false
}

func loopVars(e syntax.Expr, vars map[string]bool) {
	syntax.Walk(e, func(n syntax.Node) bool {
		if id, ok := n.(*syntax.Ident); ok {
			vars[id.Name] = true
		}
		return true
	})
}

// lambdasUsing finds the lambda that an expression is, or that stands in its literal, when it uses one of vars.
func lambdasUsing(e syntax.Expr, vars map[string]bool) (warnings Problems) {
	syntax.Walk(e, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.CallExpr: // it may call the lambda at once
			return false
		case *syntax.LambdaExpr:
			if name := uses(n.Body, vars); name != "" {
				p := problemAt(n.Lambda, "this lambda sees the last %s when it is called after the loop; write bind(fn, %s)", name, name)
				p.Severity = SeverityWarning
				warnings = append(warnings, p)
			}
			return false
		}
		return true
	})
	return warnings
}

// uses is the first of vars that an expression of an inner function uses.
func uses(e syntax.Expr, vars map[string]bool) (name string) {
	syntax.Walk(e, func(n syntax.Node) bool {
		if id, ok := n.(*syntax.Ident); ok && name == "" && vars[id.Name] {
			if b, ok := id.Binding.(*resolve.Binding); ok && b.Scope == resolve.Free {
				name = id.Name
			}
		}
		return true
	})
	return name
}

// unusedFuture warns of a statement that throws a future away. A branch may be
// begun so: its scope awaits it and raises its failure. A child may when it does not end with its parent.
func (n *fileNames) unusedFuture(stmt *syntax.ExprStmt) Problems {
	call, advice, ok := n.wanted(stmt.X)
	if !ok {
		return nil
	}
	pos, _ := call.Span()
	return Problems{problemAt(pos, "the future of %s is not used: keep it, and read its result()%s", written(call.Fn), advice)}.warnings()
}

// wanted tells whether an expression begins something whose future is needed: without it the outcome is lost.
func (n *fileNames) wanted(e syntax.Expr) (call *syntax.CallExpr, advice string, ok bool) {
	call, ok = e.(*syntax.CallExpr)
	if !ok {
		return nil, "", false
	}
	s := n.callee(call.Fn)
	if s == nil || s.result != "Future" || s == signatures["spawn"] {
		return nil, "", false
	}
	if s == signatures["workflow.start"] {
		if !n.cancelledAtClose(call.Fn.(*syntax.DotExpr).X) {
			return nil, "", false
		}
		advice = "; the child is cancelled when this branch ends, unless its on_parent_close says otherwise"
	}
	return call, advice, true
}

// unreadFutures warns of names that are given such a future and never read. One that begins with _ says so itself.
func (n *fileNames) unreadFutures(f *syntax.File) (warnings Problems) {
	bound := make(map[*syntax.Ident]bool)
	given := make(map[*syntax.Ident]syntax.Expr)
	syntax.Walk(f, func(node syntax.Node) bool {
		switch node := node.(type) {
		case *syntax.AssignStmt:
			if node.Op != syntax.EQ {
				break
			}
			for _, id := range targets(node.LHS) {
				bound[id] = true
			}
			to, from := []syntax.Expr{node.LHS}, []syntax.Expr{node.RHS}
			if values, ok := literalItems(node.RHS); ok {
				to, _ = literalItems(node.LHS)
				from = values
			}
			for i, e := range to {
				if id, ok := e.(*syntax.Ident); ok && len(to) == len(from) && !strings.HasPrefix(id.Name, "_") {
					given[id] = from[i]
				}
			}
		case *syntax.ForStmt:
			for _, id := range targets(node.Vars) {
				bound[id] = true
			}
		}
		return true
	})
	read := make(map[*syntax.Ident]bool) // by what the name was first
	syntax.Walk(f, func(node syntax.Node) bool {
		if id, ok := node.(*syntax.Ident); ok && !bound[id] {
			if b, ok := id.Binding.(*resolve.Binding); ok {
				read[b.First] = true
			}
		}
		return true
	})
	for id, value := range given {
		b, ok := id.Binding.(*resolve.Binding)
		if !ok || b.Scope != resolve.Local || read[b.First] {
			continue
		}
		if call, advice, ok := n.wanted(value); ok {
			warnings = append(warnings, problemAt(id.NamePos, "the future of %s is not used: %s is never read; read its result()%s", written(call.Fn), id.Name, advice))
		}
	}
	return warnings.warnings().Sorted()
}

// cancelledAtClose tells whether the children of a handle are cancelled at the end of the branch that starts
// them, as far as the text tells.
func (n *fileNames) cancelledAtClose(handle syntax.Expr) bool {
	if h, ok := n.value(handle).(*childHandle); ok {
		return h.options.OnParentClose == "" || h.options.OnParentClose == closeCancel
	}
	call, ok := handle.(*syntax.CallExpr)
	if !ok || argumentsOf(call).open {
		return false
	}
	for _, a := range call.Args {
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ && b.X.(*syntax.Ident).Name == "on_parent_close" {
			policy, _ := textLiteral(b.Y)
			return policy == closeCancel
		}
	}
	if d, ok := call.Fn.(*syntax.DotExpr); ok { // h.options(...)
		return n.cancelledAtClose(d.X)
	}
	return true
}

// hidden warns of the names that a statement or expression binds and that are
// built-ins. Parameters and functions may be called as the language's own
// are: dir and hash are good names there, and a call of them is what it looks like.
func hidden(n syntax.Node) (warnings Problems) {
	var names, mild []*syntax.Ident
	switch n := n.(type) {
	case *syntax.DefStmt:
		mild = append(parameters(n.Params), n.Name)
	case *syntax.LambdaExpr:
		mild = parameters(n.Params)
	case *syntax.LoadStmt:
		mild = n.To
	case *syntax.ForStmt:
		names = targets(n.Vars)
	case *syntax.ForClause:
		names = targets(n.Vars)
	case *syntax.AssignStmt:
		names = targets(n.LHS)
	}
	for _, id := range names {
		warnings = append(warnings, shadowed(id, star.Universe.Has(id.Name))...)
	}
	for _, id := range mild {
		warnings = append(warnings, shadowed(id, false)...)
	}
	return warnings
}

// targets are the names that an assignment to e binds.
func targets(e syntax.Expr) (names []*syntax.Ident) {
	switch e := e.(type) {
	case *syntax.Ident:
		names = append(names, e)
	case *syntax.ParenExpr:
		names = targets(e.X)
	case *syntax.TupleExpr:
		for _, x := range e.List {
			names = append(names, targets(x)...)
		}
	case *syntax.ListExpr:
		for _, x := range e.List {
			names = append(names, targets(x)...)
		}
	}
	return names
}

func parameters(params []syntax.Expr) (names []*syntax.Ident) {
	for _, p := range params {
		switch x := p.(type) {
		case *syntax.BinaryExpr: // name = default
			p = x.X
		case *syntax.UnaryExpr: // *args, **kwargs
			p = x.X
		}
		if id, ok := p.(*syntax.Ident); ok {
			names = append(names, id)
		}
	}
	return names
}

// shadowed warns of a name that hides a built-in of ours, or, when universal, one of the language.
func shadowed(id *syntax.Ident, universal bool) Problems {
	if star.Universe.Has(id.Name) && !universal || !star.Universe.Has(id.Name) && !isPredeclared(id.Name) {
		return nil
	}
	p := problemAt(id.NamePos, "%s hides the built-in %s here", id.Name, id.Name)
	p.Severity = SeverityWarning
	return Problems{p}
}
