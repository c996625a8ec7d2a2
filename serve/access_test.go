package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"garb/serve/access"
)

func writeFile(t testing.TB, path string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestKeys(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys")
	writeFile(t, path, []byte("# of the shop\nfirst\n\n  second  \n"))
	r := start(t, &fake{}, func(c *Config) { c.APIKeyFile = path })
	status := func(header ...string) int {
		answer, _ := post(t, r.url+"/v1/classify", "", white(), header...)
		return answer.StatusCode
	}
	for key, want := range map[string]int{"first": 200, "second": 200, "# of the shop": 401, "": 401, "third": 401,
		"firs": 401} {
		if got := status("Authorization", "Bearer "+key); got != want {
			t.Errorf("Bearer %q: %d, want %d", key, got, want)
		}
		if got := status("X-Api-Key", key); got != want {
			t.Errorf("X-Api-Key %q: %d, want %d", key, got, want)
		}
	}
	if got := status("Authorization", "Basic first"); got != 401 {
		t.Errorf("another scheme: %d", got)
	}
	for path, want := range map[string]int{"/healthz": 200, "/readyz": 200, "/metrics": 401} {
		answer, err := http.Get(r.url + path)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.StatusCode != want {
			t.Errorf("%s: %s, want %d", path, answer.Status, want)
		}
	}
	writeFile(t, path, []byte("third\n"))
	waitFor(t, "the new key is known", func() bool { return status("X-Api-Key", "third") == 200 })
	if got := status("X-Api-Key", "first"); got != 401 {
		t.Errorf("the old key: %d", got)
	}
	writeFile(t, path, nil) // a mistake locks nobody out, and lets nobody in
	time.Sleep(access.CheckInterval + 100*time.Millisecond)
	if known, unknown := status("X-Api-Key", "third"), status(); known != 200 || unknown != 401 {
		t.Errorf("with an empty file: %d and %d", known, unknown)
	}
	if _, err := access.OpenKeys(path); err == nil || !strings.Contains(err.Error(), "one a line") {
		t.Errorf("%v", err)
	}
}

// writeCertificate writes a self-signed certificate for 127.0.0.1 with a number.
func writeCertificate(t testing.TB, cert, key string, number int64) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(number), Subject: pkix.Name{CommonName: "garb"},
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:   time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true,
		BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	privateDER, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, key, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: privateDER}))
	writeFile(t, cert, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func TestTLS(t *testing.T) {
	cert, key := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writeCertificate(t, cert, key, 1)
	r := start(t, &fake{}, func(c *Config) { c.TLSCert, c.TLSKey = cert, key })
	serial := func() int64 {
		c, err := tls.Dial("tcp", strings.TrimPrefix(r.url, "http://"), &tls.Config{InsecureSkipVerify: true})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		return c.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("certificate %d", got)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true},
		ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	answer, err := client.Get(strings.Replace(r.url, "http", "https", 1) + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != 200 || answer.ProtoMajor != 2 {
		t.Errorf("%s by %s", answer.Status, answer.Proto)
	}
	writeCertificate(t, cert, key, 2)
	waitFor(t, "the new certificate", func() bool { return serial() == 2 })
}
