package evaluate

import (
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"garb/dataset"
	"garb/model"
	"garb/picture"
)

func TestMcNemar(t *testing.T) {
	for _, c := range []struct {
		onlyA, onlyB int
		want         float64
	}{
		{0, 0, 1}, {5, 5, 1}, {1, 0, 1},
		{0, 5, 2 * 1.0 / 32}, {1, 5, 2 * 7.0 / 64}, {2, 8, 2 * 56.0 / 1024},
		// 2·Σ C(n,k)/2ⁿ in whole numbers, by Python.
		{10, 25, 0.01667384780012071}, {300, 400, 0.00017847631448562445},
	} {
		if got := McNemar(c.onlyA, c.onlyB); math.Abs(got-c.want) > 1e-9 {
			t.Errorf("McNemar(%d, %d) = %.7f, want %v", c.onlyA, c.onlyB, got, c.want)
		}
	}
	rapid.Check(t, func(r *rapid.T) {
		a, b := rapid.IntRange(0, 2000).Draw(r, "a"), rapid.IntRange(0, 2000).Draw(r, "b")
		p := McNemar(a, b)
		if p != McNemar(b, a) || !(p >= 0 && p <= 1) {
			r.Fatalf("McNemar(%d, %d) = %v, the other way round %v", a, b, p, McNemar(b, a))
		}
		if a > b && McNemar(a+1, b) > p+1e-12 {
			r.Fatalf("a more uneven split is likelier")
		}
	})
}

func TestTemperature(t *testing.T) {
	if got := Temperature(nil, nil); got != 1 {
		t.Errorf("of nothing %v", got)
	}
	// Two classes, logits (0, z): the label is 1 for 3 of 4, so σ(z/T) should be 3/4.
	var logits [][]float32
	var labels []int
	for i := range 400 {
		logits, labels = append(logits, []float32{0, 4}), append(labels, min(i%4, 1))
	}
	const soft = 1.0 / 402 // of each label, which the other class gets
	want := 4 / math.Log((0.75-0.5*soft)/(0.25+0.5*soft))
	if got := Temperature(logits, labels); math.Abs(got-want) > 2e-3 {
		t.Errorf("temperature %v, want %v", got, want)
	}
	// Thirty answers, all right by far: the model may become as sure as they allow.
	logits, labels = nil, nil
	for range 30 {
		logits, labels = append(logits, []float32{0, 9}), append(labels, 1)
	}
	if sure := 1 / (1 + math.Exp(-9/Temperature(logits, labels))); math.Abs(sure-31.0/32) > 1e-3 {
		t.Errorf("after thirty right answers it is %v sure", sure)
	}
	rapid.Check(t, func(r *rapid.T) {
		n := rapid.IntRange(1, 40).Draw(r, "n")
		var logits [][]float32
		var labels []int
		for range n {
			logits = append(logits, rapid.SliceOfN(rapid.Float32Range(-9, 9), 3, 3).Draw(r, "logits"))
			labels = append(labels, rapid.IntRange(0, 2).Draw(r, "label"))
		}
		best, soft := Temperature(logits, labels), 1/float64(n+2)
		at := computeLoss(logits, labels, best, soft)
		for _, other := range []float64{0.06, 0.3, 1, 3, 19, best * 0.9, best * 1.1} {
			if other < minTemperature || other > maxTemperature {
				continue
			}
			if loss := computeLoss(logits, labels, other, soft); loss < at-1e-5 {
				r.Fatalf("temperature %v has the loss %v, and %v only %v", best, at, other, loss)
			}
		}
	})
}

// said makes an answer of the class "a" with the given first prediction.
func said(class string, probability float64) Answer {
	return Answer{Class: "a", Predictions: []model.Prediction{{Class: class, Probability: probability}, {Class: "z",
		Probability: 1 - probability}}}
}

