// Judging calls without making them: what is called, and whether it takes what it is given.

package starlark

import (
	"slices"
	"strings"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// fileNames tells what the names of a file stand for, now that it was loaded: its
// globals never change, so the value is what every call will find. To judge by the text alone was
// rejected: it does not see through f = decorate(_f), nor into what another file gives.
type fileNames struct {
	globals star.StringDict
	loaded  map[*syntax.Ident]star.Value // by the name that a load statement binds
	text    *outline                     // when the file was not run
	known   Problems                     // what was told before
}

// namesOf looks at the top of a file. modules are the globals of all files. A global that is bound in a
// loop was another value for the calls in it, and is left out.
func namesOf(file string, f *syntax.File, modules map[string]star.StringDict) *fileNames {
	n := &fileNames{globals: make(star.StringDict), loaded: make(map[*syntax.Ident]star.Value)}
	for _, stmt := range f.Stmts {
		switch stmt := stmt.(type) {
		case *syntax.DefStmt:
			n.globals[stmt.Name.Name] = modules[file][stmt.Name.Name]
		case *syntax.AssignStmt:
			for _, id := range targets(stmt.LHS) {
				n.globals[id.Name] = modules[file][id.Name]
			}
		case *syntax.LoadStmt:
			if target, err := resolveLoad(file, stmt.ModuleName()); err == nil {
				for i, to := range stmt.To {
					n.loaded[to] = modules[target][stmt.From[i].Name]
				}
			}
		}
	}
	return n
}

// value is what an expression of names and attributes stands for, nil when that is not known.
func (n *fileNames) value(e syntax.Expr) star.Value {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return n.value(e.X)
	case *syntax.Ident:
		b, ok := e.Binding.(*resolve.Binding)
		if !ok {
			return nil
		}
		switch b.Scope {
		case resolve.Predeclared:
			return predeclared[e.Name]
		case resolve.Universal:
			return star.Universe[e.Name]
		case resolve.Global:
			return n.globals[e.Name]
		}
		return n.loaded[b.First]
	case *syntax.DotExpr:
		switch x := n.value(e.X).(type) {
		case *starlarkstruct.Module, structure:
			if v, err := x.(star.HasAttrs).Attr(e.Name.Name); err == nil {
				return v
			}
		}
	}
	return nil
}

// kind is the type of an expression's value, "" when it is not known.
func (n *fileNames) kind(e syntax.Expr) string {
	switch v := n.value(e).(type) {
	case nil:
	case parallel:
		return "parallel"
	default:
		return v.Type()
	}
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return n.kind(e.X)
	case *syntax.Ident:
		return n.text.kind(e, n.kind)
	case *syntax.CallExpr:
		if s := n.callee(e.Fn); s != nil {
			return s.result
		}
	}
	return ""
}

// callee is the signature of what is called, nil when it is not known.
func (n *fileNames) callee(fn syntax.Expr) *signature {
	switch v := n.value(fn).(type) {
	case *star.Function:
		return signatureOf(v)
	case *star.Builtin:
		return builtinSignatures[v]
	case parallel:
		return signatures["parallel"]
	}
	if s := n.text.function(fn); s != nil {
		return s
	}
	if d, ok := fn.(*syntax.DotExpr); ok {
		return signatures[n.kind(d.X)+"."+d.Name.Name]
	}
	return nil
}

// knows tells whether a problem is known at the place where the interpreter says that an operation failed.
func (n *fileNames) knows(at syntax.Position) bool {
	return slices.ContainsFunc(n.known, func(p Problem) bool { return p.File == at.Filename() && p.Line == int(at.Line) && p.Col == int(at.Col) })
}

// judge says what is wrong with a call. One that spreads arguments is not judged.
func (n *fileNames) judge(call *syntax.CallExpr) Problems {
	s := n.callee(call.Fn)
	args := argumentsOf(call)
	if s == nil || args.open {
		return nil
	}
	wrong := s.judge(args.places, args.names)
	if wrong == nil {
		return nil
	}
	pos, _ := call.Span()
	if wrong.name >= 0 {
		pos = args.at[wrong.name]
	}
	hint := ""
	if wrong.unknown {
		hint = s.suggest(args.names[wrong.name])
	}
	return Problems{problemAt(pos, "%s() %s%s", written(call.Fn), wrong.what, hint)}
}

