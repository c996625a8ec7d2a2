package onnx_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"garb/internal/peertest"
)

// torchModules is how many modules are drawn, from the seeds 0 on.
const torchModules = 30

// torchNetworks are networks of torchvision that are exported besides the modules.
var torchNetworks = []string{"squeezenet1_1", "mobilenet_v3_small", "shufflenet_v2_x0_5"}

// TestTorchModules compares modules that PyTorch exported, with either of its exporters, with
// PyTorch; those that are refused give a typed error with the reason.
func TestTorchModules(t *testing.T) {
	python := os.Getenv("GARB_TORCH_PYTHON")
	if python == "" {
		t.Skip("set GARB_TORCH_PYTHON to run this test (see .ci/run)")
	}
	folder := t.TempDir()
	arguments := append([]string{filepath.Join("testdata", "torch_modules.py"), folder, "0",
		fmt.Sprint(torchModules)}, torchNetworks...)
	output, err := exec.CommandContext(t.Context(), python, arguments...).CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	text, err := os.ReadFile(filepath.Join(folder, "modules.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []randomGraph
	if err := json.Unmarshal(text, &all); err != nil || len(all) != 2*(torchModules+len(torchNetworks)) {
		t.Fatalf("%d files, %v\n%s", len(all), err, output)
	}
	tallies := map[bool]*peertest.Tally{false: {}, true: {}}
	for _, g := range all {
		reason, difference := g.compare(t)
		if difference > 1e-4 {
			t.Errorf("%s: differs by %.3g, relative", g.name(), difference)
		}
		tallies[g.Dynamo].Add(reason, difference, g.Operators)
	}
	for dynamo, name := range map[bool]string{false: "TorchScript's exporter", true: "the exporter by torch.export"} {
		t.Log(name)
		tallies[dynamo].Report(t)
	}
}
