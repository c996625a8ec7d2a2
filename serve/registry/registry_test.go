package registry

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"garb/serve/engine"
	"garb/serve/enginetest"
	"garb/serve/observe"
)

// start opens a registry of one model, m.
func start(t *testing.T, model engine.Classifier) *Registry {
	t.Helper()
	c := DefaultConfig()
	c.Models = []NamedModel{{"m", "somewhere"}}
	r, err := Open(c, engine.DefaultConfig(), func(string) (engine.Classifier, error) { return model, nil },
		observe.NewMetrics(func() float64 { return 0 }), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

// TestVersionsInUseAnswer: a version that another took over from answers until its last user is
// done. (That it does not end too early shows only if it is fast enough.)
func TestVersionsInUseAnswer(t *testing.T) {
	r := start(t, &enginetest.Model{})
	old, release, err := r.Acquire("m", 0)
	if err != nil {
		t.Fatal(err)
	}
	now, err := r.load("m", 2, "elsewhere", "")
	if err != nil {
		t.Fatal(err)
	}
	r.activate(now)
	select {
	case <-old.Ended():
		t.Error("the old version ended while it was in use")
	case <-time.After(50 * time.Millisecond):
	}
	if err := old.WarmUp(t.Context(), make([]float32, enginetest.Spec.ValueCount())); err != nil {
		t.Error(err)
	}
	release()
	<-old.Ended()
}

// TestModelFolders: a version is its one model file, or its folder if that is a run's.
func TestModelFolders(t *testing.T) {
	folder := t.TempDir()
	write := func(path string) {
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("x"), 0o644)); err != nil {
			t.Fatal(err)
		}
	}
	version := func(name string, files ...string) string {
		path := filepath.Join(folder, name)
		if err := os.MkdirAll(path, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			write(filepath.Join(path, f))
		}
		return path
	}
	for _, test := range []struct {
		path, want string
	}{
		{version("1"), ""},
		{version("2", "model.safetensors"), "2/model.safetensors"},
		{version("3", "model.safetensors", "notes.txt"), "3/model.safetensors"},
		{version("4", "a.safetensors", "b.safetensors"), "4"},
		{version("5", "checkpoints/a_1_0.5.safetensors"), "5"},
		{version("6", "a.safetensors", "checkpoints/a_1_0.5.safetensors"), "6/a.safetensors"},
		{version("7", "notes.txt"), "7"},
	} {
		path, signature, ok := findModel(test.path)
		want := filepath.Join(folder, filepath.FromSlash(test.want))
		if ok != (test.want != "") || ok && (path != want || signature == "") {
			t.Errorf("%s: %q, %v", test.path, path, ok)
		}
	}
	version("-1", "m.safetensors")
	version("0", "m.safetensors")
	version("12", "m.safetensors")
	version("new", "m.safetensors")
	write(filepath.Join(folder, "13"))
	var numbers []int
	for _, c := range listCandidates(folder) {
		numbers = append(numbers, c.number)
	}
	if !slices.Equal(numbers, []int{12, 7, 6, 5, 4, 3, 2}) {
		t.Errorf("the versions are %v", numbers)
	}
}
