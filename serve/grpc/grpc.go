// Package grpc serves gRPC procedures within the limits of a service, and writes its errors in gRPC's form.
package grpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"garb/serve/request"
)

// Access says who may call a procedure.
type Access int

// The kinds of access.
const (
	WithKey Access = iota // an API key is needed, if the service has any
	Open
)

// IsRequest reports whether a request is a call of gRPC: a POST of its content type.
func IsRequest(r *http.Request) bool {
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	return err == nil && r.Method == http.MethodPost &&
		(kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+"))
}

// errorWriter writes errors as trailers. It has no state.
var errorWriter = connect.NewErrorWriter()

// WriteError writes an error as gRPC does: HTTP status 200, and the code and the message in the trailers.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	// A client that does not read is not our error.
	_ = errorWriter.Write(w, r, Error(r.Context(), err))
}

// errUnimplemented is the error of a procedure that a protocol has and the service does not.
var errUnimplemented = fmt.Errorf("%w: the procedure is not supported", request.ErrInvalid)

// Error returns an error as an error of gRPC, and records it.
func Error(ctx context.Context, err error) *connect.Error {
	err = request.Cause(ctx, err)
	info := request.From(ctx)
	info.Err = err
	info.Status, _ = request.Status(err)
	code := Code(info.Status)
	switch {
	case errors.Is(err, request.ErrNoRoute):
		code = connect.CodeUnimplemented
		err = fmt.Errorf("%w: the service or the method is not implemented", err)
	case errors.Is(err, request.ErrEncoding), // as gRPC's specification of compression says
		errors.Is(err, errUnimplemented):
		code = connect.CodeUnimplemented
	}
	return connect.NewError(code, errors.New(request.PublicMessage(err)))
}

// Code returns the gRPC code for an HTTP status.
func Code(status int) connect.Code {
	switch status {
	case http.StatusUnauthorized:
		return connect.CodeUnauthenticated
	case http.StatusForbidden:
		return connect.CodePermissionDenied
	case http.StatusNotFound:
		return connect.CodeNotFound
	case http.StatusRequestEntityTooLarge, http.StatusTooManyRequests, http.StatusInsufficientStorage:
		return connect.CodeResourceExhausted
	case request.StatusClientGone:
		return connect.CodeCanceled
	case http.StatusBadGateway, http.StatusServiceUnavailable:
		return connect.CodeUnavailable
	case http.StatusGatewayTimeout:
		return connect.CodeDeadlineExceeded
	case http.StatusInternalServerError:
		return connect.CodeInternal
	}
	return connect.CodeInvalidArgument // the other statuses are errors of the request
}

// Handle registers a procedure with one request and one response. The body is read and decompressed like
// every other one, within the limits, before it is decoded.
func Handle[Q, A any](
	b *request.Backend, mux *http.ServeMux, procedure string, access Access,
	answer func(context.Context, *Q) (*A, error),
) {
	handler := connect.NewUnaryHandlerSimple(procedure, func(ctx context.Context, q *Q) (*A, error) {
		a, err := answer(ctx, q)
		if err != nil {
			return nil, Error(ctx, err)
		}
		return a, nil
	}, options(bodies(b, access), access == WithKey)...)
	mux.Handle("POST "+procedure, admit(b, access, func(w http.ResponseWriter, r *http.Request) error {
		read := b.ReadMessage
		if access == Open { // health is told while the service stops
			read = b.Probes.ReadMessage
		}
		body, free, err := read(w, r)
		if err != nil {
			return err
		}
		defer free()
		r.Body = io.NopCloser(bytes.NewReader(body))
		handler.ServeHTTP(w, r)
		recordRefusal(w, r)
		return nil
	}))
}

// HandleUnimplemented registers a procedure that a protocol has and the service does not. why completes the
// error. It does not read the request.
func HandleUnimplemented(b *request.Backend, mux *http.ServeMux, procedure, why string) {
	mux.Handle("POST "+procedure, admit(b, WithKey, func(http.ResponseWriter, *http.Request) error {
		return fmt.Errorf("%w: %s", errUnimplemented, why)
	}))
}

// recordRefusal records the error of a response that connect made by itself, since the message could not
// be decoded.
func recordRefusal(w http.ResponseWriter, r *http.Request) {
	info, code := request.From(r.Context()), w.Header().Get(http.TrailerPrefix+"Grpc-Status")
	if info.Err == nil && code != "" && code != "0" {
		info.Status = http.StatusBadRequest
		info.Err = fmt.Errorf("%w: %s", request.ErrInvalid, w.Header().Get(http.TrailerPrefix+"Grpc-Message"))
	}
}

// options returns the connect options of a procedure. strict refuses messages with unknown fields, since they
// ask for what is not supported. It is not for probes and reflection, whose clients may be newer.
func options(bodies *request.Bodies, strict bool) []connect.HandlerOption {
	return []connect.HandlerOption{connect.WithCodec(codec{bodies, strict}),
		connect.WithCompression("gzip", nil, nil)}
}

// bodies returns the bodies that the messages of a procedure belong to.
func bodies(b *request.Backend, access Access) *request.Bodies {
	if access == Open {
		return b.Probes
	}
	return b.Bodies
}

// admit returns a handler that calls next for gRPC requests that have access.
func admit(b *request.Backend, access Access, next func(http.ResponseWriter, *http.Request) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// connect also supports protocols of its own, which are not offered here.
		kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
		if err != nil || kind != "application/grpc" && kind != "application/grpc+proto" {
			err = fmt.Errorf("%w: gRPC needs application/grpc", request.ErrMediaType)
			if IsRequest(r) {
				WriteError(w, r, err)
			} else {
				request.WriteError(w, r, err)
			}
			return
		}
		if access == WithKey {
			err = b.Authorize(r)
		}
		if err == nil {
			err = next(w, r)
		}
		if err != nil {
			w.Header().Set("Grpc-Accept-Encoding", "gzip")
			WriteError(w, r, err)
		}
	})
}
