package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// counting counts what is written.
type counting struct {
	backend.Store
	commits, rows, other atomic.Int64
}

func (c *counting) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	c.commits.Add(1)
	for _, t := range b.Turns {
		c.rows.Add(int64(len(t.Rows)))
		c.other.Add(int64(len(t.Logs) + len(t.Taken)))
		if t.Published != nil || t.Then == backend.Release {
			c.other.Add(1)
		}
	}
	return c.Store.Commit(ctx, b)
}

func TestAThousandStepsWriteOneRowEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &counting{Store: w.store}
		e, stop := w.engineOn(store, Options{})
		w.deploy(e, `
add = activity("add")
def main():
    n = 0
    for i in range(1000):
        n = add(n, 1)
    return n
`)
		want(t, w.finish(e, w.dispatch(e, Input{}, DispatchOptions{})), "1000")
		stop()
		if n := store.rows.Load(); n > 1001 {
			t.Errorf("%d journal rows", n)
		}
		if n := store.commits.Load(); n > 1003 {
			t.Errorf("%d commits", n)
		}
		if n := store.other.Load(); n != 0 {
			t.Errorf("%d other rows", n)
		}
		w.check()
	})
}

// rows reads the journal of an execution.
func (w *world) rows(id string) [][]byte {
	w.t.Helper()
	x, err := w.store.Execution(context.Background(), id)
	if err != nil {
		w.t.Fatal(err)
	}
	var rows [][]byte
	err = w.store.Journal(context.Background(), x.Run, 0, func(r backend.Row) error {
		rows = append(rows, bytes.Clone(r.Data))
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return rows
}

// TestReplayGivesEqualJournals runs scripts hot and with replay at every wait,
// under a virtual clock and outcomes in a seeded order: the journals are the same to the byte.
func TestReplayGivesEqualJournals(t *testing.T) {
	t.Parallel()
	const script = `
nap = activity("nap")
boom = activity("boom", retry = retry_policy(max_attempts = 2, jitter = 0))
def leg(n):
    x = nap(n)
    print("leg", n, uuid4(), random.randint(1, 1000000))
    sleep("%dms" % (n * 7))
    return [x, time.now().unix_nano, attempt(boom, "K%d" % n).error.kind]
def main(ns):
    f = spawn(nap, 977)
    return [parallel.map(leg, ns, limit = 3), f.result()]
`
	for seed := range 5 {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			t.Parallel()
			var journals [2][][]byte
			for i, always := range []bool{false, true} {
				synctest.Test(t, func(t *testing.T) {
					w := newWorld(t)
					var ns []int
					for k := range 6 {
						ns = append(ns, 11+(k*37+seed*101)%89*13+k)
					}
					w.run(Options{ReplayAlways: always}, script, Input{Args: []any{ns}}, DispatchOptions{ID: "x"})
					journals[i] = w.rows("x")
					w.check()
				})
			}
			if len(journals[0]) != len(journals[1]) {
				t.Fatalf("%d rows hot, %d replayed", len(journals[0]), len(journals[1]))
			}
			for i := range journals[0] {
				if !bytes.Equal(journals[0][i], journals[1][i]) {
					t.Fatalf("row %d:\nhot      %s\nreplayed %s", i, journals[0][i], journals[1][i])
				}
			}
		})
	}
}

// gate is a store whose commits wait while it is shut.
type gate struct {
	backend.Store
	shut atomic.Bool
	open chan struct{}
}

func (g *gate) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if g.shut.Load() {
		select {
		case <-g.open:
		case <-ctx.Done():
			return backend.Reply{}, ctx.Err()
		}
	}
	return g.Store.Commit(ctx, b)
}

func (g *gate) Beat(ctx context.Context, id backend.SessionID, info []byte) (backend.Beaten, error) {
	if g.shut.Load() { // stopped: it does not even beat
		select {
		case <-g.open:
		case <-ctx.Done():
			return backend.Beaten{}, ctx.Err()
		}
	}
	return g.Store.Beat(ctx, id, info)
}

func TestAZombieLandsNothing(t *testing.T) {
	t.Parallel()
	for _, quiet := range []bool{false, true} { // workers that are woken look seldom by themselves
		synctest.Test(t, func(t *testing.T) {
			var o Options
			if quiet {
				o.Notifier = &wire{}
			}
			w := newWorld(t)
			g := &gate{Store: w.store, open: make(chan struct{})}
			old, stopOld := w.engineOn(g, o)
			w.deploy(old, `
nap = activity("nap", retry = retry_policy(initial_delay = "1s"))
def main():
    return [nap(1000), nap(2000)]
`)
			id := w.dispatch(old, Input{}, DispatchOptions{})
			synctest.Wait()
			g.shut.Store(true)
			e, stop := w.engine(o)
			want(t, w.finish(e, id), "[1000,2000]")
			before := w.rows(id)
			close(g.open)
			time.Sleep(time.Minute)
			if after := w.rows(id); len(after) != len(before) {
				t.Errorf("the zombie wrote: %d rows, then %d", len(before), len(after))
			}
			stopOld()
			stop()
			w.check()
		})
	}
}

func TestAPoisonActivityEndsAsCrashLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		var e *Engine
		began := make(chan struct{}, 1)
		w.register("poison", func(ctx context.Context) error {
			began <- struct{}{}
			<-ctx.Done()
			return ctx.Err()
		})
		const script = `
poison = activity("poison", max_crashes = 2, retry = retry_policy(max_attempts = 1))
add = activity("add")
def main():
    f = spawn(poison)
    n = add(1, 2)
    e = f.attempt().error
    return [n, e.kind, e.message]
`
		for range 3 {
			var stop func()
			e, stop = w.engine(Options{})
			w.deploy(e, script)
			w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
			<-began
			e.Kill()
			stop()
		}
		e, stop := w.engine(Options{})
		want(t, w.finish(e, "x"), `[3,"CrashLoop","the process died under 3 attempts of poison"]`)
		stop()
		if n := w.called("add"); n > 2 {
			t.Errorf("the neighbour ran %d times", n)
		}
		w.check()
	})
}

func TestManyExecutionsShareCommits(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{MaxConcurrency: 8})
		w.deploy(e, `
nap = activity("nap")
def main(n):
    return [nap(5 + n % 3) for _ in range(4)][0] + n
`)
		for i := range 50 {
			w.dispatch(e, Input{Args: []any{i}}, DispatchOptions{ID: fmt.Sprint("x", i)})
		}
		for i := range 50 {
			want(t, w.finish(e, fmt.Sprint("x", i)), fmt.Sprint(5+i%3+i))
		}
		stop()
		w.check()
	})
}

// full is a store whose disk is full while it is said to be.
type full struct {
	backend.Store
	on atomic.Bool
}

func (f *full) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if f.on.Load() {
		return backend.Reply{}, backend.ErrFull
	}
	return f.Store.Commit(ctx, b)
}

// readOnly is a store that can be read and not written while on.
type readOnly struct {
	backend.Store
	on *atomic.Bool
}

func (r readOnly) refuse() error {
	if r.on.Load() {
		return backend.ErrFull
	}
	return nil
}

func (r readOnly) Commit(ctx context.Context, b backend.Batch) (backend.Reply, error) {
	if err := r.refuse(); err != nil {
		return backend.Reply{}, err
	}
	return r.Store.Commit(ctx, b)
}

func (r readOnly) Beat(ctx context.Context, id backend.SessionID, info []byte) (backend.Beaten, error) {
	if err := r.refuse(); err != nil {
		return backend.Beaten{}, err
	}
	return r.Store.Beat(ctx, id, info)
}

func (r readOnly) Revoke(ctx context.Context, id backend.SessionID) error {
	if err := r.refuse(); err != nil {
		return err
	}
	return r.Store.Revoke(ctx, id)
}

// While nobody can write, nobody can be heard: that is no reason to take over what is another's.
func TestNobodyIsRevokedForADatabaseThatTakesNoWrites(t *testing.T) {
	t.Parallel()
	for _, pause := range []time.Duration{9 * time.Second, 15 * time.Second, 5 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			var on atomic.Bool
			var log strings.Builder
			options := Options{MaxConcurrency: 1, Logger: slog.New(slog.NewTextHandler(&log, nil))}
			e, stop := w.engineOn(readOnly{w.store, &on}, options)
			w.deploy(e, `
nap = activity("nap", max_crashes = 0)
add = activity("add")
def main(ms):
    for i in range(3):
        add(i, 1)
        sleep(1)
    return nap(ms)
`)
			first := w.dispatch(e, Input{Args: []any{400_000}}, DispatchOptions{})
			synctest.Wait()
			other, stopOther := w.engineOn(readOnly{w.store, &on}, options)
			second := w.dispatch(other, Input{Args: []any{400_001}}, DispatchOptions{})
			time.Sleep(4500 * time.Millisecond) // both nap
			on.Store(true)
			time.Sleep(pause)
			if e.Health().Fault == nil || other.Health().Fault == nil {
				t.Errorf("health after %v: %v, %v", pause, e.Health().Fault, other.Health().Fault)
			}
			on.Store(false)
			time.Sleep(time.Minute)
			if e.Health().Fault != nil || other.Health().Fault != nil {
				t.Errorf("health a minute later: %v, %v", e.Health().Fault, other.Health().Fault)
			}
			want(t, w.finish(e, first), "400000")
			want(t, w.finish(other, second), "400001")
			stop()
			stopOther()
			w.check()
			for _, words := range []string{"the database does not answer", "the database answers again"} {
				if n := strings.Count(log.String(), words); n != 2 {
					t.Errorf("%q was logged %d times, want once by each worker", words, n)
				}
			}
			if strings.Contains(log.String(), "silent") || strings.Contains(log.String(), "lost its session") {
				t.Errorf("somebody was revoked:\n%s", &log)
			}
		})
	}
}

func TestAFullDiskLosesNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		store := &full{Store: w.store}
		e, stop := w.engineOn(store, Options{})
		w.deploy(e, `
nap = activity("nap")
def main():
    return [nap(1000), nap(2000)]
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		synctest.Wait()
		store.on.Store(true)
		time.Sleep(10 * time.Minute)
		if _, err := e.Dispatch(t.Context(), "test", Input{}, DispatchOptions{}); !errors.Is(err, backend.ErrFull) {
			t.Errorf("dispatch on a full disk: %v", err)
		}
		if x, err := e.State(t.Context(), id); err != nil || x.State != backend.Running {
			t.Errorf("reading on a full disk: %v %v", x.State, err)
		}
		for range 100 { // that reads work is no sign of better times
			if h := e.Health(); !errors.Is(h.Fault, backend.ErrFull) {
				t.Fatalf("the fault is %v", h.Fault)
			}
			time.Sleep(137 * time.Millisecond)
		}
		store.on.Store(false)
		want(t, w.finish(e, id), "[1000,2000]")
		if h := e.Health(); h.Fault != nil {
			t.Errorf("the fault is still %v", h.Fault)
		}
		stop()
		w.check()
	})
}
