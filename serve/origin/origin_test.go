package origin

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

// front is the origin that the tests allow.
const front = "https://shop.example.org"

// try sends a request through the checks, and returns the response, and the error that it was refused with.
// The service's own status is 200. headers are names and values in turn; those with an empty value are left out.
func try(t *testing.T, c Config, method, url string, headers ...string) (*httptest.ResponseRecorder, error) {
	t.Helper()
	var refusal error
	wrap, err := New(c, func(w http.ResponseWriter, _ *http.Request, err error) {
		refusal = err
		w.WriteHeader(http.StatusTeapot)
	})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest(method, url, nil)
	for i := 0; i < len(headers); i += 2 {
		switch {
		case headers[i] == "Host":
			r.Host = headers[i+1]
		case headers[i+1] != "":
			r.Header.Set(headers[i], headers[i+1])
		}
	}
	w := httptest.NewRecorder()
	wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })).ServeHTTP(w,
		r)
	if (w.Code == http.StatusTeapot) != (refusal != nil) {
		t.Errorf("status %d, but the error %v", w.Code, refusal)
	}
	return w, refusal
}

// browserRequests are what browsers and programs send.
var browserRequests = []struct {
	name, method, site, mode, dest, origin string
	want, allowed                          error // without CORS, and with front allowed
}{
	{name: "a program", method: "POST"},
	{name: "a program", method: "GET"},
	{name: "a program that knows its origin", method: "POST", origin: "http://localhost:8080"},
	{name: "the page's fetch", method: "POST", site: "same-origin", mode: "cors", dest: "empty",
		origin: "http://localhost:8080"},
	{name: "the page's script", method: "GET", site: "same-origin", mode: "no-cors", dest: "script"},
	{name: "the address bar", method: "GET", site: "none", mode: "navigate", dest: "document"},
	{name: "a form of the page", method: "POST", site: "same-origin", mode: "navigate", dest: "document",
		origin: "null"},
	{name: "a link", method: "GET", site: "cross-site", mode: "navigate", dest: "document"},
	{name: "a link of a sister", method: "HEAD", site: "same-site", mode: "navigate", dest: "document"},

	{name: "a frame", method: "GET", site: "cross-site", mode: "navigate", dest: "iframe", want: ErrCrossOrigin,
		allowed: ErrCrossOrigin},
	{name: "an image", method: "GET", site: "cross-site", mode: "no-cors", dest: "image", want: ErrCrossOrigin,
		allowed: ErrCrossOrigin},
	{name: "an image of another port", method: "GET", site: "same-site", mode: "no-cors", dest: "image",
		want: ErrCrossOrigin, allowed: ErrCrossOrigin},
	{name: "a form", method: "POST", site: "cross-site", mode: "navigate", dest: "document",
		origin: "https://evil.example", want: ErrCrossOrigin, allowed: ErrCrossOrigin},
	{name: "a form without Origin", method: "POST", site: "cross-site", mode: "navigate", dest: "document",
		want: ErrCrossOrigin, allowed: ErrCrossOrigin},
	{name: "a blind fetch", method: "POST", site: "cross-site", mode: "no-cors", dest: "empty",
		origin: "https://evil.example", want: ErrCrossOrigin, allowed: ErrCrossOrigin},
	{name: "a fetch", method: "GET", site: "cross-site", mode: "cors", dest: "empty",
		origin: "https://evil.example",
		want:   ErrCrossOrigin, allowed: ErrCrossOrigin},
	{name: "a sandboxed page", method: "POST", site: "cross-site", mode: "cors", dest: "empty", origin: "null",
		want: ErrCrossOrigin, allowed: ErrCrossOrigin},
	{name: "an old browser's form", method: "POST", origin: "https://evil.example", want: ErrCrossOrigin,
		allowed: ErrCrossOrigin},
	{name: "an old browser's fetch", method: "GET", origin: "http://localhost:3000", want: ErrCrossOrigin,
		allowed: ErrCrossOrigin},
	{name: "an old browser's sandbox", method: "POST", origin: "null", want: ErrCrossOrigin,
		allowed: ErrCrossOrigin},
	{name: "an unknown site", method: "GET", site: "new-value", mode: "cors", dest: "empty", want: ErrCrossOrigin,
		allowed: ErrCrossOrigin},
	{name: "an unlisted method", method: "BREW", site: "cross-site", mode: "cors", dest: "empty",
		origin: "https://evil.example", want: ErrCrossOrigin, allowed: ErrCrossOrigin},
	{name: "options", method: "OPTIONS", site: "cross-site", mode: "cors", dest: "empty",
		origin: "https://evil.example", want: ErrCrossOrigin, allowed: ErrCrossOrigin},

	{name: "the front end", method: "POST", site: "cross-site", mode: "cors", dest: "empty", origin: front,
		want: ErrCrossOrigin},
	{name: "the front end", method: "GET", site: "same-site", mode: "cors", dest: "empty", origin: front,
		want: ErrCrossOrigin},
	{name: "an old browser's front end", method: "POST", origin: front, want: ErrCrossOrigin},
	{name: "another scheme", method: "POST", site: "cross-site", mode: "cors", dest: "empty",
		origin: "http://shop.example.org", want: ErrCrossOrigin, allowed: ErrCrossOrigin},
	{name: "another port", method: "POST", site: "cross-site", mode: "cors", dest: "empty",
		origin: front + ":444",
		want:   ErrCrossOrigin, allowed: ErrCrossOrigin},
	{name: "a longer name", method: "POST", site: "cross-site", mode: "cors", dest: "empty",
		origin: front + ".evil.example", want: ErrCrossOrigin, allowed: ErrCrossOrigin},
	{name: "a subdomain", method: "POST", site: "cross-site", mode: "cors", dest: "empty",
		origin: "https://x.shop.example.org", want: ErrCrossOrigin, allowed: ErrCrossOrigin},
}

