package observe

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	tracepb "go.opentelemetry.io/proto/otlp/trace/v1"
	"go.uber.org/goleak"
)

// TestMain runs the tests without the variables of the caller, and checks that no goroutine is left.
func TestMain(m *testing.M) {
	for _, v := range os.Environ() {
		if name, _, _ := strings.Cut(v, "="); strings.HasPrefix(name, "OTEL_") {
			os.Unsetenv(name)
		}
	}
	goleak.VerifyTestMain(m)
}

const (
	traceID = "0af7651916cd43dd8448eb211c80319c"
	spanID  = "b7ad6b7169203331"
)

func noDepth() float64 { return 0 }

// open returns an observer with a log that drops everything.
func open(t testing.TB, c Config) *Observer {
	t.Helper()
	return openWithLog(t, c, slog.NewJSONHandler(io.Discard, nil))
}

func openWithLog(t testing.TB, c Config, handler slog.Handler) *Observer {
	t.Helper()
	o, err := New(c, handler, noDepth)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeObserver(t, o) })
	return o
}

// closeObserver sends what is left.
func closeObserver(t testing.TB, o *Observer) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := o.Close(ctx); err != nil {
		t.Error(err)
	}
}

func newRequest(method, path, traceparent string) *http.Request {
	r := httptest.NewRequest(method, path, nil)
	if traceparent != "" {
		r.Header.Set("Traceparent", traceparent)
	}
	return r
}

// TestSpans follows two requests, whose pictures are computed in one batch, to the collector.
func TestSpans(t *testing.T) {
	c := startCollector(t)
	o := open(t, Config{Version: "1.2.3", TraceEndpoint: c.URL})
	ctx := o.StartRequest(newRequest("POST", "/v1/classify", "00-"+traceID+"-"+spanID+"-01"), "my-id")
	other := o.StartRequest(newRequest("POST", "/v2/models/m/infer", ""), "other-id")

	_, decoding := Start(ctx, "decode")
	End(decoding, errors.New("truncated"))
	began := time.Unix(1000, 0)
	AddSpan(ctx, "queue", began, began.Add(time.Second))
	untraced := o.StartRequest(newRequest("GET", "/healthz", ""), "")
	computing, batch := StartBatch(context.Background(), "m", []context.Context{untraced, ctx, other})
	_, inference := Start(computing, "inference")
	inference.End()
	batch.End()
	EndRequest(ctx, "POST /v1/classify", "m", 200)
	EndRequest(other, "POST /v2/models/{model}/infer", "", 503)
	closeObserver(t, o)

	spans, resource := c.spans(t)
	root, second := spans["POST /v1/classify"], spans["POST /v2/models/{model}/infer"]
	if len(spans) != 6 || root == nil || second == nil {
		t.Fatalf("%d spans: %v", len(spans), spans)
	}
	checkParents(t, spans, root)
	checkAttributes(t, "the resource", resource, map[string]any{"service.name": "garb", "service.version": "1.2.3"})
	checkAttributes(t, "the request", values(root.Attributes), map[string]any{
		"http.request.method": "POST", "http.route": "/v1/classify", "http.response.status_code": int64(200),
		"url.path": "/v1/classify", "url.scheme": "http", "garb.model": "m", "garb.request_id": "my-id",
	})
	checkAttributes(t, "the failed request", values(second.Attributes), map[string]any{
		"http.route": "/v2/models/{model}/infer", "http.response.status_code": int64(503), "error.type": "503",
	})
	checkAttributes(t, "the batch", values(spans["batch"].Attributes),
		map[string]any{"garb.model": "m", "garb.batch_size": int64(3)})
	for name, want := range map[string]tracepb.Status_StatusCode{
		root.Name: tracepb.Status_STATUS_CODE_UNSET, second.Name: tracepb.Status_STATUS_CODE_ERROR,
		"decode": tracepb.Status_STATUS_CODE_ERROR, "batch": tracepb.Status_STATUS_CODE_UNSET,
	} {
		if got := spans[name].GetStatus().GetCode(); got != want {
			t.Errorf("the status of %s is %v, not %v", name, got, want)
		}
	}
	if s := spans["queue"]; s.StartTimeUnixNano != 1000e9 || s.EndTimeUnixNano != 1001e9 {
		t.Errorf("the queue's span is from %d to %d", s.StartTimeUnixNano, s.EndTimeUnixNano)
	}
	if root.Kind != tracepb.Span_SPAN_KIND_SERVER || spans["batch"].Kind != tracepb.Span_SPAN_KIND_INTERNAL {
		t.Errorf("kinds %v, %v", root.Kind, spans["batch"].Kind)
	}
}

