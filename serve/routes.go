package serve

import (
	"errors"
	"net/http"

	"garb/serve/classify"
	"garb/serve/inference"
	"garb/serve/observe"
	"garb/serve/origin"
	"garb/serve/page"
	"garb/serve/request"
	"garb/serve/tensorflow"
)

// Handler returns the handler of all requests, for a server of your own. The Host header is not checked
// there, see origin.Config.Loopback.
func (s *Server) Handler() http.Handler { return s.handler(false) }

// handler returns the handler of all requests. loopback says that a listener is on a loopback address.
func (s *Server) handler(loopback bool) http.Handler {
	mux := http.NewServeMux()
	// No API key is needed for what reveals nothing, nor for the page, which sends a key itself.
	mux.HandleFunc("GET /healthz", s.handleLive)
	mux.HandleFunc("GET /readyz", s.handleReady)
	page.Register(mux, func() page.Settings {
		c := s.settings()
		return page.Settings{
			MaxBytes: min(c.Bodies.MaxBytes, c.Engine.Limits.MaxBytes), FirstModel: s.backend.Models.DefaultName(),
		}
	})
	mux.Handle("POST /v1/classify", classify.New(&s.backend))
	mux.HandleFunc("POST /v1/feedback", s.backend.RequireKey(s.handleFeedback))
	mux.HandleFunc("GET /metrics", s.backend.RequireKey(s.observer.Handler().ServeHTTP))
	tensorflow.New(&s.backend).Register(mux)
	inference.New(&s.backend).Register(mux)
	return s.observe(s.protect(loopback, s.limitTime(handleMissing(mux))))
}

// adminHandler returns the handler of the listener for probes and metrics, which needs no API key.
func (s *Server) adminHandler(loopback bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.handleLive)
	mux.HandleFunc("GET /readyz", s.handleReady)
	mux.Handle("GET /metrics", s.observer.Handler())
	return s.observe(s.protect(loopback, s.limitTime(handleMissing(mux))))
}

// protect returns a handler that refuses requests of web pages that may not use the service.
func (s *Server) protect(loopback bool, next http.Handler) http.Handler {
	c := s.settings().Origin
	c.Loopback = loopback
	wrap, err := origin.New(c, func(w http.ResponseWriter, r *http.Request, err error) {
		reason := observe.RejectedOrigin
		if errors.Is(err, origin.ErrHost) {
			reason = observe.RejectedHost
		}
		s.observer.CountRejected(reason)
		request.WriteError(w, r, err)
	})
	if err != nil {
		panic("serve: " + err.Error()) // validated
	}
	return wrap(next)
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
