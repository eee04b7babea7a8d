package telemetry

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/exaring/otelpgx"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/multitracer"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// Attributes of a request's span that OpenTelemetry has no names for.
const (
	RequestIDAttribute = attribute.Key("talon.request_id")
	RuleAttribute      = attribute.Key("talon.rule")
)

// exported are the attributes that leave the process. The libraries set others, such as the path of
// a request, which has guids, and its address.
var exported = map[attribute.Key]bool{
	RequestIDAttribute: true, RuleAttribute: true,
	"http.request.method": true, "http.response.status_code": true, "http.route": true,
	"db.system.name": true, "db.operation.batch.size": true,
	"pgx.rows_affected": true, "pgx.sql_state": true,
}

// instrumentation names the spans that this package begins.
const instrumentation = "talon.example/internal/telemetry"

// closeTimeout bounds the sending of the last spans.
const closeTimeout = 5 * time.Second

// Traces sends the spans of requests, of their statements and of their calls to the master patient
// index to a receiver. Nil traces do nothing.
type Traces struct {
	provider    *sdktrace.TracerProvider
	propagators propagation.TextMapPropagator
}

// OpenTraces returns traces of a version of the service that are sent by OTLP over HTTP to a URL.
// It does not connect. The standard variables OTEL_* of the process set the rest: the headers, the
// sampler, the queue.
func OpenTraces(ctx context.Context, url, version string) (*Traces, error) {
	exporter, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(url))
	if err != nil {
		return nil, fmt.Errorf("set up the sending of traces: %w", err)
	}
	described, err := resource.New(ctx,
		resource.WithAttributes(attribute.String("service.name", "talon"),
			attribute.String("service.version", version)),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("read OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return &Traces{
		provider: sdktrace.NewTracerProvider(
			sdktrace.WithResource(described), sdktrace.WithBatcher(discreet{exporter})),
		propagators: propagation.TraceContext{},
	}, nil
}

// LogTraceErrors lets the process log the failures of sending spans. The library has one place for
// them.
func LogTraceErrors(log *slog.Logger) {
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("send traces", "error", err) }))
}

// Close sends the last spans, for at most closeTimeout.
func (t *Traces) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), closeTimeout)
	defer cancel()
	_ = t.provider.Shutdown(ctx) // what is lost are a few spans
}

// Handler returns a handler whose requests have spans, which continue the traces of their clients.
// Health checks have none.
func (t *Traces) Handler(next http.Handler) http.Handler {
	if t == nil {
		return next
	}
	return otelhttp.NewHandler(next, "request", otelhttp.WithTracerProvider(t.provider),
		otelhttp.WithPropagators(t.propagators),
		otelhttp.WithFilter(func(r *http.Request) bool { return !strings.HasPrefix(r.URL.Path, "/health/") }))
}

// StartRequest names the span of a request, and gives it the request's id and route.
func StartRequest(ctx context.Context, operation, route, id string) {
	span := trace.SpanFromContext(ctx)
	span.SetName(operation)
	span.SetAttributes(RequestIDAttribute.String(id), attribute.String("http.route", route))
}

// Reject gives the span of a request the rule that has rejected it.
func Reject(ctx context.Context, rule string) {
	trace.SpanFromContext(ctx).SetAttributes(RuleAttribute.String(rule))
}

// TraceID returns the id of the trace that a context belongs to, or an empty text.
func TraceID(ctx context.Context) string {
	if known := trace.SpanContextFromContext(ctx); known.HasTraceID() {
		return known.TraceID().String()
	}
	return ""
}

// Tracer returns a tracer that also begins spans for statements of requests, with their names and
// without their parameters.
func (t *Traces) Tracer(tracer *Tracer) pgx.QueryTracer {
	if t == nil {
		return tracer
	}
	return multitracer.New(tracer, otelpgx.NewTracer(otelpgx.WithTracerProvider(t.provider),
		otelpgx.WithSpanNameFunc(QueryName), otelpgx.WithDisableSQLStatementInAttributes(),
		otelpgx.WithDisableConnectionDetailsInAttributes()))
}

// MipTransport returns a transport whose requests to the remote master patient index have spans,
// and tell it the trace.
func (t *Traces) MipTransport(next http.RoundTripper, purpose func(*http.Request) string) http.RoundTripper {
	if t == nil {
		return next
	}
	tracer := t.provider.Tracer(instrumentation)
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		ctx, span := tracer.Start(request.Context(), "mip "+purpose(request), trace.WithSpanKind(trace.SpanKindClient),
			trace.WithAttributes(attribute.String("http.request.method", request.Method)))
		defer span.End()
		traced := request.Clone(ctx) // a transport must not change the request
		t.propagators.Inject(ctx, propagation.HeaderCarrier(traced.Header))
		response, err := next.RoundTrip(traced)
		if err != nil {
			span.SetStatus(codes.Error, "")
			return nil, err //nolint:wrapcheck // a transport returns the error of the next one
		}
		span.SetAttributes(attribute.Int("http.response.status_code", response.StatusCode))
		return response, nil
	})
}

// discreet exports spans without what may have personal data: the attributes that are not in
// exported, the texts of errors, and events, which repeat them.
type discreet struct{ sdktrace.SpanExporter }

// ExportSpans implements sdktrace.SpanExporter.
func (d discreet) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	shown := make([]sdktrace.ReadOnlySpan, len(spans))
	for i, span := range spans {
		shown[i] = discreetSpan{span}
	}
	return d.SpanExporter.ExportSpans(ctx, shown) //nolint:wrapcheck // the SDK reports it
}

type discreetSpan struct{ sdktrace.ReadOnlySpan }

// Attributes implements sdktrace.ReadOnlySpan.
func (s discreetSpan) Attributes() (shown []attribute.KeyValue) {
	for _, one := range s.ReadOnlySpan.Attributes() {
		if exported[one.Key] {
			shown = append(shown, one)
		}
	}
	return shown
}

// Events implements sdktrace.ReadOnlySpan.
func (s discreetSpan) Events() []sdktrace.Event { return nil }

// Status implements sdktrace.ReadOnlySpan.
func (s discreetSpan) Status() sdktrace.Status {
	return sdktrace.Status{Code: s.ReadOnlySpan.Status().Code}
}
