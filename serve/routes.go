package serve

import (
	"errors"
	"net/http"
	"path"
	"slices"
	"strings"

	"garb/serve/classify"
	"garb/serve/grpc"
	"garb/serve/health"
	"garb/serve/inference"
	"garb/serve/observe"
	"garb/serve/origin"
	"garb/serve/page"
	"garb/serve/request"
	"garb/serve/tensorflow"
	"garb/serve/trypage"
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
			Try: s.try != nil,
		}
	})
	if s.try != nil {
		s.try.Register(mux)
	}
	mux.Handle("POST /v1/classify", classify.New(&s.backend))
	mux.HandleFunc("POST /v1/feedback", s.backend.RequireKey(s.handleFeedback))
	mux.HandleFunc("GET /metrics", s.backend.RequireKey(s.observer.Handler().ServeHTTP))
	tensorflow.New(&s.backend).Register(mux)
	inference.New(&s.backend).Register(mux)
	health.New(&s.backend, services...).Register(mux)
	grpc.RegisterReflection(&s.backend, mux, slices.Concat(services, []string{health.Name})...)
	return s.observe(s.protect(loopback, s.limitTime(handleMissing(mux))))
}

// adminHandler returns the handler of the listener for probes and metrics, which needs no API key.
func (s *Server) adminHandler(loopback bool) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", s.handleLive)
	mux.HandleFunc("GET /readyz", s.handleReady)
	mux.Handle("GET /metrics", s.observer.Handler())
	health.New(&s.backend, services...).Register(mux)
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
		writeError(w, r, err)
	})
	if err != nil {
		panic("serve: " + err.Error()) // validated
	}
	return wrap(next)
}

// services are the names of the gRPC services, beside those of health and reflection.
var services = []string{strings.Trim(inference.Service, "/"), tensorflow.PredictionService, tensorflow.ModelService}

// isStream reports whether a request is a stream of messages, which may last longer than other requests.
func isStream(r *http.Request) bool {
	return slices.Contains(append([]string{inference.StreamInfer, health.Watch}, grpc.ReflectionPaths...), r.URL.Path)
}

// writeError writes an error in the form of the protocol that the request belongs to.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	switch {
	case grpc.IsRequest(r):
		grpc.WriteError(w, r, err)
	case isBelow(r.URL.Path, "/v2"), isBelow(r.URL.Path, "/v1/models"):
		request.WriteProtocolError(w, r, err)
	default:
		request.WriteError(w, r, err)
	}
}

// isBelow reports whether a path is prefix, or begins with it and a slash.
func isBelow(path, prefix string) bool {
	rest, ok := strings.CutPrefix(path, prefix)
	return ok && (rest == "" || rest[0] == '/')
}

// queryParameters are the names of the query parameters of patterns that have any.
var queryParameters = map[string][]string{
	"POST /v1/classify": classify.QueryParameters,
	"GET /readyz":       {"verbose"},
}

// checkQuery refuses queries that are malformed or have parameters that the pattern does not have. Only
// the files of the pages accept any query.
func checkQuery(r *http.Request, pattern string) error {
	if r.URL.RawQuery == "" || page.Owns(pattern) || trypage.Owns(pattern) {
		return nil
	}
	return request.CheckQuery(r, queryParameters[pattern])
}

// handleMissing returns a handler that responds to unknown paths, methods and query parameters with our
// own errors, and passes all other requests on.
func handleMissing(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, pattern := mux.Handler(r)
		if !isClean(r.URL.EscapedPath()) {
			writeError(w, r, request.ErrNoRoute)
			return
		}
		if pattern != "" {
			r.Pattern = pattern // for the log, if the query is refused
			if err := checkQuery(r, pattern); err != nil {
				writeError(w, r, err)
				return
			}
			mux.ServeHTTP(w, r)
			return
		}
		// The mux knows whether the path has other methods, and which.
		probe := &headerOnly{header: http.Header{}}
		mux.ServeHTTP(probe, r)
		r.Pattern = ""
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.header.Get("Allow"))
			writeError(w, r, request.ErrMethod)
			return
		}
		writeError(w, r, request.ErrNoRoute)
	})
}

// isClean reports whether a path has no empty elements, "." or "..". The mux would redirect others, with a
// body of its own.
func isClean(escaped string) bool {
	clean := path.Clean(escaped)
	return escaped == clean || escaped == clean+"/"
}

// headerOnly records the status and header of a response.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) WriteHeader(status int)      { h.status = status }
func (h *headerOnly) Write(p []byte) (int, error) { return len(p), nil }
