package onnx_test

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/onnx"
)

// torchvisionModels are networks of torchvision and of timm, with the side of their pictures: about
// the smallest that they take, so that the test is about the networks and not their size.
var torchvisionModels = []string{
	"mobilenet_v2:64", "mobilenet_v3_small:64", "mobilenet_v3_large:64", "efficientnet_b0:64", "efficientnet_v2_s:64",
	"mnasnet1_0:64",
	"resnet18:64", "resnet50:64", "resnext50_32x4d:64", "regnet_y_400mf:64", "densenet121:64",
	"shufflenet_v2_x0_5:64", "shufflenet_v2_x1_0:64",
	"squeezenet1_0:64", "googlenet:64", "inception_v3:128", "vgg11:224", "convnext_tiny:64",
	"timm.tf_efficientnet_lite0:128", "timm.tf_mobilenetv3_small_100:64", "timm.mobilenetv4_conv_small:64",
	"timm.ghostnet_100:64", "timm.resnet26d:64", "timm.repvgg_a0:64", "timm.regnetx_002:64", "timm.dla34:64",
	"timm.rexnet_100:64",
}

// answering runs ONNX files on the pictures of a list, and prints the answers as JSON.
const answering = `
import json, sys
import numpy, onnxruntime
all = []
for row in json.load(open(sys.argv[1])):
    session = onnxruntime.InferenceSession(row["file"])
    pictures = numpy.float32(row["pixels"]).reshape(2, row["side"], row["side"], 3).transpose(0, 3, 1, 2)
    all.append(session.run(None, {session.get_inputs()[0].name: pictures})[0].flatten().tolist())
print(json.dumps(all))
`

// TestTorchvisionModels compares whole networks of torchvision and timm that PyTorch exported, with
// either of its exporters, with ONNX Runtime.
func TestTorchvisionModels(t *testing.T) {
	python, runtime := os.Getenv("GARB_TORCH_PYTHON"), os.Getenv("GARB_PYTHON")
	if python == "" || runtime == "" {
		t.Skip("set GARB_TORCH_PYTHON and GARB_PYTHON to run this test (see .ci/run)")
	}
	for _, exporter := range []string{"script", "dynamo"} {
		t.Run(exporter, func(t *testing.T) {
			t.Parallel() // each is one thread of Python for the most part
			folder := t.TempDir()
			script := filepath.Join("testdata", "torchvision_models.py")
			command := exec.CommandContext(t.Context(), python,
				append([]string{script, folder, exporter}, torchvisionModels...)...)
			if output, err := command.CombinedOutput(); err != nil {
				t.Fatalf("%v\n%s", err, output)
			}
			list := filepath.Join(folder, "models-"+exporter+".json")
			compareTorchvision(t, list, runtime)
		})
	}
}

func compareTorchvision(t *testing.T, list, runtime string) {
	text, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	var all []randomGraph
	if err = json.Unmarshal(text, &all); err != nil || len(all) != len(torchvisionModels) {
		t.Fatalf("%d networks, %v", len(all), err)
	}
	command := exec.CommandContext(t.Context(), runtime, "-c", answering, list)
	command.Stderr = os.Stderr
	printed, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	var right [][]float32
	if err := json.Unmarshal(printed, &right); err != nil || len(right) != len(all) {
		t.Fatalf("%d answers, %v", len(right), err)
	}
	var report []string
	largest := 0.0
	for i, g := range all {
		n, _, err := onnx.ReadFile(g.File, onnx.DefaultLimits())
		if err != nil {
			t.Errorf("%s: %v", g.name(), err)
			continue
		}
		pixels, logits := len(g.Pixels)/2, len(right[i])/2
		first, second := right[i][:logits], right[i][logits:]
		size, apart, off := 0.0, difference(t, first, second), 0.0
		for _, v := range right[i] {
			size = max(size, math.Abs(float64(v)))
		}
		for k, want := range [][]float32{first, second} {
			off = max(off, difference(t, want, answer(t, n, g.Pixels[k*pixels:][:pixels])))
		}
		if !(off <= 1e-4*size) {
			t.Errorf("%s: differs by %.3g of %.3g", g.name(), off, size)
		}
		// Otherwise nothing would be compared but the last layer's bias.
		if !(apart >= 1e-2*size) {
			t.Errorf("%s: the answers for two pictures differ by no more than %.3g of %.3g", g.name(), apart, size)
		}
		largest = max(largest, off/size)
		report = append(report, fmt.Sprintf("%s %.1e",
			strings.TrimSuffix(filepath.Base(g.File), filepath.Ext(g.File)), off/size))
	}
	slices.Sort(report)
	t.Logf("%d networks of torchvision and timm: the answers differ by %.1e of the largest, at most: %s",
		len(report), largest, strings.Join(report, ", "))
}
