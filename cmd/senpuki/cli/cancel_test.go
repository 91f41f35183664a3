// Ending executions that others hold.

package cli

import (
	"bytes"
	"context"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/engine"
)

// TestCancelNowLeavesTheLiving asks to end what a live session holds that takes its time: it is left with it.
func TestCancelNowLeavesTheLiving(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	store := memory.New()
	var told bytes.Buffer
	a := &app{registry: activities.NewRegistry(), out: &output{to: &told}, err: &told, env: func(string) string { return "" }}
	eng, err := engine.New(store, a.registry, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := eng.Deploy(ctx, fstest.MapFS{"w.star": {Data: []byte("def main():\n    wait_signal(\"never\")\n")}}, "w.star"); err != nil {
		t.Fatal(err)
	}
	id, err := eng.Dispatch(ctx, "w", engine.Input{}, engine.DispatchOptions{})
	if err != nil {
		t.Fatal(err)
	}
	holder, _, err := store.Open(ctx, backend.Session{Host: "elsewhere", PID: 17})
	if err != nil {
		t.Fatal(err)
	}
	x, err := eng.State(ctx, id)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := store.Claim(ctx, backend.ClaimRequest{Session: holder, IDs: []string{id}, Editions: []int{x.Edition}, Limit: 1}); len(got) != 1 || err != nil {
		t.Fatalf("%d claimed, %v", len(got), err)
	}
	beating, stop := context.WithCancel(ctx)
	var heart sync.WaitGroup
	defer heart.Wait()
	defer stop()
	heart.Go(func() {
		for beating.Err() == nil {
			_, _ = store.Beat(beating, holder, nil)
			time.Sleep(100 * time.Millisecond)
		}
	})
	if err := eng.End(ctx, id, ""); err != nil {
		t.Fatal(err)
	}
	if x, err = a.endHere(ctx, store, x); err != nil || x.State != backend.Running || x.Owner != holder {
		t.Errorf("it is %s with %d, want running with %d: %v\n%s", x.State, x.Owner, holder, err, told.String())
	}
}
