package spelling_test

import (
	"testing"

	"github.com/senpuki/senpuki/internal/spelling"
)

func TestDistance(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"abc", "abc", 0}, {"timeout", "timeuot", 1}, {"retry", "retries", 3},
		{"queue", "quue", 1}, {"tags", "tag", 1}, {"ab", "ba", 1}, {"abcd", "badc", 2},
	} {
		if got := spelling.Distance(c.a, c.b); got != c.want {
			t.Errorf("from %q to %q: %d, want %d", c.a, c.b, got, c.want)
		}
	}
}
