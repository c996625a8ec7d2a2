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

// pageAssets are what the page loads, by name.
var pageAssets = []struct{ name, contentType string }{
	{"style.css", "text/css; charset=utf-8"},
	{"app.js", "text/javascript; charset=utf-8"},
	{"icon.svg", "image/svg+xml"},
}

// pagePolicy lets the page load our own files, show the person's pictures (blob:) and heat
// maps (data:), and speak with this service, and nothing else.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; " +
	"connect-src 'self'; " +
	"form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// page registers the page for people. It is open to all, and asks for a key if the
// service does.
func (s *Server) page(mux *http.ServeMux) {
	mux.HandleFunc("GET /{$}", asset("text/html; charset=utf-8", s.index()))
	for _, a := range pageAssets {
		content, err := pageFiles.ReadFile("page/" + a.name)
		if err != nil {
			panic("serve: " + err.Error()) // our own files
		}
		mux.HandleFunc("GET /page/"+a.name, asset(a.contentType, content))
	}
}

// index is the page's HTML, with what it has to know of this service.
func (s *Server) index() []byte {
	var b bytes.Buffer
	err := template.Must(template.ParseFS(pageFiles, "page/index.html")).Execute(&b, struct {
		MaxBytes   int64
		FirstModel string
	}{min(s.config.MaxBodyBytes, s.config.Limits.MaxBytes), s.models.first})
	if err != nil {
		panic("serve: " + err.Error()) // our own template and values
	}
	return b.Bytes()
}

// asset answers with a file of the page. A browser keeps it, and asks each time whether
// it is still the same: the next garb may have another.
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
