package serve

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"garb/picture"
)

// Errors of requests.
var (
	errFull        = errors.New("the queue is full; try again in a second")
	errStopping    = errors.New("the service is shutting down; try again, and another instance may respond")
	errTooLarge    = errors.New("the request is too large")
	errBadRequest  = errors.New("the request is invalid")
	errMediaType   = errors.New("the content type is not supported")
	errNoModel     = errors.New("there is no such model")
	errNoRoute     = errors.New("there is nothing at this path; see /docs")
	errMethod      = errors.New("this path does not support the method; see /docs")
	errNoKey       = errors.New("this service requires an API key: send Authorization: Bearer KEY")
	errForbidden   = errors.New("fetching this picture is not allowed")
	errUnavailable = errors.New("the picture could not be fetched")
)

// statusClientGone is the status of requests whose clients have gone. A client that closed only its
// side of the connection can read it.
const statusClientGone = 499

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
	{errTooLarge, http.StatusRequestEntityTooLarge, "too_large"},
	{errMediaType, http.StatusUnsupportedMediaType, "media_type"},
	{errBadRequest, http.StatusBadRequest, "bad_request"},
	{errNoModel, http.StatusNotFound, "no_such_model"},
	{errNoRoute, http.StatusNotFound, "not_found"},
	{errMethod, http.StatusMethodNotAllowed, "method"},
	{errNoKey, http.StatusUnauthorized, "unauthorized"},
	{errForbidden, http.StatusForbidden, "forbidden"},
	{errUnavailable, http.StatusBadGateway, "unavailable"},
	{errFull, http.StatusTooManyRequests, "full"},
	{errStopping, http.StatusServiceUnavailable, "stopping"},
	{context.DeadlineExceeded, http.StatusGatewayTimeout, "late"},
	{context.Canceled, statusClientGone, "gone"},
}

// errorStatus returns the status of an error, and its kind for programs.
func errorStatus(err error) (status int, kind string) {
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status, s.kind
		}
	}
	return http.StatusInternalServerError, "internal"
}

// cause returns errStopping if that is why ctx was cancelled, else err.
func cause(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errStopping) {
		return errStopping
	}
	return err
}

// publicMessage returns the message of an error for clients, without internals.
func publicMessage(err error) string {
	switch status, _ := errorStatus(err); status {
	case http.StatusInternalServerError:
		return "internal error; the service's log has the details under the request's identifier"
	case statusClientGone:
		return "the request was cancelled"
	case http.StatusGatewayTimeout:
		return "the timeout of the request or of the service expired"
	}
	return err.Error()
}

// problem is an error in the format of RFC 9457.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Kind      string `json:"kind"`
	RequestID string `json:"request_id,omitempty"`
}

// writeError writes an error in the format of RFC 9457.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	err = cause(r.Context(), err)
	status, kind := errorStatus(err)
	recordError(r.Context(), err)
	setErrorHeaders(w, status)
	writeJSON(w, "application/problem+json", status,
		problem{"about:blank", statusTitle(status), status, publicMessage(err), kind, requestID(r.Context())})
}

// writeProtocolError writes an error in the format of the Open Inference Protocol and of TensorFlow
// Serving.
func writeProtocolError(w http.ResponseWriter, r *http.Request, err error) {
	err = cause(r.Context(), err)
	status, _ := errorStatus(err)
	recordError(r.Context(), err)
	setErrorHeaders(w, status)
	writeJSON(w, "application/json", status, map[string]string{"error": publicMessage(err)})
}

// statusTitle returns the name of a status.
func statusTitle(status int) string {
	if status == statusClientGone {
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

// setErrorHeaders sets the headers that belong to a status: when to try again, and how to authenticate.
func setErrorHeaders(w http.ResponseWriter, status int) {
	switch status {
	case http.StatusTooManyRequests:
		w.Header().Set("Retry-After", "1")
	case http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "1")
		w.Header().Set("Connection", "close")
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
}

// writeJSON writes a value as JSON. It ignores errors of writing: the client has gone.
func writeJSON(w http.ResponseWriter, contentType string, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic("serve: " + err.Error()) // our own values
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
