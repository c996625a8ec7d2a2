package train

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"garb/dataset"
	"garb/nn"
)

// TestOtherErrorNamesSome: the error names five pictures, and counts those beyond.
func TestOtherErrorNamesSome(t *testing.T) {
	six := []string{"p1", "p2", "p3", "p4", "p5", "p6"}
	for n, want := range map[int]string{1: "other pictures: p1", 5: "p1; p2; p3; p4; p5", 6: "p4; p5; and 1 more"} {
		text := (&OtherError{six[:n]}).Error()
		if !strings.HasSuffix(text, want) {
			t.Errorf("of %d pictures: %s", n, text)
		}
	}
}

// TestInitialValues: kernels are uniform within Glorot's bounds, and batch-norms do nothing.
func TestInitialValues(t *testing.T) {
	b := nn.NewBuilder(8, 8, 3)
	x := b.BatchNorm("n", b.Conv("c", b.Input(), 16, 3, 1, nn.Same, nn.WithBias()), 1e-3)
	g := b.Build(b.Dense("d", b.GlobalAveragePool(x), 40, nn.WithBias()))
	m := drawInitialWeights(g, 1)
	for name, want := range map[string]float32{"n/gamma": 1, "n/moving_variance": 1, "n/beta": 0, "n/moving_mean": 0,
		"c/bias": 0, "d/bias": 0} {
		for _, v := range m[name].Data {
			if v != want {
				t.Errorf("%s has the value %v", name, v)
			}
		}
	}
	for name, limit := range map[string]float64{
		"c/kernel": math.Sqrt(6. / (9 * (3 + 16))), "d/kernel": math.Sqrt(6. / (16 + 40)),
	} {
		least, most := math.Inf(1), math.Inf(-1)
		for _, v := range m[name].Data {
			least, most = min(least, float64(v)), max(most, float64(v))
		}
		// The outermost of more than 400 values is within 5 % of the bound.
		if least < -limit || least > -0.95*limit || most > limit || most < 0.95*limit {
			t.Errorf("%s is from %v to %v, within ±%v", name, least, most, limit)
		}
	}
	if other := drawInitialWeights(g, 2)["c/kernel"]; slices.Equal(other.Data, m["c/kernel"].Data) {
		t.Error("another seed has the same values")
	}
}

// TestSharesMakeAnEpoch: an epoch shows a whole number of pictures, in the data sets' shares.
func TestSharesMakeAnEpoch(t *testing.T) {
	set := &dataset.Set{Samples: make([]dataset.Sample, 8)}
	for _, weight := range []float64{1, 0.5, 2, 0.3} {
		r := &run{classes: []string{"a"}}
		r.Config.Sources = []Source{{Path: "b", Weight: weight}}
		r.train = split{set: set, from: []int{0, 0, 0, 0, 0, 1, 1, 1}}
		shares := r.computeShares()
		if weight == 1 {
			if shares != nil {
				t.Errorf("equal weights: %v", shares)
			}
			continue
		}
		total := 0.0
		for _, s := range shares {
			total += s
		}
		whole := math.Round(5 + 3*weight)
		if math.Abs(total-whole) > 1e-9 || math.Abs(shares[7]/shares[0]-weight) > 1e-9 {
			t.Errorf("weight %v: shares %v with a sum of %v, want %v", weight, shares, total, whole)
		}
	}
}

// TestUnrankedPoints: of what was not measured nothing is known.
func TestUnrankedPoints(t *testing.T) {
	for _, p := range rankPoints([]*Point{{Name: "waiting"}, {Name: "failed", Failed: "x"}}) {
		if p.Interval != [2]float64{0, 1} || p.PValue != 1 || p.RawPValue != 1 || !p.Noise || p.Difference != 0 {
			t.Errorf("%+v", p)
		}
	}
}

