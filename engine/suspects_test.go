package engine

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
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

// A step that has crashed more often than it may by now is tried once more, alone.
func TestALimitOfCrashesThatIsLowered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.register("linger", func(ctx context.Context) (int, error) {
			w.count("linger")
			if w.called("linger") > 3 {
				return 7, nil
			}
			<-ctx.Done()
			return 0, ctx.Err()
		})
		e, stop := w.engine(Options{MaxCrashes: 10})
		w.deploy(e, `
def main():
    return activity("linger", retry = retry_policy(initial_delay = 60, backoff_factor = 1, jitter = 0))()
`)
		id := w.dispatch(e, Input{}, DispatchOptions{})
		for range 3 {
			time.Sleep(2 * time.Minute)
			e.Kill()
			stop()
			e, stop = w.engine(Options{MaxCrashes: 10})
		}
		time.Sleep(30 * time.Second) // the next attempt is not due yet
		e.Kill()
		stop()
		e, stop = w.engine(Options{MaxCrashes: 1})
		want(t, w.finish(e, id), "7")
		stop()
		w.check()
	})
}

// A suspect that never ends, or waits for what is held back for its sake, keeps others back for an hour.
func TestASuspectThatLivesLongKeepsNobodyBack(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		client, err := New(w.store, nil, Options{})
		if err != nil {
			t.Fatal(err)
		}
		w.register("other", func(ctx context.Context) (string, error) { // it waits for the other execution, in a way that nobody here sees
			_, err := client.Wait(ctx, "inner")
			return "seen", err
		}, activities.Options{MaxCrashes: new(1)})
		e, stop := w.engine(Options{})
		w.deploy(e, `
def main(inner):
    if not inner:
        return activity("other", retry = retry_policy(initial_delay = 1, jitter = 0))()
    return activity("nap", max_crashes = 1, retry = retry_policy(initial_delay = inner, jitter = 0))(60000)
`)
		w.dispatch(e, Input{Args: []any{2}}, DispatchOptions{ID: "inner"})
		w.dispatch(e, Input{Args: []any{0}}, DispatchOptions{ID: "outer"})
		w.dispatch(e, Input{Args: []any{3}}, DispatchOptions{ID: "third"})
		time.Sleep(time.Second)
		e.Kill()
		stop()
		e, stop = w.engine(Options{})
		time.Sleep(59 * time.Minute)
		if n := e.Health().Bodies; n != 1 {
			t.Errorf("%d run", n)
		}
		time.Sleep(5 * time.Minute)
		want(t, w.finish(e, "inner"), "60000")
		want(t, w.finish(e, "outer"), `"seen"`)
		want(t, w.finish(e, "third"), "60000")
		stop()
		w.check()
	})
}
