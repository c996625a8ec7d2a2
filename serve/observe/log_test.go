package observe

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/slogtest"
	"time"

	"go.opentelemetry.io/otel/trace"
)

// TestLogHandler checks that LogHandler is a handler as slog defines it.
func TestLogHandler(t *testing.T) {
	for name, ctx := range map[string]context.Context{"no trace": context.Background(), "a trace": sampled(0)} {
		var b bytes.Buffer
		slogtest.Run(t, func(*testing.T) slog.Handler {
			b.Reset()
			return inContext{NewLogHandler(slog.NewJSONHandler(&b, nil), NewMetrics(noDepth)), ctx}
		}, func(t *testing.T) map[string]any {
			var record map[string]any
			if err := json.Unmarshal(b.Bytes(), &record); err != nil {
				t.Fatal(err)
			}
			if name == "a trace" {
				if record["trace_id"] != traceID || record["span_id"] != spanID {
					t.Errorf("%s: %s", name, &b)
				}
				delete(record, "trace_id")
				delete(record, "span_id")
			}
			return record
		})
	}
}

// inContext is a handler whose records have a context.
type inContext struct {
	slog.Handler
	ctx context.Context
}

func (h inContext) Handle(_ context.Context, r slog.Record) error { return h.Handler.Handle(h.ctx, r) }

func (h inContext) WithAttrs(a []slog.Attr) slog.Handler {
	return inContext{h.Handler.WithAttrs(a), h.ctx}
}

func (h inContext) WithGroup(name string) slog.Handler {
	return inContext{h.Handler.WithGroup(name), h.ctx}
}

// fullDisk is a log that cannot be written.
type fullDisk struct{}

func (fullDisk) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

// TestLogErrors checks that lost records are counted, whatever the logger was derived with.
func TestLogErrors(t *testing.T) {
	o := openWithLog(t, Config{}, slog.NewJSONHandler(fullDisk{}, nil))
	o.Log.Info("one")
	o.Log.With("a", 1).Warn("two")
	o.Log.WithGroup("g").With("b", 2).ErrorContext(sampled(0), "three")
	o.Log.Debug("not enabled")
	if text := scrape(t, o.Metrics, ""); !strings.Contains(text, "\ngarb_log_errors_total 3\n") {
		t.Errorf("%s", text)
	}
}

// TestExportedLogs checks that a collector gets the records that the log gets, with their trace.
func TestExportedLogs(t *testing.T) {
	c := startCollector(t)
	t.Setenv("OTEL_LOGS_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
	log := &buffer{}
	o := openWithLog(t, Config{}, slog.NewJSONHandler(log, nil))
	o.Log.InfoContext(sampled(trace.FlagsSampled), "request", "status", 200)
	o.Log.WithGroup("g").With("a", 1).Error("stopped")
	o.Log.Debug("not enabled")
	closeObserver(t, o)
	records := c.logs(t)
	if len(records) != 2 || strings.Count(log.String(), "\n") != 2 {
		t.Fatalf("%v\n%s", records, log)
	}
	if r := records[0]; r.Body.GetStringValue() != "request" || hexOf(r.TraceId) != traceID ||
		hexOf(r.SpanId) != spanID || values(r.Attributes)["status"] != int64(200) || r.SeverityText != "INFO" {
		t.Errorf("%v", r)
	}
	if r := records[1]; r.SeverityText != "ERROR" || len(r.TraceId) != 0 {
		t.Errorf("%v", r)
	}
}

// TestLogWithoutCollector checks that a failing export of logs does not export a record about itself.
func TestLogWithoutCollector(t *testing.T) {
	t.Setenv("OTEL_LOGS_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://127.0.0.1:1/v1/logs")
	t.Setenv("OTEL_BLRP_MAX_EXPORT_BATCH_SIZE", "1")
	log := &buffer{}
	o := openWithLog(t, Config{}, slog.NewJSONHandler(log, nil))
	o.Log.Info("hello")
	for deadline := time.Now().Add(2 * time.Minute); !strings.Contains(log.String(), `"signal":"logs"`); {
		if time.Now().After(deadline) {
			t.Fatal("the failure is not logged")
		}
		time.Sleep(time.Millisecond)
	}
	closeObserver(t, o)
	if text := scrape(t, o.Metrics, ""); !strings.Contains(text, `garb_export_errors_total{signal="logs"} 1`+"\n") {
		t.Errorf("%s", text)
	}
}
