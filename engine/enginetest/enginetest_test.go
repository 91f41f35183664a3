// Worlds: time, doubles, real activities and deaths.

package enginetest_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/engine"
	"github.com/senpuki/senpuki/engine/enginetest"
)

const order = `
charge = activity("charge", retry = retry_policy(max_attempts = 3, initial_delay = "10s", backoff_factor = 2))
ship = activity("ship", timeout = "1m", retry = retry_policy(max_attempts = 1))

def main(order, cents):
    print("order", order)
    if not wait_signal("approve", timeout = "3d", default = False):
        return Err("Rejected", "nobody approved")
    receipt = charge(order, cents = cents)
    sleep("400d")
    return [receipt, ship(order), workflow("tidy")(order)]
`

const tidy = `
def main(order):
    return "tidied " + order
`

func scripts() fstest.MapFS {
	return fstest.MapFS{
		"order.star":       {Data: []byte(order)},
		"tidy.star":        {Data: []byte(tidy)},
		"broken.star":      {Data: []byte("def")},
		"tidy_test.star":   {Data: []byte("")},
		"flows/alone.star": {Data: []byte("def main():\n    return load_rates()\n\nload_rates = activity(\"rates\")\n")},
		"ever.star":        {Data: []byte("def main():\n    wait_signal(\"end\")\n")},
		"endless.star":     {Data: []byte("def main():\n    while True:\n        pass\n")},
	}
}

func registry() *activities.Registry {
	reg := activities.NewRegistry()
	reg.MustRegister("charge", func(order string, cents int) (string, error) { return "", errors.New("a real card") },
		activities.Options{Params: []string{"order", "cents"}})
	return reg
}

func options() enginetest.Options {
	return enginetest.Options{FS: scripts(), Registry: registry(), Patience: 1000 * 24 * time.Hour}
}

// begin is an order whose activities have doubles.
func begin(env *enginetest.Env) *enginetest.Run {
	env.Mock("charge", func(order string, cents int) (string, error) { return fmt.Sprintf("%s for %d", order, cents), nil })
	env.Mock("ship", "shipped")
	return env.Start("order.star", engine.Input{Args: []any{"A1", 995}})
}

func TestOrder(t *testing.T) {
	t.Parallel()
	enginetest.Twice(t, options(), func(t *testing.T, env *enginetest.Env) {
		run := begin(env)
		env.Advance(71 * time.Hour)
		if n := len(env.Calls("charge")); n != 0 {
			t.Fatalf("%d charges before the approval", n)
		}
		run.Signal("approve", true)
		calls := env.Calls("charge")
		if len(calls) != 1 || calls[0].String() != `charge("A1", cents=995)` || !calls[0].At.Equal(env.Now()) {
			t.Fatalf("calls: %v at %v", calls, env.Now())
		}
		var arg string
		if err := calls[0].Arg(0, &arg); err != nil || arg != "A1" {
			t.Errorf("argument %q, %v", arg, err)
		}
		if err := calls[0].Arg(1, &arg); err == nil {
			t.Error("there is a second argument")
		}
		before := env.Now()
		got := enginetest.ResultAs[[]string](run)
		if want := []string{"A1 for 995", "shipped", "tidied A1"}; !slices.Equal(got, want) {
			t.Errorf("%q, want %q", got, want)
		}
		if passed := env.Now().Sub(before); passed != 400*24*time.Hour {
			t.Errorf("%v have passed", passed)
		}
		if logs := run.Logs(); len(logs) != 1 || logs[0] != "order A1" {
			t.Errorf("logs %q", logs)
		}
		if h := run.History(); len(h.Steps) != 6 {
			t.Errorf("%d steps", len(h.Steps))
		}
		if x := env.Run(run.ID() + ".1.6").Wait(); x.Parent != run.ID() {
			t.Errorf("the child is %+v", x)
		}
	})
}

func TestSignalTimeout(t *testing.T) {
	t.Parallel()
	enginetest.Twice(t, options(), func(t *testing.T, env *enginetest.Env) {
		run := begin(env)
		env.Advance(3*24*time.Hour - time.Second)
		if s := run.Execution().State; s != backend.Running {
			t.Fatalf("it is %s", s)
		}
		env.Advance(time.Second)
		if s := run.Execution().State; s != backend.Failed {
			t.Fatalf("it is %s", s)
		}
		if f := run.Failure(); f.Kind != "Rejected" {
			t.Error(f)
		}
	})
}

