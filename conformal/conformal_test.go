package conformal

import (
	"encoding/json"
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// simulate draws the probabilities and labels of pictures from a model whose confidence varies.
// honesty is the share of pictures whose labels follow the probabilities: 1 is calibrated.
func simulate(random *rand.Rand, count, classes int, honesty float64) (probabilities [][]float64, labels []int) {
	for range count {
		row, sum := make([]float64, classes), 0.0
		sharpness := 4 * random.Float64()
		for c := range row {
			row[c] = math.Exp(sharpness * random.NormFloat64())
			sum += row[c]
		}
		for c := range row {
			row[c] /= sum
		}
		label := random.IntN(classes)
		if random.Float64() < honesty {
			at := random.Float64()
			for label = 0; label < classes-1 && at > row[label]; label++ {
				at -= row[label]
			}
		}
		probabilities, labels = append(probabilities, row), append(labels, label)
	}
	return probabilities, labels
}

// TestCoverage checks, over many fits, that the share of new pictures whose class is in its
// set is at least the coverage, also for a model whose probabilities are worth little. Where n
// pictures give the threshold, the share exceeds the coverage by at most 1/(n+1), unless the
// first class alone covers more. Bounds are of four standard errors.
func TestCoverage(t *testing.T) {
	const fits, fresh = 400, 25
	random := rand.New(rand.NewPCG(16, 1))
	for _, coverage := range []float64{0.7, 0.9, 0.95} {
		for _, honesty := range []float64{1, 0.4} {
			var covered, first, pictures int
			for range fits {
				p, labels := simulate(random, 60, 6, honesty)
				r, err := Fit(p, labels, coverage)
				if err != nil {
					t.Fatal(err)
				}
				pictures = r.Pictures
				p, labels = simulate(random, fresh, 6, honesty)
				inSet, inFirst := countCovered(r, p, labels)
				covered, first = covered+inSet, first+inFirst
			}
			got, alone := float64(covered)/(fits*fresh), float64(first)/(fits*fresh)
			// The pictures of one fit share a threshold, whose coverage is distributed as
			// Beta(k, n+1−k). The variance of that is between fits, the binomial one between
			// pictures.
			k, n := float64(thresholdRank(pictures, coverage)), float64(pictures)
			between := k * (n + 1 - k) / ((n + 1) * (n + 1) * (n + 2))
			slack := 4 * math.Sqrt(between/fits+coverage*(1-coverage)/(fits*fresh))
			if got < coverage-slack || got > max(coverage+1/(n+1), alone)+slack {
				t.Errorf("coverage %v, honesty %v: %v of new pictures, %v by the first class; ±%v", coverage, honesty,
					got, alone, slack)
			}
			if honesty == 0.4 && alone > coverage-0.1 {
				t.Errorf("the first class alone covers %v: this tests nothing", alone)
			}
		}
	}
}

// countCovered counts the pictures whose class is in its set, and those whose class is the most
// probable one.
func countCovered(r Rule, probabilities [][]float64, labels []int) (inSet, inFirst int) {
	for i, row := range probabilities {
		set := r.Set(row)
		if slices.Contains(set, labels[i]) {
			inSet++
		}
		if set[0] == labels[i] {
			inFirst++
		}
	}
	return inSet, inFirst
}

// naiveScore is the package comment's definition of the score of a class.
func naiveScore(row []float64, class int, penalty float64, k int) float64 {
	rank, mass := 1, 0.0
	for c, v := range row {
		if v > row[class] || v == row[class] && c < class {
			rank++
			mass += v
		}
	}
	return mass + penalty*float64(max(0, rank-k))
}

// naiveSet returns all classes of a picture whose score is at most the threshold.
func naiveSet(row []float64, penalty float64, k int, threshold float64) (set []int) {
	for c := range row {
		if naiveScore(row, c, penalty, k) <= threshold+1e-12 {
			set = append(set, c)
		}
	}
	return set
}

// naiveRule finds the rule by trying all penalties on the first half of the pictures. The
// threshold is that of the second half.
func naiveRule(probabilities [][]float64, labels []int, coverage float64) Rule {
	calibrate := func(pictures []int, r Rule) Rule {
		var scores []float64
		for _, i := range pictures {
			scores = append(scores, naiveScore(probabilities[i], labels[i], r.Penalty, r.Free))
		}
		slices.Sort(scores)
		r.Threshold = scores[int(math.Ceil(float64(len(pictures)+1)*coverage-1e-9))-1]
		r.MeanSize = 0
		for _, i := range pictures {
			size := len(naiveSet(probabilities[i], r.Penalty, r.Free, r.Threshold))
			r.MeanSize += float64(size) / float64(len(pictures))
		}
		return r
	}
	order := make([]int, len(labels))
	for i := range order {
		order[i] = i
	}
	rand.New(rand.NewPCG(uint64(len(order)), 0)).Shuffle(len(order), func(i, j int) {
		order[i], order[j] = order[j], order[i]
	})
	half := len(order) / 2
	best := Rule{MeanSize: math.Inf(1)}
	for _, λ := range []float64{0, 0.001, 0.01, 0.1, 0.2, 0.5} {
		for k := min(5, len(probabilities[0])); k >= 1; k-- {
			r := calibrate(order[:half], Rule{Coverage: coverage, Penalty: λ, Free: k})
			if r.MeanSize < best.MeanSize-1e-9 {
				best = r
			}
		}
	}
	best = calibrate(order[half:], best)
	best.ChosenOn, best.Pictures = half, len(order)-half
	return best
}

// TestFitAgainstDefinition compares Fit and Set with the definition in the package comment,
// which scores every class of every picture by itself.
func TestFitAgainstDefinition(t *testing.T) {
	random := rand.New(rand.NewPCG(16, 2))
	chosen := map[float64]bool{}
	for trial := range 60 {
		classes := 2 + trial%9
		p, labels := simulate(random, 80+trial, classes, []float64{1, 0.7, 0.3}[trial%3])
		coverage := []float64{0.8, 0.9, 0.95}[trial/3%3]
		got, err := Fit(p, labels, coverage)
		if err != nil {
			t.Fatal(err)
		}
		want := naiveRule(p, labels, coverage)
		if diff := cmp.Diff(want, got, cmpopts.EquateApprox(0, 1e-9)); diff != "" {
			t.Fatalf("trial %d: %s", trial, diff)
		}
		chosen[want.Penalty] = true
		for _, row := range p {
			set := slices.Sorted(slices.Values(got.Set(row)))
			if naive := naiveSet(row, want.Penalty, want.Free, want.Threshold); !slices.Equal(set, naive) {
				t.Fatalf("set %v, want %v", set, naive)
			}
		}
	}
	if len(chosen) < 3 {
		t.Errorf("only the penalties %v were ever chosen", chosen)
	}
}

// TestSetProperties checks that a set consists of the most probable classes, is the same each
// time, and grows with the threshold.
func TestSetProperties(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		weights := rapid.SliceOfN(rapid.Float64Range(0, 1), 1, 12).Draw(t, "weights")
		sum := 0.0
		for _, w := range weights {
			sum += w
		}
		for i := range weights {
			if sum > 0 {
				weights[i] /= sum
			}
		}
		r := Rule{
			Threshold: rapid.Float64Range(0, 1.5).Draw(t, "threshold"),
			Penalty:   rapid.SampledFrom(penalties).Draw(t, "penalty"),
			Free:      rapid.IntRange(1, largestFree).Draw(t, "free"),
		}
		set := r.Set(weights)
		if len(set) == 0 || weights[set[0]] != slices.Max(weights) || !slices.Equal(set, r.Set(weights)) {
			t.Fatalf("set %v of %v", set, weights)
		}
		if !slices.Equal(set, rank(weights)[:len(set)]) {
			t.Fatalf("set %v is not the first classes of %v", set, weights)
		}
		r.Threshold += rapid.Float64Range(0, 1).Draw(t, "more")
		if larger := r.Set(weights); len(larger) < len(set) || !slices.Equal(larger[:len(set)], set) {
			t.Fatalf("set %v, and %v with a larger threshold", set, larger)
		}
	})
}

