// Package request is what all protocols of a service share: what is known about a request, errors and
// their statuses, bodies within limits, API keys, and access to models.
package request

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
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

// CheckQuery refuses the query of a request if it is malformed, repeats a parameter, or has one that is
// not among names.
func CheckQuery(r *http.Request, names []string) error {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fmt.Errorf("%w: the query of the URL: %w", ErrInvalid, err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case !slices.Contains(names, name) && len(names) == 0:
			return fmt.Errorf("%w: the query parameter %.40q: there are none at this path", ErrInvalid, name)
		case !slices.Contains(names, name):
			return fmt.Errorf("%w: there is no query parameter %.40q; there are %s", ErrInvalid, name,
				strings.Join(names, ", "))
		case len(query[name]) > 1:
			return fmt.Errorf("%w: the query parameter %s is repeated", ErrInvalid, name)
		}
	}
	return nil
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

// DecodeJSON decodes one JSON value. Members that the destination does not have are errors.
func DecodeJSON(body []byte, to any) error {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	err := d.Decode(to)
	if err == nil {
		if _, end := d.Token(); end != io.EOF { //nolint:errorlint // Token returns io.EOF itself
			err = errors.New("more follows the value")
		}
	}
	if err != nil {
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
