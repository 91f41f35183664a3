// Looking at syntax: calls of activities, warnings, and the rewriting of info and of empty loops.

package starlark

import (
	"slices"
	"strconv"
	"strings"

	star "go.starlark.net/starlark"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// Call is a declaration of an activity, or a call of one whose handle is a
// global of its file. Open says that the call spreads arguments, so that their number is unknown.
type Call struct {
	Activity    string
	File        string
	Line, Col   int
	Declaration bool
	Queue       string // of a declaration, when it is written as text
	AnyQueue    bool   // its queue is computed
	Args        int
	Keywords    []string
	Open        bool
}

// Calls lists the program's declarations and calls of activities as far as its text tells.
func (p *Program) Calls() []Call { return append([]Call(nil), p.calls...) }

// parse parses a file and makes info("id") of the built-in info where its attribute id is read.
func parse(name, text string) (*syntax.File, error) {
	f, err := fileOptions.Parse(name, text, 0)
	if err != nil {
		return nil, err
	}
	placeLoops(f)
	if !strings.Contains(text, "info.") {
		return f, nil
	}
	resolved, err := fileOptions.Parse(name, text, 0)
	if err != nil {
		return nil, err
	}
	if resolve.File(resolved, isPredeclared, star.Universe.Has) != nil {
		return f, nil // told when it is compiled
	}
	type place struct{ line, col int32 } // positions of two parses are never equal
	builtin := make(map[place]bool)
	walkInfo(resolved, func(d *syntax.DotExpr, id *syntax.Ident) {
		if b, ok := id.Binding.(*resolve.Binding); ok && b.Scope == resolve.Predeclared {
			builtin[place{id.NamePos.Line, id.NamePos.Col}] = true
		}
	})
	walkInfo(f, func(d *syntax.DotExpr, id *syntax.Ident) {
		if builtin[place{id.NamePos.Line, id.NamePos.Col}] {
			field := &syntax.Literal{Token: syntax.STRING, TokenPos: d.NamePos, Raw: strconv.Quote(d.Name.Name), Value: d.Name.Name}
			d.X = &syntax.CallExpr{Fn: id, Lparen: id.NamePos, Args: []syntax.Expr{field}, Rparen: id.NamePos}
		}
	})
	return f, nil
}

// placeLoops puts a +0 in front of every while loop. The interpreter knows only where it
// calls, computes or looks something up; without it a loop of nothing else would be
// said to stand where the operation before it does, or where its function begins.
func placeLoops(f *syntax.File) {
	f.Stmts = placedLoops(f.Stmts)
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			n.Body = placedLoops(n.Body)
		case *syntax.IfStmt:
			n.True, n.False = placedLoops(n.True), placedLoops(n.False)
		case *syntax.ForStmt:
			n.Body = placedLoops(n.Body)
		case *syntax.WhileStmt:
			n.Body = placedLoops(n.Body)
		}
		return true
	})
}

func placedLoops(stmts []syntax.Stmt) []syntax.Stmt {
	for i := 0; i < len(stmts); i++ {
		if loop, ok := stmts[i].(*syntax.WhileStmt); ok {
			nothing := &syntax.Literal{Token: syntax.INT, TokenPos: loop.While, Raw: "0", Value: int64(0)}
			here := &syntax.ExprStmt{X: &syntax.UnaryExpr{OpPos: loop.While, Op: syntax.PLUS, X: nothing}}
			stmts = slices.Insert(stmts, i, syntax.Stmt(here))
			i++
		}
	}
	return stmts
}

func walkInfo(f *syntax.File, visit func(*syntax.DotExpr, *syntax.Ident)) {
	syntax.Walk(f, func(n syntax.Node) bool {
		if d, ok := n.(*syntax.DotExpr); ok {
			if id, ok := d.X.(*syntax.Ident); ok && id.Name == "info" {
				visit(d, id)
			}
		}
		return true
	})
}

// inspect lists the calls of a resolved file, those that will fail, and its warnings.
func inspect(f *syntax.File, names *fileNames) (calls []Call, mistakes, warnings Problems) {
	handles := make(map[string]string) // global -> activity
	times := boundTimes(f)
	for _, stmt := range f.Stmts {
		a, ok := stmt.(*syntax.AssignStmt)
		if !ok || a.Op != syntax.EQ {
			continue
		}
		if id, ok := a.LHS.(*syntax.Ident); ok && times[id.Name] == 1 {
			if name, _, _, ok := declaration(a.RHS); ok {
				handles[id.Name] = name
			}
		}
	}
	attempted, asked := attemptedIn(f), names.askedIn(f)
	found := func(problems Problems, mild bool) {
		if mild { // its failure may be what the script is after, or the script looks first
			warnings = append(warnings, problems.warnings()...)
		} else {
			mistakes = append(mistakes, problems...)
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		warnings = append(warnings, hidden(n)...)
		switch n := n.(type) {
		case *syntax.CallExpr:
			if c, ok := callOf(n, handles); ok {
				calls = append(calls, c)
			}
			calls = append(calls, names.callsBy(n, handles)...)
			if names.knows(n.Lparen) {
				break
			}
			found(slices.Concat(names.judge(n), names.passed(n), names.refused(n)), attempted[n])
		case *syntax.DotExpr:
			if absent := names.member(n); len(absent) > 0 {
				found(absent, attempted[n] || asked[member{names.value(n.X), n.Name.Name}])
			}
		case *syntax.ForStmt, *syntax.Comprehension:
			warnings = append(warnings, lateBound(n)...)
		case *syntax.ExprStmt:
			warnings = append(warnings, names.unusedFuture(n)...)
		}
		return true
	})
	warnings = append(warnings, names.unreadFutures(f)...)
	return calls, mistakes, append(warnings, droppedHashes(f)...)
}

