package serve

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"

	"garb/picture"
)

// Errors of requests, which the statuses below are for.
var (
	errFull        = errors.New("all places in the queue are taken; try again in a second")
	errStopping    = errors.New("the service is stopping; try again, and another instance will answer")
	errTooLarge    = errors.New("the request is too large")
	errBadRequest  = errors.New("the request cannot be understood")
	errMediaType   = errors.New("the request's content type is not known")
	errNoModel     = errors.New("there is no such model")
	errNoRoute     = errors.New("there is nothing at this address; /docs lists what there is")
	errMethod      = errors.New("this address does not take that method; /docs lists what there is")
	errNoKey       = errors.New("this service needs a key: send Authorization: Bearer KEY")
	errForbidden   = errors.New("that is not allowed here")
	errUnavailable = errors.New("the address could not be fetched")
)

// statusClientGone is that of requests whose clients did not wait; who closed only their
// side of the connection can read it.
const statusClientGone = 499

// statuses is the one place where errors become statuses; the first that is met counts.
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

// statusOf returns the status of an error and its kind, a word for programs.
func statusOf(err error) (status int, kind string) {
	for _, s := range statuses {
		if errors.Is(err, s.err) {
			return s.status, s.kind
		}
	}
	return http.StatusInternalServerError, "internal"
}

// cause tells an end that the service made from one that the client did.
func cause(ctx context.Context, err error) error {
	if errors.Is(err, context.Canceled) && errors.Is(context.Cause(ctx), errStopping) {
		return errStopping
	}
	return err
}

// messageOf is what a client is told of an error: nothing of what is inside.
func messageOf(err error) string {
	switch status, _ := statusOf(err); status {
	case http.StatusInternalServerError:
		return "something went wrong here; the log has it under the request's id"
	case statusClientGone:
		return "the request was given up"
	case http.StatusGatewayTimeout:
		return "it was not done in the time that the request or the service allows"
	}
	return err.Error()
}

// problem is an error as RFC 9457 has it.
type problem struct {
	Type      string `json:"type"`
	Title     string `json:"title"`
	Status    int    `json:"status"`
	Detail    string `json:"detail"`
	Kind      string `json:"kind"`
	RequestID string `json:"request_id,omitempty"`
}

// writeError writes an error in garb's own form.
func writeError(w http.ResponseWriter, r *http.Request, err error) {
	err = cause(r.Context(), err)
	status, kind := statusOf(err)
	note(r.Context(), err)
	hurry(w, status)
	writeJSON(w, "application/problem+json", status,
		problem{"about:blank", titleOf(status), status, messageOf(err), kind, requestID(r.Context())})
}

// writeBareError writes an error as the Open Inference Protocol and TensorFlow Serving do.
func writeBareError(w http.ResponseWriter, r *http.Request, err error) {
	err = cause(r.Context(), err)
	status, _ := statusOf(err)
	note(r.Context(), err)
	hurry(w, status)
	writeJSON(w, "application/json", status, map[string]string{"error": messageOf(err)})
}

func titleOf(status int) string {
	if status == statusClientGone {
		return "Client Closed Request"
	}
	return http.StatusText(status)
}

// hurry tells clients when to come again, and lets connections go that are to be.
func hurry(w http.ResponseWriter, status int) {
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

// writeJSON writes a value. A client that does not read is not our error.
func writeJSON(w http.ResponseWriter, contentType string, status int, v any) {
	text, err := json.Marshal(v)
	if err != nil {
		panic("serve: " + err.Error()) // our own values
	}
	w.Header().Set("Content-Type", contentType)
	w.WriteHeader(status)
	_, _ = w.Write(append(text, '\n'))
}