// TestCrossOrigin sends these requests to a service without and with allowed origins.
func TestCrossOrigin(t *testing.T) {
	for _, c := range browserRequests {
		headers := []string{"Sec-Fetch-Site", c.site, "Sec-Fetch-Mode", c.mode, "Sec-Fetch-Dest", c.dest, "Origin",
			c.origin}
		for _, loopback := range []bool{false, true} {
			for want, config := range map[*error]Config{
				&c.want: {Loopback: loopback}, &c.allowed: {CORSOrigins: []string{"http://other.example", front},
					Loopback: loopback},
				new(error): {CORSOrigins: []string{Any}, Loopback: loopback},
			} {
				w, err := try(t, config, c.method, "http://localhost:8080/v1/classify", headers...)
				if !errors.Is(err, *want) {
					t.Errorf("%s, %s with %+v: %v, want %v", c.method, c.name, config, err, *want)
				}
				checkReadable(t, c.name, config, c.origin, w.Header())
			}
		}
	}
}

// checkReadable checks which origin may read a response.
func checkReadable(t *testing.T, name string, config Config, origin string, h http.Header) {
	t.Helper()
	want, vary := "", ""
	switch {
	case len(config.CORSOrigins) == 1:
		want = Any
	case len(config.CORSOrigins) == 2:
		vary = "Origin"
		if origin == front {
			want = front
		}
	}
	if got := h.Get("Access-Control-Allow-Origin"); got != want || h.Get("Vary") != vary ||
		h.Get("Access-Control-Allow-Credentials") != "" {
		t.Errorf("%s with %+v: %v", name, config, h)
	}
}

