// Traces: an engine's spans in the terms of OpenTelemetry.

package ops

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"strconv"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/senpuki/senpuki/activities"
	"github.com/senpuki/senpuki/engine"
)

// Tracer is an engine.Tracer that sends spans with OpenTelemetry. The ids of
// the spans of runs are hashes of what they are the spans of: that is how processes that
// never speak to each other, before and after a crash, put their spans into one trace.
type Tracer struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
}

// newTracer is a tracer on a provider made with the options of identified.
func newTracer(p *sdk.TracerProvider, version string) *Tracer {
	return &Tracer{provider: p, tracer: p.Tracer("github.com/senpuki/senpuki", trace.WithInstrumentationVersion(version))}
}

// Shutdown sends what is left and ends the tracer.
func (t *Tracer) Shutdown(ctx context.Context) error { return t.provider.Shutdown(ctx) }

// Begin implements engine.Tracer.
func (t *Tracer) Begin(ctx context.Context, s engine.Span) (context.Context, func(*activities.Failure)) {
	opts := []trace.SpanStartOption{trace.WithAttributes(attributes(&s)...)}
	if !s.Start.IsZero() {
		opts = append(opts, trace.WithTimestamp(s.Start))
	}
	switch {
	case s.Kind == engine.SpanDispatch:
		opts = append(opts, trace.WithSpanKind(trace.SpanKindProducer))
		if s.Trace != "" {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: runContext(s.Trace, s.Execution, s.Run)}))
		}
	case s.Kind == engine.SpanRun:
		ctx = context.WithValue(ctx, idsKey{}, ids{traceID(s.Trace), runID(s.Execution, s.Run)})
		if s.Parent.Execution == "" {
			opts = append(opts, trace.WithNewRoot())
		} else {
			ctx = trace.ContextWithRemoteSpanContext(ctx, runContext(s.Trace, s.Parent.Execution, s.Parent.Run))
		}
		if s.Run > 1 {
			opts = append(opts, trace.WithLinks(trace.Link{SpanContext: runContext(s.Trace, s.Execution, s.Run-1)}))
		}
	default:
		ctx = trace.ContextWithRemoteSpanContext(ctx, runContext(s.Trace, s.Execution, s.Run))
	}
	ctx, span := t.tracer.Start(ctx, string(s.Kind)+" "+s.Name, opts...)
	return ctx, func(f *activities.Failure) {
		if f != nil {
			span.SetStatus(codes.Error, f.Error())
			span.SetAttributes(attribute.String("error.type", f.Kind))
		}
		if s.End.IsZero() {
			span.End()
			return
		}
		span.End(trace.WithTimestamp(s.End))
	}
}

func attributes(s *engine.Span) []attribute.KeyValue {
	list := []attribute.KeyValue{attribute.String("senpuki.execution", s.Execution), attribute.Int("senpuki.run", s.Run)}
	if s.Kind == engine.SpanAttempt {
		return append(list, attribute.String("senpuki.activity", s.Name),
			attribute.String("senpuki.step", s.Step), attribute.Int("senpuki.attempt", s.Attempt))
	}
	return append(list, attribute.String("senpuki.workflow", s.Name))
}

func traceID(name string) trace.TraceID {
	sum := sha256.Sum256([]byte("trace\x00" + name))
	return trace.TraceID(sum[:16])
}

func runID(execution string, run int) trace.SpanID {
	sum := sha256.Sum256([]byte("run\x00" + execution + "\x00" + strconv.Itoa(run)))
	return trace.SpanID(sum[:8])
}

// runContext names the span of a run. Whether it is sampled follows from the trace's id alone.
func runContext(name, execution string, run int) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: traceID(name), SpanID: runID(execution, run), TraceFlags: trace.FlagsSampled, Remote: true,
	})
}

// idsKey is the key of the ids that the next span is to have.
type idsKey struct{}

type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

// generator makes ids: those that the context asks for, else random ones.
type generator struct{}

// NewIDs implements sdk.IDGenerator.
func (g generator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	if asked, ok := ctx.Value(idsKey{}).(ids); ok {
		return asked.trace, asked.span
	}
	var t trace.TraceID
	binary.NativeEndian.PutUint64(t[:8], rand.Uint64())
	binary.NativeEndian.PutUint64(t[8:], rand.Uint64()|1) // never all zero
	return t, g.NewSpanID(ctx, t)
}

// NewSpanID implements sdk.IDGenerator.
func (generator) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	if asked, ok := ctx.Value(idsKey{}).(ids); ok {
		return asked.span
	}
	var s trace.SpanID
	binary.NativeEndian.PutUint64(s[:], rand.Uint64()|1)
	return s
}
