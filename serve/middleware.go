package serve

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net/http"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"time"

	"garb/serve/access"
	"garb/serve/engine"
	"garb/serve/observe"
	"garb/serve/request"
)

// responseRecorder records the status and size of a response.
type responseRecorder struct {
	http.ResponseWriter
	status int
	bytes  int64
}

func (w *responseRecorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *responseRecorder) Write(p []byte) (int, error) {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	n, err := w.ResponseWriter.Write(p)
	w.bytes += int64(n)
	return n, err
}

// Unwrap returns the underlying writer, for http.ResponseController.
func (w *responseRecorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// Flush sends buffered data, for gRPC.
func (w *responseRecorder) Flush() {
	if f, ok := w.ResponseWriter.(http.Flusher); ok {
		f.Flush()
	}
}

// observe returns a handler that gives requests an identifier and a deadline, recovers panics of the
// next handler, and writes the log, metrics and traces.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		trace := observe.ParseTraceparent(r.Header.Get("Traceparent"))
		info := &request.Info{ID: r.Header.Get("X-Request-Id"), TraceID: trace.TraceID()}
		if !isValidID(info.ID) {
			info.ID = rand.Text()
		}
		w.Header().Set("X-Request-Id", info.ID)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		out := &responseRecorder{ResponseWriter: w}
		ctx := request.WithInfo(r.Context(), info)
		timeout, err := s.timeout(r)
		if timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, timeout)
			defer cancel()
		}
		r = r.WithContext(ctx)
		defer func() {
			if p := recover(); p != nil {
				s.metrics.CountPanic()
				s.log.Error("panic", "request_id", info.ID, "error", fmt.Sprint(p), "stack", string(debug.Stack()))
				if out.status == 0 {
					writeError(out, r, fmt.Errorf("%w: %v", engine.ErrPanic, p))
				}
			}
			s.logRequest(out, r, info, trace, time.Since(began))
		}()
		if err != nil {
			writeError(out, r, err)
			return
		}
		next.ServeHTTP(out, r)
	})
}

// timeout returns the timeout of a request: the service's, or the one in X-Request-Timeout if that is
// shorter, in seconds ("0.25") or with a unit ("250ms"). It returns 0, for no timeout, for streams of
// messages without that header, whose messages have timeouts.
func (s *Server) timeout(r *http.Request) (time.Duration, error) {
	text := r.Header.Get("X-Request-Timeout")
	switch {
	case text == "" && isStream(r):
		return 0, nil
	case text == "":
		return s.config.RequestTimeout, nil
	}
	timeout, err := time.ParseDuration(text)
	if seconds, secondsErr := strconv.ParseFloat(text, 64); secondsErr == nil && !math.IsNaN(seconds) {
		timeout, err = time.Duration(min(seconds, 1e6)*float64(time.Second)), nil
	}
	if err != nil || timeout <= 0 {
		return s.config.RequestTimeout,
			fmt.Errorf("%w: X-Request-Timeout %q: it must be a time such as 0.25 (seconds) or 250ms", request.ErrInvalid,
				text)
	}
	return min(timeout, s.config.RequestTimeout), nil
}

// isValidID reports whether a client's identifier can be put into logs and headers as it is.
func isValidID(id string) bool {
	return id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

// methods are the methods that metrics name: clients may send any other.
var methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete,
	http.MethodOptions}

// logRequest writes the outcome of a request to the log, the metrics and the traces.
func (s *Server) logRequest(
	w *responseRecorder, r *http.Request, info *request.Info, trace observe.Traceparent,
	took time.Duration,
) {
	status, method := cmp.Or(info.Status, w.status, http.StatusOK), r.Method
	if !slices.Contains(methods, method) {
		method = "other"
	}
	route := r.Pattern
	if route == "" {
		route = "none"
	}
	if errors.Is(info.Err, access.ErrLimited) {
		s.metrics.CountRejected(observe.RejectedLimit)
	}
	s.metrics.CountRequest(r.Context(), route, method, status, took)
	s.traces.Add(trace, info.ID, info.Model, route, status, took)
	level := slog.LevelInfo
	if status >= 500 {
		level = slog.LevelError
	}
	attributes := []slog.Attr{
		slog.String("request_id", info.ID), slog.String("method", r.Method), slog.String("path", r.URL.Path),
		slog.Int("status", status),
		slog.Float64("seconds", took.Seconds()), slog.Int64("bytes", w.bytes), slog.String("client", r.RemoteAddr),
	}
	if info.Model != "" {
		attributes = append(attributes, slog.String("model", info.Model))
	}
	if info.Key != nil && info.Key.Name() != "" {
		attributes = append(attributes, slog.String("key", info.Key.Name()))
	}
	if info.TraceID != "" {
		attributes = append(attributes, slog.String("trace_id", info.TraceID))
	}
	if info.Err != nil {
		attributes = append(attributes, slog.String("error", info.Err.Error()))
	}
	s.log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attributes...)
}

// countingHandler counts log records that could not be written, for example because the disk is full.
type countingHandler struct {
	slog.Handler
	metrics *observe.Metrics
}

func (h countingHandler) Handle(ctx context.Context, r slog.Record) error {
	err := h.Handler.Handle(ctx, r)
	if err != nil {
		h.metrics.CountLogError()
	}
	return err
}

func (h countingHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return countingHandler{h.Handler.WithAttrs(a), h.metrics}
}

func (h countingHandler) WithGroup(name string) slog.Handler {
	return countingHandler{h.Handler.WithGroup(name), h.metrics}
}
