package observe_test

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"time"

	"garb/serve/observe"
)

// A service observes each request: its trace, its metrics and its log record.
func ExampleNew() {
	log := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: dropTime})
	o, err := observe.New(observe.Config{Version: "1.0"}, log, func() float64 { return 0 })
	if err != nil {
		fmt.Println(err)
		return
	}
	r := httptest.NewRequest(http.MethodPost, "/v1/classify", nil)
	r.Header.Set("Traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")

	ctx := o.StartRequest(r, "my-id")
	_, span := observe.Start(ctx, "decode")
	observe.End(span, nil)
	o.ObserveStage(ctx, observe.StageDecode, 2*time.Millisecond)
	o.CountRequest(ctx, "POST /v1/classify", r.Method, 200, 5*time.Millisecond)
	observe.EndRequest(ctx, "POST /v1/classify", "clothing", 200)
	o.Log.InfoContext(ctx, "request", "status", 200)

	if err := o.Close(context.Background()); err != nil {
		fmt.Println(err)
	}
	// Output:
	// level=INFO msg=request status=200 trace_id=0af7651916cd43dd8448eb211c80319c span_id=b7ad6b7169203331
}

// Metrics also work by themselves.
func ExampleMetrics() {
	m := observe.NewMetrics(func() float64 { return 3 })
	m.CountPrediction("clothing", "hat")

	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.Contains(line, "garb_queue_depth") || strings.Contains(line, "garb_predictions_total") {
			fmt.Print(line)
		}
	}
	// Output:
	// # HELP garb_predictions_total Pictures by their most probable class, including refused pictures.
	// # TYPE garb_predictions_total counter
	// garb_predictions_total{class="hat",model="clothing"} 1
	// # HELP garb_queue_depth Pictures in flight.
	// # TYPE garb_queue_depth gauge
	// garb_queue_depth 3
}

// A version that replaces another one takes its place in the metrics.
func ExampleMetrics_SetVersion() {
	m := observe.NewMetrics(func() float64 { return 0 })
	before := observe.Version{Model: "clothing", Number: 1, Digest: "sha256:a", Classes: []string{"hat"}}
	m.SetVersion(before)

	m.SetVersion(observe.Version{Model: "clothing", Number: 2, Digest: "sha256:b", Classes: []string{"hat", "shoe"}})
	m.RemoveVersion(before) // it gets no new requests
	m.ForgetVersion(before) // it has answered all of its requests

	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	for line := range strings.Lines(w.Body.String()) {
		if strings.HasPrefix(line, "garb_model_info") {
			fmt.Print(line)
		}
	}
	// Output:
	// garb_model_info{digest="sha256:b",model="clothing",version="2"} 1
}

// A LogHandler counts records that cannot be written.
func ExampleLogHandler() {
	m := observe.NewMetrics(func() float64 { return 0 })
	text := slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{ReplaceAttr: dropTime})
	log := slog.New(observe.NewLogHandler(text, m))
	log.Info("ready", "models", 2)
	// Output:
	// level=INFO msg=ready models=2
}

func dropTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
