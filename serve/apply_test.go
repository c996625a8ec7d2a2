package serve

import (
	"errors"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestApply checks that each setting that can change while the service runs does, and that others do not.
func TestApply(t *testing.T) {
	pictures := httptest.NewServer(http.NotFoundHandler())
	defer pictures.Close()
	keys := filepath.Join(t.TempDir(), "keys")
	writeFile(t, keys, []byte("a-key-of-this-test\n"))
	two := func() (string, []byte) { return form(t, white(), white()) }
	raw := func() (string, []byte) { return "", white() }
	for name, c := range map[string]struct {
		change func(*Config)
		send   func() (contentType string, body []byte)
		header []string
		before int
		after  int
	}{
		"pictures": {func(c *Config) { c.Bodies.MaxPictures = 1 }, two, nil, 200, 413},
		"body":     {func(c *Config) { c.Bodies.MaxBytes = 10 }, raw, nil, 200, 413},
		"budget":   {func(c *Config) { c.Bodies.MaxBytes, c.Bodies.BudgetBytes = 10, 30 }, raw, nil, 200, 413},
		"pixels": {func(c *Config) { c.Engine.Limits.MaxPixels = 10 },
			func() (string, []byte) { return "", pngOf(10, 10) }, nil, 422, 413},
		"timeout": {func(c *Config) { c.RequestTimeout = 1 }, raw, nil, 200, 504},
		"keys":    {func(c *Config) { c.APIKeyFile = keys }, raw, nil, 200, 401},
		"URL prefixes": {func(c *Config) { c.URLPrefixes = []string{pictures.URL + "/"} },
			func() (string, []byte) {
				return "application/json", []byte(`{"url": "` + pictures.URL + `/a"}`)
			}, nil, 403, 502},
		"origins, which cannot change": {func(c *Config) { c.Origin.CORSOrigins = []string{"https://a.example"} }, raw,
			[]string{"Origin", "https://a.example"}, 403, 403},
	} {
		r := start(t, &fake{}, nil)
		ask := func() int {
			kind, body := c.send()
			answer, _ := post(t, r.url+"/v1/classify", kind, body, c.header...)
			return answer.StatusCode
		}
		if got := ask(); got != c.before {
			t.Errorf("%s: %d before, want %d", name, got, c.before)
		}
		changed := *r.settings()
		c.change(&changed)
		if err := r.Apply(changed); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if got := ask(); got != c.after {
			t.Errorf("%s: %d after, want %d", name, got, c.after)
		}
	}
}

// TestApplyGrace checks that the grace period is the one that was applied last.
func TestApplyGrace(t *testing.T) {
	f, entered, open := gate()
	defer open()
	r := start(t, f, func(c *Config) { c.Grace = time.Hour })
	changed := *r.settings()
	changed.Grace = time.Millisecond
	if err := r.Apply(changed); err != nil {
		t.Fatal(err)
	}
	under := inBackground(t.Context(), r.url)
	<-entered
	if err := r.stop(); err == nil || !strings.Contains(err.Error(), "grace period of 1ms") {
		t.Errorf("stopped with %v", err)
	}
	<-under
}

// TestApplyNothing checks that settings that cannot work change nothing.
func TestApplyNothing(t *testing.T) {
	r := start(t, &fake{}, nil)
	before := r.settings()
	for name, c := range map[string]struct {
		change func(*Config)
		want   error
	}{
		"not valid":     {func(c *Config) { c.Engine.Queue = 0 }, nil},
		"missing keys":  {func(c *Config) { c.APIKeyFile = filepath.Join(t.TempDir(), "none") }, fs.ErrNotExist},
		"no URL prefix": {func(c *Config) { c.URLPrefixes = []string{"x"} }, nil},
	} {
		changed := *before
		changed.RequestTimeout = time.Second
		c.change(&changed)
		if err := r.Apply(changed); err == nil || c.want != nil && !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if r.settings() != before {
			t.Errorf("%s: settings changed", name)
		}
	}
}
