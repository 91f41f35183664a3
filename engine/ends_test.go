// Ends of executions that others watch, and who is told of them.

package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// before is the wire as the release before sees it: it says and reads nothing of who owns what is named, nor of who waits for ends or was told of them.
type before struct{ *wire }

func (n before) Notify(ctx context.Context, h backend.Hint) error {
	if h.Owned, h.Named, h.Awaits, h.Asks = false, false, false, false; len(h.Ended) > 0 {
		h.Executions = nil
	}
	return n.wire.Notify(ctx, h)
}

func (n before) Listen(ctx context.Context, heard func(backend.Hint)) error {
	return n.wire.Listen(ctx, func(h backend.Hint) {
		h.Owned, h.Named, h.Awaits, h.Asks = false, false, false, false
		heard(h)
	})
}

const watchScript = `
def target():
    return wait_signal("go")
def main():
    wait_signal("go")
    return execution("target").result()
`

// A worker of the release before does not say that it waits for ends, one that has begun since the script was let go does not know
// that anybody does, and what the release before says of ends does not name whom it concerns.
func TestEndsAreToldToWhoWatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name         string
		older, ender bool // the worker that watches is of the release before; that which ends what is watched
		another      bool // another worker of this release begins when the script was let go
		release      time.Duration
	}{
		{"held", false, false, false, time.Hour},
		{"held by the release before", true, false, false, time.Hour},
		{"let go by the release before", true, false, false, time.Second},
		{"let go, and the worker has gone", false, false, true, time.Second},
		{"held, ended by the release before", false, true, false, time.Hour},
		{"let go by the release before, that has gone, and ended by it", true, true, true, time.Second},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				n := &wire{}
				o := Options{Notifier: n, PollInterval: time.Hour, ReleaseAfter: c.release}
				near, far := o, o
				if far.Queues = []string{"far"}; c.older {
					far.Notifier = before{n}
				}
				if c.ender {
					near.Notifier = before{n}
				}
				e, stop := w.engine(near)
				if c.ender {
					e.wakeups.expectAwaited(24 * time.Hour) // it tells of all ends
				}
				_, stopFar := w.engine(far)
				w.deploy(e, watchScript)
				w.dispatch(e, Input{}, DispatchOptions{ID: "target", Function: "target"})
				id := w.dispatch(e, Input{}, DispatchOptions{Queue: "far"})
				if err := e.Signal(t.Context(), id, "go", []byte("1")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Minute)
				if c.another {
					stopFar()
					far.Notifier = n
					_, stopFar = w.engine(far)
					time.Sleep(time.Minute)
				}
				if err := e.Signal(t.Context(), "target", "go", []byte("2")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(2 * time.Hour) // who said that he waits would make all of the release before look
				want(t, w.finish(e, id), "2")
				of := func(id string) Execution {
					x, err := e.State(t.Context(), id)
					if err != nil {
						t.Fatal(err)
					}
					return x
				}
				if late := of(id).Finished.Sub(of("target").Finished); late > time.Second {
					t.Errorf("it went on %v late", late)
				}
				stop()
				stopFar()
				w.check()
			})
		})
	}
}
