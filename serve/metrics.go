package serve

import (
	"net/http"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// metrics are what /metrics tells. docs/operate.md lists them.
type metrics struct {
	registry  *prometheus.Registry
	requests  *prometheus.CounterVec   // by route, method and status
	latency   *prometheus.HistogramVec // of requests, by route
	stages    *prometheus.HistogramVec // of pictures, by stage
	batches   *prometheus.HistogramVec // by model
	classes   *prometheus.CounterVec   // by model and class
	rejected  *prometheus.CounterVec   // by reason
	panics    prometheus.Counter
	logErrors prometheus.Counter
	info      *prometheus.GaugeVec // by model, version and digest
	refusals  *prometheus.CounterVec
}

// The stages of a picture.
const (
	stageDecode    = "decode"
	stageQueue     = "queue"
	stageInference = "inference"
)

// newMetrics makes the metrics of a server, whose queue has depth pictures.
func newMetrics(depth func() float64) *metrics {
	seconds := []float64{.001, .0025, .005, .0075, .01, .015, .02, .03, .05, .075, .1, .25, .5, 1, 2.5, 5, 10, 30}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "garb_requests_total", Help: "Requests answered."}, []string{"route", "method", "status"}),
		latency: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "garb_request_seconds", Help: "Time from a request's header to its answer.", Buckets: seconds},
			[]string{"route"}),
		stages: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "garb_stage_seconds", Help: "Time of a picture in each stage: decode, queue, inference.", Buckets: seconds},
			[]string{"stage"}),
		batches: prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: "garb_batch_size", Help: "Pictures computed together.", Buckets: []float64{1, 2, 4, 8, 16, 32, 64}},
			[]string{"model"}),
		classes:   prometheus.NewCounterVec(prometheus.CounterOpts{Name: "garb_predictions_total", Help: "Pictures by their most probable class."}, []string{"model", "class"}),
		rejected:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "garb_rejected_total", Help: "Requests refused without work on them."}, []string{"reason"}),
		panics:    prometheus.NewCounter(prometheus.CounterOpts{Name: "garb_panics_total", Help: "Requests that failed in a way nobody expected."}),
		logErrors: prometheus.NewCounter(prometheus.CounterOpts{Name: "garb_log_errors_total", Help: "Lines that could not be written to the log."}),
		info:      prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: "garb_model_info", Help: "1 for each model that answers."}, []string{"model", "version", "digest"}),
		refusals:  prometheus.NewCounterVec(prometheus.CounterOpts{Name: "garb_model_refused_total", Help: "Versions that were not taken over."}, []string{"model"}),
	}
	m.registry.MustRegister(m.requests, m.latency, m.stages, m.batches, m.classes, m.rejected, m.panics, m.logErrors, m.info, m.refusals,
		prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "garb_queue_depth", Help: "Pictures under way."}, depth),
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{Registry: m.registry})
}

// request counts one that was answered. route is a pattern, so that its values are few.
func (m *metrics) request(route, method string, status int, took time.Duration) {
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.latency.WithLabelValues(route).Observe(took.Seconds())
}

func (m *metrics) stage(name string, took time.Duration) {
	m.stages.WithLabelValues(name).Observe(took.Seconds())
}

func (m *metrics) batch(model string, size int) {
	m.batches.WithLabelValues(model).Observe(float64(size))
}

// loaded says which version answers now, and which did before, nil if none.
func (m *metrics) loaded(before, now *version) {
	if before != nil {
		m.info.DeleteLabelValues(before.name, strconv.Itoa(before.number), before.Digest())
	}
	m.info.WithLabelValues(now.name, strconv.Itoa(now.number), now.Digest()).Set(1)
}

func (m *metrics) refused(model string) { m.refusals.WithLabelValues(model).Inc() }
