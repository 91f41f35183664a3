// Built-ins: random numbers, keyed by execution, run and branch.

package starlark

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"

	star "go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
)

// generator is a branch's source of random numbers: ChaCha8 (math/rand/v2)
// keyed by the SHA-256 of execution, run and branch. No journal entry is
// needed: a replay draws the same numbers.
type generator struct {
	*rand.Rand
	of drawn
}

// drawn is what the numbers depend on, beside the branch: the origin, or else the execution and its run.
type drawn struct {
	origin, id string
	run        int
}

// generator is the branch's. A fork draws what its original drew as far as it is a copy, then its own.
func (b *branch) generator() *generator {
	known := b.s.info()
	of := drawn{origin: known.Origin}
	if of.origin == "" {
		of.id, of.run = known.ID, known.Run
	}
	if b.random == nil || b.random.of != of {
		key := sha256.Sum256([]byte(known.origin() + "\x00" + b.path))
		b.random = &generator{rand.New(rand.NewChaCha8(key)), of}
	}
	return b.random
}

// some are k different ints below n, in random order.
func (g *generator) some(n, k int) []int {
	if n <= maxItems { // as it always was: what was recorded draws the same again
		return g.Perm(n)[:k]
	}
	return g.few(n, k)
}

// few is some in the memory of k ints.
func (g *generator) few(n, k int) []int {
	some := make([]int, k)
	moved := make(map[int]int) // a permutation, as far as it is not the identity
	at := func(i int) int {
		if j, ok := moved[i]; ok {
			return j
		}
		return i
	}
	for i := range some {
		j := i + g.IntN(n-i)
		some[i], moved[j] = at(j), at(i)
	}
	return some
}

func uuid4Builtin(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
	b, err := branchOf(thread, "uuid4")
	if err != nil {
		return nil, err
	}
	if err := star.UnpackArgs("uuid4", args, kwargs); err != nil {
		return nil, err
	}
	g := b.generator()
	var u [16]byte
	for i := range u {
		u[i] = byte(g.Uint32())
	}
	u[6], u[8] = u[6]&0x0f|0x40, u[8]&0x3f|0x80 // RFC 9562, version 4
	h := hex.EncodeToString(u[:])
	return star.String(h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]), nil
}

func randomModule() *starlarkstruct.Module {
	m := &starlarkstruct.Module{Name: "random", Members: star.StringDict{}}
	add := func(name string, fn func(*generator, star.Tuple, []star.Tuple) (star.Value, error)) {
		m.Members[name] = method("random."+name, func(thread *star.Thread, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
			b, err := branchOf(thread, "random."+name)
			if err != nil {
				return nil, err
			}
			return fn(b.generator(), args, kwargs)
		})
	}
	add("random", func(g *generator, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		return star.Float(g.Float64()), star.UnpackArgs("random", args, kwargs)
	})
	add("uniform", func(g *generator, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		var x, y star.Value
		if err := star.UnpackArgs("uniform", args, kwargs, "a", &x, "b", &y); err != nil {
			return nil, err
		}
		a, ok1 := star.AsFloat(x)
		b, ok2 := star.AsFloat(y)
		if !ok1 || !ok2 {
			return nil, fmt.Errorf("uniform: wants two numbers, got %s and %s", x.Type(), y.Type())
		}
		return star.Float(a + float64((b-a)*g.Float64())), nil // in two steps on every machine: some fuse them
	})
	add("randint", func(g *generator, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		var a, b int64
		if err := star.UnpackArgs("randint", args, kwargs, "a", &a, "b", &b); err != nil {
			return nil, err
		}
		if a > b || b-a < 0 {
			return nil, fmt.Errorf("randint: no int between %d and %d", a, b)
		}
		return star.MakeInt64(a + int64(g.Uint64N(uint64(b-a)+1))), nil
	})
	add("choice", func(g *generator, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		var seq sequenceArg
		if err := star.UnpackArgs("choice", args, renamed(kwargs, "list", "seq"), "seq", &seq); err != nil {
			return nil, err
		}
		if seq.Len() == 0 {
			return nil, fmt.Errorf("choice: the sequence is empty")
		}
		return seq.Index(g.IntN(seq.Len())), nil
	})
	add("sample", func(g *generator, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		var seq sequenceArg
		var count star.Value
		if err := star.UnpackArgs("sample", args, renamed(kwargs, "list", "seq", "n", "k"), "seq", &seq, "k", &count); err != nil {
			return nil, err
		}
		var k int
		if err := star.AsInt(count, &k); err != nil {
			return nil, fmt.Errorf("sample: k: %w", err)
		}
		if k < 0 || k > seq.Len() {
			return nil, fmt.Errorf("sample: cannot take %d of %d", k, seq.Len())
		}
		if k > maxItems {
			return nil, fmt.Errorf("sample: %d items, more than %d", k, maxItems)
		}
		vs := make([]star.Value, 0, k)
		for _, i := range g.some(seq.Len(), k) {
			vs = append(vs, seq.Index(i))
		}
		return star.NewList(vs), nil
	})
	add("shuffle", func(g *generator, args star.Tuple, kwargs []star.Tuple) (star.Value, error) {
		var list *star.List
		if err := star.UnpackArgs("shuffle", args, kwargs, "list", &list); err != nil {
			return nil, err
		}
		vs := elements(list)
		g.Shuffle(len(vs), func(i, j int) { vs[i], vs[j] = vs[j], vs[i] })
		for i, v := range vs {
			if err := list.SetIndex(i, v); err != nil {
				return nil, err
			}
		}
		return star.None, nil
	})
	m.Members["seed"] = method("random.seed", func(*star.Thread, star.Tuple, []star.Tuple) (star.Value, error) {
		return nil, fmt.Errorf("random.seed does not exist: the numbers are keyed by the execution, so that a replay draws the same")
	})
	return m
}

// sequenceArg is an argument that has a length and items by number.
type sequenceArg struct{ star.Indexable }

// Unpack takes what can be indexed by number.
func (s *sequenceArg) Unpack(v star.Value) error {
	seq, ok := v.(star.Indexable)
	if !ok {
		return fmt.Errorf("wants a list, tuple, range or string, got %s", v.Type())
	}
	s.Indexable = seq
	return nil
}
