package accept

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

func checkClose(t *testing.T, what string, got, want, tolerance float64) {
	t.Helper()
	if !(math.Abs(got-want) <= tolerance) {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

func TestScore(t *testing.T) {
	outputs := []float32{1, 3, 2.5}
	sum := math.Log(math.E + math.Exp(3))
	for m, want := range map[Method]float64{Class: sum - 2.5, Head: 2.5, Exposure: 3 - 1, Energy: sum} {
		checkClose(t, string(m), Score(m, outputs, 2), want, 1e-12)
	}
	// Large logits do not overflow.
	checkClose(t, "energy", Score(Energy, []float32{2000, 2000}, 2), 2000+math.Ln2, 1e-9)
}

// TestClassScore checks that the score of Class is the logit of the sum of the classes'
// probabilities.
func TestClassScore(t *testing.T) {
	z := []float32{.3, -1, 2}
	other := math.Exp(2) / (math.Exp(.3) + math.Exp(-1) + math.Exp(2))
	checkClose(t, "probability", Logistic(Score(Class, z, 2)), 1-other, 1e-6)
}

func TestMethods(t *testing.T) {
	for _, m := range Methods() {
		if err := m.Validate(); err != nil {
			t.Error(err)
		}
		if m.HasOutput() != (m == Class || m == Head) || m.NeedsFeatures() != (m == Distance || m == Neighbours) {
			t.Errorf("%s: what it needs", m)
		}
	}
	if err := Method("magic").Validate(); !errors.Is(err, ErrMethod) {
		t.Error(err)
	}
}

func TestAUROC(t *testing.T) {
	for _, c := range []struct {
		accepted, others []float64
		want             float64
	}{
		{[]float64{2, 3}, []float64{0, 1}, 1},
		{[]float64{0, 1}, []float64{2, 3}, 0},
		{[]float64{1, 1}, []float64{1, 1, 1}, .5},
		{[]float64{1, 2, 3}, []float64{2}, .5},
		{[]float64{2, 3}, []float64{1, 2}, 3.5 / 4},
	} {
		checkClose(t, "AUROC", AUROC(c.accepted, c.others), c.want, 1e-12)
	}
	if v := AUROC(nil, []float64{1}); !math.IsNaN(v) {
		t.Errorf("AUROC of nothing is %v", v)
	}
}

// TestAUROCCountsPairs checks that AUROC is the share of pairs in the right order.
func TestAUROCCountsPairs(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		score := rapid.Map(rapid.IntRange(0, 9), func(i int) float64 { return float64(i) })
		accepted, others := rapid.SliceOfN(score, 1, 20).Draw(t, "accepted"),
			rapid.SliceOfN(score, 1, 20).Draw(t, "others")
		wins := 0.0
		for _, a := range accepted {
			for _, b := range others {
				switch {
				case a > b:
					wins++
				case a == b:
					wins += .5
				}
			}
		}
		if got := AUROC(accepted, others); math.Abs(got-wins/float64(len(accepted)*len(others))) > 1e-9 {
			t.Fatalf("%v, by pairs %v", got, wins)
		}
	})
}

func TestFindThreshold(t *testing.T) {
	for _, c := range []struct {
		accepted, others []float64
		want             float64
	}{
		{[]float64{.6, .8}, []float64{.2, .4}, .5},          // the middle of the gap
		{[]float64{.6, .8}, []float64{.2, .4, .7}, .5},      // one of the others is let through
		{[]float64{.1, .8, .9}, []float64{.2, .4}, .6},      // one is refused
		{[]float64{.5, .5}, []float64{.5}, 0},               // nothing to tell them apart by: all accepted
		{[]float64{.1}, []float64{.9}, 0},                   // the wrong way round
		{[]float64{.2, .6}, []float64{.1, .3}, .2 - .05},    // two are equally good: the first
		{[]float64{1, 1, 1}, []float64{0, 0, 1e-17}, .5},    // saturated
		{[]float64{.3, .3, .3}, []float64{.3, .1, .2}, .25}, // ties
	} {
		checkClose(t, "threshold", FindThreshold(c.accepted, c.others), c.want, 1e-12)
	}
}

// TestFindThresholdByGroups checks that twenty easy pictures of one kind do not outweigh two of
// another.
func TestFindThresholdByGroups(t *testing.T) {
	accepted := []float64{.4, .7, .8, .9}
	easy, hard := slices.Repeat([]float64{.1}, 20), []float64{.5, .6}
	checkClose(t, "threshold", FindThreshold(accepted, slices.Concat(easy, hard)), .25, 1e-12)
	checkClose(t, "threshold", FindThreshold(accepted, easy, hard), .65, 1e-12)
}

// TestFindThresholdIsBest checks that no other threshold is better.
func TestFindThresholdIsBest(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		value := rapid.Map(rapid.IntRange(0, 20), func(i int) float64 { return float64(i) / 20 })
		accepted, others := rapid.SliceOfN(value, 1, 20).Draw(t, "accepted"),
			rapid.SliceOfN(value, 1, 20).Draw(t, "others")
		more := rapid.SliceOfN(value, 1, 20).Draw(t, "more")
		wrong := func(threshold float64) float64 {
			return 1 - CountAccepted(accepted, threshold).Value() +
				(CountAccepted(others, threshold).Value()+CountAccepted(more, threshold).Value())/2
		}
		got := FindThreshold(accepted, others, more)
		if got < 0 || got > 1 {
			t.Fatalf("threshold %v", got)
		}
		for i := range 43 {
			if other := float64(i) / 42; wrong(other) < wrong(got)-1e-9 {
				t.Fatalf("%v is better than %v", other, got)
			}
		}
	})
}

