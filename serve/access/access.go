// Package access decides who may use a service: API keys, and the TLS certificate.
package access

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"
)

// ErrNoKey is the error of a request without a valid API key.
var ErrNoKey = errors.New("this service requires an API key: send Authorization: Bearer KEY")

// CheckInterval is the interval at which files that may change while the service runs, such as keys, are
// checked.
const CheckInterval = time.Second

// reloader holds a value that is loaded from files, and reloads it when they change. If that fails, it
// keeps the previous value.
type reloader[T any] struct {
	paths []string
	load  func() (T, error)

	mu      sync.Mutex
	value   T
	stamps  string // see stampFiles
	checked time.Time
}

// newReloader loads the value for the first time.
func newReloader[T any](load func() (T, error), paths ...string) (*reloader[T], error) {
	w := &reloader[T]{paths: paths, load: load, stamps: stampFiles(paths), checked: time.Now()}
	var err error
	w.value, err = load()
	return w, err
}

// get returns the value of the files, which is at most a second old.
func (w *reloader[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.checked) < CheckInterval {
		return w.value
	}
	w.checked = time.Now()
	if now := stampFiles(w.paths); now != w.stamps {
		if value, err := w.load(); err == nil {
			w.value, w.stamps = value, now
		}
	}
	return w.value
}

// stampFiles returns the sizes and times of files.
func stampFiles(paths []string) string {
	var all strings.Builder
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			fmt.Fprintf(&all, "%d %d,", info.Size(), info.ModTime().UnixNano())
		}
	}
	return all.String()
}

// Keys are the API keys of the service.
type Keys struct {
	digests *reloader[[][sha256.Size]byte]
}

// OpenKeys reads a file of keys, one a line. Empty lines and lines that begin with # are ignored.
func OpenKeys(path string) (*Keys, error) {
	digests, err := newReloader(func() ([][sha256.Size]byte, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, fmt.Errorf("keys: %w", err)
		}
		var all [][sha256.Size]byte
		for line := range bytes.Lines(text) {
			if line = bytes.TrimSpace(line); len(line) > 0 && line[0] != '#' {
				all = append(all, sha256.Sum256(line))
			}
		}
		if len(all) == 0 {
			return nil, fmt.Errorf("keys: %s has no keys; write one a line", path)
		}
		return all, nil
	}, path)
	return &Keys{digests}, err
}

// HasKey reports whether a header has one of the keys, in Authorization: Bearer KEY or in X-Api-Key. It
// compares the digests of all keys in constant time, so that the time reveals nothing about them.
func (k *Keys) HasKey(h http.Header) bool {
	key := h.Get("X-Api-Key")
	if scheme, token, ok := strings.Cut(h.Get("Authorization"), " "); ok && strings.EqualFold(scheme, "Bearer") {
		key = strings.TrimSpace(token)
	}
	digest, found := sha256.Sum256([]byte(key)), 0
	for _, known := range k.digests.get() {
		found |= subtle.ConstantTimeCompare(digest[:], known[:])
	}
	return found == 1
}

// Certificate is the TLS certificate of the service, which may be renewed while it runs.
type Certificate struct {
	pair *reloader[*tls.Certificate]
}

func OpenCertificate(cert, key string) (*Certificate, error) {
	pair, err := newReloader(func() (*tls.Certificate, error) {
		c, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		return &c, nil
	}, cert, key)
	return &Certificate{pair}, err
}

func (c *Certificate) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if pair := c.pair.get(); pair != nil {
				return pair, nil
			}
			return nil, errors.New("no certificate")
		}}
}
