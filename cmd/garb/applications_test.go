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

// writeMobileNetWeights is a file like the official one of Keras's MobileNet, of random weights:
// the network is a chain, so that its description tells the shape of each array. layers, if
// not 0, is the number of the file's layers.
func writeMobileNetWeights(t *testing.T, layers int) []byte {
	t.Helper()
	packed, err := os.ReadFile(filepath.Join("..", "..", "weights", "applications", "keras-mobilenet.json.gz"))
	if err != nil {
		t.Fatal(err)
	}
	r, err := gzip.NewReader(bytes.NewReader(packed))
	if err != nil {
		t.Fatal(err)
	}
	var described struct {
		Config struct {
			Layers []struct {
				Class  string `json:"class_name"`
				Config struct {
					Name    string
					Filters int
					Size    []int `json:"kernel_size"`
				}
			}
		}
	}
	if err := json.NewDecoder(r).Decode(&described); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	root := &hdf5.Node{Attributes: map[string]string{}, Members: map[string]*hdf5.Node{}}
	channels := 3
	for _, l := range described.Config.Layers {
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

// TestApplicationByName: weights of keras.applications are listed, pulled from a server or a
// file, shown, and a backbone for embed and train, by one name.
func TestApplicationByName(t *testing.T) {
	const name = "keras-mobilenet" // Keras publishes no digest of it
	folder := t.TempDir()
	t.Setenv("GARB_HOME", filepath.Join(folder, "home"))
	run := func(args ...string) string {
		t.Helper()
		code, out, errOut := runGarb(t, nil, args...)
		if code != exitDone {
			t.Fatalf("%s: %s", strings.Join(args, " "), errOut)
		}
		return out + errOut
	}
	refused := func(want string, args ...string) {
		t.Helper()
		code, _, errOut := runGarb(t, nil, args...)
		if code == exitDone || !strings.Contains(errOut, want) {
			t.Errorf("%s: %d, %q, want %q", strings.Join(args, " "), code, errOut, want)
		}
	}
	listed := func() string {
		t.Helper()
		for line := range strings.Lines(run("models", "list")) {
			if strings.HasPrefix(line, name+" ") {
				return strings.Join(strings.Fields(line), " ")
			}
		}
		return ""
	}
	const about = " Apache-2.0 3.2 M 224×224 RGB, nearest, (x − 127.5) / 127.5 ImageNet, without top"
	if line := listed(); line != name+" weights MobileNet not pulled"+about {
		t.Errorf("%q", line)
	}
	yellow := drawPlainPicture(t, filepath.Join(folder, "yellow.png"), color.RGBA{255, 255, 0, 255})
	refused("run: garb models pull "+name, "embed", "--backbone", name, yellow)
	refused("did you mean keras-mobilenet?", "embed", "--backbone", "keras-mobilnet", yellow)
	refused("run: garb models pull "+name, "models", "show", name)

	data := writeMobileNetWeights(t, 0)
	file := filepath.Join(folder, "mobilenet_1_0_224_tf_no_top.h5")
	less := filepath.Join(folder, "less.h5")
	for path, content := range map[string][]byte{file: data, less: writeMobileNetWeights(t, 50)} {
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	refused("its MD5 is", "models", "pull", "keras-densenet121", "--from", file)
	refused("does not hold the weights of MobileNetV2", "models", "pull", "keras-mobilenetv2", "--from", file)
	refused("does not hold the weights of MobileNet without its top", "models", "pull", name, "--from", less)
	if kept, _ := filepath.Glob(filepath.Join(folder, "home", "weights", "*")); len(kept) != 0 {
		t.Errorf("kept %v", kept)
	}

	said := run("models", "pull", name, "--from", file)
	if !strings.Contains(said, "no digest") || !strings.Contains(said, name+" is in ") {
		t.Errorf("pull says %q", said)
	}
	embed := func() string { return run("embed", "--json", "--backbone", name, yellow) }
	first := embed()
	if err := os.RemoveAll(filepath.Join(folder, "home")); err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }))
	t.Cleanup(server.Close)
	run("models", "pull", name, "--url", server.URL+"/mobilenet_1_0_224_tf_no_top.h5")
	if again := embed(); again != first {
		t.Error("from the server it has other features")
	}
	// A folder that is named as networks of their own are inside garb is no other backbone.
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
	if line := listed(); line != name+" weights MobileNet pulled"+about {
		t.Errorf("%q", line)
	}
	shown := run("models", "show", name)
	if !strings.Contains(shown, "keras.applications.MobileNet") || !strings.Contains(shown, "tensorflow/models") ||
		strings.Contains(shown, "classes") {
		t.Errorf("show says %.600q", shown)
	}
}