func TestThresholdFor(t *testing.T) {
	var values []float64
	for i := range 100 {
		values = append(values, float64(99-i)/100)
	}
	for _, c := range []struct {
		share float64
		count int
	}{{.95, 95}, {1, 100}, {.5, 50}, {.951, 96}, {0, 1}} {
		if s := CountAccepted(values, ThresholdFor(values, c.share)); s.Accepted != c.count {
			t.Errorf("share %v: %d accepted", c.share, s.Accepted)
		}
	}
	if s := CountAccepted([]float64{.5, .5, .5}, ThresholdFor([]float64{.5, .5, .5}, .6)); s.Accepted != 3 {
		t.Errorf("of equal values %d are accepted", s.Accepted)
	}
	checkClose(t, "threshold", ThresholdFor([]float64{.2, .4, .6, .8}, .75), .3, 1e-12)
}

// TestFit checks that Fit finds the slope and offset that the scores were drawn with.
func TestFit(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	const slope, offset = 2.5, -20
	var accepted, others []float64
	for range 200000 {
		s := 8 + 2*r.NormFloat64() // symmetric about .5, so the groups are equally large
		if r.Float64() < Logistic(slope*s+offset) {
			accepted = append(accepted, s)
		} else {
			others = append(others, s)
		}
	}
	c := Fit(accepted, others)
	checkClose(t, "slope", c.Slope, slope, .03)
	checkClose(t, "offset", c.Offset, offset, .25)
}

// TestFitWeighsGroupsEqually checks that groups of different size count equally: the acceptance
// is .5 where both have the same density.
func TestFitWeighsGroupsEqually(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var accepted, others []float64
	for range 200 {
		accepted = append(accepted, 1+r.NormFloat64())
	}
	for range 20000 {
		others = append(others, -1+r.NormFloat64())
	}
	checkClose(t, "acceptance in the middle", Fit(accepted, others).Acceptance(0), .5, .05)
}

// TestFitExtremes checks that separated groups get a finite calibration, and groups in the wrong
// order a flat one.
func TestFitExtremes(t *testing.T) {
	c := Fit([]float64{10, 11}, []float64{0, 1})
	if err := c.Validate(); err != nil || !(c.Acceptance(10) > .6) || !(c.Acceptance(1) < .4) {
		t.Errorf("%+v: %v %v %v", c, err, c.Acceptance(10), c.Acceptance(1))
	}
	checkClose(t, "middle", c.Acceptance(5.5), .5, 1e-6)
	for _, c := range []Calibration{Fit([]float64{0, 1}, []float64{10, 11}), Fit([]float64{3, 3}, []float64{3})} {
		if c != (Calibration{}) || c.Acceptance(7) != .5 {
			t.Errorf("%+v", c)
		}
	}
	huge := Fit([]float64{1e30, 2e30}, []float64{-1e30})
	if err := huge.Validate(); err != nil || !(huge.Acceptance(1e30) > .5) {
		t.Errorf("%+v", huge)
	}
}

func TestFitAlone(t *testing.T) {
	var scores []float64
	for i := range 1000 {
		scores = append(scores, -7+float64(i)/100)
	}
	f := FitAll(scores)
	checkClose(t, "acceptance at 5 %", f.Acceptance(scores[50]), .5, 1e-9)
	checkClose(t, "acceptance at 50 %", f.Acceptance(scores[500]), .95, 1e-9)
	if f.Validation != (Share{1000, 950}) || f.Others != nil {
		t.Errorf("%+v", f)
	}
	checkClose(t, "threshold", f.Threshold, .5, .01)
	for _, same := range [][]float64{{4, 4, 4}, {4}} {
		if f := FitAll(same); f.Validate() != nil || f.Validation.Accepted != len(same) {
			t.Errorf("of equal scores: %+v", f)
		}
	}
}

func TestFitAll(t *testing.T) {
	f := FitAll([]float64{5, 6, 7, 8}, []float64{0, 1}, nil, []float64{2, 9})
	want := []Share{{2, 0}, {0, 0}, {2, 1}}
	if f.Validation != (Share{4, 4}) || !slices.Equal(f.Others, want) {
		t.Errorf("%+v", f)
	}
	if at := f.Acceptance(3.5); math.Abs(at-f.Threshold) > .1 {
		t.Errorf("the threshold is %v; averaged over the groups it is %v", f.Threshold, at)
	}
}

// TestShare compares the interval with figures of R's binom.confint(method = "wilson").
func TestShare(t *testing.T) {
	s := Share{Count: 10, Accepted: 3}
	checkClose(t, "share", s.Value(), .3, 1e-12)
	checkClose(t, "low", s.Low(), .1077913, 1e-6)
	checkClose(t, "high", s.High(), .6032219, 1e-6)
	checkClose(t, "high of none", Share{Count: 200}.High(), .0188457, 1e-6)
	if low, high := (Share{}).interval(); low != 0 || high != 1 || (Share{}).Value() != 0 {
		t.Errorf("no pictures: %v to %v", low, high)
	}
	for _, bad := range []Share{{-1, 0}, {1, 2}, {1, -1}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}

func TestCalibrationValidate(t *testing.T) {
	for _, bad := range []Calibration{{math.NaN(), 0}, {-1, 0}, {math.Inf(1), 0}, {1, math.Inf(-1)}, {1, math.NaN()}} {
		if bad.Validate() == nil {
			t.Errorf("%+v is accepted", bad)
		}
	}
}