// checkParents checks how the spans of TestSpans are connected.
func checkParents(t *testing.T, spans map[string]*tracepb.Span, root *tracepb.Span) {
	t.Helper()
	second := spans["POST /v2/models/{model}/infer"]
	if hexOf(root.TraceId) != traceID || hexOf(root.ParentSpanId) != spanID {
		t.Errorf("the request's span is in trace %x below %x", root.TraceId, root.ParentSpanId)
	}
	if len(second.ParentSpanId) != 0 || hexOf(second.TraceId) == traceID {
		t.Errorf("the second request's span is in trace %x below %x", second.TraceId, second.ParentSpanId)
	}
	for name, parent := range map[string]*tracepb.Span{
		"decode": root, "queue": root, "batch": root, "inference": spans["batch"],
	} {
		if s := spans[name]; hexOf(s.ParentSpanId) != hexOf(parent.SpanId) || hexOf(s.TraceId) != traceID {
			t.Errorf("%s is in trace %x below %x", name, s.TraceId, s.ParentSpanId)
		}
	}
	batch := spans["batch"]
	if l := batch.Links; len(l) != 2 || hexOf(l[0].SpanId) != hexOf(root.SpanId) ||
		hexOf(l[1].SpanId) != hexOf(second.SpanId) || hexOf(l[1].TraceId) != hexOf(second.TraceId) {
		t.Errorf("the batch's links: %v", l)
	}
	if l := second.Links; len(l) != 1 || hexOf(l[0].SpanId) != hexOf(batch.SpanId) {
		t.Errorf("the second request's links: %v", l)
	}
	if len(root.Links) != 0 {
		t.Errorf("the first request's links: %v", root.Links)
	}
}

func checkAttributes(t *testing.T, what string, have, want map[string]any) {
	t.Helper()
	for key, value := range want {
		if have[key] != value {
			t.Errorf("%s has %s = %v, not %v", what, key, have[key], value)
		}
	}
	for key := range have {
		if strings.Contains(key, "client") || strings.Contains(key, "peer") {
			t.Errorf("%s has the client's address: %s", what, key)
		}
	}
}

// TestTraceparent checks which headers name a trace, and which traces are exported.
func TestTraceparent(t *testing.T) {
	const ids = traceID + "-" + spanID
	for name, c := range map[string]struct {
		header            string
		continued, export bool
	}{
		"no header":               {"", false, true},
		"sampled":                 {"00-" + ids + "-01", true, true},
		"not sampled":             {"00-" + ids + "-00", true, false},
		"random trace ID":         {"00-" + ids + "-03", true, true},
		"random, not sampled":     {"00-" + ids + "-02", true, false},
		"version 00 with more":    {"00-" + ids + "-01-more", false, true},
		"version 01":              {"01-" + ids + "-01", true, true},
		"version 01, not sampled": {"01-" + ids + "-00", true, false},
		"version cc with more":    {"cc-" + ids + "-01-what-the-future-brings", true, true},
		"version cc, more flags":  {"cc-" + ids + "-09", true, true},
		"version fe":              {"fe-" + ids + "-01-", true, true},
		"version ff":              {"ff-" + ids + "-01", false, true},
		"version 01, no dash":     {"01-" + ids + "-01more", false, true},
		"no flags":                {"00-" + ids, false, true},
		"upper case":              {"00-" + strings.ToUpper(ids) + "-01", false, true},
		"no trace":                {"00-" + strings.Repeat("0", 32) + "-" + spanID + "-01", false, true},
		"no span":                 {"00-" + traceID + "-" + strings.Repeat("0", 16) + "-01", false, true},
		"short":                   {"00-" + ids[1:] + "-01", false, true},
		"text":                    {"hello", false, true},
	} {
		t.Run(name, func(t *testing.T) {
			collector := startCollector(t)
			o := open(t, Config{TraceEndpoint: collector.URL})
			ctx := o.StartRequest(newRequest("GET", "/v1/models", c.header), "id")
			_, child := Start(ctx, "decode")
			child.End()
			EndRequest(ctx, "GET /v1/models", "", 200)
			closeObserver(t, o)
			span := trace.SpanContextFromContext(ctx)
			if !span.IsValid() || (span.TraceID().String() == traceID) != c.continued ||
				span.SpanID().String() == spanID {
				t.Errorf("the context has trace %s and span %s", span.TraceID(), span.SpanID())
			}
			want := 0
			if c.export {
				want = 2
			}
			if spans, _ := collector.spans(t); len(spans) != want {
				t.Errorf("%d spans were sent, not %d", len(spans), want)
			}
		})
	}
}

