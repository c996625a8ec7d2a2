package fetch

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// loopback allows the servers of the tests.
var loopback = prefixes("127.0.0.0/8")

// serve starts a server that ends with the test.
func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s
}

// dials are the addresses that a fetcher connects to.
type dials struct {
	mu        sync.Mutex
	addresses []string
}

// watch records the addresses that pass the fetcher's check.
func watch(f *Fetcher) *dials {
	d := &dials{}
	check := f.dialer.ControlContext
	f.dialer.ControlContext = func(ctx context.Context, network, address string, c syscall.RawConn) error {
		err := check(ctx, network, address, c)
		if err == nil {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.addresses = append(d.addresses, address)
		}
		return err
	}
	return d
}

// take returns the addresses so far, and forgets them.
func (d *dials) take() []string {
	d.mu.Lock()
	defer d.mu.Unlock()
	defer func() { d.addresses = nil }()
	return d.addresses
}

// fakeDNS returns a resolver that asks answer for the addresses of each name. No address means that the
// name does not exist.
func fakeDNS(t *testing.T, answer func(name string) []netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for {
				var size [2]byte
				if _, err := io.ReadFull(server, size[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(server, query); err != nil {
					return
				}
				reply := answerQuery(t, query, answer)
				framed := append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)
				if _, err := server.Write(framed); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

// answerQuery returns the answer to a query of DNS.
func answerQuery(t *testing.T, query []byte, answer func(name string) []netip.Addr) []byte {
	var m dnsmessage.Message
	if err := m.Unpack(query); err != nil || len(m.Questions) != 1 {
		t.Errorf("the query %x: %v", query, err)
		return nil
	}
	m.Response, m.RecursionAvailable, m.Additionals = true, true, nil
	q := m.Questions[0]
	addresses := answer(q.Name.String())
	if len(addresses) == 0 {
		m.RCode = dnsmessage.RCodeNameError
	}
	for _, a := range addresses {
		record := dnsmessage.Resource{Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class}}
		switch {
		case q.Type == dnsmessage.TypeA && a.Is4():
			record.Body = &dnsmessage.AResource{A: a.As4()}
		case q.Type == dnsmessage.TypeAAAA && a.Is6():
			record.Body = &dnsmessage.AAAAResource{AAAA: a.As16()}
		default:
			continue
		}
		m.Answers = append(m.Answers, record)
	}
	reply, err := m.Pack()
	if err != nil {
		t.Error(err)
	}
	return reply
}

// isUniform reports whether an error tells clients only that the picture could not be fetched.
func isUniform(err error) bool {
	var e *Error
	return errors.As(err, &e) && errors.Is(err, ErrUnavailable) && err.Error() == ErrUnavailable.Error() &&
		e.Cause != nil && !errors.Is(err, e.Cause) && !errors.Is(err, context.DeadlineExceeded)
}

// content is the picture of the servers below.
const content = "a picture"

// handlePictures registers what TestGet fetches.
func handlePictures(t *testing.T, mux *http.ServeMux) {
	var packed bytes.Buffer
	z := gzip.NewWriter(&packed)
	if _, err := z.Write(make([]byte, 1<<24)); err != nil || z.Close() != nil {
		t.Fatal(err)
	}
	// answer registers an answer with a header.
	answer := func(name, key, value string, body []byte) {
		mux.HandleFunc("/good/"+name, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(key, value)
			_, _ = w.Write(body)
		})
	}
	answer("empty", "X", "", nil)
	answer("identity", "Content-Encoding", "Identity", []byte(content))
	answer("limit", "X", "", make([]byte, 1<<20))
	answer("gzip", "Content-Encoding", "gzip", packed.Bytes())
	answer("declared", "Content-Length", "1048577", make([]byte, 1<<20+1))
	answer("short", "Content-Length", "100", []byte(content))
	answer("header", "X", strings.Repeat("x", 1<<17), []byte(content))
	mux.HandleFunc("/good/picture", func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Accept-Encoding") != "identity" || r.Header.Get("User-Agent") != "garb" || len(r.Header) != 2 {
			t.Errorf("the request's header is %v", r.Header)
		}
		fmt.Fprint(w, content)
	})
	mux.HandleFunc("/good/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			_, _ = w.Write(make([]byte, 1<<16))
		}
	})
	mux.HandleFunc("/good/status/{code}", func(w http.ResponseWriter, r *http.Request) {
		var code int
		_, _ = fmt.Sscan(r.PathValue("code"), &code)
		w.WriteHeader(code)
	})
}

