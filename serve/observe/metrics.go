package observe

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel/trace"
)

// Stage is a stage of a picture's classification.
type Stage string

// The stages.
const (
	StageDecode    Stage = "decode"
	StageQueue     Stage = "queue"
	StageInference Stage = "inference"
)

// Reason says why a request was rejected before any work was done for it.
type Reason string

// The reasons.
const (
	RejectedFull     Reason = "full"     // the queue has no free slot
	RejectedBodies   Reason = "bodies"   // request bodies use all of their memory
	RejectedKey      Reason = "key"      // the API key is missing or unknown
	RejectedLimit    Reason = "limit"    // the API key has reached one of its limits
	RejectedHost     Reason = "host"     // the Host header is not allowed
	RejectedOrigin   Reason = "origin"   // a web page of another origin sent the request
	RejectedStopping Reason = "stopping" // the service is shutting down
)

// The buckets of histograms, for times in seconds and for batch sizes.
var (
	secondsBounds = []float64{.001, .0025, .005, .0075, .01, .015, .02, .03, .05, .075, .1, .25, .5, 1, 2.5, 5, 10, 30}
	sizeBounds    = []float64{1, 2, 4, 8, 16, 32, 64}
)

// methods are the methods that metrics and spans name: clients may send any other.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
	http.MethodOptions}

func isKnownMethod(method string) bool { return slices.Contains(methods, method) }

// family describes a metric. docs/operate.md lists all of them.
type family struct {
	name, kind string
	labels     []string
	help       string
}

// Metrics are the metrics of a service. Its methods may be called at the same time.
type Metrics struct {
	registry *prometheus.Registry
	families []family // beside those of the Go runtime and of the process

	requests       *prometheus.CounterVec
	requestSeconds *prometheus.HistogramVec
	stageSeconds   *prometheus.HistogramVec
	rejected       *prometheus.CounterVec
	panics         *prometheus.CounterVec
	keyRequests    *prometheus.CounterVec
	keyPictures    *prometheus.CounterVec
	cache          *prometheus.CounterVec
	queueLimit     *prometheus.GaugeVec

	answersStored   *prometheus.CounterVec
	answersDropped  *prometheus.CounterVec
	answersFeedback *prometheus.CounterVec
	answersRemoved  *prometheus.CounterVec
	answersBytes    *prometheus.GaugeVec

	batchSize   *prometheus.HistogramVec
	predictions *prometheus.CounterVec
	refusals    *prometheus.CounterVec
	shadow      *prometheus.CounterVec
	shadowDrops *prometheus.CounterVec

	modelInfo       *prometheus.GaugeVec
	modelRefused    *prometheus.CounterVec
	modelUnreadable *prometheus.CounterVec

	reloads           *prometheus.CounterVec
	reloadFailed      *prometheus.GaugeVec
	connections       *prometheus.CounterVec
	certificateExpiry *prometheus.GaugeVec
	logErrors         *prometheus.CounterVec
	exportErrors      *prometheus.CounterVec

	mu       sync.Mutex
	versions []Version // that are being served
}

