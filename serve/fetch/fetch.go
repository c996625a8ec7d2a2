// Package fetch fetches pictures by their URLs.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"

	"garb/internal/download"
)

// Errors of fetches.
var (
	ErrForbidden   = errors.New("fetching this picture is not allowed")
	ErrUnavailable = errors.New("the picture could not be fetched")
	ErrURL         = errors.New("invalid url")
)

// fetchTimeout bounds the fetch of one picture.
const fetchTimeout = 10 * time.Second

// maxRedirects is the largest number of redirects of a fetch; each is checked like the first URL.
const maxRedirects = 3

// Fetcher fetches pictures by their URLs: only from allowed prefixes and public addresses, so that
// clients cannot use the service to reach internal hosts.
type Fetcher struct {
	prefixes []*url.URL
	maxBytes int64
	client   *http.Client
}

// New returns a Fetcher. allowed, if not nil, replaces isPublic, for tests, which use loopback
// addresses.
func New(prefixes []string, maxBytes int64, allowed func(netip.Addr) bool) *Fetcher {
	if allowed == nil {
		allowed = isPublic
	}
	f := &Fetcher{maxBytes: maxBytes}
	for _, p := range prefixes {
		if u, err := url.Parse(p); err == nil { // validated
			f.prefixes = append(f.prefixes, u)
		}
	}
	dialer := &net.Dialer{
		Timeout: 5 * time.Second,
		// It is called with the address to connect to, after the name was resolved, so a name
		// cannot resolve to another address after the check.
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error {
			host, err := netip.ParseAddrPort(address)
			if err != nil || !allowed(host.Addr()) {
				return fmt.Errorf("%w: its address is not public", ErrForbidden)
			}
			return nil
		},
	}
	f.client = &http.Client{
		Timeout: fetchTimeout,
		// No proxy: it would resolve the name itself.
		Transport: &http.Transport{
			DialContext: dialer.DialContext, TLSHandshakeTimeout: 5 * time.Second,
			ResponseHeaderTimeout:  5 * time.Second,
			MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
		},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if len(via) > maxRedirects {
				return fmt.Errorf("%w: too many redirects", ErrUnavailable)
			}
			return f.check(r.URL)
		},
	}
	return f
}

// Get fetches the content of a URL.
func (f *Fetcher) Get(ctx context.Context, address string) ([]byte, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, fmt.Errorf("%w", ErrURL)
	}
	if err = f.check(u); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	data, err := download.Get(ctx, f.client, u.String(), f.maxBytes, nil)
	switch {
	case err == nil || errors.Is(err, ErrForbidden) || errors.Is(err, ErrUnavailable):
		return data, err
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	return nil, &fetchError{err}
}

// fetchError is the error of a failed fetch. Its cause goes to the log, but not to the client.
type fetchError struct{ err error }

func (e *fetchError) Error() string   { return ErrUnavailable.Error() }
func (e *fetchError) Unwrap() []error { return []error{ErrUnavailable, e.err} }

// check returns an error unless a URL has one of the prefixes: the same scheme and host, and a path that
// begins with the prefix's.
func (f *Fetcher) check(u *url.URL) error {
	if len(f.prefixes) == 0 {
		return fmt.Errorf("%w: this service does not fetch pictures; send the picture itself", ErrForbidden)
	}
	if u.User != nil || u.Opaque != "" {
		return fmt.Errorf("%w: the URL has a user name", ErrForbidden)
	}
	clean := path.Clean("/" + u.Path)
	if strings.HasSuffix(u.Path, "/") && clean != "/" {
		clean += "/"
	}
	if !slices.ContainsFunc(f.prefixes, func(p *url.URL) bool {
		return p.Scheme == u.Scheme && strings.EqualFold(p.Host, u.Host) && strings.HasPrefix(clean, p.Path)
	}) {
		return fmt.Errorf("%w: the URL is not one that this service fetches pictures from", ErrForbidden)
	}
	return nil
}

// reservedNetworks are networks that are not on the public internet (RFC 6890), beside those that netip
// knows, and networks whose addresses embed an IPv4 address (RFC 6052, RFC 3056, RFC 4380).
var reservedNetworks = []netip.Prefix{
	netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("100.64.0.0/10"), // carriers' NAT
	netip.MustParsePrefix("192.0.0.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("192.88.99.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("240.0.0.0/4"),
	netip.MustParsePrefix("::/96"), // IPv4-compatible
	netip.MustParsePrefix("64:ff9b::/96"),
	netip.MustParsePrefix("64:ff9b:1::/48"),
	netip.MustParsePrefix("100::/64"),
	netip.MustParsePrefix("2001::/23"), // Teredo among them
	netip.MustParsePrefix("2001:db8::/32"),
	netip.MustParsePrefix("2002::/16"), // 6to4
	netip.MustParsePrefix("3fff::/20"),
	netip.MustParsePrefix("5f00::/16"),
	netip.MustParsePrefix("fec0::/10"),
}

// isPublic reports whether an address is on the public internet.
func isPublic(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsLoopback() || a.IsPrivate() || a.IsUnspecified() || a.IsMulticast() ||
		a.IsLinkLocalUnicast() || a.IsLinkLocalMulticast() || a.IsInterfaceLocalMulticast() {
		return false
	}
	return !slices.ContainsFunc(reservedNetworks, func(p netip.Prefix) bool { return p.Contains(a) })
}
