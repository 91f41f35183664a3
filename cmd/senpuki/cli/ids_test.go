package cli

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/senpuki/senpuki/backend"
)

// One of several that fails keeps no other from its turn, but a database that is away, or an interrupt, does: each would wait for it.
func TestEach(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		fails error // at b
		stops bool  // the context ends there
		done  string
		left  string
	}{
		{nil, false, "a b c d", ""},
		{backend.ErrNotFound, false, "a b c d", ""},
		{backend.ErrTransient, false, "a b", "c d"},
		{context.Canceled, true, "a b", "c d"},
	} {
		ctx, stop := context.WithCancel(t.Context())
		var done []string
		err := each(ctx, strings.Fields("a b c d"), func(id string) error {
			if done = append(done, id); id != "b" {
				return nil
			}
			if c.stops {
				stop()
			}
			return c.fails
		})
		stop()
		if !errors.Is(err, c.fails) || !slices.Equal(done, strings.Fields(c.done)) ||
			c.left != "" && !strings.HasSuffix(err.Error(), "\nnothing was done with "+c.left) || c.left == "" && err != nil && strings.Contains(err.Error(), "nothing") {
			t.Errorf("%v: done %s, then %v", c.fails, done, err)
		}
	}
}
