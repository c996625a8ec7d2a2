package observe

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"garb/model"
)

// Traceparent is the content of the W3C header "00-TRACE-SPAN-FLAGS": the trace that a request belongs
// to, the client's span, and the identifier of our own span.
type Traceparent struct{ trace, parent, span string }

// ParseTraceparent parses the header.
func ParseTraceparent(header string) Traceparent {
	parts := strings.Split(header, "-")
	t := Traceparent{span: randomHex(8)}
	if len(parts) >= 4 && parts[0] == "00" && isHex(parts[1], 32) && isHex(parts[2], 16) {
		t.trace, t.parent = parts[1], parts[2]
	}
	return t
}

func isHex(s string, length int) bool {
	_, err := hex.DecodeString(s)
	return len(s) == length && err == nil && strings.ToLower(s) == s && strings.Trim(s, "0") != ""
}

func randomHex(bytes int) string {
	b := make([]byte, bytes)
	rand.Read(b) // never fails
	return hex.EncodeToString(b)
}

// TraceID returns the identifier of the trace, "" if the client sent none.
func (t Traceparent) TraceID() string { return t.trace }

// Tracer sends a span for each request to a collector, in batches, as OTLP over HTTP in JSON
// (opentelemetry-proto, trace/v1). When the collector is slow or unreachable, spans are dropped:
// requests never wait for it.
type Tracer struct {
	endpoint string
	client   *http.Client
	log      *slog.Logger
	spans    chan span
	done     sync.WaitGroup
}

// span is the OTLP span of a request.
type span struct {
	TraceID    string      `json:"traceId"`
	SpanID     string      `json:"spanId"`
	ParentID   string      `json:"parentSpanId,omitempty"`
	Name       string      `json:"name"`
	Kind       int         `json:"kind"`
	Start      string      `json:"startTimeUnixNano"`
	End        string      `json:"endTimeUnixNano"`
	Attributes []attribute `json:"attributes"`
	Status     spanStatus  `json:"status"`
}

type spanStatus struct {
	Code int `json:"code,omitempty"`
}

type attribute struct {
	Key   string         `json:"key"`
	Value map[string]any `json:"value"`
}

// Enumerations of OTLP.
const (
	spanServer  = 2 // SPAN_KIND_SERVER
	statusError = 2 // STATUS_CODE_ERROR
)

const (
	spanQueue    = 1024
	spanBatch    = 128
	spanInterval = 2 * time.Second
	spanTimeout  = 5 * time.Second
)

// NewTracer starts a tracer. endpoint is the collector's URL; a missing path becomes the standard one
// of OTLP.
func NewTracer(endpoint string, log *slog.Logger) (*Tracer, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("traces: %q is not an http or https URL", endpoint)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	t := &Tracer{endpoint: u.String(), client: &http.Client{Timeout: spanTimeout}, log: log,
		spans: make(chan span, spanQueue)}
	t.done.Go(t.sendSpans)
	return t, nil
}

// Add queues the span of a request that has just been answered.
func (t *Tracer) Add(parent Traceparent, id, model, route string, status int, took time.Duration) {
	if t == nil {
		return
	}
	s := span{
		TraceID: parent.trace, SpanID: parent.span, ParentID: parent.parent, Name: route, Kind: spanServer,
		Start: nanoseconds(time.Now().Add(-took)), End: nanoseconds(time.Now()),
		Attributes: []attribute{
			{"http.route", map[string]any{"stringValue": route}},
			{"http.response.status_code", map[string]any{"intValue": strconv.Itoa(status)}},
			{"garb.request_id", map[string]any{"stringValue": id}},
		},
	}
	if s.TraceID == "" {
		s.TraceID = randomHex(16)
	}
	if model != "" {
		s.Attributes = append(s.Attributes, attribute{"garb.model", map[string]any{"stringValue": model}})
	}
	if status >= 500 {
		s.Status.Code = statusError
	}
	select {
	case t.spans <- s:
	default:
	}
}

func nanoseconds(t time.Time) string { return strconv.FormatInt(t.UnixNano(), 10) }

// sendSpans sends the queued spans at intervals until Close.
func (t *Tracer) sendSpans() {
	tick := time.NewTicker(spanInterval)
	defer tick.Stop()
	var batch []span
	for {
		select {
		case s, open := <-t.spans:
			if !open {
				t.send(batch)
				return
			}
			if batch = append(batch, s); len(batch) < spanBatch {
				continue
			}
		case <-tick.C:
		}
		t.send(batch)
		batch = nil
	}
}

func (t *Tracer) send(batch []span) {
	if len(batch) == 0 {
		return
	}
	text, err := json.Marshal(map[string]any{"resourceSpans": []any{map[string]any{
		"resource": map[string]any{"attributes": []attribute{{"service.name",
			map[string]any{"stringValue": "garb"}}, {"service.version", map[string]any{"stringValue": model.Version}}}},
		"scopeSpans": []any{map[string]any{"scope": map[string]string{"name": "garb/serve"}, "spans": batch}},
	}}})
	if err != nil {
		panic("serve: " + err.Error()) // our own values
	}
	ctx, cancel := context.WithTimeout(context.Background(), spanTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.endpoint, bytes.NewReader(text))
	if err != nil {
		return // the endpoint was checked
	}
	r.Header.Set("Content-Type", "application/json")
	a, err := t.client.Do(r)
	if err != nil {
		t.log.Warn("traces could not be sent", "spans", len(batch), "error", err.Error())
		return
	}
	defer a.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(a.Body, 1<<20))
	if a.StatusCode >= 300 {
		t.log.Warn("the collector refused traces", "spans", len(batch), "status", a.Status)
	}
}

// Close sends the remaining spans and stops the tracer.
func (t *Tracer) Close() {
	if t == nil {
		return
	}
	close(t.spans)
	t.done.Wait()
	t.client.CloseIdleConnections()
}
