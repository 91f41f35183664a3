// Executions that are stuck and have messages.

package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

const stuckOnSignal = `
def main():
    got = []
    for i in range(3):
        got.append(wait_signal("s"))
        if got[0] == "A":
            for n in range(1000000):
                pass
    return got
`

// What a turn took that could not land is there when the script is tried again, and before what came later.
func TestAMessageOfATurnThatFailsIsDeliveredAgain(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(Options{MaxSteps: 100_000, ReplayAlways: always})
			w.deploy(e, stuckOnSignal)
			id := w.dispatch(e, Input{}, DispatchOptions{})
			synctest.Wait()
			for _, payload := range []string{`"A"`, `"B"`, `"C"`} {
				if err := e.Signal(t.Context(), id, "s", []byte(payload)); err != nil {
					t.Fatal(err)
				}
				time.Sleep(20 * time.Second)
				if x, err := e.State(t.Context(), id); err != nil || x.Stuck == nil {
					t.Errorf("after %s it is %s, stuck %+v, %v", payload, x.State, x.Stuck, err)
				}
			}
			e.options.MaxSteps = 100_000_000
			want(t, w.finish(e, id), `["A","B","C"]`)
			stop()
			w.check()
		})
	}
}

// holed is a store whose journals have lost row 1.
type holed struct{ backend.Store }

func (h holed) Journal(ctx context.Context, run backend.RunKey, from int64, row func(backend.Row) error) error {
	return h.Store.Journal(ctx, run, from, func(r backend.Row) error {
		if r.Number == 1 {
			return nil
		}
		return row(r)
	})
}

// An execution that nobody holds is ended with its children, also when its journal is damaged: then with those that
// are known of.
func TestEndingWhatIsNotInMemory(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		store func(backend.Store) backend.Store
		late  backend.State // of the child that the hole hides
	}{
		{"sound", func(s backend.Store) backend.Store { return s }, backend.Cancelled},
		{"a row is missing", func(s backend.Store) backend.Store { return holed{s} }, backend.Running},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{})
				w.deploy(e, `
def child():
    wait_signal("never")
def main():
    workflow(child, id = "early").start()
    workflow(child, id = "left", on_parent_close = "abandon").start()
    brief = workflow(child, id = "ended").start()
    wait_signal("go")
    workflow(child, id = "late").start()
    sleep("100h")
`)
				w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
				time.Sleep(time.Second)
				if err := e.End(t.Context(), "ended", "enough"); err != nil {
					t.Fatal(err)
				}
				if err := e.Signal(t.Context(), "x", "go", nil); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute) // it is released
				stop()
				e, stop = w.engineOn(c.store(w.store), Options{})
				if err := e.End(t.Context(), "x", "enough"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				for id, state := range map[string]backend.State{
					"x": backend.Cancelled, "early": backend.Cancelled, "left": backend.Running, "ended": backend.Cancelled, "late": c.late,
				} {
					if x, err := e.State(t.Context(), id); err != nil || x.State != state {
						t.Errorf("%s is %s, want %s; %v", id, x.State, state, err)
					}
				}
				stop()
				w.check()
			})
		})
	}
}
