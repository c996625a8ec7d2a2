// Package request is what all protocols of a service share: what is known about a request, errors and
// their statuses, bodies within limits, API keys, and access to models.
package request

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"

	"garb/serve/access"
)

// Info is what is known about a request in progress, for the log.
type Info struct {
	ID      string
	Model   string      // the name of the model
	Version int         // the version that answers
	Header  http.Header // the response's; nil outside of requests
	Key     *access.Key // nil before the key is checked, and where none is needed
	Err     error       // why the request failed
	Status  int         // of an error in gRPC, whose HTTP status is always 200; else 0

	pictures atomic.Int64 // answered so far
}

// KeyName returns the name of the request's API key, "" if there is none.
func (i *Info) KeyName() string {
	if i.Key == nil {
		return ""
	}
	return i.Key.Name()
}

// Admit takes a cost from the limits of the request's key, see access.Key.Admit.
func (i *Info) Admit(c access.Cost) (release func(), err error) {
	if i.Key == nil {
		return func() {}, nil
	}
	return i.Key.Admit(c)
}

type infoKey struct{}

// WithInfo returns a context that has an Info.
func WithInfo(ctx context.Context, info *Info) context.Context {
	return context.WithValue(ctx, infoKey{}, info)
}

// From returns the Info of a context, an empty one outside of requests.
func From(ctx context.Context) *Info {
	if r, ok := ctx.Value(infoKey{}).(*Info); ok {
		return r
	}
	return &Info{}
}

// HeaderVersion is the header that has the version that answered.
const HeaderVersion = "X-Model-Version"

// setVersion records the version that answers, and tells the client.
func (i *Info) setVersion(model string, number int) {
	i.Model, i.Version = model, number
	if i.Header != nil {
		i.Header.Set(HeaderVersion, strconv.Itoa(number))
	}
}

// DecodeJSON decodes one JSON value.
func DecodeJSON(body []byte, to any) error {
	if err := json.Unmarshal(body, to); err != nil {
		return fmt.Errorf("%w: invalid JSON: %w", ErrInvalid, err)
	}
	return nil
}

// DecodeBase64 decodes a picture in base64, with the standard or the URL alphabet, or as a data URL.
func DecodeBase64(text string) ([]byte, error) {
	if strings.HasPrefix(text, "data:") {
		_, rest, ok := strings.Cut(text, ";base64,")
		if !ok {
			return nil, fmt.Errorf("%w: the data URL is not in base64", ErrInvalid)
		}
		text = rest
	}
	text = strings.TrimRight(text, "=")
	encoding := base64.RawStdEncoding
	if strings.ContainsAny(text, "-_") {
		encoding = base64.RawURLEncoding
	}
	data, err := encoding.DecodeString(text)
	if err != nil {
		return nil, fmt.Errorf("%w: the picture is not in base64", ErrInvalid)
	}
	return data, nil
}
