// Package near has what tests of several packages compare with.
package near

import (
	"encoding/json"
	"math"
	"os"
	"strings"

	"garb/tensor"
)

// Steps is a case of testdata/keras_steps.json: some training steps in Keras, and
// what they came to.
type Steps struct {
	Name       string
	Network    string // small, binary, lite0, or of keras.applications
	Optimizer  string // sgd, adam, adamw
	Momentum   float64
	Nesterov   bool
	Rate       float64
	Decay      float64
	Clip       float64
	Smoothing  float64
	Weights    []float64 // of the classes
	Statistics bool      // batch-norms use the batch's
	Head       bool      // only inner1 and classifier are trained
	Batch      int
	Losses     []float64
	Parameters map[string]struct {
		Norm   float64   // root of the sum of squares
		Values []float64 // all, or some from the first to the last
	}
	// Off is how far Keras's losses in float32 are from these, where these are of float64,
	// and WeightsOff the same of weights.
	Off, WeightsOff float64
}

// ReadSteps reads the cases, of the file that GARB_KERAS_STEPS names if that is set: CI
// makes one afresh.
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

// Generate returns n values in [0,1): the upper 24 bits of splitmix64 from the state
// salt·2³², as keras_steps.py has it.
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

// Parameter returns the first values of a parameter, as the script's weights_of does.
func Parameter(name string, shape []int, salt int) *tensor.Tensor {
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

// PictureBatch returns step's pictures: a coarse grid of 8 × 8 values, each over a
// square.
func PictureBatch(n, side, step int) []float32 {
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

// Labels returns step's labels for n pictures.
func Labels(n, classes, step int) []int {
	labels := make([]int, n)
	for i, v := range Generate(n, 2000+step) {
		labels[i] = int(v * float64(max(classes, 2)))
	}
	return labels
}

// Sampled returns the values that the script keeps of a parameter: n from the first to the
// last.
func Sampled(values []float32, n int) []float64 {
	sampled := make([]float64, n)
	for k := range sampled {
		sampled[k] = float64(values[k*(len(values)-1)/max(n-1, 1)])
	}
	return sampled
}
