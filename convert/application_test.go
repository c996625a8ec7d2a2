//go:build !small

package convert_test

import (
	"bytes"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"math"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"garb/convert"
	"garb/internal/download"
	"garb/model"
	"garb/tensor"
	"garb/weights"
)

// official are the networks that TestApplicationsAsKeras runs, at least one of each family.
var official = []string{"MobileNet", "MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0",
	"ResNet50", "ResNet50V2", "DenseNet121", "VGG16", "InceptionV3", "InceptionResNetV2", "NASNetMobile"}

// TestApplicationsAsKeras checks that weights in files like the official ones, which Keras wrote and
// a server has, give a picture the same features as in Keras.
func TestApplicationsAsKeras(t *testing.T) {
	python := os.Getenv("GARB_KERAS_PYTHON")
	if python == "" {
		t.Skip("set GARB_KERAS_PYTHON to a Python with what keras/testdata/requirements.txt lists, and tf_keras")
	}
	folder := t.TempDir()
	t.Setenv("GARB_HOME", filepath.Join(folder, "home"))
	names := official
	if some := os.Getenv("GARB_KERAS_NETWORKS"); some != "" {
		names = strings.Fields(some)
	}
	arguments := append([]string{filepath.Join("testdata", "official.py"), folder}, names...)
	command := exec.CommandContext(t.Context(), python, arguments...)
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	text, err := os.ReadFile(filepath.Join(folder, "official.json"))
	if err != nil {
		t.Fatal(err)
	}
	var answers []kerasAnswer
	if err := json.Unmarshal(text, &answers); err != nil || len(answers) != len(names) {
		t.Fatal(len(answers), err)
	}
	server := httptest.NewServer(http.FileServer(http.Dir(folder)))
	t.Cleanup(server.Close)
	for _, want := range answers {
		t.Run(want.Name, func(t *testing.T) {
			s, ok := weights.Lookup("keras-" + strings.ToLower(want.Name))
			if !ok || s.Application.Keras != want.Name || s.Application.Side != want.Side {
				t.Fatalf("%+v", s)
			}
			file, err := os.ReadFile(filepath.Join(folder, want.Name+".h5"))
			if err != nil {
				t.Fatal(err)
			}
			s.URL, s.MD5 = server.URL+"/"+want.Name+".h5", fmt.Sprintf("%x", md5.Sum(file))
			w, got := embedWithKept(t, s, encodePNG(t, filepath.Join(folder, want.Name+".rgb"), want.Side))
			want.compare(t, got)
			values := 0
			for _, name := range w.Names() {
				values += tensor.Len(w.Shape(name))
			}
			if values < s.Application.Parameters {
				t.Errorf("%d parameters, the table says %d", values, s.Application.Parameters)
			}
		})
	}
}

// kerasAnswer is Keras's answer to a picture.
type kerasAnswer struct {
	Name     string // of the network
	Side     int
	Features []float32
}

// compare compares features with those of Keras.
func (want *kerasAnswer) compare(t *testing.T, got []float32) {
	t.Helper()
	if len(got) != len(want.Features) {
		t.Fatalf("%d features, Keras has %d", len(got), len(want.Features))
	}
	largest, difference := 0.0, 0.0
	for i, v := range want.Features {
		largest = max(largest, math.Abs(float64(v)))
		difference = max(difference, math.Abs(float64(got[i]-v)))
	}
	t.Logf("%s: %d features up to %.3g, which differ by %.2g", want.Name, len(got), largest, difference)
	if !(difference <= 1e-4*max(1, largest)) {
		t.Errorf("they differ by %g", difference)
	}
}

// embedWithKept downloads and converts the weights of a source, and returns the features that they
// give a picture.
func embedWithKept(t *testing.T, s weights.Source, data []byte) (*tensor.File, []float32) {
	t.Helper()
	official, err := weights.Download(t.Context(), download.DefaultClient(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	path, err := convert.KeepApplication(t.Context(), s, s.URL, official)
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	base, err := model.FindBackbone(s.Name, "")
	if err != nil {
		t.Fatal(err)
	}
	w, err := model.OpenBackbone(base.Weights)
	if err != nil {
		t.Fatal(err)
	}
	e, err := model.NewExtractor(base.Architecture, w, base.Spec, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	features, err := e.Embed(t.Context(), data)
	if err != nil {
		t.Fatal(err)
	}
	return w, features
}

// encodePNG returns the PNG of a picture that a file has as three bytes for each pixel.
func encodePNG(t *testing.T, path string, side int) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil || len(data) != 3*side*side {
		t.Fatal(len(data), err)
	}
	img := image.NewNRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		copy(img.Pix[4*i:], append(data[3*i:3*i+3:3*i+3], 255))
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// TestApplicationSpec compares the preprocessing of each family of networks with
// keras/src/applications/*.py, preprocess_input.
func TestApplicationSpec(t *testing.T) {
	networks := 0
	for _, s := range weights.Sources() {
		a := s.Application
		if a == nil {
			continue
		}
		networks++
		spec, err := convert.ApplicationSpec(*a)
		if err != nil || spec.Validate() != nil {
			t.Fatal(s.Name, err, spec.Validate())
		}
		mean, std := float32(127.5), float32(127.5) // of red
		switch name := a.Keras; {
		case strings.HasPrefix(name, "EfficientNet"), strings.HasPrefix(name, "MobileNetV3"):
			mean, std = 0, 1
		case strings.HasPrefix(name, "VGG"), strings.HasPrefix(name, "ResNet") && !strings.HasSuffix(name, "V2"):
			mean, std = 123.68, 1
		case strings.HasPrefix(name, "DenseNet"):
			mean, std = 0.485*255, 0.229*255
		}
		if spec.Mean[0] != mean || spec.Std[0] != std || spec.Width != a.Side || spec.Height != a.Side {
			t.Errorf("%s: %+v", s.Name, spec)
		}
	}
	if networks < 34 {
		t.Errorf("%d networks", networks)
	}
}
