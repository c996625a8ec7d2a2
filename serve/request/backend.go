package request

import (
	"context"
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

// Acquire returns the version of a model that answers a request, and a function to call after its use.
// The model "" is the default one. version is a number, a label, or "" for the version that the rules
// choose.
func (b *Backend) Acquire(ctx context.Context, name, version string) (*registry.Version, func(), error) {
	info := From(ctx)
	v, release, err := b.Models.Acquire(name, version, info.ID)
	if err == nil {
		info.setVersion(v.Name, v.Number)
	}
	return v, release, err
}

// AcquireRequested returns the version that a request's path names, by its wildcards {model} and
// {version}.
func (b *Backend) AcquireRequested(r *http.Request) (*registry.Version, func(), error) {
	return b.Acquire(r.Context(), r.PathValue("model"), r.PathValue("version"))
}

// RequestedVersions returns the loaded versions of the model that a request's path names, of all models
// if it names none, or only the version whose number or label it names. They are in the order of their
// numbers. They may be described, but do not compute: that needs Acquire.
func (b *Backend) RequestedVersions(r *http.Request) ([]*registry.Version, error) {
	if r.PathValue("version") == "" {
		return b.Models.Versions(r.PathValue("model"))
	}
	v, release, err := b.AcquireRequested(r)
	if err != nil {
		return nil, err
	}
	release()
	return []*registry.Version{v}, nil
}

// VersionNumbers returns the numbers of the loaded versions of a model, in the form of protocols.
func (b *Backend) VersionNumbers(model string) []string {
	numbers := []string{}
	versions, _ := b.Models.Versions(model) // none if the model has just been unloaded
	for _, v := range versions {
		numbers = append(numbers, strconv.Itoa(v.Number))
	}
	return numbers
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
