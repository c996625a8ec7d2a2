package train

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/evaluate"
)

// measured makes a run of a fold that was right about some pictures, "1", not others.
func measured(fold int, right string) SweepRun {
	r := SweepRun{Fold: fold, right: right}
	r.Best.ValidationAccuracy = float64(strings.Count(right, "1")) / float64(len(right))
	return r
}

// TestEqualPointsAreNotToldApart simulates 1000 sweeps of points with identical settings, as
// sweep.json has them: at most 6 % call any of them worse. Pictures differ in difficulty, and
// seeds in luck, by 0.9 points of accuracy.
func TestEqualPointsAreNotToldApart(t *testing.T) {
	sweeps, allowed := 1000, 0.06
	if testing.Short() {
		sweeps, allowed = 200, 0.09
	}
	for _, count := range []int{2, 5, 8} {
		for _, seeds := range []int{1, 3} {
			t.Run(fmt.Sprintf("%d points, %d seeds", count, seeds), func(t *testing.T) {
				t.Parallel()
				random := rand.New(rand.NewPCG(5, uint64(10*count+seeds)))
				wrong := 0
				for range sweeps {
					points := simulateEqualPoints(random, count, seeds)
					if slices.ContainsFunc(rankPoints(points), func(p *Point) bool { return !p.Noise }) {
						wrong++
					}
				}
				share := float64(wrong) / float64(sweeps)
				t.Logf("%.1f %%", 100*share)
				if share > allowed {
					t.Errorf("%.1f %% of the sweeps call a point worse, more than %.0f %%", 100*share, 100*allowed)
				}
			})
		}
	}
}

// simulateEqualPoints draws the runs of points that are equally good.
func simulateEqualPoints(random *rand.Rand, count, seeds int) []*Point {
	const pictures = 340
	var chances [pictures]float64 // to be right
	for j := range chances {
		chances[j] = 1 / (1 + math.Exp(-3.6-3*random.NormFloat64()))
	}
	points := make([]*Point, count)
	for i := range points {
		points[i] = &Point{Name: fmt.Sprint(i)}
		for range seeds {
			luck := 1 + 0.06*random.NormFloat64()
			right := []byte(strings.Repeat("0", pictures))
			for j, chance := range chances {
				if random.Float64() >= luck*(1-chance) {
					right[j] = '1'
				}
			}
			points[i].Runs = append(points[i].Runs, measured(0, string(right)))
		}
	}
	return points
}

func TestRanked(t *testing.T) {
	point := func(name string, right ...int) *Point { // of 100 pictures
		p := &Point{Name: name}
		for _, n := range right {
			p.Runs = append(p.Runs, measured(0, strings.Repeat("1", n)+strings.Repeat("0", 100-n)))
		}
		return p
	}
	good := point("good", 90, 92, 94)
	tied := point("tied", 94, 90, 92)
	close, bad := point("close", 89, 93, 91), point("bad", 40, 42, 44)
	begun, waiting, failed := point("begun", 80), point("waiting"), point("failed", 99)
	failed.Failed = "seed 2: diverged"
	given := []*Point{waiting, failed, begun, bad, good, close, tied}
	points := rankPoints(given)
	var names []string
	for _, p := range points {
		names = append(names, p.Name)
	}
	if got := strings.Join(names, " "); got != "good tied close begun bad waiting failed" {
		t.Fatal(got)
	}
	if given[0] != waiting {
		t.Error("the order of the argument changed")
	}
	if math.Abs(good.Mean-0.92) > 1e-12 || math.Abs(good.Spread-0.02) > 1e-12 {
		t.Errorf("the mean of .90, .92, .94 is %v, the spread %v; it divides by n − 1", good.Mean, good.Spread)
	}
	if begun.Spread != 0 || begun.Interval != evaluate.Wilson(80, 100) {
		t.Errorf("one run: %+v", begun)
	}
	if pooled := evaluate.Wilson(276, 300); good.Interval[1]-good.Interval[0] < 1.3*(pooled[1]-pooled[0]) {
		t.Errorf("the interval %v is that of pooled answers, %v", good.Interval, pooled)
	}
	for _, p := range []*Point{good, tied, close, failed, waiting} {
		if !p.Noise {
			t.Errorf("%s is worse: %+v", p.Name, p)
		}
	}
	if bad.Noise || bad.PValue > 0.001 || math.Abs(bad.Difference+0.5) > 1e-12 {
		t.Errorf("%+v", bad)
	}
	if tied.Difference != 0 || tied.PValue != 1 || tied.Verdict() != "equal (p = 1)" {
		t.Errorf("a tie: %s, %+v", tied.Verdict(), tied)
	}
	// Five points have figures, so there are ten pairs, of which those with bad are found
	// first: Holm multiplies by 10 down to 7.
	if r := bad.PValue / bad.RawPValue; r < 7-1e-9 || r > 10+1e-9 {
		t.Errorf("p = %v is adjusted to %v, %v times", bad.RawPValue, bad.PValue, r)
	}
	// 0.1 + 0.2 + 0.3 is not 0.3 + 0.2 + 0.1 to the bit.
	if points := rankPoints([]*Point{point("up", 10, 20, 30), point("down", 30, 20, 10)}); points[1].Difference != 0 {
		t.Errorf("a tie but for rounding: %v", points[1].Difference)
	}
	if got := rankPoints(nil); len(got) != 0 {
		t.Error(got)
	}
}