// TestWithoutCollector checks that the client's trace is still known.
func TestWithoutCollector(t *testing.T) {
	o := open(t, Config{})
	ctx := o.StartRequest(newRequest("POST", "/v1/classify", "00-"+traceID+"-"+spanID+"-01"), "id")
	_, child := Start(ctx, "decode")
	if child.IsRecording() {
		t.Error("a span is recorded")
	}
	End(child, nil)
	EndRequest(ctx, NoRoute, "", 404)
	if got := trace.SpanContextFromContext(ctx); got.TraceID().String() != traceID || !got.IsSampled() {
		t.Errorf("%+v", got)
	}
	if got := trace.SpanContextFromContext(o.StartRequest(newRequest("GET", "/", ""), "")); got.IsValid() {
		t.Errorf("%+v", got)
	}
}

// TestProbesAreNotTraced checks that probes have no span, while their log records keep the trace.
func TestProbesAreNotTraced(t *testing.T) {
	c := startCollector(t)
	o := open(t, Config{TraceEndpoint: c.URL})
	for _, path := range []string{
		"/healthz", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready", "/grpc.health.v1.Health/Check",
		"/grpc.health.v1.Health/Watch", "/inference.GRPCInferenceService/ServerLive",
		"/inference.GRPCInferenceService/ServerReady",
	} {
		ctx := o.StartRequest(newRequest("GET", path, "00-"+traceID+"-"+spanID+"-01"), "id")
		_, child := Start(ctx, "child")
		child.End()
		EndRequest(ctx, "GET "+path, "", 200)
		if got := trace.SpanContextFromContext(ctx).TraceID().String(); got != traceID {
			t.Errorf("%s: the context has trace %s", path, got)
		}
	}
	for _, path := range []string{"/healthz/", "/metrics2", "/v2/healthy", "/"} {
		EndRequest(o.StartRequest(newRequest("GET", path, ""), ""), "GET "+path, "", 200)
	}
	closeObserver(t, o)
	if spans, _ := c.spans(t); len(spans) != 4 {
		t.Errorf("%v", spans)
	}
}

// TestNames checks the names of spans without a route or with a method that is not standard.
func TestNames(t *testing.T) {
	c := startCollector(t)
	o := open(t, Config{TraceEndpoint: c.URL})
	EndRequest(o.StartRequest(newRequest("GET", "/nowhere", ""), ""), NoRoute, "", 404)
	EndRequest(o.StartRequest(newRequest("BREW", "/pot", ""), ""), NoRoute, "", 405)
	EndRequest(o.StartRequest(newRequest("POST", "/a.B/C", ""), ""), "/a.B/C", "", 200)
	closeObserver(t, o)
	spans, _ := c.spans(t)
	if len(spans) != 3 || spans["GET"] == nil || spans["HTTP"] == nil || spans["/a.B/C"] == nil {
		t.Fatalf("%v", spans)
	}
	if v := values(spans["GET"].Attributes); v["http.route"] != nil {
		t.Errorf("%v", v)
	}
	checkAttributes(t, "BREW", values(spans["HTTP"].Attributes),
		map[string]any{"http.request.method": "_OTHER", "http.request.method_original": "BREW"})
	checkAttributes(t, "gRPC", values(spans["/a.B/C"].Attributes), map[string]any{"http.route": "/a.B/C"})
}

