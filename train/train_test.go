package train

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"garb"
	"garb/backbone"
)

func TestGradient(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	const features, classes = 7, 4
	h := newHead(features, classes)
	for i := range h.parameters {
		h.parameters[i] = float32(random.NormFloat64())
	}
	x := make([]float32, features)
	for i := range x {
		x[i] = float32(random.NormFloat64())
	}
	x[2] = 0 // passed over
	for label := range classes {
		grad, scratch := make([]float32, len(h.parameters)), make([]float32, classes)
		h.gradient(grad, x, label, 0.5, scratch)
		loss := func() float64 { // in float64, from the definition
			sum, own := 0.0, 0.0
			for c := range classes {
				logit := float64(h.bias()[c])
				for i, v := range x {
					logit += float64(v) * float64(h.kernel()[i*classes+c])
				}
				sum += math.Exp(logit)
				if c == label {
					own = logit
				}
			}
			return math.Log(sum) - own
		}
		for i := range h.parameters {
			const step = 1e-2
			before := h.parameters[i]
			h.parameters[i] = before + step
			up := loss()
			h.parameters[i] = before - step
			down := loss()
			h.parameters[i] = before
			// The step's own error is of the order of step².
			if want := 0.5 * (up - down) / (2 * step); math.Abs(float64(grad[i])-want) > 2e-4 {
				t.Errorf("label %d, parameter %d: gradient %v, want %v", label, i, grad[i], want)
			}
		}
	}
}

func TestAdam(t *testing.T) {
	// Two steps by hand, from the paper's algorithm 1 with the bias correction in the
	// rate, as Keras has it.
	a := newAdam(1, 0.1)
	p := []float32{1}
	a.update(p, []float32{2})
	// mean 0.2, square 0.004, rate 0.1·√0.001/0.1 = 0.0316228: 0.0316228·0.2/0.0632456 = 0.1
	if math.Abs(float64(p[0])-0.9) > 1e-6 {
		t.Errorf("after a step %v, want 0.9", p[0])
	}
	grad := []float32{-1}
	a.update(p, grad)
	// mean 0.08, square 0.004996, rate 0.1·√0.001999/0.19 = 0.0235317
	want := 0.9 - 0.0235317*0.08/math.Sqrt(0.004996)
	if math.Abs(float64(p[0])-want) > 1e-5 {
		t.Errorf("after two steps %v, want %v", p[0], want)
	}
	if grad[0] != 0 {
		t.Error("the gradient is not cleared")
	}
}

func TestHeadLearns(t *testing.T) {
	random := rand.New(rand.NewPCG(2, 2))
	f := &features{}
	for i := range 300 {
		label := i % 3
		x := make([]float32, 5)
		for j := range x {
			x[j] = float32(random.NormFloat64() * 0.3)
		}
		x[label] += 1.5
		f.vectors, f.labels = append(f.vectors, x), append(f.labels, label)
	}
	h := newHead(5, 3)
	a := newAdam(len(h.parameters), 0.05)
	first, _ := h.measure(f)
	for range 10 {
		h.epoch(f, a, 16, random)
	}
	last, accuracy := h.measure(f)
	if math.Abs(first-math.Log(3)) > 1e-6 || last > 0.2 || accuracy < 0.97 {
		t.Errorf("loss from %v to %v, accuracy %v", first, last, accuracy)
	}
}

