package serve

import (
	"net/http"

	"garb/serve/classify"
	"garb/serve/inference"
	"garb/serve/page"
	"garb/serve/request"
	"garb/serve/tensorflow"
)

// Handler returns the handler of all requests.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	// No API key is needed for what reveals nothing, nor for the page, which sends a key itself.
	mux.HandleFunc("GET /healthz", s.handleLive)
	mux.HandleFunc("GET /readyz", s.handleReady)
	page.Register(mux, page.Settings{
		MaxBytes:   min(s.config.Bodies.MaxBytes, s.config.Engine.Limits.MaxBytes),
		FirstModel: s.backend.Models.DefaultName(),
	})
	mux.Handle("POST /v1/classify", classify.New(&s.backend, s.config.Engine.Limits))
	mux.HandleFunc("GET /metrics", s.backend.RequireKey(s.observer.Handler().ServeHTTP))
	tensorflow.New(&s.backend).Register(mux)
	inference.New(&s.backend).Register(mux)
	return s.observe(handleMissing(mux))
}

// handleMissing returns a handler that responds to unknown paths and methods with our own errors, and
// passes all other requests on.
func handleMissing(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		// The mux knows whether the path has other methods, and which.
		probe := &headerOnly{header: http.Header{}}
		mux.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.header.Get("Allow"))
			request.WriteError(w, r, request.ErrMethod)
			return
		}
		request.WriteError(w, r, request.ErrNoRoute)
	})
}

// headerOnly records the status and header of a response.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) WriteHeader(status int)      { h.status = status }
func (h *headerOnly) Write(p []byte) (int, error) { return len(p), nil }
