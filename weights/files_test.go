package weights

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/backbone"
	"garb/internal/download"
	"garb/tensor"
)

// kerasFile returns a file of package keras's testdata.
func kerasFile(t *testing.T, name string) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("..", "keras", "testdata", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestFormats checks that the format says which Keras wrote a file, where that is known, and which
// part of the file is the network.
func TestFormats(t *testing.T) {
	for name, want := range map[string]string{
		"small2.h5":            "Keras 2.21.0",
		"small3.keras":         "Keras 3.15.1",
		"small2.weights.h5":    "Keras 2.21.0, weights only",
		"small3.weights.h5":    "Keras, weights only",
		"xception1.weights.h5": "Keras, weights only",
		"nested2.keras":        "Keras 2.21.0, model xception",
	} {
		n, err := Read(write(t, name, kerasFile(t, name)))
		if err != nil || n.Format != want {
			t.Errorf("%s: format %q, %v; want %q", name, n.Format, err, want)
		}
	}
}

// TestReadOtherKerasNetworks checks that Keras's file of another network is refused.
func TestReadOtherKerasNetworks(t *testing.T) {
	path := write(t, "other.keras", kerasFile(t, "network-maps3.keras"))
	if n, err := Read(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("network %v, error %v", n, err)
	}
}

// smallNetwork returns the weights of a known architecture.
func smallNetwork(t *testing.T) tensor.Map {
	t.Helper()
	a, err := backbone.Lookup("small-cnn")
	if err != nil {
		t.Fatal(err)
	}
	all := tensor.Map{}
	for _, p := range a.WithTop(a.MinSide, a.MinSide).Params() {
		all[p.Name] = tensor.New(p.Shape...)
	}
	return all
}

// TestReadWithoutMetadata checks that a file need not have metadata.
func TestReadWithoutMetadata(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.safetensors")
	if err := tensor.WriteFile(path, nil, smallNetwork(t), tensor.Float32); err != nil {
		t.Fatal(err)
	}
	n, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	if n.Architecture != "small-cnn" || n.Metadata[KeyArchitecture] != "small-cnn" ||
		n.Metadata[KeySource] != "a.safetensors" {
		t.Errorf("%s, metadata %v", n.Architecture, n.Metadata)
	}
}

// TestRecogniseComparesNamesAndShapes checks that the number of tensors alone does not identify a
// network.
func TestRecogniseComparesNamesAndShapes(t *testing.T) {
	recognise := func(all tensor.Map) bool {
		t.Helper()
		var b bytes.Buffer
		if err := tensor.Write(&b, nil, all, tensor.Float32); err != nil {
			t.Fatal(err)
		}
		f, err := tensor.Decode(b.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		_, _, ok := Recognise(f)
		return ok
	}
	all := smallNetwork(t)
	if !recognise(all) {
		t.Fatal("the network is not recognised")
	}
	for name, x := range all {
		changed := maps.Clone(all)
		delete(changed, name)
		if recognise(changed) {
			t.Errorf("recognised without %s", name)
		}
		changed["other"] = x
		if recognise(changed) {
			t.Errorf("recognised with another name for %s", name)
		}
		delete(changed, "other")
		shape := append([]int(nil), x.Shape...)
		shape[len(shape)-1]++
		changed[name] = tensor.New(shape...)
		if recognise(changed) {
			t.Errorf("recognised with %v for the shape of %s", shape, name)
		}
	}
}

// TestReadBrokenTorchValues checks the error about a state dict in safetensors whose values have a
// type that garb does not read.
func TestReadBrokenTorchValues(t *testing.T) {
	data := encodeSafetensors(t, map[string][]int{"a.running_mean": {2}})
	path := write(t, "a.safetensors", bytes.Replace(data, []byte(`"F32"`), []byte(`"U32"`), 1))
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("error %v", err)
	}
}

// TestUnpack packs bytes by hand: first the high ones of all pairs, then the low ones, and a
// last one without a pair.
func TestUnpack(t *testing.T) {
	pack := func(s string) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		if _, err := io.WriteString(w, s); err != nil {
			t.Fatal(err)
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	for packed, want := range map[string]string{
		"": "", "z": "z", "ab": "ba", "abcABC": "AaBbCc", "abcABCz": "AaBbCcz",
	} {
		if data, err := unpack(pack(packed)); err != nil || string(data) != want {
			t.Errorf("%q becomes %q, %v; want %q", packed, data, err, want)
		}
	}
	// The last four bytes are the length; with a larger one the data end too early.
	broken := pack("abcABC")
	broken[len(broken)-4] = 7
	if _, err := unpack(broken); err == nil {
		t.Error("a file that is too short is unpacked")
	}
	if _, err := unpack([]byte("no gzip")); err == nil {
		t.Error("no gzip is unpacked")
	}
}

func TestHome(t *testing.T) {
	t.Setenv("GARB_HOME", "here")
	if folder, err := Home(); err != nil || folder != "here" {
		t.Errorf("GARB_HOME: %q, %v", folder, err)
	}
	s := Source{Name: "some"}
	if path, err := s.Path(); err != nil || path != filepath.Join("here", "weights", "some.safetensors") {
		t.Errorf("path %q, %v", path, err)
	}
	t.Setenv("GARB_HOME", "")
	// On any system, the folder for caches is below one of these.
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, t.TempDir())
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	if folder, err := Home(); err != nil || folder != filepath.Join(cache, "garb") {
		t.Errorf("without GARB_HOME: %q, %v", folder, err)
	}
	for _, name := range []string{"XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, "")
	}
	if folder, err := Home(); err == nil || !strings.Contains(err.Error(), "GARB_HOME") {
		t.Errorf("without any folder: %q, %v", folder, err)
	}
	if path, err := s.Path(); err == nil {
		t.Errorf("a path without any folder: %q", path)
	}
	if _, err := Open("xception"); err == nil || !strings.Contains(err.Error(), "GARB_HOME") {
		t.Errorf("weights without any folder: %v", err)
	}
}

// TestDownloadWithoutDigest checks that a file whose makers publish no digest is accepted as it is.
func TestDownloadWithoutDigest(t *testing.T) {
	s := Source{Name: "some", MaxBytes: 5}
	s.URL = serve(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "bytes") })
	data, err := Download(context.Background(), download.DefaultClient(), s, nil)
	if err != nil || string(data) != "bytes" {
		t.Errorf("%q, %v", data, err)
	}
	path := write(t, "copy", []byte("bytes"))
	if data, err := ReadCopy(s, path); err != nil || string(data) != "bytes" {
		t.Errorf("a copy: %q, %v", data, err)
	}
	s.MaxBytes--
	if _, err := ReadCopy(s, path); err == nil {
		t.Error("a copy that is too long is read")
	}
}

