package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	vm "github.com/VictoriaMetrics/metrics"
)

// request is what is known of a request while it is under way; the log gets it.
type request struct {
	id    string
	trace traceparent
	model string
	err   error
	// status is that of an error in a protocol whose own is always 200: gRPC's.
	status int
}

type requestKey struct{}

// of returns the request of a context, an empty one outside of requests.
func of(ctx context.Context) *request {
	if r, ok := ctx.Value(requestKey{}).(*request); ok {
		return r
	}
	return &request{}
}

func requestID(ctx context.Context) string { return of(ctx).id }

// note remembers why a request failed.
func note(ctx context.Context, err error) { of(ctx).err = err }

// written remembers what was answered.
type written struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *written) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *written) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap is for http.ResponseController.
func (w *written) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush is for gRPC, which asks for it.
func (w *written) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// observed gives a request its id and deadline, survives what its handler does, and
// writes the log and the metrics.
func (s *Server) observed(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		this := &request{id: r.Header.Get("X-Request-Id"), trace: parseTraceparent(r.Header.Get("Traceparent"))}
		if !soundID(this.id) {
			this.id = rand.Text()
		}
		w.Header().Set("X-Request-Id", this.id)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		out := &written{ResponseWriter: w}
		ctx := context.WithValue(r.Context(), requestKey{}, this)
		timeout, err := s.timeout(r)
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		r = r.WithContext(ctx)
		defer func() {
			if p := recover(); p != nil {
				s.metrics.panics.Inc()
				s.log.Error("panic", "request_id", this.id, "error", fmt.Sprint(p), "stack", string(debug.Stack()))
				if out.status == 0 {
					writeError(out, r, fmt.Errorf("%w: %v", errPanic, p))
				}
			}
			s.done(out, r, this, time.Since(began))
		}()
		if err != nil {
			writeError(out, r, err)
			return
		}
		next.ServeHTTP(out, r)
	})
}

// timeout is how long a request may take: what the service allows, or less if
// X-Request-Timeout says so, in seconds ("0.25") or with a unit ("250ms").
func (s *Server) timeout(r *http.Request) (time.Duration, error) {
	text := r.Header.Get("X-Request-Timeout")
	if text == "" {
		return s.config.RequestTimeout, nil
	}
	asked, err := time.ParseDuration(text)
	if seconds, secondsErr := strconv.ParseFloat(text, 64); secondsErr == nil && !math.IsNaN(seconds) {
		asked, err = time.Duration(min(seconds, 1e6)*float64(time.Second)), nil
	}
	if err != nil || asked <= 0 {
		return s.config.RequestTimeout,
			fmt.Errorf("%w: X-Request-Timeout %q is no time; it is seconds such as 0.25, or 250ms", errBadRequest,
				text)
	}
	return min(asked, s.config.RequestTimeout), nil
}

// soundID reports whether a client's id can go into logs and headers as it is.
func soundID(id string) bool {
	return id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

// methods are those that metrics name; there is no end to what clients send.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
	http.MethodOptions}

// done writes what became of a request.
func (s *Server) done(w *written, r *http.Request, this *request, took time.Duration) {
	status, method := cmp.Or(this.status, w.status, http.StatusOK), r.Method
	if !slices.Contains(methods, method) {
		method = "other"
	}
	route := r.Pattern
	if route == "" {
		route = "none"
	}
	s.metrics.request(route, method, status, took)
	s.traces.add(this, route, status, took)
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	}
	attributes := []slog.Attr{
		slog.String("request_id", this.id), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", status),
		slog.Float64("seconds", took.Seconds()), slog.Int64("bytes", w.bytes), slog.String("client", r.RemoteAddr),
	}
	if this.model != "" {
		attributes = append(attributes, slog.String("model", this.model))
	}
	if this.trace.sound() {
		attributes = append(attributes, slog.String("trace_id", this.trace.traceID()))
	}
	if this.err != nil {
		attributes = append(attributes, slog.String("error", this.err.Error()))
	}
	s.log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attributes...)
}

// countingHandler counts lines that could not be written, such as on a full disk: the
// service goes on.
type countingHandler struct {
	slog.Handler
	errors *vm.Counter
}

func (h countingHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if err != nil {
		h.errors.Inc()
	}
	return err
}

func (h countingHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return countingHandler{h.Handler.WithAttrs(a), h.errors}
}

func (h countingHandler) WithGroup(name string) slog.Handler {
	return countingHandler{h.Handler.WithGroup(name), h.errors}
}

// locked lets only those in who have a key.
func (s *Server) locked(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := s.permit(r.Header); err != nil {
			writeError(w, r, err)
			return
		}
		next(w, r)
	}
}

// permit refuses those who have no key, if keys are asked for.
func (s *Server) permit(h http.Header) error {
	if s.keys != nil && !s.keys.knows(h) {
		s.metrics.count(rejected, "key")
		return errNoKey
	}
	return nil
}
