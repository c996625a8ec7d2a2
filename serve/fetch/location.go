package fetch

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// location is what is compared of a URL.
type location struct {
	scheme string // http or https
	host   string // in lower case, without a dot at the end; an IP address in its usual form
	port   uint16
	path   string // decoded; begins with a slash
	dialed string // the host and port as the URL has them
}

// hasPrefix reports whether a location is at or below a prefix.
func (l location) hasPrefix(p location) bool {
	if l.scheme != p.scheme || l.host != p.host || l.port != p.port {
		return false
	}
	rest, ok := strings.CutPrefix(l.path, p.path)
	return ok && (rest == "" || rest[0] == '/' || strings.HasSuffix(p.path, "/"))
}

// resolve returns the URL to fetch for an address that has one of the prefixes. Its host is the prefix's,
// letter by letter, so that nobody but the operator chooses what is resolved.
func (f *Fetcher) resolve(address string) (*url.URL, error) {
	u, l, err := parse(address)
	if err != nil {
		return nil, err
	}
	for _, p := range f.prefixes {
		if l.hasPrefix(p) {
			return &url.URL{Scheme: p.scheme, Host: p.dialed, Path: u.Path, RawPath: u.RawPath,
				RawQuery: u.RawQuery, ForceQuery: u.ForceQuery}, nil
		}
	}
	return nil, errors.New("the URL has none of the prefixes")
}

// parsePrefix parses a prefix of the configuration.
func parsePrefix(text string) (location, error) {
	u, l, err := parse(text)
	switch {
	case err != nil:
		return l, err
	case u.Path == "" || u.RawQuery != "" || u.ForceQuery || strings.Contains(text, "#"):
		return l, errors.New("it must be an http or https URL with at least a slash after the host, " +
			"such as https://images.example.org/")
	}
	return l, nil
}

// parse parses a URL, and refuses everything that another program could understand in another way.
func parse(text string) (*url.URL, location, error) {
	var l location
	u, err := url.Parse(text)
	switch {
	case err != nil:
		return nil, l, ErrURL
	case u.Scheme != "http" && u.Scheme != "https" || u.Opaque != "" || u.Host == "":
		return nil, l, errors.New("it is not an http or https URL with a host")
	case u.User != nil:
		return nil, l, errors.New("it has a user name")
	}
	l = location{scheme: u.Scheme, path: u.Path, dialed: u.Host}
	if l.path == "" {
		l.path = "/"
	}
	if l.host, err = parseHost(u.Hostname()); err != nil {
		return nil, l, err
	}
	if l.port, err = parsePort(u.Scheme, u.Port()); err != nil {
		return nil, l, err
	}
	return u, l, checkPath(u.EscapedPath())
}

// parsePort returns the number of a port; that of the scheme if there is none.
func parsePort(scheme, text string) (uint16, error) {
	if text == "" {
		text = map[string]string{"http": "80", "https": "443"}[scheme]
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil || port == 0 {
		return 0, fmt.Errorf("the port %q must be from 1 to 65535", text)
	}
	return uint16(port), nil
}

// parseHost returns the form of a host that is compared.
func parseHost(host string) (string, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		if address.Zone() != "" {
			return "", errors.New("the address has a zone")
		}
		return address.String(), nil
	}
	host = strings.TrimSuffix(strings.ToLower(host), ".")
	labels := strings.Split(host, ".")
	for _, label := range labels {
		if label == "" || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool {
			return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '-' && r != '_'
		}) {
			return "", fmt.Errorf("the host %q must be an IP address or a name of ASCII letters, digits and dashes; "+
				"international names have a form that begins with xn--", host)
		}
	}
	// Some resolvers take 2130706433, 127.1 and 127.0.0.0x1 for IPv4 addresses.
	if last := labels[len(labels)-1]; strings.Trim(last, "0123456789") == "" || strings.HasPrefix(last, "0x") {
		return "", fmt.Errorf("the host %q must be a name or an IP address of four decimal numbers", host)
	}
	return host, nil
}

// escape matches an encoded byte.
var escape = regexp.MustCompile("%[0-9A-Fa-f]{2}")

// checkPath refuses paths that a server might take for a path outside of the prefix. Servers differ in how
// often they decode a path, so it checks every stage of decoding.
func checkPath(path string) error {
	for {
		for segment := range strings.SplitSeq(path, "/") {
			// Some servers remove parameters: "..;a" is ".." to them.
			if name, _, _ := strings.Cut(segment, ";"); name == "." || name == ".." {
				return errors.New("the path has a dot segment")
			}
		}
		decoded := escape.ReplaceAllStringFunc(path, func(e string) string {
			b, _ := url.PathUnescape(e)
			return b
		})
		switch {
		case decoded == path:
			return nil
		case strings.Count(decoded, "/") != strings.Count(path, "/"):
			return errors.New("the path has an encoded slash")
		case strings.Contains(decoded, `\`):
			return errors.New("the path has a backslash")
		case !utf8.ValidString(decoded) || strings.ContainsFunc(decoded, unicode.IsControl):
			return errors.New("the path has encoded control characters or invalid UTF-8")
		}
		path = decoded
	}
}
