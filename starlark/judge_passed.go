// Judging functions that are given to built-ins, by what these will call them with.

package starlark

import (
	"slices"

	star "go.starlark.net/starlark"

	"go.starlark.net/syntax"
)

// callers are the built-ins that call a function with the other arguments they get, by the place of the function.
var callers = map[string]int{"spawn": 0, "attempt": 0, "bind": 0, "defer": 0, "on_failure": 0, "shield": 0, "semaphore.run": 0, "timeout": 1}

// groups are the built-ins that call functions with nothing.
var groups = []string{"parallel", "race", "first_ok", "as_completed", "wait_until"}

// mappers are the built-ins that call a function with items, by the place of these; where it is 0 the function is what they are a method of.
var mappers = map[string]int{"parallel.map": 1, "parallel.starmap": 1, "workflow.map": 0, "workflow.starmap": 0}

// passed says which functions that a call gives to a built-in do not take what that will give them, and which handles of children
// do not take what they are called with. A call that spreads arguments is not judged.
func (n *fileNames) passed(call *syntax.CallExpr) (problems Problems) {
	args := argumentsOf(call)
	if args.open {
		return nil
	}
	s := n.callee(call.Fn)
	if s == nil || s == signatures["workflow.start"] || s == signatures["workflow.attempt"] {
		handle := call.Fn
		if d, ok := handle.(*syntax.DotExpr); ok && s != nil {
			handle = d.X
		}
		if child := n.child(handle); child != nil {
			return n.misfit(call.Fn, call, child, args, "")
		}
		return nil
	}
	by := written(call.Fn)
	for name, place := range callers {
		if s != signatures[name] || args.places <= place {
			continue
		}
		fn := positional(call)[place]
		f, first := n.target(fn)
		if name == "bind" {
			f = f.lenient()
		}
		first.places += args.places - place - 1
		first.names, first.at = slices.Concat(first.names, args.names), slices.Concat(first.at, args.at)
		problems = append(problems, n.misfit(fn, fn, f, first, by)...)
	}
	for _, name := range groups {
		if s != signatures[name] {
			continue
		}
		for _, task := range tasksIn(call) {
			f, first := n.target(task)
			problems = append(problems, n.misfit(task, task, f, first, by)...)
		}
	}
	for name, place := range mappers {
		if s == signatures[name] {
			problems = append(problems, n.mapped(call, place, s == signatures["parallel.starmap"] || s == signatures["workflow.starmap"])...)
		}
	}
	return problems
}

// mapped judges the function of a map or starmap.
func (n *fileNames) mapped(call *syntax.CallExpr, place int, spread bool) (problems Problems) {
	list := positional(call)
	if len(list) <= place {
		return nil
	}
	var f *signature
	var first arguments
	fn := list[0]
	if place == 1 {
		f, first = n.target(fn)
	} else {
		fn = call.Fn.(*syntax.DotExpr).X
		f = n.child(fn)
	}
	by := written(call.Fn)
	items, literal := literalItems(list[place])
	switch {
	case spread:
		for _, item := range items {
			if values, ok := literalItems(item); ok {
				row := first
				row.places += len(values)
				problems = append(problems, n.misfit(fn, item, f, row, by)...)
			}
		}
	case !literal || len(items) > 0:
		first.places++
		problems = append(problems, n.misfit(fn, fn, f, first, by)...)
	}
	return problems
}

// misfit is what is wrong with giving a function these arguments, told where at stands or the wrong name.
func (n *fileNames) misfit(fn, at syntax.Expr, f *signature, args arguments, by string) Problems {
	if f == nil {
		return nil
	}
	wrong := f.judge(args.places, args.names)
	if wrong == nil {
		return nil
	}
	pos, _ := at.Span()
	hint := ""
	if wrong.name >= 0 {
		pos = args.at[wrong.name]
	}
	if wrong.unknown {
		hint = f.suggest(args.names[wrong.name])
	}
	if by != "" {
		hint = ", as " + by + "() calls it" + hint
	}
	return Problems{problemAt(pos, "%s() %s%s", written(fn), wrong.what, hint)}
}

// target is the function that an expression stands for, nil when it is not known, and the arguments that bind gave it.
func (n *fileNames) target(e syntax.Expr) (*signature, arguments) {
	for {
		p, ok := e.(*syntax.ParenExpr)
		if !ok {
			break
		}
		e = p.X
	}
	if call, ok := e.(*syntax.CallExpr); ok && n.callee(call.Fn) == signatures["bind"] {
		args := argumentsOf(call)
		if args.open || args.places == 0 {
			return nil, arguments{}
		}
		f, first := n.target(positional(call)[0])
		first.places += args.places - 1
		first.names, first.at = slices.Concat(first.names, args.names), slices.Concat(first.at, args.at)
		return f, first
	}
	if f := n.callee(e); f != nil {
		return f, arguments{}
	}
	return n.child(e), arguments{}
}

// child is the function that a handle of children runs, nil when it is not known.
func (n *fileNames) child(e syntax.Expr) *signature {
	switch v := n.value(e).(type) {
	case *childHandle:
		if v.fn != nil {
			return signatureOf(v.fn)
		}
	case nil:
		switch e := e.(type) {
		case *syntax.ParenExpr:
			return n.child(e.X)
		case *syntax.CallExpr:
			switch n.callee(e.Fn) {
			case signatures["workflow"]:
				if list := positional(e); len(list) == 1 {
					if _, builtin := n.value(list[0]).(*star.Builtin); !builtin {
						return n.callee(list[0])
					}
				}
			case signatures["workflow.options"]:
				if d, ok := e.Fn.(*syntax.DotExpr); ok {
					return n.child(d.X)
				}
			}
		}
	}
	return nil
}

// lenient is a signature without anything that must be given.
func (s *signature) lenient() *signature {
	if s == nil {
		return nil
	}
	l := *s
	l.params = slices.Clone(s.params)
	for i := range l.params {
		l.params[i].optional = true
	}
	return &l
}

// positional are the arguments that a call gives by place.
func positional(call *syntax.CallExpr) (list []syntax.Expr) {
	for _, a := range call.Args {
		if b, ok := a.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			continue
		}
		list = append(list, a)
	}
	return list
}

// tasksIn are the tasks that a call of a group names: the arguments, or what stands in the literal that is the one argument.
func tasksIn(call *syntax.CallExpr) (tasks []syntax.Expr) {
	list := positional(call)
	if len(list) != 1 {
		return list
	}
	if d, ok := list[0].(*syntax.DictExpr); ok {
		for _, entry := range d.List {
			tasks = append(tasks, entry.(*syntax.DictEntry).Value)
		}
		return tasks
	}
	if items, ok := literalItems(list[0]); ok {
		return items
	}
	return list
}

// literalItems are those of a list or tuple literal.
func literalItems(e syntax.Expr) ([]syntax.Expr, bool) {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return literalItems(e.X)
	case *syntax.ListExpr:
		return e.List, true
	case *syntax.TupleExpr:
		return e.List, true
	}
	return nil, false
}
