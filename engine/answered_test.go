package engine

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
)

// forgetful is a store that tells of journals, but of nothing else that an execution is taken up with while on.
type forgetful struct {
	backend.Store
	on *atomic.Bool
}

func (f forgetful) fault() error {
	if f.on.Load() {
		return fmt.Errorf("%w: as asked", backend.ErrTransient)
	}
	return nil
}

func (f forgetful) Execution(ctx context.Context, id string) (backend.Execution, error) {
	if err := f.fault(); err != nil {
		return backend.Execution{}, err
	}
	return f.Store.Execution(ctx, id)
}

func (f forgetful) Inbox(ctx context.Context, id string) ([]backend.Message, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.Store.Inbox(ctx, id)
}

func (f forgetful) Logs(ctx context.Context, run backend.RunKey, from int64, limit int) ([]backend.LogLine, error) {
	if err := f.fault(); err != nil {
		return nil, err
	}
	return f.Store.Logs(ctx, run, from, limit)
}

// An execution that is taken up while the database does not answer is not stuck for it: it goes on when it does.
func TestWhatIsTakenUpWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	const kid = `
def kid():
    return activity("well")()
def main():
    return workflow(kid, id = "kid")()
`
	for name, k := range map[string]struct {
		script, want string
		before       func(t *testing.T, w *world, e *Engine)
	}{
		"a child that is begun again": {kid, "7", func(_ *testing.T, w *world, e *Engine) { w.finish(e, "x") }},
		"code that was replaced": {"def main():\n    print(\"a\")\n    sleep(\"1m\")\n    return 1\n", "2", func(t *testing.T, w *world, e *Engine) {
			w.deploy(e, "def main():\n    print(\"a\")\n    sleep(\"1m\")\n    return 2\n")
			d, err := w.store.Deployments(t.Context(), "test")
			if err != nil {
				t.Fatal(err)
			}
			if v, err := e.Upgrade(t.Context(), "x", d[0].Digest); err != nil || !v.Moved {
				t.Fatalf("%+v %v", v, err)
			}
		}},
		"a run that has only begun": {"def main(n = 0):\n    print(n)\n    if time.now().second >= 30:\n        return 3\n    continue_as_new(n + 1)\n", "3", func(*testing.T, *world, *Engine) {}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				well := new(atomic.Bool)
				w.register("well", func() (int, error) {
					if !well.Load() {
						return 0, activities.Fail("Ill", "as asked")
					}
					return 7, nil
				}, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
				e, stop := w.engineOn(&slowCommits{Store: w.store}, Options{})
				w.deploy(e, k.script)
				w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
				time.Sleep(100 * time.Millisecond)
				k.before(t, w, e)
				stop()
				well.Store(true)
				if x, err := w.store.Execution(t.Context(), "x"); err != nil || x.State.Terminal() {
					if err := e.Retry(t.Context(), "x", RerunOptions{}); err != nil {
						t.Fatal(err)
					}
				}
				store := forgetful{&slowCommits{Store: w.store}, new(atomic.Bool)}
				store.on.Store(true)
				e, stop = w.engineOn(store, Options{})
				time.Sleep(90 * time.Second)
				if x, err := w.store.Execution(t.Context(), "x"); err != nil || x.Stuck != nil {
					t.Errorf("%+v %v", x.Stuck, err)
				}
				store.on.Store(false)
				want(t, w.finish(e, "x"), k.want)
				stop()
				w.check()
			})
		})
	}
}