func TestRetriesAndTimeouts(t *testing.T) {
	t.Parallel()
	enginetest.Twice(t, options(), func(t *testing.T, env *enginetest.Env) {
		run := begin(env)
		env.Mock("charge", func(c enginetest.Call) (any, error) {
			if c.Attempt < 3 {
				return nil, activities.Fail("Busy", "not now")
			}
			return "late", nil
		})
		env.Mock("ship", func(ctx context.Context, order string) (string, error) {
			select {
			case <-ctx.Done():
				return "", ctx.Err()
			case <-time.After(61 * time.Second):
				return "too late", nil
			}
		})
		run.Signal("approve", true)
		for i, wait := range []time.Duration{0, 10 * time.Second, 20 * time.Second} {
			if wait > 0 {
				env.Advance(wait - time.Millisecond)
				if n := len(env.Calls("charge")); n != i {
					t.Errorf("%d attempts just before number %d", n, i+1)
				}
				env.Advance(time.Millisecond)
			}
			if n := len(env.Calls("charge")); n != i+1 {
				t.Errorf("%d attempts, want %d", n, i+1)
			}
		}
		if f := run.Failure(); f.Kind != "Timeout" || f.Activity != "ship" {
			t.Errorf("%+v", f)
		}
	})
}

func TestDoubles(t *testing.T) {
	t.Parallel()
	env := enginetest.New(t, options())
	env.Mock("rates", map[string]int{"EUR": 1})
	if got := string(env.Start("flows/alone", engine.Input{}).Result()); got != `{"EUR":1}` {
		t.Error(got)
	}
	env.Mock("rates", activities.Fail("Gone", "no rates", activities.NotRetryable()))
	if f := env.Start("flows/alone.star", engine.Input{}).Failure(); f.Kind != "Gone" {
		t.Error(f)
	}
	if err := env.World().Mock("rates", func() int { return 1 }); err == nil {
		t.Error("a function that is no activity was taken")
	}
	if n := len(env.Calls("")); n != 2 {
		t.Errorf("%d calls", n)
	}
}

func TestCrash(t *testing.T) {
	t.Parallel()
	enginetest.Twice(t, options(), func(t *testing.T, env *enginetest.Env) {
		run := begin(env)
		env.Mock("charge", func(ctx context.Context, order string, cents int) (string, error) {
			select {
			case <-time.After(time.Minute):
				return "charged", nil
			case <-ctx.Done():
				return "", ctx.Err()
			}
		})
		run.Signal("approve", true)
		env.Advance(30 * time.Second)
		env.Crash()
		env.Advance(9 * time.Second)
		env.Crash()
		got := enginetest.ResultAs[[]string](run)
		if got[0] != "charged" || len(env.Calls("charge")) != 2 {
			t.Errorf("%q after %v", got, env.Calls("charge"))
		}
		crashes := 0
		for _, e := range run.History().Entries {
			if e.Kind == "crash" {
				crashes++
			}
		}
		if crashes != 1 {
			t.Errorf("%d crashes are counted", crashes)
		}
	})
}

func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	for _, replay := range []bool{false, true} {
		o := options()
		o.Replay = replay
		n := 0
		enginetest.CrashEverywhere(t, o, func(t *testing.T, env *enginetest.Env) {
			n++
			run := begin(env)
			run.Signal("approve", true)
			got := enginetest.ResultAs[[]string](run)
			if want := []string{"A1 for 995", "shipped", "tidied A1"}; !slices.Equal(got, want) {
				t.Errorf("%q, want %q", got, want)
			}
			if len(env.Calls("charge")) == 0 || len(run.Logs()) != 1 {
				t.Errorf("calls %v, logs %q", env.Calls(""), run.Logs())
			}
		})
		if n < 10 {
			t.Errorf("only %d worlds", n)
		}
	}
}

func TestRate(t *testing.T) {
	t.Parallel()
	o := enginetest.Options{FS: fstest.MapFS{"many.star": {Data: []byte(`
send = activity("send", rate = "2/1m")
def main():
    return send.map(list(range(6)), limit = 6)
`)}}}
	enginetest.Twice(t, o, func(t *testing.T, env *enginetest.Env) {
		env.Mock("send", func(n int) (int, error) { return n, nil })
		run := env.Start("many.star", engine.Input{})
		for _, want := range []int{2, 4, 6} {
			if n := len(env.Calls("send")); n != want {
				t.Errorf("%d calls, want %d", n, want)
			}
			env.Advance(62 * time.Second)
		}
		if got := string(run.Result()); got != `[0,1,2,3,4,5]` {
			t.Error(got)
		}
	})
}