// TestGet fetches from a server, whose answers are bounded and complete or refused.
func TestGet(t *testing.T) {
	mux := http.NewServeMux()
	handlePictures(t, mux)
	s := httptest.NewServer(mux)
	defer s.Close()
	f, err := New(Config{[]string{s.URL + "/good"}, loopback, 1 << 20, 10 * time.Second})
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for path, size := range map[string]int{
		"picture": len(content), "empty": 0, "identity": len(content), "limit": 1 << 20,
	} {
		if data, err := f.Get(t.Context(), s.URL+"/good/"+path); err != nil || len(data) != size {
			t.Errorf("%s: %d bytes, %v", path, len(data), err)
		}
	}
	paths := []string{"gzip", "declared", "endless", "short", "header", "missing"}
	for _, code := range []int{201, 202, 204, 206, 300, 304, 305, 400, 401, 403, 404, 407, 416, 429, 500, 503} {
		paths = append(paths, fmt.Sprint("status/", code))
	}
	for _, path := range paths {
		if data, err := f.Get(t.Context(), s.URL+"/good/"+path); !isUniform(err) || data != nil {
			t.Errorf("%s: %d bytes, %v", path, len(data), err)
		}
	}
	// A picture with too large a Content-Length is not received at all.
	if _, err := f.Get(t.Context(), s.URL+"/good/declared"); !strings.Contains(cause(err).Error(), "1048577 bytes") {
		t.Errorf("a declared length: %v", cause(err))
	}
}

// TestGetHidesTheCause fetches from hosts that fail in different ways: all look the same to clients, and
// the cause has what operators need.
func TestGetHidesTheCause(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0") // accepts, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	closed, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	closed.Close()
	reset := serve(t, func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) })
	c := Default()
	c.AllowPrivate, c.Timeout = prefixes("127.0.0.1/32"), 300*time.Millisecond
	causes := map[string]string{
		"http://" + l.Addr().String() + "/":                    "deadline exceeded",
		"http://" + closed.Addr().String() + "/":               "refused",
		reset.URL + "/":                                        "EOF",
		strings.Replace(reset.URL, "http:", "https:", 1) + "/": "HTTP response to HTTPS client",
		"http://missing.test/":                                 "no such host",
		"http://private.test/":                                 "10.0.0.1:80 is not public",
		"http://metadata.test/":                                "169.254.169.254:80 is not public",
		"http://[64:ff9b::10.0.0.1]/":                          "is not public",
		"http://127.0.0.2/":                                    "is not public",
		strings.Replace(reset.URL, "127.0.0.1", "[::ffff:127.0.0.2]", 1) + "/somewhere/": "is not public",
	}
	for address := range causes {
		c.Prefixes = append(c.Prefixes, address)
	}
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	f.dialer.Resolver = fakeDNS(t, func(name string) []netip.Addr {
		return map[string][]netip.Addr{"private.test.": {netip.MustParseAddr("10.0.0.1")},
			"metadata.test.": {netip.MustParseAddr("169.254.169.254")}}[name]
	})
	for address, want := range causes {
		data, err := f.Get(t.Context(), address+"?secret")
		if !isUniform(err) || !strings.Contains(cause(err).Error(), want) || data != nil ||
			strings.Contains(cause(err).Error(), "secret") {
			t.Errorf("%s: %v, because %v; want %s", address, err, cause(err), want)
		}
	}
	// The URL alone decides whether it is allowed, and nothing is resolved for it.
	for _, address := range []string{"http://missing.example/", "http://10.0.0.1/", "http://localhost/", "nothing",
		"http:"} {
		_, err := f.Get(t.Context(), address)
		if !errors.Is(err, ErrForbidden) || err.Error() != ErrForbidden.Error() {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := f.Get(t.Context(), "http://["); !errors.Is(err, ErrURL) || err.Error() != ErrURL.Error() {
		t.Error(err)
	}
}

// TestGetStopsSlowServers has servers that send a byte now and then.
func TestGetStopsSlowServers(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			fmt.Fprint(w, "x")
			_ = http.NewResponseController(w).Flush()
			time.Sleep(10 * time.Millisecond)
		}
	})
	c := Config{[]string{s.URL + "/"}, loopback, 1 << 20, 200 * time.Millisecond}
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	began := time.Now()
	if _, err = f.Get(t.Context(), s.URL+"/"); !isUniform(err) || time.Since(began) > 5*time.Second {
		t.Errorf("%v after %v", err, time.Since(began))
	}
	// The caller's own deadline is the caller's error.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	var e *Error
	if _, err = f.Get(ctx, s.URL+"/"); !errors.Is(err, context.DeadlineExceeded) || errors.As(err, &e) {
		t.Error(err)
	}
}

