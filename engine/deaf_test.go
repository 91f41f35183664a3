// Executions that are stuck and have messages.

package engine

import (
	"context"
	"strings"
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
				if err := e.Signal(t.Context(), "x", "go", nil); err != nil { // row 1
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				if err := e.End(t.Context(), "ended", "enough"); err != nil { // row 2
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

// An execution that is stuck and has messages heeds what needs no script while it waits for its next try.
func TestWhatIsStuckIsNotDeaf(t *testing.T) {
	t.Parallel()
	repaired := strings.Replace(stuckOnSignal, "range(1000000)", "range(1)", 1)
	for name, c := range map[string]struct {
		do   func(t *testing.T, w *world, e *Engine, id string, stop func())
		want backend.State
	}{
		"cancel --now": {func(t *testing.T, _ *world, e *Engine, id string, _ func()) {
			if err := e.End(t.Context(), id, "enough"); err != nil {
				t.Error(err)
			}
		}, backend.Cancelled},
		"an upgrade": {func(t *testing.T, w *world, e *Engine, id string, stop func()) {
			v, err := e.Upgrade(t.Context(), id, w.digestOf(e, repaired))
			if err != nil || !v.Moved {
				t.Errorf("%+v, %v", v, err)
			}
		}, backend.Completed},
		"an upgrade that does not fit": {func(t *testing.T, w *world, e *Engine, id string, stop func()) {
			digest := w.digestOf(e, "def main():\n    activity(\"add\")(1, 2)\n")
			if err := e.send(t.Context(), backend.Message{Execution: id, Kind: backend.Upgrade, Payload: []byte(digest)}); err != nil {
				t.Error(err)
			}
		}, backend.Running},
		"the end of its worker": {func(t *testing.T, w *world, e *Engine, id string, stop func()) {
			begun := time.Now()
			stop()
			if took := time.Since(begun); took > time.Second {
				t.Errorf("stopping took %v", took)
			}
		}, backend.Running},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{MaxSteps: 100_000})
				w.deploy(e, stuckOnSignal)
				id := w.dispatch(e, Input{}, DispatchOptions{})
				synctest.Wait()
				for _, payload := range []string{`"A"`, `"B"`, `"C"`} {
					if err := e.Signal(t.Context(), id, "s", []byte(payload)); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(10 * time.Minute) // the next try is minutes away
				before, err := e.State(t.Context(), id)
				if err != nil || before.Stuck == nil || before.Owner == 0 {
					t.Fatalf("%+v, %v", before, err)
				}
				c.do(t, w, e, id, stop)
				time.Sleep(3 * time.Second)
				x, err := e.State(t.Context(), id)
				if err != nil || x.State != c.want {
					t.Errorf("%s %+v, %v", x.State, x.Stuck, err)
				}
				if x.State == backend.Running && (x.Stuck == nil || !x.Stuck.Since.Equal(before.Stuck.Since)) {
					t.Errorf("stuck %+v, was %+v", x.Stuck, before.Stuck)
				}
				if x.State == backend.Completed && string(x.Result) != `["A","B","C"]` {
					t.Errorf("%s", x.Result)
				}
				stop()
				w.check()
			})
		})
	}
}

// An upgrade does not help one whose journal is damaged, and is no reason to try it over and over.
func TestAnUpgradeOfWhatIsDamagedIsTriedOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
add = activity("add")
def main():
    n = add(add(1, 2), 3)
    sleep("100h")
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(time.Minute) // it is released
		stop()
		for _, digest := range []string{"one", "another"} {
			if err := e.send(t.Context(), backend.Message{Execution: id, Kind: backend.Upgrade, Payload: []byte(digest)}); err != nil {
				t.Fatal(err)
			}
		}
		e, stop = w.engineOn(holed{w.store}, Options{})
		time.Sleep(30 * time.Minute)
		x, err := e.State(t.Context(), id)
		if err != nil || x.Stuck == nil || x.Stuck.Tries < 3 || x.Stuck.Tries > 20 {
			t.Errorf("%+v, %v", x.Stuck, err)
		}
		stop()
		w.check()
	})
}
