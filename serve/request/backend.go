package request

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"garb/serve/access"
	"garb/serve/engine"
	"garb/serve/fetch"
	"garb/serve/observe"
	"garb/serve/registry"
)

// Backend is what the handlers of all protocols work with.
type Backend struct {
	Models      *registry.Registry
	Scheduler   *engine.Scheduler
	Bodies      *Bodies
	MaxPictures int            // of one request
	Keys        *access.Keys   // nil if no API key is needed
	Fetcher     *fetch.Fetcher // of pictures by their URLs
	Metrics     *observe.Metrics
}

// Authorize returns an error if the service has keys and the header has none of them.
func (b *Backend) Authorize(h http.Header) error {
	if b.Keys != nil && !b.Keys.HasKey(h) {
		b.Metrics.CountRejected(observe.RejectedKey)
		return access.ErrNoKey
	}
	return nil
}

// RequireKey returns a handler that refuses requests without a valid API key, if the service has keys.
func (b *Backend) RequireKey(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := b.Authorize(r.Header); err != nil {
			WriteError(w, r, err)
			return
		}
		next(w, r)
	}
}

// Acquire returns a version of a model, and a function to call after its use. The name "" means the
// default model, and the number "" the version that is being served.
func (b *Backend) Acquire(ctx context.Context, name, number string) (*registry.Version, func(), error) {
	n := 0
	if number != "" {
		var err error
		if n, err = strconv.Atoi(number); err != nil || n < 1 {
			return nil, nil, fmt.Errorf("%w: version %.20q of %.64s: versions are numbers from 1", registry.ErrNoModel,
				number, name)
		}
	}
	v, release, err := b.Models.Acquire(name, n)
	if err == nil {
		From(ctx).Model = v.Name
	}
	return v, release, err
}

// AcquireRequested returns the version that a request's path names, by its wildcards {model} and
// {version}.
func (b *Backend) AcquireRequested(r *http.Request) (*registry.Version, func(), error) {
	return b.Acquire(r.Context(), r.PathValue("model"), r.PathValue("version"))
}

// ReadBody reads a request's body. It fails at once if the service is stopping.
func (b *Backend) ReadBody(w http.ResponseWriter, r *http.Request) (data []byte, release func(), err error) {
	if b.Scheduler.Stopping() {
		return nil, nil, engine.ErrStopping
	}
	return b.Bodies.Read(w, r)
}

// ReadMessage reads the message of a unary gRPC request. It fails at once if the service is stopping.
func (b *Backend) ReadMessage(w http.ResponseWriter, r *http.Request) (frame []byte, release func(), err error) {
	if b.Scheduler.Stopping() {
		return nil, nil, engine.ErrStopping
	}
	return b.Bodies.ReadMessage(w, r)
}

// HandleBody calls answer with the version that a request's path names and the request's body.
func (b *Backend) HandleBody(
	w http.ResponseWriter, r *http.Request, answer func(*registry.Version, []byte) error,
) error {
	v, release, err := b.AcquireRequested(r)
	if err != nil {
		return err
	}
	defer release()
	body, free, err := b.ReadBody(w, r)
	if err != nil {
		return err
	}
	defer free()
	return answer(v, body)
}

// ProtocolHandler returns a handler that requires an API key, if the service has any, and writes
// errors as {"error": …}.
func (b *Backend) ProtocolHandler(handle func(http.ResponseWriter, *http.Request) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		err := b.Authorize(r.Header)
		if err == nil {
			err = handle(w, r)
		}
		if err != nil {
			WriteProtocolError(w, r, err)
		}
	}
}
