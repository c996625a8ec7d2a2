//go:build small

package convert

import (
	"compress/gzip"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/internal/edition"
	"garb/model"
	"garb/tensor"
)

// TestSmallReadsKeras converts a Keras file to the model that the default build makes of it.
func TestSmallReadsKeras(t *testing.T) {
	packed, err := os.Open("../keras/testdata/cases/linear_classifier.keras.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "linear.keras")
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	in, err := Read(t.Context(), path, Options{Classes: strings.Split("abcdefghij", ""), Preprocess: "rescale"})
	if err != nil {
		t.Fatal(err)
	}
	to := filepath.Join(t.TempDir(), "linear.safetensors")
	if err := in.Model.Save(to, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	c, err := model.Open(to, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	// The digest that garb convert prints in the default build.
	if want := "sha256:3adee1954e0b7d817c51c6265f45188cf7e2a1420549d227b33e4c740aa1440e"; c.Digest() != want {
		t.Errorf("digest %s, want %s", c.Digest(), want)
	}
}

// TestSmallRefusesOthers names the default build for what this one neither reads nor writes.
func TestSmallRefusesOthers(t *testing.T) {
	var missing *edition.MissingError
	_, err := Read(t.Context(), "../onnx/testdata/linear_flatten_gemm.onnx", Options{})
	if !errors.As(err, &missing) || missing.Part != "ONNX" || missing.Build != edition.Default {
		t.Errorf("reading ONNX: %v", err)
	}
	c, err := model.Open(model.Clothing, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"m.onnx", "m.keras", "m.tflite"} {
		path := filepath.Join(t.TempDir(), name)
		if _, err := Write(path, c, WriteOptions{}); !errors.As(err, &missing) || missing.Build != edition.Default {
			t.Errorf("writing %s: %v", name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s was written", name)
		}
	}
}