// NewMetrics returns the metrics of a service. queueDepth returns the number of pictures in flight.
func NewMetrics(queueDepth func() float64) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry()}
	m.registry.MustRegister(collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))

	m.requests = m.counter("garb_requests_total", "Requests answered.", "route", "method", "status")
	m.requestSeconds = m.histogram("garb_request_seconds", "Time from a request's header to its answer.",
		secondsBounds, "route")
	m.stageSeconds = m.histogram("garb_stage_seconds", "Time of a picture in each stage.", secondsBounds, "stage")
	m.gauge("garb_queue_depth", "Pictures in flight.", queueDepth)
	m.rejected = m.counter("garb_rejected_total", "Requests rejected before any work was done for them.", "reason")
	m.keyRequests = m.counter("garb_key_requests_total", "Requests answered, by the name of their API key.", "key",
		"status")
	m.keyPictures = m.counter("garb_key_pictures_total", "Pictures classified, by the name of their API key.", "key")
	m.queueLimit = m.gaugeVec("garb_queue_limit", "The largest number of pictures in flight.")
	m.cache = m.counter("garb_cache_total", "Pictures looked up in the cache of answers.", "result")

	m.answersStored = m.counter("garb_answers_stored_total", "Answers stored in the folder of answers.")
	m.answersDropped = m.counter("garb_answers_dropped_total", "Answers, or their pictures, that were not stored.",
		"reason")
	m.answersFeedback = m.counter("garb_answers_feedback_total", "Feedback stored.")
	m.answersRemoved = m.counter("garb_answers_removed_bytes_total",
		"Bytes of old answers and pictures that were removed to make room.")
	m.answersBytes = m.gaugeVec("garb_answers_bytes", "Size of the folder of answers.")

	m.batchSize = m.histogram("garb_batch_size", "Pictures computed together.", sizeBounds, "model")
	m.predictions = m.counter("garb_predictions_total",
		"Pictures by their most probable class, including refused pictures.", "model", "class")
	m.refusals = m.counter("garb_refusals_total",
		"Pictures that the model refused, because they show none of its classes.", "model")
	m.shadow = m.counter("garb_shadow_total",
		"Pictures that a shadow version classified too, by whether both versions chose the same class.", "model",
		"agrees")
	m.shadowDrops = m.counter("garb_shadow_dropped_total",
		"Pictures that a shadow version did not classify, because it or the service was busy, or because it failed.",
		"model")

	m.modelInfo = m.gaugeVec("garb_model_info", "1 for each active version.", "model", "version", "digest")
	m.modelRefused = m.counter("garb_model_refused_total", "Versions that could not be activated.", "model")
	m.modelUnreadable = m.counter("garb_model_unreadable_total",
		"Checks that could not read the files of an active version, which stays active.", "model")

	m.reloads = m.counter("garb_reloads_total", "Loads of files that may change while the service runs.", "file",
		"result")
	m.reloadFailed = m.gaugeVec("garb_reload_failed", "1 if the last load of a file failed.", "file")
	m.certificateExpiry = m.gaugeVec("garb_certificate_expiry_timestamp_seconds",
		"When the TLS certificate expires, in seconds since 1970.")
	m.connections = m.counter("garb_connection_events_total",
		"Limits that connections reached, and errors of the server outside of requests.",
		"event")
	m.panics = m.counter("garb_panics_total", "Unexpected failures; each is in the log.")
	m.logErrors = m.counter("garb_log_errors_total", "Log records that could not be written.")
	m.exportErrors = m.counter("garb_export_errors_total", "Failures to send telemetry to the collector.", "signal")
	m.createSeries()
	return m
}

// createSeries creates the series whose labels are known, so that their first increase is one from 0.
func (m *Metrics) createSeries() {
	for _, reason := range []Reason{RejectedFull, RejectedBodies, RejectedKey, RejectedLimit, RejectedHost,
		RejectedOrigin, RejectedStopping} {
		m.rejected.WithLabelValues(string(reason))
	}
	m.panics.WithLabelValues()
	m.logErrors.WithLabelValues()
}

func (m *Metrics) counter(name, help string, labels ...string) *prometheus.CounterVec {
	vec := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.register(vec, family{name, "counter", labels, help})
	return vec
}

func (m *Metrics) gaugeVec(name, help string, labels ...string) *prometheus.GaugeVec {
	vec := prometheus.NewGaugeVec(prometheus.GaugeOpts{Name: name, Help: help}, labels)
	m.register(vec, family{name, "gauge", labels, help})
	return vec
}

func (m *Metrics) gauge(name, help string, value func() float64) {
	m.register(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value),
		family{name, "gauge", nil, help})
}

// histogram creates a histogram with these buckets, and with native buckets for scrapers that support
// them. The native buckets grow by at most 10 % each; 160 of them cover 6 decades.
func (m *Metrics) histogram(name, help string, bounds []float64, label string) *prometheus.HistogramVec {
	vec := prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: name, Help: help, Buckets: bounds,
		NativeHistogramBucketFactor:     1.1,
		NativeHistogramMaxBucketNumber:  160,
		NativeHistogramMinResetDuration: time.Hour,
	}, []string{label})
	m.register(vec, family{name, "histogram", []string{label}, help})
	return vec
}

func (m *Metrics) register(c prometheus.Collector, f family) {
	m.registry.MustRegister(c)
	m.families = append(m.families, f)
}

// Handler returns the handler of /metrics. It answers in Prometheus's text format, in OpenMetrics
// (which has the exemplars) or in protobuf (which has the native histograms), as the client asks.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{EnableOpenMetrics: true, CoalesceGather: true})
}

// exemplar returns the labels that point from a metric to the context's trace. It returns nil if the
// trace is not sampled, since then no collector has it.
func exemplar(ctx context.Context) prometheus.Labels {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsSampled() {
		return nil
	}
	return prometheus.Labels{"trace_id": span.TraceID().String(), "span_id": span.SpanID().String()}
}

func observe(ctx context.Context, to prometheus.Observer, value float64) {
	to.(prometheus.ExemplarObserver).ObserveWithExemplar(value, exemplar(ctx))
}