// member says that a module has no member of that name, which is an error wherever it is read.
func (n *fileNames) member(d *syntax.DotExpr) Problems {
	var have []string
	name := d.Name.Name
	switch x := n.value(d.X).(type) {
	case *starlarkstruct.Module:
		have = x.AttrNames()
	case parallel:
		have = x.AttrNames()
	default: // info.name is info("name").name, see parse
		call, ok := d.X.(*syntax.CallExpr)
		if !ok || n.value(call.Fn) != star.Value(infoValue{}) {
			return nil
		}
		have = infoFields
	}
	if slices.Contains(have, name) || n.knows(d.Dot) {
		return nil
	}
	hint := didYouMean(name, have)
	if write := attributes["module."+name]; write != "" {
		hint = "; " + write
	}
	return Problems{problemAt(d.Name.NamePos, "%s has no member %s%s", strings.TrimSuffix(written(d.X), "(...)"), name, hint)}
}

// attemptedIn are the calls and members that stand in the arguments of attempt, or of a test's t.fails.
func attemptedIn(f *syntax.File) map[syntax.Node]bool {
	attempted := make(map[syntax.Node]bool)
	syntax.Walk(f, func(n syntax.Node) bool {
		call, ok := n.(*syntax.CallExpr)
		if !ok {
			return true
		}
		id, _ := call.Fn.(*syntax.Ident)
		dot, _ := call.Fn.(*syntax.DotExpr)
		if id != nil && id.Name == "attempt" || dot != nil && dot.Name.Name == "fails" {
			for _, a := range call.Args {
				syntax.Walk(a, func(n syntax.Node) bool {
					switch n.(type) {
					case *syntax.CallExpr, *syntax.DotExpr:
						attempted[n] = true
					}
					return true
				})
			}
		}
		return true
	})
	return attempted
}

// member is a name that is asked of a module.
type member struct {
	of   star.Value
	name string
}

// askedIn are the members that a file asks a module for with hasattr or getattr: it reads them when they are there.
func (n *fileNames) askedIn(f *syntax.File) map[member]bool {
	asked := make(map[member]bool)
	syntax.Walk(f, func(node syntax.Node) bool {
		call, ok := node.(*syntax.CallExpr)
		if !ok || len(call.Args) < 2 {
			return true
		}
		if s := n.callee(call.Fn); s == nil || s != signatures["hasattr"] && s != signatures["getattr"] {
			return true
		}
		name, ok := textLiteral(call.Args[1])
		switch of := n.value(call.Args[0]).(type) {
		case *starlarkstruct.Module, parallel:
			asked[member{of, name}] = ok
		}
		return true
	})
	return asked
}

// arguments are what a call gives.
type arguments struct {
	places int
	names  []string
	at     []syntax.Position // of the names
	open   bool              // *args or **kwargs among them: their number is unknown
}

func argumentsOf(call *syntax.CallExpr) (a arguments) {
	for _, arg := range call.Args {
		switch arg := arg.(type) {
		case *syntax.BinaryExpr:
			if id, ok := arg.X.(*syntax.Ident); ok && arg.Op == syntax.EQ {
				a.names, a.at = append(a.names, id.Name), append(a.at, id.NamePos)
				continue
			}
		case *syntax.UnaryExpr:
			if arg.Op == syntax.STAR || arg.Op == syntax.STARSTAR {
				a.open = true
				continue
			}
		}
		a.places++
	}
	return a
}

// written is how a function is called in the text.
func written(e syntax.Expr) string {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return written(e.X)
	case *syntax.Ident:
		return e.Name
	case *syntax.DotExpr:
		return written(e.X) + "." + e.Name.Name
	case *syntax.CallExpr:
		return written(e.Fn) + "(...)"
	}
	return "..."
}
