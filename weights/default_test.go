//go:build !small

package weights

import (
	"context"
	"errors"
	"garb/tensor"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestBuiltInIsNotPulled checks that weights in the binary are not downloaded.
func TestBuiltInIsNotPulled(t *testing.T) {
	s, ok := Lookup("efficientnet-lite0")
	if !ok {
		t.Fatal("efficientnet-lite0 is unknown")
	}
	for name, pull := range map[string]func() ([]byte, error){
		"Download": func() ([]byte, error) { return Download(context.Background(), http.DefaultClient, s, nil) },
		"ReadCopy": func() ([]byte, error) { return ReadCopy(s, write(t, "copy", nil)) },
	} {
		if _, err := pull(); err == nil || !strings.Contains(err.Error(), "built into garb") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestBuiltIn(t *testing.T) {
	f, ok := BuiltIn("efficientnet-lite0")
	if !ok {
		t.Fatal("efficientnet-lite0 is not built in")
	}
	if architecture, withTop, known := Recognise(f); architecture != "efficientnet-lite0" || !withTop || !known {
		t.Errorf("recognised as %q, top %v, %v", architecture, withTop, ok)
	}
	count := 0
	for _, name := range f.Names() {
		count += tensor.Len(f.Shape(name))
	}
	if count != 4_694_024 { // FACTS.md
		t.Errorf("%d values, want 4694024", count)
	}
	for _, name := range f.Names() {
		x, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range x.Data {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) ||
				strings.HasSuffix(name, "moving_variance") && v < 0 {
				t.Fatalf("%s holds %g", name, v)
			}
		}
	}
	if _, ok := BuiltIn("xception"); ok {
		t.Error("xception is built in")
	}
	if got := f.Digest(); got != builtInDigest {
		t.Errorf("the digest is %s, not %s: models that refer to it will not open", got, builtInDigest)
	}
}

func TestOpen(t *testing.T) {
	home(t)
	if _, err := Open("efficientnet-lite0"); err != nil {
		t.Error(err)
	}
	var missing *MissingError
	if _, err := Open("xception"); !errors.As(err, &missing) || missing.Name != "xception" {
		t.Errorf("weights that were not downloaded give %v", err)
	}
	if _, err := Open("resnet"); !errors.Is(err, os.ErrNotExist) ||
		!strings.Contains(err.Error(), "efficientnet-lite0, xception") {
		t.Errorf("an unknown name gives %v", err)
	}
	folder := t.TempDir()
	if _, err := Open(folder); err == nil {
		t.Error("a folder is opened")
	}
	path := filepath.Join(folder, "a.h5")
	data, _ := official(t)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	var kerasFile *KerasFileError
	if _, err := Open(path); !errors.As(err, &kerasFile) || kerasFile.Path != path {
		t.Errorf("a file of Keras gives %v", err)
	}
}
