package serve

import (
	"io"
	"net/http"
	"strconv"
	"strings"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
)

// family is a metric with the names of its labels.
type family struct {
	name   string
	labels []string
}

// The metrics that /metrics tells, beside those of the process and of Go's runtime.
// docs/operate.md says what each is.
var (
	requestCount   = family{"garb_requests_total", []string{"route", "method", "status"}}
	requestSeconds = family{"garb_request_seconds", []string{"route"}}
	stageSeconds   = family{"garb_stage_seconds", []string{"stage"}}
	batchSize      = family{"garb_batch_size", []string{"model"}}
	queueDepth     = family{"garb_queue_depth", nil}
	predictions    = family{"garb_predictions_total", []string{"model", "class"}}
	refusals       = family{"garb_refusals_total", []string{"model"}}
	rejected       = family{"garb_rejected_total", []string{"reason"}}
	panics         = family{"garb_panics_total", nil}
	logErrors      = family{"garb_log_errors_total", nil}
	modelInfo      = family{"garb_model_info", []string{"model", "version", "digest"}}
	modelRefused   = family{"garb_model_refused_total", []string{"model"}}

	families = []family{requestCount, requestSeconds, stageSeconds, batchSize, queueDepth, predictions, refusals,
		rejected, panics, logErrors, modelInfo, modelRefused}
)

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// of is the family's member with these values of its labels.
func (f family) of(values ...string) string {
	if len(values) != len(f.labels) {
		panic("serve: " + f.name + " has other labels")
	}
	if len(values) == 0 {
		return f.name
	}
	var b strings.Builder
	b.WriteString(f.name)
	for i, label := range f.labels {
		b.WriteByte("{,"[min(i, 1)])
		b.WriteString(label + `="` + escapes.Replace(values[i]) + `"`)
	}
	b.WriteByte('}')
	return b.String()
}

// The bounds of histograms: of times in seconds, and of sizes.
var (
	secondsBounds = []float64{.001, .0025, .005, .0075, .01, .015, .02, .03, .05, .075, .1, .25, .5, 1, 2.5, 5, 10, 30}
	sizeBounds    = []float64{1, 2, 4, 8, 16, 32, 64}
)

// The stages of a picture.
const (
	stageDecode    = "decode"
	stageQueue     = "queue"
	stageInference = "inference"
)

// metrics are those of one server.
type metrics struct {
	set               *vm.Set
	panics, logErrors *vm.Counter
}

// newMetrics makes the metrics of a server, whose queue has depth pictures.
func newMetrics(depth func() float64) *metrics {
	set := vm.NewSet()
	set.NewGauge(queueDepth.of(), depth)
	return &metrics{set, set.NewCounter(panics.of()), set.NewCounter(logErrors.of())}
}

func (m *metrics) handler(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	m.write(w)
}

func (m *metrics) write(w io.Writer) {
	m.set.WritePrometheus(w)
	vm.WriteProcessMetrics(w)
}

func (m *metrics) count(f family, values ...string) { m.set.GetOrCreateCounter(f.of(values...)).Inc() }

func (m *metrics) observe(bounds []float64, value float64, f family, values ...string) {
	m.set.GetOrCreatePrometheusHistogramExt(f.of(values...), bounds).Update(value)
}

// request counts one that was answered. route is a pattern, so that its values are few.
func (m *metrics) request(route, method string, status int, took time.Duration) {
	m.count(requestCount, route, method, strconv.Itoa(status))
	m.observe(secondsBounds, took.Seconds(), requestSeconds, route)
}

func (m *metrics) stage(name string, took time.Duration) {
	m.observe(secondsBounds, took.Seconds(), stageSeconds, name)
}

func (m *metrics) batch(model string, size int) {
	m.observe(sizeBounds, float64(size), batchSize, model)
}

// loaded says which version answers now, and which did before, nil if none.
func (m *metrics) loaded(before, now *version) {
	if before != nil {
		m.set.UnregisterMetric(modelInfo.of(before.name, strconv.Itoa(before.number), before.Digest()))
	}
	if now.judges() { // from 0 on: the first refusal is a change, too
		m.set.GetOrCreateCounter(refusals.of(now.name))
	}
	m.set.GetOrCreateGauge(modelInfo.of(now.name, strconv.Itoa(now.number), now.Digest()), func() float64 { return 1 })
}
