package onnx_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"garb/internal/peertest"
	"garb/onnx"
)

// randomGraphs is how many graphs are drawn, from the seeds 0 on.
const randomGraphs = 400

// randomGraph is a file that random_graphs.py made, with ONNX Runtime's answers for two pictures;
// or one of torch_modules.py, with PyTorch's answers.
type randomGraph struct {
	Seed           int
	Dynamo         bool // of the newer of PyTorch's exporters
	File           string
	Side           int // of its pictures, if the file leaves it open
	Pixels, Answer []float32
	Operators      []string
}

// name identifies a graph.
func (g *randomGraph) name() string {
	return strings.TrimSuffix(filepath.Base(g.File), ".onnx")
}

// TestRandomGraphs compares random graphs with ONNX Runtime; those that are refused give a typed
// error with the reason.
func TestRandomGraphs(t *testing.T) {
	python := os.Getenv("GARB_PYTHON")
	if python == "" {
		t.Skip("set GARB_PYTHON to run this test (see .ci/run)")
	}
	folder := t.TempDir()
	script := filepath.Join("testdata", "random_graphs.py")
	command := exec.CommandContext(t.Context(), python, script, folder, "0", fmt.Sprint(randomGraphs))
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	text, err := os.ReadFile(filepath.Join(folder, "graphs.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all []randomGraph
	if err := json.Unmarshal(text, &all); err != nil || len(all) != randomGraphs {
		t.Fatalf("%d graphs, %v", len(all), err)
	}
	var tally peertest.Tally
	for _, g := range all {
		reason, difference := g.compare(t)
		tally.Add(reason, difference, g.Operators)
	}
	tally.Report(t)
}

// compare returns why a graph is refused, or how far its answers are from ONNX Runtime's.
func (g *randomGraph) compare(t *testing.T) (reason string, largest float64) {
	limits := onnx.DefaultLimits()
	limits.Side = g.Side
	n, _, err := onnx.ReadFile(g.File, limits)
	if err != nil {
		var format *onnx.FormatError
		var unknown *onnx.UnknownOperatorError
		switch {
		case errors.As(err, &unknown):
			return strings.TrimSpace(unknown.Operator + " " + unknown.Detail), 0
		case errors.As(err, &format):
			return "this: " + format.Reason, 0
		}
		t.Errorf("%s: %T: %v", g.name(), err, err)
		return "an error of no type", 0
	}
	size := 1.0
	for _, v := range g.Answer {
		size = max(size, math.Abs(float64(v)))
	}
	pixels, logits := len(g.Pixels)/2, len(g.Answer)/2
	for i := range 2 {
		got := answer(t, n, g.Pixels[i*pixels:][:pixels])
		want := g.Answer[i*logits:][:logits]
		largest = max(largest, difference(t, want, got)/size)
	}
	// Sums of numbers of either sign in another order; a wrong attribute moves answers by
	// more than a hundredth.
	if !(largest <= 2e-4) {
		t.Errorf("%s: differs by %.3g of %.3g (%s)", g.name(), largest, size, strings.Join(g.Operators, " "))
	}
	return "", largest
}
