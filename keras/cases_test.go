package keras

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"garb/nn"
	"garb/tensor"
)

// TestCases reads files on which garb was wrong: they answer as Keras does (cases.py), or
// are refused by name.
func TestCases(t *testing.T) {
	text, err := os.ReadFile("testdata/cases.json")
	if err != nil {
		t.Fatal(err)
	}
	var answers map[string][]float32
	if err := json.Unmarshal(text, &answers); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct{ file, refusal string }{
		{"linear_classifier.keras", ""},
		{"deep_same_names.h5", ""},
		{"dict_in.keras", ""},
		{"preprocess_resnet50.keras", ""},
		{"own_BatchNormalization.keras",
			`layer "batch_normalization" is a BatchNormalization of the module null, ` +
				`registered as "BatchNormalization"`},
		{"custom_named_Dense.keras", `layer "dense" is a Dense of the module null, registered as "mine>Dense"`},
		{"unregistered_fn_swish.keras", `layer "conv2d", a Conv2D, has activation {"class_name":"function"`},
	} {
		n, err := read(fixture(t, "cases/"+test.file))
		if test.refusal != "" {
			if err == nil || !strings.Contains(err.Error(), test.refusal) {
				t.Errorf("%s: %v, want %q", test.file, err, test.refusal)
				continue
			}
			checkNetworkError(t, err)
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", test.file, err)
			continue
		}
		picture := make([]float32, tensor.Len(n.Layers[0].Shape))
		for i := range picture {
			picture[i] = float32(float64(37*i%251)/125 - 1)
		}
		got := answer(t, n, picture)
		// Sums in another order.
		if d := largestDifference(got, answers[test.file]); !(d <= 1e-5) {
			t.Errorf("%s differs by %g: %v, want %v", test.file, d, got, answers[test.file])
		}
	}
}

// TestPreparing reads models that prepare their pictures themselves (preparing.py): they answer
// as Keras does, for samples of 0 to 255.
func TestPreparing(t *testing.T) {
	text, err := os.ReadFile("testdata/preparing.json")
	if err != nil {
		t.Fatal(err)
	}
	var answers map[string][]float32
	if err := json.Unmarshal(text, &answers); err != nil {
		t.Fatal(err)
	}
	largest := 0.0
	for file, want := range answers {
		n, err := read(fixture(t, "preparing/"+file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		picture := make([]float32, tensor.Len(n.Layers[0].Shape))
		for i := range picture {
			picture[i] = float32(37 * i % 256)
		}
		got := answer(t, n, picture)
		d := largestDifference(got, want)
		if largest = max(largest, d); !(d <= 2e-5) {
			t.Errorf("%s differs by %g: %v, want %v", file, d, got, want)
		}
	}
	t.Logf("%d files: the answers differ by %.2g", len(answers), largest)
	if len(answers) < 20 {
		t.Errorf("%d files", len(answers))
	}
}

func read(data []byte) (*nn.Network, error) {
	m, err := Open(data, DefaultLimits())
	if err != nil {
		return nil, err
	}
	return m.Network(0)
}

// TestOwners checks that a class is Keras's if the file says so or, if the file gives no owner at
// all, if nobody has registered it.
func TestOwners(t *testing.T) {
	const relu = `{"class_name":"ReLU","config":{"name":"x"}%s}`
	whole := func(root, layer string) string {
		return fmt.Sprintf(`{"class_name":"Sequential"%s,"config":{"name":"m","layers":[%s,`+relu+`]}}`, root,
			strings.Replace(input, `"class_name"`, `"module":"keras.layers","class_name"`, 1), layer)
	}
	const keras = `,"module":"keras","registered_name":null`
	for _, test := range []struct {
		root, layer string
		refused     bool
	}{
		{keras, `,"module":"keras.layers","registered_name":null`, false},
		{keras, `,"module":"keras.src.layers.activations.relu","registered_name":"ReLU"`, false},
		{`,"module":"keras"`, `,"module":"tf_keras.layers"`, false},
		{keras, `,"module":"keras.layers","registered_name":"mine>ReLU"`, true},
		{keras, `,"module":"keras.layers","registered_name":"Other"`, true},
		{keras, `,"module":"keras.layers","registered_name":3`, true},
		{keras, `,"module":"keras_cv.layers","registered_name":null`, true},
		{keras, `,"module":"__main__"`, true},
		{keras, `,"module":["keras"]`, true},
		{keras, `,"module":null`, true},
		{keras, ``, true},
		{keras, `,"module":"keras.src.applications.inception_resnet_v2","registered_name":"Custom>ReLU"`, true},
		{``, ``, false}, // an HDF5 file
		{``, `,"module":null`, true},
		{`,"module":null`, ``, true},
	} {
		_, err := parseModel([]byte(whole(test.root, test.layer)), "", 0, false)
		var unknown *UnknownLayerError
		if refused := errors.As(err, &unknown) && unknown.Owner != ""; refused != test.refused ||
			err != nil && !refused {
			t.Errorf("root %s, layer %s: %v", test.root, test.layer, err)
		}
	}
	const scaled = `,"module":%q,"registered_name":"Custom>CustomScaleLayer"`
	for module, own := range map[string]bool{"tf_keras.src.applications.inception_resnet_v2": true,
		"keras.layers": false,
		"mine.src.applications.inception_resnet_v2": false} {
		text := strings.Replace(whole(keras, fmt.Sprintf(scaled, module)), `"ReLU"`, `"CustomScaleLayer"`, 1)
		var unknown *UnknownLayerError
		if _, err := parseModel([]byte(text), "", 0, false); errors.As(err, &unknown) == own {
			t.Errorf("CustomScaleLayer of %s: %v", module, err)
		}
	}
	_, err := parseModel([]byte(strings.Replace(whole("", ""), `"ReLU"`, `"mine>ReLU"`, 1)), "", 0, false)
	if err == nil || !strings.Contains(err.Error(), `of the package "mine"`) {
		t.Errorf("%v", err)
	}
}

// TestEqualNames checks that a dataset belongs to the layer whose place is most similar to its
// path.
func TestEqualNames(t *testing.T) {
	var all []leaf
	for place, name := range map[string]string{"a/conv": "conv", "b/a/conv": "conv", "conv": "conv",
		"base/norm": "norm", "base/a/norm": "a/norm",
		"p/twin": "twin", "q/twin": "twin"} {
		all = append(all, leaf{place, &Layer{Name: name}})
	}
	x := newLeafIndex(all)
	for dataset, want := range map[string]string{
		"a/conv/kernel": "a/conv", "conv/kernel:0": "conv", "b/a/conv/bias": "b/a/conv", "c/b/a/conv/bias": "b/a/conv",
		"norm/gamma": "base/norm", "x/a/norm/gamma": "base/a/norm", "p/twin/kernel": "p/twin", "kernel": "",
		"other/kernel": "", "twin/kernel": "several",
	} {
		i, err := x.find(dataset)
		got := ""
		if i >= 0 {
			got = all[i].place
		}
		if err != nil {
			got = "several"
		}
		if got != want {
			t.Errorf("%s is of %q, want %q", dataset, got, want)
		}
	}
}