// TestOneStep: the first step of out-of-fold probabilities has the whole learning rate.
func TestOneStep(t *testing.T) {
	features, labels := blobs(20, 2, 5)
	o := OutOfFold{Folds: 2, Repeats: 1, Seed: 1, Epochs: 1, Batch: 64, LearningRate: 0.5}
	p, err := o.Probabilities(t.Context(), features, labels, 2, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if a := right(p, labels); a < 0.9 {
		t.Errorf("accuracy %v", a)
	}
}

// TestHeadLossByHand: the classes' loss counts as far as the picture is of a class, and the last
// output says how far it is.
func TestHeadLossByHand(t *testing.T) {
	logits := []float32{0.5, -1, 2}
	softmax := []float64{1 / (1 + math.Exp(-1.5)), 1 / (1 + math.Exp(1.5))} // of the first two
	sigmoid := 1 / (1 + math.Exp(-2))
	for _, targets := range [][]float32{{1, 0, 0}, {0, 1, 0}, {0, 0, 1}, {0.2, 0.5, 0.3}} {
		share := 1 - float64(targets[2])
		want := -share*math.Log(sigmoid) - (1-share)*math.Log(1-sigmoid)
		gradients := []float64{0, 0, sigmoid - share}
		for c, p := range softmax {
			want -= float64(targets[c]) * math.Log(p)
			gradients[c] = share*p - float64(targets[c])
		}
		have := make([]float32, 3)
		loss := headLoss{classes: nn.SoftmaxCrossEntropy{}}.Gradient(have, logits, targets)
		if math.Abs(loss-want) > 1e-6 {
			t.Errorf("targets %v: loss %v, want %v", targets, loss, want)
		}
		for c, g := range gradients {
			if math.Abs(float64(have[c])-g) > 1e-6 {
				t.Errorf("targets %v: derivative %d is %v, want %v", targets, c, have[c], g)
			}
		}
	}
}

// TestRemaining: what is left of a run takes as long for each picture as those of this process
// did, however fast the clock goes.
func TestRemaining(t *testing.T) {
	r := &run{}
	r.Config.Epochs, r.Config.Batch = 10, 10
	r.History, r.Seen, r.Step, r.Loss, r.Right = make([]Epoch, 2), 40, 4, 20, 30
	r.train = split{set: &dataset.Set{Samples: make([]dataset.Sample, 100)}}
	s := r.progress(&speed{began: time.Now().Add(-10 * time.Second), pictures: 100})
	// The third epoch and the seven after it, less what was seen.
	if left := s.Remaining.Seconds() * s.PicturesPerSecond; math.Abs(left-760) > 1e-3 {
		t.Errorf("%v pictures are left, want 760", left)
	}
	if s.PicturesPerSecond <= 0 || s.PicturesPerSecond > 10 {
		t.Errorf("%v pictures a second", s.PicturesPerSecond)
	}
	if s.Epoch != 3 || s.Epochs != 10 || s.Step != 4 || s.Steps != 10 || s.Loss != 0.5 || s.Accuracy != 0.75 {
		t.Errorf("%+v", s)
	}
}

// TestMeanCurves: a curve has the mean of a point's runs as far as all have come, and a band from
// the least to the most if there are several.
func TestMeanCurves(t *testing.T) {
	run := func(losses ...float64) SweepRun {
		var r SweepRun
		for _, l := range losses {
			r.History = append(r.History, Epoch{ValidationLoss: l})
		}
		return r
	}
	loss := func(e Epoch) float64 { return e.ValidationLoss }
	s := meanCurve(&Point{Name: "p", Runs: []SweepRun{run(5, 3, 1), run(4, 2), run(9, 1, 7)}}, loss)
	if !slices.Equal(s.X, []float64{1, 2}) || !slices.Equal(s.Y, []float64{6, 2}) ||
		!slices.Equal(s.Low, []float64{4, 1}) || !slices.Equal(s.High, []float64{9, 3}) {
		t.Errorf("%+v", s)
	}
	s = meanCurve(&Point{Name: "p", Runs: []SweepRun{run(5, 3)}}, loss)
	if !slices.Equal(s.Y, []float64{5, 3}) || s.Low != nil || s.High != nil {
		t.Errorf("one run: %+v", s)
	}
}

// TestLayersOfAnUnknownBackbone: what cannot be looked up is an error, not a guess.
func TestLayersOfAnUnknownBackbone(t *testing.T) {
	c := Default()
	c.Data, c.Out, c.Backbone = "data", "run", "none"
	for _, f := range []FineTune{{Last: 2}, {From: "block"}} {
		c.FineTune = f
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), "none") {
			t.Errorf("%s: %v", f, err)
		}
	}
}

// TestRunNeedsAFolderForFeatures: the features of a frozen backbone are kept, and a run that has
// nowhere to keep them says so before it begins.
func TestRunNeedsAFolderForFeatures(t *testing.T) {
	c := config(t, drawn(t))
	for _, name := range []string{"GARB_HOME", "XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, "")
	}
	if _, err := prepare(t.Context(), c, Progress{}); err == nil || !strings.Contains(err.Error(), "GARB_HOME") {
		t.Errorf("%v", err)
	}
}
