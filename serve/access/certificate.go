package access

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"time"

	"garb/serve/reload"
)

// Certificate is the TLS certificate of the service, which may be renewed while the service runs. Its
// methods can be used concurrently.
type Certificate struct {
	pair *reload.Value[*tls.Certificate]
}

// OpenCertificate reads the certificate and its private key.
func OpenCertificate(c Config) (*Certificate, error) {
	if c.TLSCert == "" || c.TLSKey == "" {
		return nil, ErrTLSPair
	}
	pair, err := open(c, reload.Config[*tls.Certificate]{
		Name: CertificateName, Paths: []string{c.TLSCert, c.TLSKey},
		Load: func(files [][]byte, _ *tls.Certificate) (*tls.Certificate, error) {
			return parseCertificate(c.TLSCert, files[0], files[1])
		},
		Describe: func(pair *tls.Certificate) string {
			return "expires " + pair.Leaf.NotAfter.UTC().Format(time.RFC3339)
		},
		KeepUntil: func(pair *tls.Certificate) time.Time { return pair.Leaf.NotAfter },
	})
	if err != nil {
		return nil, err
	}
	return &Certificate{pair}, nil
}

// parseCertificate returns a certificate with its private key and its Leaf.
func parseCertificate(path string, chain, key []byte) (*tls.Certificate, error) {
	pair, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if pair.Leaf == nil { // with GODEBUG=x509keypairleaf=0
		if pair.Leaf, err = x509.ParseCertificate(pair.Certificate[0]); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
	}
	return &pair, nil
}

// TLSConfig returns a configuration that uses the certificate, and TLS 1.2 at least.
func (c *Certificate) TLSConfig() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.pair.Get() }}
}

// NotAfter returns when the certificate in use expires.
func (c *Certificate) NotAfter() (time.Time, error) {
	pair, err := c.pair.Get()
	if err != nil {
		return time.Time{}, errors.New("the TLS certificate has expired and could not be reloaded")
	}
	return pair.Leaf.NotAfter, nil
}

// Watch reloads the certificate until ctx is done.
func (c *Certificate) Watch(ctx context.Context) { c.pair.Watch(ctx) }

// Reload reloads the certificate at once, for a user who says that the files are complete.
func (c *Certificate) Reload() error { return c.pair.Reload() }

// State returns the state of the certificate's files.
func (c *Certificate) State() reload.State { return c.pair.State() }
