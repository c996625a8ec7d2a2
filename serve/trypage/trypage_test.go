package trypage

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// writeFiles writes files, whose content is their name, to a new folder.
func writeFiles(t *testing.T, names ...string) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func TestOpen(t *testing.T) {
	if _, err := Open(writeFiles(t, "index.html", "garb.js")); !errors.Is(err, ErrNotPage) ||
		!strings.Contains(err.Error(), "garb.wasm") {
		t.Errorf("a folder without garb.wasm: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, ErrNotPage) {
		t.Errorf("no folder: %v", err)
	}
}

func TestServe(t *testing.T) {
	folder := writeFiles(t, "index.html", "garb.js", "garb.wasm", "garb.wasm.br", "secret.txt", "page.css")
	p, err := Open(folder)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	p.Register(mux)
	for _, c := range []struct {
		path, accept       string
		status             int
		body, kind, coding string
	}{
		{"/try/", "", 200, "index.html", "text/html; charset=utf-8", ""},
		{"/try/", "gzip, br", 200, "index.html", "text/html; charset=utf-8", ""}, // no .br beside it
		{"/try/garb.js", "br", 200, "garb.js", "text/javascript; charset=utf-8", ""},
		{"/try/page.css", "", 200, "page.css", "text/css; charset=utf-8", ""},
		{"/try/garb.wasm", "", 200, "garb.wasm", "application/wasm", ""},
		{"/try/garb.wasm", "gzip, br;q=1.0", 200, "garb.wasm.br", "application/wasm", "br"},
		{"/try/garb.wasm", "gzip, BR", 200, "garb.wasm.br", "application/wasm", "br"},
		{"/try/garb.wasm", "br;q=0", 200, "garb.wasm", "application/wasm", ""},
		{"/try/garb.wasm", "br; q=0.0", 200, "garb.wasm", "application/wasm", ""},
		{"/try/garb.wasm", "br; q=0.5", 200, "garb.wasm.br", "application/wasm", "br"},
		{"/try/garb.wasm", "brotli", 200, "garb.wasm", "application/wasm", ""},
		{"/try/garb.wasm.br", "", 404, "", "", ""},
		{"/try/secret.txt", "", 404, "", "", ""},
		{"/try/index.html", "", 404, "", "", ""},
		{"/try/..%2fsecret.txt", "", 404, "", "", ""},
		{"/try", "", 301, "", "", ""},
	} {
		r := httptest.NewRequest(http.MethodGet, c.path, nil)
		r.Header.Set("Accept-Encoding", c.accept)
		r.Header.Set("Range", "bytes=0-")
		w := httptest.NewRecorder()
		mux.ServeHTTP(w, r)
		h := w.Header()
		status := w.Code
		if status == http.StatusPartialContent { // of what is not compressed
			status = http.StatusOK
		}
		if status != c.status || c.status == 200 && (w.Body.String() != c.body || h.Get("Content-Type") != c.kind ||
			h.Get("Content-Encoding") != c.coding || h.Get("Vary") != "Accept-Encoding" ||
			h.Get("Content-Security-Policy") != policy || h.Get("X-Content-Type-Options") != "nosniff") {
			t.Errorf("%s with %q: %d %q %v", c.path, c.accept, w.Code, w.Body, h)
		}
	}
	// A file that has gone since.
	if err := os.Remove(filepath.Join(folder, "page.css")); err != nil {
		t.Fatal(err)
	}
	w := httptest.NewRecorder()
	if mux.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/try/page.css", nil)); w.Code != http.StatusNotFound {
		t.Errorf("a file that is gone: %d", w.Code)
	}
	if !Owns("GET /try/garb.js") || Owns("GET /docs") {
		t.Error("Owns")
	}
}

// TestHeaders: browsers are told what the page may do, and to ask whether its files have changed.
func TestHeaders(t *testing.T) {
	p, err := Open(writeFiles(t, "index.html", "garb.js", "garb.wasm"))
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	p.Register(mux)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/try/", nil))
	for name, want := range map[string]string{
		"Cache-Control": "no-cache", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Referrer-Policy": "no-referrer", "Cross-Origin-Resource-Policy": "same-origin",
		"Content-Type": "text/html; charset=utf-8",
	} {
		if got := answer.Header().Get(name); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	directives := map[string]string{}
	for d := range strings.SplitSeq(answer.Header().Get("Content-Security-Policy"), ";") {
		name, sources, _ := strings.Cut(strings.TrimSpace(d), " ")
		directives[name] = sources
	}
	for name, want := range map[string]string{
		"default-src": "'none'", "script-src": "'self' 'wasm-unsafe-eval'", "style-src": "'self'",
		"img-src": "'self' blob:", "connect-src": "'self'", "worker-src": "'self'", "form-action": "'none'",
		"base-uri": "'none'", "frame-ancestors": "'none'",
	} {
		if directives[name] != want {
			t.Errorf("%s is %q, not %q", name, directives[name], want)
		}
		delete(directives, name)
	}
	if len(directives) > 0 {
		t.Errorf("the policy also has %v", directives)
	}
}
