package train

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	"garb/augment"
	"garb/backbone"
	"garb/conformal"
	"garb/dataset"
	"garb/evaluate"
	"garb/internal/tfevents"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// settingTests has a test for each field of Config that fails if the field has no effect,
// or the opposite. data is a data set of two classes, with 6, 3 and 3 pictures each in
// train, validation and test; nothing may change it.
var settingTests = map[string]func(t *testing.T, data string){
	"Data": func(t *testing.T, data string) {
		r, other := begun(t, tiny(t, data)), begun(t, tiny(t, unbalanced(t)))
		for _, sample := range r.train.set.Samples {
			if !strings.HasPrefix(sample.Path, data) {
				t.Errorf("%s is not from the data set", sample.Path)
			}
		}
		if len(other.train.set.Samples) != 9 || other.Data == r.Data {
			t.Errorf("%d pictures of another data set, with the digest %s, the first's %s",
				len(other.train.set.Samples), other.Data, r.Data)
		}
	},
	"DataOptions": func(t *testing.T, _ string) {
		each(t, dataset.Options{}, dataOptionTests)
	},
	"Strict": func(t *testing.T, _ string) {
		c := tiny(t, unbalanced(t))
		c.Strict = true
		if _, err := prepare(t.Context(), c, Progress{}); err != nil {
			t.Errorf("all pictures can be read: %v", err)
		}
		broken := filepath.Join(c.Data, "train", "spots", "broken.png")
		if err := os.WriteFile(broken, []byte("\x89PNG\r\n\x1a\n broken"), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := prepare(t.Context(), c, Progress{}); err == nil {
			t.Error("a picture that cannot be read is accepted")
		}
		c.Strict = false
		if r := begun(t, c); len(r.train.set.Samples) != 9 || len(r.tally.Skips()) != 1 {
			t.Errorf("%d pictures; skipped %v", len(r.train.set.Samples), r.tally.Skips())
		}
	},
	"Features": func(t *testing.T, data string) {
		c := tiny(t, data)
		c.FineTune, c.Weights = FineTune{}, smallWeights(t)
		c.Features = []string{filepath.Join(t.TempDir(), "missing")} // TestTrainOnStoredFeatures has one that exists
		if _, err := prepare(t.Context(), c, Progress{}); !errors.Is(err, os.ErrNotExist) {
			t.Error(err)
		}
	},
	"TensorBoard": func(t *testing.T, data string) {
		for _, on := range []bool{false, true} {
			c := tiny(t, data)
			c.TensorBoard = on
			ran(t, c)
			path := filepath.Join(c.Out, eventFolder, eventFile)
			if _, err := os.Stat(path); (err == nil) != on {
				t.Errorf("events %v: %v", on, err)
			}
			if events, err := tfevents.Read(path); on && (err != nil || len(events) != 2) {
				t.Errorf("%d events for 2 epochs, %v", len(events), err)
			}
		}
	},
	"Out": func(t *testing.T, data string) {
		c := tiny(t, data)
		result := ran(t, c)
		for _, name := range []string{configFile, historyFile, stateFile, reportFile, "checkpoints", plotsFolder} {
			if _, err := os.Stat(filepath.Join(c.Out, name)); err != nil {
				t.Error(err)
			}
		}
		if filepath.Dir(filepath.Dir(result.Checkpoint)) != c.Out ||
			result.Report != filepath.Join(c.Out, reportFile) {
			t.Errorf("the model %s and the report %s are not in %s", result.Checkpoint, result.Report, c.Out)
		}
	},
	"Backbone": func(t *testing.T, data string) {
		has := func(r *run, name string) bool {
			return slices.ContainsFunc(r.graph.Params(), func(p nn.Param) bool { return p.Name == name })
		}
		if r := begun(t, tiny(t, data)); !has(r, "conv1/kernel") || r.architecture.Name != "small-cnn" {
			t.Error("small-cnn is not what is trained")
		}
		c := config(t, data)
		c.FineTune = FineTune{Last: 1}
		if r := begun(t, c); has(r, "conv1/kernel") || r.architecture.Name != c.Backbone {
			t.Errorf("%s is not what is trained", c.Backbone)
		}
	},
	"Weights": func(t *testing.T, data string) {
		c := tiny(t, data)
		c.Weights = smallWeights(t)
		r := begun(t, c)
		want, err := tensor.ReadFile(c.Weights)
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"conv1/kernel", "dense1/bias"} {
			got, err := r.trainer.Tensor(name)
			if err != nil {
				t.Fatal(err)
			}
			if w, err := want.Tensor(name); err != nil || !slices.Equal(got.Data, w.Data) {
				t.Errorf("%s does not begin with the values of the file, %v", name, err)
			}
		}
		if settings := string(r.settings()); strings.Contains(settings, c.Weights) ||
			!strings.Contains(settings, "a file") {
			t.Errorf("the model's settings have a path of this machine: %s", settings)
		}
	},
	"Preprocessing": func(t *testing.T, data string) {
		for _, fit := range []picture.Fit{picture.Stretch, picture.Letterbox} {
			c := tiny(t, data)
			c.Preprocessing = picture.Spec{Width: 16, Height: 12, Filter: picture.Bilinear, Fit: fit,
				Mean: [3]float32{9, 8, 7}, Std: [3]float32{20, 30, 40}}
			r := begun(t, c)
			for name, part := range map[string]*split{"train": &r.train, "validation": &r.validation,
				"test": &r.test} {
				got, want := make([]float32, part.length()), make([]float32, c.Preprocessing.ValueCount())
				if err := part.load(t.Context(), 1, 0, []int{1}, got, make([]float32, 2)); err != nil {
					t.Fatal(err)
				}
				if _, err := c.Preprocessing.Load(t.Context(), file(t, part.set.Samples[1].Path),
					picture.DefaultLimits(), want); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%v, %s: the network is shown something else", fit, name)
				}
			}
			ran(t, c)
			if spec := opened(t, c.Out).Spec(); spec != c.Preprocessing {
				t.Errorf("the model answers on %+v, want %+v", spec, c.Preprocessing)
			}
		}
	},
	"TrainSize": func(t *testing.T, data string) {
		c := config(t, data)
		c.FineTune, c.TrainSize = FineTune{Last: 1}, 32
		r := begun(t, c)
		if r.train.length() != 32*32*3 || r.validation.length() != 64*64*3 || r.test.length() != 64*64*3 {
			t.Errorf("inputs of %d, %d and %d values", r.train.length(), r.validation.length(), r.test.length())
		}
	},
	"FineTune": func(t *testing.T, data string) {
		for tune, want := range map[string][]string{
			"none": {"classifier"}, "1": {"dense1", "classifier"}, "2": {"conv1", "dense1", "classifier"},
			"9": {"conv1", "dense1", "classifier"}, "all": {"conv1", "dense1", "classifier"},
		} {
			c := tiny(t, data)
			if err := c.FineTune.UnmarshalText([]byte(tune)); err != nil {
				t.Fatal(err)
			}
			c.Weights, c.Optimizer = smallWeights(t), OptimizerSGD
			r := begun(t, c)
			before := values(t, r)
			stepped(t, r)
			var changed []string
			for _, layer := range []string{"conv1", "dense1", "classifier"} {
				if now := values(t, r)[layer]; !slices.Equal(now, before[layer]) {
					changed = append(changed, layer)
				}
			}
			if !slices.Equal(changed, want) || r.frozen != (tune == "none") {
				t.Errorf("%s: a step changed %v, want %v; frozen: %v", tune, changed, want, r.frozen)
			}
		}
	},
	"FeaturesAt": func(t *testing.T, data string) {
		for layer, want := range map[string]int{"": 8, "norm": 12, "first": 6} {
			c := tiny(t, data)
			useOwn(t, &c)
			c.FeaturesAt = layer
			if r := begun(t, c); r.architecture.FeatureCount != want {
				t.Errorf("at %q: %d features, want %d", layer, r.architecture.FeatureCount, want)
			}
		}
	},
	"LayerDecay": func(t *testing.T, data string) {
		// Plain SGD moves each weight by its rate times its gradient.
		for decay, want := range map[string][3]float64{"0": {1, 1, 1}, "1": {1, 1, 1}, "0.5": {0.25, 0.5, 1}} {
			c := tiny(t, data)
			c.LearningRate, c.Optimizer, c.Momentum = 0.1, "sgd", 0
			c.LayerDecay, _ = strconv.ParseFloat(decay, 64)
			r := begun(t, c)
			before := values(t, r)
			stepped(t, r)
			for i, layer := range []string{"conv1", "dense1", "classifier"} {
				for _, part := range []string{"kernel", "bias"} {
					v := variableOf(t, r, layer+"/"+part)
					moved, slope := 0.0, 0.0
					for j := range v.Value {
						at := j
						if part == "bias" {
							at += len(before[layer]) - len(v.Value)
						}
						moved += math.Abs(float64(v.Value[j] - before[layer][at]))
						slope += math.Abs(float64(v.Gradient[j]))
					}
					if got := moved / slope / 0.1; slope == 0 || math.Abs(got-want[i]) > 0.01 {
						t.Errorf("decay %s: %s/%s moves by %.4f of the rate, want %v", decay, layer, part, got,
							want[i])
					}
				}
			}
		}
	},
	"ProbeEpochs": func(t *testing.T, data string) {
		layers := []string{"conv1", "dense1", "classifier"}
		c := tiny(t, data)
		c.Weights, c.ProbeEpochs, c.Epochs, c.Patience = smallWeights(t), 2, 4, 1
		c.Schedule, c.LearningRate, c.StepEpochs, c.StepFactor = "step", 0.002, 1, 0.5
		// Stopped after each epoch and resumed: what changed in it, and at which rate?
		before := values(t, begun(t, c))
		for epoch := range 4 {
			ctx, cancel := context.WithCancel(t.Context())
			run := Resume
			if epoch == 0 {
				run = Run
			}
			_, err := run(ctx, c, Progress{Epoch: func(Epoch) { cancel() }})
			if epoch < 3 && !errors.Is(err, context.Canceled) {
				t.Fatalf("epoch %d: %v", epoch+1, err)
			}
			f, state, _, err := readState(c.Out)
			if err != nil {
				t.Fatal(err)
			}
			r := begun(t, c)
			if err := r.restore(f, state); err != nil {
				t.Fatal(err)
			}
			now, changed := values(t, r), 0
			for i, layer := range layers {
				if !slices.Equal(now[layer], before[layer]) {
					changed |= 1 << i
				}
			}
			want, rate := 4, Default().LearningRate
			if epoch >= 2 {
				want, rate = 7, 0.002*math.Pow(0.5, float64(epoch-2))
			}
			if e := state.History[len(state.History)-1]; changed != want || e.LearningRate != rate ||
				e.Epoch != epoch+1 {
				t.Errorf("epoch %d (%d): layers %03b changed at the rate %v, want %03b at %v", epoch+1, e.Epoch,
					changed,
					e.LearningRate, want, rate)
			}
			if epoch == 3 && (len(state.History) < 3 || len(r.probe) != 2) {
				t.Errorf("%d epochs, with the probe's head %v", len(state.History), r.probe)
			}
			if state.done() {
				break
			}
			before = now
		}
		// The first epoch is that of a run with a frozen backbone.
		probed, frozen := tiny(t, data), tiny(t, data)
		probed.Weights, probed.ProbeEpochs = smallWeights(t), 1
		frozen.Weights, frozen.FineTune, frozen.LearningRate = probed.Weights, FineTune{}, 0.001
		ran(t, probed)
		ran(t, frozen)
		_, a, _, errA := readState(probed.Out)
		_, b, _, errB := readState(frozen.Out)
		if errA != nil || errB != nil || math.Abs(a.History[0].ValidationLoss-b.History[0].ValidationLoss) > 1e-4 {
			t.Errorf("the probe's epoch is %+v, that of a frozen backbone %+v", a.History[0], b.History[0])
		}
		// Patience does not count the probe.
		q := runState{Config: Config{Epochs: 9, Patience: 2, ProbeEpochs: 5}, History: make([]Epoch, 4)}
		q.Best.Epoch = 1
		if q.done() {
			t.Error("the probe ends a run by patience")
		}
		if q.History = make([]Epoch, 7); !q.done() {
			t.Error("two epochs after the probe and without a better one a run with a patience of 2 goes on")
		}
	},
	"ProbeLearningRate": func(t *testing.T, data string) {
		for set, want := range map[float64]float64{0: 0.001, 0.07: 0.07} {
			c := tiny(t, data)
			c.Weights, c.ProbeEpochs, c.ProbeLearningRate, c.LearningRate = smallWeights(t), 1, set, 0.4
			if got := rates(t, c); !slices.Equal(got, []float64{want, want, want, 0.4, 0.4, 0.4}) {
				t.Errorf("%v: rates %v", set, got)
			}
		}
		c := tiny(t, data)
		c.Weights, c.ProbeEpochs, c.ProbeLearningRate, c.Optimizer, c.Momentum = smallWeights(t), 1, 0.05, "sgd", 0
		r := begun(t, c)
		before := variableOf(t, r, "classifier/bias").Value[0]
		stepped(t, r)
		v := variableOf(t, r, "classifier/bias")
		if got, want := v.Value[0]-before, -0.05*v.Gradient[0]; math.Abs(float64(got/want-1)) > 1e-3 {
			t.Errorf("a weight of the head moved by %v, want %v", got, want)
		}
	},
	"StartWeight": func(t *testing.T, data string) {
		for _, probe := range []int{0, 1} {
			for _, share := range []float64{0, 0.25} {
				c := config(t, data)
				c.FineTune, c.BatchStatistics, c.LearningRate = FineTune{Last: 2}, true, 0.01
				c.ProbeEpochs, c.StartWeight = probe, share
				r := begun(t, c)
				if probe > 0 {
					stepped(t, r)
					r.History = make([]Epoch, probe)
					if err := r.endProbe(); err != nil {
						t.Fatal(err)
					}
				}
				start := map[string][]float32{}
				for _, v := range r.changingVariables() {
					start[v.Name] = slices.Clone(v.Value)
				}
				stepped(t, r)
				kept, err := r.modelTensors()
				if err != nil {
					t.Fatal(err)
				}
				statistics := 0
				for _, v := range r.changingVariables() {
					of := share
					if strings.HasPrefix(v.Name, "classifier/") && probe == 0 {
						of = 0
					}
					if strings.Contains(v.Name, "moving") {
						statistics++
					}
					if slices.Equal(v.Value, start[v.Name]) {
						t.Fatalf("%s did not move", v.Name)
					}
					for i, got := range kept[v.Name].Data {
						want := (1-of)*float64(v.Value[i]) + of*float64(start[v.Name][i])
						if math.Abs(float64(got)-want) > 1e-6*(1+math.Abs(want)) {
							t.Fatalf("share %v, probe %d: %s is kept as %v, want %v", share, probe, v.Name, got, want)
						}
					}
				}
				if statistics == 0 {
					t.Error("no moving statistics")
				}
				// What is kept is what is measured.
				m, err := r.measure(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				features, err := r.computeFeatures(t.Context(), &r.validation)
				if err != nil {
					t.Fatal(err)
				}
				alone, err := nn.Compile(r.architecture.Features(c.Preprocessing.Height, c.Preprocessing.Width),
					nn.Overlay{Top: kept, Below: r.weights}, nn.Options{})
				if err != nil {
					t.Fatal(err)
				}
				again, err := computeOutputs(t.Context(), alone, &r.validation)
				if err != nil || !slices.Equal(again, slices.Concat(features...)) {
					t.Errorf("share %v, probe %d: features are of other weights than are kept, %v", share, probe, err)
				}
				plan, err := nn.Compile(r.graph, nn.Overlay{Top: kept, Below: r.weights}, nn.Options{})
				if err != nil {
					t.Fatal(err)
				}
				if again, err := computeOutputs(t.Context(), plan, &r.validation); err != nil ||
					!slices.Equal(m.logits, again) {
					t.Errorf("share %v, probe %d: other weights are measured than are kept, %v", share, probe, err)
				}
			}
		}
	},
	"BatchStatistics": func(t *testing.T, data string) {
		for _, on := range []bool{false, true} {
			c := config(t, data)
			c.FineTune, c.BatchStatistics = FineTune{Last: 2}, on
			r := begun(t, c)
			var before [][]float32
			for _, v := range r.trainer.Statistics() {
				before = append(before, slices.Clone(v.Value))
			}
			stepped(t, r)
			if on == (len(before) == 0) {
				t.Errorf("batch statistics %v: %d moving statistics", on, len(before))
			}
			for i, v := range r.trainer.Statistics() {
				if slices.Equal(v.Value, before[i]) {
					t.Errorf("a step left %s as it was", v.Name)
				}
			}
		}
	},
	"Inner": func(t *testing.T, data string) {
		c := tiny(t, data)
		c.Inner = []int{7, 5}
		ran(t, c)
		f, err := tensor.ReadFile(begunIn(c).bestCheckpoint())
		if err != nil {
			t.Fatal(err)
		}
		for name, want := range map[string][]int{"inner1/kernel": {64, 7}, "inner2/kernel": {7, 5},
			"classifier/kernel": {5, 2}} {
			if v, err := f.Tensor(name); err != nil || !slices.Equal(v.Shape, want) {
				t.Errorf("%s: %v, want the shape %v", name, err, want)
			}
		}
	},
	"Dropout": func(t *testing.T, data string) {
		// A unit that is dropped, or that is 0 anyhow, gives the last layer no gradient.
		live := func(rate float64) (count int) {
			c := tiny(t, data)
			c.Dropout, c.Batch = rate, 1
			r := begun(t, c)
			for step := range 12 {
				r.Step = step
				b := r.newStepBuffers()
				if _, _, err := r.trainStep(t.Context(), b, []int{step}, 0); err != nil {
					t.Fatal(err)
				}
				kernel := variableOf(t, r, "classifier/kernel")
				for unit := range 64 {
					if kernel.Gradient[2*unit] != 0 {
						count++
					}
				}
			}
			if _, isDropout := layerWith(r.graph, nn.OpDropout); isDropout {
				t.Error("the model that answers drops units")
			}
			return count
		}
		all := live(0)
		for _, rate := range []float64{0.2, 0.75} {
			share, want := float64(live(rate))/float64(all), 1-rate
			// Four standard errors of a share of so many units.
			if slack := 4 * math.Sqrt(rate*(1-rate)/float64(all)); all < 100 || math.Abs(share-want) > slack {
				t.Errorf("dropout %v: %.3f of %d units are kept, want %.3f ± %.3f", rate, share, all, want, slack)
			}
		}
	},
	"Binary": func(t *testing.T, data string) {
		c := tiny(t, data)
		c.Binary = true
		r := begun(t, c)
		b, samples, loss := stepped(t, r)
		if len(b.targets) != c.Batch || r.outputs() != 1 {
			t.Fatalf("%d targets for %d pictures", len(b.targets), c.Batch)
		}
		want := 0.0
		for i, s := range samples {
			label := r.train.set.Samples[s].Label
			if b.targets[i] != float32(label) {
				t.Errorf("the target of class %d is %v", label, b.targets[i])
			}
			z := float64(b.logits[i])
			want += math.Log1p(math.Exp(z*float64(1-2*label))) / float64(len(samples))
		}
		if math.Abs(loss-want) > 1e-5 {
			t.Errorf("loss %v, want %v", loss, want)
		}
	},
	"Optimizer": func(t *testing.T, data string) {
		// After two steps with the gradients 1 and −1: sgd is where it began, Adam is not.
		for name, want := range map[Optimizer]nn.Optimizer{
			OptimizerAdam: &nn.Adam{}, OptimizerAdamW: &nn.Adam{}, OptimizerSGD: &nn.SGD{},
		} {
			c := tiny(t, data)
			c.Optimizer, c.Momentum = name, 0
			if got, want := optimized(c.optimizer(), 1, -1), optimized(want, 1, -1); got != want {
				t.Errorf("%s: two steps lead to %v, want %v", name, got, want)
			}
			if got := begun(t, c).optimizer; reflect.TypeOf(got) != reflect.TypeOf(want) {
				t.Errorf("%s: the run has %T", name, got)
			}
		}
	},
	"Momentum": func(t *testing.T, data string) {
		c := tiny(t, data)
		c.Optimizer, c.Momentum = "sgd", 0.5
		// Velocities −0.1, then −0.05−0.1.
		if got, want := optimized(c.optimizer(), 1, 1), 1-0.1-0.15; math.Abs(got-want) > 1e-6 {
			t.Errorf("two steps lead to %v, want %v", got, want)
		}
	},
	"Nesterov": func(t *testing.T, data string) {
		c := tiny(t, data)
		c.Optimizer, c.Momentum, c.Nesterov = "sgd", 0.5, true
		// As Keras: momentum·velocity − rate·gradient, so −0.15, then −0.075−0.1.
		if got, want := optimized(c.optimizer(), 1, 1), 1-0.15-0.175; math.Abs(got-want) > 1e-6 {
			t.Errorf("two steps lead to %v, want %v", got, want)
		}
	},
	"WeightDecay": func(t *testing.T, data string) {
		c := tiny(t, data)
		c.Optimizer, c.WeightDecay = "adamw", 0.2
		if got, want := optimized(c.optimizer(), 0), 1-0.1*0.2; math.Abs(got-want) > 1e-6 {
			t.Errorf("without a gradient a kernel of 1 becomes %v, want %v", got, want)
		}
		bias := &nn.Variable{Param: nn.Param{Name: "bias", Shape: []int{1}}, Value: []float32{1},
			Gradient: []float32{0}}
		if c.optimizer().Update([]*nn.Variable{bias}, 0.1); bias.Value[0] != 1 {
			t.Errorf("a bias decays to %v", bias.Value[0])
		}
	},
	"LearningRate": func(t *testing.T, data string) {
		// Plain SGD moves each weight by the rate times its gradient.
		for _, rate := range []float64{0.01, 0.3} {
			c := tiny(t, data)
			c.LearningRate, c.Optimizer, c.Momentum = rate, "sgd", 0
			r := begun(t, c)
			before := variableOf(t, r, "classifier/bias").Value[0]
			stepped(t, r)
			v := variableOf(t, r, "classifier/bias")
			if got, want := v.Value[0]-before, -float32(rate)*v.Gradient[0]; want == 0 ||
				math.Abs(float64(got/want-1)) > 1e-3 {
				t.Errorf("rate %v: a weight moved by %v, want %v", rate, got, want)
			}
		}
	},
	"Schedule": func(t *testing.T, data string) {
		for schedule, want := range map[Schedule][]float64{ // of the 6 steps of 2 epochs
			ScheduleConstant: {0.4, 0.4, 0.4, 0.4, 0.4, 0.4},
			ScheduleStep:     {0.4, 0.4, 0.4, 0.04, 0.04, 0.04},
			ScheduleCosine:   {0, 0.4 / 3, 0.8 / 3, 0.4, 0.3, 0.1},
			ScheduleOneCycle: {0.016, 0.4, 0.345722, 0.214158, 0.075841, 1.6e-6},
		} {
			c := tiny(t, data)
			c.LearningRate, c.Schedule, c.WarmUpEpochs, c.StepEpochs, c.StepFactor = 0.4, schedule, 1, 1, 0.1
			got := rates(t, c)
			for i := range want {
				if schedule == ScheduleOneCycle && i > 0 && i < 5 {
					continue // see nn.OneCycle's own test; here it matters that it is the one
				}
				if len(got) != len(want) || math.Abs(got[i]-want[i]) > 1e-9 {
					t.Errorf("%s: rates %v, want %v", schedule, got, want)
					break
				}
			}
		}
		// And history.csv tells the rate of each epoch's last step.
		c := tiny(t, data)
		c.LearningRate, c.Schedule, c.WarmUpEpochs = 0.01, "cosine", 1
		ran(t, c)
		_, state, _, err := readState(c.Out)
		if err != nil || len(state.History) != 2 || math.Abs(state.History[0].LearningRate-0.01*2/3) > 1e-12 ||
			math.Abs(state.History[1].LearningRate-0.01/4) > 1e-12 {
			t.Errorf("%+v, %v", state.History, err)
		}
	},
	"WarmUpEpochs": func(t *testing.T, data string) {
		for epochs, want := range map[float64]int{0: 0, 1: 3, 1.34: 4} { // the step of the largest rate
			c := tiny(t, data)
			c.Schedule, c.WarmUpEpochs = "cosine", epochs
			if got := rates(t, c); slices.Index(got, slices.Max(got)) != want {
				t.Errorf("after a warm-up of %v epochs of 3 steps: rates %v", epochs, got)
			}
		}
	},
	"StepEpochs": func(t *testing.T, data string) {
		for epochs, want := range map[float64]int{1: 3, 1.34: 4, 2: -1} { // the first step of another rate
			c := tiny(t, data)
			c.Schedule, c.StepEpochs = "step", epochs
			if got := rates(t, c); slices.IndexFunc(got, func(v float64) bool { return v != got[0] }) != want {
				t.Errorf("steps after %v epochs of 3 steps: rates %v", epochs, got)
			}
		}
	},
	"StepFactor": func(t *testing.T, data string) {
		for _, factor := range []float64{0.1, 0.5, 3} {
			c := tiny(t, data)
			c.Schedule, c.StepEpochs, c.StepFactor = "step", 1, factor
			if got := rates(t, c); math.Abs(got[3]/got[2]-factor) > 1e-9 {
				t.Errorf("a step of the factor %v: rates %v", factor, got)
			}
		}
	},
	"ClipNorm": func(t *testing.T, data string) {
		norm := func(limit float64) float64 {
			c := tiny(t, data)
			c.Optimizer, c.Momentum, c.LearningRate, c.ClipNorm = "sgd", 0, 1, limit
			r := begun(t, c)
			before := values(t, r)
			stepped(t, r)
			sum := 0.0
			for layer, now := range values(t, r) {
				for i, v := range now {
					sum += math.Pow(float64(v)-float64(before[layer][i]), 2)
				}
			}
			return math.Sqrt(sum)
		}
		free := norm(0)
		if got := norm(free / 10); math.Abs(got/free-0.1) > 1e-3 {
			t.Errorf("limited to a tenth of the norm a step is %.4f of what it is without a limit", got/free)
		}
		if got := norm(10 * free); math.Abs(got/free-1) > 1e-6 {
			t.Errorf("below the limit a step is %.4f of what it is without", got/free)
		}
	},
	"Average": func(t *testing.T, data string) {
		// Within the first 89 steps (1+n)/(10+n) is below 0.9, which is never reached here.
		for _, decay := range []float64{0.15, 0.9} {
			c := tiny(t, data)
			c.Average, c.LearningRate = decay, 0.05
			r := begun(t, c)
			var want []float64
			for n := range 3 {
				stepped(t, r)
				keep := min(decay, float64(n+2)/float64(n+11))
				for i, v := range variableOf(t, r, "classifier/kernel").Value {
					if n == 0 {
						want = append(want, float64(v))
					}
					want[i] = keep*want[i] + (1-keep)*float64(v)
				}
			}
			kept, err := r.modelTensors()
			if err != nil {
				t.Fatal(err)
			}
			for i, v := range kept["classifier/kernel"].Data {
				if math.Abs(float64(v)-want[i]) > 1e-5 {
					t.Fatalf("decay %v: the model would keep %v, want %v", decay, v, want[i])
				}
			}
			// What is kept is what is measured.
			m, err := r.measure(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			plan, err := nn.Compile(r.graph, kept, nn.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if again, err := computeOutputs(t.Context(), plan, &r.validation); err != nil ||
				!slices.Equal(m.logits, again) {
				t.Errorf("decay %v: other weights are measured than are kept, %v", decay, err)
			}
		}
		r := begun(t, tiny(t, data))
		stepped(t, r)
		if kept, err := r.modelTensors(); err != nil ||
			!slices.Equal(kept["classifier/kernel"].Data, variableOf(t, r, "classifier/kernel").Value) {
			t.Errorf("without an average other weights are kept than are trained, %v", err)
		}
	},
	"LabelSmoothing": func(t *testing.T, data string) {
		for _, binary := range []bool{false, true} {
			c := tiny(t, data)
			c.Binary, c.LabelSmoothing = binary, 0.4
			lossIs(t, c, func([]float32) float64 { return 1 })
		}
	},
	"BalanceClasses": func(t *testing.T, _ string) {
		// Of 9 pictures 3 are of the first class and 6 of the second: 9/(2·3) and 9/(2·6).
		balanced := func(target []float32) float64 {
			second := float64(target[len(target)-1])
			return 1.5*(1-second) + 0.75*second
		}
		for _, binary := range []bool{false, true} {
			c := tiny(t, unbalanced(t))
			c.Binary, c.BalanceClasses, c.LabelSmoothing = binary, true, 0.1
			lossIs(t, c, balanced)
			c.Augment.Mixup = 1 // of mixed targets the weights are mixed, too
			lossIs(t, c, balanced)
		}
	},
	"Teachers": func(t *testing.T, data string) {
		c := taught(t, data, 1)
		r := begun(t, c)
		for step := range 4 { // in turn
			r.Step = step
			b, samples, _ := stepped(t, r)
			want := answers(t, r, opened(t, c.Teachers[step%2]), samples)
			for i := range samples {
				for j, p := range want[i] {
					if math.Abs(float64(b.targets[2*i+j])-p) > 1e-6 {
						t.Fatalf("step %d: target %v, want the teacher's answer %v", step, b.targets[2*i:][:2],
							want[i])
					}
				}
			}
		}
	},
	"TeacherWeight": func(t *testing.T, data string) {
		for _, weight := range []float64{0.2, 0.7} {
			c := taught(t, data, weight)
			r := begun(t, c)
			b, samples, _ := stepped(t, r)
			answer := answers(t, r, opened(t, c.Teachers[0]), samples)
			for i, s := range samples {
				for j, p := range answer[i] {
					want := weight * p
					if r.train.set.Samples[s].Label == j {
						want += 1 - weight
					}
					if math.Abs(float64(b.targets[2*i+j])-want) > 1e-6 {
						t.Fatalf("weight %v: target %v of class %d, want %v", weight, b.targets[2*i+j], j, want)
					}
				}
			}
		}
	},
	"Epochs": func(t *testing.T, data string) {
		for _, epochs := range []int{1, 3} {
			c := tiny(t, data)
			c.Epochs = epochs
			seen := 0
			result, err := Run(t.Context(), c, Progress{Epoch: func(Epoch) { seen++ }})
			if err != nil || result.Epochs != epochs || seen != epochs || result.Stopped {
				t.Errorf("%d epochs were asked for, and %d done, %v", epochs, seen, err)
			}
		}
	},
	"Batch": func(t *testing.T, data string) {
		for batch, want := range map[int][]int{1: slices.Repeat([]int{1}, 12), 5: {5, 5, 2}, 12: {12}, 40: {12}} {
			c := tiny(t, data)
			c.Batch = batch
			r := begun(t, c)
			var sizes []int
			shown := map[int]bool{}
			for step := range r.stepsPerEpoch() {
				samples := r.batchSamples(r.drawOrder(1), step)
				sizes = append(sizes, len(samples))
				for _, s := range samples {
					shown[s] = true
				}
			}
			if !slices.Equal(sizes, want) || len(shown) != 12 {
				t.Errorf("batches of %d: %v, with %d of 12 pictures", batch, sizes, len(shown))
			}
		}
	},
	"Seed": func(t *testing.T, data string) {
		with := func(seed uint64) *run {
			c := tiny(t, data)
			c.Seed, c.Dropout, c.Augment.RotationRangeDegrees = seed, 0.5, 30
			return begun(t, c)
		}
		view := func(r *run) []float32 {
			in := make([]float32, r.train.length())
			if err := r.train.load(t.Context(), 1, 0, []int{0}, in, make([]float32, 2)); err != nil {
				t.Fatal(err)
			}
			return in
		}
		// A picture of ones, so that only weights and what is dropped tell two runs apart.
		dropped := func(r *run) []float32 {
			for _, v := range r.variables {
				for i := range v.Value {
					v.Value[i] = 0.01 * float32(1+i%7)
				}
			}
			logits := make([]float32, 2)
			ones := slices.Repeat([]float32{1}, 16*16*3)
			if _, err := r.trainer.Step(t.Context(), ones, []float32{1, 0}, logits); err != nil {
				t.Fatal(err)
			}
			return logits
		}
		a, again, b := with(1), with(1), with(2)
		for name, of := range map[string]func(*run) []float32{
			"the backbone's first weights": func(r *run) []float32 { return values(t, r)["conv1"] },
			"the head's first weights":     func(r *run) []float32 { return values(t, r)["classifier"] },
			"the order of pictures": func(r *run) (order []float32) {
				for _, i := range r.drawOrder(1) {
					order = append(order, float32(i))
				}
				return order
			},
			"the views": view,
		} {
			if x := of(a); !slices.Equal(x, of(again)) || slices.Equal(x, of(b)) {
				t.Errorf("%s: the same for one seed: %v; others for another: %v",
					name, slices.Equal(x, of(again)), !slices.Equal(x, of(b)))
			}
		}
		if slices.Equal(a.drawOrder(3), a.drawOrder(4)) {
			t.Error("two epochs have one order")
		}
		if x := dropped(a); !slices.Equal(x, dropped(again)) || slices.Equal(x, dropped(b)) {
			t.Error("what is dropped does not follow the seed")
		}
	},
	"Monitor": func(t *testing.T, data string) {
		for _, c := range []struct {
			monitor                Monitor
			accuracy, loss         float64 // of the epoch
			bestAccuracy, bestLoss float64
			better                 bool
		}{
			{monitor: MonitorAccuracy, accuracy: 0.9, loss: 0.5, bestAccuracy: 0.8, bestLoss: 0.3, better: true},
			{monitor: MonitorAccuracy, accuracy: 0.8, loss: 0.1, bestAccuracy: 0.9, bestLoss: 0.3},
			{monitor: MonitorAccuracy, accuracy: 0.9, loss: 0.2, bestAccuracy: 0.9, bestLoss: 0.3, better: true},
			{monitor: MonitorAccuracy, accuracy: 0.9, loss: 0.4, bestAccuracy: 0.9, bestLoss: 0.3},
			{monitor: MonitorAccuracy, accuracy: 0.9, loss: 0.3, bestAccuracy: 0.9, bestLoss: 0.3},
			{monitor: MonitorLoss, accuracy: 0.9, loss: 0.5, bestAccuracy: 0.8, bestLoss: 0.3},
			{monitor: MonitorLoss, accuracy: 0.8, loss: 0.1, bestAccuracy: 0.9, bestLoss: 0.3, better: true},
			{monitor: MonitorLoss, accuracy: 0.9, loss: 0.3, bestAccuracy: 0.8, bestLoss: 0.3, better: true},
			{monitor: MonitorLoss, accuracy: 0.7, loss: 0.3, bestAccuracy: 0.8, bestLoss: 0.3},
			{monitor: MonitorLoss, accuracy: 0.8, loss: 0.3, bestAccuracy: 0.8, bestLoss: 0.3},
		} {
			e := Epoch{ValidationAccuracy: c.accuracy, ValidationLoss: c.loss}
			best := Epoch{ValidationAccuracy: c.bestAccuracy, ValidationLoss: c.bestLoss}
			if got := (Config{Monitor: c.monitor}).prefers(e, best); got != c.better {
				t.Errorf("%+v is better: %v", c, got)
			}
		}
		for _, monitor := range []Monitor{MonitorAccuracy, MonitorLoss} {
			c := tiny(t, data)
			c.Monitor, c.Epochs = monitor, 6
			oneRule(t, c, ran(t, c))
		}
	},
	"Patience": func(t *testing.T, data string) {
		// After two epochs the rate is so small that no weight moves: there is nothing
		// better from then on, and nothing worse.
		for _, patience := range []int{0, 1, 3} {
			for _, monitor := range []Monitor{MonitorAccuracy, MonitorLoss} {
				c := tiny(t, data)
				c.Monitor, c.Optimizer, c.Momentum = monitor, "sgd", 0
				c.Epochs, c.Patience, c.Schedule, c.StepEpochs, c.StepFactor = 8, patience, "step", 2, 1e-30
				result := ran(t, c)
				want := 8
				if patience > 0 {
					want = result.Best.Epoch + patience
				}
				if result.Epochs != want || result.Stopped != (want < 8) || result.Best.Epoch > 2 {
					t.Errorf("patience %d, best epoch %d: the run ended after %d, want %d; stopped: %v",
						patience, result.Best.Epoch, result.Epochs, want, result.Stopped)
				}
				oneRule(t, c, result)
			}
		}
		// An epoch that is best by a tie only starts the count again.
		p := runState{Config: Config{Epochs: 100, Patience: 2}, History: make([]Epoch, 7), Best: Epoch{Epoch: 6}}
		if p.done() {
			t.Error("one epoch after the best a run with a patience of 2 ended")
		}
		if p.Best.Epoch = 5; !p.done() {
			t.Error("two epochs after the best a run with a patience of 2 goes on")
		}
	},
	"Augment": func(t *testing.T, data string) {
		c := tiny(t, data)
		c.Augment = augment.Config{RotationRangeDegrees: 30, Mixup: 1}
		r := begun(t, c)
		v, err := augment.New(c.Augment, c.Preprocessing, dataset.Training{Set: r.train.set}, c.Seed,
			picture.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		size := c.Preprocessing.ValueCount()
		got, want := make([]float32, 2*size), make([]float32, 2*size)
		gotTargets, wantTargets := []float32{1, 0, 0, 1}, []float32{1, 0, 0, 1}
		if err := r.train.load(t.Context(), 2, 3, []int{7, 4}, got, gotTargets); err != nil {
			t.Fatal(err)
		}
		for i, s := range []int{7, 4} {
			if err := v.Load(t.Context(), 2, s, want[i*size:][:size]); err != nil {
				t.Fatal(err)
			}
		}
		v.Mix(2, 3, want, wantTargets, 2)
		if !slices.Equal(got, want) || !slices.Equal(gotTargets, wantTargets) || gotTargets[0] == 1 {
			t.Errorf("the network is not shown the views; targets %v, want %v", gotTargets, wantTargets)
		}
		if _, isViews := r.validation.loader.(pictures); !isViews {
			t.Errorf("validation is %T", r.validation.loader)
		}
	},
	"CachedViews": func(t *testing.T, data string) {
		for _, kept := range []int{0, 2} {
			c := tiny(t, data)
			c.FineTune, c.Weights, c.CachedViews, c.Augment.RotationRangeDegrees = FineTune{}, smallWeights(t), kept, 60
			r := begun(t, c)
			features := func(epoch int) []float32 {
				in := make([]float32, 3*r.train.length())
				if err := r.train.load(t.Context(), epoch, 0, []int{2, 9, 4}, in, make([]float32, 6)); err != nil {
					t.Fatal(err)
				}
				return in
			}
			first, second, third, fourth := features(1), features(2), features(3), features(4)
			if again := kept == 2; slices.Equal(first, second) || slices.Equal(first, third) != again ||
				slices.Equal(second, fourth) != again {
				t.Errorf("with %d views kept: 1 is 2 %v, 1 is 3 %v, 2 is 4 %v",
					kept, slices.Equal(first, second), slices.Equal(first, third), slices.Equal(second, fourth))
			}
		}
	},
	"Coverage": func(t *testing.T, data string) {
		c := tiny(t, noise(t)) // 16 pictures for validation, which nobody can tell apart
		ran(t, c)
		if rule := opened(t, c.Out).Description().Coverage; rule != nil {
			t.Errorf("nobody asked for prediction sets: %+v", rule)
		}
		c.Out, c.Coverage = filepath.Join(t.TempDir(), "covered"), 0.85
		ran(t, c)
		classifier := opened(t, c.Out)
		splits, err := dataset.OpenSplits(c.Data, c.Split)
		if err != nil {
			t.Fatal(err)
		}
		var probabilities [][]float64
		var labels []int
		size, samples := 0, splits.Validation.Samples
		for _, s := range samples {
			predictions, classifyErr := classifier.Classify(t.Context(), file(t, s.Path))
			if classifyErr != nil {
				t.Fatal(classifyErr)
			}
			row := make([]float64, 2)
			for _, p := range predictions {
				row[slices.Index(classifier.Classes(), p.Class)] = p.Probability
			}
			probabilities, labels = append(probabilities, row), append(labels, s.Label)
			size += len(classifier.PredictionSet(predictions))
			digest := fmt.Sprintf("%x", sha256.Sum256(file(t, s.Path)))
			if !classifier.Description().Coverage.WasFittedOn(digest) {
				t.Errorf("the model does not know that its sets were fitted on %s", s.Path)
			}
		}
		want, err := conformal.Fit(probabilities, labels, 0.85)
		if err != nil {
			t.Fatal(err)
		}
		got := classifier.Description().Coverage
		// Answers of one picture differ by rounding from those of a batch.
		if got == nil || got.Coverage != 0.85 || got.Pictures != len(samples)-len(samples)/2 ||
			got.Penalty != want.Penalty ||
			math.Abs(got.Threshold-want.Threshold) > 1e-3 {
			t.Fatalf("rule %+v, want %+v", got, want)
		}
		if size <= len(samples) {
			t.Errorf("%d classes in the sets of %d pictures that nobody can tell apart", size, len(samples))
		}
		few := tiny(t, data) // 6 pictures for validation
		few.Coverage = 0.85
		var tooFew *conformal.TooFewError
		if _, err := prepare(t.Context(), few, Progress{}); !errors.As(err, &tooFew) || tooFew.Have != 6 ||
			tooFew.Need != 12 {
			t.Errorf("%v", err)
		}
		for _, coverage := range []float64{-0.5, 1, 1.5, math.NaN()} {
			few.Coverage = coverage
			if few.Validate() == nil {
				t.Errorf("coverage %v is accepted", coverage)
			}
		}
	},
	"Split": func(t *testing.T, data string) {
		flat := t.TempDir()
		for i := range 20 {
			for class, from := range map[string]string{"spots": "spots/0", "stripes": "stripes/1"} {
				path := filepath.Join(flat, class, fmt.Sprint(i))
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path, file(t, filepath.Join(data, "train", from)), 0o644); err != nil {
					t.Fatal(err)
				}
			}
		}
		names := func(seed uint64) (sizes [3]int, validation []string) {
			c := tiny(t, flat)
			c.Split = dataset.SplitRule{Validation: 0.25, Test: 0.1, Seed: seed}
			r := begun(t, c)
			for _, s := range r.validation.set.Samples {
				validation = append(validation, s.Path)
			}
			return [3]int{len(r.train.set.Samples), len(r.validation.set.Samples), r.testCount()}, validation
		}
		sizes, first := names(1)
		if sizes != [3]int{26, 10, 4} {
			t.Errorf("splits of %v, want 26, 10 and 4", sizes)
		}
		if _, second := names(2); slices.Equal(first, second) {
			t.Error("another seed of the split divides alike")
		}
		shown := map[string]int{} // how often a picture is validation
		for fold := range 3 {
			c := tiny(t, flat)
			c.Split = dataset.SplitRule{Validation: 0.25, Test: 0.1, Seed: 1, Folds: 3, Fold: fold + 1}
			for _, s := range begun(t, c).validation.set.Samples {
				shown[s.Path]++
			}
		}
		if len(shown) != 36 || slices.Max(slices.Collect(maps.Values(shown))) != 1 {
			t.Errorf("over three folds validation has %d pictures of 36: %v", len(shown), shown)
		}
	},
	"Candidate": func(t *testing.T, data string) {
		for _, candidate := range []bool{false, true} {
			c := tiny(t, data)
			c.Candidate = candidate
			result := ran(t, c)
			_, err := os.Stat(filepath.Join(c.Out, reportFile))
			if looked := result.TestCount > 0; looked == candidate || (err == nil) == candidate ||
				(result.Report == "") != candidate {
				t.Errorf("candidate %v: %d test pictures, report %q, %v", candidate, result.TestCount,
					result.Report, err)
			}
		}
	},
}

// dataOptionTests has a test for each field of dataset.Options that fails if the field does
// not reach the pictures that a run is trained on.
var dataOptionTests = map[string]func(t *testing.T, c Config){
	"Labels": func(t *testing.T, c Config) {
		c.DataOptions.Labels = filepath.Join(c.Data, "others.csv")
		labelled(t, c, map[string]int{"spots": 9, "stripes": 9})
	},
	"Images": func(t *testing.T, c Config) {
		folder := filepath.Join(t.TempDir(), "elsewhere")
		if err := os.Rename(filepath.Join(c.Data, "images"), folder); err != nil {
			t.Fatal(err)
		}
		if _, err := prepare(t.Context(), c, Progress{}); err == nil {
			t.Error("the pictures were found without their folder")
		}
		c.DataOptions.Images = folder
		labelled(t, c, map[string]int{"big": 6, "mid": 6, "small": 6})
	},
	"ImageColumn": func(t *testing.T, c Config) {
		c.DataOptions.ImageColumn = "copy" // names each picture's neighbour
		r := labelled(t, c, map[string]int{"big": 6, "mid": 6, "small": 6})
		for _, s := range r.train.set.Samples {
			var number int
			if _, err := fmt.Sscanf(filepath.Base(s.Path), "%d.png", &number); err != nil {
				t.Fatal(err)
			}
			if want := []string{"big", "mid", "small"}[(number+17)%18%3]; r.classes[s.Label] != want {
				t.Errorf("%s is labelled %s, want its neighbour's %s", s.Path, r.classes[s.Label], want)
			}
		}
	},
	"LabelColumn": func(t *testing.T, c Config) {
		c.DataOptions.LabelColumn = "shape"
		labelled(t, c, map[string]int{"spots": 9, "stripes": 9})
	},
	"Merge": func(t *testing.T, c Config) {
		c.DataOptions.Merge = map[string]string{"mid": "small"}
		labelled(t, c, map[string]int{"big": 6, "small": 12})
	},
	"Exclude": func(t *testing.T, c Config) {
		c.DataOptions.Exclude = []string{"mid"}
		labelled(t, c, map[string]int{"big": 6, "small": 6})
	},
	"Classes": func(t *testing.T, c Config) {
		c.DataOptions.Classes = []string{"big", "mid"}
		labelled(t, c, map[string]int{"big": 6, "mid": 6})
	},
	"GroupBy": func(t *testing.T, c Config) {
		grouped := func(options dataset.Options) (apart int) {
			c.DataOptions = options
			r := labelled(t, c, map[string]int{"big": 6, "mid": 6, "small": 6})
			splits := map[int]map[string]bool{}
			for name, part := range map[string]*split{"train": &r.train, "validation": &r.validation,
				"test": &r.test} {
				for _, s := range part.set.Samples {
					var number int
					if _, err := fmt.Sscanf(filepath.Base(s.Path), "%d.png", &number); err != nil {
						t.Fatal(err)
					}
					if splits[number/3] == nil {
						splits[number/3] = map[string]bool{}
					}
					splits[number/3][name] = true
				}
			}
			for _, names := range splits {
				if len(names) > 1 {
					apart++
				}
			}
			return apart
		}
		if apart := grouped(dataset.Options{GroupBy: "owner"}); apart != 0 {
			t.Errorf("%d owners' pictures are in several splits", apart)
		}
		if grouped(dataset.Options{}) == 0 {
			t.Error("without groups, owners' pictures are together all the same")
		}
	},
	"GroupPattern": func(t *testing.T, c Config) {
		c.DataOptions.GroupPattern = "nothing has this name"
		if _, err := prepare(t.Context(), c, Progress{}); err == nil {
			t.Error("a pattern that matches nothing is ignored")
		}
		c.DataOptions.GroupPattern = `^(\d)`
		r := labelled(t, c, map[string]int{"big": 6, "mid": 6, "small": 6})
		first := map[byte]string{}
		for name, part := range map[string]*split{"train": &r.train, "validation": &r.validation, "test": &r.test} {
			for _, s := range part.set.Samples {
				digit := filepath.Base(s.Path)[0]
				if other := first[digit]; other != "" && other != name {
					t.Errorf("pictures that begin with %c are in %s and %s", digit, other, name)
				}
				first[digit] = name
			}
		}
	},
	"Cache": func(t *testing.T, c Config) {
		c.Data, c.DataOptions.Cache = zipped(t, c.Data), filepath.Join(t.TempDir(), "cache")
		labelled(t, c, map[string]int{"big": 6, "mid": 6, "small": 6})
		if files, err := os.ReadDir(c.DataOptions.Cache); err != nil || len(files) == 0 {
			t.Errorf("the archive was unpacked elsewhere: %v", err)
		}
	},
	"MaxPixels": func(t *testing.T, c Config) {
		c.DataOptions.MaxPixels = 1
		if _, err := prepare(t.Context(), c, Progress{}); !errors.Is(err, picture.ErrTooManyPixels) {
			t.Errorf("pictures of more than a pixel: %v", err)
		}
	},
	"KeepTruncated": func(t *testing.T, c Config) {
		cutPictures(t, filepath.Join(c.Data, "images"))
		if _, err := prepare(t.Context(), c, Progress{}); err == nil {
			t.Error("pictures that are cut short are used")
		}
		c.DataOptions.KeepTruncated = true
		labelled(t, c, map[string]int{"big": 6, "mid": 6, "small": 6})
	},
	"MaxArchiveBytes": func(t *testing.T, c Config) {
		c.Data, c.DataOptions.Cache, c.DataOptions.MaxArchiveBytes = zipped(t, c.Data), t.TempDir(), 100
		if _, err := prepare(t.Context(), c, Progress{}); err == nil {
			t.Error("an archive of more than 100 bytes was unpacked")
		}
	},
}

// each runs the test of each field of v with a data set of 18 pictures in a table, and
// fails if a field has none.
func each(t *testing.T, v any, tests map[string]func(*testing.T, Config)) {
	kind := reflect.TypeOf(v)
	for i := range kind.NumField() {
		name := kind.Field(i).Name
		if tests[name] == nil {
			t.Errorf("%s.%s has no test: add one that fails if it does not reach a run", kind, name)
			continue
		}
		t.Run(name, func(t *testing.T) {
			c := tiny(t, tabled(t))
			c.Split = dataset.SplitRule{Validation: 0.34, Test: 0.17, Seed: 1}
			tests[name](t, c)
		})
	}
	if len(tests) != kind.NumField() {
		t.Errorf("%d tests for the %d fields of %s", len(tests), kind.NumField(), kind)
	}
}

// tabled is a data set with a table. Its labels are big, mid and small in turn; in the
// column shape, and in another table, spots and stripes in turn. Three pictures in a row
// are of one owner.
func tabled(t *testing.T) string {
	t.Helper()
	from, root := drawn(t), t.TempDir()
	paths, err := filepath.Glob(filepath.Join(from, "*", "*", "*"))
	if err != nil || len(paths) < 18 {
		t.Fatal(len(paths), err)
	}
	if err := os.Mkdir(filepath.Join(root, "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	table, others := "image,copy,label,shape,owner\n", "image,label\n"
	for i, path := range paths[:18] {
		name, shape := fmt.Sprintf("%d.png", i), []string{"spots", "stripes"}[i%2]
		if err := os.WriteFile(filepath.Join(root, "images", name), file(t, path), 0o644); err != nil {
			t.Fatal(err)
		}
		label := []string{"big", "mid", "small"}[i%3]
		table += fmt.Sprintf("%s,%d.png,%s,%s,owner%d\n", name, (i+1)%18, label, shape, i/3)
		others += fmt.Sprintf("%s,%s\n", name, shape)
	}
	for name, text := range map[string]string{"images.csv": table, "others.csv": others} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

// zipped is a data set in an archive.
func zipped(t *testing.T, folder string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data.zip")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := zip.NewWriter(f)
	if err := errors.Join(w.AddFS(os.DirFS(folder)), w.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

// labelled begins a run and checks how many pictures of each class its splits have.
func labelled(t *testing.T, c Config, want map[string]int) *run {
	t.Helper()
	r := begun(t, c)
	got := map[string]int{}
	for _, part := range []*split{&r.train, &r.validation, &r.test} {
		for _, s := range part.set.Samples {
			got[r.classes[s.Label]]++
		}
	}
	if !maps.Equal(got, want) {
		t.Errorf("pictures %v, want %v", got, want)
	}
	return r
}

// TestSettings runs the test of each field of Config, and fails if one has none.
func TestSettings(t *testing.T) {
	data := drawn(t)
	kind := reflect.TypeOf(Config{})
	for i := range kind.NumField() {
		name := kind.Field(i).Name
		test := settingTests[name]
		if test == nil {
			t.Errorf("%s has no test: add one to settingTests that fails if it has no effect or the opposite", name)
			continue
		}
		t.Run(name, func(t *testing.T) { test(t, data) })
	}
	for name := range settingTests {
		if _, ok := kind.FieldByName(name); !ok {
			t.Errorf("there is a test of %s, which is no setting", name)
		}
	}
}

// TestSweepSpread: the spread over the seeds of a point is the sample standard deviation,
// which divides by one less than the number of runs.
func TestSweepSpread(t *testing.T) {
	c := tiny(t, noise(t))
	c.LearningRate, c.Epochs = 0.003, 1
	s := Sweep{Base: c, Axes: []Axis{{Name: "learning-rate", Values: []string{"0.003"}}}, Seeds: 4}
	points, err := s.Run(t.Context(), func(*Point, int, int) Progress { return Progress{} })
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range points {
		mean, square := 0.0, 0.0
		for _, r := range p.Runs {
			mean += r.Best.ValidationAccuracy / 4
		}
		for _, r := range p.Runs {
			square += (r.Best.ValidationAccuracy - mean) * (r.Best.ValidationAccuracy - mean)
		}
		want := math.Sqrt(square / 3)
		if len(p.Runs) != 4 || want == 0 || math.Abs(p.Mean-mean) > 1e-12 || math.Abs(p.Spread-want) > 1e-12 {
			t.Errorf("%d runs: mean %v and spread %v, want %v and %v", len(p.Runs), p.Mean, p.Spread, mean, want)
		}
	}
}

// TestTemperatureIsOfTheKeptEpoch: the model's temperature is fitted to the validation
// logits of the epoch that is kept.
func TestTemperatureIsOfTheKeptEpoch(t *testing.T) {
	c := tiny(t, noise(t))
	ran(t, c)
	classifier := opened(t, c.Out)
	splits, err := dataset.OpenSplits(c.Data, c.Split)
	if err != nil {
		t.Fatal(err)
	}
	var logits [][]float32
	var labels []int
	for _, s := range splits.Validation.Samples {
		predictions, err := classifier.Classify(t.Context(), file(t, s.Path))
		if err != nil {
			t.Fatal(err)
		}
		row := make([]float32, 2)
		for _, p := range predictions {
			row[slices.Index(classifier.Classes(), p.Class)] = p.Logit
		}
		logits, labels = append(logits, row), append(labels, s.Label)
	}
	got, want := classifier.Description().Temperature, evaluate.Temperature(logits, labels)
	if math.Abs(got/want-1) > 0.01 {
		t.Errorf("temperature %v, want %v", got, want)
	}
}

// tiny is a run of a few milliseconds: small-cnn at 16 × 16, trained as a whole.
func tiny(t *testing.T, data string) Config {
	t.Helper()
	c := config(t, data)
	a, err := backbone.Lookup("small-cnn")
	if err != nil {
		t.Fatal(err)
	}
	c.Backbone, c.Preprocessing, c.FineTune = a.Name, a.Spec, FineTune{All: true}
	c.Preprocessing.Width, c.Preprocessing.Height = 16, 16
	c.Epochs, c.Batch = 2, 5
	return c
}

func begun(t *testing.T, c Config) *run {
	t.Helper()
	r, err := prepare(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// begunIn is a run that knows no more than its settings.
func begunIn(c Config) *run { return &run{runState: runState{Config: c}} }

func ran(t *testing.T, c Config) *Result {
	t.Helper()
	result, err := Run(t.Context(), c, Progress{})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

func opened(t *testing.T, path string) *model.Classifier {
	t.Helper()
	classifier, err := model.Open(path, model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return classifier
}

// stepped does the first step of an epoch.
func stepped(t *testing.T, r *run) (b *stepBuffers, samples []int, loss float64) {
	t.Helper()
	b, samples = r.newStepBuffers(), r.batchSamples(r.drawOrder(1), 0)
	loss, _, err := r.trainStep(t.Context(), b, samples, r.learningRate(0))
	if err != nil {
		t.Fatal(err)
	}
	return b, samples, loss
}

// values are the weights of each layer of small-cnn at 16 × 16 and its head.
func values(t *testing.T, r *run) map[string][]float32 {
	t.Helper()
	all := map[string][]float32{}
	params := r.graph.Params()
	if r.frozen {
		params = append(params, r.architecture.Features(16, 16).Params()...)
	}
	for _, p := range params {
		layer, _, _ := strings.Cut(p.Name, "/")
		v, err := nn.Overlay{Top: r.trainer, Below: r.weights}.Tensor(p.Name)
		if err != nil {
			t.Fatal(err)
		}
		all[layer] = append(all[layer], v.Data...)
	}
	return all
}

func variableOf(t *testing.T, r *run, name string) *nn.Variable {
	t.Helper()
	for _, v := range r.variables {
		if v.Name == name {
			return v
		}
	}
	t.Fatalf("%s is not trained", name)
	return nil
}

func layerWith(g *nn.Graph, op nn.Op) (nn.Layer, bool) {
	for _, l := range g.Layers() {
		if l.Op == op && l.Rate > 0 {
			return l, true
		}
	}
	return nn.Layer{}, false
}

// optimized is where a kernel of one weight, 1, is led by gradients at the rate 0.1.
func optimized(o nn.Optimizer, gradients ...float32) float64 {
	v := &nn.Variable{Param: nn.Param{Name: "kernel", Shape: []int{1, 1}}, Value: []float32{1}, Gradient: []float32{0}}
	for _, g := range gradients {
		v.Gradient[0] = g
		o.Update([]*nn.Variable{v}, 0.1)
	}
	return float64(v.Value[0])
}

// rates are those of all steps of a run of two epochs of three steps.
func rates(t *testing.T, c Config) []float64 {
	t.Helper()
	r := begun(t, c)
	var all []float64
	for range c.Epochs {
		for step := range r.stepsPerEpoch() {
			all = append(all, r.learningRate(step))
		}
		r.History = append(r.History, Epoch{})
	}
	return all
}

// lossIs does a step and compares its loss with the definition: the mean over the pictures
// of weight(targets) · cross-entropy with smoothed targets.
func lossIs(t *testing.T, c Config, weight func(target []float32) float64) {
	t.Helper()
	r := begun(t, c)
	b, samples, got := stepped(t, r)
	outputs, want := r.outputs(), 0.0
	for i := range samples {
		logits, targets := b.logits[i*outputs:][:outputs], b.targets[i*outputs:][:outputs]
		two := []float64{0, float64(logits[0])} // a sigmoid is the softmax of (0, logit)
		shares := []float64{1 - float64(targets[0]), float64(targets[0])}
		if outputs == 2 {
			two = []float64{float64(logits[0]), float64(logits[1])}
			shares = []float64{float64(targets[0]), float64(targets[1])}
		}
		sum := math.Log(math.Exp(two[0]) + math.Exp(two[1]))
		for class, share := range shares {
			share = share*(1-c.LabelSmoothing) + c.LabelSmoothing/2
			want += weight(targets) * share * (sum - two[class]) / float64(len(samples))
		}
	}
	if math.Abs(got-want) > 1e-5 {
		t.Errorf("binary %v, smoothing %v, mixup %v: loss %v, want %v", c.Binary, c.LabelSmoothing,
			c.Augment.Mixup, got, want)
	}
}

// oneRule checks that a run's history marks the epochs that are better than all before,
// that the last of them is what was kept, and that the file says so.
func oneRule(t *testing.T, c Config, result *Result) {
	t.Helper()
	_, state, _, err := readState(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	best, marked := 0, 0
	for i, e := range state.History {
		b := state.History[best]
		better := e.ValidationAccuracy > b.ValidationAccuracy ||
			e.ValidationAccuracy == b.ValidationAccuracy && e.ValidationLoss < b.ValidationLoss
		if c.Monitor == MonitorLoss {
			better = e.ValidationLoss < b.ValidationLoss ||
				e.ValidationLoss == b.ValidationLoss && e.ValidationAccuracy > b.ValidationAccuracy
		}
		if better = better || i == 0; better {
			best, marked = i, marked+1
		}
		if e.Best != better {
			t.Errorf("monitor %s: epoch %d is marked as the best so far: %v; history %+v", c.Monitor, e.Epoch,
				e.Best, state.History)
		}
	}
	want := state.History[best]
	if !reflect.DeepEqual(result.Best, want) || !reflect.DeepEqual(state.Best, want) {
		t.Errorf("monitor %s: the best is epoch %d, in the state %d, want %d", c.Monitor, result.Best.Epoch,
			state.Best.Epoch, want.Epoch)
	}
	if m := opened(t, c.Out).Description(); m.Training.Epoch != want.Epoch ||
		m.Training.ValidationLoss != want.ValidationLoss {
		t.Errorf("monitor %s: the model kept is of epoch %d, want %d", c.Monitor, m.Training.Epoch, want.Epoch)
	}
	files, err := filepath.Glob(filepath.Join(c.Out, "checkpoints", "*.safetensors"))
	if err != nil || len(files) != marked {
		t.Errorf("monitor %s: %d models for %d epochs that were the best so far, %v", c.Monitor, len(files),
			marked, err)
	}
}

// smallWeights is a file of weights of small-cnn at 16 × 16.
func smallWeights(t *testing.T) string {
	t.Helper()
	a, err := backbone.Lookup("small-cnn")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "small.safetensors")
	if err := tensor.WriteFile(path, nil, drawInitialWeights(a.Features(16, 16), 99), tensor.Float32); err != nil {
		t.Fatal(err)
	}
	return path
}

// taught is a run with two teachers of its own kind.
func taught(t *testing.T, data string, weight float64) Config {
	t.Helper()
	c := tiny(t, data)
	for seed := range uint64(2) {
		teacher := tiny(t, data)
		teacher.Seed, teacher.Candidate = seed+5, true
		ran(t, teacher)
		c.Teachers = append(c.Teachers, teacher.Out)
	}
	c.TeacherWeight = weight
	return c
}

// answers are a model's probabilities of the two classes, at the temperature 1.
func answers(t *testing.T, r *run, classifier *model.Classifier, samples []int) [][]float64 {
	t.Helper()
	var all [][]float64
	for _, s := range samples {
		predictions, err := classifier.Classify(t.Context(), file(t, r.train.set.Samples[s].Path))
		if err != nil {
			t.Fatal(err)
		}
		logits := make([]float64, 2)
		for _, p := range predictions {
			logits[slices.Index(classifier.Classes(), p.Class)] = float64(p.Logit)
		}
		second := 1 / (1 + math.Exp(logits[0]-logits[1]))
		all = append(all, []float64{1 - second, second})
	}
	return all
}

// unbalanced is drawn without half of the first class's training pictures.
func unbalanced(t *testing.T) string {
	t.Helper()
	data := drawn(t)
	for i := range 3 {
		if err := os.Remove(filepath.Join(data, "train", "spots", fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	return data
}

// noise is a data set that nothing can be learned from: both classes hold the same kinds
// of pictures, 16 of each for validation.
func noise(t *testing.T) string {
	t.Helper()
	from, to := drawn(t), t.TempDir()
	var pictures [][]byte
	for _, split := range []string{"train", "validation", "test"} {
		for _, class := range []string{"spots", "stripes"} {
			paths, err := filepath.Glob(filepath.Join(from, split, class, "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, path := range paths {
				pictures = append(pictures, file(t, path))
			}
		}
	}
	for i, data := range pictures {
		split := "train"
		if i%3 > 0 {
			split = "validation"
		}
		path := filepath.Join(to, split, []string{"even", "odd"}[i/3%2], fmt.Sprint(i))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, bytes.Clone(data), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return to
}
