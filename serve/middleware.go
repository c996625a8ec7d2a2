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
	"strconv"
	"strings"
	"time"

	"garb/serve/access"
	"garb/serve/connection"
	"garb/serve/engine"
	"garb/serve/fetch"
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

// observe returns a handler that gives requests an identifier, recovers panics of the
// next handler, and writes the log, metrics and traces.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		began := time.Now()
		info := &request.Info{ID: r.Header.Get("X-Request-Id"), Header: w.Header()}
		if !isValidID(info.ID) {
			info.ID = rand.Text()
		}
		w.Header().Set("X-Request-Id", info.ID)
		w.Header().Set("X-Content-Type-Options", "nosniff")
		out := &responseRecorder{ResponseWriter: w}
		ctx := request.WithInfo(s.observer.StartRequest(r, info.ID), info)
		r = r.WithContext(ctx)
		defer func() {
			if p := recover(); p != nil {
				s.observer.CountPanic()
				s.log.ErrorContext(ctx, "panic", "request_id", info.ID, "error", fmt.Sprint(p),
					"stack", string(debug.Stack()))
				if out.status == 0 {
					writeError(out, r, fmt.Errorf("%w: %v", engine.ErrPanic, p))
				}
			}
			s.logRequest(out, r, info, time.Since(began))
		}()
		next.ServeHTTP(out, r)
	})
}

// limitTime returns a handler that gives requests a deadline, until which their bodies must have arrived.
func (s *Server) limitTime(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		timeout, err := s.timeout(r)
		if err != nil {
			writeError(w, r, err)
			return
		}
		if timeout == 0 {
			next.ServeHTTP(w, r)
			return
		}
		timed, cancel := connection.WithTimeout(w, r, timeout)
		defer func() {
			cancel()
			r.Pattern = timed.Pattern // for the log
		}()
		next.ServeHTTP(w, timed)
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
		return s.settings().RequestTimeout, nil
	}
	timeout, err := time.ParseDuration(text)
	if seconds, secondsErr := strconv.ParseFloat(text, 64); secondsErr == nil && !math.IsNaN(seconds) {
		timeout, err = time.Duration(min(seconds, 1e6)*float64(time.Second)), nil
	}
	if err != nil || timeout <= 0 {
		return s.settings().RequestTimeout,
			fmt.Errorf("%w: X-Request-Timeout %.40q: it must be a time such as 0.25 (seconds) or 250ms",
				request.ErrInvalid, text)
	}
	return min(timeout, s.settings().RequestTimeout), nil
}

// isValidID reports whether a client's identifier can be put into logs and headers as it is.
func isValidID(id string) bool {
	return id != "" && len(id) <= 128 && !strings.ContainsFunc(id, func(r rune) bool { return r <= ' ' || r > '~' })
}

// logRequest writes the outcome of a request to the log, the metrics and the traces.
func (s *Server) logRequest(w *responseRecorder, r *http.Request, info *request.Info, took time.Duration) {
	status, route := cmp.Or(info.Status, w.status, http.StatusOK), cmp.Or(r.Pattern, observe.NoRoute)
	if errors.Is(info.Err, access.ErrLimited) {
		s.observer.CountRejected(observe.RejectedLimit)
	}
	s.observer.CountRequest(r.Context(), route, r.Method, status, took)
	observe.EndRequest(r.Context(), route, info.Model, status)
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
		attributes = append(attributes, slog.String("model", info.Model), slog.Int("version", info.Version))
	}
	if key := info.KeyName(); key != "" {
		s.observer.CountKeyRequest(key, status)
		attributes = append(attributes, slog.String("key", key))
	}
	if info.Err != nil {
		text := info.Err.Error()
		var fetching *fetch.Error
		if errors.As(info.Err, &fetching) {
			text += ": " + fetching.Cause.Error() // which clients are not told
		}
		attributes = append(attributes, slog.String("error", text))
	}
	s.log.LogAttrs(context.WithoutCancel(r.Context()), level, "request", attributes...)
}
