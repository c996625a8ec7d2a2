//go:build !js

package weights

import (
	"context"
	"fmt"
	"net/http"

	"garb/internal/download"
)

// A page in a browser downloads no weights, and is smaller without an HTTP client.

// DownloadError says that a source's file could not be downloaded.
type DownloadError struct {
	Name string // of the source
	URL  string
	Err  error
}

func (e *DownloadError) Error() string {
	return fmt.Sprintf("downloading %s: %v", e.URL, e.Err)
}

// Unwrap returns the cause.
func (e *DownloadError) Unwrap() error { return e.Err }

// Download downloads a source's official file and checks its digest. It calls progress, unless nil,
// with the bytes received and the total (−1 if unknown). What a failed or stopped download received
// stays in the cache folder, and the next one continues from there. Errors are a *DownloadError, a
// *DigestError or the context's.
func Download(ctx context.Context, client *http.Client, s Source, progress func(done, total int64)) ([]byte, error) {
	if s.BuiltIn {
		return nil, fmt.Errorf("the weights %q are built into garb; there is nothing to download", s.Name)
	}
	partial := ""
	if path, err := s.Path(); err == nil {
		partial = path + ".partial"
	}
	data, err := download.Fetch(ctx, client, s.URL, s.MaxBytes, partial, progress)
	if err != nil {
		if ctx.Err() != nil {
			return nil, ctx.Err() // stopped by the caller, which needs no advice
		}
		return nil, &DownloadError{s.Name, s.URL, err}
	}
	return data, s.checkDigest(s.URL, data)
}
