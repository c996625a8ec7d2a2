package grpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"connectrpc.com/connect"

	"garb/serve/access"
	"garb/serve/engine"
	"garb/serve/request"
)

// Stream is a stream of requests and of responses.
type Stream[Q, A any] struct {
	// Its method Receive returns the next request, and an error that wraps io.EOF after the last one.
	*connect.BidiStream[Q, A]
	messages *request.MessageReader
	control  *http.ResponseController
	timeout  time.Duration // of sending a message
}

// Admit takes the current request from the limits of the stream's key. The first one was taken with the
// stream itself, except for its bytes.
func (s *Stream[Q, A]) Admit(ctx context.Context) error { return admitMessage(ctx, s.messages) }

// admitMessage takes the current message of a stream from the limits of its key.
func admitMessage(ctx context.Context, messages *request.MessageReader) error {
	cost := access.Cost{Bytes: messages.Size()}
	if messages.Count() > 1 {
		cost.Requests = 1
	}
	_, err := request.From(ctx).Admit(cost)
	return err
}

// Release frees the share of the budget of bodies that the current request has. It is for a stream that needs no
// further one.
func (s *Stream[Q, A]) Release() { _ = s.messages.Close() }

// Send sends a response.
func (s *Stream[Q, A]) Send(a *A) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(s.timeout)) // not every ResponseWriter has deadlines: in tests
	err := s.BidiStream.Send(a)
	_ = s.control.SetWriteDeadline(time.Time{})
	return err
}

type streamKey struct{}

// connection is what a stream needs of its HTTP request.
type connection struct {
	messages *request.MessageReader
	control  *http.ResponseController
}

// HandleStream registers a procedure with a stream of requests and of responses, see HandleStreams. serve may
// return the error of Receive.
func HandleStream[Q, A any](
	b *request.Backend, mux *http.ServeMux, procedure string, access Access,
	serve func(context.Context, *Stream[Q, A]) error,
) {
	handleStreams(b, mux, procedure, access, connect.NewBidiStreamHandler(procedure,
		func(ctx context.Context, s *connect.BidiStream[Q, A]) error {
			c := ctx.Value(streamKey{}).(connection)
			err := serve(ctx, &Stream[Q, A]{s, c.messages, c.control, b.Streams().MessageTimeout})
			switch own := (*connect.Error)(nil); {
			case err == nil, errors.Is(err, io.EOF):
				return nil
			case errors.As(err, &own): // an error of connect or of bodyReader
				if info := request.From(ctx); info.Err == nil {
					info.Err, info.Status = err, http.StatusBadRequest
				}
				return err
			}
			return Error(ctx, err)
		}, options(bodies(b, access), access == WithKey)...), nil)
}

// HandleStreams registers a connect handler of streams. Messages are read and decompressed one by one, within
// the limits, before the handler decodes them. A message beyond the limits of the key ends the stream. A stream also
// ends when the service stops and no message is being processed.
func HandleStreams(b *request.Backend, mux *http.ServeMux, procedure string, access Access, handler http.Handler) {
	handleStreams(b, mux, procedure, access, handler, admitMessage)
}

// handleStreams is HandleStreams with a function that admits messages, nil if the handler does so itself.
func handleStreams(
	b *request.Backend, mux *http.ServeMux, procedure string, access Access, handler http.Handler,
	admitMessage func(context.Context, *request.MessageReader) error,
) {
	mux.Handle("POST "+procedure, admit(b, access, func(w http.ResponseWriter, r *http.Request) error {
		if r.ProtoMajor < 2 {
			return fmt.Errorf("%w: streams need HTTP/2", request.ErrInvalid)
		}
		if b.Scheduler.Stopping() {
			return engine.ErrStopping
		}
		control := http.NewResponseController(w)
		_ = control.SetWriteDeadline(time.Time{}) // the server's deadlines are those of short requests
		messages := b.NewMessageReader(w, r, bodies(b, access))
		defer messages.Close()
		ended := make(chan struct{})
		defer close(ended)
		go func() {
			select {
			case <-b.Scheduler.Stopped():
				messages.Stop()
			case <-ended:
			}
		}()
		r = r.WithContext(context.WithValue(r.Context(), streamKey{}, connection{messages, control}))
		r.Body = &bodyReader{MessageReader: messages, ctx: r.Context(), check: func() error {
			if access == WithKey && messages.Count() > 1 { // the key may have expired or been revoked
				if err := b.Authenticate(r); err != nil {
					return err
				}
			}
			if admitMessage == nil {
				return nil
			}
			return admitMessage(r.Context(), messages)
		}}
		r.Header.Del("Grpc-Encoding") // the reader decompresses
		handler.ServeHTTP(w, r)
		return nil
	}))
}

// bodyReader reads messages, and returns errors as those of gRPC, which connect passes on. It checks each message
// when it begins.
type bodyReader struct {
	*request.MessageReader
	ctx   context.Context //nolint:containedctx // of the one request
	check func() error
	count int // of messages that have been begun
}

func (b *bodyReader) Read(p []byte) (int, error) {
	n, err := b.MessageReader.Read(p)
	if count := b.Count(); err == nil && count > b.count {
		b.count = count
		if err = b.check(); err != nil {
			n = 0
		}
	}
	if err != nil && err != io.EOF { //nolint:errorlint // it is returned itself
		err = Error(b.ctx, err)
	}
	return n, err
}
