// Package health is gRPC's health protocol: whether the service and each of its models serve.
package health

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"garb/serve/engine"
	"garb/serve/grpc"
	pb "garb/serve/healthpb"
	"garb/serve/request"
)

// Name is the name of the service.
const Name = "grpc.health.v1.Health"

// Watch is the path of the procedure whose responses do not end.
const Watch = "/" + Name + "/Watch"

// Handler handles the requests of the protocol.
type Handler struct {
	backend  *request.Backend
	services []string
	watches  atomic.Int64 // streams of Watch
}

// New returns the handler of a service, whose gRPC services have these names.
func New(b *request.Backend, services ...string) *Handler {
	return &Handler{backend: b, services: services}
}

// Register registers the procedures. None needs an API key, as probes have none.
func (h *Handler) Register(mux *http.ServeMux) {
	grpc.Handle(h.backend, mux, "/"+Name+"/Check", grpc.Open, h.check)
	grpc.Handle(h.backend, mux, "/"+Name+"/List", grpc.Open, h.list)
	grpc.HandleStream(h.backend, mux, Watch, grpc.Open, h.watch)
}

type status = pb.HealthCheckResponse_ServingStatus

// status returns the status of a name: "" for the service as a whole, a gRPC service, or a model.
func (h *Handler) status(name string) status {
	switch {
	case name != "" && !slices.Contains(h.services, name) && !slices.Contains(h.models(), name):
		return pb.HealthCheckResponse_SERVICE_UNKNOWN
	case h.backend.Ready() != nil:
		return pb.HealthCheckResponse_NOT_SERVING
	}
	return pb.HealthCheckResponse_SERVING
}

// models returns the names of the models that are ready.
func (h *Handler) models() (names []string) {
	for _, v := range h.backend.Models.List() {
		names = append(names, v.Name)
	}
	return names
}

func (h *Handler) check(_ context.Context, q *pb.HealthCheckRequest) (*pb.HealthCheckResponse, error) {
	s := h.status(q.Service)
	if s == pb.HealthCheckResponse_SERVICE_UNKNOWN {
		return nil, fmt.Errorf("%w: %.80q is neither a model nor a gRPC service", request.ErrNoService, q.Service)
	}
	return &pb.HealthCheckResponse{Status: s}, nil
}

func (h *Handler) list(context.Context, *pb.HealthListRequest) (*pb.HealthListResponse, error) {
	all := map[string]*pb.HealthCheckResponse{}
	for _, name := range slices.Concat([]string{""}, h.services, h.models()) {
		all[name] = &pb.HealthCheckResponse{Status: h.status(name)}
	}
	return &pb.HealthListResponse{Statuses: all}, nil
}

// maxWatches is the largest number of streams of Watch at a time. They need no API key and last as long as their
// clients like, so they must not take all connections: by default there may be twice as many.
const maxWatches = 512

// interval is the time between two looks at the status that a client watches.
const interval = time.Second

// watch sends the status at once and whenever it changes. The stream ends when the service stops, so that
// it does not hold the service up.
func (h *Handler) watch(ctx context.Context, s *grpc.Stream[pb.HealthCheckRequest, pb.HealthCheckResponse]) error {
	defer h.watches.Add(-1)
	if h.watches.Add(1) > maxWatches {
		return engine.ErrFull
	}
	q, err := s.Receive()
	if err != nil {
		return err
	}
	s.Release()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	sent := status(-1)
	for {
		if now := h.status(q.Service); now != sent {
			if err := s.Send(&pb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			sent = now
		}
		if h.backend.Scheduler.Stopping() {
			return engine.ErrStopping
		}
		select {
		case <-ticker.C:
		case <-h.backend.Scheduler.Stopped():
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}