func TestCalibration(t *testing.T) {
	answers := []Answer{said("a", 0.95), said("b", 0.95), said("a", 0.55), said("a", 1), said("b", 0)}
	ece, bins := Calibration(answers)
	// The last range, (14/15, 1], has three: confidence 2.9/3, two right; 0.55 is in
	// (8/15, 9/15]; 0 in the first.
	want := 3.0/5*(2.9/3-2.0/3) + 1.0/5*(1-0.55)
	if math.Abs(ece-want) > 1e-9 || bins[14].Count != 3 || bins[8].Count != 1 || bins[0].Count != 1 {
		t.Errorf("ECE %v, want %v; %+v", ece, want, bins)
	}
	// An upper end belongs to its range, a lower end to the one before.
	for b := range bins {
		if _, one := Calibration([]Answer{said("a", bins[b].High)}); one[b].Count != 1 {
			t.Errorf("%v is not in the range that ends there", bins[b].High)
		}
	}
	if ece, _ := Calibration(nil); ece != 0 {
		t.Errorf("of nothing %v", ece)
	}
	rapid.Check(t, func(r *rapid.T) {
		var answers []Answer
		for range rapid.IntRange(1, 50).Draw(r, "n") {
			answers = append(answers,
				said(rapid.SampledFrom([]string{"a", "b"}).Draw(r, "class"), rapid.Float64Range(0,
					1).Draw(r, "p")))
		}
		ece, bins := Calibration(answers)
		total := 0
		for _, b := range bins {
			total += b.Count
		}
		if !(ece >= 0 && ece <= 1) || total != len(answers) {
			r.Fatalf("ECE %v of %d answers, %d in ranges", ece, len(answers), total)
		}
	})
}

// TestWilsonHoldsTheShare checks that the interval is within 0 and 1, contains the share, is
// mirrored when right and wrong are exchanged, and narrows with more pictures.
func TestWilsonHoldsTheShare(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		count := rapid.IntRange(1, 100_000).Draw(r, "count")
		right := rapid.IntRange(0, count).Draw(r, "right")
		got, share := Wilson(right, count), float64(right)/float64(count)
		const rounding = 1e-12
		if !(0 <= got[0] && got[0] <= share+rounding && share-rounding <= got[1] && got[1] <= 1) {
			r.Fatalf("%d of %d: %v", right, count, got)
		}
		if other := Wilson(count-right, count); math.Abs(1-other[1]-got[0]) > rounding ||
			math.Abs(1-other[0]-got[1]) > rounding {
			r.Fatalf("%d of %d: %v, and of the wrong ones %v", right, count, got, other)
		}
		if more := Wilson(2*right, 2*count); more[1]-more[0] >= got[1]-got[0] {
			r.Fatalf("twice %d of %d is as uncertain", right, count)
		}
	})
}

func TestTopK(t *testing.T) {
	one := func(class string) Answer {
		return Answer{Class: class,
			Predictions: []model.Prediction{{Class: "a"}, {Class: "b"}, {Class: "c"}, {Class: "d"}}}
	}
	got := computeTopK([]Answer{one("a"), one("b"), one("c"), one("d")})
	if len(got) != 3 || got[1] != 0.25 || got[2] != 0.5 || got[3] != 0.75 {
		t.Errorf("%v", got)
	}
}

func TestCompare(t *testing.T) {
	answer := func(right ...bool) *Report {
		r := &Report{Count: len(right)}
		for _, ok := range right {
			class := "b"
			if ok {
				class = "a"
			}
			a := said(class, 0.9)
			a.Sample = dataset.Sample{Path: "p"}
			r.Answers = append(r.Answers, a)
		}
		return r
	}
	c, err := Compare(answer(true, true, false, false, true), answer(true, false, true, false, false))
	if err != nil || c.Both != 1 || c.OnlyA != 2 || c.OnlyB != 1 || c.Neither != 1 || len(c.Differ) != 3 ||
		c.PValue != 1 {
		t.Errorf("%+v, %v", c, err)
	}
	other := answer(true)
	other.Answers[0].digest = "y"
	if _, err := Compare(answer(true), other); err == nil {
		t.Error("different pictures were compared")
	}
}

func TestWritePage(t *testing.T) {
	set := set(t, map[string]string{"hat/1": "hat", "hat/2": "shoes", "hat/4": "error", "shoes/1": "shoes",
		"shoes/2": "hat"})
	r, err := Run(t.Context(), fake{[]string{"dress", "hat", "shoes"}}, set, picture.DefaultLimits(), nil)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	d := Document{Title: "a & b", Parts: []Part{{"test", r}},
		Curves:  []Curve{{Epoch: 1, Loss: 1}, {Epoch: 2, Loss: 0.5}},
		Skipped: []string{"<gone>"}}
	d.About.Training = &model.Training{Settings: []byte(`{"learning_rate":0.001,"data":""}`)}
	if err := WritePage(t.Context(), &b, d); err != nil {
		t.Fatal(err)
	}
	text := b.String()
	for _, want := range []string{"a &amp; b", "&lt;gone&gt;", "Calibration, test", "Wrong answers", "learning rate",
		"0.001", r.DataDigest} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	selfContained(t, text)
	if wrong := sortWrong(r.Answers); !slices.IsSortedFunc(wrong, func(a, b Answer) int {
		return int(math.Copysign(1, b.Predictions[0].Probability-a.Predictions[0].Probability))
	}) {
		t.Error("the most confident are not first")
	}
}
