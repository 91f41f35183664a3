// Problems: what is wrong with a script, by file and line.

package starlark

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	star "go.starlark.net/starlark"

	"go.starlark.net/resolve"
	"go.starlark.net/syntax"
)

// Severity is "error" or "warning".
type Severity string

// The severities.
const (
	SeverityError   Severity = "error"
	SeverityWarning Severity = "warning"
)

// Problem is one thing that is wrong with a script.
type Problem struct {
	File     string   `json:"file"`
	Line     int      `json:"line"`
	Col      int      `json:"col"`
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`
	Activity string   `json:"activity,omitempty"` // that nobody offers, when that is the problem
}

func (p Problem) String() string {
	if p.Line == 0 {
		return fmt.Sprintf("%s: %s", p.File, p.Message)
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Col, p.Message)
}

// Problems is an error that lists what is wrong, one problem a line.
type Problems []Problem

func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// Sorted are the problems by file, line and column, each once.
func (ps Problems) Sorted() Problems {
	sorted := slices.Clone(ps)
	slices.SortStableFunc(sorted, func(a, b Problem) int {
		return cmp.Or(strings.Compare(a.File, b.File), a.Line-b.Line, a.Col-b.Col)
	})
	seen := make(map[Problem]bool)
	return slices.DeleteFunc(sorted, func(p Problem) bool {
		again := seen[p]
		seen[p] = true
		return again
	})
}

// warnings are the problems as warnings.
func (ps Problems) warnings() Problems {
	out := slices.Clone(ps)
	for i := range out {
		out[i].Severity = SeverityWarning
	}
	return out
}

func problemAt(pos syntax.Position, format string, args ...any) Problem {
	return Problem{
		File: pos.Filename(), Line: int(pos.Line), Col: int(pos.Col),
		Severity: SeverityError, Message: fmt.Sprintf(format, args...),
	}
}

// problemsOf turns the errors of the parser, the resolver and a module's run into problems.
func problemsOf(file, text string, err error) Problems {
	var problems Problems
	var syntaxErr syntax.Error
	var resolveErrs resolve.ErrorList
	var evalErr *star.EvalError
	switch {
	case errors.As(err, &problems):
		return problems
	case errors.As(err, &syntaxErr):
		return Problems{teachSyntax(text, syntaxErr)}
	case errors.As(err, &resolveErrs):
		for _, e := range resolveErrs {
			problems = append(problems, problemAt(e.Pos, "%s", teachResolve(e.Msg, resolveErrs)))
		}
		return problems
	case errors.As(err, &evalErr):
		p := problemAt(evalPos(evalErr, file), "%s", teachEval(evalErr.Msg))
		return Problems{p}
	}
	return Problems{{File: file, Severity: SeverityError, Message: err.Error()}}
}

// unfit is what the interpreter says of a call whose arguments do not fit the function.
var unfit = regexp.MustCompile(`^function (\S+) (?:accepts|missing|got an unexpected keyword argument|got multiple values)`)

// evalPos is the innermost position of an error that is in a file. A call that a function refuses fails where it stands,
// not in the function.
func evalPos(e *star.EvalError, file string) syntax.Position {
	refused := ""
	if m := unfit.FindStringSubmatch(e.Msg); m != nil {
		refused = m[1]
	}
	for i := range len(e.CallStack) {
		if i == 0 && e.CallStack.At(i).Name == refused {
			continue
		}
		if pos := e.CallStack.At(i).Pos; pos.IsValid() && pos.Line > 0 {
			return pos
		}
	}
	return syntax.MakePosition(&file, 0, 0)
}
