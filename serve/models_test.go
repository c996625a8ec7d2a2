package serve

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"garb/serve/classify"
)

// openDigest opens models that a test writes: the file's text is its digest, and one
// that begins with "bad" cannot be used.
func openDigest(path string) (Classifier, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if strings.HasPrefix(string(text), "bad") {
		return nil, errors.New("its golden logits are off")
	}
	f := &fake{Label: string(text)}
	if strings.HasPrefix(string(text), "mute") {
		f.OnOutputs = func(context.Context, []float32, []float32) error { return errors.New("it says nothing") }
	}
	return f, nil
}

// digestOf asks which model answers under a name.
func digestOf(t testing.TB, r *running, name string) string {
	t.Helper()
	answer, text := post(t, r.url+"/v1/classify?model="+name, "", white())
	if answer.StatusCode != 200 {
		t.Fatalf("%s: %s", answer.Status, text)
	}
	var c classify.Classification
	if err := json.Unmarshal(text, &c); err != nil {
		t.Fatal(err)
	}
	return strings.TrimPrefix(c.Model.Digest, "sha256:")
}

// TestVersions: the highest version that can be used answers, and what happens to the
// folder while the service runs.
func TestVersions(t *testing.T) {
	root := t.TempDir()
	publish := func(version, digest string) {
		t.Helper()
		path, draft := filepath.Join(root, "shirts", version, "model.safetensors"), filepath.Join(t.TempDir(), "draft")
		writeFile(t, draft, []byte(digest))
		// At once: a scan must not meet an empty file.
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.Rename(draft, path)); err != nil {
			t.Fatal(err)
		}
	}
	publish("1", "one")
	publish("2", "two")
	publish("10", "bad ten")
	publish("draft", "draft")
	writeFile(t, filepath.Join(root, "shoes", "7", "model.safetensors"), []byte("seven"))
	r := startWith(t, openDigest, func(c *Config) {
		c.Models.Models, c.Models.Folder, c.Models.Interval = nil, root, 20*time.Millisecond
	})
	answers := func(want string) {
		t.Helper()
		waitFor(t, want+" answers", func() bool { return digestOf(t, r, "shirts") == want })
	}
	answers("two")
	if got := digestOf(t, r, "shoes"); got != "seven" {
		t.Errorf("shoes: %s", got)
	}
	refused := func(count int) {
		t.Helper()
		waitFor(t, fmt.Sprint(count, " are refused"), func() bool {
			return strings.Contains(metricsOf(t, r),
				fmt.Sprintf("\ngarb_model_refused_total{model=\"shirts\"} %d\n", count))
		})
	}
	refused(1)
	if !strings.Contains(r.log.String(), "its golden logits are off") {
		t.Errorf("the log does not say why: %s", r.log)
	}

	publish("11", "mute")
	refused(2)
	answers("two")
	publish("10", "ten") // now it can be opened
	answers("ten")
	publish("10", "bad again") // broken, while it answers
	refused(3)
	answers("ten")
	publish("12", "bad, since half of it is there") // as it is being copied
	refused(4)
	answers("ten")
	publish("12", "twelve")
	answers("twelve")
	if text := metricsOf(t, r); !strings.Contains(text,
		`garb_model_info{digest="sha256:twelve",model="shirts",version="12"} 1`) ||
		strings.Contains(text, "sha256:ten") {
		t.Errorf("the metrics name another model:\n%s", text)
	}
	if err := os.RemoveAll(filepath.Join(root, "shirts", "12")); err != nil { // back
		t.Fatal(err)
	}
	answers("two") // 10 and 11 are no good
	// At once: one version after another, the folder would go back to an older one.
	if err := os.Rename(root, filepath.Join(t.TempDir(), "gone")); err != nil {
		t.Fatal(err)
	}
	time.Sleep(60 * time.Millisecond)
	answers("two") // never without
}

