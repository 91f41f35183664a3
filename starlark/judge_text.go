// Judging files by their text, where something keeps them from being run.

package starlark

import (
	"maps"
	"slices"
	"strings"
	"unicode/utf8"

	star "go.starlark.net/starlark"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// Judge tells of files that need not run what their text tells: the calls of activities, names that
// are not there, and calls that will fail. It tells less than a Program does, and nothing that is not so. What is known
// already, of calls that failed while a file loaded, is not told once more.
func Judge(s *Sources, known Problems) (calls []Call, problems Problems) {
	trees := make(map[string]*syntax.File)
	outlines := make(map[string]*outline)
	for _, f := range s.Files {
		if strings.HasSuffix(f.Path, ".json") || !utf8.ValidString(f.Text) {
			continue
		}
		tree, err := parse(f.Path, f.Text)
		if err == nil {
			trees[f.Path] = tree
			err = resolve.File(tree, isPredeclared, star.Universe.Has)
			outlines[f.Path] = outlineOf(tree)
		}
		if err != nil {
			problems = append(problems, problemsOf(f.Path, f.Text, err)...)
		}
	}
	for _, f := range s.Files {
		if tree := trees[f.Path]; tree != nil {
			outlines[f.Path].load(f.Path, tree, outlines)
			c, mistakes, _ := inspect(tree, &fileNames{text: outlines[f.Path], known: known})
			calls = append(calls, c...)
			problems = append(problems, notThere(f.Path, tree, trees)...)
			problems = append(problems, mistakes...)
		}
	}
	return calls, slices.DeleteFunc(problems.Sorted(), func(p Problem) bool { return slices.Contains(known, p) })
}

// outline is what the text of a file tells of its globals. One that is bound more than once, or in a loop or a branch, is not in it.
type outline struct {
	functions map[string]*signature
	values    map[string]syntax.Expr
	loaded    map[*syntax.Ident]*signature // by the name that a load statement binds
}

func outlineOf(f *syntax.File) *outline {
	o := &outline{functions: make(map[string]*signature), values: make(map[string]syntax.Expr), loaded: make(map[*syntax.Ident]*signature)}
	times := boundTimes(f)
	for _, stmt := range f.Stmts {
		switch stmt := stmt.(type) {
		case *syntax.DefStmt:
			if times[stmt.Name.Name] == 1 && distinct(parameters(stmt.Params)) {
				o.functions[stmt.Name.Name] = signatureOfParams(stmt.Params)
			}
		case *syntax.AssignStmt:
			if id, ok := stmt.LHS.(*syntax.Ident); ok && stmt.Op == syntax.EQ && times[id.Name] == 1 {
				o.values[id.Name] = stmt.RHS
			}
		}
	}
	return o
}

func distinct(ids []*syntax.Ident) bool {
	names := make(map[string]bool)
	for _, id := range ids {
		names[id.Name] = true
	}
	return len(names) == len(ids)
}

// load looks up what a file loads from others.
func (o *outline) load(file string, f *syntax.File, all map[string]*outline) {
	for _, l := range loadsOf(f) {
		target, err := resolveLoad(file, l.ModuleName())
		if err != nil || all[target] == nil {
			continue
		}
		for i, to := range l.To {
			if s := all[target].functions[l.From[i].Name]; s != nil {
				o.loaded[to] = s
			}
		}
	}
}

// notThere says which names a file loads from others that do not bind them.
func notThere(file string, f *syntax.File, all map[string]*syntax.File) (problems Problems) {
	for _, l := range loadsOf(f) {
		target, err := resolveLoad(file, l.ModuleName())
		if err != nil || all[target] == nil {
			continue
		}
		names := boundTimes(all[target])
		var public []string
		for _, name := range slices.Sorted(maps.Keys(names)) {
			if !strings.HasPrefix(name, "_") { // the resolver tells of a load of these
				public = append(public, name)
			}
		}
		for _, from := range l.From {
			if names[from.Name] == 0 && !strings.HasPrefix(from.Name, "_") {
				problems = append(problems, problemAt(from.NamePos, "load: name %s not found in module %s%s", from.Name, l.ModuleName(), didYouMean(from.Name, public)))
			}
		}
	}
	return problems
}

// boundTimes counts how often each global of a file is bound.
func boundTimes(f *syntax.File) map[string]int {
	times := make(map[string]int)
	count := func(ids ...*syntax.Ident) {
		for _, id := range ids {
			if b, ok := id.Binding.(*resolve.Binding); ok && b.Scope == resolve.Global {
				times[id.Name]++
			}
		}
	}
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.DefStmt:
			count(n.Name)
		case *syntax.AssignStmt:
			count(targets(n.LHS)...)
		case *syntax.ForStmt:
			count(targets(n.Vars)...)
		}
		return true
	})
	return times
}

// function is what the function of a name takes, nil when that is not known.
func (o *outline) function(e syntax.Expr) *signature {
	id, ok := e.(*syntax.Ident)
	if !ok || o == nil {
		return nil
	}
	b, ok := id.Binding.(*resolve.Binding)
	switch {
	case !ok:
		return nil
	case b.Scope == resolve.Global:
		return o.functions[id.Name]
	}
	return o.loaded[b.First]
}

// kind is that of the expression that a global is bound to, "" when that is not known. A name that stands in its
// own value has none.
func (o *outline) kind(id *syntax.Ident, of func(syntax.Expr) string) string {
	b, ok := id.Binding.(*resolve.Binding)
	if o == nil || !ok || b.Scope != resolve.Global || o.values[id.Name] == nil {
		return ""
	}
	value := o.values[id.Name]
	delete(o.values, id.Name)
	defer func() { o.values[id.Name] = value }()
	return of(value)
}

// signatureOfParams is that of a def.
func signatureOfParams(params []syntax.Expr) *signature {
	s := &signature{}
	byName := false
	for _, p := range params {
		switch p := p.(type) {
		case *syntax.UnaryExpr:
			switch {
			case p.Op == syntax.STARSTAR:
				s.named = true
			default:
				byName, s.rest = true, p.X != nil
			}
			continue
		case *syntax.BinaryExpr:
			s.params = append(s.params, parameter{name: p.X.(*syntax.Ident).Name, optional: true})
		case *syntax.Ident:
			s.params = append(s.params, parameter{name: p.Name})
		}
		if !byName {
			s.byPlace++
		}
	}
	return s
}
