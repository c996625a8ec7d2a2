package serve

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
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
	writeFile(t, path, nil)
	waitFor(t, "the emptied file revokes the key", func() bool { return status("X-Api-Key", "third") == 401 })
	writeFile(t, path, []byte("third\n"))
	waitFor(t, "the key is back", func() bool { return status("X-Api-Key", "third") == 200 })
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "without the file every request is refused", func() bool { return status("X-Api-Key", "third") == 503 })
	waitFor(t, "the log says so", func() bool {
		return strings.Contains(r.log.String(), "old contents are no longer used")
	})
	for probe, want := range map[string]string{
		"/readyz": `"kind":"keys_unavailable"`, "/readyz?verbose": `"status":"refused"`,
	} {
		answer, text, err := try(t.Context(), http.MethodGet, r.url+probe, "", nil)
		if err != nil || answer.StatusCode != 503 || !strings.Contains(string(text), want) ||
			strings.Contains(string(text), path) {
			t.Errorf("%s: %v, %s", probe, err, text)
		}
	}
}

// TestKeyLimits: each protocol keeps to the limits of a key, and the log has the key's name.
func TestKeyLimits(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.toml")
	const first, second, third = "first-key-of-the-test", "second-key-of-the-test", "third-key-of-the-test"
	writeFile(t, path, []byte("[[key]]\nname = \"requests\"\nkey = \""+first+"\"\nrequests_per_second = 0.01\n"+
		"[[key]]\nname = \"bytes\"\nkey = \""+second+"\"\nbytes_per_second = 1\n"+
		"[[key]]\nname = \"pictures\"\nkey = \""+third+"\"\npictures_per_second = 0.01\n"))
	r := start(t, &fake{}, func(c *Config) { c.APIKeyFile = path })
	tensorflow := `{"instances": [{"b64": "` + base64.StdEncoding.EncodeToString(white()) + `"}]}`
	for i, c := range []struct {
		key, path, body string
		want            int
		retry           string
	}{
		{first, "/v1/classify", string(white()), 200, ""},
		{first, "/v1/classify", string(white()), 429, "100"},
		{second, "/v1/classify", string(white()), 413, ""},
		{third, "/v1/models/m:predict", tensorflow, 200, ""},
		{third, "/v1/models/m:predict", tensorflow, 429, "100"},
		{third, "/v1/classify", string(white()), 429, "100"},
	} {
		answer, text := post(t, r.url+c.path, "", []byte(c.body), "X-Api-Key", c.key)
		if answer.StatusCode != c.want || answer.Header.Get("Retry-After") != c.retry {
			t.Errorf("request %d: %s, Retry-After %q, %s", i, answer.Status, answer.Header.Get("Retry-After"), text)
		}
	}
	if !strings.Contains(r.log.String(), `"key":"pictures"`) {
		t.Error("the log has no names of keys")
	}
	_, text, err := try(t.Context(), http.MethodGet, r.url+"/metrics", "", nil, "X-Api-Key", third)
	if err != nil || !strings.Contains(string(text), `garb_rejected_total{reason="limit"} 3`) {
		t.Errorf("%v, %s", err, text)
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
