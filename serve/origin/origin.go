// Package origin keeps web pages of other sites away from a service.
//
// A browser sends requests on behalf of every page that its user opens, also to a service that only the
// user's machine can reach. The package refuses such requests unless the page's origin is allowed (CORS). On
// loopback it also checks the Host header: a page whose host name suddenly resolves to this machine (DNS
// rebinding) has the service's origin in the eyes of the browser, but not its host name.
//
// Programs that are no browsers send none of the headers that are checked, and are not affected.
package origin

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"regexp"
	"strings"
)

// ErrHost is the error of a request whose Host header has another name than the service's.
// It belongs to status 421 (Misdirected Request).
var ErrHost = errors.New("this service is not available under this host name")

// ErrCrossOrigin is the error of a request from a page of another origin. It belongs to status 403.
var ErrCrossOrigin = errors.New("this service does not accept requests from pages of other origins")

// Any is the entry of Config.CORSOrigins that allows every origin.
const Any = "*"

// Config holds the settings of the checks.
type Config struct {
	// CORSOrigins are the origins whose pages may use the service, such as https://shop.example.org. They
	// are compared exactly. Any ("*") allows all pages of all sites that a user opens, so without API keys
	// the service is open to them.
	CORSOrigins []string
	// AllowHosts are host names, without ports, that the service has beside localhost, names below
	// localhost, and loopback addresses.
	AllowHosts []string
	// Loopback says that the service listens on a loopback address. The Host header of requests that
	// arrive at one is then checked. With AllowHosts it is checked for other addresses as well, where it
	// may also be any IP address.
	Loopback bool
}

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	for _, o := range c.CORSOrigins {
		if err := validateOrigin(o); err != nil {
			return fmt.Errorf("the CORS origin %q: %w", o, err)
		}
	}
	for _, h := range c.AllowHosts {
		if !isAddress(h) && !hostName.MatchString(h) {
			return fmt.Errorf("the host %q: it must be a name or an IP address without a port; international names "+
				"have a form that begins with xn--", h)
		}
	}
	return nil
}

// namePattern matches host names, with or without a dot at the end, and IPv4 addresses.
const namePattern = `(?:[A-Za-z0-9_-]+\.)*[A-Za-z0-9_-]+\.?`

var (
	hostName = regexp.MustCompile(`^` + namePattern + `$`)
	// hostHeader matches Host headers (RFC 9110, section 7.2): a name or an IPv6 address in brackets, and maybe
	// a port, whose digits may be missing (RFC 3986, section 3.2.3).
	hostHeader = regexp.MustCompile(`^(?:(` + namePattern + `)|\[([0-9A-Fa-f.]*:[0-9A-Fa-f:.]*)\])(?::[0-9]*)?$`)
)

// validateOrigin reports an origin that no browser sends.
func validateOrigin(origin string) error {
	if origin == Any {
		return nil
	}
	u, err := url.Parse(origin)
	defaultPorts := map[string]string{"http": "80", "https": "443"}
	switch {
	case origin == "null":
		return errors.New("files and sandboxed pages of every site have it; serve the page over HTTP instead")
	case err != nil || u.Scheme == "" || u.Hostname() == "" || strings.ToLower(origin) != u.Scheme+"://"+u.Host:
		return errors.New("it must have a scheme, a host and nothing after it, such as https://shop.example.org")
	case strings.ToLower(origin) != origin:
		return errors.New("browsers write origins in lower case")
	case !hostName.MatchString(u.Hostname()) && !isAddress(u.Hostname()):
		return errors.New("the host must be a name or an IP address; international names have a form that begins " +
			"with xn--")
	case u.Port() != "" && u.Port() == defaultPorts[u.Scheme] || strings.HasSuffix(origin, ":"):
		return fmt.Errorf("browsers leave out the port of %s", u.Scheme)
	}
	return nil
}

func isAddress(host string) bool {
	_, err := netip.ParseAddr(host)
	return err == nil
}

// guard checks requests.
type guard struct {
	origins    map[string]bool
	any        bool
	hosts      map[string]bool
	loopback   bool
	protection *http.CrossOriginProtection
	refuse     func(http.ResponseWriter, *http.Request, error)
}

// New returns a function that adds the checks to a handler. refuse writes the response to a request that
// is refused; its error is ErrHost or ErrCrossOrigin.
func New(c Config, refuse func(http.ResponseWriter, *http.Request, error)) (func(http.Handler) http.Handler, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	g := &guard{origins: map[string]bool{}, hosts: map[string]bool{}, loopback: c.Loopback,
		protection: http.NewCrossOriginProtection(), refuse: refuse}
	for _, o := range c.CORSOrigins {
		if o == Any {
			g.any = true
			continue
		}
		g.origins[o] = true
		if err := g.protection.AddTrustedOrigin(o); err != nil {
			return nil, err
		}
	}
	for _, h := range c.AllowHosts {
		g.hosts[normalizeHost(h)] = true
	}
	return g.wrap, nil
}

