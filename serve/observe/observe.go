// Package observe reports what the service does: metrics for Prometheus, traces, and the log. With
// OpenTelemetry's variables (OTEL_*) it also sends traces, metrics and log records to a collector.
//
//	request → StartRequest → spans and stages → CountRequest, EndRequest → /metrics, log, collector
//
// A request never waits for the collector: what cannot be sent is lost and counted.
package observe

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net/url"

	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/sdk/resource"
	semconv "go.opentelemetry.io/otel/semconv/v1.43.0"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
)

// scope is the name of the instrumentation in traces and logs.
const scope = "garb/serve"

// Config holds the settings. OpenTelemetry's variables (OTEL_*) complement them.
type Config struct {
	// Version is the version of the program, for the attribute service.version.
	Version string
	// TraceEndpoint is the URL of a collector that receives traces by OTLP over HTTP. A missing
	// path means /v1/traces. It takes precedence over OTEL_TRACES_EXPORTER, OTEL_EXPORTER_OTLP_PROTOCOL
	// and OTEL_EXPORTER_OTLP_ENDPOINT, but not over OTEL_SDK_DISABLED. "" leaves the choice to them.
	TraceEndpoint string
}

// Validate reports settings and OTEL_* variables that cannot work.
func (c Config) Validate() error {
	if _, err := c.traceURL(); err != nil {
		return err
	}
	_, err := readEnvironment()
	return err
}

// traceURL returns the URL that traces are sent to, or "" if TraceEndpoint names none.
func (c Config) traceURL() (string, error) {
	if c.TraceEndpoint == "" {
		return "", nil
	}
	u, err := url.Parse(c.TraceEndpoint)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return "", fmt.Errorf("traces: %q is not an http or https URL", c.TraceEndpoint)
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return "", errors.New("traces: the endpoint must not contain a user name, a query or a fragment; " +
			"set OTEL_EXPORTER_OTLP_HEADERS to send credentials")
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	return u.String(), nil
}

// Observer has the metrics, the tracer and the log of a service.
type Observer struct {
	*Metrics
	// Log adds trace_id and span_id to records, counts records that cannot be written, and also
	// sends records to the collector if OTEL_LOGS_EXPORTER is otlp.
	Log *slog.Logger

	tracer  trace.Tracer
	exports *exports
}

// New starts an observer. Log records are written to handler. queueDepth returns the number of
// pictures in flight. Call Close at the end.
func New(c Config, handler slog.Handler, queueDepth func() float64) (*Observer, error) {
	endpoint, err := c.traceURL()
	if err != nil {
		return nil, err
	}
	env, err := readEnvironment()
	if err != nil {
		return nil, err
	}
	metrics := NewMetrics(queueDepth)
	o := &Observer{Metrics: metrics, Log: slog.New(NewLogHandler(handler, metrics))}
	o.tracer = noop.NewTracerProvider().Tracer(scope)
	if env.disabled {
		return o, nil
	}
	from, err := newResource(c.Version)
	if err != nil {
		return nil, err
	}
	// Failed exports are logged by o.Log as it is now, which does not send records to the collector.
	o.exports = newExports(metrics, o.Log)
	if endpoint != "" {
		env.traces = protocolHTTP
	}
	if env.traces != protocolNone {
		if o.tracer, err = o.exports.startTraces(env.traces, endpoint, from); err != nil {
			return nil, errors.Join(err, o.Close(context.Background()))
		}
	}
	if env.metrics != protocolNone {
		if err := o.exports.startMetrics(env.metrics, metrics.registry, from); err != nil {
			return nil, errors.Join(err, o.Close(context.Background()))
		}
	}
	if env.logs != protocolNone {
		provider, err := o.exports.startLogs(env.logs, from)
		if err != nil {
			return nil, errors.Join(err, o.Close(context.Background()))
		}
		remote := otelslog.NewHandler(scope, otelslog.WithLoggerProvider(provider))
		o.Log = slog.New(slog.NewMultiHandler(o.Log.Handler(), levelOf{remote, handler}))
	}
	return o, nil
}

// Close sends what has not been sent yet, and stops the observer. When ctx ends, the rest is lost.
func (o *Observer) Close(ctx context.Context) error {
	if o.exports == nil {
		return nil
	}
	return o.exports.close(ctx)
}

// newResource describes this process. OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES take precedence.
func newResource(version string) (*resource.Resource, error) {
	from, err := resource.New(context.Background(),
		resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(semconv.ServiceName("garb"), semconv.ServiceVersion(version),
			semconv.ServiceInstanceID(rand.Text())),
		resource.WithFromEnv())
	if err != nil {
		return nil, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	return from, nil
}
