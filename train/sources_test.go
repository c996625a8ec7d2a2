package train

import (
	"bytes"
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
	"testing"

	"pgregory.net/rapid"

	"garb/accept"
	"garb/dataset"
	"garb/model"
	"garb/nn"
)

//nolint:funlen,gocognit // a test for each setting, which have nothing to do with each other
func init() {
	settingTests["DataWeight"] = func(t *testing.T, data string) {
		for weight, want := range map[float64]int{0: 12, 0.5: 6, 2: 24} {
			c := tiny(t, data)
			c.DataWeight = weight
			if order := begun(t, c).drawOrder(1); len(order) != want {
				t.Errorf("with the weight %v an epoch shows %d pictures, want %d", weight, len(order), want)
			}
		}
	}
	settingTests["Sources"] = func(t *testing.T, data string) {
		c := tiny(t, data)
		more := unbalanced(t)
		c.Sources = []Source{{Path: more, Weight: 2}}
		r := begun(t, c)
		if len(r.train.set.Samples) != 21 || len(r.validation.set.Samples) != 12 || len(r.drawOrder(1)) != 12+2*9 {
			t.Errorf("%d pictures for training, %d of them in an epoch, %d for validation", len(r.train.set.Samples),
				len(r.drawOrder(1)), len(r.validation.set.Samples))
		}
		if source := r.train.from[20]; source != 1 || !strings.HasPrefix(r.train.set.Samples[20].Path, more) {
			t.Errorf("the last picture is of source %d", source)
		}
		c.Sources[0].TrainOnly = true
		if r = begun(t, c); len(r.train.set.Samples) != 21 || len(r.validation.set.Samples) != 6 {
			t.Errorf("for training only: %d and %d pictures", len(r.train.set.Samples), len(r.validation.set.Samples))
		}
	}
	settingTests["Other"] = func(t *testing.T, data string) {
		c := tiny(t, data)
		c.Other = []Source{{Path: coloured(t, 12, 1), Weight: 3}}
		r := begun(t, c)
		counts := map[int]int{}
		for _, number := range r.drawOrder(1) {
			counts[r.sample(number).Label]++
		}
		if counts[0] != 6 || counts[1] != 6 || counts[2] != 3*8 || len(r.otherValidation.set.Samples) != 2 ||
			len(r.otherTest.set.Samples) != 2 {
			t.Errorf("an epoch shows %v; %d other pictures for validation, %d for test", counts,
				len(r.otherValidation.set.Samples), len(r.otherTest.set.Samples))
		}
	}
	settingTests["Acceptance"] = func(t *testing.T, data string) {
		for _, method := range append(AcceptanceMethods(), "") {
			c := tiny(t, data)
			c.Acceptance = method
			want := method
			if method == "" {
				want = DefaultDetector
			}
			if method == accept.Class || method == accept.Head || method == accept.Exposure {
				c.Other = []Source{{Path: coloured(t, 12, 1), Weight: 1}}
			}
			a := opened(t, ran(t, c).Checkpoint).Description().Acceptance
			switch {
			case method == noAcceptance:
				if a != nil {
					t.Errorf("none: %+v", a)
				}
			case a == nil || a.Method != want || a.Validation.Count != 6 || a.Measured() != (len(c.Other) > 0):
				t.Errorf("%s: %+v", method, a)
			}
		}
	}
	settingTests["Refusal"] = func(t *testing.T, data string) {
		for name, want := range map[string]string{"": model.NoneOfThese, "no pattern": "no pattern"} {
			c := tiny(t, data)
			c.Refusal = name
			if a := opened(t, ran(t, c).Checkpoint).Description().Acceptance; a.Refusal != want {
				t.Errorf("%q became %q", name, a.Refusal)
			}
		}
	}
	settingTests["BalanceSampling"] = func(t *testing.T, _ string) {
		c := tiny(t, unbalanced(t)) // 3 and 6 pictures
		for power, rare := range map[float64]float64{0: 3, 1: 4.5, 0.5: 9 / (1 + math.Sqrt2)} {
			c.BalanceSampling = power
			shown := labelsShown(begun(t, c), 200)
			if got := shown[0] / 200; math.Abs(got-rare) > 0.1 || math.Abs(got+shown[1]/200-9) > 1e-9 {
				t.Errorf("to the degree %v an epoch shows %v of the rare class, want %v", power, got, rare)
			}
		}
	}
	settingTests["BalanceSampling"] = both(settingTests["BalanceSampling"], func(t *testing.T, data string) {
		// A class that is rare in one data set only is shown more often there only.
		c := tiny(t, data)
		c.Sources, c.BalanceSampling = []Source{{Path: unbalanced(t), Weight: 2}}, 1
		c.Other = []Source{{Path: coloured(t, 12, 1), Weight: 1}}
		r := begun(t, c)
		sums := map[[2]int]float64{}
		for i, share := range r.sampling {
			sums[[2]int{r.train.from[i], r.train.set.Samples[i].Label}] += share
		}
		for of, want := range map[[2]int]float64{{0, 0}: 6, {0, 1}: 6, {1, 0}: 9, {1, 1}: 9, {2, 2}: 8} {
			if math.Abs(sums[of]-want) > 1e-9 {
				t.Errorf("data set %d shows %v of class %d, want %v", of[0], sums[of], of[1], want)
			}
		}
	})
	settingTests["BalanceSources"] = func(t *testing.T, data string) {
		c := tiny(t, data)
		c.Sources = []Source{{Path: unbalanced(t), Weight: 1}}
		c.BalanceSources = 1
		r := begun(t, c)
		sum := 0.0
		for i, share := range r.sampling {
			if r.train.from[i] == 1 {
				sum += share
			}
		}
		if math.Abs(sum-10.5) > 1e-9 {
			t.Errorf("an epoch shows %v of the 21 pictures from the second data set, want half", sum)
		}
	}
}