// declaration reads activity("name", queue = "q"), or activity(name = "name").
func declaration(e syntax.Expr) (name, queue string, anyQueue, ok bool) {
	call, ok := e.(*syntax.CallExpr)
	if !ok || len(call.Args) == 0 {
		return "", "", false, false
	}
	if id, isID := call.Fn.(*syntax.Ident); !isID || id.Name != "activity" || !predeclaredIdent(id) {
		return "", "", false, false
	}
	name, ok = textLiteral(call.Args[0])
	for _, a := range call.Args {
		b, isBinary := a.(*syntax.BinaryExpr)
		if !isBinary || b.Op != syntax.EQ {
			continue
		}
		switch id, _ := b.X.(*syntax.Ident); {
		case id != nil && id.Name == "queue":
			var literal bool
			queue, literal = textLiteral(b.Y)
			anyQueue = !literal
		case id != nil && id.Name == "name" && !ok:
			name, ok = textLiteral(b.Y)
		}
	}
	return name, queue, anyQueue, ok
}

func predeclaredIdent(id *syntax.Ident) bool {
	b, ok := id.Binding.(*resolve.Binding)
	return ok && b.Scope == resolve.Predeclared
}

func textLiteral(e syntax.Expr) (string, bool) {
	l, ok := e.(*syntax.Literal)
	if !ok {
		return "", false
	}
	s, ok := l.Value.(string)
	return s, ok
}

// callOf reads a call of a handle, or a declaration.
func callOf(n *syntax.CallExpr, handles map[string]string) (Call, bool) {
	start, _ := n.Span()
	c := Call{File: start.Filename(), Line: int(start.Line), Col: int(start.Col)}
	if name, queue, anyQueue, ok := declaration(n); ok {
		c.Activity, c.Queue, c.AnyQueue, c.Declaration = name, queue, anyQueue, true
		return c, true
	}
	fn := n.Fn
	if d, ok := fn.(*syntax.DotExpr); ok && (d.Name.Name == "start" || d.Name.Name == "attempt") {
		fn = d.X
	}
	if c.Activity = handleOf(fn, handles); c.Activity == "" {
		return c, false
	}
	args := argumentsOf(n)
	c.Args, c.Keywords, c.Open = args.places, args.names, args.open
	return c, true
}

// handleOf is the activity whose handle an expression names or makes, "" when it does not tell.
func handleOf(e syntax.Expr, handles map[string]string) string {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return handleOf(e.X, handles)
	case *syntax.Ident:
		if b, ok := e.Binding.(*resolve.Binding); ok && b.Scope == resolve.Global {
			return handles[e.Name]
		}
	case *syntax.CallExpr:
		if name, _, _, ok := declaration(e); ok {
			return name
		}
		if d, ok := e.Fn.(*syntax.DotExpr); ok && d.Name.Name == "options" {
			return handleOf(d.X, handles)
		}
	}
	return ""
}

// callsBy are the calls that a built-in makes of a handle which it is given by name, or whose map or starmap it is.
func (n *fileNames) callsBy(call *syntax.CallExpr, handles map[string]string) (calls []Call) {
	args := argumentsOf(call)
	list := positional(call)
	add := func(at, handle syntax.Expr, places int, names []string) {
		start, _ := at.Span()
		calls = append(calls, Call{
			Activity: handleOf(handle, handles), File: start.Filename(), Line: int(start.Line), Col: int(start.Col), Args: places, Keywords: names,
		})
	}
	s := n.callee(call.Fn)
	for name, place := range callers {
		if s == signatures[name] && s != signatures["bind"] && !args.open && len(list) > place && handleOf(list[place], handles) != "" {
			add(list[place], list[place], args.places-place-1, args.names)
		}
	}
	if d, ok := call.Fn.(*syntax.DotExpr); ok && handleOf(d.X, handles) != "" && !args.open && len(list) == 1 {
		items, literal := literalItems(list[0])
		switch {
		case d.Name.Name == "map" && (!literal || len(items) > 0):
			add(call, d.X, 1, nil)
		case d.Name.Name == "starmap":
			for _, item := range items {
				if values, ok := literalItems(item); ok {
					add(item, d.X, len(values), nil)
				}
			}
		}
	}
	return calls
}
