package serve

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"html/template"
	"net/http"
	"time"
)

//go:embed page
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

// registerPage registers the web page. It needs no API key itself; it asks the user for the key that
// its requests need.
func (s *Server) registerPage(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", asset("text/html; charset=utf-8", s.index()))
	for _, a := range pageAssets {
		content, err := pageFiles.ReadFile("page/" + a.name)
		if err != nil {
			panic("serve: " + err.Error()) // our own files
		}
		mux.HandleFunc("GET /page/"+a.name, asset(a.contentType, content))
	}
}

// index returns the page's HTML, with the settings of this service that it needs.
func (s *Server) index() []byte {
	var b bytes.Buffer
	err := template.Must(template.ParseFS(pageFiles, "page/index.html")).Execute(&b, struct {
		MaxBytes   int64
		FirstModel string
	}{min(s.config.MaxBodyBytes, s.config.Limits.MaxBytes), s.models.defaultName})
	if err != nil {
		panic("serve: " + err.Error()) // our own template and values
	}
	return b.Bytes()
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
