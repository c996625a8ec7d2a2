// Package page is the web page of a service, for people, and the documentation of its APIs.
package page

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
)

//go:embed assets
var pageFiles embed.FS

// pageAssets are the files that the page loads.
var pageAssets = []struct{ name, contentType string }{
	{"style.css", "text/css; charset=utf-8"},
	{"app.js", "text/javascript; charset=utf-8"},
	{"icon.svg", "image/svg+xml"},
}

// pagePolicy allows the page to load our own files, to show the user's pictures (blob:) and heat maps
// (data:), to send requests to this service, and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; " +
	"connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// Settings are the settings of a service that the page needs.
type Settings struct {
	MaxBytes   int64  // of a picture
	FirstModel string // the default model
	Try        bool   // whether the page of package trypage is served too
}

// Register registers the web page, the API's description in OpenAPI 3.1 and its documentation. They
// need no API key; the page asks the user for the key that its requests need. settings is called for each
// request of the page.
func Register(mux *http.ServeMux, settings func() Settings) {
	mux.HandleFunc("GET /{$}", alive(func(w http.ResponseWriter, r *http.Request) {
		asset("text/html; charset=utf-8", index(settings()))(w, r)
	}))
	for _, a := range pageAssets {
		content, err := pageFiles.ReadFile("assets/" + a.name)
		if err != nil {
			panic("page: " + err.Error()) // our own files
		}
		mux.HandleFunc("GET /page/"+a.name, asset(a.contentType, content))
	}
	mux.HandleFunc("GET /openapi.json", asset("application/json", openAPIText))
	mux.HandleFunc("GET /docs", asset("text/html; charset=utf-8", docsPage(openAPIText)))
	mux.HandleFunc("GET /docs.css", asset("text/css; charset=utf-8", docsStyle))
}

// Owns reports whether a pattern of a mux is one of Register.
func Owns(pattern string) bool {
	return strings.HasPrefix(pattern, "GET /page/") ||
		slices.Contains([]string{"GET /{$}", "GET /openapi.json", "GET /docs", "GET /docs.css"}, pattern)
}

// index returns the page's HTML with the settings.
func index(s Settings) []byte {
	var b bytes.Buffer
	if err := template.Must(template.ParseFS(pageFiles, "assets/index.html")).Execute(&b, s); err != nil {
		panic("page: " + err.Error()) // our own template and values
	}
	return b.Bytes()
}

// alive returns a handler that serves the page to browsers, which accept HTML, and to clients without
// preferences. To other clients it says that the service is alive, as KServe's clients expect of "/".
func alive(html http.HandlerFunc) http.HandlerFunc {
	status := asset("application/json", []byte(`{"status":"alive"}`+"\n"))
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Vary", "Accept")
		if accept := r.Header.Get("Accept"); accept != "" && !strings.Contains(accept, "text/html") {
			status(w, r)
			return
		}
		html(w, r)
	}
}

// asset returns a handler that serves a file of the page. Browsers cache it, but ask each time whether
// it has changed, since another version of garb may have another file.
func asset(contentType string, content []byte) http.HandlerFunc {
	tag := fmt.Sprintf(`"%x"`, sha256.Sum256(content))
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Content-Type", contentType)
		h.Set("ETag", tag)
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", pagePolicy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", "camera=(), microphone=(), geolocation=(), payment=(), usb=()")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Frame-Options", "DENY")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
}
