// Package trypage serves the page that classifies pictures in the visitor's browser. `make try` builds its folder.
package trypage

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// prefix is the path of the page.
const prefix = "/try/"

// policy allows the page to load its own files, to compile WebAssembly and to show the visitor's pictures, and
// nothing else.
const policy = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' blob:; " +
	"connect-src 'self'; worker-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"

// contentTypes are the types of the page's files.
var contentTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
	".wasm": "application/wasm",
}

// sendTime is the time that a file has to be sent in: garb.wasm takes minutes over a slow connection.
const sendTime = 10 * time.Minute

// ErrNotPage is wrapped by errors about folders that do not have the page.
var ErrNotPage = errors.New("the folder does not have the page that make try builds")

// Page is the page in a folder.
type Page struct {
	folder string
	names  []string
}

// Open finds the page's files in a folder. Those in it that are not of the page are not served.
func Open(folder string) (*Page, error) {
	for _, name := range []string{"index.html", "garb.js", "garb.wasm"} {
		if _, err := os.Stat(filepath.Join(folder, name)); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				return nil, fmt.Errorf("%s: %w: it has no %s", folder, ErrNotPage, name)
			}
			return nil, err
		}
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, err
	}
	p := &Page{folder: folder}
	for _, e := range entries {
		if contentTypes[filepath.Ext(e.Name())] != "" && e.Type().IsRegular() {
			p.names = append(p.names, e.Name())
		}
	}
	return p, nil
}

// Register registers the page's files below /try/. They need no API key.
func (p *Page) Register(mux *http.ServeMux) {
	mux.Handle("GET "+strings.TrimSuffix(prefix, "/"), http.RedirectHandler("try/", http.StatusMovedPermanently))
	mux.HandleFunc("GET "+prefix+"{$}", p.serve("index.html"))
	for _, name := range p.names {
		if name != "index.html" {
			mux.HandleFunc("GET "+prefix+name, p.serve(name))
		}
	}
}

// Owns reports whether a pattern of a mux is one of Register.
func Owns(pattern string) bool { return strings.HasPrefix(pattern, "GET "+prefix) }

// serve returns a handler that sends a file, or the file beside it that is compressed with Brotli. Browsers cache
// both, but ask each time whether they have changed.
func (p *Page) serve(name string) http.HandlerFunc {
	path := filepath.Join(p.folder, name)
	return func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Vary", "Accept-Encoding")
		var file *os.File
		if acceptsBrotli(r) {
			if f, err := os.Open(path + ".br"); err == nil {
				file = f
				h.Set("Content-Encoding", "br")
				r.Header.Del("Range") // a part of the compressed file would be of no use
			}
		}
		if file == nil {
			f, err := os.Open(path)
			if err != nil {
				http.NotFound(w, r)
				return
			}
			file = f
		}
		defer file.Close()
		info, err := file.Stat()
		if err != nil {
			http.NotFound(w, r)
			return
		}
		h.Set("Content-Type", contentTypes[filepath.Ext(name)])
		h.Set("Cache-Control", "no-cache")
		h.Set("Content-Security-Policy", policy)
		h.Set("Referrer-Policy", "no-referrer")
		h.Set("Permissions-Policy", "camera=(self), microphone=(), geolocation=(), payment=(), usb=()")
		h.Set("Cross-Origin-Resource-Policy", "same-origin")
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(sendTime)) // a test's writer has none
		http.ServeContent(w, r, "", info.ModTime(), file)
	}
}

// acceptsBrotli reports whether the client takes content that is compressed with Brotli.
func acceptsBrotli(r *http.Request) bool {
	for part := range strings.SplitSeq(r.Header.Get("Accept-Encoding"), ",") {
		name, weight, _ := strings.Cut(strings.TrimSpace(part), ";")
		if strings.EqualFold(strings.TrimSpace(name), "br") {
			q, weighted := strings.CutPrefix(strings.TrimSpace(weight), "q=")
			return !weighted || strings.Trim(q, "0.") != ""
		}
	}
	return false
}
