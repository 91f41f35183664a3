package cli

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/engine"
)

// watched is a view of a store with some executions.
func watched(t *testing.T) (*watchModel, *engine.Engine) {
	t.Helper()
	reg := activities.NewRegistry()
	reg.MustRegister("add", func(a, b int) (int, error) { return a + b, nil })
	reg.MustRegister("boom", func() error { return activities.Fail("Bad", "as asked") }, activities.Options{Retry: activities.RetryPolicy{MaxAttempts: 1}})
	store := memory.New()
	eng, err := engine.New(store, reg, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- eng.Run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	<-eng.Ready()
	if _, err := eng.Deploy(ctx, fstest.MapFS{"flow.star": {Data: []byte(`
def main(what):
    status("at it")
    activity("add")(1, 2)
    if what == "fail":
        activity("boom")()
    if what == "wait":
        print("waiting")
        wait_signal("go")
    return what
`)}}, "flow.star"); err != nil {
		t.Fatal(err)
	}
	for _, what := range []string{"done", "fail", "wait"} {
		if _, err := eng.Dispatch(ctx, "flow", engine.Input{Args: []any{what}}, engine.DispatchOptions{ID: "order-" + what}); err != nil {
			t.Fatal(err)
		}
	}
	for _, id := range []string{"order-done", "order-fail"} {
		if _, err := eng.Wait(ctx, id); err != nil {
			t.Fatal(err)
		}
	}
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		if h, err := eng.History(ctx, "order-wait"); err != nil {
			t.Fatal(err)
		} else if len(h.Steps) == 2 { // it waits
			break
		}
	}
	m := &watchModel{ctx: ctx, watcher: &watcher{eng, store}, width: 120, height: 24}
	m.looked(snapshot(m.look()().(watchLooked)))
	return m, eng
}

func (m *watchModel) plain() string { return ansi.Strip(m.text(time.Now())) }

// press sends keys, as their names, and runs what they ask for.
func (m *watchModel) press(t *testing.T, keys ...string) {
	t.Helper()
	for _, k := range keys {
		if cmd := m.key(k); cmd != nil {
			if msg := cmd(); msg != nil {
				if _, quit := msg.(tea.QuitMsg); !quit {
					m.Update(msg)
				}
			}
		}
	}
}

func wants(t *testing.T, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in\n%s", w, text)
		}
	}
}

func TestWatchShowsAndFilters(t *testing.T) {
	t.Parallel()
	m, _ := watched(t)
	wants(t, m.plain(), "running 1", "completed 1", "failed 1", "▸order-wait", "at it", "Bad: as asked", "workers  1", "dead     1, the newest now: boom of order-fail", "enter open")
	m.press(t, "/", "f", "a", "i", "l")
	if text := m.plain(); strings.Contains(text, "order-done") || !strings.Contains(text, "▸order-fail") || !strings.Contains(text, "/fail") {
		t.Error(text)
	}
	m.press(t, "esc", "s", "s", "s") // pending, running, completed
	if text := m.plain(); !strings.Contains(text, "[completed]") || strings.Contains(text, "order-wait") {
		t.Error(text)
	}
	m.press(t, "?")
	wants(t, m.plain(), "Keys", "filter by id")
}

func TestWatchOpensAndActs(t *testing.T) {
	t.Parallel()
	m, eng := watched(t)
	m.press(t, "enter")
	wants(t, m.plain(), "order-wait  flow  running", "1 add", "2 signal go", "━", "waiting", "esc back")
	m.press(t, "c")
	wants(t, m.plain(), "cancel order-wait? y/n")
	m.press(t, "n")
	wants(t, m.plain(), "left alone")
	m.press(t, "c", "y")
	wants(t, m.plain(), "order-wait is told to cancel")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if x, err := eng.Wait(ctx, "order-wait"); err != nil || x.State != "cancelled" {
		t.Errorf("%+v %v", x, err)
	}
	m.press(t, "esc")
	wants(t, m.plain(), "▸order-wait", "cancelled 1")
	m.press(t, "r", "y")
	wants(t, m.plain(), "order-wait")
}

// What only waits has not changed: a sleep of an hour is no line every half second, and says until when it is.
func TestWatchLinesTellChanges(t *testing.T) {
	t.Parallel()
	for _, asJSON := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			var told bytes.Buffer
			a := &app{registry: activities.NewRegistry(), out: &output{to: &told}, err: &told, env: func(string) string { return "" }, json: asJSON}
			store := memory.New()
			eng, err := engine.New(store, a.registry, engine.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := eng.Deploy(ctx, fstest.MapFS{"nap.star": {Data: []byte("def main():\n    progress(0.5, \"half\")\n    sleep(\"1h\")\n")}}, "nap.star"); err != nil {
				t.Fatal(err)
			}
			if _, err := eng.Dispatch(ctx, "nap", engine.Input{}, engine.DispatchOptions{ID: "nap1"}); err != nil {
				t.Fatal(err)
			}
			done := make(chan error, 1)
			go func() { done <- eng.Run(ctx) }()
			if err := a.watchLines(ctx, &watcher{eng, store}, "nap1"); err != nil {
				t.Error(err)
			}
			stop()
			if err := <-done; err != nil {
				t.Error(err)
			}
			lines := strings.Split(strings.TrimSuffix(told.String(), "\n"), "\n")
			if len(lines) > 6 { // pending, held, released, due, held again, completed
				t.Errorf("%d lines:\n%s", len(lines), told.String())
			}
			if !asJSON {
				wants(t, told.String(), " nap1 nap running 50% half\n", " nap1 nap running 50% half due at ", " nap1 nap completed 50% half\n")
			}
			for _, err := range store.Check(t.Context()) {
				t.Error(err)
			}
		})
	}
}

// However small the terminal, no line is wider and no screen higher.
func TestWatchFits(t *testing.T) {
	t.Parallel()
	m, _ := watched(t)
	for _, size := range [][2]int{{20, 5}, {1, 1}, {80, 24}, {300, 100}} {
		m.Update(tea.WindowSizeMsg{Width: size[0], Height: size[1]})
		for _, open := range []bool{false, true} {
			if open {
				m.press(t, "enter")
			}
			lines := strings.Split(m.text(time.Now()), "\n")
			if len(lines) > size[1] {
				t.Errorf("%v: %d lines", size, len(lines))
			}
			for _, l := range lines {
				if ansi.StringWidth(l) > size[0] {
					t.Errorf("%v: a line of %d: %q", size, ansi.StringWidth(l), l)
				}
			}
			if open {
				m.press(t, "esc")
			}
		}
	}
}

// Ten thousand executions: a screen is drawn from those that it shows.
func BenchmarkWatchText(b *testing.B) {
	m := &watchModel{width: 120, height: 50}
	m.now.at = time.Now()
	for i := range 10_000 {
		m.now.executions = append(m.now.executions, engine.Execution{ID: fmt.Sprint("order-", i), Workflow: "order", State: "running", Created: m.now.at})
	}
	b.ResetTimer()
	for range b.N {
		m.cursor = (m.cursor + 37) % 10_000
		_ = m.text(m.now.at)
	}
}

func TestWatchCountsOneActivity(t *testing.T) {
	t.Parallel()
	for running, want := range map[int64]string{0: "workers  1, 0 activities run", 1: "workers  1, 1 activity runs", 2: "workers  1, 2 activities run"} {
		m := &watchModel{}
		m.now.workers = []engine.SessionInfo{{Running: running}}
		if got := m.workerLine(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}