// TestSetsGrowWithCoverage checks that, with a fixed penalty, a larger coverage has a larger
// threshold, and that sets grow with the coverage.
func TestSetsGrowWithCoverage(t *testing.T) {
	p, labels := simulate(rand.New(rand.NewPCG(16, 3)), 300, 8, 0.6)
	before, size := -1.0, 0.0
	for _, coverage := range []float64{0.5, 0.7, 0.8, 0.9, 0.95, 0.99} {
		r, err := Fit(p, labels, coverage)
		if err != nil {
			t.Fatal(err)
		}
		if r.MeanSize < size {
			t.Errorf("mean size %v at coverage %v, and %v at a smaller one", r.MeanSize, coverage, size)
		}
		size = r.MeanSize
		var pictures []rankedPicture
		for i, row := range p {
			order := rank(row)
			pictures = append(pictures, rankedPicture{sumBefore(row, order), slices.Index(order, labels[i])})
		}
		fixed := Rule{Coverage: coverage, Penalty: 0.1, Free: 2}
		if fixed.calibrate(pictures); fixed.Threshold <= before {
			t.Errorf("threshold %v at coverage %v, and %v at a smaller one", fixed.Threshold, coverage, before)
		}
		before = fixed.Threshold
	}
}

func TestNeeded(t *testing.T) {
	for coverage, want := range map[float64]int{0.5: 2, 0.75: 6, 0.8: 8, 0.9: 18, 0.95: 38, 0.99: 198, 0.999: 1998} {
		if got := Needed(coverage); got != want {
			t.Errorf("coverage %v needs %d pictures, want %d", coverage, got, want)
		}
		p, labels := simulate(rand.New(rand.NewPCG(16, 4)), want, 3, 1)
		if _, err := Fit(p, labels, coverage); err != nil {
			t.Errorf("%d pictures, coverage %v: %v", want, coverage, err)
		}
		_, err := Fit(p[1:], labels[1:], coverage)
		var few *TooFewError
		if !errors.As(err, &few) || *few != (TooFewError{coverage, want - 1, want}) {
			t.Errorf("%d pictures, coverage %v: %v", want-1, coverage, err)
		}
	}
}