// TestCloseWhileTheCollectorHangs checks that Close ends with its context, counts what was lost, and
// leaves no goroutine. All three signals are being sent.
func TestCloseWhileTheCollectorHangs(t *testing.T) {
	for _, protocol := range []string{"http/protobuf", "grpc"} {
		t.Run(protocol, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			c := startCollector(t)
			arrived := make(chan struct{}, 100)
			c.answer = func(_ http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body) // so that the context ends with the connection
				arrived <- struct{}{}
				<-r.Context().Done()
			}
			t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", c.URL)
			t.Setenv("OTEL_EXPORTER_OTLP_PROTOCOL", protocol)
			t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
			t.Setenv("OTEL_LOGS_EXPORTER", "otlp")
			t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
			t.Setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "600000")
			t.Setenv("OTEL_BSP_EXPORT_TIMEOUT", "600000")
			log := &buffer{}
			o := openWithLog(t, Config{}, slog.NewJSONHandler(log, nil))
			for range 10 {
				EndRequest(o.StartRequest(newRequest("GET", "/", ""), ""), "GET /", "", 200)
			}
			o.Log.Info("hello")
			<-arrived
			ctx, cancel := context.WithCancel(t.Context())
			time.AfterFunc(50*time.Millisecond, cancel)
			closed := make(chan error, 1)
			go func() { closed <- o.Close(ctx) }()
			select {
			case err := <-closed:
				if err != nil {
					t.Error(err)
				}
			case <-time.After(2 * time.Minute):
				t.Fatal("Close hangs")
			}
			text := scrape(t, o.Metrics, "")
			for signal, want := range map[string]string{"traces": "10", "metrics": "1", "logs": "1"} {
				line := `garb_export_errors_total{signal="` + signal + `"} ` + want + "\n"
				if !strings.Contains(text, line) {
					t.Errorf("there is no %s", line)
				}
			}
			if n := strings.Count(log.String(), `"signal":"traces"`); n != 1 {
				t.Errorf("%d log records about traces:\n%s", n, log)
			}
			c.CloseClientConnections()
			c.Close()
		})
	}
}

// TestUnreachableCollector checks that requests go on, and that failures are counted and logged once.
func TestUnreachableCollector(t *testing.T) {
	c := startCollector(t)
	c.answer = func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not today", http.StatusBadRequest) }
	t.Setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "1")
	log := &buffer{}
	o := openWithLog(t, Config{TraceEndpoint: c.URL}, slog.NewJSONHandler(log, nil))
	for range 3 {
		EndRequest(o.StartRequest(newRequest("GET", "/", ""), ""), "GET /", "", 200)
	}
	closeObserver(t, o)
	if text := scrape(t, o.Metrics, ""); !strings.Contains(text, `garb_export_errors_total{signal="traces"} 3`) {
		t.Errorf("%s", text)
	}
	if text := log.String(); strings.Count(text, "\n") != 1 || !strings.Contains(text, "not today") {
		t.Errorf("%s", text)
	}
}

// FuzzStartRequest checks that no header can do harm, and that a trace is valid or absent.
func FuzzStartRequest(f *testing.F) {
	f.Add("00-"+traceID+"-"+spanID+"-01", "a=b,c@d=e")
	f.Add("cc-"+traceID+"-"+spanID+"-01-x", "")
	f.Add("", ",,=,")
	o, err := New(Config{}, slog.DiscardHandler, noDepth)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, parent, state string) {
		r := newRequest("GET", "/", parent)
		r.Header.Set("Tracestate", state)
		ctx := o.StartRequest(r, "id")
		span := trace.SpanContextFromContext(ctx)
		if span.HasTraceID() != span.HasSpanID() ||
			span.IsValid() && !strings.Contains(parent, span.TraceID().String()) {
			t.Errorf("%+v", span)
		}
	})
}
