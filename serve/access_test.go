package serve

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
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
	writeFile(t, path, nil) // a mistake locks nobody out, and lets nobody in
	time.Sleep(checkInterval + 100*time.Millisecond)
	if known, unknown := status("X-Api-Key", "third"), status(); known != 200 || unknown != 401 {
		t.Errorf("with an empty file: %d and %d", known, unknown)
	}
	if _, err := openKeys(path); err == nil || !strings.Contains(err.Error(), "one a line") {
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

func TestPublic(t *testing.T) {
	for _, address := range []string{
		"127.0.0.1", "127.8.9.1", "0.0.0.0", "10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1",
		"169.254.169.254", "100.64.0.1", "100.127.255.255",
		"224.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "240.0.0.1",
		"::1", "::", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::127.0.0.1",
		"64:ff9b::7f00:1", "64:ff9b::a00:1",
		"2002:7f00:1::", "2002:a00:1::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:db8::1", "fec0::1",
		"fe80::1%eth0",
	} {
		if isPublic(netip.MustParseAddr(address)) {
			t.Errorf("%s counts as public", address)
		}
	}
	for _, address := range []string{"1.1.1.1", "8.8.8.8", "93.184.216.34", "100.63.255.255", "172.32.0.1",
		"2606:4700:4700::1111", "::ffff:8.8.8.8"} {
		if !isPublic(netip.MustParseAddr(address)) {
			t.Errorf("%s does not count as public", address)
		}
	}
	if isPublic(netip.Addr{}) {
		t.Error("no address counts as public")
	}
}

// TestFetch: pictures come from the allowed addresses alone, and by way of them alone.
//
//nolint:funlen // one fetch after another from one server
func TestFetch(t *testing.T) {
	mux := http.NewServeMux()
	pictures := httptest.NewServer(mux)
	defer pictures.Close()
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_,
			_ = w.Write(white())
	}))
	defer other.Close()
	mux.HandleFunc("/good/white.gif", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(white()) })
	mux.HandleFunc("/secret/white.gif", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(white()) })
	mux.HandleFunc("/good/large", func(w http.ResponseWriter, _ *http.Request) {
		for range 100 {
			_, _ = w.Write(make([]byte, 1<<16))
		}
	})
	mux.HandleFunc("/good/elsewhere",
		func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, other.URL, http.StatusFound) })
	mux.HandleFunc("/good/inside", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, "/secret/white.gif", http.StatusFound)
	})
	mux.HandleFunc("/good/here",
		func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good/white.gif", http.StatusFound) })
	mux.HandleFunc("/good/round",
		func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/good/round", http.StatusFound) })
	mux.HandleFunc("/good/slow", func(w http.ResponseWriter, r *http.Request) { <-r.Context().Done() })

	all := newFetcher([]string{pictures.URL + "/good/"}, 1<<20, func(netip.Addr) bool { return true })
	defer all.client.CloseIdleConnections()
	for path, want := range map[string]error{
		"/good/white.gif": nil, "/good/here": nil, "/good/../good/white.gif": nil,
		"/good/large": errUnavailable, "/good/missing": errUnavailable, "/good/round": errUnavailable,
		"/secret/white.gif": errForbidden, "/good/../secret/white.gif": errForbidden,
		"/good/%2e%2e/secret/white.gif": errForbidden, "/good": errForbidden,
		"/good/elsewhere": errForbidden, "/good/inside": errForbidden,
	} {
		data, err := all.get(t.Context(), pictures.URL+path)
		if !errors.Is(err, want) || want == nil && string(data) != string(white()) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
	for _, address := range []string{other.URL + "/good/white.gif", "file:///etc/passwd", "://",
		strings.Replace(pictures.URL, "http://", "http://user@", 1) + "/good/white.gif"} {
		if _, err := all.get(t.Context(), address); !errors.Is(err, errForbidden) && !errors.Is(err, errBadRequest) {
			t.Errorf("%s: %v", address, err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := all.get(ctx, pictures.URL+"/good/slow"); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a slow server: %v", err)
	}

	// The same with the real rule: loopback is nobody's business.
	real := newFetcher([]string{pictures.URL + "/good/"}, 1<<20, nil)
	if _, err := real.get(t.Context(), pictures.URL+"/good/white.gif"); !errors.Is(err, errForbidden) {
		t.Errorf("loopback: %v", err)
	}
	// Nor is a name that leads there.
	u, err := url.Parse(pictures.URL)
	if err != nil {
		t.Fatal(err)
	}
	named := "http://localhost:" + u.Port() + "/good/"
	if _, err := newFetcher([]string{named}, 1<<20, nil).get(t.Context(), named+"white.gif"); !errors.Is(err,
		errForbidden) {
		t.Errorf("localhost: %v", err)
	}
}

// TestTraces: spans reach a collector, with the client's trace; a collector that is away
// holds nobody up.
func TestTraces(t *testing.T) {
	got := make(chan []byte, 1)
	collector := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if r.URL.Path == "/v1/traces" && r.Header.Get("Content-Type") == "application/json" {
			got <- text
		}
	}))
	defer collector.Close()
	r := start(t, &fake{}, func(c *Config) { c.TraceEndpoint = collector.URL })
	post(t, r.url+"/v1/classify", "", white(), "Traceparent",
		"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	var sent struct {
		ResourceSpans []struct {
			ScopeSpans []struct{ Spans []span }
		}
	}
	if err := json.Unmarshal(<-got, &sent); err != nil {
		t.Fatal(err)
	}
	s := sent.ResourceSpans[0].ScopeSpans[0].Spans[0]
	if s.TraceID != "0af7651916cd43dd8448eb211c80319c" || s.ParentID != "b7ad6b7169203331" || len(s.SpanID) != 16 ||
		s.Name != "POST /v1/classify" || s.Start >= s.End {
		t.Errorf("%+v", s)
	}

	away := start(t, &fake{}, func(c *Config) { c.TraceEndpoint = "http://127.0.0.1:1" })
	h := away.Handler() // once: it makes the page of the API, too
	for range 2 * spanQueue {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/healthz", nil))
		if w.Code != 200 {
			t.Fatal(w.Code)
		}
	}
	if _, err := newTracer("ftp://x", slog.New(slog.DiscardHandler)); err == nil {
		t.Error("traces by ftp")
	}
}