// pictures draws a data set of two classes, spots and stripes, in all splits.
func pictures(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	random := rand.New(rand.NewPCG(3, 3))
	drawn := 0
	for _, part := range []struct {
		split string
		count int
	}{{"train", 6}, {"validation", 3}, {"test", 3}} {
		split, count := part.split, part.count
		for _, class := range []string{"spots", "stripes"} {
			folder := filepath.Join(root, split, class)
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			for i := range count {
				m := image.NewGray(image.Rect(0, 0, 40, 40))
				phase, size := random.IntN(8), 6+random.IntN(3)
				for y := range 40 {
					for x := range 40 {
						on := (x+phase)%size < size/2
						if class == "spots" {
							on = on && (y+phase)%size < size/2
						}
						if on {
							m.SetGray(x, y, color.Gray{220})
						}
					}
				}
				drawn++
				m.SetGray(0, 0, color.Gray{uint8(drawn)}) // no two pictures are the same
				var b bytes.Buffer
				if err := png.Encode(&b, m); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(folder, fmt.Sprint(i)), b.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return root
}

// config is a run of some seconds: Lite0 at 64 × 64.
func config(t testing.TB, data string) Config {
	t.Helper()
	t.Setenv("GARB_HOME", t.TempDir())
	c := Default()
	a, err := backbone.Lookup(c.Backbone)
	if err != nil {
		t.Fatal(err)
	}
	c.Data, c.Preprocessing = data, a.Spec
	c.Preprocessing.Width, c.Preprocessing.Height = 64, 64
	c.Epochs, c.Batch, c.LearningRate = 5, 4, 0.01
	c.Out = filepath.Join(t.TempDir(), "run")
	return c
}

func TestRun(t *testing.T) {
	data := pictures(t)
	if err := os.WriteFile(filepath.Join(data, "train", "spots", "broken"), []byte("\xff\xd8\xff\xe0 broken"), 0o644); err != nil {
		t.Fatal(err)
	}
	c := config(t, data)
	var seen atomic.Int32
	epochs := 0
	result, err := Run(context.Background(), c, Progress{
		Features: func(total int) func() {
			if total != 25 {
				t.Errorf("%d pictures, want 25", total)
			}
			return func() { seen.Add(1) }
		},
		Epoch: func(e Epoch) { epochs++ },
	})
	if err != nil {
		t.Fatal(err)
	}
	if seen.Load() != 25 || epochs != 5 || len(result.Skipped) != 1 || !strings.Contains(result.Skipped[0].Error(), "broken") {
		t.Errorf("%d pictures, %d epochs, skipped %v", seen.Load(), epochs, result.Skipped)
	}
	if result.TestCount != 6 || result.Test < 0.5 || result.Best.ValidationAccuracy < 0.5 {
		t.Errorf("%+v", result)
	}

	// The checkpoint is a model, alone and through the run's folder.
	model, err := garb.Open(c.Out, garb.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(model.Classes(), []string{"spots", "stripes"}) {
		t.Errorf("classes %v", model.Classes())
	}
	m := model.Model()
	if m.Training.Pictures != [3]int{12, 6, 6} || m.Training.Epoch != result.Best.Epoch || m.BackboneDigest == "" {
		t.Errorf("%+v", m.Training)
	}
	if want := fmt.Sprintf("run_%02d_%.3f.safetensors", result.Best.Epoch, result.Best.ValidationAccuracy); filepath.Base(result.Checkpoint) != want {
		t.Errorf("checkpoint %s, want %s", result.Checkpoint, want)
	}

	f, err := os.Open(filepath.Join(c.Out, "history.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 6 || strings.Join(rows[0], ",") != "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds" {
		t.Errorf("history %v, %v", rows, err)
	}
	if _, err := os.Stat(filepath.Join(c.Out, "config.json")); err != nil {
		t.Error(err)
	}

	// Another run into the same folder would mix two models.
	if _, err := Run(context.Background(), c, Progress{}); err == nil || !strings.Contains(err.Error(), "--out") {
		t.Errorf("%v", err)
	}

	// The same seed gives the same model, from the kept features; another seed
	// another one.
	again := c
	again.Out = filepath.Join(t.TempDir(), "run")
	second, err := Run(context.Background(), again, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(file(t, result.Checkpoint), file(t, second.Checkpoint)) {
		t.Error("the same seed gives another model")
	}
	again.Out, again.Seed = filepath.Join(t.TempDir(), "run"), 2
	third, err := Run(context.Background(), again, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Equal(file(t, result.Checkpoint), file(t, third.Checkpoint)) {
		t.Error("another seed gives the same model")
	}

	// A damaged cache costs time, not the result.
	kept, err := filepath.Glob(filepath.Join(os.Getenv("GARB_HOME"), "features", "*.safetensors"))
	if err != nil || len(kept) != 1 {
		t.Fatalf("kept features %v, %v", kept, err)
	}
	if err := os.WriteFile(kept[0], []byte("damaged"), 0o644); err != nil {
		t.Fatal(err)
	}
	again.Out, again.Seed = filepath.Join(t.TempDir(), "run"), c.Seed
	fourth, err := Run(context.Background(), again, Progress{})
	if err != nil || !bytes.Equal(file(t, result.Checkpoint), file(t, fourth.Checkpoint)) {
		t.Errorf("after a damaged cache another model, %v", err)
	}
}

func file(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestKeptFeaturesAreUsed(t *testing.T) {
	c := config(t, pictures(t))
	b, err := openBackbone(c)
	if err != nil {
		t.Fatal(err)
	}
	kept, err := openCache(b.extractor, b.digest)
	if err != nil {
		t.Fatal(err)
	}
	kept.put("abc", slices.Repeat([]float32{1, 2}, kept.count/2))
	if err := kept.save(); err != nil {
		t.Fatal(err)
	}
	again, err := openCache(b.extractor, b.digest)
	if err != nil {
		t.Fatal(err)
	}
	if v, ok := again.get("abc"); !ok || v[1] != 2 {
		t.Errorf("%v, %v", v, ok)
	}
	// Other weights, or another preprocessing, have features of their own.
	if other, _ := openCache(b.extractor, "sha256:other"); other.path == kept.path {
		t.Error("the cache does not know its weights")
	}
	c.Preprocessing.Width = 96
	if b, err = openBackbone(c); err != nil {
		t.Fatal(err)
	}
	if other, _ := openCache(b.extractor, b.digest); other.path == kept.path {
		t.Error("the cache does not know its preprocessing")
	}
}

func TestInterruptedRunLeavesItsCheckpoints(t *testing.T) {
	c := config(t, pictures(t))
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Run(ctx, c, Progress{Epoch: func(e Epoch) {
		if e.Epoch == 2 {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("%v", err)
	}
	if _, err := garb.Open(c.Out, garb.Options{}); err != nil {
		t.Error(err)
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	data := pictures(t)
	for name, spoil := range map[string]func(*Config){
		"no data":         func(c *Config) { c.Data = "" },
		"missing data":    func(c *Config) { c.Data = filepath.Join(data, "nix") },
		"no epochs":       func(c *Config) { c.Epochs = 0 },
		"no batch":        func(c *Config) { c.Batch = -1 },
		"NaN rate":        func(c *Config) { c.LearningRate = math.NaN() },
		"diverges":        func(c *Config) { c.LearningRate = 1e38 },
		"unknown network": func(c *Config) { c.Backbone = "resnet" },
		"weights missing": func(c *Config) { c.Backbone = "xception" },
		"small pictures":  func(c *Config) { c.Preprocessing.Width = 8 },
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, data)
			spoil(&c)
			if _, err := Run(context.Background(), c, Progress{}); err == nil {
				t.Error("no error")
			}
		})
	}
}

func ExampleConfig_Validate() {
	c := Default()
	fmt.Println(c.Validate())
	// Output: no data set is named
}