// TestRankedWhileRunsAreLeft: a point that has done only an easy fold is compared on that
// fold, not called better or worse for it.
func TestRankedWhileRunsAreLeft(t *testing.T) {
	easy, hard := strings.Repeat("1", 200), strings.Repeat("10", 100)
	half := &Point{Name: "half", Runs: []SweepRun{measured(1, easy)}}
	whole := &Point{Name: "whole", Runs: []SweepRun{measured(1, easy), measured(2, hard)}}
	points := rankPoints([]*Point{whole, half})
	if points[0] != half || whole.PValue != 1 || !whole.Noise {
		t.Errorf("best %s; %+v", points[0].Name, whole)
	}
	// The first by its mean is worse on what both have done.
	half.Runs[0] = measured(1, strings.Repeat("1", 170)+strings.Repeat("0", 30))
	points = rankPoints([]*Point{whole, half})
	if points[0] != half || whole.PValue != 1 || !whole.Noise {
		t.Errorf("best %s; %+v", points[0].Name, whole)
	}
}

func TestRankedOverFolds(t *testing.T) {
	a, b := &Point{Name: "a"}, &Point{Name: "b"}
	for fold := 1; fold <= 5; fold++ {
		n := 60 + fold // folds of other sizes
		a.Runs = append(a.Runs, measured(fold, strings.Repeat("1", n)))
		b.Runs = append(b.Runs, measured(fold, strings.Repeat("1", n-12-fold%2)+strings.Repeat("0", 12+fold%2)))
	}
	points := rankPoints([]*Point{b, a})
	if points[0] != a || b.Noise || b.Interval[1] > 0.9 {
		t.Errorf("%+v", b)
	}
}