func both(a, b func(*testing.T, string)) func(*testing.T, string) {
	return func(t *testing.T, data string) { a(t, data); b(t, data) }
}

// labelsShown counts how often some epochs show each label.
func labelsShown(r *run, epochs int) map[int]float64 {
	shown := map[int]float64{}
	for epoch := range epochs {
		for _, number := range r.drawOrder(epoch + 1) {
			shown[r.sample(number).Label]++
		}
	}
	return shown
}

// coloured is a folder of pictures of nothing.
func coloured(t *testing.T, count int, seed uint64) string {
	t.Helper()
	folder, random := t.TempDir(), rand.New(rand.NewPCG(seed, 0))
	for i := range count {
		p := image.NewRGBA(image.Rect(0, 0, 20, 20))
		c := color.RGBA{uint8(random.Uint32()), uint8(random.Uint32()), uint8(random.Uint32()), 255}
		for at := range 400 {
			p.Set(at%20, at/20, c)
		}
		f, err := os.Create(filepath.Join(folder, fmt.Sprintf("%02d.png", i)))
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(png.Encode(f, p), f.Close()); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// An epoch shows each picture as often as its share says, rounded up or down, and is as
// long as the shares say.
func TestOrderFollowsShares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(t, "n")
		r := &run{runState: runState{Config: Config{Seed: rapid.Uint64().Draw(t, "seed")}}}
		r.train.set = &dataset.Set{Samples: make([]dataset.Sample, n)}
		total := 0.0
		for range n {
			share := rapid.Float64Range(0.01, 5).Draw(t, "share")
			r.sampling = append(r.sampling, share)
			total += share
		}
		for i := range r.sampling {
			r.sampling[i] *= math.Max(1, math.Round(total)) / total
		}
		order := r.drawOrder(rapid.IntRange(1, 9).Draw(t, "epoch"))
		times := make([]int, n)
		for _, number := range order {
			times[number%n]++
		}
		if len(order) != r.picturesPerEpoch() {
			t.Fatalf("%d pictures, want %d", len(order), r.picturesPerEpoch())
		}
		if sorted := slices.Compact(slices.Sorted(slices.Values(order))); len(sorted) != len(order) && n > 1 {
			t.Fatalf("a view is shown twice: %v", order)
		}
		for i, got := range times {
			if math.Abs(float64(got)-r.sampling[i]) >= 1+1e-9 {
				t.Fatalf("picture %d with the share %v is shown %d times", i, r.sampling[i], got)
			}
		}
	})
}

// A picture that an epoch shows again is changed in another way.
func TestRepeatedPicturesDiffer(t *testing.T) {
	c := tiny(t, drawn(t))
	c.DataWeight, c.Augment.RotationRangeDegrees = 2, 90
	r := begun(t, c)
	n := len(r.train.set.Samples)
	views := make([]float32, 2*r.train.length())
	if err := r.train.load(t.Context(), 1, 0, []int{3, 3 + n}, views, make([]float32, 4)); err != nil {
		t.Fatal(err)
	}
	if slices.Equal(views[:r.train.length()], views[r.train.length():]) {
		t.Error("both views are equal")
	}
}

