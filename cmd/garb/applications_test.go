package main

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"image/color"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/backbone"
	"garb/internal/hdf5"
)

// kerasLayer is a layer in the description of a Keras network.
type kerasLayer struct {
	Class  string `json:"class_name"`
	Config struct {
		Name    string
		Filters int
		Size    []int `json:"kernel_size"`
	}
}

// readMobileNetLayers returns the layers of Keras's MobileNet.
func readMobileNetLayers(t *testing.T) []kerasLayer {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("..", "..", "weights", "applications", "keras-mobilenet.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var network struct{ Config struct{ Layers []kerasLayer } }
	if err := json.NewDecoder(r).Decode(&network); err != nil {
		t.Fatal(err)
	}
	return network.Config.Layers
}

// writeMobileNetWeights returns a file like the official one of Keras's MobileNet, with random
// weights. The network is a chain, so its description determines the shape of each array. If
// layers is not 0, the file has only that many layers.
func writeMobileNetWeights(t *testing.T, layers int) []byte {
	t.Helper()
	random := rand.New(rand.NewPCG(1, 2))
	root := &hdf5.Node{Attributes: map[string]string{}, Members: map[string]*hdf5.Node{}}
	channels := 3
	for _, l := range readMobileNetLayers(t) {
		group := &hdf5.Node{Attributes: map[string]string{}, Members: map[string]*hdf5.Node{}}
		add := func(name string, middle, spread float64, shape ...int) {
			count := 1
			for _, n := range shape {
				count *= n
			}
			values := make([]float32, count)
			for i := range values {
				values[i] = float32(middle + spread*(2*random.Float64()-1))
			}
			group.Attributes[fmt.Sprintf("weight_names%d", len(group.Members))] = name
			group.Members[name] = &hdf5.Node{Values: values, Shape: shape}
		}
		switch k := l.Config.Size; l.Class {
		case "Conv2D":
			add("kernel:0", 0, math.Sqrt(6/float64(k[0]*k[1]*channels)), k[0], k[1], channels, l.Config.Filters)
			channels = l.Config.Filters
		case "DepthwiseConv2D":
			add("depthwise_kernel:0", 0, math.Sqrt(6/float64(k[0]*k[1])), k[0], k[1], channels, 1)
		case "BatchNormalization":
			add("gamma:0", 1, 0.2, channels)
			add("beta:0", 0, 0.2, channels)
			add("moving_mean:0", 0, 0.2, channels)
			add("moving_variance:0", 1, 0.2, channels)
		}
		if len(root.Members) == layers && layers > 0 {
			break
		}
		root.Attributes[fmt.Sprintf("layer_names%d", len(root.Members))] = l.Config.Name
		root.Members[l.Config.Name] = group
	}
	var b bytes.Buffer
	if err := hdf5.Write(&b, root); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// mobileNet is a network of keras.applications without a published digest.
const mobileNet = "keras-mobilenet"

// mustRun runs garb and returns all it prints. It fails the test if garb fails.
func mustRun(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errOut := runGarb(t, nil, args...)
	if code != exitDone {
		t.Fatalf("%s: %s", strings.Join(args, " "), errOut)
	}
	return out + errOut
}

// mustRefuse runs garb and fails the test if garb succeeds, or does not print want.
func mustRefuse(t *testing.T, want string, args ...string) {
	t.Helper()
	code, _, errOut := runGarb(t, nil, args...)
	if code == exitDone || !strings.Contains(errOut, want) {
		t.Errorf("%s: %d, %q, want %q", strings.Join(args, " "), code, errOut, want)
	}
}

// checkListed fails if the line of mobileNet in garb models list has another state.
func checkListed(t *testing.T, state string) {
	t.Helper()
	want := mobileNet + " weights MobileNet " + state +
		" Apache-2.0 3.2 M 224×224 RGB, nearest, (x − 127.5) / 127.5 ImageNet, without top"
	for line := range strings.Lines(mustRun(t, "models", "list")) {
		if !strings.HasPrefix(line, mobileNet+" ") {
			continue
		}
		if got := strings.Join(strings.Fields(line), " "); got != want {
			t.Errorf("%q, want %q", got, want)
		}
		return
	}
	t.Errorf("%s is not listed", mobileNet)
}

// TestApplicationRefused: weights that are missing or wrong are refused, and nothing is kept.
func TestApplicationRefused(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("GARB_HOME", filepath.Join(folder, "home"))
	yellow := drawPlainPicture(t, filepath.Join(folder, "yellow.png"), color.RGBA{255, 255, 0, 255})
	mustRefuse(t, "run: garb models pull "+mobileNet, "embed", "--backbone", mobileNet, yellow)
	mustRefuse(t, "did you mean keras-mobilenet?", "embed", "--backbone", "keras-mobilnet", yellow)
	mustRefuse(t, "run: garb models pull "+mobileNet, "models", "show", mobileNet)
	file := write(t, folder, "mobilenet.h5", writeMobileNetWeights(t, 0))
	less := write(t, folder, "less.h5", writeMobileNetWeights(t, 50))
	mustRefuse(t, "its MD5 is", "models", "pull", "keras-densenet121", "--from", file)
	mustRefuse(t, "does not hold the weights of MobileNetV2", "models", "pull", "keras-mobilenetv2", "--from", file)
	mustRefuse(t, "does not hold the weights of MobileNet without its top", "models", "pull", mobileNet, "--from", less)
	if kept, _ := filepath.Glob(filepath.Join(folder, "home", "weights", "*")); len(kept) != 0 {
		t.Errorf("kept %v", kept)
	}
}

// TestApplicationByName: weights of keras.applications are listed, pulled from a server or a
// file, shown, and a backbone for embed and train, by one name.
func TestApplicationByName(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("GARB_HOME", filepath.Join(folder, "home"))
	checkListed(t, "not pulled")
	yellow := drawPlainPicture(t, filepath.Join(folder, "yellow.png"), color.RGBA{255, 255, 0, 255})
	data := writeMobileNetWeights(t, 0)
	file := write(t, folder, "mobilenet_1_0_224_tf_no_top.h5", data)
	text := mustRun(t, "models", "pull", mobileNet, "--from", file)
	if !strings.Contains(text, "no digest") || !strings.Contains(text, mobileNet+" is in ") {
		t.Errorf("pull says %q", text)
	}
	embed := func() string { return mustRun(t, "embed", "--json", "--backbone", mobileNet, yellow) }
	first := embed()
	if err := os.RemoveAll(filepath.Join(folder, "home")); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }))
	t.Cleanup(server.Close)
	mustRun(t, "models", "pull", mobileNet, "--url", server.URL+"/mobilenet_1_0_224_tf_no_top.h5")
	if again := embed(); again != first {
		t.Error("from the server it has other features")
	}
	// A folder with the internal name of such networks is not taken for a backbone.
	t.Chdir(folder)
	if err := os.Mkdir(backbone.OwnName, 0o755); err != nil {
		t.Fatal(err)
	}
	if again := embed(); again != first {
		t.Error("beside a folder it has other features")
	}
	var features struct{ Embedding []float32 }
	if err := json.Unmarshal([]byte(first), &features); err != nil {
		t.Fatal(err)
	}
	if n := len(features.Embedding); n != 1024 {
		t.Errorf("%d features", n)
	}
	checkListed(t, "pulled")
	shown := mustRun(t, "models", "show", mobileNet)
	if !strings.Contains(shown, "keras.applications.MobileNet") || !strings.Contains(shown, "tensorflow/models") ||
		strings.Contains(shown, "classes") {
		t.Errorf("show says %.600q", shown)
	}
}
