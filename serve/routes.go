package serve

import "net/http"

// Handler is everything that the service answers.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	// Open to all, also where keys are asked for: what tells nothing, and the page, which
	// sends a key.
	mux.HandleFunc("GET /healthz", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	s.page(mux)
	s.docs(mux)

	mux.HandleFunc("POST /v1/classify", s.locked(s.classifyPictures))
	mux.HandleFunc("GET /metrics", s.locked(s.metrics.handler))
	s.tensorFlow(mux)
	s.inference(mux)
	return s.observed(missing(mux))
}

// missing answers for addresses and methods that there are not, in our own form.
func missing(mux *http.ServeMux) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, pattern := mux.Handler(r); pattern != "" {
			mux.ServeHTTP(w, r)
			return
		}
		// The mux knows whether another method would do, and says which.
		probe := &headerOnly{header: http.Header{}}
		mux.ServeHTTP(probe, r)
		if probe.status == http.StatusMethodNotAllowed {
			w.Header().Set("Allow", probe.header.Get("Allow"))
			writeError(w, r, errMethod)
			return
		}
		writeError(w, r, errNoRoute)
	})
}

// headerOnly takes an answer's status and header.
type headerOnly struct {
	header http.Header
	status int
}

func (h *headerOnly) Header() http.Header         { return h.header }
func (h *headerOnly) WriteHeader(status int)      { h.status = status }
func (h *headerOnly) Write(p []byte) (int, error) { return len(p), nil }
