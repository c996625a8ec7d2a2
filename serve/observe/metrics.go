package observe

import (
	"context"
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

// The metrics of /metrics, beside those of the process and of the Go runtime. docs/operate.md
// describes them.
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
	unreadable     = family{"garb_model_unreadable_total", []string{"model"}}
	shadow         = family{"garb_shadow_total", []string{"model", "agrees"}}
	shadowDropped  = family{"garb_shadow_dropped_total", []string{"model"}}

	families = []family{requestCount, requestSeconds, stageSeconds, batchSize, queueDepth, predictions, refusals,
		rejected, panics, logErrors, modelInfo, modelRefused, unreadable, shadow, shadowDropped}
)

// Families returns the names of the metrics, each with its labels.
func Families() map[string][]string {
	all := map[string][]string{}
	for _, f := range families {
		all[f.name] = f.labels
	}
	return all
}

var escapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`)

// withLabels returns the name of the family's metric with these values of its labels.
func (f family) withLabels(values ...string) string {
	if len(values) != len(f.labels) {
		panic("observe: wrong number of labels for " + f.name)
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

// The buckets of histograms, for times in seconds and for batch sizes.
var (
	secondsBounds = []float64{.001, .0025, .005, .0075, .01, .015, .02, .03, .05, .075, .1, .25, .5, 1, 2.5, 5, 10, 30}
	sizeBounds    = []float64{1, 2, 4, 8, 16, 32, 64}
)

// The stages of a classification.
const (
	StageDecode    = "decode"
	StageQueue     = "queue"
	StageInference = "inference"
)

// The reasons of rejections.
const (
	RejectedFull     = "full"
	RejectedStopping = "stopping"
	RejectedBodies   = "bodies"
	RejectedKey      = "key"
)

// Metrics are the metrics of a service.
type Metrics struct{ set *vm.Set }

// NewMetrics returns the metrics of a service; depth returns the number of pictures in its queue.
func NewMetrics(depth func() float64) *Metrics {
	set := vm.NewSet()
	set.NewGauge(queueDepth.withLabels(), depth)
	m := &Metrics{set}
	set.NewCounter(panics.withLabels())
	set.NewCounter(logErrors.withLabels())
	return m
}

func (m *Metrics) ServeHTTP(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; version=0.0.4; charset=utf-8")
	m.set.WritePrometheus(w)
	vm.WriteProcessMetrics(w)
}

func (m *Metrics) count(f family, values ...string) {
	m.set.GetOrCreateCounter(f.withLabels(values...)).Inc()
}

func (m *Metrics) observe(bounds []float64, value float64, f family, values ...string) {
	m.set.GetOrCreatePrometheusHistogramExt(f.withLabels(values...), bounds).Update(value)
}

// CountRequest counts a request that was answered. route is a pattern, so it has few values.
func (m *Metrics) CountRequest(_ context.Context, route, method string, status int, took time.Duration) {
	m.count(requestCount, route, method, strconv.Itoa(status))
	m.observe(secondsBounds, took.Seconds(), requestSeconds, route)
}

func (m *Metrics) ObserveStage(_ context.Context, name string, took time.Duration) {
	m.observe(secondsBounds, took.Seconds(), stageSeconds, name)
}

func (m *Metrics) CountBatch(model string, size int) {
	m.observe(sizeBounds, float64(size), batchSize, model)
}
func (m *Metrics) CountPrediction(model, class string) { m.count(predictions, model, class) }
func (m *Metrics) CountRefusal(model string)           { m.count(refusals, model) }
func (m *Metrics) CountRejected(reason string)         { m.count(rejected, reason) }
func (m *Metrics) CountPanic()                         { m.count(panics) }
func (m *Metrics) CountLogError()                      { m.count(logErrors) }
func (m *Metrics) CountModelRefused(model string)      { m.count(modelRefused, model) }

// CountModelUnreadable counts a check that could not read the files of a served model.
func (m *Metrics) CountModelUnreadable(model string) { m.count(unreadable, model) }

// CountShadow counts a picture that a shadow version classified too, by whether it chose the same
// class.
func (m *Metrics) CountShadow(model string, agrees bool) {
	m.count(shadow, model, strconv.FormatBool(agrees))
}

// CountShadowDropped counts a picture that a shadow version did not classify.
func (m *Metrics) CountShadowDropped(model string) { m.count(shadowDropped, model) }

// SetVersion records the version that is being served now.
func (m *Metrics) SetVersion(model string, number int, digest string, judges bool) {
	if judges { // created now, so that the first refusal is an increase from 0
		m.set.GetOrCreateCounter(refusals.withLabels(model))
	}
	m.set.GetOrCreateGauge(modelInfo.withLabels(model, strconv.Itoa(number), digest), func() float64 { return 1 })
}

// RemoveVersion removes what SetVersion recorded.
func (m *Metrics) RemoveVersion(model string, number int, digest string) {
	m.set.UnregisterMetric(modelInfo.withLabels(model, strconv.Itoa(number), digest))
}
