package model_test

import (
	"context"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/weights"
)

// golden holds the reference figures of Keras for pixels that Pillow resized.
type golden struct {
	Pictures []struct {
		Picture     string       `json:"picture"`
		Xception150 goldenVector `json:"xception_150_nearest"`
		Xception299 goldenVector `json:"xception_299_nearest"`
		Lite0       struct {
			PixelMean float64      `json:"pixel_mean"`
			Top5      [][3]float64 `json:"top5"` // class, logit, probability
			Logits    []float64    `json:"logits_first_8"`
		} `json:"efficientnet_lite0_224_bicubic"`
	} `json:"pictures"`
}

type goldenVector struct {
	PixelMean float64   `json:"pixel_mean"`
	First     []float64 `json:"feature_first_8"`
	Mean      float64   `json:"feature_mean"`
	L2        float64   `json:"feature_l2"`
	Argmax    int       `json:"feature_argmax"`
}

// requireEnv skips a test unless all variables are set, and returns their values.
func requireEnv(t *testing.T, variables ...string) []string {
	t.Helper()
	var values []string
	for _, v := range variables {
		value := os.Getenv(v)
		if value == "" {
			t.Skipf("set %s to run this test (see .ci/run)", v)
		}
		values = append(values, value)
	}
	return values
}

func readGolden(t *testing.T, shared string) golden {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(shared, "golden", "backbones.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g golden
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Pictures) == 0 {
		t.Fatal("no golden pictures")
	}
	return g
}

// checkParity checks the parity that the project promises: 1e-3 relative. Zeros must be
// zeros to 1e-6, as ReLU makes them.
func checkParity(t *testing.T, what string, got, want float64) {
	t.Helper()
	if d := math.Abs(got - want); !(d <= 1e-3*math.Abs(want) || d <= 1e-6) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// runPlan loads a picture by spec, checks the mean of its levels, and runs the plan.
func runPlan(t *testing.T, plan *nn.Plan, spec picture.Spec, path string, pixelMean float64) []float32 {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	input := make([]float32, spec.ValueCount())
	if _, err := spec.Load(context.Background(), data, picture.DefaultLimits(), input); err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, v := range input {
		sum += float64(v)*float64(spec.Std[0]) + float64(spec.Mean[0])
	}
	if mean := sum / float64(len(input)); math.Abs(mean-pixelMean) > 1e-3 {
		t.Errorf("%s: mean level %v, want %v", path, mean, pixelMean)
	}
	output := make([]float32, plan.OutputShape()[0])
	if err := plan.Run(context.Background(), input, output); err != nil {
		t.Fatal(err)
	}
	return output
}

func TestLite0IsThatOfKeras(t *testing.T) {
	env := requireEnv(t, "GARB_SHARED", "GARB_DATA")
	a, err := backbone.Lookup("efficientnet-lite0")
	if err != nil {
		t.Fatal(err)
	}
	// The float32 weights that the reference used; those built in are rounded to
	// float16.
	f, err := weights.Open(filepath.Join(env[0], "weights", "efficientnet-lite0-imagenet.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	plan, err := nn.Compile(a.WithTop(a.Spec.Height, a.Spec.Width), f, nn.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range readGolden(t, env[0]).Pictures {
		logits := runPlan(t, plan, a.Spec, filepath.Join(env[1], p.Picture), p.Lite0.PixelMean)
		for i, want := range p.Lite0.Logits {
			checkParity(t, "a logit", float64(logits[i]), want)
		}
		for place, want := range p.Lite0.Top5 {
			class := int(want[0])
			checkParity(t, "a logit of the top 5", float64(logits[class]), want[1])
			better := 0
			for _, v := range logits {
				if v > logits[class] {
					better++
				}
			}
			if better != place {
				t.Errorf("%s: class %d is in place %d, want %d", p.Picture, class, better+1, place+1)
			}
		}
	}
}

func TestXceptionIsThatOfKeras(t *testing.T) {
	env := requireEnv(t, "GARB_SHARED", "GARB_DATA", "GARB_KERAS_FILE")
	a, err := backbone.Lookup("xception")
	if err != nil {
		t.Fatal(err)
	}
	network, err := weights.Read(env[2])
	if err != nil {
		t.Fatal(err)
	}
	for _, size := range []int{150, 299} {
		spec := a.Spec
		spec.Width, spec.Height = size, size
		plan, err := nn.Compile(a.Features(size, size), network.Tensors, nn.Options{})
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range readGolden(t, env[0]).Pictures {
			want := p.Xception150
			if size == 299 {
				want = p.Xception299
			}
			features := runPlan(t, plan, spec, filepath.Join(env[1], p.Picture), want.PixelMean)
			for i, v := range want.First {
				checkParity(t, "a feature", float64(features[i]), v)
			}
			sum, squares, largest := 0.0, 0.0, 0
			for i, v := range features {
				sum += float64(v)
				squares += float64(v) * float64(v)
				if v > features[largest] {
					largest = i
				}
			}
			checkParity(t, "the mean feature", sum/float64(len(features)), want.Mean)
			checkParity(t, "the features' length", math.Sqrt(squares), want.L2)
			if largest != want.Argmax {
				t.Errorf("%s at %d: the largest feature is %d, want %d", p.Picture, size, largest, want.Argmax)
			}
		}
	}
}
