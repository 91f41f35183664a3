package engine

import (
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

const upgradeOld = `
add = activity("add")
def main(n):
    print("old", n)
    a = add(n, 1)
    wait_signal("go")
    return [a, "old"]
`

const upgradeNew = `
add = activity("add")
def main(n):
    a = add(n, 1)
    print("new")
    b = wait_signal("go")
    print("done")
    return [a, "new", add(b, 1)]
`

const upgradeOther = `
add = activity("add")
def main(n):
    a = add(n, 2)
    return a
`

// digestOf deploys a script and returns its digest.
func (w *world) digestOf(e *Engine, script string) string {
	w.t.Helper()
	d, err := e.Deploy(w.t.Context(), fstest.MapFS{"test.star": {Data: []byte(script)}}, "test.star")
	if err != nil {
		w.t.Fatal(err)
	}
	return d[0].Digest
}

func TestUpgradeByProof(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}, {ReleaseAfter: time.Millisecond}} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t)
			e, stop := w.engine(o)
			w.digestOf(e, upgradeOld)
			id := w.dispatch(e, JSON([]byte("[1]")), DispatchOptions{})
			time.Sleep(time.Minute)
			other, next := w.digestOf(e, upgradeOther), w.digestOf(e, upgradeNew)
			v, err := e.Replay(t.Context(), id, "")
			if err != nil || !v.Fits {
				t.Errorf("its own code: %+v %v", v, err)
			}
			v, err = e.Upgrade(t.Context(), id, other)
			if err != nil || v.Fits || v.Moved || !strings.HasPrefix(v.Pos, "test.star:4:") || !strings.Contains(v.Asks, "add(1,2)") || !strings.Contains(v.Has, "add(1,1)") {
				t.Errorf("other code: %+v %v", v, err)
			}
			v, err = e.Upgrade(t.Context(), id, next)
			if err != nil || !v.Fits || !v.Moved {
				t.Errorf("new code: %+v %v", v, err)
			}
			if v, err = e.Upgrade(t.Context(), id, next); err != nil || !v.Fits || v.Moved || v.From != v.To {
				t.Errorf("there already: %+v %v", v, err)
			}
			x, err := e.State(t.Context(), id)
			if err != nil || x.Digest != next {
				t.Errorf("digest %s, want %s (%v)", x.Digest, next, err)
			}
			if err := e.Signal(t.Context(), id, "go", []byte("5")); err != nil {
				t.Fatal(err)
			}
			want(t, w.finish(e, id), `[2,"new",6]`)
			lines, err := e.Logs(t.Context(), id, LogPosition{})
			if err != nil || len(lines) != 2 || lines[0].Message != "old 1" || lines[1].Message != "done" {
				t.Errorf("%+v %v", lines, err)
			}
			if v, err = e.Upgrade(t.Context(), id, other); err != nil || v.Moved || !strings.Contains(v.Reason, "has ended") {
				t.Errorf("an ended one: %+v %v", v, err)
			}
			if v, err = e.Replay(t.Context(), id, ""); err != nil || !v.Fits {
				t.Errorf("replay of an ended one: %+v %v", v, err)
			}
			if w.called("add") != 2 {
				t.Errorf("add was called %d times", w.called("add"))
			}
			stop()
			w.check()
		})
	}
}

func TestUpgradeOfWhatNobodyHolds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.digestOf(e, upgradeOld)
		id := w.dispatch(e, JSON([]byte("[1]")), DispatchOptions{})
		pending := w.dispatch(e, JSON([]byte("[7]")), DispatchOptions{Queue: "later"})
		time.Sleep(time.Minute)
		next := w.digestOf(e, upgradeNew)
		stop()
		client, err := New(w.store, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, id := range []string{id, pending} {
			if v, err := client.Upgrade(t.Context(), id, next); err != nil || !v.Moved {
				t.Errorf("%s: %+v %v", id, v, err)
			}
		}
		if sessions, err := w.store.Sessions(t.Context()); err != nil || len(sessions) != 0 {
			t.Errorf("sessions are left: %+v %v", sessions, err)
		}
		w.check()
		e, stop = w.engine(Options{Queues: []string{"default", "later"}})
		for _, id := range []string{id, pending} {
			if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
				t.Fatal(err)
			}
			if r := w.finish(e, id); r.Execution.State != backend.Completed || !strings.Contains(string(r.Value), `"new"`) {
				t.Errorf("%s: %s %+v", id, r.Value, r.Failure)
			}
		}
		stop()
		w.check()
	})
}

