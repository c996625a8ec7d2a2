package train

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"strings"
	"testing"

	"garb/augment"
	"garb/dataset"
)

// TestValidate has each bound of Validate, with a word of its message, and what is just
// within it.
//
//nolint:funlen // it is a table
func TestValidate(t *testing.T) {
	all := FineTune{All: true}
	flip := augment.Config{HorizontalFlip: true}
	fineTuned := func(c *Config) { c.FineTune, c.Teachers, c.TeacherWeight = FineTune{All: true}, []string{"a"}, 0.5 }
	for name, c := range map[string]struct {
		word  string // of the error; "" if there is none
		spoil func(*Config)
	}{
		"default":               {"", func(c *Config) {}},
		"no data":               {"data", func(c *Config) { c.Data = "" }},
		"no folder":             {"folder", func(c *Config) { c.Out = "" }},
		"optimizer":             {"adagrad", func(c *Config) { c.Optimizer = "adagrad" }},
		"schedule":              {"linear", func(c *Config) { c.Schedule = "linear" }},
		"monitor":               {"f1", func(c *Config) { c.Monitor = "f1" }},
		"monitor loss":          {"", func(c *Config) { c.Monitor = "loss" }},
		"rate of 0":             {"learning rate", func(c *Config) { c.LearningRate = 0 }},
		"negative rate":         {"learning rate", func(c *Config) { c.LearningRate = -1 }},
		"infinite rate":         {"learning rate", func(c *Config) { c.LearningRate = math.Inf(1) }},
		"no epochs":             {"epochs", func(c *Config) { c.Epochs = 0 }},
		"no batch":              {"batch", func(c *Config) { c.Batch = 0 }},
		"huge batch":            {"batch", func(c *Config) { c.Batch = 4097 }},
		"largest batch":         {"", func(c *Config) { c.Batch = 4096 }},
		"dropout of all":        {"dropout", func(c *Config) { c.Dropout = 1 }},
		"momentum of 1":         {"momentum", func(c *Config) { c.Momentum = 1 }},
		"average of 1":          {"average", func(c *Config) { c.Average = 1 }},
		"negative average":      {"average", func(c *Config) { c.Average = -0.1 }},
		"smoothing of 1":        {"smoothing", func(c *Config) { c.LabelSmoothing = 1 }},
		"NaN smoothing":         {"smoothing", func(c *Config) { c.LabelSmoothing = math.NaN() }},
		"negative decay":        {"decay", func(c *Config) { c.Optimizer, c.WeightDecay = "adamw", -1 }},
		"decay of adamw":        {"", func(c *Config) { c.Optimizer, c.WeightDecay = "adamw", 0.1 }},
		"decay of sgd":          {"adamw", func(c *Config) { c.Optimizer, c.WeightDecay = "sgd", 0.1 }},
		"negative norm":         {"clip", func(c *Config) { c.ClipNorm = -1 }},
		"negative warm-up":      {"warm-up", func(c *Config) { c.WarmUpEpochs = -1 }},
		"step of no epochs":     {"step", func(c *Config) { c.Schedule, c.StepEpochs = "step", 0 }},
		"step to nothing":       {"step", func(c *Config) { c.Schedule, c.StepFactor = "step", 0 }},
		"no step, of no epochs": {"", func(c *Config) { c.StepEpochs = 0 }},
		"negative patience":     {"patience", func(c *Config) { c.Patience = -1 }},
		"negative views":        {"cached views", func(c *Config) { c.CachedViews = -1 }},
		"views of nothing":      {"augmentation", func(c *Config) { c.CachedViews = 2 }},
		"views":                 {"", func(c *Config) { c.CachedViews, c.Augment = 2, flip }},
		"views, fine-tuned": {"fine-tuning", func(c *Config) {
			c.CachedViews, c.Augment, c.FineTune = 2, flip, FineTune{Last: 2}
		}},
		"views of mixup":         {"mixup", func(c *Config) { c.CachedViews, c.Augment.Mixup = 2, 1 }},
		"views of cutmix":        {"cutmix", func(c *Config) { c.CachedViews, c.Augment.CutMix = 2, 1 }},
		"frozen noise":           {"small-cnn", func(c *Config) { c.Backbone = "small-cnn" }},
		"noise":                  {"", func(c *Config) { c.Backbone, c.FineTune = "small-cnn", all }},
		"noise with weights":     {"", func(c *Config) { c.Backbone, c.Weights = "small-cnn", "a file" }},
		"negative train size":    {"train size", func(c *Config) { c.FineTune, c.TrainSize = all, -1 }},
		"train size, frozen":     {"train size", func(c *Config) { c.TrainSize = 48 }},
		"fine-tune of no layers": {"fine-tune", func(c *Config) { c.FineTune = FineTune{From: "0"} }},
		"fine-tune word":         {"fine-tune", func(c *Config) { c.FineTune = FineTune{From: "some"} }},
		"probe": {"",
			func(c *Config) { c.FineTune, c.ProbeEpochs, c.ProbeLearningRate = all, 9, 0.1 }},
		"probe of all epochs":     {"shorter", func(c *Config) { c.FineTune, c.ProbeEpochs = all, 10 }},
		"probe of less than none": {"probe epochs", func(c *Config) { c.FineTune, c.ProbeEpochs = all, -1 }},
		"probe of frozen":         {"fine-tuning", func(c *Config) { c.ProbeEpochs = 1 }},
		"probe of noise": {"pretrained",
			func(c *Config) { c.Backbone, c.FineTune, c.ProbeEpochs = "small-cnn", all, 1 }},
		"rate without a probe": {"probe", func(c *Config) { c.FineTune, c.ProbeLearningRate = all, 0.1 }},
		"negative rate of the probe": {"probe",
			func(c *Config) { c.FineTune, c.ProbeEpochs, c.ProbeLearningRate = all, 1, -1 }},
		"start weight":           {"", func(c *Config) { c.FineTune, c.StartWeight = all, 0.5 }},
		"start weight of 1":      {"start weight", func(c *Config) { c.FineTune, c.StartWeight = all, 1 }},
		"start weight of frozen": {"start weight", func(c *Config) { c.StartWeight = 0.5 }},
		"start weight of noise": {"start weight",
			func(c *Config) { c.Backbone, c.FineTune, c.StartWeight = "small-cnn", all, 0.5 }},
		"layer decay":            {"", func(c *Config) { c.FineTune, c.LayerDecay = all, 0.9 }},
		"layer decay of frozen":  {"layer decay", func(c *Config) { c.LayerDecay = 0.9 }},
		"layer decay that grows": {"layer decay", func(c *Config) { c.FineTune, c.LayerDecay = all, 1.1 }},
		"layer decay of NaN": {"layer decay",
			func(c *Config) { c.FineTune, c.LayerDecay = all, math.NaN() }},
		"teachers":                 {"", fineTuned},
		"only teachers":            {"", func(c *Config) { fineTuned(c); c.TeacherWeight = 1 }},
		"teachers without weight":  {"teacher weight", func(c *Config) { fineTuned(c); c.TeacherWeight = 0 }},
		"teachers with more":       {"teacher weight", func(c *Config) { fineTuned(c); c.TeacherWeight = 1.1 }},
		"teachers of frozen":       {"teachers", func(c *Config) { fineTuned(c); c.FineTune = FineTune{} }},
		"augmentation":             {"rotation", func(c *Config) { c.Augment.RotationRangeDegrees = 200 }},
		"inner layer of none":      {"inner", func(c *Config) { c.Inner = []int{0} }},
		"split of nothing":         {"validation", func(c *Config) { c.Split = dataset.SplitRule{} }},
		"pictures of another size": {"", func(c *Config) { c.Preprocessing.Width, c.Preprocessing.Height = 96, 96 }},
		"pictures of no width":     {"0", func(c *Config) { c.Preprocessing.Width = 0 }},
		"binary, balanced and mixed": {"",
			func(c *Config) { c.Binary, c.BalanceClasses, c.Augment.Mixup = true, true, 1 }},
	} {
		config := Default()
		config.Data, config.Out = "data", "out"
		c.spoil(&config)
		switch err := config.Validate(); {
		case c.word == "" && err != nil:
			t.Errorf("%s: %v", name, err)
		case c.word != "" && (err == nil || !strings.Contains(err.Error(), c.word)):
			t.Errorf("%s: %v, want an error about %q", name, err, c.word)
		}
	}
}

