package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

// One item of a fan-out kills its process each time, before the others have ended. Only it ends as CrashLoop, wherever
// the items run, and also when there is another such item.
func TestAPoisonActivityDoesNotTakeItsNeighboursAlong(t *testing.T) {
	t.Parallel()
	for name, options := range map[string][2]string{
		"here": {}, "tasks": {", max_concurrent = 50", ", max_concurrent = 50"}, "task": {", max_concurrent = 50", ""}, "twice": {},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t)
				dead := make(chan struct{}, 1)
				encode := func(ctx context.Context, item int) (int, error) {
					life := 10 * time.Second
					if item < 0 {
						life = time.Second
					}
					select {
					case <-ctx.Done():
						return 0, ctx.Err()
					case <-time.After(life):
					}
					if item < 0 {
						select {
						case dead <- struct{}{}:
						default:
						}
						<-ctx.Done()
						return 0, ctx.Err()
					}
					return item, nil
				}
				w.register("encode", encode)
				w.register("crush", encode)
				items, result := "[-1, 1, 2, 3, 4, 5, 6, 7]", `["CrashLoop",1,2,3,4,5,6,7]`
				if name == "task" {
					items, result = "[-1, 1]", `["CrashLoop",1]`
				}
				if name == "twice" {
					items, result = "[1, 2, -1, 3, 4, 5, -2, 6, 7]", `[1,2,"CrashLoop",3,4,5,"CrashLoop",6,7]`
				}
				script := `
crush = activity("crush", max_crashes = 3` + options[0] + `)
encode = activity("encode", max_crashes = 3` + options[1] + `)
def main():
    results = parallel([bind(crush if i < 0 else encode, i) for i in ` + items + `], settle = True)
    return [r.value if r.ok else r.error.kind for r in results]
`
				var e *Engine
				var stop func()
				begin := func() {
					e, stop = w.engine(Options{})
				}
				begin()
				w.deploy(e, script)
				id := w.dispatch(e, Input{}, DispatchOptions{ID: "x"})
				for ended := false; !ended; {
					ctx, cancel := context.WithCancel(context.Background())
					over := make(chan struct{})
					waiting := e
					go func() {
						defer close(over)
						_, err := waiting.Wait(ctx, id)
						ended = err == nil
					}()
					select {
					case <-dead:
						e.Kill()
						stop()
						cancel()
						<-over
						begin()
					case <-over:
					case <-time.After(time.Hour):
						cancel()
						<-over
						t.Fatal("it does not go on")
					}
					cancel()
				}
				want(t, w.finish(e, id), result)
				stop()
				w.check()
			})
		})
	}
}

// A suspect that waits for another one heeds its start timeout and its cancelling, and goes on when the other is over, or its execution is gone.
func TestASuspectGivesUpItsPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main(nth, start = "1h"):
    nap = activity("nap", max_crashes = 1, start_timeout = start, retry = retry_policy(initial_delay = nth, jitter = 0))
    f = nap.start(60000 + nth)
    select([f, signal("stop")])
    f.cancel()
    r = f.attempt()
    return r.value if r.ok else r.error.kind
`)
		for id, in := range map[string][]any{"running": {1}, "late": {2, "5s"}, "cancelled": {3}, "cut": {4}, "last": {5}} {
			w.dispatch(e, Input{Args: in}, DispatchOptions{ID: id})
		}
		time.Sleep(time.Second)
		e.Kill()
		stop()

		e, stop = w.engine(Options{})
		defer stop()
		want(t, w.finish(e, "late"), `"Timeout"`)
		if err := e.Signal(t.Context(), "cancelled", "stop", []byte("true")); err != nil {
			t.Fatal(err)
		}
		want(t, w.finish(e, "cancelled"), `"Cancelled"`)
		if err := e.End(t.Context(), "cut", ""); err != nil {
			t.Fatal(err)
		}
		if n := e.Health().Bodies; n != 1 {
			t.Fatalf("%d run", n)
		}
		if err := e.Signal(t.Context(), "running", "stop", []byte("true")); err != nil {
			t.Fatal(err)
		}
		want(t, w.finish(e, "running"), `"Cancelled"`)
		want(t, w.finish(e, "last"), "60005")
		w.check()
	})
}
