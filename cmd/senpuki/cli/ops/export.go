// Exporters of traces, by the standard environment variables of OpenTelemetry.

package ops

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/exporters/stdout/stdouttrace"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
)

// TraceOptions say where traces go.
type TraceOptions struct {
	Env     func(string) string // os.Getenv
	Console io.Writer           // for OTEL_TRACES_EXPORTER=console
	Version string
	Log     *slog.Logger // told when spans cannot be sent
}

// NewTracer makes the tracer that the environment asks for, nil when it asks
// for none: without an exporter and an endpoint, or with OTEL_SDK_DISABLED=true. The variables
// about endpoints, headers, TLS, batches, limits and the resource are those that the OpenTelemetry SDK for Go reads.
func NewTracer(ctx context.Context, o TraceOptions) (*Tracer, error) {
	exporter, err := newExporter(ctx, o)
	if exporter == nil || err != nil {
		return nil, err
	}
	sampler, err := newSampler(o.Env("OTEL_TRACES_SAMPLER"), o.Env("OTEL_TRACES_SAMPLER_ARG"))
	if err != nil {
		return nil, err
	}
	about, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "senpuki"), attribute.String("service.version", o.Version)),
		resource.WithTelemetrySDK(), resource.WithHost(), resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { o.Log.Warn("traces cannot be sent", "error", err) }))
	return newTracer(sdk.NewTracerProvider(
		sdk.WithBatcher(exporter), sdk.WithResource(about), sdk.WithSampler(sampler), sdk.WithIDGenerator(generator{}),
	), o.Version), nil
}

func newExporter(ctx context.Context, o TraceOptions) (sdk.SpanExporter, error) {
	if strings.EqualFold(o.Env("OTEL_SDK_DISABLED"), "true") {
		return nil, nil
	}
	name := o.Env("OTEL_TRACES_EXPORTER")
	if name == "" && (o.Env("OTEL_EXPORTER_OTLP_ENDPOINT") != "" || o.Env("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") != "") {
		name = "otlp"
	}
	switch name {
	case "", "none":
		return nil, nil
	case "console":
		return stdouttrace.New(stdouttrace.WithWriter(o.Console))
	case "otlp":
	default:
		return nil, fmt.Errorf("OTEL_TRACES_EXPORTER: there is no exporter %q; there are otlp, console, none", name)
	}
	protocol := o.Env("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL")
	if protocol == "" {
		protocol = o.Env("OTEL_EXPORTER_OTLP_PROTOCOL")
	}
	switch protocol {
	case "", "http/protobuf":
		return otlptracehttp.New(ctx)
	case "grpc":
		return otlptracegrpc.New(ctx)
	}
	return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: there is no protocol %q; there are http/protobuf, grpc", protocol)
}

// newSampler is a sampler by its standard name. What a parent was sampled as is
// not asked for: a run's span is made after those below it, so the trace's id must decide for all.
func newSampler(name, arg string) (sdk.Sampler, error) {
	switch strings.TrimPrefix(name, "parentbased_") {
	case "", "always_on":
		return sdk.AlwaysSample(), nil
	case "always_off":
		return sdk.NeverSample(), nil
	case "traceidratio":
		ratio := 1.0
		if arg != "" {
			var err error
			if ratio, err = strconv.ParseFloat(arg, 64); err != nil || !(ratio >= 0 && ratio <= 1) {
				return nil, fmt.Errorf("OTEL_TRACES_SAMPLER_ARG: %q is no ratio between 0 and 1", arg)
			}
		}
		return sdk.TraceIDRatioBased(ratio), nil
	}
	return nil, fmt.Errorf("OTEL_TRACES_SAMPLER: there is no sampler %q; there are always_on, always_off, traceidratio, each also with parentbased_ before it", name)
}