// The best epoch is chosen by the mean over the data sets, not over their pictures.
func TestFiguresOfSources(t *testing.T) {
	c := tiny(t, drawn(t))
	c.Sources = []Source{{Path: noise(t), Weight: 1}}
	if _, err := Run(t.Context(), c, Progress{}); err == nil || !strings.Contains(err.Error(), "training pictures") {
		// The classes are others, so that both together have four.
		if err != nil {
			t.Fatal(err)
		}
	}
	_, state, _, err := readState(c.Out)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range state.History {
		if len(e.Sources) != 2 || e.Sources[0].Count != 6 || e.Sources[1].Count == 6 {
			t.Fatalf("figures of sources %+v", e.Sources)
		}
		if want := (e.Sources[0].Accuracy + e.Sources[1].Accuracy) / 2; e.ValidationAccuracy != want {
			t.Errorf("accuracy %v, want the mean %v", e.ValidationAccuracy, want)
		}
		if want := (e.Sources[0].Loss + e.Sources[1].Loss) / 2; math.Abs(e.ValidationLoss-want) > 1e-12 {
			t.Errorf("loss %v, want the mean %v", e.ValidationLoss, want)
		}
	}
	history := string(file(t, filepath.Join(c.Out, historyFile)))
	head, _, _ := strings.Cut(history, "\n")
	if columns := strings.Split(head, ","); len(columns) != 11 || !strings.HasPrefix(columns[8], "val_accuracy ") {
		t.Errorf("history begins %q", head)
	}
}

// Of several data sets each need not have all classes that are asked for.
func TestClassesOfSources(t *testing.T) {
	c := tiny(t, drawn(t))
	c.Sources = []Source{{Path: noise(t), Weight: 1}} // with the classes even and odd
	c.DataOptions.Classes = []string{"spots", "even"}
	if r := begun(t, c); !slices.Equal(r.classes, []string{"even", "spots"}) {
		t.Errorf("classes %v", r.classes)
	}
	c.DataOptions.Classes = []string{"spots", "stripes"}
	_, err := Run(t.Context(), c, Progress{})
	if err == nil || !strings.Contains(err.Error(), "none of the requested classes") {
		t.Errorf("a data set without any of them: %v", err)
	}
	c.DataOptions.Classes = []string{"spots", "even", "dots"}
	if _, err := Run(t.Context(), c, Progress{}); err == nil || !strings.Contains(err.Error(), `"dots"`) {
		t.Errorf("a class of no data set: %v", err)
	}
}

// Data sets that name a class in two ways are refused.
func TestSourcesDisagree(t *testing.T) {
	c := tiny(t, drawn(t))
	other := drawn(t)
	for _, split := range []string{"train", "validation", "test"} {
		from, to := filepath.Join(other, split, "spots"), filepath.Join(other, split, "Spots")
		// Two steps, for systems where both are one name.
		if err := errors.Join(os.Rename(from, to+"-"), os.Rename(to+"-", to)); err != nil {
			t.Fatal(err)
		}
	}
	c.Sources = []Source{{Path: other, Weight: 1}}
	_, err := Run(t.Context(), c, Progress{})
	var unlike *dataset.UnlikeClassesError
	if !errors.As(err, &unlike) || unlike.Classes != [2]string{"spots", "Spots"} {
		t.Errorf("error %v", err)
	}
}

// Other pictures that are pictures of a class, or none at all, are refused.
func TestOtherSaysWhatIsWrong(t *testing.T) {
	data := drawn(t)
	folder := coloured(t, 12, 1)
	twin := filepath.Join(folder, "twin.png")
	if err := os.WriteFile(twin, file(t, filepath.Join(data, "train", "spots", "0")), 0o644); err != nil {
		t.Fatal(err)
	}
	c := tiny(t, data)
	c.Other = []Source{{Path: folder, Weight: 1}}
	_, err := Run(t.Context(), c, Progress{})
	var both *OtherError
	if !errors.As(err, &both) || len(both.Pictures) != 1 || !strings.Contains(err.Error(), twin) ||
		!strings.Contains(err.Error(), "spots") {
		t.Errorf("error %v", err)
	}
	c.Other[0].Path = t.TempDir()
	if _, err := Run(t.Context(), c, Progress{}); !errors.Is(err, dataset.ErrNoPictures) {
		t.Errorf("an empty folder: %v", err)
	}
	c.Other[0].Path = filepath.Join(t.TempDir(), "missing")
	if _, err := Run(t.Context(), c, Progress{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a folder that is missing: %v", err)
	}
}

// headLoss has the gradient that differences give.
func TestHeadLossGradient(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		k := rapid.IntRange(2, 5).Draw(t, "classes")
		value := rapid.Float64Range(-3, 3)
		loss := headLoss{nn.SoftmaxCrossEntropy{LabelSmoothing: 0.1}, nn.BinaryCrossEntropy{}}
		logits, targets := make([]float32, k+1), make([]float32, k+1)
		for i := range logits {
			logits[i] = float32(value.Draw(t, "logit"))
		}
		other := rapid.SampledFrom([]float32{0, 0.25, 1}).Draw(t, "other")
		targets[k], targets[rapid.IntRange(0, k-1).Draw(t, "class")] = other, 1-other
		gradient, scratch := make([]float32, k+1), make([]float32, k+1)
		loss.Gradient(gradient, logits, targets)
		for i := range logits {
			const step = 1e-2
			at := logits[i]
			logits[i] = at + step
			high := loss.Gradient(scratch, logits, targets)
			logits[i] = at - step
			low := loss.Gradient(scratch, logits, targets)
			logits[i] = at
			if want := (high - low) / (2 * step); math.Abs(want-float64(gradient[i])) > 1e-3 {
				t.Fatalf("derivative %d is %v, by differences %v", i, gradient[i], want)
			}
		}
	})
}

