// Built-ins that authors miss in the language: sum, round, isinstance.

package starlark

import (
	"fmt"
	"math"
	"math/big"
	"strconv"

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
	if err := star.UnpackArgs("round", args, renamed(kwargs, "n", "ndigits"), "x", &x, "ndigits??", &digits); err != nil {
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
		return nil, fmt.Errorf("round: ndigits is an int between -300 and 300, got %s", repr(digits))
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
