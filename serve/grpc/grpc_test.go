package grpc

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"connectrpc.com/connect"

	"garb/serve/engine"
	"garb/serve/request"
)

// TestIsRequest: gRPC requests are POSTs of gRPC's content types.
func TestIsRequest(t *testing.T) {
	for _, c := range []struct {
		method, contentType string
		want                bool
	}{
		{http.MethodPost, "application/grpc", true},
		{http.MethodPost, "application/grpc+proto; charset=utf-8", true},
		{http.MethodPost, "application/grpc+json", true},
		{http.MethodGet, "application/grpc", false},
		{http.MethodPost, "application/grpc-web", false},
		{http.MethodPost, "application/grpcs", false},
		{http.MethodPost, "application/json", false},
		{http.MethodPost, ";", false},
		{http.MethodPost, "", false},
	} {
		r := httptest.NewRequest(c.method, "/", nil)
		r.Header.Set("Content-Type", c.contentType)
		if have := IsRequest(r); have != c.want {
			t.Errorf("%s %q: %v", c.method, c.contentType, have)
		}
	}
}

// TestError: an error has its code, and is recorded for the log.
func TestError(t *testing.T) {
	for _, c := range []struct {
		err    error
		code   connect.Code
		status int
	}{
		{request.ErrNoRoute, connect.CodeUnimplemented, 404},
		{fmt.Errorf("%w: br", request.ErrEncoding), connect.CodeUnimplemented, 415},
		{request.ErrMediaType, connect.CodeInvalidArgument, 415},
		{request.ErrNoService, connect.CodeNotFound, 404},
		{engine.ErrStopping, connect.CodeUnavailable, 503},
		{errors.New("unexpected"), connect.CodeInternal, 500},
	} {
		info := &request.Info{}
		err := Error(request.WithInfo(t.Context(), info), c.err)
		if err.Code() != c.code || info.Status != c.status || !errors.Is(info.Err, c.err) {
			t.Errorf("%v: %v, status %d, recorded %v", c.err, err, info.Status, info.Err)
		}
	}
}
