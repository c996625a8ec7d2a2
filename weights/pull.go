package weights

import (
	"context"
	"crypto/md5"
	"fmt"
	"net/http"
	"os"
	"path/filepath"

	"garb/internal/download"
	"garb/internal/safefile"
	"garb/keras"
	"garb/tensor"
)

// DownloadError says that a source's file could not be had.
type DownloadError struct {
	Name string // of the weights
	URL  string
	Err  error
}

func (e *DownloadError) Error() string {
	return fmt.Sprintf("could not get %s: %v; download it elsewhere and run: garb models pull %s --from FILE", e.URL, e.Err, e.Name)
}

// Unwrap returns the cause.
func (e *DownloadError) Unwrap() error { return e.Err }

// DigestError says that a file is not the one that its makers publish.
type DigestError struct {
	File      string // a path or an URL
	Want, Got string // MD5 in hexadecimal
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("%s is not the official file: its MD5 is %s, not %s; it is damaged or another version", e.File, e.Got, e.Want)
}

// Pull downloads a source's official file, checks its digest, converts it and
// keeps it at s.Path(), which it returns. The file is in memory until it is
// checked and converted: a Pull that fails or whose context ends leaves nothing
// behind. progress, if not nil, is called with the bytes had so far and in all
// (−1 if unknown). Errors are a *DownloadError, a *DigestError, those of package
// keras, or of writing.
func Pull(ctx context.Context, client *http.Client, s Source, progress func(done, total int64)) (path string, err error) {
	if s.BuiltIn {
		return "", fmt.Errorf("the weights %q are built into garb; there is nothing to pull", s.Name)
	}
	data, err := download.Get(ctx, client, s.URL, s.MaxBytes, progress)
	if err != nil {
		if ctx.Err() != nil {
			return "", ctx.Err() // stopped by the user: no advice to give
		}
		return "", &DownloadError{s.Name, s.URL, err}
	}
	return keep(s, s.URL, data)
}

// PullFile is Pull from a file that was downloaded otherwise.
func PullFile(s Source, path string) (string, error) {
	if s.BuiltIn {
		return "", fmt.Errorf("the weights %q are built into garb; there is nothing to pull", s.Name)
	}
	data, err := safefile.Read(path, s.MaxBytes)
	if err != nil {
		return "", err
	}
	return keep(s, path, data)
}

// keep checks, converts and stores a source's file that came from origin.
func keep(s Source, origin string, data []byte) (string, error) {
	// The makers publish MD5 only. It guards against damage and mistakes, not
	// against someone who can make two files of one MD5.
	if got := fmt.Sprintf("%x", md5.Sum(data)); got != s.MD5 {
		return "", &DigestError{origin, s.MD5, got}
	}
	m, err := keras.Open(data, keras.DefaultLimits())
	if err != nil {
		return "", fmt.Errorf("%s: %w", origin, err)
	}
	b, err := m.Backbone()
	if err != nil {
		return "", fmt.Errorf("%s: %w", origin, err)
	}
	if b.Architecture != s.Architecture || b.WithTop != s.WithTop {
		return "", fmt.Errorf("%s holds %s (with top: %v) instead of %s", origin, b.Architecture, b.WithTop, s.Architecture)
	}
	path, err := s.Path()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	metadata := map[string]string{
		KeyArchitecture: s.Architecture,
		KeySource:       s.URL,
		KeySourceDigest: "md5:" + s.MD5,
		"licence":       s.Licence,
		"origin":        s.Origin,
	}
	return path, tensor.WriteFile(path, metadata, b.Tensors, tensor.Float32)
}