// TestPreflight asks whether a page may send a request.
func TestPreflight(t *testing.T) {
	ask := func(c Config, origin string, more ...string) (*httptest.ResponseRecorder, error) {
		return try(t, c, http.MethodOptions, "http://localhost:8080/v1/classify", append([]string{"Origin", origin,
			"Sec-Fetch-Site", "cross-site", "Sec-Fetch-Mode", "cors", "Access-Control-Request-Method", "POST",
			"Access-Control-Request-Headers", "content-type,x-api-key"}, more...)...)
	}
	allowed := Config{CORSOrigins: []string{front}, Loopback: true}
	w, err := ask(allowed, front)
	if err != nil || w.Code != http.StatusNoContent || w.Body.Len() > 0 {
		t.Fatalf("status %d, %v", w.Code, err)
	}
	for name, want := range map[string]string{
		"Access-Control-Allow-Origin":  front,
		"Access-Control-Allow-Methods": "GET, HEAD, POST, DELETE",
		"Access-Control-Allow-Headers": "Authorization, Content-Encoding, Content-Type, " +
			"Inference-Header-Content-Length, Traceparent, Tracestate, X-Api-Key, X-Request-Id, X-Request-Timeout",
		"Access-Control-Max-Age": "7200", "Access-Control-Allow-Private-Network": "", "Vary": "Origin",
	} {
		if got := w.Header().Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	w, err = ask(allowed, front, "Access-Control-Request-Private-Network", "true")
	if got := w.Header().Get("Access-Control-Allow-Private-Network"); err != nil || got != "true" {
		t.Errorf("a private network: %q, %v", got, err)
	}
	w, err = ask(Config{CORSOrigins: []string{Any}}, "null")
	if got := w.Header().Get("Access-Control-Allow-Origin"); err != nil || got != Any {
		t.Errorf("any origin: %q, %v", got, err)
	}
	for _, c := range []Config{{}, {Loopback: true}, allowed} {
		w, err = ask(c, "https://evil.example", "Access-Control-Request-Private-Network", "true")
		if !errors.Is(err, ErrCrossOrigin) || w.Header().Get("Access-Control-Allow-Private-Network") != "" ||
			w.Header().Get("Access-Control-Allow-Methods") != "" {
			t.Errorf("another origin: %v, %v", err, w.Header())
		}
	}
	if _, err = ask(allowed, front, "Host", "evil.example"); !errors.Is(err, ErrHost) {
		t.Errorf("another host: %v", err)
	}
	// OPTIONS of programs reach the service.
	if w, err = try(t, allowed, http.MethodOptions, "http://localhost:8080/"); err != nil || w.Code != http.StatusOK {
		t.Errorf("OPTIONS: status %d, %v", w.Code, err)
	}
}

// TestHost checks Host headers on loopback and elsewhere.
func TestHost(t *testing.T) {
	always := "localhost localhost:8080 LOCALHOST. shop.localhost:1 127.0.0.1 127.0.0.1:8080 127.8.9.1 [::1] " +
		"[::1]:8080 [0:0::1] [::ffff:127.0.0.1]:80 ::1 localhost: [::1]: 127.0.0.1."
	rebound := "evil.example evil.example:8080 localhost.evil.example evillocalhost localhost:8080.evil.example " +
		"localhost@evil.example 127.0.0.1.evil.example 2130706433 . [ : ] " +
		"000::01: 0:0:0:0:0:0:0:1:80 [127.0.0.1] [localhost] [localhost]:80 [::1 ::1] [[::1]] [::1%25lo] [::1]80 " +
		"[::1]:x localhost:80: localhost:-1 :80 x@localhost evil.example/.localhost a..localhost .localhost localhost.."
	addresses := "10.0.0.1 10.0.0.1:8080 [fd00::1]:8080 0.0.0.0 0.0.0.0:8080 [::]:8080 8.8.8.8"
	for _, c := range []struct {
		config           Config
		allowed, refused string
	}{
		{Config{}, always + " " + rebound + " " + addresses, ""},
		{Config{Loopback: true}, always, rebound + " " + addresses},
		{Config{Loopback: true, AllowHosts: []string{"Shop.Example.org", "10.0.0.1", "fd00::1"}},
			always + " shop.example.org shop.EXAMPLE.org.:8080 10.0.0.1 10.0.0.1:8080 [fd00:0::1]:8080",
			rebound + " 10.0.0.2 example.org x.shop.example.org shop.example.org.evil.example"},
		{Config{AllowHosts: []string{"shop.example.org."}}, always + " " + addresses + " shop.example.org", rebound},
	} {
		for want, hosts := range map[error]string{nil: c.allowed, ErrHost: c.refused} {
			for _, host := range strings.Fields(hosts) {
				// The page has the service's origin in the eyes of the browser.
				_, err := try(t, c.config, http.MethodPost, "http://localhost/v1/classify", "Host", host, "Origin",
					"http://"+host,
					"Sec-Fetch-Site", "same-origin", "Sec-Fetch-Mode", "cors")
				if !errors.Is(err, want) {
					t.Errorf("%+v, %s: %v", c.config, host, err)
				}
			}
		}
		if _, err := try(t, c.config, http.MethodGet, "http://localhost/", "Host", ""); err != nil {
			t.Errorf("%+v without a host: %v", c.config, err)
		}
	}
}

// TestHostByLocalAddress has a service with several listeners.
func TestHostByLocalAddress(t *testing.T) {
	for _, c := range []struct {
		address net.Addr
		want    error
	}{
		{&net.TCPAddr{IP: net.IPv4(127, 0, 0, 1)}, ErrHost},
		{&net.TCPAddr{IP: net.IPv6loopback}, ErrHost},
		{&net.TCPAddr{IP: net.IPv4(10, 0, 0, 1)}, nil},
		{&net.UnixAddr{Name: "garb.sock"}, nil},
	} {
		var got error
		wrap, err := New(Config{Loopback: true}, func(_ http.ResponseWriter, _ *http.Request,
			err error) {
			got = err
		})
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodGet, "http://evil.example/", nil)
		r = r.WithContext(context.WithValue(r.Context(), http.LocalAddrContextKey, c.address))
		wrap(http.NotFoundHandler()).ServeHTTP(httptest.NewRecorder(), r)
		if !errors.Is(got, c.want) {
			t.Errorf("%v: %v", c.address, got)
		}
	}
}