// TestRedirects follows redirects to other places.
func TestRedirects(t *testing.T) {
	mux := http.NewServeMux()
	s := httptest.NewServer(mux)
	defer s.Close()
	secure := httptest.NewTLSServer(mux)
	defer secure.Close()
	var strangers atomic.Int64
	stranger := serve(t, func(http.ResponseWriter, *http.Request) { strangers.Add(1) })
	mux.HandleFunc("/good/picture", func(_ http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Referer") != "" {
			t.Errorf("the request has the Referer %s", r.Header.Get("Referer"))
		}
	})
	mux.HandleFunc("/secret/picture", func(http.ResponseWriter, *http.Request) { strangers.Add(1) })
	mux.HandleFunc("/good/to", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", r.FormValue("url"))
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	mux.HandleFunc("/good/chain/{n}", func(w http.ResponseWriter, r *http.Request) {
		to := map[string]string{"1": "../picture", "2": "1", "3": "2", "4": "3", "round": "round"}[r.PathValue("n")]
		http.Redirect(w, r, to, http.StatusFound)
	})
	f := newFetcher(t, loopback, s.URL+"/good/", secure.URL+"/good/")
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	f.transport.TLSClientConfig = &tls.Config{RootCAs: roots}

	for _, address := range []string{
		s.URL + "/good/chain/1", s.URL + "/good/chain/3", secure.URL + "/good/chain/3",
		s.URL + "/good/to?url=picture", s.URL + "/good/to?url=" + s.URL + "/good/picture",
		s.URL + "/good/to?url=" + secure.URL + "/good/picture", // more secure
		s.URL + "/good/to?url=/elsewhere/../good/picture",      // resolved before it is compared
	} {
		if _, err := f.Get(t.Context(), address); err != nil {
			t.Errorf("%s: %v, because %v", address, err, cause(err))
		}
	}
	for _, to := range []string{
		stranger.URL, stranger.URL + "/good/picture", "//" + stranger.Listener.Addr().String() + "/good/picture",
		"/secret/picture", "../secret/picture", "/good/%252e%252e/secret/picture", "/good/..%2fsecret/picture",
		"file:///etc/passwd", "http://169.254.169.254/", strings.Replace(s.URL, "//", "//user@", 1) + "/good/picture",
		`\\` + stranger.Listener.Addr().String() + `\good\picture`, "", ":", "http://%zz",
	} {
		if _, err := f.Get(t.Context(), s.URL+"/good/to?url="+url.QueryEscape(to)); !isUniform(err) {
			t.Errorf("a redirect to %q: %v", to, err)
		}
	}
	for _, address := range []string{s.URL + "/good/chain/4", s.URL + "/good/chain/round",
		secure.URL + "/good/to?url=" + s.URL + "/good/picture"} {
		if _, err := f.Get(t.Context(), address); !isUniform(err) {
			t.Errorf("%s: %v", address, err)
		}
	}
	if n := strangers.Load(); n > 0 {
		t.Errorf("%d requests reached other places", n)
	}
}

// cause returns the cause of a failed fetch.
func cause(err error) error {
	var e *Error
	if errors.As(err, &e) {
		return e.Cause
	}
	return nil
}

// TestRebinding has names that resolve to other addresses after the first time.
func TestRebinding(t *testing.T) {
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") })
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	f := newFetcher(t, prefixes("127.0.0.1/32"), "http://pictures.test"+port+"/")
	connected := watch(f)
	var addresses []netip.Addr
	f.dialer.Resolver = fakeDNS(t, func(string) []netip.Addr { return addresses })
	parse := func(texts ...string) (all []netip.Addr) {
		for _, text := range texts {
			all = append(all, netip.MustParseAddr(text))
		}
		return all
	}
	for _, c := range []struct {
		addresses []netip.Addr
		ok        bool
	}{
		{parse("127.0.0.1"), true},
		{parse("127.0.0.2"), false},
		{parse("169.254.169.254", "10.0.0.1", "::1", "fd00::1", "64:ff9b::7f00:2"), false},
		{parse("127.0.0.1"), true},
		{parse("127.0.0.2", "127.0.0.1", "10.0.0.1"), true}, // only one of them is connected to
		{nil, false},
	} {
		addresses = c.addresses
		_, err := f.Get(t.Context(), "http://pictures.test"+port+"/x")
		var want []string
		if c.ok {
			want = []string{"127.0.0.1" + port}
		}
		if got := connected.take(); (err == nil) != c.ok || !c.ok && !isUniform(err) || !slices.Equal(got, want) {
			t.Errorf("%v: %v, connected to %v", c.addresses, err, got)
		}
	}
}

// TestProxiesAreIgnored sets the variables that other clients respect.
func TestProxiesAreIgnored(t *testing.T) {
	proxy := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("a request reached the proxy") })
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY",
		"all_proxy"} {
		t.Setenv(name, proxy.URL)
	}
	s := serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "x") })
	port := s.URL[strings.LastIndex(s.URL, ":"):]
	address := "http://pictures.test" + port + "/" // a name, since no client uses a proxy for this machine
	f := newFetcher(t, loopback, address)
	f.dialer.Resolver = fakeDNS(t,
		func(string) []netip.Addr { return []netip.Addr{netip.MustParseAddr("127.0.0.1")} })
	if data, err := f.Get(t.Context(), address); err != nil || string(data) != "x" {
		t.Errorf("%q, %v", data, err)
	}
}
