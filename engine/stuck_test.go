package engine

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// damaged is a store whose journal rows, programs or executions cannot be read while it is hurt.
type damaged struct {
	backend.Store
	rows, programs, records atomic.Bool
}

func (d *damaged) Journal(ctx context.Context, run backend.RunKey, from int64, row func(backend.Row) error) error {
	return d.Store.Journal(ctx, run, from, func(r backend.Row) error {
		if d.rows.Load() && r.Number == 1 {
			r.Data = r.Data[:len(r.Data)/2]
		}
		return row(r)
	})
}

func (d *damaged) Program(ctx context.Context, digest string) (backend.Program, error) {
	if d.programs.Load() {
		return backend.Program{}, backend.ErrNotFound
	}
	return d.Store.Program(ctx, digest)
}

func (d *damaged) hurt(x *backend.Execution) {
	if d.records.Load() {
		x.Tags = nil
		x.Damaged("tags", errors.New("nonsense"))
	}
}

func (d *damaged) Execution(ctx context.Context, id string) (backend.Execution, error) {
	x, err := d.Store.Execution(ctx, id)
	d.hurt(&x)
	return x, err
}

func (d *damaged) Claim(ctx context.Context, r backend.ClaimRequest) ([]backend.Claimed, error) {
	claimed, err := d.Store.Claim(ctx, r)
	for i := range claimed {
		d.hurt(&claimed[i].Execution)
	}
	return claimed, err
}

