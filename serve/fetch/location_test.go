package fetch

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// newFetcher returns a fetcher with default settings, which is closed at the end of a test.
func newFetcher(t interface {
	Helper()
	Fatal(...any)
	Cleanup(func())
}, private []netip.Prefix, urlPrefixes ...string) *Fetcher {
	t.Helper()
	c := Default()
	c.Prefixes, c.AllowPrivate, c.Timeout = urlPrefixes, private, 5*time.Second
	f, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// resolvePrefixes are the prefixes of the two tests below.
var resolvePrefixes = []string{"https://Images.Example.org/a", "https://images.example.org/dir/",
	"http://8.8.8.8:8080/", "https://[2001:DB8::1]/", "https://xn--mnchen-3ya.example/",
	"http://trailing.example.:80/x y/"}

// TestResolve checks what is requested for URLs that have a prefix.
func TestResolve(t *testing.T) {
	f := newFetcher(t, nil, resolvePrefixes...)
	for address, want := range map[string]string{
		"https://images.example.org/a":                 "https://Images.Example.org/a",
		"https://images.example.org/a/":                "https://Images.Example.org/a/",
		"https://images.example.org/a/b.jpg?x=1&y=%2F": "https://Images.Example.org/a/b.jpg?x=1&y=%2F",
		"https://images.example.org/%61/b":             "https://Images.Example.org/%61/b",
		"HTTPS://IMAGES.EXAMPLE.ORG./a":                "https://Images.Example.org/a",
		"https://images.example.org:443/a":             "https://Images.Example.org/a",
		"https://images.example.org:/a#part":           "https://Images.Example.org/a",
		"https://images.example.org/dir/":              "https://images.example.org/dir/",
		"https://images.example.org/dir/...":           "https://images.example.org/dir/...",
		"https://images.example.org/dir/a//b":          "https://images.example.org/dir/a//b",
		"https://images.example.org/dir/100%25.jpg":    "https://images.example.org/dir/100%25.jpg",
		"https://images.example.org/dir/ä;v=1.jpg":     "https://images.example.org/dir/%C3%A4;v=1.jpg",
		"http://8.8.8.8:8080":                          "http://8.8.8.8:8080",
		"http://8.8.8.8:08080/x":                       "http://8.8.8.8:8080/x",
		"https://[2001:db8:0::1]:443/x":                "https://[2001:DB8::1]/x",
		"https://XN--MNCHEN-3YA.example/x":             "https://xn--mnchen-3ya.example/x",
		"http://trailing.example/x%20y/z":              "http://trailing.example.:80/x%20y/z",
	} {
		if u, err := f.resolve(address); err != nil || u.String() != want {
			t.Errorf("%s: %v, %v; want %s", address, u, err, want)
		}
	}
}

// TestResolveRefuses checks URLs that have no prefix, or that programs read differently.
func TestResolveRefuses(t *testing.T) {
	f := newFetcher(t, nil, resolvePrefixes...)
	for _, address := range []string{
		"", "a", "/a", "//images.example.org/a", "https:", "https:///a", "https:images.example.org/a", "://",
		"https://%zz/",
		"ftp://images.example.org/a", "file:///etc/passwd", "data:image/gif;base64,AAAA",
		"http://images.example.org/a",
		// Paths beside the prefix.
		"https://images.example.org/", "https://images.example.org/ab", "https://images.example.org/A",
		"https://images.example.org/dir", "https://images.example.org//a", "https://images.example.org/a%20",
		// Other hosts and ports.
		"https://images.example.org.evil.example/a", "https://evil.example/images.example.org/a",
		"https://evil.example#images.example.org/a", "https://evil.example?images.example.org/a",
		"https://evil.example\\@images.example.org/a", "https://images.example.org\\@evil.example/a",
		"https:\\\\images.example.org\\a", "https://images.example.org/dir\\..\\x",
		"https://images.example.org..:443/a",
		"https://images.example.org:80/a", "https://images.example.org:0/a", "https://images.example.org:65979/a",
		"https://images.example.org:x/a", "https://images.example.org:443:443/a", "https://x.images.example.org/a",
		// User names.
		"https://user@images.example.org/a", "https://user:pw@images.example.org/a", "https://@images.example.org/a",
		"https://images.example.org@evil.example/a",
		// Other forms of addresses.
		"http://134744072:8080/", "http://0x8080808:8080/", "http://8.8.2056:8080/", "http://010.8.8.8:8080/",
		"http://8.8.8.8.:8080/", "http://[::ffff:8.8.8.8]:8080/", "https://[2001:db8::1%25eth0]/",
		"https://2001:db8::1/",
		// International names and look-alikes.
		"https://münchen.example/x", "https://images.example.ºrg/a", "https://images。example.org/a",
		"https://images.example%2eorg/a", "https://images%E3%80%82example.org/a", "https://images.example.org%00/a",
		// Dot segments, encoded slashes and backslashes, decoded up to several times.
		"https://images.example.org/dir/.", "https://images.example.org/dir/..",
		"https://images.example.org/dir/../a",
		"https://images.example.org/a/./b", "https://images.example.org/dir/%2e%2E/secret",
		"https://images.example.org/dir/.%2e/secret", "https://images.example.org/dir/..%2fsecret",
		"https://images.example.org/dir/..%5csecret", "https://images.example.org/dir%2fx",
		"https://images.example.org/dir/%252e%252e/secret", "https://images.example.org/dir/x%252Fy",
		"https://images.example.org/dir/x%25255Cy", "https://images.example.org/dir/100%25/%252e%252e/x",
		"https://images.example.org/dir/..;/secret", "https://images.example.org/dir/%2e%2e%3bx/secret",
		"https://images.example.org/dir/.;a=b/x",
		// Control characters and bytes that are not UTF-8.
		"https://images.example.org/dir/%00", "https://images.example.org/dir/x%0d%0ay",
		"https://images.example.org/dir/\n",
		"https://images.example.org/dir/%c0%ae%c0%ae/x", " https://images.example.org/a",
		"https://images.example.org /a",
	} {
		if u, err := f.resolve(address); err == nil {
			t.Errorf("%q: %s", address, u)
		}
	}
}

// TestResolveWithoutPrefixes checks that nothing is fetched by default.
func TestResolveWithoutPrefixes(t *testing.T) {
	if _, err := newFetcher(t, nil).Get(t.Context(), "https://images.example.org/"); !errors.Is(err, ErrForbidden) {
		t.Error(err)
	}
}

// TestValidate checks settings that cannot work.
func TestValidate(t *testing.T) {
	for _, prefix := range []string{"", "images.example.org/", "https://images.example.org",
		"ftp://images.example.org/",
		"https://user@images.example.org/", "https://images.example.org/?", "https://images.example.org/?q",
		"https://images.example.org/#", "https://images.example.org/a/../b", "https://images.example.org/a%2fb",
		"https://2130706433/", "https://127.1/", "https://0x7f.0.0.0x1/", "https://127.0.0.01/",
		"https://[fe80::1%25eth0]/",
		"https://münchen.example/", "https://images.example.org:0/", "https://*.example.org/",
		"https://images..org/"} {
		c := Default()
		c.Prefixes = []string{"https://images.example.org/", prefix}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "URL prefix") {
			t.Errorf("%q: %v", prefix, err)
		}
		if _, err := New(c); err == nil {
			t.Errorf("New accepts %q", prefix)
		}
	}
	for _, network := range []netip.Prefix{{}, netip.MustParsePrefix("10.1.2.3/8"),
		netip.MustParsePrefix("::ffff:10.0.0.0/104"), netip.MustParsePrefix("64:ff9b::a00:0/104"),
		netip.MustParsePrefix("2002:a00::/24"), netip.MustParsePrefix("::a00:0/104")} {
		c := Default()
		c.AllowPrivate = []netip.Prefix{network}
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "private network") {
			t.Errorf("%v: %v", network, err)
		}
	}
	for _, change := range []func(*Config){func(c *Config) { c.MaxBytes = 0 }, func(c *Config) { c.Timeout = 0 }} {
		c := Default()
		change(&c)
		if err := c.Validate(); err == nil {
			t.Errorf("%+v is valid", c)
		}
	}
	if c := (Config{[]string{"https://images.example.org/", "http://8.8.8.8:80/a"},
		prefixes("10.0.0.0/8", "::1/128", "fd00::/8", "127.0.0.1/32", "::/0"), 1, 1}); c.Validate() != nil {
		t.Error(c.Validate())
	}
}

