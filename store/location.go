package store

import (
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
)

// location is what a URL or a path names.
type location struct {
	given string   // the argument
	url   *url.URL // nil for a path
	path  string   // of a file or folder; "" for objects of a bucket
	key   string   // of an object or folder in a bucket
}

// IsURL reports whether an argument is a URL, such as s3://bucket/key, and not a path.
func IsURL(argument string) bool { return scheme(argument) != "" }

// scheme returns the scheme of a URL, or "" for a path.
func scheme(argument string) string {
	name, _, ok := strings.Cut(argument, "://")
	if !ok || !schemeName.MatchString(name) {
		return ""
	}
	return strings.ToLower(name)
}

// schemeName matches schemes by RFC 3986, section 3.1. A single letter is a drive of Windows.
var schemeName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9+.-]+$`)

// parse returns what an argument names.
func parse(argument string) (location, error) {
	l := location{given: argument}
	if !IsURL(argument) {
		l.path = argument
		return l, nil
	}
	u, err := url.Parse(argument)
	if err != nil {
		return l, l.fail(ErrURL, "write % in a key as %25, ? as %3F and # as %23",
			fmt.Errorf("the URL cannot be parsed"))
	}
	l.url = u
	switch {
	case u.User != nil:
		return l, l.fail(ErrURL, "give credentials by environment variables",
			fmt.Errorf("the URL has a user name or password"))
	case u.Fragment != "":
		return l, l.fail(ErrURL, "write # in a key as %23", fmt.Errorf("the URL has a fragment"))
	case u.Scheme == "file":
		return l.parseFile()
	case u.Host == "":
		return l, l.fail(ErrURL, "", fmt.Errorf("the URL names no bucket"))
	}
	l.key = strings.TrimPrefix(u.Path, "/")
	return l, nil
}

// parseFile sets the path of a file URL.
func (l location) parseFile() (location, error) {
	if l.url.Host != "" && l.url.Host != "localhost" || l.url.RawQuery != "" || l.url.Path == "" {
		return l, l.fail(ErrURL, "", fmt.Errorf("a URL of a file is file:///PATH, without parameters"))
	}
	l.path = l.url.Path
	if runtime.GOOS == "windows" {
		l.path = filepath.FromSlash(strings.TrimPrefix(l.path, "/"))
	}
	return l, nil
}

// isFile reports whether the location is on this machine.
func (l location) isFile() bool { return l.path != "" || l.url == nil }

// bucketURL returns the URL of the location's bucket, with its parameters.
func (l location) bucketURL() *url.URL {
	return &url.URL{Scheme: l.url.Scheme, Host: l.url.Host, RawQuery: l.url.RawQuery}
}

// join returns the URL of another key in the same bucket.
func (l location) join(key string) string {
	u := l.bucketURL()
	u.Path = "/" + key
	return u.String()
}

// fileURL returns the path of a listed file in the form of the location: as a path or a URL.
func (l location) fileURL(path string) string {
	if l.url == nil {
		return path
	}
	path = filepath.ToSlash(path)
	if !strings.HasPrefix(path, "/") {
		path = "/" + path
	}
	return (&url.URL{Scheme: "file", Path: path}).String()
}

// String returns the location for messages, without anything secret.
func (l location) String() string {
	scheme, rest, ok := strings.Cut(l.given, "://")
	if !ok {
		return l.given
	}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	// A password with an unescaped / ? or # ends the host too early. It cannot be told from a key.
	if strings.ContainsAny(authority, ":@") && strings.Contains(tail, "@") {
		return scheme + "://…"
	}
	tail, _, _ = strings.Cut(tail, "?")
	return scheme + "://" + authority[strings.LastIndex(authority, "@")+1:] + tail
}

var (
	userInfo   = regexp.MustCompile(`://[^/\s"'?#]*@`)
	parameters = regexp.MustCompile(`([A-Za-z][A-Za-z0-9+.-]+://[^\s"'?]*)\?[^\s"']*`)
)

// redact removes user names, passwords and parameters, which may be secret, from the URLs in a
// text. Signed URLs have their signature in a parameter.
func redact(text string) string {
	return parameters.ReplaceAllString(userInfo.ReplaceAllString(text, "://"), "$1")
}
