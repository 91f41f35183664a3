// Forks: what they share with their originals, and what is their own.

package engine

import (
	"encoding/json"
	"testing"
	"testing/synctest"

	"github.com/senpuki/senpuki/activities"
)

func TestAForkDrawsItsOwnRandomNumbers(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			w.register("once", func(ok bool) error {
				if w.count("once"); w.called("once") == 1 {
					return activities.Fail("Broken", "not now")
				}
				return nil
			}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
			e, stop := w.engine(Options{ReplayAlways: always})
			w.deploy(e, `
echo = activity("echo")
once = activity("once")
def leg(n):
    return echo(uuid4())
def main():
    before = [uuid4(), random.random()]
    echo(before)
    a = echo(uuid4())
    legs = parallel.map(leg, [1, 2])
    once(True)
    return before + [a] + legs + [uuid4()]
`)
			drawn := func(id string) (list []any) {
				r := w.finish(e, id)
				if err := json.Unmarshal(r.Value, &list); err != nil || len(list) != 6 {
					t.Fatalf("%s: %s, %v, %v", id, r.Value, r.Failure, err)
				}
				if v, err := e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
					t.Errorf("replay of %s: %+v, %v", id, v, err)
				}
				return list
			}
			fork := func(id, from, name string) []any {
				if _, err := e.Fork(t.Context(), id, RerunOptions{From: from, ID: name}); err != nil {
					t.Fatal(err)
				}
				return drawn(name)
			}
			id := w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
			w.finish(e, id)
			if err := e.Retry(t.Context(), id, RerunOptions{}); err != nil {
				t.Fatal(err)
			}
			x := drawn(id)
			// The copy ends before the outcome of the step: what was drawn to ask for it is shared.
			shares := func(name string, of, got []any, shared int) {
				for i := range got {
					if same := got[i] == of[i]; same != (i < shared) {
						t.Errorf("%s: number %d is %v, that of the original %v", name, i, got[i], of[i])
					}
				}
			}
			y, z := fork("x", "1", "y"), fork("x", "2", "z")
			shares("y", x, y, 2)
			shares("z", x, z, 3)
			shares("fork of y", y, fork("y", "3.1.1", "of-y"), 5) // where it draws its own
			shares("fork of z", z, fork("z", "1", "of-z"), 2)     // where it is a copy
			stop()
			w.check()
		})
	}
}
