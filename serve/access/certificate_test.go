package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"io"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"garb/serve/reload"
)

// makeCertificate returns a self-signed certificate with a number, and its private key, in PEM.
func makeCertificate(t testing.TB, number int64, notAfter time.Time) (chain, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(number), NotBefore: notAfter.Add(-2 * time.Hour),
		NotAfter: notAfter, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})),
		string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}))
}

// pair is a certificate whose files a test replaces.
type pair struct {
	*Certificate
	t        *testing.T
	config   Config
	clock    *clock
	expires  time.Time
	failures int
}

func openPair(t *testing.T) *pair {
	t.Helper()
	now := time.Now().Truncate(time.Second)
	p := &pair{t: t, clock: &clock{wall: now}, expires: now.Add(time.Hour)}
	folder := t.TempDir()
	p.config = Default()
	p.config.TLSCert, p.config.TLSKey = filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem")
	p.config.Clock = p.clock.Clock()
	p.config.OnFailure = func(reload.State) { p.failures++ }
	chain, key := makeCertificate(t, 1, p.expires)
	write(t, p.config.TLSCert, chain)
	write(t, p.config.TLSKey, key)
	var err error
	if p.Certificate, err = OpenCertificate(p.config); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *pair) check(n int) {
	for range n {
		p.clock.advance(reload.DefaultInterval)
		p.pair.Check()
	}
}

// handshake returns the number of the certificate that a client sees.
func (p *pair) handshake(change func(*tls.Config)) (int64, error) {
	client, server := net.Pipe()
	defer client.Close()
	go func() {
		defer server.Close()
		if tls.Server(server, p.TLSConfig()).Handshake() == nil {
			_, _ = io.Copy(io.Discard, server)
		}
	}()
	c := &tls.Config{InsecureSkipVerify: true}
	if change != nil {
		change(c)
	}
	connection := tls.Client(client, c)
	if err := connection.Handshake(); err != nil {
		return 0, err
	}
	return connection.ConnectionState().PeerCertificates[0].SerialNumber.Int64(), nil
}

func (p *pair) want(number int64, status reload.Status) {
	p.t.Helper()
	got, err := p.handshake(nil)
	if got != number || (err == nil) != (number != 0) {
		p.t.Errorf("certificate %d, %v, want %d", got, err, number)
	}
	if s := p.State(); s.Status != status {
		p.t.Errorf("%+v, want %s", s, status)
	}
}

func TestCertificateIsRenewed(t *testing.T) {
	p := openPair(t)
	p.want(1, reload.Current)
	chain, key := makeCertificate(t, 2, p.expires.Add(time.Hour))
	write(t, p.config.TLSCert, chain)
	p.check(1) // between the two writes the files do not match
	p.want(1, reload.Current)
	write(t, p.config.TLSKey, key)
	p.check(2)
	p.want(2, reload.Current)
	if got, want := p.State().Detail, "expires "+p.expires.Add(time.Hour).UTC().Format(time.RFC3339); got != want {
		t.Errorf("%q, want %q", got, want)
	}
	if notAfter, err := p.NotAfter(); err != nil || !notAfter.Equal(p.expires.Add(time.Hour)) || p.failures != 0 {
		t.Errorf("until %v, %v, %d failures", notAfter, err, p.failures)
	}
}

// TestFailedRenewalKeepsTheCertificate until it expires, and never silently.
func TestFailedRenewalKeepsTheCertificate(t *testing.T) {
	chain, _ := makeCertificate(t, 2, time.Now().Add(time.Hour))
	for name, spoil := range map[string]func(c Config) error{
		"removed":        func(c Config) error { return os.Remove(c.TLSKey) },
		"emptied":        func(c Config) error { return os.Truncate(c.TLSCert, 0) },
		"half a file":    func(c Config) error { return os.Truncate(c.TLSCert, 200) },
		"no private key": func(c Config) error { return os.WriteFile(c.TLSKey, []byte(chain), 0o600) },
		"another key":    func(c Config) error { return os.WriteFile(c.TLSCert, []byte(chain), 0o600) },
	} {
		p := openPair(t)
		if err := spoil(p.config); err != nil {
			t.Fatal(name, err)
		}
		p.check(2)
		p.want(1, reload.Stale)
		if p.failures != 1 || p.State().Err == nil {
			t.Errorf("%s: %d failures, %v", name, p.failures, p.State().Err)
		}
		p.clock.advance(p.expires.Sub(p.clock.wall) - time.Second)
		p.check(1)
		p.want(1, reload.Stale)
		p.check(1)
		p.want(0, reload.Refused)
		if _, err := p.NotAfter(); err == nil || p.failures != 2 {
			t.Errorf("%s: %v, %d failures", name, err, p.failures)
		}
		renewed, key := makeCertificate(t, 3, p.expires.Add(time.Hour))
		write(t, p.config.TLSCert, renewed)
		write(t, p.config.TLSKey, key)
		if err := p.Reload(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		p.want(3, reload.Current)
	}
}

func TestTLSVersions(t *testing.T) {
	p := openPair(t)
	for version, ok := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true,
		tls.VersionTLS13: true} {
		_, err := p.handshake(func(c *tls.Config) { c.MinVersion, c.MaxVersion = version, version })
		if (err == nil) != ok {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
	}
}

func TestOpenCertificateRefuses(t *testing.T) {
	p := openPair(t)
	c := p.config
	c.TLSKey = ""
	if _, err := OpenCertificate(c); !errors.Is(err, ErrTLSPair) {
		t.Error(err)
	}
	c.TLSKey = p.config.TLSKey + "x"
	if _, err := OpenCertificate(c); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	c.TLSKey = c.TLSCert
	if _, err := OpenCertificate(c); err == nil || !strings.Contains(err.Error(), c.TLSCert) {
		t.Error(err)
	}
}