// TestConfiguredModelTakesPrecedence: a folder of the name of a configured model is not served, nor
// is one whose name begins with a dot.
func TestConfiguredModelTakesPrecedence(t *testing.T) {
	root := t.TempDir()
	own := filepath.Join(t.TempDir(), "own.safetensors")
	writeFile(t, own, []byte("own"))
	for _, name := range []string{"shirts", ".shoes", "hats"} {
		writeFile(t, filepath.Join(root, name, "3", "model.safetensors"), []byte("of the folder"))
	}
	r := startWith(t, openDigest, func(c *Config) {
		c.Models.Models, c.Models.Folder, c.Models.Interval = []NamedModel{{Name: "shirts", Path: own}}, root,
			20*time.Millisecond
	})
	waitFor(t, "the folder is served", func() bool { return digestOf(t, r, "hats") == "of the folder" })
	if got := digestOf(t, r, "shirts"); got != "own" {
		t.Errorf("shirts: %s", got)
	}
	if answer, _ := post(t, r.url+"/v1/classify?model=.shoes", "", white()); answer.StatusCode != 404 {
		t.Errorf("a hidden folder: %s", answer.Status)
	}
}

// TestTakeOver: requests in flight finish on the version that they began with.
func TestTakeOver(t *testing.T) {
	root := t.TempDir()
	old, entered, open := gate()
	old.Label = "old"
	opener := func(path string) (Classifier, error) {
		if strings.Contains(filepath.ToSlash(path), "/1/") {
			return old, nil
		}
		return openDigest(path)
	}
	writeFile(t, filepath.Join(root, "m", "1", "model.safetensors"), []byte("old"))
	r := startWith(t, opener, func(c *Config) {
		c.Models.Models, c.Models.Folder, c.Models.Interval = nil, root, 20*time.Millisecond
	})
	under := inBackground(t.Context(), r.url)
	<-entered
	writeFile(t, filepath.Join(root, "m", "2", "model.safetensors"), []byte("new"))
	waitFor(t, "the new one answers", func() bool { return strings.Contains(metricsOf(t, r), `digest="sha256:new"`) })
	if got := digestOf(t, r, "m"); got != "new" {
		t.Errorf("%s answers", got)
	}
	open()
	if got := <-under; got.status != 200 || !strings.Contains(got.text, "sha256:old") {
		t.Errorf("%+v", got)
	}
}

// TestNoModel: a service without a model for each name does not begin.
func TestNoModel(t *testing.T) {
	root := t.TempDir()
	writeFile(t, filepath.Join(root, "m", "1", "model.safetensors"), []byte("bad"))
	for name, change := range map[string]func(*Config){
		"broken file": func(c *Config) {
			c.Models.Models = []NamedModel{{Name: "m", Path: filepath.Join(root, "m", "1",
				"model.safetensors")}}
		},
		"missing file": func(c *Config) {
			c.Models.Models = []NamedModel{{Name: "m",
				Path: filepath.Join(root, "nix")}}
		},
		"broken folder": func(c *Config) { c.Models.Folder = root },
		"no folder":     func(c *Config) { c.Models.Folder = filepath.Join(root, "nix") },
		"nothing":       func(c *Config) {},
		"bad name":      func(c *Config) { c.Models.Models = []NamedModel{{Name: "a/b", Path: "x"}} },
		"twice": func(c *Config) {
			c.Models.Models = []NamedModel{{Name: "a", Path: "x"},
				{Name: "a", Path: "y"}}
		},
		"bad prefix": func(c *Config) {
			c.Models.Models, c.URLPrefixes = []NamedModel{{Name: "a", Path: "x"}},
				[]string{"https://example.org"}
		},
		"half of TLS": func(c *Config) {
			c.Models.Models, c.TLSCert = []NamedModel{{Name: "a", Path: "x"}},
				"cert.pem"
		},
		"no queue": func(c *Config) { c.Models.Models, c.Engine.Queue = []NamedModel{{Name: "a", Path: "x"}}, 0 },
	} {
		c := Default()
		change(&c)
		if s, err := New(c, openDigest, slog.New(slog.DiscardHandler)); err == nil {
			t.Errorf("%s: it begins", name)
			s.Close()
		}
	}
}
