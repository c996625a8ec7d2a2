// Package peertest helps tests to compare garb with its peers: it repeats training steps
// that Keras did, and counts the random models whose answers a peer computed too.
package peertest

import (
	"encoding/json"
	"math"
	"os"
	"strings"

	"garb/tensor"
)

// Steps is a case of testdata/keras_steps.json: training steps in Keras and their results.
type Steps struct {
	Name       string
	Network    string // small, binary, lite0, or a name of keras.applications
	Optimizer  string // sgd, adam, adamw
	Momentum   float64
	Nesterov   bool
	Rate       float64
	Decay      float64
	Clip       float64
	Smoothing  float64
	Weights    []float64 // one per class
	Statistics bool      // batch-norms use the statistics of the batch
	Head       bool      // train only inner1 and classifier
	Batch      int
	Losses     []float64
	Parameters map[string]struct {
		Norm   float64   // Euclidean
		Values []float64 // all, or some, equally far apart
	}
	// Off is the largest difference between Keras's losses in float32 and Losses, which are
	// in float64 then; WeightsOff is the same for weights. Both are 0 if Losses are in float32.
	Off, WeightsOff float64
}

// ReadSteps reads the cases from the file at path. GARB_KERAS_STEPS names another file to
// read instead; CI sets it to one that it has just made.
func ReadSteps(path string) ([]Steps, error) {
	if fresh := os.Getenv("GARB_KERAS_STEPS"); fresh != "" {
		path = fresh
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	var all []Steps
	err = json.Unmarshal(text, &all)
	for i := range all {
		if all[i].Batch == 0 {
			all[i].Batch = 6
		}
	}
	return all, err
}

// Generate returns n values in [0,1): the upper 24 bits of splitmix64 that starts at the
// state salt·2³², as generate in keras_steps.py does.
func Generate(n, salt int) []float64 {
	state := uint64(salt) << 32
	values := make([]float64, n)
	for i := range values {
		state += 0x9E3779B97F4A7C15
		z := state
		z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
		z = (z ^ z>>27) * 0x94D049BB133111EB
		values[i] = float64((z^z>>31)>>40) / (1 << 24)
	}
	return values
}

// generateWeights returns a parameter's values before the first step, as the script's
// weights_of does.
func generateWeights(name string, shape []int, salt int) *tensor.Tensor {
	t := tensor.New(shape...)
	inputs := 1
	for _, n := range shape[:len(shape)-1] {
		inputs *= n
	}
	if len(shape) == 4 && shape[3] == 1 { // depthwise
		inputs = shape[0] * shape[1]
	}
	for i, v := range Generate(len(t.Data), salt) {
		switch {
		case len(shape) > 1:
			v = (2*v - 1) * math.Sqrt(3/float64(inputs))
		case strings.HasSuffix(name, "gamma") || strings.HasSuffix(name, "moving_variance"):
			v += 0.5
		default:
			v -= 0.5
		}
		t.Data[i] = float32(v)
	}
	return t
}

// generatePictures returns the pictures of a step: coarse grids of 8 × 8 coloured squares.
func generatePictures(n, side, step int) []float32 {
	grid := Generate(n*8*8*3, 1000+step)
	values := make([]float32, 0, n*side*side*3)
	cell := side / 8
	for i := range n {
		for y := range side {
			for x := range side {
				at := ((i*8+y/cell)*8 + x/cell) * 3
				for c := range 3 {
					values = append(values, float32(2*grid[at+c]-1))
				}
			}
		}
	}
	return values
}

// generateLabels returns the labels of a step's n pictures.
func generateLabels(n, classes, step int) []int {
	labels := make([]int, n)
	for i, v := range Generate(n, 2000+step) {
		labels[i] = int(v * float64(max(classes, 2)))
	}
	return labels
}

// sample returns the values that the script keeps of a parameter: n values, equally far
// apart, from the first to the last.
func sample(values []float32, n int) []float64 {
	sampled := make([]float64, n)
	for k := range sampled {
		sampled[k] = float64(values[k*(len(values)-1)/max(n-1, 1)])
	}
	return sampled
}
