package serve

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

// traceparent is the W3C's header of that name, "00-TRACE-SPAN-FLAGS": whose work a
// request is a part of. Our own part of it is a span with a number of its own.
type traceparent struct{ trace, parent, span string }

func parseTraceparent(header string) traceparent {
	parts := strings.Split(header, "-")
	t := traceparent{span: randomHex(8)}
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

// sound reports whether the client named a trace.
func (t traceparent) sound() bool { return t.trace != "" }

func (t traceparent) traceID() string { return t.trace }

// tracer sends a span for each request to a collector, in the JSON form of OTLP over
// HTTP (opentelemetry-proto, trace/v1), some at a time. When the collector is slow or
// away, spans are dropped: requests never wait for it.
type tracer struct {
	endpoint string
	client   *http.Client
	log      *slog.Logger
	spans    chan span
	done     sync.WaitGroup
}

// span is a request in OTLP's words.
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

// Of OTLP: the kind of spans of a server, and the status of failed ones.
const (
	spanServer  = 2
	statusError = 2
)

const (
	spanQueue    = 1024
	spanBatch    = 128
	spanInterval = 2 * time.Second
	spanTimeout  = 5 * time.Second
)

// newTracer begins to send. endpoint is a collector's address; without a path, OTLP's
// own is added.
func newTracer(endpoint string, log *slog.Logger) (*tracer, error) {
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, fmt.Errorf("traces: %q is no http or https address", endpoint)
	}
	if u.Path == "" || u.Path == "/" {
		u.Path = "/v1/traces"
	}
	t := &tracer{endpoint: u.String(), client: &http.Client{Timeout: spanTimeout}, log: log,
		spans: make(chan span, spanQueue)}
	t.done.Go(t.run)
	return t, nil
}

// add takes a request that was answered in the time that it took.
func (t *tracer) add(r *request, route string, status int, took time.Duration) {
	if t == nil {
		return
	}
	s := span{
		TraceID: r.trace.trace, SpanID: r.trace.span, ParentID: r.trace.parent, Name: route, Kind: spanServer,
		Start: nanoseconds(time.Now().Add(-took)), End: nanoseconds(time.Now()),
		Attributes: []attribute{
			{"http.route", map[string]any{"stringValue": route}},
			{"http.response.status_code", map[string]any{"intValue": strconv.Itoa(status)}},
			{"garb.request_id", map[string]any{"stringValue": r.id}},
		},
	}
	if s.TraceID == "" {
		s.TraceID = randomHex(16)
	}
	if r.model != "" {
		s.Attributes = append(s.Attributes, attribute{"garb.model", map[string]any{"stringValue": r.model}})
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

// run sends what has come, every so often, until close.
func (t *tracer) run() {
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

func (t *tracer) send(batch []span) {
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
		t.log.Warn("traces were not sent", "spans", len(batch), "error", err.Error())
		return
	}
	defer a.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(a.Body, 1<<20))
	if a.StatusCode >= 300 {
		t.log.Warn("traces were not taken", "spans", len(batch), "status", a.Status)
	}
}

// close sends what is left.
func (t *tracer) close() error {
	if t == nil {
		return nil
	}
	close(t.spans)
	t.done.Wait()
	t.client.CloseIdleConnections()
	return nil
}