// TestProgramsPass sends requests of programs, over real connections: HTTP/1.1, and HTTP/2 as gRPC does.
func TestProgramsPass(t *testing.T) {
	wrap, err := New(Config{Loopback: true}, func(w http.ResponseWriter, _ *http.Request, err error) {
		http.Error(w, err.Error(), http.StatusForbidden)
	})
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Protocol", r.Proto)
	})))
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetHTTP1(true)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	defer s.Close()
	for _, version := range []string{"HTTP/1.1", "HTTP/2.0"} {
		transport := &http.Transport{Protocols: new(http.Protocols)}
		transport.Protocols.SetHTTP1(version == "HTTP/1.1")
		transport.Protocols.SetUnencryptedHTTP2(version == "HTTP/2.0")
		client := &http.Client{Transport: transport}
		for host, want := range map[string]int{"": 200, "localhost": 200, "evil.example": 403} {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL,
				strings.NewReader("\x00\x00\x00\x00\x00"))
			if err != nil {
				t.Fatal(err)
			}
			r.Host = host
			r.Header.Set("Content-Type", "application/grpc")
			answer, err := client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			answer.Body.Close()
			if answer.StatusCode != want || want == 200 && answer.Header.Get("Protocol") != version {
				t.Errorf("%s, host %q: %s, %v", version, host, answer.Status, answer.Header)
			}
		}
		transport.CloseIdleConnections()
	}
}

// TestValidate checks settings that cannot work.
func TestValidate(t *testing.T) {
	for _, o := range []string{"", "null", "shop.example.org", "https://", "https://shop.example.org/",
		"https://shop.example.org/x", "https://shop.example.org?x", "https://shop.example.org#x",
		"//shop.example.org",
		"https://user@shop.example.org", "https://Shop.example.org", "HTTPS://shop.example.org",
		"https://münchen.example",
		"https://shop.example.org:443", "http://shop.example.org:80", "http://shop.example.org:",
		"https://*.example.org",
		"https://shop.example.org:x", "file://", "https://a.example,https://b.example"} {
		c := Config{CORSOrigins: []string{front, o}}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "CORS origin") {
			t.Errorf("%q: %v", o, err)
		}
		if _, err := New(c, nil); err == nil {
			t.Errorf("New accepts the origin %q", o)
		}
	}
	for _, h := range []string{"", "*", "*.example.org", "shop.example.org:80", "[fd00::1]:80",
		"http://shop.example.org",
		"a b", "a..b", ".", "münchen.example", "a/b"} {
		if err := (Config{AllowHosts: []string{"shop", h}}).Validate(); err == nil || !strings.Contains(err.Error(),
			"host") {
			t.Errorf("%q: %v", h, err)
		}
	}
	c := Config{CORSOrigins: []string{Any, "http://localhost:5173", "https://shop.example.org:80",
		"http://[::1]:3000",
		"http://10.0.0.1", "chrome-extension://abcdefgh"}, AllowHosts: []string{"shop", "Shop.example.org.",
		"10.0.0.1",
		"fd00::1", "my_shop"}}
	if err := c.Validate(); err != nil {
		t.Error(err)
	}
}

// FuzzHost looks for Host headers that pass on loopback although they have another name, or are not written as
// such headers are.
func FuzzHost(f *testing.F) {
	for _, seed := range []string{"localhost:8080", "x.localhost", "127.0.0.1", "[::1]:80", "evil.example",
		"localhost:1@x", "000::01:", "[::1]]:", "[localhost]"} {
		f.Add(seed)
	}
	g := &guard{loopback: true}
	f.Fuzz(func(t *testing.T, host string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		if r.Host = host; host == "" || !g.allowsHost(r) {
			return
		}
		if a, err := netip.ParseAddr(host); err == nil && a.Unmap().IsLoopback() {
			return
		}
		name := host
		if i := strings.LastIndexByte(host, ':'); i >= 0 && !strings.HasSuffix(host, "]") {
			name = host[:i]
			if port := host[i+1:]; strings.Trim(port, "0123456789") != "" {
				t.Errorf("%q passes with the port %q", host, port)
			}
		}
		address, bracketed := strings.CutPrefix(name, "[")
		if bracketed {
			address = strings.TrimSuffix(address, "]")
		}
		address = strings.TrimSuffix(address, ".")
		if a, err := netip.ParseAddr(address); err == nil && a.Unmap().IsLoopback() && a.Is4() != bracketed {
			return
		}
		if name = "." + strings.ToLower(strings.TrimSuffix(name, ".")); !strings.HasSuffix(name, ".localhost") ||
			strings.ContainsAny(name, ":/@[]%") || strings.Contains(name[1:], "..") || name[1] == '.' {
			t.Errorf("%q passes", host)
		}
	})
}
