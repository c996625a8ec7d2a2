package observe

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploggrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlplog/otlploghttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetricgrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracegrpc"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	sdkmetric "go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// exports are the connections to the collector.
type exports struct {
	metrics *Metrics
	log     *slog.Logger
	ctx     context.Context // ends when Close may not wait any longer
	cancel  context.CancelFunc
	stops   []func(context.Context) error
}

func newExports(m *Metrics, log *slog.Logger) *exports {
	e := &exports{metrics: m, log: log}
	e.ctx, e.cancel = context.WithCancel(context.Background())
	return e
}

// close sends what is left, and stops all exporters. When ctx ends, it cancels what is being sent, so
// no goroutine is left when it returns.
func (e *exports) close(ctx context.Context) error {
	defer e.cancel()
	defer context.AfterFunc(ctx, e.cancel)()
	var errs []error
	for _, stop := range e.stops {
		errs = append(errs, stop(context.WithoutCancel(ctx)))
	}
	e.stops = nil
	return errors.Join(errs...)
}

// startTraces returns a tracer whose spans are sent to the collector. endpoint is a URL; if it is "",
// the environment says where spans are sent to.
func (e *exports) startTraces(p protocol, endpoint string, from *resource.Resource) (trace.Tracer, error) {
	var exporter sdktrace.SpanExporter
	var err error
	switch {
	case p == protocolGRPC:
		exporter, err = otlptracegrpc.New(e.ctx)
	case endpoint != "":
		exporter, err = otlptracehttp.New(e.ctx, otlptracehttp.WithEndpointURL(endpoint))
	default:
		exporter, err = otlptracehttp.New(e.ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("traces: %w", err)
	}
	provider := sdktrace.NewTracerProvider(sdktrace.WithResource(from),
		sdktrace.WithBatcher(spanExporter{exporter, e.newSender("traces")}))
	e.stops = append(e.stops, provider.Shutdown)
	return provider.Tracer(scope), nil
}

// startMetrics sends the metrics of a registry to the collector at intervals.
func (e *exports) startMetrics(p protocol, registry prometheus.Gatherer, from *resource.Resource) error {
	var exporter sdkmetric.Exporter
	var err error
	if p == protocolGRPC {
		exporter, err = otlpmetricgrpc.New(e.ctx)
	} else {
		exporter, err = otlpmetrichttp.New(e.ctx)
	}
	if err != nil {
		return fmt.Errorf("metrics: %w", err)
	}
	reader := sdkmetric.NewPeriodicReader(metricExporter{exporter, e.newSender("metrics")},
		sdkmetric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(registry))))
	provider := sdkmetric.NewMeterProvider(sdkmetric.WithResource(from), sdkmetric.WithReader(reader))
	e.stops = append(e.stops, provider.Shutdown)
	return nil
}

// startLogs returns a provider whose records are sent to the collector.
func (e *exports) startLogs(p protocol, from *resource.Resource) (*sdklog.LoggerProvider, error) {
	var exporter sdklog.Exporter
	var err error
	if p == protocolGRPC {
		exporter, err = otlploggrpc.New(e.ctx)
	} else {
		exporter, err = otlploghttp.New(e.ctx)
	}
	if err != nil {
		return nil, fmt.Errorf("logs: %w", err)
	}
	provider := sdklog.NewLoggerProvider(sdklog.WithResource(from),
		sdklog.WithProcessor(sdklog.NewBatchProcessor(logExporter{exporter, e.newSender("logs")})))
	e.stops = append(e.stops, provider.Shutdown)
	return provider, nil
}

// sender runs the exports of a signal, and reports those that fail. The SDK would report them to a
// global handler instead.
type sender struct {
	signal   string
	failures prometheus.Counter
	log      *slog.Logger
	stopped  context.Context
	reported atomic.Int64 // when a failure was last logged, in nanoseconds since 1970
}

// reportInterval is the shortest time between two log records about a signal that cannot be sent.
const reportInterval = time.Minute

func (e *exports) newSender(signal string) *sender {
	return &sender{signal: signal, failures: e.metrics.exportErrors.WithLabelValues(signal), log: e.log, stopped: e.ctx}
}

// send calls export with a context that also ends when the observer is closed. It counts and logs the
// error, and returns nil.
func (s *sender) send(ctx context.Context, export func(context.Context) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(s.stopped, cancel)()
	err := export(ctx)
	if err == nil {
		return nil
	}
	s.failures.Inc()
	now, last := time.Now().UnixNano(), s.reported.Load()
	if now-last >= int64(reportInterval) && s.reported.CompareAndSwap(last, now) {
		s.log.Warn("telemetry could not be sent to the collector", "signal", s.signal, "error", err.Error())
	}
	return nil
}

type spanExporter struct {
	sdktrace.SpanExporter
	*sender
}

func (e spanExporter) ExportSpans(ctx context.Context, spans []sdktrace.ReadOnlySpan) error {
	return e.send(ctx, func(ctx context.Context) error { return e.SpanExporter.ExportSpans(ctx, spans) })
}

type metricExporter struct {
	sdkmetric.Exporter
	*sender
}

func (e metricExporter) Export(ctx context.Context, m *metricdata.ResourceMetrics) error {
	decodeExemplars(m)
	return e.send(ctx, func(ctx context.Context) error { return e.Exporter.Export(ctx, m) })
}

type logExporter struct {
	sdklog.Exporter
	*sender
}

func (e logExporter) Export(ctx context.Context, records []sdklog.Record) error {
	return e.send(ctx, func(ctx context.Context) error { return e.Exporter.Export(ctx, records) })
}

// decodeExemplars turns the ids of exemplars into bytes: the bridge from Prometheus leaves them as
// hexadecimal text, for which a collector refuses all metrics.
func decodeExemplars(m *metricdata.ResourceMetrics) {
	decodeID := func(id []byte, length int) []byte {
		if decoded, err := hex.DecodeString(string(id)); err == nil && len(decoded) == length {
			return decoded
		}
		return id
	}
	for _, scope := range m.ScopeMetrics {
		for _, metric := range scope.Metrics {
			sum, ok := metric.Data.(metricdata.Sum[float64])
			if !ok {
				continue // the bridge drops the exemplars of native histograms
			}
			for _, point := range sum.DataPoints {
				for i, e := range point.Exemplars {
					point.Exemplars[i].TraceID = decodeID(e.TraceID, len(trace.TraceID{}))
					point.Exemplars[i].SpanID = decodeID(e.SpanID, len(trace.SpanID{}))
				}
			}
		}
	}
}
