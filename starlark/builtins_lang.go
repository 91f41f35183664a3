// Built-ins that authors miss in the language: sum, round, isinstance, fmt.

package starlark

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	star "go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

func sumBuiltin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var items star.Iterable
	var total star.Value = star.MakeInt(0)
	if err := star.UnpackArgs("sum", args, kwargs, "items", &items, "start?", &total); err != nil {
		return nil, err
	}
	if err := countItems(thread, "sum", items); err != nil {
		return nil, err
	}
	it := items.Iterate()
	defer it.Done()
	var v star.Value
	for it.Next(&v) {
		next, err := star.Binary(syntax.PLUS, total, v)
		if err != nil {
			return nil, fmt.Errorf("sum: %w", err)
		}
		total = next
	}
	return total, nil
}

// roundBuiltin rounds half to even, as Python does.
func roundBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var x star.Value
	var digits star.Value
	if err := star.UnpackArgs("round", args, kwargs, "x", &x, "ndigits??", &digits); err != nil {
		return nil, err
	}
	if _, ok := x.(star.Int); ok && digits == nil {
		return x, nil
	}
	f, ok := star.AsFloat(x)
	if !ok {
		return nil, fmt.Errorf("round: wants a number, got %s", x.Type())
	}
	if digits == nil {
		r := math.RoundToEven(f)
		n, err := star.NumberToInt(star.Float(r))
		return n, err
	}
	n, err := star.AsInt32(digits)
	if err != nil || n < -300 || n > 300 {
		return nil, fmt.Errorf("round: ndigits is an int between -300 and 300, got %s", digits)
	}
	if i, ok := x.(star.Int); ok {
		return roundInt(i, n), nil
	}
	if n >= 0 {
		r, err := strconv.ParseFloat(strconv.FormatFloat(f, 'f', n, 64), 64)
		return star.Float(r), err
	}
	p := math.Pow(10, float64(-n))
	return star.Float(math.RoundToEven(f/p) * p), nil
}

// roundInt rounds an int of any size to a power of ten, half to even.
func roundInt(i star.Int, digits int) star.Int {
	if digits >= 0 {
		return i
	}
	p := new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(-digits)), nil)
	quotient, rest := new(big.Int).DivMod(i.BigInt(), p, new(big.Int)) // the rest is not negative
	switch new(big.Int).Lsh(rest, 1).Cmp(p) {
	case 1:
		quotient.Add(quotient, big.NewInt(1))
	case 0:
		quotient.Add(quotient, new(big.Int).And(quotient, big.NewInt(1)))
	}
	return star.MakeBigInt(quotient.Mul(quotient, p))
}

func isinstanceBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var x, types star.Value
	if err := star.UnpackArgs("isinstance", args, kwargs, "x", &x, "type", &types); err != nil {
		return nil, err
	}
	names, ok := types.(star.Tuple)
	if !ok {
		names = star.Tuple{types}
	}
	for _, n := range names {
		name, ok := star.AsString(n)
		if b, isBuiltin := n.(*star.Builtin); isBuiltin {
			name, ok = b.Name(), true
		}
		if !ok {
			return nil, fmt.Errorf("isinstance: a type is text like \"int\", got %s", n.Type())
		}
		if name == "str" {
			name = "string"
		}
		if x.Type() == name {
			return star.True, nil
		}
	}
	return star.False, nil
}

// fmtBuiltin formats one number: fmt(x, ".2f"). The specification is
// [,][.digits][type] with type one of d f e g x %, and without digits and type what str gives.
func fmtBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var x star.Value
	var spec string
	if err := star.UnpackArgs("fmt", args, kwargs, "x", &x, "spec", &spec); err != nil {
		return nil, err
	}
	bad := fmt.Errorf("fmt: %q is not a format; write like \".2f\", \",d\", \"x\", \".1%%\"", spec)
	rest, commas := strings.CutPrefix(spec, ",")
	precision := -1
	if after, ok := strings.CutPrefix(rest, "."); ok {
		n := 0
		for n < len(after) && after[n] >= '0' && after[n] <= '9' {
			n++
		}
		p, err := strconv.Atoi(after[:n])
		if err != nil || p > 100 {
			return nil, bad
		}
		precision, rest = p, after[n:]
	}
	_, isInt := x.(star.Int)
	asStr := rest == "" && precision < 0 && !isInt
	if rest == "" && precision < 0 && isInt {
		rest = "d"
	}
	var out string
	switch rest {
	case "d", "x":
		n, ok := x.(star.Int)
		if !ok || precision >= 0 {
			return nil, fmt.Errorf("fmt: %q wants an int, got %s", spec, x.Type())
		}
		base := 10
		if rest == "x" {
			base = 16
			if commas {
				return nil, fmt.Errorf("fmt: %q: there are no commas in hexadecimal", spec)
			}
		}
		out = n.BigInt().Text(base)
	case "f", "e", "g", "%", "":
		f, ok := star.AsFloat(x)
		if !ok {
			return nil, fmt.Errorf("fmt: %q wants a number, got %s", spec, x.Type())
		}
		verb := byte('f')
		if rest == "e" || rest == "g" {
			verb = rest[0]
		} else if precision < 0 {
			precision = 6
		}
		if rest == "%" {
			f *= 100
		}
		switch {
		case math.IsInf(f, 0) || math.IsNaN(f):
			commas = false
			out = strings.ToLower(strings.TrimPrefix(strconv.FormatFloat(f, 'f', -1, 64), "+"))
		case asStr:
			out = star.Float(f).String()
		default:
			out = strconv.FormatFloat(f, verb, precision, 64)
		}
		if rest == "%" {
			out += "%"
		}
	default:
		return nil, bad
	}
	if commas {
		out = group3(out)
	}
	return star.String(out), nil
}

// group3 puts commas between thousands.
func group3(s string) string {
	sign := ""
	if strings.HasPrefix(s, "-") {
		sign, s = "-", s[1:]
	}
	whole, rest := s, ""
	if i := strings.IndexAny(s, ".e%"); i >= 0 {
		whole, rest = s[:i], s[i:]
	}
	for i := len(whole) - 3; i > 0; i -= 3 {
		whole = whole[:i] + "," + whole[i:]
	}
	return sign + whole + rest
}
