package observe

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.opentelemetry.io/otel/trace"
)

// scrape returns /metrics for a client that accepts a content type.
func scrape(t testing.TB, m *Metrics, accept string) string {
	t.Helper()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	r.Header.Set("Accept", accept)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, r)
	if w.Code != 200 {
		t.Fatalf("%d %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// sampled returns a context with a trace.
func sampled(flags trace.TraceFlags) context.Context {
	id, _ := trace.TraceIDFromHex(traceID)
	span, _ := trace.SpanIDFromHex(spanID)
	return trace.ContextWithSpanContext(context.Background(),
		trace.NewSpanContext(trace.SpanContextConfig{TraceID: id, SpanID: span, TraceFlags: flags}))
}

// count calls every method that changes a metric.
func count(ctx context.Context, m *Metrics) {
	m.SetVersion(Version{Model: "m", Number: 3, Digest: "sha256:abc", Classes: []string{"hat", "shoe"}, Judges: true})
	m.CountRequest(ctx, "POST /v1/classify", "POST", 200, 30*time.Millisecond)
	m.CountRequest(ctx, NoRoute, "BREW", 405, time.Millisecond)
	m.ObserveStage(ctx, StageDecode, 2*time.Millisecond)
	m.ObserveStage(ctx, StageQueue, 0)
	m.ObserveStage(ctx, StageInference, 5*time.Millisecond)
	m.CountBatch("m", 4)
	m.CountPrediction("m", "hat")
	m.CountRefusal("m")
	m.CountShadow("m", true)
	m.CountShadow("m", false)
	m.CountShadowDropped("m")
	m.CountRejected(RejectedFull)
	m.CountKeyRequest("shop", 200)
	m.CountKeyPictures("shop", 3)
	m.CountCache(true)
	m.CountCache(false)
	m.SetQueueLimit(256)
	m.SetCertificateExpiry(time.Unix(2e9, 0))
	m.CreateConnections("refused")
	m.CountConnection("refused")
	m.CreateAnswers("queue_full")
	m.CountAnswer()
	m.CountAnswerDropped("queue_full")
	m.CountFeedback()
	m.CountAnswersRemoved(100)
	m.SetAnswersBytes(1000)
	m.CountModelRefused("m")
	m.CountModelUnreadable("m")
	m.CountReload("keys", false)
	m.CountReload("certificate", true)
	m.CountPanic()
	m.CountLogError()
	m.exportErrors.WithLabelValues("traces").Inc()
	m.SetQueueLimit(256)
	m.SetCertificateExpiry(time.Unix(1e9, 0))
	m.CountConnection("evicted")
}

// parse reads metrics in Prometheus's text format.
func parse(t testing.TB, text string) map[string]*dto.MetricFamily {
	t.Helper()
	parser := expfmt.NewTextParser(model.LegacyValidation)
	families, err := parser.TextToMetricFamilies(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	return families
}

// TestMetricsText checks that every family has a help text, a type and its labels.
func TestMetricsText(t *testing.T) {
	m := NewMetrics(func() float64 { return 7 })
	count(context.Background(), m)
	found := parse(t, scrape(t, m, ""))
	for name, f := range found {
		if f.GetHelp() == "" || f.GetType() == dto.MetricType_UNTYPED {
			t.Errorf("%s has type %v and the help %q", name, f.GetType(), f.GetHelp())
		}
	}
	for _, want := range m.families {
		f := found[want.name]
		if f == nil {
			t.Errorf("%s is missing", want.name)
			continue
		}
		if got := strings.ToLower(f.GetType().String()); got != want.kind || f.GetHelp() != want.help {
			t.Errorf("%s is a %s: %q", want.name, got, f.GetHelp())
		}
		labels := slices.Sorted(slices.Values(want.labels))
		for _, metric := range f.Metric {
			var have []string
			for _, l := range metric.Label {
				have = append(have, l.GetName())
			}
			if !slices.Equal(have, labels) {
				t.Errorf("%s has the labels %v, not %v", want.name, have, labels)
			}
		}
		delete(found, want.name)
	}
	for name := range found {
		if !strings.HasPrefix(name, "go_") && !strings.HasPrefix(name, "process_") {
			t.Errorf("%s is not among the families", name)
		}
	}
	for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "process_open_fds"} {
		if found[name] == nil {
			t.Errorf("%s is missing", name)
		}
	}
}

// TestMetricsValues checks what each method changes.
func TestMetricsValues(t *testing.T) {
	m := NewMetrics(func() float64 { return 7 })
	count(context.Background(), m)
	text := scrape(t, m, "")
	for _, line := range []string{
		`garb_requests_total{method="POST",route="POST /v1/classify",status="200"} 1`,
		`garb_requests_total{method="other",route="none",status="405"} 1`,
		`garb_request_seconds_bucket{route="POST /v1/classify",le="0.02"} 0`,
		`garb_request_seconds_bucket{route="POST /v1/classify",le="0.03"} 1`,
		`garb_stage_seconds_count{stage="decode"} 1`, `garb_stage_seconds_count{stage="queue"} 1`,
		`garb_stage_seconds_sum{stage="inference"} 0.005`,
		`garb_batch_size_bucket{model="m",le="2"} 0`, `garb_batch_size_bucket{model="m",le="4"} 1`,
		`garb_queue_depth 7`, `garb_predictions_total{class="hat",model="m"} 1`, `garb_refusals_total{model="m"} 1`,
		`garb_shadow_total{agrees="true",model="m"} 1`, `garb_shadow_total{agrees="false",model="m"} 1`,
		`garb_rejected_total{reason="full"} 1`, `garb_rejected_total{reason="key"} 0`,
		`garb_rejected_total{reason="bodies"} 0`, `garb_rejected_total{reason="limit"} 0`,
		`garb_rejected_total{reason="host"} 0`, `garb_rejected_total{reason="origin"} 0`,
		`garb_rejected_total{reason="stopping"} 0`,
		`garb_key_requests_total{key="shop",status="200"} 1`, `garb_key_pictures_total{key="shop"} 3`,
		`garb_cache_total{result="hit"} 1`, `garb_cache_total{result="miss"} 1`,
		`garb_model_info{digest="sha256:abc",model="m",version="3"} 1`,
		`garb_model_refused_total{model="m"} 1`, `garb_model_unreadable_total{model="m"} 1`,
		`garb_reloads_total{file="keys",result="failure"} 1`, `garb_reloads_total{file="keys",result="success"} 0`,
		`garb_reloads_total{file="certificate",result="success"} 1`,
		`garb_reload_failed{file="keys"} 1`, `garb_reload_failed{file="certificate"} 0`,
		`garb_panics_total 1`, `garb_log_errors_total 1`, `garb_export_errors_total{signal="traces"} 1`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("there is no line %s", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
	m.CountReload("keys", true)
	m.RemoveKey("shop")
	text = scrape(t, m, "")
	if !strings.Contains(text, "\n"+`garb_reload_failed{file="keys"} 0`+"\n") || strings.Contains(text, "shop") {
		t.Errorf("%s", text)
	}
}

// TestBuckets checks the bounds of the classic buckets.
func TestBuckets(t *testing.T) {
	m := NewMetrics(noDepth)
	count(context.Background(), m)
	found := parse(t, scrape(t, m, ""))
	seconds := "0.001 0.0025 0.005 0.0075 0.01 0.015 0.02 0.03 0.05 0.075 0.1 0.25 0.5 1 2.5 5 10 30 +Inf"
	for name, want := range map[string]string{
		"garb_batch_size": "1 2 4 8 16 32 64 +Inf", "garb_stage_seconds": seconds, "garb_request_seconds": seconds,
	} {
		var have []string
		for _, b := range found[name].Metric[0].Histogram.Bucket {
			have = append(have, fmt.Sprint(b.GetUpperBound()))
		}
		if got := strings.Join(have, " "); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestExemplars checks that OpenMetrics has the ids of sampled traces, and of no others.
func TestExemplars(t *testing.T) {
	const accept = "application/openmetrics-text; version=1.0.0"
	const id = ` # {span_id="` + spanID + `",trace_id="` + traceID + `"} `
	m := NewMetrics(noDepth)
	count(sampled(trace.FlagsSampled), m)
	text := scrape(t, m, accept)
	if !strings.HasSuffix(text, "# EOF\n") {
		t.Errorf("%s", text)
	}
	found := map[string]bool{}
	for line := range strings.Lines(text) {
		name, _, _ := strings.Cut(line, "{")
		if strings.Contains(line, "trace_id") && !strings.Contains(strings.ReplaceAll(line,
			`{trace_id="`+traceID+`",span_id="`+spanID+`"}`, id[3:len(id)-1]), id) {
			t.Errorf("%s", line)
		}
		if strings.Contains(line, traceID) {
			found[name] = true
		}
	}
	want := map[string]bool{
		"garb_requests_total": true, "garb_request_seconds_bucket": true, "garb_stage_seconds_bucket": true,
	}
	if !reflect.DeepEqual(found, want) {
		t.Errorf("exemplars in %v", found)
	}
	for name, ctx := range map[string]context.Context{"no trace": context.Background(), "not sampled": sampled(0)} {
		m := NewMetrics(noDepth)
		count(ctx, m)
		if strings.Contains(scrape(t, m, accept), "trace_id") {
			t.Errorf("%s: there are exemplars", name)
		}
	}
}

// TestNativeHistograms checks that protobuf has native buckets beside the classic ones.
func TestNativeHistograms(t *testing.T) {
	m := NewMetrics(noDepth)
	count(sampled(trace.FlagsSampled), m)
	for i := range 100_000 { // from 1 ns to 28 hours
		m.ObserveStage(context.Background(), StageQueue, time.Duration(1+i*i*i/10))
	}
	const accept = "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; encoding=delimited"
	decoder := expfmt.NewDecoder(bytes.NewReader([]byte(scrape(t, m, accept))),
		expfmt.NewFormat(expfmt.TypeProtoDelim))
	found := map[string]*dto.MetricFamily{}
	for {
		var f dto.MetricFamily
		err := decoder.Decode(&f)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		found[f.GetName()] = &f
	}
	for _, name := range []string{"garb_request_seconds", "garb_stage_seconds", "garb_batch_size"} {
		for _, metric := range found[name].GetMetric() {
			h := metric.GetHistogram()
			var buckets uint32
			for _, span := range h.GetPositiveSpan() {
				buckets += span.GetLength()
			}
			if buckets > 160 || buckets == 0 && h.GetZeroCount() == 0 || len(h.GetBucket()) < 7 {
				t.Errorf("%s has %d native and %d classic buckets", name, buckets, len(h.GetBucket()))
			}
		}
	}
	if e := found["garb_request_seconds"].GetMetric()[0].GetHistogram().GetExemplars(); len(e) != 1 ||
		!strings.Contains(e[0].String(), traceID) {
		t.Errorf("%v", e)
	}
}

// TestVersions checks which series go when versions do.
func TestVersions(t *testing.T) {
	m := NewMetrics(noDepth)
	first := Version{"m", 1, "sha256:a", []string{"hat", "shoe"}, true}
	second := Version{"m", 2, "sha256:b", []string{"shoe", "coat"}, false}
	m.SetVersion(Version{"other", 1, "sha256:a", []string{"hat"}, false})
	m.SetVersion(first)
	for _, name := range []string{"m", "other"} {
		m.CountPrediction(name, "hat")
		m.CountPrediction(name, "shoe")
		m.CountBatch(name, 1)
		m.CountModelRefused(name)
		m.CountModelUnreadable(name)
		m.CountShadow(name, true)
		m.CountShadowDropped(name)
	}
	series := func() string {
		var names []string
		for line := range strings.Lines(scrape(t, m, "")) {
			if strings.HasPrefix(line, "garb_") && strings.Contains(line, `model="m"`) &&
				!strings.Contains(line, "_bucket") && !strings.Contains(line, "_sum") {
				name, rest, _ := strings.Cut(strings.TrimPrefix(line, "garb_"), "{")
				rest, _, _ = strings.Cut(rest, "}")
				names = append(names, name+" "+strings.ReplaceAll(strings.ReplaceAll(rest, `model="m"`, ""), `"`, ""))
			}
		}
		return strings.Join(names, "\n")
	}
	const rest = "\nmodel_refused_total \nmodel_unreadable_total "
	step := func(what, want string) {
		t.Helper()
		if got := series(); got != want {
			t.Errorf("%s:\n%s\nwant:\n%s", what, got, want)
		}
	}
	step("one version", "batch_size_count \nmodel_info digest=sha256:a,,version=1"+rest+
		"\npredictions_total class=hat,\npredictions_total class=shoe,\nrefusals_total \nshadow_dropped_total "+
		"\nshadow_total agrees=true,")
	m.SetVersion(second)
	m.RemoveVersion(first)
	step("the second one", "batch_size_count \nmodel_info digest=sha256:b,,version=2"+rest+
		"\npredictions_total class=hat,\npredictions_total class=shoe,\nrefusals_total \nshadow_dropped_total "+
		"\nshadow_total agrees=true,")
	m.ForgetVersion(first)
	step("the first one is forgotten", "batch_size_count \nmodel_info digest=sha256:b,,version=2"+rest+
		"\npredictions_total class=shoe,\nshadow_dropped_total \nshadow_total agrees=true,")
	m.SetVersion(second) // the same files again
	m.RemoveVersion(second)
	m.ForgetVersion(second)
	step("the second one twice", "batch_size_count \nmodel_info digest=sha256:b,,version=2"+rest+
		"\npredictions_total class=shoe,\nshadow_dropped_total \nshadow_total agrees=true,")
	m.RemoveVersion(second)
	m.ForgetVersion(second)
	step("no version", "")
	if text := scrape(t, m, ""); strings.Count(text, `model="other"`) < 6 {
		t.Errorf("the other model's series:\n%s", text)
	}
}

// TestExportedMetrics checks that a collector gets the same metrics as a scraper.
func TestExportedMetrics(t *testing.T) {
	c := startCollector(t)
	t.Setenv("OTEL_METRICS_EXPORTER", "otlp")
	t.Setenv("OTEL_EXPORTER_OTLP_METRICS_ENDPOINT", c.URL+"/v1/metrics")
	o := open(t, Config{})
	count(sampled(trace.FlagsSampled), o.Metrics)
	closeObserver(t, o)
	found := c.metrics(t)
	for _, f := range o.families {
		if m := found[f.name]; m == nil || m.Description != f.help {
			t.Errorf("%s: %v", f.name, m)
		}
	}
	points := found["garb_requests_total"].GetSum().GetDataPoints()
	if len(points) != 2 || points[0].GetAsDouble() != 1 || len(points[0].Exemplars) != 1 ||
		hexOf(points[0].Exemplars[0].TraceId) != traceID {
		t.Errorf("%v", points)
	}
	h := found["garb_request_seconds"].GetExponentialHistogram().GetDataPoints()
	if len(h) != 2 || h[0].Count != 1 {
		t.Errorf("%v", h)
	}
}
