package ops

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/engine"
)

// moody is a store with a pool that neither answers readers nor opens sessions while it is told not to.
type moody struct {
	backend.Store
	down, mute atomic.Bool
}

var errDown = errors.New("no route to postgres://app:secret@db/x")

func (m *moody) Execution(ctx context.Context, id string) (backend.Execution, error) {
	if m.down.Load() {
		return backend.Execution{}, errDown
	}
	if m.mute.Load() {
		<-ctx.Done()
		return backend.Execution{}, fmt.Errorf("%w: timeout: %w", backend.ErrTransient, ctx.Err())
	}
	return m.Store.Execution(ctx, id)
}

func (m *moody) Open(ctx context.Context, n backend.Session) (backend.SessionID, time.Time, error) {
	if m.down.Load() {
		return 0, time.Time{}, errDown
	}
	return m.Store.Open(ctx, n)
}

func (m *moody) Pool() backend.Pool { return backend.Pool{Max: 9, InUse: 2, Waits: 4} }

func get(t *testing.T, h http.Handler, path string) (int, string) {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	return w.Code, w.Body.String()
}

// A database that says nothing is said to say nothing, and nobody waits for it.
func TestReadyzOfASilentDatabase(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		store := &moody{Store: memory.New()}
		eng, err := engine.New(store, activities.NewRegistry(), engine.Options{})
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- eng.Run(ctx) }()
		<-eng.Ready()
		store.mute.Store(true)
		code, body := get(t, Handler(Source{Engine: eng, Store: store}), "/readyz")
		if code != 503 || !strings.Contains(body, "the database has not answered for 2s") {
			t.Errorf("status %d, %s", code, body)
		}
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
}

func TestHandler(t *testing.T) {
	t.Parallel()
	store := &moody{Store: memory.New()}
	metrics := &engine.Metrics{}
	reg := activities.NewRegistry()
	reg.MustRegister("add", func(a, b int) (int, error) { return a + b, nil })
	eng, err := engine.New(store, reg, engine.Options{Metrics: metrics})
	if err != nil {
		t.Fatal(err)
	}
	h := Handler(Source{Engine: eng, Store: store, Metrics: metrics, Version: "1.2.3", Mask: func(s string) string {
		return strings.ReplaceAll(s, "secret", "xxxxx")
	}})
	wants := func(path string, status int, parts ...string) {
		t.Helper()
		code, body := get(t, h, path)
		if code != status {
			t.Errorf("%s: status %d, want %d\n%s", path, code, status, body)
		}
		for _, p := range parts {
			if !strings.Contains(body, p) {
				t.Errorf("%s: no %q in\n%s", path, p, body)
			}
		}
	}
	wants("/healthz", 200, `"ready":true`)
	wants("/readyz", 503, `"ready":false`, `"reason":"session"`)

	store.down.Store(true)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { done <- eng.Run(ctx) }()
	for eng.Health().Fault == nil {
		runtime.Gosched()
	}
	wants("/readyz", 503, `"reason":"database"`, "app:xxxxx@db") // rather than that there is no session
	store.down.Store(false)
	<-eng.Ready()
	wants("/readyz", 200, `{"ready":true}`)
	if _, err := eng.Deploy(ctx, fstest.MapFS{"f.star": {Data: []byte("add = activity('add')\ndef main():\n    return add(1, 2)\n")}}, "f.star"); err != nil {
		t.Fatal(err)
	}
	if _, err := eng.Dispatch(ctx, "f", engine.Input{}, engine.DispatchOptions{ID: "later", Queue: "far"}); err != nil {
		t.Fatal(err)
	}
	id, err := eng.Dispatch(ctx, "f", engine.Input{}, engine.DispatchOptions{})
	if err == nil {
		_, err = eng.Wait(ctx, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	wants("/metrics", 200,
		`senpuki_build_info{version="1.2.3"} 1`,
		`senpuki_session_up 1`,
		`senpuki_database_up 1`,
		`senpuki_claims_total 1`,
		`senpuki_executions_ended_total{state="completed"} 1`,
		`senpuki_attempts_total{activity="add",outcome="done"} 1`,
		`senpuki_attempt_seconds_count{activity="add"} 1`,
		`senpuki_queue_executions{queue="far"} 1`,
		`senpuki_queue_oldest_seconds{queue="far"}`,
		`senpuki_batch_size_bucket{le="1"}`,
		`senpuki_turn_seconds_bucket{le="0.001024"}`,
		`senpuki_pool_connections_max 9`,
		`senpuki_executions{state="completed"} 1`,
		`senpuki_stuck_turns_total 0`,
		`go_goroutines`,
	)
	store.down.Store(true)
	wants("/readyz", 503, `"reason":"database"`, "app:xxxxx@db")
	wants("/healthz", 200)
	store.down.Store(false)
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	wants("/readyz", 503, `"reason":"session"`)
	for _, err := range store.Check(context.Background()) {
		t.Error(err)
	}
}

func TestServe(t *testing.T) {
	t.Parallel()
	store := memory.New()
	eng, err := engine.New(store, nil, engine.Options{})
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s, err := Serve("127.0.0.1:0", Source{Engine: eng, Store: store}, log)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Serve(s.Addr(), Source{Engine: eng, Store: store}, log); err == nil {
		t.Error("a port was taken twice")
	}
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr()+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	resp.Body.Close()
	if resp.StatusCode != 200 {
		t.Errorf("status %d", resp.StatusCode)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	for _, err := range store.Check(context.Background()) {
		t.Error(err)
	}
}

func TestLogger(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	log, err := NewLogger(&out, LogOptions{Format: "json", Level: "warn", Mask: func(s string) string { return strings.ReplaceAll(s, "secret", "xxxxx") }})
	if err != nil {
		t.Fatal(err)
	}
	log.Info("not told")
	log.Warn("told", "url", "db://u:secret@h", "error", errDown, "n", 3)
	var rec map[string]any
	if err := json.Unmarshal(out.Bytes(), &rec); err != nil {
		t.Fatalf("%v in %s", err, &out)
	}
	if strings.Contains(out.String(), "secret") || rec["level"] != "WARN" || rec["n"] != 3.0 || rec["msg"] != "told" {
		t.Errorf("logged %s", &out)
	}
	for _, o := range []LogOptions{{Format: "xml"}, {Level: "loud"}} {
		if _, err := NewLogger(&out, o); err == nil {
			t.Errorf("%+v was taken", o)
		}
	}
	out.Reset()
	log, err = NewLogger(&out, LogOptions{Level: "debug"})
	if err != nil {
		t.Fatal(err)
	}
	EventLog{log}.Observe(engine.Event{
		Kind: engine.AttemptFailed, Execution: "x1", Step: "2", Name: "charge", Attempt: 3,
		Failure: &activities.Failure{Kind: "Declined", Message: "no"},
	})
	for _, part := range []string{"level=DEBUG", "msg=attempt_failed", "execution=x1", "step=2", "attempt=3", `failure="Declined: no"`} {
		if !strings.Contains(out.String(), part) {
			t.Errorf("no %s in %s", part, &out)
		}
	}
}
