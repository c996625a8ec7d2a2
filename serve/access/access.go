// Package access decides who may use the service: API keys with names and limits, and the TLS
// certificate. Both are files that may be replaced while the service runs, see package reload.
//
// Rules of the key file. What the file says counts, when the service starts and later:
//   - A file without keys revokes all keys. Every request gets ErrNoKey or ErrUnknownKey.
//   - If the file is removed, malformed or unreadable, its last keys stay valid for a grace period, in
//     which a two-step writer can finish. Then every request gets ErrUnavailable, because nobody knows
//     any more which keys are revoked.
//
// Rule of the certificate: if it cannot be reloaded, the old one is used until it expires. A certificate
// is no secret that somebody could have revoked here, and without one nobody can connect.
package access

import (
	"errors"
	"time"

	"garb/serve/reload"
)

// Config says which files are used. The files are independent of each other.
type Config struct {
	// APIKeyFile is the file of the API keys, which docs/operate.md describes. With "" no key is
	// required.
	APIKeyFile string
	// TLSCert and TLSKey are PEM files with the certificate chain and its private key. With "" there
	// is no TLS.
	TLSCert, TLSKey string
	// Interval is the time between checks of the files, and Grace how long the last keys of an
	// unusable file stay valid.
	Interval, Grace time.Duration
	// OnSuccess and OnFailure are called for each reload, for log and metrics; see reload.Config.
	OnSuccess, OnFailure func(reload.State)
	// Clock replaces the system's clock in tests.
	Clock reload.Clock
}

// Names of the values in reload.State.
const (
	KeysName        = "keys"
	CertificateName = "certificate"
)

// ErrTLSPair is the error of a configuration with a TLS certificate but no key, or a key but no
// certificate.
var ErrTLSPair = errors.New("a TLS certificate and its private key must be given together")

// Default returns the default settings: no keys, no TLS.
func Default() Config {
	return Config{Interval: reload.DefaultInterval, Grace: reload.DefaultGrace}
}

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	switch {
	case (c.TLSCert == "") != (c.TLSKey == ""):
		return ErrTLSPair
	case c.Interval < 0 || c.Grace < 0:
		return errors.New("access: the interval and the grace period must not be negative")
	}
	return nil
}

// open loads a value from files by the rules of a Config.
func open[T any](c Config, r reload.Config[T]) (*reload.Value[T], error) {
	r.Interval, r.Grace, r.OnSuccess, r.OnFailure, r.Clock = c.Interval, c.Grace, c.OnSuccess, c.OnFailure, c.Clock
	return reload.Open(r)
}