func TestSearchValidate(t *testing.T) {
	for _, s := range []Search{
		{0, 1, 20}, {-1, 1, 20}, {1, 1, 20}, {2, 1, 20}, {1, math.Inf(1), 20}, {math.NaN(), 1, 20}, {1e-3, 1, 9},
	} {
		if s.Validate() == nil {
			t.Errorf("%+v is valid", s)
		}
	}
	for _, s := range []Search{DefaultSearch(), {1e-3, 1, 10}} {
		if err := s.Validate(); err != nil {
			t.Error(err)
		}
	}
}

// TestFindLearningRate: rates grow by one factor from Low to High, the first loss is that
// of the first step, and the search ends when the loss has grown four times.
func TestFindLearningRate(t *testing.T) {
	c := tiny(t, drawn(t))
	c.Optimizer, c.Momentum = "sgd", 0
	s := Search{Low: 1e-5, High: 1e-2, Steps: 13} // more than the 3 steps of an epoch
	var steps []Step
	curve, _, err := FindLearningRate(t.Context(), c, s, Progress{Step: func(s Step) { steps = append(steps, s) }})
	if err != nil || len(curve) != 13 || len(steps) != 13 {
		t.Fatalf("%d rates, %d steps, %v", len(curve), len(steps), err)
	}
	for i, r := range curve {
		if want := 1e-5 * math.Pow(10, float64(i)/4); math.Abs(r.LearningRate/want-1) > 1e-9 {
			t.Errorf("rate %d is %v, want %v", i, r.LearningRate, want)
		}
		if steps[i].Step != i+1 || steps[i].Steps != 13 || steps[i].Loss != r.Loss {
			t.Errorf("step %d was told as %+v", i, steps[i])
		}
	}
	r := begun(t, c)
	_, _, first := stepped(t, r)
	if math.Abs(curve[0].Loss-first) > 1e-6 {
		t.Errorf("the first loss is %v, and that of the first step %v", curve[0].Loss, first)
	}
	// The second is the mean of the first two, of which the first counts 0.95 times as much.
	r = begun(t, c)
	order, losses := r.drawOrder(1), []float64{}
	for step := range 2 {
		samples, rate := r.batchSamples(order, step), curve[step].LearningRate
		loss, _, stepErr := r.trainStep(t.Context(), r.newStepBuffers(), samples, rate)
		if stepErr != nil {
			t.Fatal(stepErr)
		}
		losses = append(losses, loss)
	}
	if want := (0.95*losses[0] + losses[1]) / 1.95; math.Abs(curve[1].Loss-want) > 1e-6 {
		t.Errorf("the second loss is %v, want %v", curve[1].Loss, want)
	}
	if _, err = os.Stat(c.Out); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a search left a folder: %v", err)
	}

	curve, _, err = FindLearningRate(t.Context(), c, Search{Low: 1e-2, High: 1e6, Steps: 60}, Progress{})
	if err != nil || len(curve) == 0 || len(curve) == 60 {
		t.Fatalf("of a search into rates that break everything there are %d steps of 60, %v", len(curve), err)
	}
	smallest := math.Inf(1)
	for i, r := range curve {
		if r.Loss > 4*smallest {
			t.Errorf("the search goes on at step %d, with the loss %v after %v", i, r.Loss, smallest)
		}
		smallest = min(smallest, r.Loss)
	}
}

func TestSteepest(t *testing.T) {
	// The loss falls by 1 for each factor of 10, by 3 from 1e-3 to 1e-2, then rises.
	var curve []Rate
	for i, loss := range []float64{9, 8, 7, 4, 3, 8} {
		curve = append(curve, Rate{math.Pow(10, float64(i)-5), loss})
	}
	// Over two steps it falls most from 1e-4 to 1e-2 and from 1e-3 to 1e-1, by 4: the
	// first of these counts, whose middle is 1e-3.
	if got := findSteepest(curve); math.Abs(got/1e-3-1) > 1e-9 {
		t.Errorf("proposed %v, want 0.001", got)
	}
	for i := range curve {
		curve[i].Loss = float64(i)
	}
	if got := findSteepest(curve); got != 0 {
		t.Errorf("a loss that only rises proposes %v", got)
	}
}
