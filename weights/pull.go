package weights

import (
	"crypto/md5"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"garb/internal/safefile"
	"garb/tensor"
)

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
