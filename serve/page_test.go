package serve

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
)

// get asks a handler.
func get(h http.Handler, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// TestPage: each file of the page comes with its type, its digest and what keeps other
// sites out, and all that the page names is there.
func TestPage(t *testing.T) {
	h := start(t, &fake{}, func(c *Config) { c.Bodies.MaxBytes = 1 << 20 }).Handler()
	for path, want := range map[string]string{
		"/": "text/html; charset=utf-8", "/page/style.css": "text/css; charset=utf-8",
		"/page/app.js": "text/javascript; charset=utf-8", "/page/icon.svg": "image/svg+xml",
	} {
		w := get(h, path)
		if w.Code != http.StatusOK || w.Body.Len() == 0 || w.Header().Get("Content-Type") != want {
			t.Errorf("%s: %d, %d bytes of %s", path, w.Code, w.Body.Len(), w.Header().Get("Content-Type"))
		}
		for name, want := range map[string]string{
			"Cache-Control": "no-cache", "Referrer-Policy": "no-referrer", "X-Frame-Options": "DENY",
			"X-Content-Type-Options": "nosniff",
			"Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' " +
				"blob: data:; connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'",
		} {
			if got := w.Header().Get(name); got != want {
				t.Errorf("%s has %s %q", path, name, got)
			}
		}
		if !strings.Contains(w.Header().Get("Permissions-Policy"), "camera=()") {
			t.Errorf("%s lets a page use the camera by itself", path)
		}
		tag := w.Header().Get("ETag")
		if again := get(h, path, "If-None-Match", tag); len(tag) < 64 || again.Code != http.StatusNotModified ||
			again.Body.Len() > 0 {
			t.Errorf("%s with the tag %s: %d, %d bytes", path, tag, again.Code, again.Body.Len())
		}
	}
	index := get(h, "/").Body.String()
	for _, name := range regexp.MustCompile(`(?:src|href)="([^"]+)"`).FindAllStringSubmatch(index, -1) {
		if w := get(h, "/"+strings.TrimPrefix(name[1], ".")); w.Code != http.StatusOK {
			t.Errorf("the page names %s: %d", name[1], w.Code)
		}
	}
	if !strings.Contains(index, `data-max-bytes="1048576"`) || !strings.Contains(index, `data-first-model="m"`) {
		t.Error("the page does not know its service")
	}
	for _, path := range []string{"/index.html", "/page", "/page/", "/page/index.html", "/page/../page.go"} {
		if w := get(h, path); w.Code == http.StatusOK {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestAlive: what does not ask for HTML is told that the service is alive.
func TestAlive(t *testing.T) {
	h := start(t, &fake{}, nil).Handler()
	for accept, want := range map[string]string{
		"text/html,application/xhtml+xml,*/*;q=0.8": "text/html; charset=utf-8",
		"*/*":              "application/json", // KServe's clients, curl
		"application/json": "application/json",
	} {
		w := get(h, "/", "Accept", accept)
		if w.Header().Get("Content-Type") != want || w.Header().Get("Vary") != "Accept" ||
			want == "application/json" && w.Body.String() != `{"status":"alive"}`+"\n" {
			t.Errorf("%s gets %s: %.80s", accept, w.Header().Get("Content-Type"), w.Body)
		}
	}
}
