package connection

import (
	"context"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"
)

// WithTimeout returns a request whose context ends after the timeout. A Read of its body that is in progress then,
// or begins later, fails with the context's error: [context.DeadlineExceeded], or [context.Canceled] if the client
// has gone. The caller must call cancel before its handler returns.
//
// The server's ReadTimeout must be longer than the timeout. Otherwise the server cancels the request first.
func WithTimeout(w http.ResponseWriter, r *http.Request, timeout time.Duration) (timed *http.Request, cancel func()) {
	ctx, end := context.WithTimeout(r.Context(), timeout)
	timed = r.WithContext(ctx)
	if r.Body == nil || r.Body == http.NoBody {
		return timed, end
	}
	body := &timedBody{ReadCloser: r.Body, ctx: ctx, writer: w}
	timed.Body = body
	context.AfterFunc(ctx, body.unblock)
	return timed, func() {
		body.finish()
		end()
	}
}

// timedBody is a body that is read until a context ends.
type timedBody struct {
	io.ReadCloser
	ctx    context.Context
	writer http.ResponseWriter

	mu       sync.Mutex
	finished bool // there is nothing left to read, or nobody to read it
}

// unblock ends a Read that waits for the client. Where deadlines are not supported, as with a recorder in tests,
// Read does not wait for a client.
func (b *timedBody) unblock() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !b.finished {
		_ = http.NewResponseController(b.writer).SetReadDeadline(time.Unix(1, 0))
	}
}

// finish keeps unblock from setting a deadline. After the end of the body it would end the server's watch for a
// client that goes away, which cancels the request; after the end of the request it would hit the next one.
func (b *timedBody) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.finished = true
}

func (b *timedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case errors.Is(err, io.EOF):
		b.finish()
	case err != nil && b.ctx.Err() != nil:
		err = b.ctx.Err()
	}
	return n, err
}
