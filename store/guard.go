package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// maxErrorBytes bounds the answer of a store that reports an error. The libraries read all of it.
const maxErrorBytes = 1 << 20

// guard is an http.RoundTripper that ends requests without progress, and bounds answers. So a
// store that stops or never ends can neither hang a request nor exhaust the memory.
type guard struct {
	base  http.RoundTripper
	stall time.Duration
}

// bodyLimit is the key of a context's limit of the bytes of an answer.
type bodyLimit struct{}

// withBodyLimit returns a context whose requests get answers of at most maxBytes.
func withBodyLimit(ctx context.Context, maxBytes int64) context.Context {
	return context.WithValue(ctx, bodyLimit{}, maxBytes)
}

// stalledError says that a store sent nothing for too long. Libraries take it for a timeout.
type stalledError struct{ limit time.Duration }

func (e *stalledError) Error() string { return fmt.Sprintf("no progress for %v", e.limit) }

// Timeout and Temporary make it a net.Error that may be tried again.
func (*stalledError) Timeout() bool   { return true }
func (*stalledError) Temporary() bool { return true }

// RoundTrip sends a request.
func (g *guard) RoundTrip(request *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancelCause(request.Context())
	w := &watch{ctx: ctx, cancel: cancel, limit: g.stall}
	w.timer = time.AfterFunc(g.stall, func() { cancel(&stalledError{g.stall}) })
	request = request.WithContext(ctx)
	if request.Body != nil && request.Body != http.NoBody {
		request.Body = &sentBody{request.Body, w}
	}
	response, err := g.base.RoundTrip(request)
	w.endSending()
	if err != nil {
		err = w.explain(err)
		cancel(nil)
		return nil, err
	}
	if redirect := findRedirect(request.URL, response); redirect != nil {
		response.Body.Close()
		w.timer.Stop()
		cancel(nil)
		return nil, redirect
	}
	body := &receivedBody{ReadCloser: response.Body, watch: w, left: -1}
	if limit, ok := request.Context().Value(bodyLimit{}).(int64); ok {
		body.left = limit
	}
	if response.StatusCode >= 300 {
		body.left = maxErrorBytes
	}
	response.Body = body
	return response, nil
}

// watch cancels a request that makes no progress.
type watch struct {
	ctx    context.Context
	cancel context.CancelCauseFunc
	limit  time.Duration

	mu    sync.Mutex
	timer *time.Timer
	sent  bool // the answer's header has arrived
}

// notePulse starts the time again, while the request is sent.
func (w *watch) notePulse() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.sent {
		w.timer.Reset(w.limit)
	}
}

// endSending stops the time until the answer is read.
func (w *watch) endSending() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.sent = true
	w.timer.Stop()
}

// explain returns the reason why the request was cancelled, or else the error.
func (w *watch) explain(err error) error {
	var stalled *stalledError
	if errors.As(context.Cause(w.ctx), &stalled) {
		return stalled
	}
	return err
}

// sentBody is the body of a request.
type sentBody struct {
	io.ReadCloser
	watch *watch
}

func (b *sentBody) Read(p []byte) (int, error) {
	b.watch.notePulse()
	return b.ReadCloser.Read(p)
}

// receivedBody is the body of an answer.
type receivedBody struct {
	io.ReadCloser
	watch *watch
	left  int64 // bytes until the limit; negative for no limit
}

func (b *receivedBody) Read(p []byte) (int, error) {
	if b.left == 0 {
		return 0, fmt.Errorf("%w: it is too long", errInvalid)
	}
	if b.left > 0 {
		p = p[:min(int64(len(p)), b.left)]
	}
	b.watch.timer.Reset(b.watch.limit)
	n, err := b.ReadCloser.Read(p)
	b.watch.timer.Stop()
	if b.left > 0 {
		b.left -= int64(n)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = b.watch.explain(err)
	}
	return n, err
}

func (b *receivedBody) Close() error {
	err := b.ReadCloser.Close()
	b.watch.timer.Stop()
	b.watch.cancel(nil)
	return err
}
