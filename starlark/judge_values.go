// Judging what is given to built-ins: options and durations that they will refuse.

package starlark

import (
	"errors"
	"fmt"
	"math/big"
	"regexp"

	startime "go.starlark.net/lib/time"
	star "go.starlark.net/starlark"

	"go.starlark.net/syntax"
)

// init gives the signatures of built-ins what tells that a parameter's value will be refused. It asks
// what the built-in itself asks, one parameter at a time: what does not depend on the others.
func init() { // not in the table: the built-ins know their signatures, a cycle to the compiler
	limit := func(v star.Value) error {
		_, err := duration(v)
		return err
	}
	positive := unlessNone(func(v star.Value) error {
		_, err := positiveDuration(v)
		return err
	})
	one := func(name string, check func(star.Value) error) map[string]func(star.Value) error {
		return map[string]func(star.Value) error{name: check}
	}
	group := make(map[string]func(star.Value) error)
	for _, name := range []string{"limit", "settle", "timeout"} {
		group[name] = func(v star.Value) error { return new(groupOptions).parse("it", given(name, v)) }
	}
	policy := make(map[string]func(star.Value) error)
	for _, p := range signatures["retry_policy"].params {
		policy[p.name] = func(v star.Value) error {
			_, err := retryPolicyBuiltin(nil, nil, given(p.name, v))
			return err
		}
	}
	activity, child := make(map[string]func(star.Value) error), make(map[string]func(star.Value) error)
	for _, name := range optionNames {
		activity[name] = unlessNone(func(v star.Value) error { return (&handle{options: &ActivityOptions{}}).set(name, v) })
	}
	for _, name := range childOptions {
		child[name] = unlessNone(func(v star.Value) error { return (&childHandle{options: &ChildOptions{}}).set(name, v) })
	}
	child["name_or_function"] = func(v star.Value) error {
		_, err := workflowBuiltin(nil, star.Tuple{v}, nil)
		return err
	}
	waits := map[string]func(star.Value) error{
		"timeout": func(v star.Value) error {
			_, err := signalTimeout("it", v)
			return err
		},
		"name": func(v star.Value) error {
			_, err := signalName("it", v)
			return err
		},
	}
	failure := make(map[string]func(star.Value) error)
	failure["kind"] = func(v star.Value) error {
		_, err := newFailure("it", nil, given("kind", v))
		return err
	}
	for name, checks := range map[string]map[string]func(star.Value) error{
		"activity": activity, "activity.options": activity, "workflow": child, "workflow.options": child, "retry_policy": policy,
		"parallel": group, "parallel.map": group, "parallel.starmap": group,
		"activity.map": group, "activity.starmap": group, "workflow.map": group, "workflow.starmap": group,
		"race": one("timeout", positive), "first_ok": one("timeout", positive), "as_completed": one("timeout", positive), "wait_until": one("timeout", positive),
		"select": one("timeout", unlessNone(limit)), "Future.result": one("timeout", unlessNone(limit)), "Future.attempt": one("timeout", unlessNone(limit)),
		"execution.result": one("timeout", unlessNone(limit)),
		"wait_signal":      waits, "signal.recv": waits, "signal": one("name", waits["name"]),
		"sleep": one("duration", limit), "timer": one("duration", limit),
		"timeout": one("duration", func(v star.Value) error {
			_, err := positiveDuration(v)
			return err
		}),
		"sleep_until": one("time", func(v star.Value) error {
			if _, ok := v.(moment); !ok {
				return fmt.Errorf("wants a time, like time.now() + time.hour, got %s", v.Type())
			}
			return nil
		}),
		"semaphore": one("n", func(v star.Value) error {
			if n, err := star.AsInt32(v); err != nil || n < 1 {
				return fmt.Errorf("an int of at least 1 is wanted, got %s", repr(v))
			}
			return nil
		}),
		"error": failure, "Err": failure, "progress": one("fraction", unlessNone(fractionOf)),
	} {
		signatures[name].checks = checks
	}
}

func given(name string, v star.Value) []star.Tuple { return []star.Tuple{{star.String(name), v}} }

// unlessNone is for options that None leaves unset.
func unlessNone(check func(star.Value) error) func(star.Value) error {
	return func(v star.Value) error {
		if v == star.None {
			return nil
		}
		return check(v)
	}
}

// refused says which arguments of a call that fits the built-in will refuse, as far as their values are known.
func (n *fileNames) refused(call *syntax.CallExpr) (problems Problems) {
	s := n.callee(call.Fn)
	if args := argumentsOf(call); s == nil || s.checks == nil || args.open || s.judge(args.places, args.names) != nil {
		return nil
	}
	place := 0
	for _, arg := range call.Args {
		name := ""
		if b, ok := arg.(*syntax.BinaryExpr); ok && b.Op == syntax.EQ {
			name, arg = s.fullName(b.X.(*syntax.Ident).Name), b.Y
		} else {
			if place < s.byPlace {
				name = s.params[place].name
			}
			place++
		}
		check := s.checks[name]
		if check == nil {
			continue
		}
		v := n.constant(arg)
		if v == nil {
			continue
		}
		if err := check(v); err != nil {
			pos, _ := arg.Span()
			problems = append(problems, problemAt(pos, "%s() will refuse its %s: %s", written(call.Fn), name, innermost(err)))
		}
	}
	return problems
}

var outermost = regexp.MustCompile(`^(?:it|retry_policy|workflow|progress): (?:for parameter "?\w+"?: )?`)

// innermost is what an error says without the built-in and the parameter in front of it.
func innermost(err error) string {
	if inner := errors.Unwrap(err); inner != nil {
		return innermost(inner)
	}
	return outermost.ReplaceAllString(err.Error(), "")
}

// constant is the value of an expression that is a literal, or a name or attribute that stands for something that never
// changes; nil when it is not known. A list of the file's is not: it may have been another one when a call was made.
func (n *fileNames) constant(e syntax.Expr) star.Value {
	switch e := e.(type) {
	case *syntax.ParenExpr:
		return n.constant(e.X)
	case *syntax.Literal:
		return literal(e)
	case *syntax.UnaryExpr:
		switch x := n.constant(e.X).(type) {
		case star.Int, star.Float:
			if v, err := star.Unary(e.Op, x); err == nil {
				return v
			}
		}
	case *syntax.ListExpr:
		if items, ok := n.constants(e.List); ok {
			return star.NewList(items)
		}
	case *syntax.TupleExpr:
		if items, ok := n.constants(e.List); ok {
			return star.Tuple(items)
		}
	case *syntax.Ident, *syntax.DotExpr:
		switch v := n.value(e).(type) {
		case star.NoneType, star.Bool, star.Int, star.Float, star.String, star.Bytes, startime.Duration, moment, *retryPolicy, *star.Function, *star.Builtin:
			return v
		}
	}
	return nil
}

func (n *fileNames) constants(list []syntax.Expr) (items []star.Value, ok bool) {
	for _, e := range list {
		v := n.constant(e)
		if v == nil {
			return nil, false
		}
		items = append(items, v)
	}
	return items, true
}

func literal(l *syntax.Literal) star.Value {
	switch v := l.Value.(type) {
	case string:
		if l.Token == syntax.BYTES {
			return star.Bytes(v)
		}
		return star.String(v)
	case int64:
		return star.MakeInt64(v)
	case *big.Int:
		return star.MakeBigInt(v)
	case float64:
		return star.Float(v)
	}
	return nil
}
