package few_test

import (
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	"github.com/senpuki/senpuki/internal/few"
)

// It is a map, whatever is done to it.
func TestMap(t *testing.T) {
	t.Parallel()
	seed := rand.Uint64()
	r := rand.New(rand.NewPCG(seed, 1))
	var m few.Map[int]
	want := map[string]int{}
	for n := range 10_000 {
		key := strconv.Itoa(r.IntN(4))
		switch r.IntN(3) {
		case 0:
			m.Put(key, n)
			want[key] = n
		default:
			m.Delete(key)
			delete(want, key)
		}
		have := maps.Collect(m.All())
		if !maps.Equal(have, want) || m.Len() != len(want) || !slices.Equal(m.Keys(), slices.Sorted(maps.Keys(want))) {
			t.Fatalf("seed %d, step %d: %v, want %v", seed, n, have, want)
		}
		for k := range 4 {
			key := strconv.Itoa(k)
			v, ok := m.Get(key)
			if w, there := want[key]; v != w || ok != there || m.At(key) != w {
				t.Fatalf("seed %d, step %d: %s is %d %v, want %d %v", seed, n, key, v, ok, w, there)
			}
		}
	}
}
