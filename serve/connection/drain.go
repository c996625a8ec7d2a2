package connection

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// drainStreams returns a handler that reads the rest of a request's body after the answer, over HTTP/2. Without
// this, the server resets the stream, and curl and Node lose the answer. HTTP/1.1 needs no more than the lingering
// close, and gRPC clients cope with a reset; a gRPC stream may also stay open without a message for long.
func (s *Server) drainStreams(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ProtoMajor < 2 || r.Body == nil || r.Body == http.NoBody ||
			strings.HasPrefix(r.Header.Get("Content-Type"), "application/grpc") {
			next.ServeHTTP(w, r)
			return
		}
		body := &trackedBody{ReadCloser: r.Body}
		r.Body = body
		next.ServeHTTP(w, r)
		if !body.ended.Load() {
			s.drainStream(w, r, body.ReadCloser)
		}
	})
}

// trackedBody notes when a body has ended.
type trackedBody struct {
	io.ReadCloser
	ended atomic.Bool
}

func (b *trackedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if errors.Is(err, io.EOF) {
		b.ended.Store(true)
	}
	return n, err
}

// drainStream sends the answer, and discards the rest of the body within the limits.
func (s *Server) drainStream(w http.ResponseWriter, r *http.Request, body io.Reader) {
	framed, ok := r.Context().Value(connKey{}).(*framedConn)
	if !ok || !s.limits.drain(framed.base) {
		return
	}
	defer s.limits.drained(framed.base)
	controller := http.NewResponseController(w)
	if controller.Flush() != nil {
		return
	}
	config := &s.config.Linger
	err := discard(body, config.Bytes, config.Timeout, config.StreamIdle, controller.SetReadDeadline)
	if err != nil {
		s.config.count(LingerCut)
	}
}

var (
	discardBuffers = sync.Pool{New: func() any { return new([32 << 10]byte) }}
	errLingerBytes = errors.New("connection: too many bytes after the answer")
)

// discard reads r until it ends or a limit is reached; then it fails.
func discard(r io.Reader, limit int64, timeout, idle time.Duration, setReadDeadline func(time.Time) error) error {
	buffer := discardBuffers.Get().(*[32 << 10]byte)
	defer discardBuffers.Put(buffer)
	end := time.Now().Add(timeout)
	for limit > 0 {
		deadline := time.Now().Add(idle)
		if deadline.After(end) {
			deadline = end
		}
		if err := setReadDeadline(deadline); err != nil {
			return err
		}
		n, err := r.Read(buffer[:min(limit, int64(len(buffer)))])
		limit -= int64(n)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
	return errLingerBytes
}
