// Ending executions that others hold.

package cli

import (
	"bytes"
	"context"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/engine"
)

// TestCancelNowLeavesTheLiving asks to end what a session of another machine holds: while that lives and takes its
// time it is left with it, and taken over when it is silent.
func TestCancelNowLeavesTheLiving(t *testing.T) {
	t.Parallel()
	_, stop := interrupts() // the goroutine that hears signals is the process's, not the bubble's
	stop()
	synctest.Test(t, func(t *testing.T) {
		x, holder, told := endHeld(t, true)
		if x.State != backend.Running || x.Owner != holder {
			t.Errorf("it is %s with %d, want running with %d\n%s", x.State, x.Owner, holder, told)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		x, _, told := endHeld(t, false)
		if x.State != backend.Cancelled || !strings.Contains(told, "held by process 17 of elsewhere; waiting for a sign of life") {
			t.Errorf("it is %s with %d, want cancelled\n%s", x.State, x.Owner, told)
		}
	})
}

// endHeld asks to end what another session holds, which lives or not.
func endHeld(t *testing.T, lives bool) (x engine.Execution, holder backend.SessionID, said string) {
	t.Helper()
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
	holder, _, err = store.Open(ctx, backend.Session{Host: "elsewhere", PID: 17})
	if err != nil {
		t.Fatal(err)
	}
	x, err = eng.State(ctx, id)
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
		for lives && beating.Err() == nil {
			_, _ = store.Beat(beating, holder, nil)
			time.Sleep(100 * time.Millisecond)
		}
	})
	if err := eng.End(ctx, id, ""); err != nil {
		t.Fatal(err)
	}
	if x, err = a.endHere(ctx, store, x); err != nil {
		t.Errorf("%v\n%s", err, told.String())
	}
	return x, holder, told.String()
}
