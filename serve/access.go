package serve

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

// lookInterval is how often files that may be exchanged while the service runs, such as
// keys, are looked at.
const lookInterval = time.Second

// watched is a value made of files, and made again when they change. What cannot be
// made leaves the one before.
type watched[T any] struct {
	paths []string
	make  func() (T, error)

	mu     sync.Mutex
	value  T
	stamps string
	looked time.Time
}

// openWatched makes the value for the first time.
func openWatched[T any](make func() (T, error), paths ...string) (*watched[T], error) {
	w := &watched[T]{paths: paths, make: make, stamps: stamps(paths), looked: time.Now()}
	var err error
	w.value, err = make()
	return w, err
}

// get returns the value, of the files as they were a second ago at most.
func (w *watched[T]) get() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	if time.Since(w.looked) < lookInterval {
		return w.value
	}
	w.looked = time.Now()
	if now := stamps(w.paths); now != w.stamps {
		if value, err := w.make(); err == nil {
			w.value, w.stamps = value, now
		}
	}
	return w.value
}

// stamps tells files of one time from those of another.
func stamps(paths []string) string {
	var all strings.Builder
	for _, p := range paths {
		if info, err := os.Stat(p); err == nil {
			fmt.Fprintf(&all, "%d %d,", info.Size(), info.ModTime().UnixNano())
		}
	}
	return all.String()
}

// keys are those who are let in.
type keys struct{ digests *watched[[][sha256.Size]byte] }

// openKeys reads a file of keys, one a line; empty lines and those that begin with # are
// passed over.
func openKeys(path string) (*keys, error) {
	digests, err := openWatched(func() ([][sha256.Size]byte, error) {
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
			return nil, fmt.Errorf("keys: %s has none; write one a line", path)
		}
		return all, nil
	}, path)
	return &keys{digests}, err
}

// knows reports whether a request has a key: Authorization: Bearer KEY, or X-Api-Key.
// Digests are compared, all of them, so that the time tells nothing of the keys.
func (k *keys) knows(h http.Header) bool {
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

// certificate is the service's, which may be renewed while it runs.
type certificate struct {
	pair *watched[*tls.Certificate]
}

func openCertificate(cert, key string) (*certificate, error) {
	pair, err := openWatched(func() (*tls.Certificate, error) {
		c, err := tls.LoadX509KeyPair(cert, key)
		if err != nil {
			return nil, fmt.Errorf("certificate: %w", err)
		}
		return &c, nil
	}, cert, key)
	return &certificate{pair}, err
}

func (c *certificate) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if pair := c.pair.get(); pair != nil {
				return pair, nil
			}
			return nil, errors.New("no certificate")
		}}
}