// What a stuck execution had been told when its turn did not end is in its journal once, however often it is tried, and shown as what came of the step.
func TestTriesOfWhatIsStuckAddNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{MaxSteps: 1000})
		w.deploy(e, `
def main():
    r = parallel([bind(activity("echo"), "a"), bind(activity("boom", retry = retry_policy(max_attempts = 1)), "Bad")], settle = True)
    x = [i for i in range(1000000)]
    return r
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		time.Sleep(10 * time.Second)
		first := len(w.rows(id))
		time.Sleep(time.Hour)
		x, err := e.State(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if x.Stuck == nil || x.Stuck.Tries < 10 {
			t.Fatalf("stuck: %+v", x.Stuck)
		}
		if n := len(w.rows(id)); n != first {
			t.Errorf("%d rows after %d tries, %d at first", n, x.Stuck.Tries, first)
		}
		h, err := e.History(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		echo, boom := h.Steps[0], h.Steps[1]
		if echo.State != "done" || string(echo.Value) != `"a"` || echo.Attempts[0].Outcome != "done" {
			t.Errorf("%+v", echo)
		}
		if boom.State != "retrying" && boom.State != "failed" || boom.Attempts[0].Outcome != "failed" {
			t.Errorf("%+v", boom)
		}
		stop()
		if w.called("echo") != 1 || w.called("boom") != 1 {
			t.Errorf("echo ran %d times, boom %d", w.called("echo"), w.called("boom"))
		}

		e, stop = w.engine(Options{MaxSteps: 100_000_000})
		if r := w.finish(e, id); r.Failure != nil || w.called("echo") != 1 || w.called("boom") != 1 {
			t.Errorf("%+v", r)
		}
		stop()
		w.check()
	})
}

// TestWhatCannotBeAdvancedIsStuckAndGoesOnAfterTheFix hurts the journal, or the
// source, of a sleeping execution; another one goes on meanwhile.
func TestWhatCannotBeAdvancedIsStuckAndGoesOnAfterTheFix(t *testing.T) {
	t.Parallel()
	const script = `
add = activity("add")
def main():
    n = add(1, 2)
    sleep("1h")
    return add(n, 4)
`
	for _, c := range []struct {
		name, reason string
		hurt         func(*damaged, bool)
		message      bool // one waits, and keeps it in memory
	}{
		{"journal", "row 1: damaged journal row", func(d *damaged, on bool) { d.rows.Store(on) }, false},
		{"source", "is not in the database", func(d *damaged, on bool) { d.programs.Store(on) }, false},
		{"record", "damaged record: column tags: nonsense", func(d *damaged, on bool) { d.records.Store(on) }, false},
		{"record, with a message", "damaged record: column tags: nonsense", func(d *damaged, on bool) { d.records.Store(on) }, true},
		{"journal, with a message", "row 1: damaged journal row", func(d *damaged, on bool) { d.rows.Store(on) }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				store := &damaged{Store: w.store}
				e, stop := w.engineOn(store, Options{})
				w.deploy(e, script)
				id := w.dispatch(e, Input{}, DispatchOptions{})
				time.Sleep(time.Minute) // the bubble's clock: it is released
				stop()
				c.hurt(store, true)
				if c.message {
					if err := e.Signal(t.Context(), id, "hello", nil); err != nil {
						t.Fatal(err)
					}
					if err := e.send(t.Context(), backend.Message{Execution: id, Kind: backend.Upgrade, Payload: []byte("unknown")}); err != nil {
						t.Fatal(err)
					}
				}
				e, stop = w.engineOn(store, Options{})
				time.Sleep(90 * time.Minute)
				x, err := e.State(t.Context(), id)
				if err != nil || x.Stuck == nil || !strings.Contains(x.Stuck.Reason, c.reason) || x.State != backend.Running {
					t.Fatalf("%+v %+v %v", x.State, x.Stuck, err)
				}
				if x.Stuck.Tries < 3 || x.Stuck.Tries > 40 {
					t.Errorf("tried %d times in half an hour", x.Stuck.Tries)
				}
				c.hurt(store, false)
				w.finishWithin(e, id, time.Hour)
				r := w.finish(e, id)
				want(t, r, "7")
				if r.Execution.Stuck != nil {
					t.Errorf("still stuck: %+v", r.Execution.Stuck)
				}
				stop()
				w.check()
			})
		})
	}
}

// What is stuck and waits in memory, for it has messages, leaves its slots to others.
func TestWhatIsStuckHoldsNoSlot(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &damaged{Store: w.store}
		e, stop := w.engineOn(store, Options{MaxConcurrency: 1})
		w.deploy(e, `
add = activity("add")
def main(stuck):
    n = add(1, 2)
    if stuck:
        sleep("1h")
    return add(n, 4)
`)
		id := w.dispatch(e, JSON([]byte("true")), DispatchOptions{})
		time.Sleep(time.Minute)
		stop()
		store.rows.Store(true)
		if err := e.Signal(t.Context(), id, "hello", nil); err != nil {
			t.Fatal(err)
		}
		e, stop = w.engineOn(store, Options{MaxConcurrency: 1})
		time.Sleep(10 * time.Minute)
		if x, err := e.State(t.Context(), id); err != nil || x.Stuck == nil || x.Owner == 0 {
			t.Fatalf("%+v %v", x, err)
		}
		synctest.Wait()
		if n := e.worker.slots.available(); n != 1 {
			t.Errorf("%d slots are free", n)
		}
		other := w.dispatch(e, JSON([]byte("false")), DispatchOptions{})
		w.finishWithin(e, other, time.Second)
		store.rows.Store(false)
		w.finishWithin(e, id, 2*time.Hour)
		want(t, w.finish(e, id), "7")
		synctest.Wait()
		if n := e.worker.slots.available(); n != 1 {
			t.Errorf("%d slots are free at the end", n)
		}
		stop()
		w.check()
	})
}

// TestOtherCodeIsNondeterminism replays a journal on code that asks for something else.
func TestOtherCodeIsNondeterminism(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, other, have, want string }{
		{"another call", `
add = activity("add")
def main():
    n = add(1, 3)
    sleep("1h")
`, "add(1,2)", "test.star:4:12 asks for add(1,3) as step 1"},
		{"fewer calls", `
def main():
    sleep("1h")
`, "add(1,2)", "asks for a timer of 1h0m0s as step 1"},
		{"an end", `
add = activity("add")
def main():
    n = add(1, 2)
`, "a timer of 1h0m0s as step 2", "ends"},
		{"more calls", `
add = activity("add")
def main():
    n = add(1, 2)
    f = spawn(add, 1, 1)
    sleep("1h")
`, "a timer of 1h0m0s as step 2", "asks for add(1,1) as step 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(Options{})
				w.deploy(e, c.other)
				d, err := w.store.Deployments(t.Context(), "test")
				if err != nil {
					t.Fatal(err)
				}
				w.deploy(e, `
add = activity("add")
def main():
    n = add(1, 2)
    sleep("1h")
`)
				id := w.dispatch(e, Input{}, DispatchOptions{})
				time.Sleep(time.Minute)
				// Move the sleeping execution to the other code, as an upgrade without proof would.
				s, _, err := w.store.Open(t.Context(), backend.Session{})
				if err != nil {
					t.Fatal(err)
				}
				claimed, err := w.store.Claim(t.Context(), backend.ClaimRequest{Session: s, IDs: []string{id}, Editions: editions, Limit: 1})
				if err != nil || len(claimed) != 1 {
					t.Fatal(claimed, err)
				}
				_, err = w.store.Commit(t.Context(), backend.Batch{Session: s, Turns: []backend.Turn{{
					Execution: id, Run: claimed[0].Run, Digest: d[0].Digest, Then: backend.Release, Due: time.Now(),
				}}})
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				x, err := e.State(t.Context(), id)
				if err != nil || x.Stuck == nil || !strings.Contains(x.Stuck.Reason, c.have) || !strings.Contains(x.Stuck.Reason, c.want) {
					t.Fatalf("%+v %v", x.Stuck, err)
				}
				stop()
				if err := w.store.Revoke(t.Context(), s); err != nil {
					t.Fatal(err)
				}
				w.check()
			})
		})
	}
}

// TestAnOversizedTurnSpansRows asks for more in one turn than a row holds.
func TestAnOversizedTurnSpansRows(t *testing.T) {
	t.Parallel()
	for _, always := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			r := w.run(Options{ReplayAlways: always}, `
echo = activity("echo")
def main():
    big = "x" * 900000
    return [len(s) for s in parallel.map(echo, [big + str(i) for i in range(12)])][11]
`, Input{}, DispatchOptions{ID: "big"})
			want(t, r, "900002")
			rows := w.rows("big")
			if len(rows[0]) < 4<<20 || len(rows) < 4 {
				t.Errorf("%d rows, the first of %d bytes", len(rows), len(rows[0]))
			}
			for i, row := range rows {
				if !bytes.HasPrefix(row, []byte("[{")) || !bytes.HasSuffix(row, []byte("}]")) {
					t.Errorf("row %d is cut", i)
				}
			}
			w.check()
		})
	}
}

// A source that cannot be read any more is mended by deploying the same files again.
func TestADamagedSourceIsMendedByTheSameFiles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		const script = "def main():\n    sleep(\"1h\")\n    return 7\n"
		e, stop := w.engine(Options{})
		w.deploy(e, script)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		synctest.Wait()
		stop()
		x, err := w.store.Execution(t.Context(), id)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.store.Deploy(t.Context(), []backend.Program{{Digest: x.Digest, Sources: []byte(`{"damaged`)}}, nil); err != nil {
			t.Fatal(err)
		}
		e, stop = w.engine(Options{})
		time.Sleep(2 * time.Hour)
		if x, err := e.State(t.Context(), id); err != nil || x.Stuck == nil || !strings.Contains(x.Stuck.Reason, "damaged") || !strings.Contains(x.Stuck.Reason, "deploy the same files again") {
			t.Fatalf("%+v %v", x.Stuck, err)
		}
		w.deploy(e, script)
		want(t, w.finish(e, id), "7")
		stop()
		w.check()
	})
}
