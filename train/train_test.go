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

	"garb/backbone"
	"garb/dataset"
	"garb/evaluate"
	"garb/internal/kernel"
	"garb/model"
	"garb/picture"
	"garb/tensor"
	"garb/weights"
)

// drawn draws a data set of two classes, spots and stripes, in all splits.
func drawn(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	random := rand.New(rand.NewPCG(3, 3))
	drawn := 0
	for _, split := range []struct {
		name  string
		count int
	}{{"train", 6}, {"validation", 3}, {"test", 3}} {
		for _, class := range []string{"spots", "stripes"} {
			folder := filepath.Join(root, split.name, class)
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			for i := range split.count {
				m := drawPattern(random, class == "spots")
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

// drawPattern draws stripes or spots, at random places and of a random size.
func drawPattern(random *rand.Rand, spots bool) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, 40, 40))
	phase, size := random.IntN(8), 6+random.IntN(3)
	for y := range 40 {
		for x := range 40 {
			if (x+phase)%size < size/2 && (!spots || (y+phase)%size < size/2) {
				m.SetGray(x, y, color.Gray{220})
			}
		}
	}
	return m
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

//nolint:funlen,gocognit // one run from all sides, since a run takes seconds
func TestRun(t *testing.T) {
	data := drawn(t)
	if err := os.WriteFile(filepath.Join(data, "train", "spots", "broken"), []byte("\xff\xd8\xff\xe0 broken"),
		0o644); err != nil {
		t.Fatal(err)
	}
	c := config(t, data)
	var seen atomic.Int32
	epochs := 0
	result, err := Run(context.Background(), c, Progress{
		Pictures: func(total int) func() {
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
	if seen.Load() != 25 || epochs != 5 || result.Tally.Skipped() != 1 || result.Used != 24 ||
		!strings.Contains(result.Tally.Skips()[0].Message, "broken") {
		t.Errorf("%d pictures, %d epochs, skipped %v", seen.Load(), epochs, result.Tally.Skips())
	}
	if result.TestCount != 6 || result.Test < 0.5 || result.Best.ValidationAccuracy < 0.5 {
		t.Errorf("%+v", result)
	}

	// The checkpoint is a model, alone and through the run's folder.
	classifier, err := model.Open(c.Out, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(classifier.Classes(), []string{"spots", "stripes"}) {
		t.Errorf("classes %v", classifier.Classes())
	}
	m := classifier.Description()
	if m.Training.Pictures != [3]int{12, 6, 6} || m.Training.Epoch != result.Best.Epoch || m.BackboneDigest == "" {
		t.Errorf("%+v", m.Training)
	}
	if want := fmt.Sprintf("run_%02d_%.3f.safetensors", result.Best.Epoch,
		result.Best.ValidationAccuracy); filepath.Base(result.Checkpoint) != want {
		t.Errorf("checkpoint %s, want %s", result.Checkpoint, want)
	}

	f, err := os.Open(filepath.Join(c.Out, "history.csv"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) != 6 || strings.Join(rows[0],
		",") != "epoch,loss,accuracy,val_loss,val_accuracy,learning_rate,seconds" {
		t.Errorf("history %v, %v", rows, err)
	}
	if _, err = os.Stat(filepath.Join(c.Out, "config.json")); err != nil {
		t.Error(err)
	}

	// Another run into the same folder would mix two models.
	var exists *RunExistsError
	if _, err = Run(t.Context(), c, Progress{}); !errors.As(err, &exists) || !exists.Resumable {
		t.Errorf("a second run in the folder: %v", err)
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
	if err = os.WriteFile(kept[0], []byte("damaged"), 0o644); err != nil {
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

// trained trains a head for an epoch, and returns the run's folder.
func trained(t testing.TB, data string, seed uint64) string {
	t.Helper()
	c := config(t, data)
	c.Epochs, c.Seed = 1, seed
	if _, err := Run(t.Context(), c, Progress{}); err != nil {
		t.Fatal(err)
	}
	return c.Out
}

// TestResume stops runs of every kind at every step in turn, and goes on: each comes
// to the bits of the run that was not stopped.
func TestResume(t *testing.T) {
	data := drawn(t)
	for name, change := range map[string]func(*Config){
		"features":     func(c *Config) { c.Optimizer, c.Inner, c.Dropout = "sgd", []int{6}, 0.3 },
		"views":        func(c *Config) { c.Augment.HorizontalFlip, c.Augment.Mixup, c.Average = true, 0.4, 0.9 },
		"cached views": func(c *Config) { c.Augment.RotationRangeDegrees, c.CachedViews = 20, 2 },
		"fine-tuned": func(c *Config) {
			c.FineTune, c.Optimizer, c.WeightDecay, c.Average = FineTune{Last: 4}, "adamw", 0.01, 0.9
			c.Schedule, c.LabelSmoothing, c.Augment.Zoom = "cosine", 0.1, 0.2
		},
		"probed": func(c *Config) {
			c.FineTune, c.ProbeEpochs, c.StartWeight, c.LayerDecay, c.Average = FineTune{Last: 2}, 1, 0.3, 0.9, 0.5
			c.BatchStatistics, c.Dropout, c.Inner = true, 0.3, []int{4}
		},
		"batch statistics": func(c *Config) { c.FineTune, c.BatchStatistics, c.ClipNorm = FineTune{Last: 2}, true, 1 },
		"own": func(c *Config) {
			useOwn(t, c)
			c.FineTune, c.Augment.HorizontalFlip, c.Average = FineTune{All: true}, true, 0.9
		},
		"own, from a layer": func(c *Config) {
			useOwn(t, c)
			c.FineTune, c.FeaturesAt, c.Inner = FineTune{From: "second"}, "norm", []int{4}
		},
		"own, frozen": func(c *Config) { useOwn(t, c) },
		"binary": func(c *Config) {
			c.Binary, c.Backbone, c.FineTune = true, "small-cnn", FineTune{All: true}
			c.Preprocessing.Width, c.Preprocessing.Height = 16, 16
		},
		"taught": func(c *Config) {
			c.FineTune, c.TrainSize = FineTune{Last: 1}, 48
			c.Teachers, c.TeacherWeight = []string{trained(t, data, 1), trained(t, data, 2)}, 0.7
			c.Augment.CutMix = 1
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := config(t, data)
			c.Epochs, c.Batch = 3, 5
			change(&c)
			resumeAtEachStep(t, c)
		})
	}
}

// resumeAtEachStep stops a run of 9 steps at every second step, resumes it, and compares it with one
// that was not stopped.
func resumeAtEachStep(t *testing.T, c Config) {
	whole, err := Run(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	model, state := file(t, whole.Checkpoint), rest(t, c.Out)
	steps, every := 3*3, 2
	if testing.Short() || kernel.ActiveLevel() == kernel.Generic {
		every = 5 // the portable kernels take ten times as long
	}
	for stop := 1; stop <= steps; stop += every {
		c.Out = filepath.Join(t.TempDir(), "run")
		ctx, cancel := context.WithCancel(t.Context())
		done := 0
		_, err = Run(ctx, c, Progress{Step: func(Step) {
			if done++; done == stop {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("stopped after step %d: %v", stop, err)
		}
		result, err := Resume(t.Context(), c, Progress{})
		if err != nil {
			t.Fatalf("resumed after step %d: %v", stop, err)
		}
		if !bytes.Equal(file(t, result.Checkpoint), model) {
			t.Errorf("stopped after step %d, the model is another", stop)
		}
		if got := rest(t, c.Out); !bytes.Equal(got, state) {
			t.Errorf("stopped after step %d, the state is another", stop)
		}
	}
}

// rest is a run's state, without what tells the time.
func rest(t testing.TB, folder string) []byte {
	t.Helper()
	f, p, ok, err := readState(folder)
	if err != nil || !ok {
		t.Fatalf("no state: %v", err)
	}
	var b bytes.Buffer
	for _, e := range p.History {
		e.Duration = 0
		fmt.Fprintln(&b, e)
	}
	for _, name := range f.Names() {
		v, err := f.Tensor(name)
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(&b, name, v.Shape, v.Data)
	}
	return b.Bytes()
}

// TestResumeForMoreEpochs: a run of five epochs is one of three and two more.
func TestResumeForMoreEpochs(t *testing.T) {
	data := drawn(t)
	c := config(t, data)
	if _, err := Run(t.Context(), c, Progress{}); err != nil {
		t.Fatal(err)
	}
	want := rest(t, c.Out)
	var finished *RunFinishedError
	if _, err := Resume(t.Context(), c, Progress{}); !errors.As(err, &finished) || finished.Epochs != c.Epochs {
		t.Errorf("a finished run was resumed: %v", err)
	}
	c.Out, c.Epochs = filepath.Join(t.TempDir(), "run"), 3
	if _, err := Run(t.Context(), c, Progress{}); err != nil {
		t.Fatal(err)
	}
	c.Epochs = 5
	if _, err := Resume(t.Context(), c, Progress{}); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(rest(t, c.Out), want) {
		t.Error("two more epochs give another state")
	}
}

func TestResumeSaysWhatIsWrong(t *testing.T) {
	data := drawn(t)
	c := config(t, data)
	if _, err := Resume(t.Context(), c, Progress{}); err == nil || !strings.Contains(err.Error(),
		"not the folder of a run") {
		t.Errorf("no run: %v", err)
	}
	if _, err := Run(t.Context(), c, Progress{}); err != nil {
		t.Fatal(err)
	}
	c.Epochs = 9
	other := c
	other.LearningRate, other.Batch = 0.5, 7
	if _, err := Resume(t.Context(), other, Progress{}); err == nil || !strings.Contains(err.Error(),
		"learning_rate (0.5, not 0.01)") || !strings.Contains(err.Error(), "batch (7, not 4)") {
		t.Errorf("changed settings: %v", err)
	}
	// Another data set in the same place.
	c.Data = drawn(t)
	extra := filepath.Join(c.Data, "train", "spots")
	if err := os.WriteFile(filepath.Join(extra, "9"), file(t, filepath.Join(c.Data, "test", "spots", "1")),
		0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Resume(t.Context(), c, Progress{}); err == nil || !strings.Contains(err.Error(),
		"have changed since the run was started") {
		t.Errorf("other pictures: %v", err)
	}
	c.Data = data
	state := filepath.Join(c.Out, stateFile)
	whole := file(t, state)
	for name, content := range map[string][]byte{"cut": whole[:len(whole)/2], "no state": file(t, filepath.Join(c.Out,
		"checkpoints", filepath.Base((&run{runState: runState{Config: c}}).bestCheckpoint())))} {
		if err := os.WriteFile(state, content, 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Resume(t.Context(), c, Progress{}); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	// The state of another network.
	wide := config(t, data)
	wide.Inner = []int{3}
	if _, err := Run(t.Context(), wide, Progress{}); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(wide.Out, stateFile), whole, 0o644); err != nil {
		t.Fatal(err)
	}
	wide.Epochs = 9
	if _, err := Resume(t.Context(), wide, Progress{}); err == nil ||
		!strings.Contains(err.Error(), "another network") {
		t.Errorf("a state of another network: %v", err)
	}
}

func TestDivergence(t *testing.T) {
	c := config(t, drawn(t))
	c.Optimizer, c.Schedule, c.StepEpochs, c.StepFactor = "sgd", "step", 2, 1e36
	_, err := Run(t.Context(), c, Progress{})
	var diverged *DivergedError
	if !errors.As(err, &diverged) {
		t.Fatalf("%v", err)
	}
	if diverged.Epoch < 3 || diverged.Step < 1 || diverged.Checkpoint == "" {
		t.Errorf("%+v", diverged)
	}
	if _, err := model.Open(diverged.Checkpoint, model.Options{}); err != nil {
		t.Errorf("the last good checkpoint: %v", err)
	}
}

// TestPatience: a run ends when its patience does, and is over then. TestSettings has its
// lengths.
func TestPatience(t *testing.T) {
	c := config(t, drawn(t))
	// After two epochs of the learning rate 0.01, and others of next to none, nothing
	// gets better any more.
	c.Epochs, c.Patience, c.Schedule, c.StepEpochs, c.StepFactor = 60, 3, "step", 2, 1e-30
	result, err := Run(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	if !result.Stopped || result.Epochs != result.Best.Epoch+3 {
		t.Errorf("%d epochs, best %d, stopped %v", result.Epochs, result.Best.Epoch, result.Stopped)
	}
	if _, err := Resume(t.Context(), c, Progress{}); err == nil {
		t.Error("a run that lost its patience was taken up")
	}
}

// TestFineTune: layers that are not to be trained keep their weights, the others do
// not, and the model answers as it did in training.
func TestFineTune(t *testing.T) {
	c := config(t, drawn(t))
	c.FineTune, c.Epochs = FineTune{Last: 3}, 2
	result, err := Run(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	f, err := tensor.ReadFile(result.Checkpoint)
	if err != nil {
		t.Fatal(err)
	}
	before, err := weights.Open(c.Backbone)
	if err != nil {
		t.Fatal(err)
	}
	var changed []string
	a, _ := backbone.Lookup(c.Backbone)
	for _, p := range a.Features(64, 64).Params() {
		x, beforeErr := before.Tensor(p.Name)
		if beforeErr != nil {
			t.Fatal(beforeErr)
		}
		y, afterErr := f.Tensor(p.Name)
		if afterErr != nil {
			t.Fatal(afterErr)
		}
		if !slices.Equal(x.Data, y.Data) {
			changed = append(changed, p.Name)
		}
	}
	t.Log(changed)
	if len(changed) < 3 || len(changed) > 6 {
		t.Errorf("changed: %v", changed)
	}
	for _, name := range changed {
		if strings.Contains(name, "moving") {
			t.Errorf("%s changed with stored statistics", name)
		}
	}
	classifier, err := model.Open(c.Out, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if m := classifier.Description(); m.BackboneDigest != "" || m.Temperature <= 0 {
		t.Errorf("%+v", m)
	}
	answersAsTrained(t, classifier, c, result)
}

// answersAsTrained checks that a model is as often right on validation as the run says.
func answersAsTrained(t *testing.T, classifier *model.Classifier, c Config, result *Result) {
	t.Helper()
	set, err := dataset.Open(filepath.Join(c.Data, "validation"))
	if err != nil {
		t.Fatal(err)
	}
	report, err := evaluate.Run(t.Context(), classifier, set, classifier.Limits(), nil)
	if err != nil || report.Accuracy != result.Best.ValidationAccuracy {
		t.Errorf("the model's accuracy is %v, in training it was %v, %v", report.Accuracy,
			result.Best.ValidationAccuracy,
			err)
	}
}

// TestBinary: the model of one unit answers with both classes' probabilities.
func TestBinary(t *testing.T) {
	c := config(t, drawn(t))
	c.Binary, c.Epochs = true, 4
	result, err := Run(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := model.Open(c.Out, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	answer, err := classifier.Classify(t.Context(), file(t, filepath.Join(c.Data, "test", "stripes", "0")))
	if err != nil || len(answer) != 2 || math.Abs(answer[0].Probability+answer[1].Probability-1) > 1e-9 {
		t.Errorf("%+v, %v", answer, err)
	}
	answersAsTrained(t, classifier, c, result)
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	data, oneClass := drawn(t), drawn(t)
	for _, split := range []string{"train", "validation", "test"} {
		if err := os.RemoveAll(filepath.Join(oneClass, split, "spots")); err != nil {
			t.Fatal(err)
		}
	}
	teacher := trained(t, data, 1)
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
		"fine-tune word":  func(c *Config) { c.FineTune = FineTune{From: "some"} },
		"optimizer word":  func(c *Config) { c.Optimizer = "adagrad" },
		"decay of adam":   func(c *Config) { c.WeightDecay = 0.1 },
		"views of none":   func(c *Config) { c.CachedViews = 3 },
		"frozen noise":    func(c *Config) { c.Backbone = "small-cnn" },
		"inner of none":   func(c *Config) { c.Inner = []int{0} },
		"frozen, taught":  func(c *Config) { c.Teachers, c.TeacherWeight = []string{teacher}, 0.5 },
		"no weight":       func(c *Config) { c.FineTune, c.Teachers = FineTune{Last: 1}, []string{teacher} },
		"no such teacher": func(c *Config) {
			c.FineTune, c.Teachers, c.TeacherWeight = FineTune{Last: 1}, []string{"nix"}, 0.5
		},
		"other classes": func(c *Config) {
			c.FineTune, c.Teachers, c.TeacherWeight = FineTune{Last: 1}, []string{model.Clothing}, 0.5
		},
		"other pixels": func(c *Config) {
			c.FineTune, c.Teachers, c.TeacherWeight = FineTune{Last: 1}, []string{teacher}, 0.5
			c.Preprocessing.Filter = picture.Nearest
		},
		"frozen views": func(c *Config) { c.TrainSize = 48 },
		"no size":      func(c *Config) { c.FineTune, c.TrainSize = FineTune{Last: 1}, -1 },
		"tiny views":   func(c *Config) { c.FineTune, c.TrainSize = FineTune{Last: 1}, 8 },
		"flat network": func(c *Config) { c.Backbone, c.FineTune, c.TrainSize = "small-cnn", FineTune{All: true}, 48 },
		"one class":    func(c *Config) { c.Data = oneClass },
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

// TestTrainSize: views are smaller than the pictures that the model answers on, and it
// is judged and calibrated on those.
func TestTrainSize(t *testing.T) {
	c := config(t, drawn(t))
	c.FineTune, c.TrainSize, c.Epochs, c.LearningRate = FineTune{All: true}, 48, 2, 1e-3
	r, err := prepare(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	if views, answers := r.train.length(), r.validation.length(); views != 48*48*3 || answers != 64*64*3 {
		t.Errorf("views of %d values, pictures of %d", views, answers)
	}
	result, err := Run(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	classifier, err := model.Open(c.Out, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if classifier.Spec().Width != 64 {
		t.Errorf("it answers on %+v", classifier.Spec())
	}
	splits, err := dataset.OpenSplits(c.Data, c.Split)
	if err != nil {
		t.Fatal(err)
	}
	report, err := evaluate.Run(t.Context(), classifier, splits.Validation, classifier.Limits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if report.Accuracy != result.Best.ValidationAccuracy {
		t.Errorf("validation accuracy %v, and in training %v", report.Accuracy, result.Best.ValidationAccuracy)
	}
}
