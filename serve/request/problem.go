package request

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"

	"garb/answers"
	"garb/picture"
	"garb/serve/access"
	"garb/serve/engine"
	"garb/serve/fetch"
	"garb/serve/origin"
	"garb/serve/registry"
)

// Errors of requests, beside those of packages answers, picture, engine, registry, access and fetch.
var (
	ErrTooLarge  = errors.New("the request is too large")
	ErrInvalid   = errors.New("the request is invalid")
	ErrMediaType = errors.New("the content type is not supported")
	// ErrEncoding is the error of a compression that is not supported.
	ErrEncoding  = fmt.Errorf("%w: its compression", ErrMediaType)
	ErrNoService = errors.New("there is no such service") // of gRPC's health protocol
	ErrNoRoute   = errors.New("there is nothing at this path; see /docs")
	ErrNoAnswers = errors.New("this service keeps no answers, so it takes no feedback about them")
	ErrMethod    = errors.New("this path does not support the method; see /docs")
)

// StatusClientGone is the status of requests whose clients have gone. A client that closed only its
// side of the connection can read it.
const StatusClientGone = 499

// statuses maps errors to statuses and kinds; the first error that matches counts.
var statuses = []struct {
	err    error
	status int
	kind   string
}{
	{picture.ErrNotPicture, http.StatusBadRequest, string(picture.NotPicture)},
	{picture.ErrTooLarge, http.StatusRequestEntityTooLarge, string(picture.TooLarge)},
	{picture.ErrUnsupported, http.StatusUnsupportedMediaType, string(picture.Unsupported)},
	{picture.ErrCorrupt, http.StatusUnprocessableEntity, string(picture.Corrupt)},
	{ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large"},
	{ErrMediaType, http.StatusUnsupportedMediaType, "media_type"},
	{ErrInvalid, http.StatusBadRequest, "bad_request"},
	{answers.ErrFeedback, http.StatusBadRequest, "bad_request"},
	{fetch.ErrURL, http.StatusBadRequest, "bad_request"},
	{answers.ErrUnknown, http.StatusNotFound, "no_such_answer"},
	{registry.ErrNoModel, http.StatusNotFound, "no_such_model"},
	{registry.ErrRefused, http.StatusBadRequest, "bad_request"},
	{registry.ErrNoControl, http.StatusForbidden, "forbidden"},
	{ErrNoService, http.StatusNotFound, "not_found"},
	{ErrNoRoute, http.StatusNotFound, "not_found"},
	{ErrNoAnswers, http.StatusNotFound, "not_found"},
	{answers.ErrFeedbackFull, http.StatusInsufficientStorage, "feedback_full"},
	{answers.ErrClosed, http.StatusServiceUnavailable, "stopping"},
	{ErrMethod, http.StatusMethodNotAllowed, "method"},
	{access.ErrNoKey, http.StatusUnauthorized, "unauthorized"},
	{access.ErrUnknownKey, http.StatusUnauthorized, "unauthorized"},
	{access.ErrExpiredKey, http.StatusUnauthorized, "unauthorized"},
	{access.ErrTooLarge, http.StatusRequestEntityTooLarge, "too_large"},
	{access.ErrLimited, http.StatusTooManyRequests, "limited"},
	{access.ErrUnavailable, http.StatusServiceUnavailable, "keys_unavailable"},
	{origin.ErrCrossOrigin, http.StatusForbidden, "cross_origin"},
	{origin.ErrHost, http.StatusMisdirectedRequest, "wrong_host"},
	{fetch.ErrForbidden, http.StatusForbidden, "forbidden"},
	{fetch.ErrUnavailable, http.StatusBadGateway, "unavailable"},
	{engine.ErrFull, http.StatusTooManyRequests, "full"},
	{engine.ErrStopping, http.StatusServiceUnavailable, "stopping"},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "late"},
	{context.Canceled, StatusClientGone, "gone"},
}

// Kind is a kind of errors: its status, and its name for programs.
type Kind struct {
	Status int
	Name   string
}

// Kinds returns the kinds of errors that a service reports.
func Kinds() []Kind {
	all := []Kind{{http.StatusInternalServerError, "internal"}}
	for _, s := range statuses {
		if k := (Kind{s.status, s.kind}); !slices.Contains(all, k) {
			all = append(all, k)
		}
	}
	return all
}

// Status returns the status of an error, and its kind for programs.
func Status(err error) (status int, kind string) {
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status, s.kind
		}
	}
	return http.StatusInternalServerError, "internal"
}

// Cause returns engine.ErrStopping if that is why ctx was cancelled, else err.
func Cause(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), engine.ErrStopping) {
		return engine.ErrStopping
	}
	return err
}

// PublicMessage returns the message of an error for clients, without internals.
func PublicMessage(err error) string {
	switch status, _ := Status(err); status {
	case http.StatusInternalServerError:
		return "internal error; the service's log has the details under the request's identifier"
	case StatusClientGone:
		return "the request was cancelled"
	case http.StatusGatewayTimeout:
		return "the timeout of the request or of the service expired"
	}
	return err.Error()
}

// Problem is an error in the format of RFC 9457.
type Problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Kind      string `json:"kind"`
	RequestID string `json:"request_id,omitempty"`
}

// WriteError writes an error in the format of RFC 9457.
func WriteError(w http.ResponseWriter, r *http.Request, err error) {
	err = Cause(r.Context(), err)
	status, kind := Status(err)
	From(r.Context()).Err = err
	setErrorHeaders(w, status, err)
	WriteJSON(w, "application/problem+json", status,
		Problem{"about:blank", statusTitle(status), status, PublicMessage(err), kind, From(r.Context()).ID})
}

// WriteProtocolError writes an error in the format of the Open Inference Protocol and of TensorFlow
// Serving.
func WriteProtocolError(w http.ResponseWriter, r *http.Request, err error) {
	err = Cause(r.Context(), err)
	status, _ := Status(err)
	From(r.Context()).Err = err
	setErrorHeaders(w, status, err)
	WriteJSON(w, "application/json", status, map[string]string{"error": PublicMessage(err)})
}

// statusTitle returns the name of a status.
func statusTitle(status int) string {
	if status == StatusClientGone {
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

// setErrorHeaders sets the headers that belong to a status: when to try again, and how to authenticate.
func setErrorHeaders(w http.ResponseWriter, status int, err error) {
	switch status {
	case http.StatusTooManyRequests:
		seconds := 1.0
		if limit := (*access.LimitError)(nil); errors.As(err, &limit) {
			seconds = math.Ceil(limit.RetryAfter.Seconds())
		}
		w.Header().Set("Retry-After", strconv.FormatFloat(seconds, 'f', -1, 64))
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Connection", "close")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
}

// WriteJSON writes a value as JSON. It ignores errors of writing: the client has gone.
func WriteJSON(w http.ResponseWriter, contentType string, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic("request: " + err.Error()) // our own values
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
