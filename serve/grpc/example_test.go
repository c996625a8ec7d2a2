package grpc_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"

	"garb/serve/engine"
	"garb/serve/grpc"
	"garb/serve/healthpb"
	"garb/serve/observe"
	"garb/serve/request"
)

// A procedure answers a message with a message. Its errors become codes of gRPC.
func ExampleHandle() {
	metrics := observe.NewMetrics(func() float64 { return 0 })
	backend := &request.Backend{
		Probes: request.NewBodies(request.ProbeBodyConfig(), metrics), Metrics: metrics,
		Scheduler: engine.NewScheduler(engine.DefaultConfig(), metrics),
	}
	mux := http.NewServeMux()
	grpc.Handle(backend, mux, "/example.Service/Check", grpc.Open,
		func(_ context.Context, q *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
			return nil, fmt.Errorf("%w: there is no name", request.ErrInvalid)
		})
	r := httptest.NewRequest(http.MethodPost, "/example.Service/Check", strings.NewReader("\x00\x00\x00\x00\x00"))
	r.Header.Set("Content-Type", "application/grpc")
	w := httptest.NewRecorder()
	mux.ServeHTTP(w, r)
	answer := w.Result()
	fmt.Println(answer.StatusCode, answer.Trailer.Get("Grpc-Status"), answer.Trailer.Get("Grpc-Message"))
	// Output: 200 3 the request is invalid: there is no name
}

// Errors of requests have the codes that gRPC has for them.
func ExampleCode() {
	fmt.Println(grpc.Code(http.StatusNotFound), grpc.Code(http.StatusTooManyRequests))
	// Output: not_found resource_exhausted
}
