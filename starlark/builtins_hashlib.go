// Built-ins: the hashlib module.

package starlark

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"hash"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"go.starlark.net/syntax"
)

// hashes are the functions of the module.
var hashes = map[string]func() hash.Hash{"md5": md5.New, "sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New}

func hashlibModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "hashlib", Members: star.StringDict{}}
	for name, empty := range hashes {
		m.Members[name] = method("hashlib."+name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			var data dataArg
			if err := star.UnpackArgs("hashlib."+name, args, renamed(kwargs, "x", "data"), "data?", &data); err != nil {
				return nil, err
			}
			return newDigest(thread, name, empty(), string(data))
		})
	}
	return m
}

// digest is a hash of the data so far. It never changes: update returns another one,
// because a hash of a file is shared by every execution.
type digest struct {
	name string
	h    hash.Hash // nobody writes to it any more
}

// newDigest adds data to h, which nobody else has.
func newDigest(thread *star.Thread, name string, h hash.Hash, data string) (star.Value, error) {
	countBytes(thread, len(data))
	if _, err := h.Write([]byte(data)); err != nil {
		return nil, fmt.Errorf("hashlib.%s: %w", name, err)
	}
	return &digest{name, h}, nil
}

func (d *digest) sum() []byte           { return d.h.Sum(nil) }
func (d *digest) hex() string           { return hex.EncodeToString(d.sum()) }
func (d *digest) String() string        { return "<hashlib." + d.name + " " + d.hex() + ">" }
func (d *digest) Type() string          { return "hashlib.hash" }
func (d *digest) Freeze()               {}
func (d *digest) Truth() star.Bool      { return true }
func (d *digest) Hash() (uint32, error) { return hashText(d.hex()), nil }

// CompareSameType finds digests of equal data equal.
func (d *digest) CompareSameType(op syntax.Token, other star.Value, _ int) (bool, error) {
	o := other.(*digest)
	same := d.name == o.name && d.hex() == o.hex()
	switch op {
	case syntax.EQL:
		return same, nil
	case syntax.NEQ:
		return !same, nil
	}
	return false, fmt.Errorf("hashes have no order; compare their hexdigest()")
}

// AttrNames lists the attributes.
func (d *digest) AttrNames() []string {
	return []string{"block_size", "digest", "digest_size", "hexdigest", "name", "update"}
}

// Attr returns an attribute.
func (d *digest) Attr(name string) (star.Value, error) {
	switch name {
	case "name":
		return star.String(d.name), nil
	case "digest_size":
		return star.MakeInt(d.h.Size()), nil
	case "block_size":
		return star.MakeInt(d.h.BlockSize()), nil
	case "digest":
		return method(name, func(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			return star.Bytes(d.sum()), star.UnpackArgs(name, args, kwargs)
		}), nil
	case "hexdigest":
		return method(name, func(_ *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			return star.String(d.hex()), star.UnpackArgs(name, args, kwargs)
		}), nil
	case "update":
		return method(name, d.update), nil
	}
	return nil, nil
}

// update returns the hash of the data so far and more.
func (d *digest) update(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	var data dataArg
	if err := star.UnpackArgs("update", args, kwargs, "data", &data); err != nil {
		return nil, err
	}
	c, ok := d.h.(hash.Cloner) // as all of the standard library are
	if !ok {
		return nil, fmt.Errorf("update: a %s cannot be continued", d.name)
	}
	clone, err := c.Clone()
	if err != nil {
		return nil, fmt.Errorf("update: %w", err)
	}
	return newDigest(thread, d.name, clone, string(data))
}

// droppedHashes warns of a statement h.update(data): in Python it changes h, here it does nothing.
func droppedHashes(f *syntax.File) (warnings Problems) {
	kept := make(map[any]bool) // the bindings of variables
	syntax.Walk(f, func(n syntax.Node) bool {
		switch n := n.(type) {
		case *syntax.AssignStmt:
			if id, ok := n.LHS.(*syntax.Ident); ok && makesHash(n.RHS) {
				kept[id.Binding] = true
			}
		case *syntax.ExprStmt:
			if x, ok := receiverOf(n.X, "update"); ok && kept[x.Binding] {
				p := problemAt(x.NamePos, "the hash that %s.update returns is not used: write %s = %s.update(data)", x.Name, x.Name, x.Name)
				p.Severity = SeverityWarning
				warnings = append(warnings, p)
			}
		}
		return true
	})
	return warnings
}

// makesHash tells whether an expression is hashlib.NAME(...).
func makesHash(e syntax.Expr) bool {
	for name := range hashes {
		if x, ok := receiverOf(e, name); ok && x.Name == "hashlib" && predeclaredIdent(x) {
			return true
		}
	}
	return false
}

// receiverOf is x in x.name(...).
func receiverOf(e syntax.Expr, name string) (*syntax.Ident, bool) {
	call, ok := e.(*syntax.CallExpr)
	if !ok {
		return nil, false
	}
	dot, ok := call.Fn.(*syntax.DotExpr)
	if !ok || dot.Name.Name != name {
		return nil, false
	}
	x, ok := dot.X.(*syntax.Ident)
	return x, ok
}

var (
	_ star.HasAttrs   = (*digest)(nil)
	_ star.Comparable = (*digest)(nil)
)
