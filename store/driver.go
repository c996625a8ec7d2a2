package store

import (
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"

	"gocloud.dev/blob"
)

// Driver opens the buckets of one scheme, and knows what differs between services.
type Driver interface {
	// Open opens a bucket. Its requests must go through guard's result for their transport.
	Open(ctx context.Context, u *url.URL, guard func(*http.Transport) http.RoundTripper) (*blob.Bucket, error)
	// Once asks the service's library not to repeat a request, because Store does. as is the
	// argument of gocloud.dev's BeforeRead or BeforeList.
	Once(as func(any) bool)
	// Describe returns the key of an object as the service sorts it, and its version. as is that
	// of a listed object, of attributes or of a reader. Both may be "".
	Describe(as func(any) bool) (key, version string)
	// Explain returns the HTTP status in an error, or 0, and the error in short, or nil.
	Explain(err error) (status int, cause error)
	// Hint says where credentials come from.
	Hint() string
}

var (
	driversMu sync.Mutex
	drivers   = map[string]Driver{"s3": s3Driver{}}
)

// elsewhere has the schemes that only some builds of garb know.
var elsewhere = []string{"gs", "azblob"}

// Register adds the driver of a scheme. Packages of drivers call it when they are imported.
func Register(scheme string, d Driver) {
	driversMu.Lock()
	defer driversMu.Unlock()
	if _, ok := drivers[scheme]; ok {
		panic("store: the scheme " + scheme + " is registered twice")
	}
	drivers[scheme] = d
}

// schemeError names the schemes that are known.
type schemeError struct {
	scheme string
	known  []string
}

func (e *schemeError) Error() string {
	if slices.Contains(elsewhere, e.scheme) {
		return fmt.Sprintf("%s:// is in the build garb-cloud: go build -tags cloud ./cmd/garb", e.scheme)
	}
	return fmt.Sprintf("unknown scheme %s://; the known ones are %s", e.scheme, strings.Join(e.known, ", "))
}

func (e *schemeError) Is(target error) bool { return target == ErrScheme }

// findDriver returns the driver of a scheme.
func findDriver(scheme string) (Driver, error) {
	driversMu.Lock()
	defer driversMu.Unlock()
	if d, ok := drivers[scheme]; ok {
		return d, nil
	}
	known := []string{"file://"}
	for _, name := range slices.Sorted(maps.Keys(drivers)) {
		known = append(known, name+"://")
	}
	return nil, &schemeError{scheme, known}
}