// Other pictures that look like a class are named.
func TestLookalikes(t *testing.T) {
	c := tiny(t, drawn(t))
	folder := t.TempDir()
	if err := errors.Join(os.Rename(coloured(t, 20, 1), filepath.Join(folder, "train")),
		os.Rename(coloured(t, 4, 2), filepath.Join(folder, "validation"))); err != nil {
		t.Fatal(err)
	}
	var like []string
	for i := range 2 { // pictures of a class, which the data set itself does not have
		path := filepath.Join(folder, "validation", fmt.Sprintf("like%d.png", i))
		p, err := png.Decode(bytes.NewReader(file(t, filepath.Join(c.Data, "train", "stripes", fmt.Sprint(i)))))
		if err != nil {
			t.Fatal(err)
		}
		var changed bytes.Buffer
		if err := (&png.Encoder{CompressionLevel: png.NoCompression}).Encode(&changed, p); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, changed.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
		like = append(like, path)
	}
	c.Other, c.Epochs, c.LearningRate = []Source{{Path: folder, Weight: 1}}, 30, 3e-3
	result := ran(t, c)
	for _, path := range like {
		at := slices.IndexFunc(result.Lookalikes, func(l Lookalike) bool { return l.Path == path })
		if at < 0 || result.Lookalikes[at].Class != "stripes" {
			t.Errorf("%s is not named in %+v", path, result.Lookalikes)
		}
	}
	if len(result.Lookalikes) > len(like)+2 {
		t.Errorf("%d other pictures look like a class", len(result.Lookalikes))
	}
}

// Each method's network learns to tell other pictures from those of the classes.
func TestOtherIsLearned(t *testing.T) {
	data := drawn(t)
	for _, method := range []accept.Method{accept.Class, accept.Head, accept.Exposure} {
		c := tiny(t, data)
		c.Other, c.Acceptance = []Source{{Path: coloured(t, 24, 1), Weight: 1}}, method
		c.Epochs, c.LearningRate, c.Batch = 30, 3e-3, 8
		result := ran(t, c)
		if result.Best.OtherAUROC < 0.8 {
			t.Errorf("%s: AUROC %v on validation", method, result.Best.OtherAUROC)
		}
		classifier := opened(t, result.Checkpoint)
		a := classifier.Description().Acceptance
		if len(a.Others) != 1 || a.Others[0].Count != 4 {
			t.Errorf("%s: measured on %+v", method, a.Others)
		}
	}
}

// Training counts an answer about other pictures as right if the network says that it is
// none of the classes, by the method that it is trained with.
func TestAnswersRight(t *testing.T) {
	for _, c := range []struct {
		method           accept.Method
		outputs, targets []float32
		other, want      bool
	}{
		{accept.Class, []float32{1, 0, 5}, []float32{0, 0, 1}, true, true},
		{accept.Class, []float32{5, 0, 1}, []float32{0, 0, 1}, true, false},
		{accept.Class, []float32{1, 0, 5}, []float32{1, 0, 0}, false, true}, // its class is
		{accept.Class, []float32{0, 1, -5}, []float32{1, 0, 0}, false, false},
		{accept.Head, []float32{5, 0, -1}, []float32{0, 0, 1}, true, true},
		{accept.Head, []float32{5, 0, 1}, []float32{0, 0, 1}, true, false},
		{accept.Exposure, []float32{0, 0.1, 0}, []float32{.3, .3, .3}, true, true},
		{accept.Exposure, []float32{0, 5, 0}, []float32{.3, .3, .3}, true, false},
	} {
		r := &run{runState: runState{Config: Config{Acceptance: c.method, Other: []Source{{Path: "x", Weight: 1}}}},
			classes: []string{"a", "b"}}
		if c.method == accept.Exposure {
			r.classes = append(r.classes, "c")
		}
		if got := r.answersRight(c.outputs, c.targets, c.other); got != c.want {
			t.Errorf("%s: outputs %v for %v are right: %v", c.method, c.outputs, c.targets, got)
		}
	}
}