// TestReal has activities that hold connections, which must not be of one world.
func TestReal(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "hello") }))
	t.Cleanup(server.Close)
	reg := activities.NewRegistry()
	if err := activities.RegisterStock(reg, "http"); err != nil {
		t.Fatal(err)
	}
	o := enginetest.Options{Registry: reg, FS: fstest.MapFS{"get.star": {Data: []byte(`
request = activity("http.request", timeout = "1s")
def main(url):
    return [request("GET", url)["body"] for _ in range(3)]
`)}}}
	enginetest.Twice(t, o, func(t *testing.T, env *enginetest.Env) {
		before := env.Now()
		run := env.Start("get.star", engine.Input{Args: []any{server.URL}})
		if s := run.Execution().State; s != backend.Completed {
			t.Fatalf("it is %s", s)
		}
		if got := string(run.Result()); got != `["hello","hello","hello"]` || !env.Now().Equal(before) {
			t.Errorf("%s after %v", got, env.Now().Sub(before))
		}
	})
}

// TestRealIsCut leaves a world while a real activity runs that does not end.
func TestRealIsCut(t *testing.T) {
	t.Parallel()
	began, held := make(chan struct{}, 10), make(chan struct{})
	reg := activities.NewRegistry()
	reg.MustRegister("rates", func(ctx context.Context) error {
		if activities.Info(ctx).Activity != "rates" {
			return errors.New("no identity")
		}
		began <- struct{}{}
		<-held
		return nil
	})
	defer close(held)
	w, err := enginetest.NewWorld(t, enginetest.Options{FS: scripts(), Registry: reg})
	if err != nil {
		t.Fatal(err)
	}
	go func() { // Start waits for the activity: only a death ends it
		<-began
		w.CrashAt(1, false)
		began <- struct{}{}
		held <- struct{}{}
	}()
	if _, err := w.Start("flows/alone.star", engine.Input{}); err != nil {
		t.Fatal(err)
	}
	if n := len(w.Calls("rates")); n != 1 {
		t.Errorf("%d calls", n)
	}
	if err := w.Close(); err != nil {
		t.Error(err)
	}
}

