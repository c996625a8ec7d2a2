package store

import (
	"net/http"
	"net/url"
	"strings"
)

// redirectError says that a store redirects to an address that does not get the request, because
// the store could send credentials and requests anywhere.
type redirectError struct{ to string }

func (e *redirectError) Error() string { return e.to }

// findRedirect returns an error for an answer that redirects to another address, or nil. Amazon's
// own addresses may redirect to each other, as they do for new buckets.
func findRedirect(from *url.URL, response *http.Response) error {
	switch response.StatusCode {
	case http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect,
		http.StatusPermanentRedirect:
	default:
		return nil
	}
	location := response.Header.Get("Location")
	if location == "" {
		return nil
	}
	to, err := from.Parse(location)
	if err != nil {
		return &redirectError{"an address that cannot be parsed"}
	}
	same := to.Scheme == from.Scheme && (to.Host == from.Host || isAmazon(from) && isAmazon(to))
	if same && response.StatusCode != http.StatusFound && response.StatusCode != http.StatusSeeOther {
		return nil
	}
	return &redirectError{(&url.URL{Scheme: to.Scheme, Host: to.Host}).String()}
}

// isAmazon reports whether an address is one of Amazon's.
func isAmazon(u *url.URL) bool {
	name := strings.ToLower(u.Hostname())
	return strings.HasSuffix(name, ".amazonaws.com") || strings.HasSuffix(name, ".amazonaws.com.cn")
}
