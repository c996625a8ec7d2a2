package registry

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestControlNeedsPermission: without Config.Control, nobody changes or lists the models.
func TestControlNeedsPermission(t *testing.T) {
	r := mustOpen(t, newFolder(t, "m/1/m.safetensors", "one"), nil, nil)
	_, err := r.Index()
	for _, err := range []error{err, r.Load("m"), r.Unload("m"), r.RollBack("m", 0)} {
		if !errors.Is(err, ErrNoControl) {
			t.Error(err)
		}
	}
}

// TestLoadAndUnload: an unloaded model stays out until it is loaded again.
func TestLoadAndUnload(t *testing.T) {
	folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two", "n/1/m.safetensors", "n",
		"own.safetensors", "own")
	r := mustOpen(t, folder, nil, func(c *Config) {
		c.Control, c.Models = true, []NamedModel{{"own", folder + "/own.safetensors"}}
	})
	for _, name := range []string{"m", "own"} {
		before := r.answering(name, "")
		if err := r.Unload(name); err != nil {
			t.Fatal(err)
		}
		r.mustScan()
		if got := r.answering(name, ""); got != "" {
			t.Errorf("%s is unloaded, but %s answers", name, got)
		}
		if err := r.Unload(name); !errors.Is(err, ErrNoModel) {
			t.Errorf("unloaded twice: %v", err)
		}
		if err := r.Load(name); err != nil {
			t.Fatal(err)
		}
		if got := r.answering(name, ""); got != before {
			t.Errorf("%s was loaded again, and %q answers", name, got)
		}
	}
	for _, name := range []string{"", "x", "..", "m/1"} {
		for _, err := range []error{r.Load(name), r.Unload(name), r.RollBack(name, 0)} {
			if !errors.Is(err, ErrNoModel) {
				t.Errorf("%q: %v", name, err)
			}
		}
	}
	r.write("own.safetensors", "newer")
	if err := r.Load("own"); err != nil || r.answering("own", "") != "newer" {
		t.Errorf("own: %v", err)
	}
	r.write("own.safetensors", "bad")
	if err := r.Load("own"); !errors.Is(err, ErrRefused) || r.answering("own", "") != "newer" {
		t.Errorf("own: %v", err)
	}
	if err := os.MkdirAll(filepath.Join(folder, "empty", "1"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := r.Load("empty"); !errors.Is(err, ErrRefused) {
		t.Errorf("an empty model: %v", err)
	}
	r.write("n/2/m.safetensors", "bad")
	r.mustScan()
	if err := r.Load("n"); !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "golden") ||
		r.answering("n", "") != "n" {
		t.Errorf("n: %v", err)
	}
}

// TestRollBack: the version before answers, until the files change or the model is loaded.
func TestRollBack(t *testing.T) {
	folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two", "m/3/m.safetensors", "bad",
		"m/4/m.safetensors", "four", "own.safetensors", "own")
	r := mustOpen(t, folder, nil, func(c *Config) {
		c.Control, c.Models = true, []NamedModel{{"own", folder + "/own.safetensors"}}
	})
	answers := func(want string) {
		t.Helper()
		for range 2 {
			if got := r.answering("m", ""); got != want {
				t.Errorf("%q answers, not %q", got, want)
			}
			r.mustScan()
		}
	}
	rollBack := func(number int, want error) {
		t.Helper()
		if err := r.RollBack("m", number); !errors.Is(err, want) {
			t.Error(err)
		}
	}
	answers("four")
	rollBack(7, ErrNoModel)
	rollBack(0, nil)
	answers("two") // 3 cannot be used
	rollBack(2, nil)
	answers("one")
	rollBack(0, ErrRefused) // there is none left
	answers("one")
	r.write("m/2/m.safetensors", "two and more")
	r.mustScan()
	answers("two")
	if err := r.Load("m"); !errors.Is(err, nil) {
		t.Error(err)
	}
	answers("four")
	r.write("m/4/m.safetensors", "bad now") // while it answers
	r.mustScan()
	answers("four")
	rollBack(0, nil)
	answers("two")
	r.write("m/5/m.safetensors", "five")
	r.mustScan()
	answers("five")
	if err := r.RollBack("own", 0); !errors.Is(err, ErrRefused) {
		t.Error(err)
	}
	r.Close()
	if err := r.RollBack("m", 0); err == nil {
		t.Error("a closed registry rolls back")
	}
}

// TestIndex lists what is served, and why the rest is not.
func TestIndex(t *testing.T) {
	folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two", "m/3/m.safetensors", "bad",
		"m/4/m.safetensors", "four", "n/1/m.safetensors", "n", "own.safetensors", "own")
	r := mustOpen(t, folder, nil, func(c *Config) {
		c.Control, c.Models = true, []NamedModel{{"own", folder + "/own.safetensors"}}
	})
	if err := errors.Join(r.RollBack("m", 0), r.Unload("n"), r.Unload("own")); err != nil {
		t.Fatal(err)
	}
	entries, err := r.Index()
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range entries {
		got = append(got, fmt.Sprintf("%s/%d %s %s", e.Name, e.Number, e.State, e.Reason))
	}
	want := []string{
		"m/1 UNAVAILABLE the version policy does not load it",
		"m/2 READY ",
		"m/3 UNAVAILABLE its golden logits are off",
		"m/4 UNAVAILABLE the version was rolled back",
		"n/1 UNAVAILABLE unloaded",
		"own/1 UNAVAILABLE unloaded",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the index is\n%s\nnot\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// TestRollBackKeepsShadow: the shadow version answers no client, so it is not what is rolled back.
func TestRollBackKeepsShadow(t *testing.T) {
	folder := newFolder(t, "m/1/m.safetensors", "one", "m/2/m.safetensors", "two", "m/3/m.safetensors", "three")
	r := mustOpen(t, folder, nil, func(c *Config) { c.Control, c.Shadows = true, map[string]Shadow{"m": {3, 1}} })
	if err := r.RollBack("m", 0); err != nil {
		t.Fatal(err)
	}
	if got := r.loadedNumbers(); !slices.Equal(got, []int{1, 3}) || r.answering("m", "") != "one" {
		t.Errorf("the versions %v are loaded", got)
	}
}
