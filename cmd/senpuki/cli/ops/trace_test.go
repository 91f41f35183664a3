package ops

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/backend"
	"github.com/senpuki/senpuki/backend/memory"
	"github.com/senpuki/senpuki/engine"
)

const family = `
look = activity("look")

def main():
    look()
    workflow(child)()

def child():
    look()
    error("Sad")
`

// ran runs the family with a tracer and returns what its activities saw as their span.
func ran(t *testing.T, tracer engine.Tracer) (seen []trace.SpanContext) {
	t.Helper()
	store := memory.New()
	saw := make(chan trace.SpanContext, 2)
	reg := activities.NewRegistry()
	reg.MustRegister("look", func(ctx context.Context) error { saw <- trace.SpanContextFromContext(ctx); return nil })
	eng, err := engine.New(store, reg, engine.Options{Tracer: tracer})
	if err != nil {
		t.Fatal(err)
	}
	finish(t, eng, store, "")
	return append(seen, <-saw, <-saw)
}

// finish runs the family to its end; waiting, when it is not empty, is an execution that nobody takes.
func finish(t *testing.T, eng *engine.Engine, store backend.Store, waiting string) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- eng.Run(ctx) }()
	<-eng.Ready()
	if _, err := eng.Deploy(ctx, fstest.MapFS{"f.star": {Data: []byte(family)}}, "f.star"); err != nil {
		t.Fatal(err)
	}
	if waiting != "" {
		if _, err := eng.Dispatch(ctx, "f", engine.Input{}, engine.DispatchOptions{ID: waiting, Queue: "nobody"}); err != nil {
			t.Fatal(err)
		}
	}
	id, err := eng.Dispatch(ctx, "f", engine.Input{}, engine.DispatchOptions{})
	if err == nil {
		_, err = eng.Wait(ctx, id)
	}
	if err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	for _, err := range store.Check(context.Background()) {
		t.Error(err)
	}
}

func TestTracer(t *testing.T) {
	t.Parallel()
	kept := tracetest.NewInMemoryExporter()
	tracer := newTracer(sdk.NewTracerProvider(sdk.WithSyncer(kept), sdk.WithIDGenerator(generator{})), "1.2.3")
	seen := ran(t, tracer)
	byName := make(map[string][]tracetest.SpanStub)
	byID := make(map[trace.SpanID]tracetest.SpanStub)
	for _, s := range kept.GetSpans() {
		byName[s.Name] = append(byName[s.Name], s)
		if other, there := byID[s.SpanContext.SpanID()]; there {
			t.Errorf("%s and %s have one id", other.Name, s.Name)
		}
		byID[s.SpanContext.SpanID()] = s
	}
	runs, attempts, turns := byName["run f"], byName["attempt look"], byName["turn f"]
	if len(runs) != 2 || len(attempts) != 2 || len(turns) < 4 || len(byName["dispatch f"]) != 1 {
		t.Fatalf("spans %v", byName)
	}
	slices.SortFunc(runs, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) }) // they end in any order
	slices.SortFunc(attempts, func(a, b tracetest.SpanStub) int { return a.StartTime.Compare(b.StartTime) })
	top, child := runs[0], runs[1]
	if top.Parent.IsValid() || child.Parent.SpanID() != top.SpanContext.SpanID() {
		t.Errorf("the child's run is below %v, the top is %v", child.Parent, top.SpanContext)
	}
	for i, run := range []tracetest.SpanStub{top, child} {
		if attempts[i].Parent.SpanID() != run.SpanContext.SpanID() || attempts[i].SpanContext.SpanID() != seen[i].SpanID() {
			t.Errorf("attempt %v below %v, want it below %v; its code saw %v", attempts[i].SpanContext, attempts[i].Parent, run.SpanContext, seen[i])
		}
	}
	for _, s := range append(append(runs, attempts...), turns...) {
		if s.SpanContext.TraceID() != top.SpanContext.TraceID() || s.EndTime.Before(s.StartTime) || time.Since(s.StartTime) > time.Hour {
			t.Errorf("%s: trace %v, from %v to %v", s.Name, s.SpanContext.TraceID(), s.StartTime, s.EndTime)
		}
	}
	if dispatch := byName["dispatch f"][0]; len(dispatch.Links) != 1 || !dispatch.Links[0].SpanContext.Equal(
		runContextOf(top)) || dispatch.SpanContext.TraceID() == top.SpanContext.TraceID() {
		t.Errorf("dispatch %+v", dispatch)
	}
	if child.Status.Description != "ChildFailed" && !strings.HasPrefix(child.Status.Description, "Sad") {
		t.Errorf("status %+v", child.Status)
	}
}

