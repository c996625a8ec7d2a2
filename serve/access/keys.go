package access

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"garb/serve/reload"
)

// Errors of Keys.Authenticate.
var (
	ErrNoKey       = errors.New("this service requires an API key: send Authorization: Bearer KEY")
	ErrUnknownKey  = errors.New("the API key is unknown or was revoked")
	ErrExpiredKey  = errors.New("the API key has expired")
	ErrUnavailable = errors.New("API keys cannot be checked at the moment; try again later")
)

// maxCredentials is the largest number of keys in the header of one request.
const maxCredentials = 4

// Key is an API key of the service.
type Key struct {
	name     string
	digest   [sha256.Size]byte
	notAfter time.Time
	usage    *usage
	clock    reload.Clock
}

// Name returns the name of the key for log and metrics. It is "" if the service requires no key.
func (k *Key) Name() string { return k.name }

// Limits returns the limits of the key.
func (k *Key) Limits() Limits {
	k.usage.mu.Lock()
	defer k.usage.mu.Unlock()
	return k.usage.limits
}

// Admit takes what a request needs from the key's limits. If they do not allow it, the error is a
// *LimitError and nothing is taken. The caller calls release when the pictures are no longer in flight;
// calling it again has no effect. What was taken from the rates is not returned.
func (k *Key) Admit(c Cost) (release func(), err error) {
	if c.Requests < 0 || c.Pictures < 0 || c.Bytes < 0 {
		panic("access: negative cost")
	}
	// The limiters need a time.Time. Its zero point does not matter, as long as time never jumps.
	if err := k.usage.admit(k.name, c, time.Unix(0, 0).Add(k.clock.Elapsed())); err != nil {
		return func() {}, err
	}
	return sync.OnceFunc(func() { k.usage.release(c.Pictures) }), nil
}

// Keys are the API keys of the service. The methods can be used concurrently.
type Keys struct {
	keys      *reload.Value[[]*Key] // nil if no key is required
	anonymous *Key
	clock     reload.Clock
}

// OpenKeys reads the key file. Without one, no key is required.
func OpenKeys(c Config) (*Keys, error) {
	if c.Clock.Wall == nil {
		c.Clock = reload.SystemClock()
	}
	k := &Keys{clock: c.Clock, anonymous: &Key{usage: &usage{}, clock: c.Clock}}
	if c.APIKeyFile == "" {
		return k, nil
	}
	var err error
	k.keys, err = open(c, reload.Config[[]*Key]{
		Name: KeysName, Paths: []string{c.APIKeyFile},
		Load: func(files [][]byte, previous []*Key) ([]*Key, error) {
			return loadKeys(c.APIKeyFile, files[0], previous, c.Clock)
		},
		Describe: func(keys []*Key) string {
			if len(keys) == 0 {
				return "no keys: every request that needs one is refused"
			}
			return fmt.Sprintf("number of keys: %d", len(keys))
		},
	})
	if err != nil {
		return nil, err
	}
	return k, nil
}

// loadKeys returns the keys of a file. A key with the name of a previous one continues its usage.
func loadKeys(path string, text []byte, previous []*Key, clock reload.Clock) ([]*Key, error) {
	entries, err := parseKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	usages := map[string]*usage{}
	for _, k := range previous {
		usages[k.name] = k.usage
	}
	keys := make([]*Key, 0, len(entries))
	for _, e := range entries {
		k := &Key{name: e.name, digest: e.digest, notAfter: e.notAfter, usage: usages[e.name], clock: clock}
		if k.usage == nil {
			k.usage = &usage{}
		}
		k.usage.setLimits(e.limits)
		keys = append(keys, k)
	}
	return keys, nil
}

// Authenticate returns the key of a request: the first valid one in Authorization: Bearer KEY and
// X-Api-Key, each of which may occur repeatedly. So a valid key counts even if a proxy or a client
// library adds another credential. If the service requires no key, it returns a key without name and
// limits.
func (k *Keys) Authenticate(h http.Header) (*Key, error) {
	if k.keys == nil {
		return k.anonymous, nil
	}
	keys, err := k.keys.Get()
	if err != nil {
		return nil, ErrUnavailable
	}
	sent := credentials(h)
	switch {
	case len(sent) == 0:
		return nil, ErrNoKey
	case len(sent) > maxCredentials:
		return nil, fmt.Errorf("%w: the request has more than %d keys", ErrUnknownKey, maxCredentials)
	}
	err = ErrUnknownKey
	now := k.clock.Wall()
	for _, text := range sent {
		key := find(keys, text)
		switch {
		case key == nil:
		case !key.notAfter.IsZero() && now.After(key.notAfter):
			err = ErrExpiredKey
		default:
			return key, nil
		}
	}
	return nil, err
}

// credentials returns all keys in a header.
func credentials(h http.Header) []string {
	var all []string
	add := func(key string) {
		if key = strings.TrimSpace(key); key != "" {
			all = append(all, key)
		}
	}
	for _, value := range h.Values("Authorization") {
		if scheme, token, ok := strings.Cut(value, " "); ok && strings.EqualFold(scheme, "Bearer") {
			add(token)
		}
	}
	for _, value := range h.Values("X-Api-Key") {
		add(value)
	}
	return all
}

// find returns the key with a text, or nil. It compares the digests of all keys in constant time, so
// that the time reveals nothing about them.
func find(keys []*Key, text string) *Key {
	digest := sha256.Sum256([]byte(text))
	found := -1
	for i, k := range keys {
		found = subtle.ConstantTimeSelect(subtle.ConstantTimeCompare(digest[:], k.digest[:]), i, found)
	}
	if found < 0 {
		return nil
	}
	return keys[found]
}

// Required reports whether the service requires a key.
func (k *Keys) Required() bool { return k.keys != nil }

// Names returns the names of the valid keys, in the order of the file.
func (k *Keys) Names() []string {
	if k.keys == nil {
		return nil
	}
	keys, err := k.keys.Get()
	if err != nil {
		return nil
	}
	names := make([]string, len(keys))
	for i, key := range keys {
		names[i] = key.name
	}
	return names
}

// Watch reloads the key file until ctx is done. It returns at once if there is none.
func (k *Keys) Watch(ctx context.Context) {
	if k.keys != nil {
		k.keys.Watch(ctx)
	}
}

// Reload reloads the key file at once, for a user who says that it is complete.
func (k *Keys) Reload() error {
	if k.keys == nil {
		return nil
	}
	return k.keys.Reload()
}

// State returns the state of the key file. It is not ok if there is none.
func (k *Keys) State() (s reload.State, ok bool) {
	if k.keys == nil {
		return reload.State{}, false
	}
	return k.keys.State(), true
}
