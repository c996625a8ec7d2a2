// Package fetch fetches pictures by URL, so that clients of a service cannot use it to reach other hosts.
//
// The operator names prefixes of URLs. A URL is compared with them before any name is resolved, and again
// for each redirect. Each IP address is checked at connection time, after its name was resolved.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"
)

// maxRedirects is the maximum number of redirects of a fetch.
const maxRedirects = 3

// ErrURL is the error of a text that is not a URL.
var ErrURL = errors.New("the URL is invalid")

// ErrForbidden is the error of a URL that has none of the prefixes. It depends on the URL alone.
var ErrForbidden = errors.New("this service does not fetch pictures from this URL; send the picture itself")

// ErrUnavailable is the error of every fetch that failed. It does not say whether the name, the address,
// the connection or the answer was the reason, since that would tell clients about the service's network.
var ErrUnavailable = errors.New("the picture could not be fetched")

// Error is the error of a fetch. Its text is the same for every cause, so that clients can read it.
type Error struct {
	Kind  error // ErrURL, ErrForbidden or ErrUnavailable
	Cause error // for the log only
}

// Error returns the text of the kind.
func (e *Error) Error() string { return e.Kind.Error() }

// Unwrap returns the kind. It leaves out the cause, whose type would tell clients about it.
func (e *Error) Unwrap() error { return e.Kind }

// Config holds the settings of a Fetcher.
type Config struct {
	// Prefixes are the URL prefixes that pictures may be fetched from, such as
	// https://images.example.org/shirts/. Without prefixes nothing is fetched.
	Prefixes []string
	// AllowPrivate are networks whose addresses are allowed although they are not public. Loopback and
	// link-local networks must be listed by themselves, and metadata services by their single address.
	AllowPrivate []netip.Prefix
	// MaxBytes is the maximum size of a picture.
	MaxBytes int64
	// Timeout is the time limit of a fetch, redirects and body included.
	Timeout time.Duration
}

// Default returns the default settings, without prefixes.
func Default() Config { return Config{MaxBytes: 32 << 20, Timeout: 10 * time.Second} }

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	for _, text := range c.Prefixes {
		if _, err := parsePrefix(text); err != nil {
			return fmt.Errorf("the URL prefix %q: %w", text, err)
		}
	}
	for _, n := range c.AllowPrivate {
		if err := validateNetwork(n); err != nil {
			return fmt.Errorf("the private network %v: %w", n, err)
		}
	}
	switch {
	case c.MaxBytes < 1:
		return fmt.Errorf("the maximum size of a fetched picture is %d bytes; it must be at least 1", c.MaxBytes)
	case c.Timeout <= 0:
		return fmt.Errorf("the timeout of a fetch is %v; it must be above 0", c.Timeout)
	}
	return nil
}

// Fetcher fetches pictures. Goroutines may share it.
type Fetcher struct {
	config    Config
	prefixes  []location
	dialer    net.Dialer
	transport *http.Transport
	client    http.Client
}

// New returns a Fetcher.
func New(c Config) (*Fetcher, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	f := &Fetcher{config: c}
	for _, text := range c.Prefixes {
		prefix, err := parsePrefix(text)
		if err != nil {
			return nil, err
		}
		f.prefixes = append(f.prefixes, prefix)
	}
	f.dialer = net.Dialer{Timeout: c.Timeout, ControlContext: f.checkAddress}
	f.transport = &http.Transport{
		// No Proxy: it would resolve the name itself.
		DialContext:         f.dialer.DialContext,
		TLSHandshakeTimeout: c.Timeout,
		// No decompression: pictures are compressed already, and a small body could become a large one.
		DisableCompression:     true,
		MaxResponseHeaderBytes: 64 << 10, MaxIdleConnsPerHost: 2, IdleConnTimeout: 30 * time.Second,
	}
	f.client = http.Client{Transport: f.transport, CheckRedirect: f.checkRedirect}
	return f, nil
}

// Close closes idle connections.
func (f *Fetcher) Close() { f.transport.CloseIdleConnections() }

// Get fetches a picture. It returns an *Error, or the error of ctx if that has ended.
func (f *Fetcher) Get(ctx context.Context, address string) ([]byte, error) {
	u, err := f.resolve(address)
	switch {
	case errors.Is(err, ErrURL):
		return nil, &Error{ErrURL, err}
	case err != nil:
		return nil, &Error{ErrForbidden, err}
	}
	limited, cancel := context.WithTimeout(ctx, f.config.Timeout)
	defer cancel()
	data, err := f.receive(limited, u)
	switch {
	case err == nil:
		return data, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	}
	var e *url.Error
	if errors.As(err, &e) {
		err = e.Err // without the URL, whose query may be a secret
	}
	return nil, &Error{ErrUnavailable, fmt.Errorf("%s: %w", u.Host, err)}
}

// receive sends the requests, and reads the answer.
func (f *Fetcher) receive(ctx context.Context, u *url.URL) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, u.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "garb")
	request.Header.Set("Accept-Encoding", "identity")
	answer, err := f.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	encoding := answer.Header.Get("Content-Encoding")
	switch {
	case answer.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("the server answered %s", answer.Status)
	case encoding != "" && !strings.EqualFold(encoding, "identity"):
		return nil, fmt.Errorf("the server compressed the picture with %q", encoding)
	case answer.ContentLength > f.config.MaxBytes:
		return nil, fmt.Errorf("the picture has %d bytes; the maximum is %d", answer.ContentLength, f.config.MaxBytes)
	}
	data, err := io.ReadAll(io.LimitReader(answer.Body, f.config.MaxBytes+1))
	if err == nil && int64(len(data)) > f.config.MaxBytes {
		err = fmt.Errorf("the picture has more than %d bytes", f.config.MaxBytes)
	}
	return data, err
}

// checkRedirect checks the URL of a redirect like the first one.
func (f *Fetcher) checkRedirect(r *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	if r.URL.Scheme != "https" && via[len(via)-1].URL.Scheme == "https" {
		return errors.New("the server redirects from https to http")
	}
	u, err := f.resolve(r.URL.String())
	if err != nil {
		return fmt.Errorf("a redirect to %s: %w", r.URL.Host, err)
	}
	r.URL, r.Host = u, ""
	r.Header.Del("Referer") // another host's path
	return nil
}

// checkAddress checks the address of a connection. The dialer calls it after the name was resolved, so
// a name cannot resolve to another address after the check.
func (f *Fetcher) checkAddress(_ context.Context, _, address string, _ syscall.RawConn) error {
	target, err := netip.ParseAddrPort(address)
	if err != nil || !isAllowed(target.Addr(), f.config.AllowPrivate) {
		return fmt.Errorf("the address %s is not public", address)
	}
	return nil
}