// wrap returns a handler that checks requests before next.
func (g *guard) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.allowsHost(r) {
			g.refuse(w, r, ErrHost)
			return
		}
		if len(g.origins) > 0 {
			w.Header().Add("Vary", "Origin")
		}
		if !g.allowsOrigin(r) {
			g.refuse(w, r, ErrCrossOrigin)
			return
		}
		if origin := r.Header.Get("Origin"); g.any || g.origins[origin] {
			if isPreflight(r) {
				g.answerPreflight(w, r)
				return
			}
			g.setOrigin(w.Header(), origin)
			w.Header().Set("Access-Control-Expose-Headers", exposedHeaders)
		}
		next.ServeHTTP(w, r)
	})
}

// allowsHost reports whether a request has one of the service's host names. Requests of HTTP/1.0 may have
// none; no browser sends such.
func (g *guard) allowsHost(r *http.Request) bool {
	loopback := g.loopback && arrivesOnLoopback(r)
	if !loopback && len(g.hosts) == 0 || r.Host == "" {
		return true
	}
	host := normalizeHost(r.Host)
	if address, err := netip.ParseAddr(host); err == nil {
		// Rebinding takes a name.
		return !loopback || address.Unmap().IsLoopback() || g.hosts[host]
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost") || g.hosts[host]
}

// arrivesOnLoopback reports whether a request's connection ends at a loopback address, as far as is known.
// Browsers cannot connect to Unix sockets.
func arrivesOnLoopback(r *http.Request) bool {
	switch a := r.Context().Value(http.LocalAddrContextKey).(type) {
	case *net.TCPAddr:
		return a.IP.IsLoopback()
	case *net.UnixAddr:
		return false
	}
	return true
}

// normalizeHost returns a host without a port, in the form that is compared, or "" if the host is malformed. An IPv6
// address without a port needs no brackets.
func normalizeHost(host string) string {
	if !isAddress(host) {
		parts := hostHeader.FindStringSubmatch(host)
		if parts == nil {
			return ""
		}
		host = strings.TrimSuffix(strings.ToLower(parts[1]), ".") + parts[2]
	}
	if address, err := netip.ParseAddr(host); err == nil {
		return address.String()
	}
	return host
}

// allowsOrigin reports whether a request is not from a page of another origin, or that origin is allowed.
func (g *guard) allowsOrigin(r *http.Request) bool {
	if g.any || isNavigation(r) {
		return true
	}
	// Go's check lets safe methods through, since it protects state. Here the pictures and the time of the
	// service count as well, so all methods are checked like POST.
	checked := *r
	checked.Method = http.MethodPost
	return g.protection.Check(&checked) == nil
}

// isNavigation reports whether a user follows a link to the service, or opens it in another way. The page
// that has the link sees nothing of the answer. A frame is no navigation: it could be made to look like a part
// of that page.
func isNavigation(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) &&
		r.Header.Get("Sec-Fetch-Mode") == "navigate" && r.Header.Get("Sec-Fetch-Dest") == "document"
}

var (
	// allowedMethods are the methods that pages of other origins may use.
	allowedMethods = strings.Join([]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodDelete}, ", ")
	// allowedHeaders are the headers of requests that the service reads.
	allowedHeaders = strings.Join([]string{"Authorization", "Content-Encoding", "Content-Type",
		"Inference-Header-Content-Length", "Traceparent", "Tracestate", "X-Api-Key", "X-Request-Id",
		"X-Request-Timeout"}, ", ")
	// exposedHeaders are the headers of responses that pages of other origins may read.
	exposedHeaders = strings.Join([]string{"Inference-Header-Content-Length", "Retry-After", "WWW-Authenticate",
		"X-Model-Version", "X-Request-Id"}, ", ")
)

// preflightSeconds is the time that browsers may remember the answer to a preflight; two hours are
// Chromium's maximum. The requests that follow are checked all the same.
const preflightSeconds = "7200"

// isPreflight reports whether a browser asks whether a page may send a request.
func isPreflight(r *http.Request) bool {
	return r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
}

// answerPreflight says what pages of an allowed origin may send.
func (g *guard) answerPreflight(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	g.setOrigin(h, r.Header.Get("Origin"))
	h.Set("Access-Control-Allow-Methods", allowedMethods)
	h.Set("Access-Control-Allow-Headers", allowedHeaders)
	h.Set("Access-Control-Max-Age", preflightSeconds)
	if r.Header.Get("Access-Control-Request-Private-Network") == "true" {
		h.Set("Access-Control-Allow-Private-Network", "true")
	}
	w.WriteHeader(http.StatusNoContent)
}

// setOrigin allows an origin to read the response. Credentials are never allowed: keys are in headers that the
// page sets itself.
func (g *guard) setOrigin(h http.Header, origin string) {
	if g.any {
		origin = Any
	}
	h.Set("Access-Control-Allow-Origin", origin)
}