func TestDoesNotEnd(t *testing.T) {
	t.Parallel()
	w, err := enginetest.NewWorld(t, enginetest.Options{FS: scripts(), Registry: registry()})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ script, want string }{
		{"ever", "has not ended within 366 days: it is running and waits for signal end (waiting, ever.star:2:"},
		{"endless.star", "is stuck: endless.star:2:5: the turn does not end"},
	} {
		id, err := w.Start(c.script, engine.Input{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Wait(id); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	for _, c := range []struct{ script, want string }{
		{"broken.star", "broken.star:1:"},
		{"flows/alone.star", "needs a mock"},
		{"nowhere", "nowhere.star"},
	} {
		if _, err := w.Start(c.script, engine.Input{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v", c.script, err)
		}
	}
	if err := w.Signal("nobody", "x", nil); !errors.Is(err, backend.ErrNotFound) {
		t.Error(err)
	}
	for range 2 { // as by hand and by defer
		if err := w.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := enginetest.NewWorld(t, enginetest.Options{}); err == nil {
		t.Error("a world without scripts was made")
	}
}

func TestReplayDir(t *testing.T) {
	t.Parallel()
	env := enginetest.New(t, options())
	run := begin(env)
	run.Signal("approve", true)
	run.Result()
	open := env.Start("order.star", engine.Input{Args: []any{"A2", 1}}, engine.DispatchOptions{ID: "order-open", Tags: []string{"t"}})
	dir := t.TempDir()
	exports := make(map[string]*engine.Export)
	env.Do(func(ctx context.Context, e *engine.Engine) error {
		for _, id := range []string{run.ID(), open.ID(), run.ID() + ".1.6"} {
			x, err := e.Export(ctx, id)
			if err != nil {
				return err
			}
			var b bytes.Buffer
			if _, err := x.WriteTo(&b); err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, id+".json"), b.Bytes(), 0o600); err != nil {
				return err
			}
			if exports[id], err = engine.ParseExport(b.Bytes()); err != nil {
				return err
			}
		}
		return nil
	})
	enginetest.ReplayDir(t, dir, scripts())
	for id, x := range exports {
		if v, err := x.Replay(t.Context(), nil); err != nil || !v.Fits {
			t.Errorf("%s on its own code: %+v, %v", id, v, err)
		}
	}
	now := scripts()
	now["order.star"] = &fstest.MapFile{Data: []byte(strings.Replace(order, "sleep(\"400d\")", "sleep(\"2d\")", 1))}
	if v, err := exports[run.ID()].Replay(t.Context(), now); err != nil || v.Fits || !strings.HasPrefix(v.Pos, "order.star:10:") {
		t.Errorf("on other code: %+v, %v", v, err)
	}
	if v, err := exports[open.ID()].Replay(t.Context(), now); err != nil || !v.Fits {
		t.Errorf("before the change: %+v, %v", v, err)
	}
	now["order.star"] = &fstest.MapFile{Data: []byte("def main(")}
	if _, err := exports[run.ID()].Replay(t.Context(), now); err == nil {
		t.Error("code that does not parse was replayed")
	}
	for _, text := range []string{"", "{}", `{"format": 99}`, `{"format": 1, "sources": {"dialect": "x"}}`} {
		x, err := engine.ParseExport([]byte(text))
		if err == nil {
			_, err = x.Replay(t.Context(), nil)
		}
		if err == nil {
			t.Errorf("%q was taken", text)
		}
	}
}

// A double or a real activity that ends its goroutine, as FailNow of a test does, has failed.
func TestActivitiesThatEndTheirGoroutine(t *testing.T) {
	t.Parallel()
	reg := activities.NewRegistry()
	reg.MustRegister("real", func() error { runtime.Goexit(); return nil })
	env := enginetest.New(t, enginetest.Options{Registry: reg, FS: fstest.MapFS{"quit.star": {Data: []byte(`
once = retry_policy(max_attempts = 1)
def main():
    return [activity(name, retry = once).attempt().error.kind for name in ["real", "double"]]
`)}}})
	env.Mock("double", func(enginetest.Call) (any, error) { runtime.Goexit(); return nil, nil })
	if x := env.Start("quit.star", engine.Input{}).Wait(); string(x.Result) != `["Panic","Panic"]` {
		t.Errorf("%s %v", x.Result, x.Failure)
	}
}

// The worker runs what is begun, or has to go on, by way of its engine.
func TestDoRunsWhatItBegins(t *testing.T) {
	t.Parallel()
	again := fstest.MapFS{"again.star": {Data: []byte(`
once = retry_policy(max_attempts = 1)
def main(n = 1):
    sleep("5s")
    return activity("work", retry = once)(n)
`)}}
	enginetest.Twice(t, enginetest.Options{FS: again}, func(t *testing.T, env *enginetest.Env) {
		fails := true
		env.Mock("work", func(n int) (int, error) {
			if fails {
				return 0, activities.Fail("Broken", "not now")
			}
			return n, nil
		})
		first, second := env.Start("again.star", engine.Input{}), env.Start("again.star", engine.Input{})
		first.Failure()
		second.Failure()
		fails = false
		for _, b := range []struct {
			want  string
			begin func(context.Context, *engine.Engine) (string, error)
		}{
			{"1", func(ctx context.Context, e *engine.Engine) (string, error) {
				return first.ID(), e.Retry(ctx, first.ID(), engine.RerunOptions{})
			}},
			{"1", func(ctx context.Context, e *engine.Engine) (string, error) {
				return e.Fork(ctx, second.ID(), engine.RerunOptions{From: "1"})
			}},
			{"2", func(ctx context.Context, e *engine.Engine) (string, error) {
				return e.Dispatch(ctx, "again", engine.Input{Args: []any{2}}, engine.DispatchOptions{Queue: "far", Delay: time.Hour})
			}},
			{"3", func(ctx context.Context, e *engine.Engine) (string, error) {
				ids, err := e.DispatchAll(ctx, "again", []engine.Job{{Input: engine.Input{Args: []any{3}}}})
				return strings.Join(ids, ""), err
			}},
			{"4", func(ctx context.Context, e *engine.Engine) (string, error) {
				letters, err := e.Letters(ctx, backend.LetterFilter{Execution: second.ID()})
				if err != nil || len(letters) != 1 {
					return "", fmt.Errorf("%v %w", letters, err)
				}
				return e.ReplayLetter(ctx, letters[0], engine.ReplayOptions{Args: []byte("[4]")})
			}},
		} {
			var id string
			env.Do(func(ctx context.Context, e *engine.Engine) (err error) {
				id, err = b.begin(ctx, e)
				return err
			})
			if got := env.Run(id).Result(); string(got) != b.want {
				t.Errorf("%s: %s", b.want, got)
			}
		}
	})
}