// CountRequest counts a request that was answered. route is the pattern that it matched, or NoRoute,
// so the number of routes is bounded.
func (m *Metrics) CountRequest(ctx context.Context, route, method string, status int, took time.Duration) {
	if !isKnownMethod(method) {
		method = "other"
	}
	counter := m.requests.WithLabelValues(route, method, strconv.Itoa(status))
	counter.(prometheus.ExemplarAdder).AddWithExemplar(1, exemplar(ctx))
	observe(ctx, m.requestSeconds.WithLabelValues(route), took.Seconds())
}

// ObserveStage records the time that a picture spent in a stage.
func (m *Metrics) ObserveStage(ctx context.Context, stage Stage, took time.Duration) {
	observe(ctx, m.stageSeconds.WithLabelValues(string(stage)), took.Seconds())
}

// CountRejected counts a request that was rejected before any work was done for it.
func (m *Metrics) CountRejected(reason Reason) { m.rejected.WithLabelValues(string(reason)).Inc() }

// CountKeyRequest counts an answered request by the name of its API key. Call RemoveKey when the key
// is gone.
func (m *Metrics) CountKeyRequest(key string, status int) {
	m.keyRequests.WithLabelValues(key, strconv.Itoa(status)).Inc()
}

// CountKeyPictures counts pictures that were classified for an API key.
func (m *Metrics) CountKeyPictures(key string, pictures int) {
	m.keyPictures.WithLabelValues(key).Add(float64(pictures))
}

// RemoveKey removes the series of an API key.
func (m *Metrics) RemoveKey(key string) {
	m.keyRequests.DeletePartialMatch(prometheus.Labels{"key": key})
	m.keyPictures.DeletePartialMatch(prometheus.Labels{"key": key})
}

// CountCache counts a picture that was looked up in the cache of answers.
func (m *Metrics) CountCache(hit bool) {
	result := "miss"
	if hit {
		result = "hit"
	}
	m.cache.WithLabelValues(result).Inc()
}

// CreateAnswers creates the series of a service that keeps answers. reasons are those of
// CountAnswerDropped.
func (m *Metrics) CreateAnswers(reasons ...string) {
	for _, c := range []*prometheus.CounterVec{m.answersStored, m.answersFeedback, m.answersRemoved} {
		c.WithLabelValues()
	}
	for _, reason := range reasons {
		m.answersDropped.WithLabelValues(reason)
	}
}

// CountAnswer counts an answer that was stored.
func (m *Metrics) CountAnswer() { m.answersStored.WithLabelValues().Inc() }

// CountAnswerDropped counts an answer, or its picture, that was not stored. reason has few values.
func (m *Metrics) CountAnswerDropped(reason string) { m.answersDropped.WithLabelValues(reason).Inc() }

// CountFeedback counts feedback that was stored.
func (m *Metrics) CountFeedback() { m.answersFeedback.WithLabelValues().Inc() }

// CountAnswersRemoved counts bytes of old answers that were removed to make room.
func (m *Metrics) CountAnswersRemoved(bytes int64) {
	m.answersRemoved.WithLabelValues().Add(float64(bytes))
}

// SetAnswersBytes records the size of the folder of answers.
func (m *Metrics) SetAnswersBytes(bytes int64) { m.answersBytes.WithLabelValues().Set(float64(bytes)) }

// CountReload counts a load of a file that may change while the service runs, such as "keys", and records
// whether it failed.
func (m *Metrics) CountReload(file string, ok bool) {
	m.reloads.WithLabelValues(file, "success")
	m.reloads.WithLabelValues(file, "failure")
	result, failed := "success", 0.0
	if !ok {
		result, failed = "failure", 1
	}
	m.reloads.WithLabelValues(file, result).Inc()
	m.reloadFailed.WithLabelValues(file).Set(failed)
}

// CountConnection counts an event of a connection; its name has few values.
func (m *Metrics) CountConnection(event string) { m.connections.WithLabelValues(event).Inc() }

// CreateConnections creates the series of events, so that their first increase is one from 0.
func (m *Metrics) CreateConnections(events ...string) {
	for _, e := range events {
		m.connections.WithLabelValues(e)
	}
}

// SetQueueLimit records the largest number of pictures in flight.
func (m *Metrics) SetQueueLimit(pictures int) { m.queueLimit.WithLabelValues().Set(float64(pictures)) }

// SetCertificateExpiry records when the TLS certificate expires.
func (m *Metrics) SetCertificateExpiry(at time.Time) {
	m.certificateExpiry.WithLabelValues().Set(float64(at.Unix()))
}

// CountPanic counts a panic that was recovered.
func (m *Metrics) CountPanic() { m.panics.WithLabelValues().Inc() }

// CountLogError counts a log record that could not be written.
func (m *Metrics) CountLogError() { m.logErrors.WithLabelValues().Inc() }
