// Commits of a process that lives on: lost, unheard of, or landing after it asked what became of them.

package engine

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/senpuki/senpuki/backend"
)

// unheard is a store that answers one commit with a fault.
type unheard struct {
	backend.Store
	at  int
	how string // the batch is lost, or landed, or it lands late: just before the next

	mu   sync.Mutex // guards all below
	n    int        // batches so far that are turns or new executions
	late *backend.Batch
}

func (s *unheard) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if len(b.Turns)+len(b.Create) == 0 {
		return s.Store.Commit(ctx, b)
	}
	s.mu.Lock()
	s.n++
	hit, late := s.n == s.at, s.late
	s.late = nil
	if hit && s.how == "late" {
		kept := b // the committer uses its room again
		kept.Turns, kept.Create = slices.Clone(b.Turns), slices.Clone(b.Create)
		s.late = &kept
	}
	s.mu.Unlock()
	if late != nil {
		_, _ = s.Store.Commit(ctx, *late)
	}
	if hit && s.how != "landed" {
		return backend.Reply{}, errDead
	}
	reply, err := s.Store.Commit(ctx, b)
	if hit {
		return backend.Reply{}, errDead
	}
	return reply, err
}

const unheardShows = `
add = activity("add")
def main():
    status("begun")
    print("waits")
    n = wait_signal("go")
    progress(0.5)
    print("went", n)
    m = wait_signal("on", timeout = "1m", default = 4)
    sleep("2m")
    print("slept")
    for i in range(2):
        signal("none").drain()
        print(i)
        sleep("1m")
    return add(n, m)
`

func TestAWorkerLivesOnWhateverBecomesOfACommit(t *testing.T) {
	t.Parallel()
	shows := crashes[0]
	shows.name, shows.script, shows.want, shows.lines = "shows", unheardShows, "7", 5
	for _, c := range append(slices.Clone(crashes), shows) {
		for _, how := range []string{"lost", "landed", "late"} {
			for _, o := range []Options{{}, {ReplayAlways: true, ReleaseAfter: 1}} {
				t.Run(fmt.Sprintf("%s %s replay=%v", c.name, how, o.ReplayAlways), func(t *testing.T) {
					t.Parallel()
					for i, reached := 1, true; reached && i < 200; i++ {
						synctest.Test(t, func(t *testing.T) {
							w := newWorld(t)
							store := &unheard{Store: w.store, at: i, how: how}
							e, stop := w.engineOn(store, o)
							w.deploy(e, c.script)
							synctest.Wait()
							first := e.current().session
							if _, err := e.Dispatch(t.Context(), "test", Input{}, c.dispatch); err != nil {
								w.dispatch(e, Input{}, c.dispatch)
							}
							if c.name == "shows" {
								synctest.Wait()
								if err := e.Signal(t.Context(), "x", "go", []byte("3")); err != nil {
									t.Fatal(err)
								}
							}
							want(t, w.finish(e, "x"), c.want)
							sameSession(t, e, first)
							lines, err := e.Logs(t.Context(), "x", LogPosition{})
							if err != nil || len(lines) != c.lines {
								t.Errorf("%d log lines, %v", len(lines), err)
							}
							stop()
							w.check()
							checkHistory(t, e, "x")
							if reached = store.n >= i; t.Failed() {
								t.Logf("commit %d of %d", i, store.n)
							}
						})
					}
				})
			}
		}
	}
}