// What was claimed and let go before its first turn landed begins on the other code.
func TestUpgradeOfWhatHasNoRows(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client, err := New(w.store, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		w.digestOf(client, upgradeOld)
		id := w.dispatch(client, JSON([]byte("[1]")), DispatchOptions{})
		s, _, err := w.store.Open(t.Context(), backend.Session{})
		if err != nil {
			t.Fatal(err)
		}
		if claimed, err := w.store.Claim(t.Context(), backend.ClaimRequest{Session: s, IDs: []string{id}, Editions: editions, Limit: 1}); err != nil || len(claimed) != 1 {
			t.Fatal(claimed, err)
		}
		if err := w.store.Revoke(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		next := w.digestOf(client, upgradeNew)
		if v, err := client.Upgrade(t.Context(), id, next); err != nil || !v.Moved {
			t.Fatalf("%+v %v", v, err)
		}
		if rows := w.rows(id); len(rows) != 0 {
			t.Errorf("rows %s", rows)
		}
		e, stop := w.engine(Options{})
		if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
			t.Fatal(err)
		}
		want(t, w.finish(e, id), `[2,"new",2]`)
		stop()
		w.check()
	})
}

// Two requests that come at the same time are both answered, in their order.
func TestTwoUpgradesAtOnce(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}} {
		for _, fits := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				o.ReleaseAfter = 5 * time.Minute
				e, stop := w.engine(o)
				w.digestOf(e, upgradeOld)
				id := w.dispatch(e, JSON([]byte("[1]")), DispatchOptions{})
				time.Sleep(time.Minute)
				first, last := w.digestOf(e, upgradeNew), upgradeOther
				if fits {
					last = strings.Replace(upgradeNew, `"new"`, `"newest"`, 2)
				}
				then := w.digestOf(e, last)
				messages := []backend.Message{
					{Execution: id, Kind: backend.Upgrade, Payload: []byte(first)},
					{Execution: id, Kind: backend.Signal, Name: "other", Payload: []byte("1")},
					{Execution: id, Kind: backend.Upgrade, Payload: []byte(then)},
				}
				if _, err := w.store.Commit(t.Context(), backend.Batch{Send: messages}); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				result := `[2,"newest",6]`
				if !fits {
					then, result = first, `[2,"new",6]`
				}
				if x, err := e.State(t.Context(), id); err != nil || x.Digest != then || x.Stuck != nil {
					t.Errorf("digest %s, want %s (%+v, %v)", x.Digest, then, x.Stuck, err)
				}
				if left, err := w.store.Inbox(t.Context(), id); err != nil || len(left) != 0 {
					t.Errorf("%d messages are left (%v)", len(left), err)
				}
				var moves []bool
				h, err := e.History(t.Context(), id)
				if err != nil {
					t.Fatal(err)
				}
				for _, entry := range h.Entries {
					if entry.Kind == entryUpgrade {
						moves = append(moves, entry.Failure == nil)
					}
				}
				if !slices.Equal(moves, []bool{true, fits}) {
					t.Errorf("moved %v", moves)
				}
				time.Sleep(10 * time.Minute)
				if x, err := e.State(t.Context(), id); err != nil || x.Owner != 0 {
					t.Errorf("it is not released: %+v, %v", x, err)
				}
				if err := e.Signal(t.Context(), id, "go", []byte("5")); err != nil {
					t.Fatal(err)
				}
				want(t, w.finish(e, id), result)
				stop()
				w.check()
			})
		}
	}
}

// TestUpgradeAtTheEndOfAScope: what a script has started and not read is awaited where no code runs any more; the proof is cut short there.
func TestUpgradeAtTheEndOfAScope(t *testing.T) {
	t.Parallel()
	for _, o := range []Options{{}, {ReplayAlways: true}} {
		for _, start := range []string{
			"nap.start(7500)", "spawn(nap, 7500)", "spawn(lambda: nap(7500))", "shield(nap.start, 7500)", `workflow(kid, on_parent_close = "wait").start()`,
		} {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				e, stop := w.engine(o)
				script := "nap = activity('nap', retry = retry_policy(max_attempts = 1))\ndef kid():\n    nap(7500)\ndef main():\n    " +
					start + "\n    " + start + "\n    return "
				w.digestOf(e, script+"'old'")
				id := w.dispatch(e, Input{}, DispatchOptions{})
				time.Sleep(2 * time.Second)
				if v, err := e.Upgrade(t.Context(), id, w.digestOf(e, script+"'new'")); err != nil || !v.Moved {
					t.Errorf("%s: %+v %v", start, v, err)
				}
				want(t, w.finish(e, id), `"new"`)
				stop()
				w.check()
			})
		}
	}
}