func TestWordsOfARanking(t *testing.T) {
	run := []SweepRun{measured(0, "1")}
	best := &Point{Runs: run, Noise: true, PValue: 1}
	noise := &Point{Runs: run, Noise: true, PValue: 0.371, Difference: -0.01}
	worse, far := &Point{Runs: run, PValue: 0.0123, Difference: -0.1},
		&Point{Runs: run, PValue: 1e-9, Difference: -0.5}
	failed := &Point{Failed: "diverged", Noise: true}
	for p, want := range map[*Point]string{
		best: "equal (p = 1)", noise: "within noise (p = 0.37)", worse: "worse (p = 0.012)", far: "worse (p < 0.001)",
	} {
		if got := p.Verdict(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	for want, points := range map[string][]*Point{
		"":                      {best, failed},
		"No point is":           {best, noise, failed},
		"than the other point.": {best, worse, failed},
		"than all 2 others.":    {best, worse, far},
		"than 1 of the 2 others; the rest are within noise.": {best, noise, far},
	} {
		if got := Conclusion(points); !strings.Contains(got, want) || want == "" && got != "" {
			t.Errorf("%q, want %q", got, want)
		}
	}
	several := &Point{Runs: append(run, run...), Noise: true}
	one, more := Conclusion([]*Point{best, noise}), Conclusion([]*Point{several, several})
	if !strings.Contains(one, "several seeds") || !strings.Contains(more, "more runs") {
		t.Errorf("%q, %q", one, more)
	}
	one, more = Sweep{Seeds: 1}.Method(), Sweep{Seeds: 3}.Method()
	if !strings.Contains(one, "McNemar") || !strings.Contains(one, " 0.01 in") || !strings.Contains(more, "t test") {
		t.Errorf("%q, %q", one, more)
	}
}

// sweepOf is a sweep of few seconds over two learning rates.
func sweepOf(t *testing.T) Sweep {
	c := config(t, drawn(t))
	c.Epochs = 2
	return Sweep{Base: c, Axes: []Axis{{"learning-rate", []string{"0.01", "0.001"}}}, Seeds: 1}
}

func (s Sweep) quietly(t *testing.T) ([]*Point, int, error) {
	t.Helper()
	steps := 0
	points, err := s.Run(context.Background(), func(*Point, int, int) Progress {
		return Progress{Step: func(Step) { steps++ }}
	})
	return points, steps, err
}

// TestSweepGoesOn: values and seeds may be added, and nothing is done twice.
func TestSweepGoesOn(t *testing.T) {
	s := sweepOf(t)
	_, steps, err := s.quietly(t)
	if err != nil || steps == 0 {
		t.Fatal(steps, err)
	}
	page := func() string {
		text, readErr := os.ReadFile(filepath.Join(s.Base.Out, reportFile))
		if readErr != nil {
			t.Fatal(readErr)
		}
		return string(text)
	}
	if p := page(); !strings.Contains(p, "was trained once, for at most 2 epochs") ||
		strings.Contains(p, "<th>spread") {
		t.Error(p)
	}
	s.Axes[0].Values = append(s.Axes[0].Values, "0.1")
	s.Base.LearningRate, s.Base.Dropout = 0.1, 0 // as the flags leave it: of no meaning
	points, more, err := s.quietly(t)
	if err != nil || len(points) != 3 || more != steps/2 {
		t.Errorf("another value: %d points, %d steps after %d, %v", len(points), more, steps, err)
	}
	s.Seeds = 2
	points, more, err = s.quietly(t)
	if err != nil || len(points[0].Runs) != 2 || more != 3*steps/2 {
		t.Errorf("another seed: %d steps after %d, %v", more, steps, err)
	}
	s.Axes = append(s.Axes, Axis{"dropout", []string{"0", "0.5"}})
	s.Seeds, s.Base.Dropout = 1, 0.5
	if points, more, err = s.quietly(t); err != nil || len(points) != 6 || more != 3*steps {
		t.Errorf("another axis: %d points, %d steps after %d, %v", len(points), more, steps, err)
	}
	if p := page(); !strings.Contains(p, "dropout=0.5") || !strings.Contains(p, "adjusted for all pairs") {
		t.Error(p)
	}
	var read []*Point
	text, err := os.ReadFile(filepath.Join(s.Base.Out, "sweep.json"))
	if err == nil {
		err = json.Unmarshal(text, &read)
	}
	if err != nil || len(read) != 6 || read[0].PValue != 1 || len(read[0].Runs[0].History) != 2 {
		t.Errorf("%v: %s", err, text)
	}
}

// refused checks that a sweep is refused because it does not belong to its folder.
func refused(t *testing.T, name, said string, s Sweep) {
	t.Helper()
	var mixed *MixedError
	if _, _, err := s.quietly(t); !errors.As(err, &mixed) || !strings.Contains(err.Error(), said) {
		t.Errorf("%s: %v", name, err)
	}
}

// TestSweepMixesNothing: what differs in more than values and seeds is refused.
func TestSweepMixesNothing(t *testing.T) {
	s := sweepOf(t)
	if _, _, err := s.quietly(t); err != nil {
		t.Fatal(err)
	}
	other := s
	other.Base.Batch = 3
	refused(t, "another batch size", "batch (3, not 4)", other)
	other = s
	other.Base.Epochs = 3
	refused(t, "more epochs", "epochs (3, not 2)", other)
	other = s
	other.Axes, other.Base.LearningRate = []Axis{{"dropout", []string{"0", "0.5"}}}, 0.5
	if _, _, err := other.quietly(t); err != nil { // of the axis that is gone the base had any value
		t.Errorf("another axis in place of the first: %v", err)
	}

	// All folds of a cross-validation are runs beside the others; of another number they are not.
	other = s
	other.Folds, other.Seeds = 3, 2
	points, _, err := other.quietly(t)
	if err != nil || len(points[0].Runs) != 6 {
		t.Fatalf("folds: %v", err)
	}
	seen := map[string]bool{}
	for i, r := range points[0].Runs {
		if r.Fold != i%3+1 || r.Seed != uint64(i/3+1) || len(r.right) != len(points[1].Runs[i].right) {
			t.Errorf("run %d is of fold %d, seed %d", i, r.Fold, r.Seed)
		}
		seen[r.data] = true
	}
	if len(seen) != 3 {
		t.Errorf("three folds have %d sets of pictures", len(seen))
	}
	other.Folds = 2
	refused(t, "two folds in place of three", "split", other)
}

// TestSweepWithoutSettings: without the sweep's settings, its runs are still compared with what is
// asked for; broken settings are an error.
func TestSweepWithoutSettings(t *testing.T) {
	s := sweepOf(t)
	if _, _, err := s.quietly(t); err != nil {
		t.Fatal(err)
	}
	settings := filepath.Join(s.Base.Out, "sweep_config.json")
	if err := os.Remove(settings); err != nil {
		t.Fatal(err)
	}
	other := s
	other.Base.Batch = 3
	refused(t, "another batch size, without sweep_config.json", "batch (3, not 4)", other)
	if err := os.WriteFile(settings, []byte(`{"axes":[{"name":"colour"}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.quietly(t); err == nil || !strings.Contains(err.Error(), "colour") {
		t.Errorf("an unknown axis: %v", err)
	}
	if err := os.WriteFile(settings, []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := s.quietly(t); err == nil || !strings.Contains(err.Error(), "sweep_config.json") {
		t.Errorf("broken settings: %v", err)
	}
	if err := os.Remove(settings); err != nil {
		t.Fatal(err)
	}

	// A run on other pictures does not compare with those before.
	if err := os.Remove(filepath.Join(s.Base.Data, "validation", "spots", "1")); err != nil {
		t.Fatal(err)
	}
	other = s
	other.Axes = []Axis{{"learning-rate", []string{"0.01", "0.05"}}}
	refused(t, "a picture less", "pictures", other)
}

// TestSweepOutlivesAPoint: a point that diverges says why, with its seed, and the others are
// ranked; any other error ends the sweep, keeps its cause, and says which run it is of.
func TestSweepOutlivesAPoint(t *testing.T) {
	s := sweepOf(t)
	s.Base.Optimizer, s.Base.FineTune, s.Base.Epochs = "sgd", FineTune{Last: 1}, 3
	s.Axes[0].Values = []string{"1e30", "0.001"}
	s.Seeds = 2
	var numbers []int
	points, err := s.Run(context.Background(), func(_ *Point, run, runs int) Progress {
		numbers = append(numbers, run)
		return Progress{}
	})
	if err != nil {
		t.Fatal(err)
	}
	failed := points[1].Failed
	if !strings.HasPrefix(failed, "seed 1: ") || !strings.Contains(failed, "not a number") ||
		len(points[0].Runs) != 2 {
		t.Errorf("%+v\n%+v", points[0], points[1])
	}
	if !slices.Equal(numbers, []int{1, 3, 4}) {
		t.Errorf("runs %v of 4", numbers)
	}

	s = sweepOf(t)
	folder := filepath.Join(s.Base.Out, "learning-rate=0.001")
	if err = os.MkdirAll(s.Base.Out, 0o755); err != nil {
		t.Fatal(err)
	}
	if err = os.WriteFile(folder, nil, 0o644); err != nil { // where a folder should be
		t.Fatal(err)
	}
	var cause *os.PathError
	const place = "learning-rate=0.001, seed 1: "
	if _, _, err = s.quietly(t); !errors.As(err, &cause) || !strings.Contains(err.Error(), place) {
		t.Errorf("%v", err)
	}

	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err = sweepOf(t).Run(ctx, func(*Point, int, int) Progress { return Progress{} })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestSweepPoints(t *testing.T) {
	for name, c := range map[string]struct {
		axes  []Axis
		seeds int
		said  string
	}{
		"no seeds":     {nil, 0, "seeds"},
		"unknown axis": {[]Axis{{"colour", []string{"red"}}}, 1, "colour"},
		"no values":    {[]Axis{{"dropout", nil}}, 1, "no values"},
		"twice":        {[]Axis{{"dropout", []string{"0", "0.5", "0"}}}, 1, "value 0 twice"},
		"out of range": {[]Axis{{"dropout", []string{"1.5"}}}, 1, "dropout=1.5"},
		"no number":    {[]Axis{{"dropout", []string{"x"}}}, 1, `"x"`},
	} {
		base := Default()
		base.Data, base.Out = "data", "out"
		_, err := Sweep{Base: base, Axes: c.axes, Seeds: c.seeds}.Points()
		if err == nil || !strings.Contains(err.Error(), c.said) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestSweptBackbones: a backbone by name has its own preprocessing and weights, whatever the base
// has, and another what the sweep says of it.
func TestSweptBackbones(t *testing.T) {
	base := Default()
	base.Data, base.Out, base.Weights = "data", "out", "weights.safetensors"
	mine := SweptBackbone{Backbone: "xception", Weights: "mine.safetensors", Preprocessing: base.Preprocessing}
	mine.Preprocessing.Width, mine.Preprocessing.Height = 150, 150
	s := Sweep{Base: base, Seeds: 1, Axes: []Axis{{"backbone", []string{"folder/mine", "efficientnet-lite1"}}},
		Backbones: map[string]SweptBackbone{"folder/mine": mine}}
	points, err := s.Points()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []struct {
		name, backbone, weights string
		width                   int
	}{
		{"backbone=mine", "xception", "mine.safetensors", 150},
		{"backbone=efficientnet-lite1", "efficientnet-lite1", "", 240},
	} {
		c, err := s.configureRun(points[i], 0)
		if err != nil || points[i].Name != want.name || c.Backbone != want.backbone || c.Weights != want.weights ||
			c.Preprocessing.Width != want.width {
			t.Errorf("%s: %v, %q of %q with pictures of %d", points[i].Name, err, c.Backbone, c.Weights,
				c.Preprocessing.Width)
		}
	}
}