// TestApplications checks that every network of keras.applications is described.
func TestApplications(t *testing.T) {
	other := kerasFile(t, "small3.weights.h5")
	count := 0
	for _, s := range Sources() {
		if s.Application == nil {
			continue
		}
		count++
		values := int64(s.Application.Parameters)
		if s.Application.Side < 96 || values < 5e5 || s.MaxBytes < 4*values+8<<20 || s.MaxBytes > 5*values+8<<20 {
			t.Errorf("%s: %+v, at most %d bytes", s.Name, s.Application, s.MaxBytes)
		}
		if !strings.Contains(strings.ToLower(s.Origin), "keras") || strings.Contains(s.Licence, "eras") {
			t.Errorf("%s: licence %s, origin %s", s.Name, s.Licence, s.Origin)
		}
		if _, err := s.Open("a file", other); err == nil ||
			!strings.Contains(err.Error(), "a file does not hold the weights of "+s.Application.Keras) {
			t.Errorf("%s: weights of another network: %v", s.Name, err)
		}
	}
	if count < 5 {
		t.Errorf("%d networks", count)
	}
	_, err := Source{Name: "none"}.Open("a file", other)
	if err == nil || !strings.Contains(err.Error(), "none is not a network of keras.applications") {
		t.Errorf("an unknown network: %v", err)
	}
}

// TestHugeFilesAreNotRead checks the limit of 2 GB. The file takes no space: it has no contents.
func TestHugeFilesAreNotRead(t *testing.T) {
	path := write(t, "huge", nil)
	if err := os.Truncate(path, 2<<30+1); err != nil {
		t.Skip("this file system has no files without contents:", err)
	}
	if _, err := Read(path); err == nil || !strings.Contains(err.Error(), "2147483648") {
		t.Errorf("error %v", err)
	}
}

// TestReadBrokenValues checks the error about a network with values of a type that garb does not
// read.
func TestReadBrokenValues(t *testing.T) {
	var b bytes.Buffer
	if err := tensor.Write(&b, nil, smallNetwork(t), tensor.Float32); err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(b.Bytes(), []byte(`"F32"`)) {
		t.Fatal("the file has no types")
	}
	path := write(t, "a.safetensors", bytes.Replace(b.Bytes(), []byte(`"F32"`), []byte(`"U32"`), 1))
	if n, err := Read(path); err == nil {
		t.Errorf("it is read: %v", n.Architecture)
	}
}

// TestOpenNames checks that a name that cannot be a path is an error that lists the known names.
func TestOpenNames(t *testing.T) {
	folder := t.TempDir()
	for reference, name := range map[string]bool{
		"none": true, "none.safetensors": false, filepath.Join(folder, "none"): false, `a\b`: false, folder: false,
	} {
		_, err := Open(reference)
		if err == nil || strings.Contains(err.Error(), "the known weights are") != name {
			t.Errorf("%s: %v", reference, err)
		}
	}
}
