package serve

import (
	"errors"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/serve/trypage"
)

// TestTryPage: the page of docs/try is served and linked to if its folder is named, without an API key.
func TestTryPage(t *testing.T) {
	folder, keys := t.TempDir(), filepath.Join(t.TempDir(), "keys")
	for _, name := range []string{"index.html", "garb.js", "garb.wasm"} {
		if err := os.WriteFile(filepath.Join(folder, name), []byte(name), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(keys, []byte("a-long-secret-key\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const link = `<a href="try/">`
	h := start(t, &fake{}, func(c *Config) { c.TryFolder, c.APIKeyFile = folder, keys }).Handler()
	if w := get(h, "/"); !strings.Contains(w.Body.String(), link) {
		t.Errorf("the service's page does not link to it:\n%s", w.Body)
	}
	for path, want := range map[string]string{
		"/try/": "index.html", "/try/?from=mail": "index.html", "/try/garb.wasm": "garb.wasm",
	} {
		if w := get(h, path); w.Code != http.StatusOK || w.Body.String() != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := get(h, "/try/none.js"); w.Code != http.StatusNotFound {
		t.Errorf("a file that is not there: %d", w.Code)
	}
	h = start(t, &fake{}, nil).Handler()
	if w := get(h, "/"); strings.Contains(w.Body.String(), link) {
		t.Error("a service without the page links to it")
	}
	if w := get(h, "/try/"); w.Code != http.StatusNotFound {
		t.Errorf("a service without the page: %d", w.Code)
	}
	c := Default()
	c.Models.Models, c.TryFolder = []NamedModel{{Name: "m", Path: "somewhere"}}, t.TempDir()
	if _, err := New(c, nil, slog.New(slog.DiscardHandler)); !errors.Is(err, trypage.ErrNotPage) {
		t.Errorf("an empty folder: %v", err)
	}
}