func TestFitRefuses(t *testing.T) {
	p, labels := simulate(rand.New(rand.NewPCG(16, 5)), 50, 3, 1)
	for name, change := range map[string]func(p [][]float64, labels []int) ([][]float64, []int){
		"labels": func(p [][]float64, l []int) ([][]float64, []int) { return p, l[1:] },
		"rows":   func(p [][]float64, l []int) ([][]float64, []int) { p[7] = p[7][:2]; return p, l },
		"label":  func(p [][]float64, l []int) ([][]float64, []int) { l[7] = 3; return p, l },
		"below":  func(p [][]float64, l []int) ([][]float64, []int) { l[7] = -1; return p, l },
		"value":  func(p [][]float64, l []int) ([][]float64, []int) { p[7][1] = 1.5; return p, l },
		"number": func(p [][]float64, l []int) ([][]float64, []int) { p[7][1] = math.NaN(); return p, l },
	} {
		rows := make([][]float64, len(p))
		for i := range p {
			rows[i] = slices.Clone(p[i])
		}
		rows, changed := change(rows, slices.Clone(labels))
		if _, err := Fit(rows, changed, 0.9); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for _, coverage := range []float64{0, 1, -1, 2, 0.9995, math.NaN()} {
		if _, err := Fit(p, labels, coverage); err == nil {
			t.Errorf("coverage %v accepted", coverage)
		}
	}
}

// TestRuleAsJSON checks that a stored rule stays the same, and that Validate refuses broken ones.
func TestRuleAsJSON(t *testing.T) {
	p, labels := simulate(rand.New(rand.NewPCG(16, 6)), 100, 5, 0.8)
	r, err := Fit(p, labels, 0.9)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	var again Rule
	if err := json.Unmarshal(text, &again); err != nil || again != r || again.Validate() != nil {
		t.Errorf("%+v, want %+v; %v, %v", again, r, err, again.Validate())
	}
	for _, broken := range []func(*Rule){
		func(r *Rule) { r.Coverage = 1 }, func(r *Rule) { r.Threshold = math.NaN() },
		func(r *Rule) { r.Threshold = -0.1 }, func(r *Rule) { r.Penalty = math.Inf(1) },
		func(r *Rule) { r.Free = 0 }, func(r *Rule) { r.Pictures = 0 }, func(r *Rule) { r.MeanSize = -1 },
		func(r *Rule) { r.ChosenOn = -1 },
	} {
		b := r
		if broken(&b); b.Validate() == nil {
			t.Errorf("%+v is accepted", b)
		}
	}
}