// runContextOf is a run's span as a link names it.
func runContextOf(s tracetest.SpanStub) trace.SpanContext {
	return s.SpanContext.WithRemote(true)
}

// The exporters read the environment of the process.
func TestExport(t *testing.T) {
	var posts atomic.Int64
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/v1/traces" && bytes.Contains(body, []byte("attempt look")) && bytes.Contains(body, []byte("my-service")) {
			posts.Add(1)
		}
	}))
	defer server.Close()
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_SERVICE_NAME", "my-service")
	tracer, err := NewTracer(t.Context(), TraceOptions{Env: env(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL}), Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ran(t, tracer)
	if err := tracer.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	if posts.Load() == 0 {
		t.Error("nothing arrived")
	}
}

func env(vars map[string]string) func(string) string {
	return func(name string) string { return vars[name] }
}

func TestNewTracer(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		vars map[string]string
		want string // "off", "on" or part of the error
	}{
		{"nothing", nil, "off"},
		{"none", map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "off"},
		{"disabled", map[string]string{"OTEL_TRACES_EXPORTER": "console", "OTEL_SDK_DISABLED": "true"}, "off"},
		{"console", map[string]string{"OTEL_TRACES_EXPORTER": "console"}, "on"},
		{"grpc", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "on"},
		{"sampler", map[string]string{"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.1"}, "on"},
		{"exporter", map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, `there is no exporter "zipkin"`},
		{"protocol", map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/json"}, `there is no protocol "http/json"`},
		{"no sampler", map[string]string{"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "some"}, `there is no sampler "some"`},
		{"ratio", map[string]string{"OTEL_TRACES_EXPORTER": "console", "OTEL_TRACES_SAMPLER": "traceidratio", "OTEL_TRACES_SAMPLER_ARG": "7"}, `"7" is no ratio`},
	} {
		tracer, err := NewTracer(t.Context(), TraceOptions{Env: env(c.vars), Console: io.Discard, Log: slog.New(slog.DiscardHandler)})
		got := "on"
		switch {
		case err != nil:
			got = err.Error()
		case tracer == nil:
			got = "off"
		default:
			_ = tracer.Shutdown(t.Context())
		}
		if !strings.Contains(got, c.want) {
			t.Errorf("%s: %s, want %s", c.name, got, c.want)
		}
	}
}

// What the SDK would take no notice of is refused, with what to write.
func TestEndpointsWithoutAScheme(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ protocol, endpoint, want string }{
		{"", "http://localhost:4318", ""},
		{"", "HTTPS://collector/otlp", ""},
		{"", "localhost:4317", "localhost:4317 has no scheme, and its port is that of gRPC; write http://localhost:4317 with OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or http://localhost:4318, or https with TLS"},
		{"http/protobuf", " collector.example:4318 ", "collector.example:4318 has no scheme; write http://collector.example:4318, or https with TLS"},
		{"", "127.0.0.1:4318", "127.0.0.1:4318 has no scheme; write http://127.0.0.1:4318, or https with TLS"},
		{"", "ada:geheim@collector:4318", "collector:4318 has no scheme; write http://collector:4318, or https with TLS"},
		{"", "collector", "collector has no scheme; write http://collector, or https with TLS"},
		{"", "grpc://ada:geheim@collector:4317", "write http://HOST:PORT, or https with TLS"},
		{"", "http://", "is no http or https URL with a host"},
		{"grpc", "http://localhost:4317", ""},
		{"grpc", "localhost:4317", ""}, // a target of gRPC
		{"grpc", "dns:///collector:4317", ""},
		{"grpc", "127.0.0.1:4317", "127.0.0.1:4317 has no scheme; write http://127.0.0.1:4317, or https with TLS"},
	} {
		for _, name := range []string{"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"} {
			tracer, err := NewTracer(t.Context(), TraceOptions{
				Env: env(map[string]string{name: c.endpoint, "OTEL_EXPORTER_OTLP_PROTOCOL": c.protocol}), Log: slog.New(slog.DiscardHandler),
			})
			got := ""
			if err != nil {
				got = err.Error()
			} else {
				_ = tracer.Shutdown(t.Context())
			}
			if strings.Contains(got, "geheim") || c.want == "" && got != "" || !strings.Contains(got, c.want) || c.want != "" && !strings.HasPrefix(got, name) {
				t.Errorf("%s %s=%q: %q, want %q", c.protocol, name, c.endpoint, got, c.want)
			}
		}
	}
	vars := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "localhost:4317", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://localhost:4318"}
	tracer, err := NewTracer(t.Context(), TraceOptions{Env: env(vars), Log: slog.New(slog.DiscardHandler)})
	if err != nil { // the second is the one that counts
		t.Fatal(err)
	}
	_ = tracer.Shutdown(t.Context())
}