// fuzzPrefixes are the prefixes of the tests below, and fuzzHosts the hosts that they may dial.
var (
	fuzzPrefixes = []string{"https://images.example.org/a", "http://store.example:8080/dir/",
		"https://[2001:db8::1]/"}
	fuzzHosts = []string{"images.example.org:443", "store.example:8080", "[2001:db8::1]:443"}
)

// checkResolved checks the URL that is requested for an address.
func checkResolved(f *Fetcher, address string) string {
	u, err := f.resolve(address)
	if err != nil {
		return ""
	}
	again, err := f.resolve(u.String())
	path, decodeErr := url.PathUnescape(u.EscapedPath())
	switch {
	case err != nil || again.String() != u.String():
		return "the URL is not accepted again"
	case u.User != nil || u.Fragment != "":
		return "the URL has a user name or a fragment"
	case decodeErr != nil || strings.Contains(path, `\`) || slices.Contains(strings.Split(path, "/"), ".."):
		return "the path leaves its prefix"
	case !slices.ContainsFunc(fuzzPrefixes, func(p string) bool {
		whole := u.Scheme + "://" + u.Host + path
		return whole == p || strings.HasPrefix(whole, strings.TrimSuffix(p, "/")+"/") || whole+"/" == p && path == ""
	}):
		return "the URL has none of the prefixes"
	}
	return ""
}

// FuzzResolve looks for URLs that are accepted but outside of the prefixes.
func FuzzResolve(f *testing.F) {
	for _, seed := range []string{"https://images.example.org/a/b?c#d", "http://STORE.example.:08080/dir/%61",
		"https://[2001:DB8:0::1]:443", "https://images.example.org/a/%252e%252e/",
		"https://u@images.example.org/a/..;/b",
		"https://images.example.org\\@x/a", "http://store.example:8080/dir/%2F"} {
		f.Add(seed)
	}
	fetcher := newFetcher(f, nil, fuzzPrefixes...)
	f.Fuzz(func(t *testing.T, address string) {
		if fault := checkResolved(fetcher, address); fault != "" {
			t.Errorf("%q: %s", address, fault)
		}
	})
}

// TestGetDialsOnlyAllowedHosts fetches URLs that are made of pieces that programs read differently.
func TestGetDialsOnlyAllowedHosts(t *testing.T) {
	f := newFetcher(t, nil, fuzzPrefixes...)
	var dialed []string
	f.transport.DialContext = func(_ context.Context, _, address string) (net.Conn, error) {
		dialed = append(dialed, address)
		return nil, errors.New("not in this test")
	}
	pieces := rapid.SliceOfN(rapid.OneOf(rapid.SampledFrom([]string{"https://", "http://", "images.example.org",
		"store.example", ":8080", ":443", "[2001:db8::1]", "/", "/a", "/dir/", "..", "%2e", "%2f", "%5c", "%25", `\`,
		"@",
		"#", "?", ":", ".", ";", "evil.example", "127.0.0.1", "%00", "\t", "。", "x"}), rapid.StringN(0, 2, 4)), 0, 8)
	starts := rapid.SampledFrom(append([]string{""}, fuzzPrefixes...))
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		address := starts.Draw(t, "start") + strings.Join(pieces.Draw(t, "pieces"), "")
		dialed = nil
		if _, err := f.Get(context.Background(), address); err == nil {
			t.Fatal("nothing was dialed, but there is a picture")
		}
		for _, host := range dialed {
			accepted++
			if !slices.Contains(fuzzHosts, host) {
				t.Fatalf("%q dials %s", address, host)
			}
		}
		if fault := checkResolved(f, address); fault != "" {
			t.Fatalf("%q: %s", address, fault)
		}
	})
	if accepted == 0 {
		t.Error("no URL was accepted")
	}
}
