package observe

import (
	"bytes"
	"compress/gzip"
	"encoding/hex"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	logpb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	metricpb "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	tracepb "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	commonpb "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	metrics "go.opentelemetry.io/proto/otlp/metrics/v1"
	trace "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector is an OTLP collector that keeps what it receives, over HTTP or gRPC.
type collector struct {
	*httptest.Server
	answer func(w http.ResponseWriter, r *http.Request) // instead of accepting, if not nil

	mu       sync.Mutex
	requests []received
}

// received is one request of an exporter.
type received struct {
	path   string
	header http.Header
	body   []byte
}

func startCollector(t testing.TB) *collector {
	t.Helper()
	c := &collector{}
	c.Server = httptest.NewUnstartedServer(http.HandlerFunc(c.receive))
	c.Config.Protocols = new(http.Protocols)
	c.Config.Protocols.SetHTTP1(true)
	c.Config.Protocols.SetUnencryptedHTTP2(true)
	c.Start()
	t.Cleanup(c.Close)
	return c
}

// receive keeps a request. gRPC's messages have a prefix of five bytes.
func (c *collector) receive(w http.ResponseWriter, r *http.Request) {
	if c.answer != nil {
		c.answer(w, r)
		return
	}
	from := io.Reader(r.Body)
	if r.Header.Get("Content-Encoding") == "gzip" {
		var err error
		if from, err = gzip.NewReader(r.Body); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
	}
	body, err := io.ReadAll(from)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	path := r.URL.Path
	if r.Header.Get("Content-Type") == "application/grpc" {
		body = body[min(5, len(body)):]
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		_, _ = w.Write(make([]byte, 5)) // an empty message
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.requests = append(c.requests, received{path, r.Header.Clone(), body})
}

// all returns the requests so far.
func (c *collector) all() []received {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]received(nil), c.requests...)
}

func decode(t testing.TB, body []byte, to proto.Message) {
	t.Helper()
	if err := proto.Unmarshal(body, to); err != nil {
		t.Fatal(err)
	}
}

// spans returns the spans so far, by name, and the attributes of their resource.
func (c *collector) spans(t testing.TB) (spans map[string]*trace.Span, resource map[string]any) {
	t.Helper()
	spans = map[string]*trace.Span{}
	for _, r := range c.all() {
		if !strings.Contains(strings.ToLower(r.path), "trace") {
			continue
		}
		var message tracepb.ExportTraceServiceRequest
		decode(t, r.body, &message)
		for _, rs := range message.ResourceSpans {
			resource = values(rs.Resource.Attributes)
			for _, ss := range rs.ScopeSpans {
				for _, s := range ss.Spans {
					if spans[s.Name] != nil {
						t.Errorf("two spans have the name %s", s.Name)
					}
					spans[s.Name] = s
				}
			}
		}
	}
	return spans, resource
}

// metrics returns the metrics of the last export, by name.
func (c *collector) metrics(t testing.TB) map[string]*metrics.Metric {
	t.Helper()
	found := map[string]*metrics.Metric{}
	for _, r := range c.all() {
		if !strings.Contains(strings.ToLower(r.path), "metric") {
			continue
		}
		var message metricpb.ExportMetricsServiceRequest
		decode(t, r.body, &message)
		for _, rm := range message.ResourceMetrics {
			for _, sm := range rm.ScopeMetrics {
				for _, m := range sm.Metrics {
					found[m.Name] = m
				}
			}
		}
	}
	return found
}

// logs returns the log records so far.
func (c *collector) logs(t testing.TB) []*logs.LogRecord {
	t.Helper()
	var found []*logs.LogRecord
	for _, r := range c.all() {
		if !strings.Contains(strings.ToLower(r.path), "log") {
			continue
		}
		var message logpb.ExportLogsServiceRequest
		decode(t, r.body, &message)
		for _, rl := range message.ResourceLogs {
			for _, sl := range rl.ScopeLogs {
				found = append(found, sl.LogRecords...)
			}
		}
	}
	return found
}

// values returns attributes as a map.
func values(attributes []*commonpb.KeyValue) map[string]any {
	all := map[string]any{}
	for _, a := range attributes {
		switch v := a.Value.Value.(type) {
		case *commonpb.AnyValue_StringValue:
			all[a.Key] = v.StringValue
		case *commonpb.AnyValue_IntValue:
			all[a.Key] = v.IntValue
		}
	}
	return all
}

// buffer is a log that can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

func hexOf(id []byte) string { return hex.EncodeToString(id) }
