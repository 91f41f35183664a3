// Exporters of traces, by the standard environment variables of OpenTelemetry.

package ops

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
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
		if err := checkEndpoint(o.Env, false); err != nil {
			return nil, err
		}
		return otlptracehttp.New(ctx)
	case "grpc":
		if err := checkEndpoint(o.Env, true); err != nil {
			return nil, err
		}
		return otlptracegrpc.New(ctx)
	}
	return nil, fmt.Errorf("OTEL_EXPORTER_OTLP_PROTOCOL: there is no protocol %q; there are http/protobuf, grpc", protocol)
}

// checkEndpoint refuses an endpoint that the SDK would take for a URL without a host, or pass over: then no span arrives, and little is
// said. For gRPC a host and port without a scheme are a target, over TLS.
func checkEndpoint(env func(string) string, grpc bool) error {
	name := "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
	text := strings.TrimSpace(env(name))
	if text == "" {
		name = "OTEL_EXPORTER_OTLP_ENDPOINT"
		if text = strings.TrimSpace(env(name)); text == "" {
			return nil // the SDK has one of its own
		}
	}
	u, err := url.Parse(text)
	web := err == nil && (strings.EqualFold(u.Scheme, "http") || strings.EqualFold(u.Scheme, "https"))
	switch {
	case web && u.Host != "", grpc && err == nil && !web:
		return nil
	case strings.Contains(text, "://"):
		return fmt.Errorf("%s is no http or https URL with a host; write http://HOST:PORT, or https with TLS", name)
	}
	text = text[strings.LastIndex(text, "@")+1:] // a password is nobody's business
	const grpcPort, httpPort = ":4317", ":4318"
	if host, is := strings.CutSuffix(text, grpcPort); is && !grpc {
		return fmt.Errorf("%s: %s has no scheme, and its port is that of gRPC; write http://%s with OTEL_EXPORTER_OTLP_PROTOCOL=grpc, or http://%s, or https with TLS",
			name, text, text, host+httpPort)
	}
	return fmt.Errorf("%s: %s has no scheme; write http://%s, or https with TLS", name, text, text)
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
