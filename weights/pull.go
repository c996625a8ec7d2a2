package weights

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"garb/internal/download"
	"garb/internal/safefile"
	"garb/tensor"
)

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

// DigestError says that a file differs from the one that its makers publish.
type DigestError struct {
	File      string // a path or a URL
	Kind      string // "MD5", "SHA-256"
	Want, Got string // in hexadecimal; Want may be only the beginning
}

func (e *DigestError) Error() string {
	return fmt.Sprintf("%s is not the official file: its %s is %s, not %s; it is damaged or another version",
		e.File, e.Kind, e.Got, e.Want)
}

// checkDigest checks that data is the source's official file. origin names it in the error.
func (s Source) checkDigest(origin string, data []byte) error {
	if s.SHA256Prefix != "" {
		if got := fmt.Sprintf("%x", sha256.Sum256(data)); !strings.HasPrefix(got, s.SHA256Prefix) {
			return &DigestError{origin, "SHA-256", s.SHA256Prefix + "…", got}
		}
		return nil
	}
	if s.MD5 == "" {
		return nil
	}
	// Keras publishes only MD5, which detects damage and mistakes, not a forged file.
	if got := fmt.Sprintf("%x", md5.Sum(data)); got != s.MD5 {
		return &DigestError{origin, "MD5", s.MD5, got}
	}
	return nil
}

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

// ReadCopy reads a source's official file from a local path and checks its digest.
func ReadCopy(s Source, path string) ([]byte, error) {
	if s.BuiltIn {
		return nil, fmt.Errorf("the weights %q are built into garb; there is nothing to download", s.Name)
	}
	data, err := safefile.Read(path, s.MaxBytes)
	if err != nil {
		return nil, err
	}
	return data, s.checkDigest(path, data)
}

// Keep converts a source's file, as Download or ReadCopy returned it, and stores it under the
// source's Path, which it returns. origin says where the file came from. The source is of a network
// in package backbone.
func Keep(s Source, origin string, data []byte) (string, error) {
	n, err := decode(origin, data)
	if err != nil {
		return "", err
	}
	if n.Architecture != s.Architecture || n.WithTop != s.WithTop {
		return "", fmt.Errorf("%s holds %s (with top: %v) instead of %s",
			origin, n.Architecture, n.WithTop, s.Architecture)
	}
	path, err := s.Path()
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return "", err
	}
	digest := "md5:" + s.MD5
	if s.MD5 == "" {
		digest = fmt.Sprintf("sha256:%x", sha256.Sum256(data))
	}
	metadata := map[string]string{
		KeyArchitecture: s.Architecture,
		KeySource:       s.URL,
		KeySourceDigest: digest,
		"licence":       s.Licence,
		"origin":        s.Origin,
	}
	return path, tensor.WriteFile(path, metadata, n.Tensors, tensor.Float32)
}
