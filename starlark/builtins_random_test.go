// Random numbers that must come again.

package starlark

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestSamplesOfManyAreAsGood(t *testing.T) {
	t.Parallel()
	g := &generator{Rand: rand.New(rand.NewPCG(1, 2))}
	const n = 20_000_000_000
	a, b := g.some(n, 1000), g.some(n, 1000)
	if slices.Equal(a, b) {
		t.Error("two samples are equal")
	}
	slices.Sort(a)
	if len(slices.Compact(a)) != 1000 || a[0] < 0 || a[999] >= n {
		t.Errorf("a sample has equal items, or others: from %d to %d", a[0], a[999])
	}
	all := g.few(1000, 1000)
	slices.Sort(all)
	for i, x := range all {
		if i != x {
			t.Fatalf("item %d of a whole sample is %d", i, x)
		}
	}
}

func TestSamplesOfFewAreThoseOfBefore(t *testing.T) {
	t.Parallel()
	for _, n := range []int{1, 2, 10, 1000} {
		g, h := rand.New(rand.NewPCG(1, 2)), rand.New(rand.NewPCG(1, 2))
		if k := (n + 1) / 2; !slices.Equal((&generator{Rand: g}).some(n, k), h.Perm(n)[:k]) {
			t.Errorf("of %d others are taken than were recorded", n)
		}
		if g.Uint64() != h.Uint64() {
			t.Errorf("of %d more or less is drawn than was recorded", n)
		}
	}
}
