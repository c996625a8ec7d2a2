package request

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"

	"garb/answers"
	"garb/serve/access"
	"garb/serve/engine"
	"garb/serve/fetch"
	"garb/serve/observe"
	"garb/serve/registry"
	"garb/serve/reload"
)

// Backend is what the handlers of all protocols work with. Its fields must not change while requests are
// handled.
type Backend struct {
	Models    *registry.Registry
	Scheduler *engine.Scheduler
	Bodies    *Bodies
	// Probes are the bodies of the calls that need no API key, see ProbeBodyConfig.
	Probes  *Bodies
	Metrics *observe.Metrics
	Answers *answers.Writer // nil if no answers are kept
	// Streams returns the timeouts of streams of messages.
	Streams func() StreamConfig

	keys    atomic.Pointer[access.Keys]
	fetcher atomic.Pointer[fetch.Fetcher]
}

// Keys returns the API keys.
func (b *Backend) Keys() *access.Keys { return b.keys.Load() }

// SetKeys sets the API keys. It may be called while requests are handled.
func (b *Backend) SetKeys(k *access.Keys) { b.keys.Store(k) }

// Fetcher returns what fetches pictures by their URLs.
func (b *Backend) Fetcher() *fetch.Fetcher { return b.fetcher.Load() }

// SetFetcher sets what fetches pictures by their URLs. It may be called while requests are handled.
func (b *Backend) SetFetcher(f *fetch.Fetcher) { b.fetcher.Store(f) }

// Ready returns an error if the service does not expect further requests: it is shutting down, or it can
// check no API key.
func (b *Backend) Ready() error {
	if b.Scheduler.Draining() {
		return engine.ErrStopping
	}
	if state, ok := b.Keys().State(); ok && state.Status == reload.Refused {
		return access.ErrUnavailable
	}
	return nil
}

// Authorize finds the API key of a request, if the service requires one, and returns an error if there is
// none or the key's limits do not admit the request.
func (b *Backend) Authorize(r *http.Request) error {
	if err := b.Authenticate(r); err != nil {
		return err
	}
	_, err := From(r.Context()).Admit(access.Cost{Requests: 1, Bytes: max(r.ContentLength, 0)})
	return err
}

// Authenticate finds the API key of a request, which must be valid now. It takes nothing from the key's limits.
func (b *Backend) Authenticate(r *http.Request) error {
	key, err := b.Keys().Authenticate(r.Header)
	if err != nil {
		b.Metrics.CountRejected(observe.RejectedKey)
		return err
	}
	From(r.Context()).Key = key
	return nil
}

// RequireKey returns a handler that refuses requests without a valid API key, if the service has keys.
func (b *Backend) RequireKey(next http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if err := b.Authorize(r); err != nil {
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

// FindVersions returns the loaded versions of a model in the order of their numbers, of all models if it
// is "", or only the version whose number or label is given. They may be described, but do not compute:
// that needs Acquire.
func (b *Backend) FindVersions(ctx context.Context, name, version string) ([]*registry.Version, error) {
	if version == "" {
		return b.Models.Versions(name)
	}
	v, release, err := b.Acquire(ctx, name, version)
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
	data, release, err = b.Bodies.Read(w, r)
	return admitBody(r, data, release, err)
}

// ReadMessage reads the message of a unary gRPC request. It fails at once if the service is stopping.
func (b *Backend) ReadMessage(w http.ResponseWriter, r *http.Request) (frame []byte, release func(), err error) {
	if b.Scheduler.Stopping() {
		return nil, nil, engine.ErrStopping
	}
	frame, release, err = b.Bodies.ReadMessage(w, r)
	return admitBody(r, frame, release, err)
}

// admitBody takes the size of a body from the limits of the request's key, if the header did not tell it.
func admitBody(r *http.Request, data []byte, release func(), err error) ([]byte, func(), error) {
	if err != nil || r.ContentLength >= 0 {
		return data, release, err
	}
	if _, err = From(r.Context()).Admit(access.Cost{Bytes: int64(len(data))}); err != nil {
		release()
		return nil, nil, err
	}
	return data, release, nil
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
		err := b.Authorize(r)
		if err == nil {
			err = handle(w, r)
		}
		if err != nil {
			WriteProtocolError(w, r, err)
		}
	}
}
