// Built-in: struct.

package starlark

import (
	"fmt"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// structure is the library's struct, which shows itself and what is in it without an end when it is in itself.
type structure struct{ *starlarkstruct.Struct }

func structBuiltin(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	if len(args) > 0 {
		return nil, fmt.Errorf("struct() takes no positional arguments, got %d", len(args))
	}
	return structOf(kwargs), nil
}

// structOf is a struct of these fields.
func structOf(fields []star.Tuple) structure {
	return structure{starlarkstruct.FromKeywords(starlarkstruct.Default, fields)}
}

// structNamed is one that shows itself under a name of its own.
func structNamed(name star.Value, fields star.StringDict) structure {
	return structure{starlarkstruct.FromStringDict(name, fields)}
}

func (s structure) String() string { return repr(s) }

// Binary is the library's: struct + struct.
func (s structure) Binary(op syntax.Token, y star.Value, side star.Side) (star.Value, error) {
	other, ok := y.(structure)
	if !ok {
		return nil, nil
	}
	v, err := s.Struct.Binary(op, other.Struct, side)
	if sum, ok := v.(*starlarkstruct.Struct); ok {
		return structure{sum}, err
	}
	return v, err
}

// CompareSameType is the library's: structs of equal fields are equal.
func (s structure) CompareSameType(op syntax.Token, y star.Value, depth int) (bool, error) {
	return s.Struct.CompareSameType(op, y.(structure).Struct, depth)
}

var (
	_ star.HasAttrs   = structure{}
	_ star.HasBinary  = structure{}
	_ star.Comparable = structure{}
)
