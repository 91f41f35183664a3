package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/backend"
)

// dated is a store that tells of an execution as it was, once.
type dated struct {
	backend.Store
	was *backend.Execution
}

func (d *dated) Execution(ctx context.Context, id string) (backend.Execution, error) {
	if was := d.was; was != nil {
		d.was = nil
		return *was, nil
	}
	return d.Store.Execution(ctx, id)
}

// An execution that ends while it is looked at is no fault of an upgrade.
func TestUpgradeOfWhatEndsMeanwhile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{ReleaseAfter: time.Hour})
		w.digestOf(e, upgradeOld)
		id := w.dispatch(e, JSON([]byte("[1]")), DispatchOptions{})
		time.Sleep(time.Second)
		was, err := w.store.Execution(t.Context(), id)
		if err != nil || was.Owner == 0 {
			t.Fatalf("%+v %v", was, err)
		}
		next := w.digestOf(e, upgradeNew)
		if err := e.Signal(t.Context(), id, "go", nil); err != nil {
			t.Fatal(err)
		}
		want(t, w.finish(e, id), `[2,"old"]`)
		client, err := New(&dated{w.store, &was}, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			if v, err := client.Upgrade(t.Context(), id, next); err != nil || !v.Ended || v.Moved {
				t.Errorf("%+v %v", v, err)
			}
		}
		stop()
		w.check()
	})
}
