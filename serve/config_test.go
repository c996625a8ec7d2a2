package serve

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestConfigBounds has the last setting that works, and the first that does not.
//
//nolint:funlen // it is a table
func TestConfigBounds(t *testing.T) {
	valid := Default()
	valid.Models = []NamedModel{{"m", "model.safetensors"}}
	if err := valid.Validate(); err != nil {
		t.Fatal(err)
	}
	name := strings.Repeat("x", 64)
	for _, test := range []struct {
		name      string
		good, bad func(c *Config)
	}{
		{"models", func(c *Config) { c.Models, c.ModelsFolder = nil, "models" }, func(c *Config) { c.Models = nil }},
		{"a model's name", func(c *Config) { c.Models[0].Name = name },
			func(c *Config) { c.Models[0].Name = name + "x" }},
		{"a name's letters", func(c *Config) { c.Models[0].Name = "0.a_B-c" },
			func(c *Config) { c.Models[0].Name = "a/b" }},
		{"a name's first letter", func(c *Config) { c.Models[0].Name = "9" },
			func(c *Config) { c.Models[0].Name = ".a" }},
		{"two models", func(c *Config) { c.Models = append(c.Models, NamedModel{"n", "m"}) },
			func(c *Config) { c.Models = append(c.Models, c.Models[0]) }},
		{"interval", func(c *Config) { c.ModelsInterval = 1 }, func(c *Config) { c.ModelsInterval = 0 }},
		{"queue", func(c *Config) { c.Queue, c.MaxPictures = 1, 1 }, func(c *Config) { c.Queue = 0 }},
		{"batch", func(c *Config) { c.MaxBatch = 1 }, func(c *Config) { c.MaxBatch = 0 }},
		{"workers", func(c *Config) { c.Workers = 0 }, func(c *Config) { c.Workers = -1 }},
		{"decoders", func(c *Config) { c.Decoders = 0 }, func(c *Config) { c.Decoders = -1 }},
		{"pictures", func(c *Config) { c.MaxPictures = 1 }, func(c *Config) { c.MaxPictures = 0 }},
		{"connections", func(c *Config) { c.MaxConnections = 1 }, func(c *Config) { c.MaxConnections = 0 }},
		{"pictures in a queue", func(c *Config) { c.MaxPictures = c.Queue },
			func(c *Config) { c.MaxPictures = c.Queue + 1 }},
		{"body", func(c *Config) { c.MaxBodyBytes = 1 }, func(c *Config) { c.MaxBodyBytes = 0 }},
		{"budget", func(c *Config) { c.MaxBodyBytes, c.BodyBudgetBytes = 10, 30 },
			func(c *Config) { c.MaxBodyBytes, c.BodyBudgetBytes = 10, 29 }},
		{"header", func(c *Config) { c.MaxHeaderBytes = 1024 }, func(c *Config) { c.MaxHeaderBytes = 1023 }},
		{"request", func(c *Config) { c.RequestTimeout = 1 }, func(c *Config) { c.RequestTimeout = 0 }},
		{"header's time", func(c *Config) { c.HeaderTimeout = 1 }, func(c *Config) { c.HeaderTimeout = 0 }},
		{"idle", func(c *Config) { c.IdleTimeout = 1 }, func(c *Config) { c.IdleTimeout = 0 }},
		{"grace", func(c *Config) { c.Grace = 0 }, func(c *Config) { c.Grace = -1 }},
		{"TLS", func(c *Config) { c.TLSCert, c.TLSKey = "a", "b" }, func(c *Config) { c.TLSCert = "a" }},
		{"TLS's key", func(c *Config) {}, func(c *Config) { c.TLSKey = "b" }},
		{"limits", func(c *Config) { c.Limits.MaxPixels = 1 }, func(c *Config) { c.Limits.MaxPixels = 0 }},
	} {
		good, bad := valid, valid
		good.Models, bad.Models = slices.Clone(valid.Models), slices.Clone(valid.Models)
		test.good(&good)
		test.bad(&bad)
		if err := good.Validate(); err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if bad.Validate() == nil {
			t.Errorf("%s: no error", test.name)
		}
	}
	for prefix, ok := range map[string]bool{
		"https://a.example/": true, "http://a.example/b/": true, "https://a.example:8443/": true,
		"ftp://a.example/": false, "https://a.example": false, "https:///b": false, "a.example/": false,
		"https://me@a.example/": false, "https://a.example/?q=1": false,
		"https://a.example/#f": false, "https://%zz/": false,
	} {
		c := valid
		c.URLPrefixes = []string{"https://fine.example/", prefix}
		if err := c.Validate(); (err == nil) != ok {
			t.Errorf("the prefix %s: %v", prefix, err)
		}
	}
}

// TestWatched looks at a file as if a second were over: what it says is taken over when it
// changes, and kept where it is broken.
func TestWatched(t *testing.T) {
	path := filepath.Join(t.TempDir(), "value")
	write := func(text string) {
		writeFile(t, path, []byte(text))
	}
	write("1")
	made := 0
	w, err := newReloader(func() (string, error) {
		made++
		text, err := os.ReadFile(path)
		if err == nil && string(text) == "broken" {
			err = errors.New("broken")
		}
		return string(text), err
	}, path)
	if err != nil {
		t.Fatal(err)
	}
	later := func() string {
		w.checked = time.Now().Add(-checkInterval)
		return w.get()
	}
	expect := func(have, want string, wantMade int) {
		t.Helper()
		if have != want || made != wantMade {
			t.Errorf("value %q, made %d times; want %q, %d", have, made, want, wantMade)
		}
	}
	expect(w.get(), "1", 1)
	expect(later(), "1", 1) // nothing changed
	write("22")
	w.checked = time.Now().Add(time.Hour) // a second is not over, however slow the machine is
	expect(w.get(), "1", 1)
	expect(later(), "22", 2)
	expect(later(), "22", 2)
	write("broken")
	expect(later(), "22", 3)
	write("four")
	expect(later(), "four", 4)
	// A file of the same size with another time.
	write("five")
	if err := os.Chtimes(path, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	expect(later(), "five", 5)
	if age := time.Since(w.checked); age < 0 || age > time.Hour {
		t.Errorf("it was looked at %v ago", age)
	}
}

// TestStamps: files differ by their sizes, their times, and by being there.
func TestStamps(t *testing.T) {
	folder := t.TempDir()
	a, b := filepath.Join(folder, "a"), filepath.Join(folder, "b")
	at := time.Unix(1000, 5)
	write := func(path, text string, changed time.Time) {
		writeFile(t, path, []byte(text))
		if err := os.Chtimes(path, changed, changed); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[string]string{}
	look := func(what string) {
		s := stampFiles([]string{a, b})
		if other, ok := seen[s]; ok {
			t.Errorf("%s looks like %s: %s", what, other, s)
		}
		seen[s] = what
	}
	look("none")
	write(a, "1", at)
	look("one")
	write(b, "1", at)
	look("both")
	write(b, "22", at)
	look("another size")
	write(b, "22", at.Add(time.Second))
	look("another time")
}
