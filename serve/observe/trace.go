package observe

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
)

// Span is a part of a trace. Its End method ends it.
type Span = trace.Span

// NoRoute is the route of requests that match no pattern.
const NoRoute = "none"

// incoming reads a client's trace from the headers of W3C's Trace Context. Baggage is not read: nothing
// uses it, and OpenTelemetry's parser would log every malformed header that a client sends.
var incoming propagation.TraceContext

// probes are the paths that are never traced, since programs request them all the time. A path that
// ends in a slash stands for all paths below it.
var probes = []string{
	"/healthz", "/readyz", "/metrics", "/v2/health/", "/grpc.health.v1.Health/",
	"/inference.GRPCInferenceService/ServerLive", "/inference.GRPCInferenceService/ServerReady",
}

func isProbe(path string) bool {
	return slices.ContainsFunc(probes, func(p string) bool {
		return path == p || strings.HasSuffix(p, "/") && strings.HasPrefix(path, p)
	})
}

// StartRequest starts the span of a request, and returns the context for its work. The span is a child
// of the client's, if the request has a valid traceparent. Probes have no span. id is the request's
// identifier. Call EndRequest when the request has its answer.
func (o *Observer) StartRequest(r *http.Request, id string) context.Context {
	ctx := incoming.Extract(r.Context(), propagation.HeaderCarrier(r.Header))
	if isProbe(r.URL.Path) {
		return ctx
	}
	scheme := "http"
	if r.TLS != nil {
		scheme = "https"
	}
	attributes := []attribute.KeyValue{
		semconv.URLPath(r.URL.Path), semconv.URLScheme(scheme), attribute.String("garb.request_id", id),
	}
	method := r.Method
	if isKnownMethod(method) {
		attributes = append(attributes, semconv.HTTPRequestMethodKey.String(method))
	} else {
		attributes = append(attributes, semconv.HTTPRequestMethodOther, semconv.HTTPRequestMethodOriginal(method))
		method = "HTTP"
	}
	ctx, _ = o.tracer.Start(ctx, method, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(attributes...))
	return ctx
}

// EndRequest ends the span that StartRequest put into ctx. route is the pattern that the request
// matched, such as "POST /v1/classify", or NoRoute. model is the name of the model, or "".
func EndRequest(ctx context.Context, route, model string, status int) {
	span := trace.SpanFromContext(ctx)
	if !span.IsRecording() {
		return
	}
	if route != NoRoute {
		span.SetName(route)
		span.SetAttributes(semconv.HTTPRoute(route[strings.IndexByte(route, ' ')+1:]))
	}
	span.SetAttributes(semconv.HTTPResponseStatusCode(status))
	if model != "" {
		span.SetAttributes(attribute.String("garb.model", model))
	}
	if status >= 500 {
		span.SetStatus(codes.Error, "")
		span.SetAttributes(semconv.ErrorTypeKey.String(strconv.Itoa(status)))
	}
	span.End()
}

// Start starts a span as a child of the context's. If the context has no span of ours, as in a probe
// or without a collector, Start records nothing.
func Start(ctx context.Context, name string) (context.Context, Span) { return start(ctx, name) }

func start(ctx context.Context, name string, options ...trace.SpanStartOption) (context.Context, Span) {
	return trace.SpanFromContext(ctx).TracerProvider().Tracer(scope).Start(ctx, name, options...)
}

// End ends a span. An error other than nil is the span's status.
func End(span Span, err error) {
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}

// AddSpan adds a span for work that is already done, such as waiting in the queue.
func AddSpan(ctx context.Context, name string, began, ended time.Time) {
	_, span := start(ctx, name, trace.WithTimestamp(began))
	span.End(trace.WithTimestamp(ended))
}

// StartBatch starts the span of a batch. jobs are the contexts of its pictures. The span is a child of
// the first traced job's and has links to the spans of all traced jobs; jobs of other traces get a
// link to the batch. ctx is the context that the batch is computed with.
func StartBatch(ctx context.Context, model string, jobs []context.Context) (context.Context, Span) {
	var traced []Span
	var links []trace.Link
	for _, job := range jobs {
		if span := trace.SpanFromContext(job); span.IsRecording() {
			traced = append(traced, span)
			links = append(links, trace.Link{SpanContext: span.SpanContext()})
		}
	}
	if len(traced) == 0 {
		return ctx, trace.SpanFromContext(context.Background())
	}
	ctx, batch := start(trace.ContextWithSpan(ctx, traced[0]), "batch", trace.WithLinks(links...),
		trace.WithAttributes(attribute.String("garb.model", model), attribute.Int("garb.batch_size", len(jobs))))
	for _, span := range traced {
		if span.SpanContext().TraceID() != batch.SpanContext().TraceID() {
			span.AddLink(trace.Link{SpanContext: batch.SpanContext()})
		}
	}
	return ctx, batch
}
