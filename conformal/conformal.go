// Package conformal makes prediction sets: instead of the most probable class alone, as
// many classes as it takes for the right one to be among them with a given probability.
//
// The sets are adaptive (Romano, Sesia, Candès 2020, "Classification with Valid and
// Adaptive Coverage") and regularised (Angelopoulos, Bates, Malik, Jordan 2021, "Uncertainty
// Sets for Image Classifiers using Conformal Prediction"). Let p₁ ≥ p₂ ≥ … be the
// probabilities of one picture, equal ones in the order of the classes. The score of the
// class at rank r is
//
//	s(r) = p₁ + … + p₍r₋₁₎ + λ·max(0, r − k)
//
// and the set has all classes whose score is at most a threshold τ. Fit takes τ from
// pictures whose class is known, so that the right class of a new picture of the same kind
// is in its set with at least the probability asked for.
//
// Both papers add a random part of p₍r₎ to the score. Here there is none: the same picture
// always gets the same set, and as s(1) = 0, no set is empty. The price is that sets cannot
// cover less than the most probable class alone does.
package conformal

import (
	"cmp"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
)

// Rule says which classes are in the set of a picture.
type Rule struct {
	// Coverage is the probability with which the right class is to be in the set.
	Coverage float64 `json:"coverage"`
	// Threshold is τ, the largest score of a class in a set.
	Threshold float64 `json:"threshold"`
	// Penalty is λ, which each rank after Free, k, adds to a class's score: the larger it
	// is, the less sizes differ from picture to picture.
	Penalty float64 `json:"penalty"`
	Free    int     `json:"free"`
	// Pictures counts those that Threshold was taken from, and ChosenOn those, others, that
	// Penalty and Free were chosen on.
	Pictures int `json:"pictures"`
	ChosenOn int `json:"chosen_on"`
	// MeanSize is the mean number of classes in the sets of Pictures.
	MeanSize float64 `json:"mean_size"`
}

// TooFewError says that there are too few pictures to fit a rule on: with fewer than
// coverage/(1−coverage), even the largest score of all promises less than the coverage.
type TooFewError struct {
	Coverage   float64
	Have, Need int // pictures
}

func (e *TooFewError) Error() string {
	return fmt.Sprintf("prediction sets of coverage %v need at least %d pictures to be fitted on, and there are %d",
		e.Coverage, e.Need, e.Have)
}

// Candidates of Fit: those of the reference implementation of Angelopoulos et al. for λ,
// and no penalty.
var penalties = []float64{0, 0.001, 0.01, 0.1, 0.2, 0.5}

// largestFree is the largest k that Fit tries.
const largestFree = 5

// Needed returns the number of pictures that Fit needs: twice the least n for which
// ⌈(n+1)·coverage⌉ ≤ n, as half of them choose λ and k.
func Needed(coverage float64) int {
	n := max(1, int(coverage/(1-coverage)))
	for place(n, coverage) > n {
		n++
	}
	return 2 * n
}

// place returns ⌈(n+1)·coverage⌉: the place, from 1, of the threshold among n sorted scores.
func place(n int, coverage float64) int {
	const rounding = 1e-9 // 20·0.95 is a little above 19
	return int(math.Ceil(float64(n+1)*coverage - rounding))
}

// CheckCoverage reports a coverage that no rule can have: it lies between 0 and 1, and is
// at most 0.999, which takes 2,000 pictures.
func CheckCoverage(coverage float64) error {
	if !(coverage > 0 && coverage <= 0.999) {
		return fmt.Errorf("coverage %v: it is a probability above 0, and at most 0.999", coverage)
	}
	return nil
}

// Fit finds the rule for sets that hold the right class with probability coverage.
// probabilities has a row for each picture, with a value for each class, and labels has
// the place of the right one. The network was not trained on these pictures.
//
// One half of the pictures, rounded down, chooses λ and k: those with the least mean size
// of sets at the threshold for this half; of equals the smaller λ, then the larger k. The
// other half gives the threshold τ: of n scores of right classes the ⌈(n+1)·coverage⌉-th
// smallest. So for a new picture of the same kind (exchangeable with that half) the
// probability that the right class is in its set is at least coverage, whatever the
// network is worth (Vovk, Gammerman, Shafer 2005). Which pictures are in which half
// depends on their number alone.
//
// With too few pictures the error is a *TooFewError.
func Fit(probabilities [][]float64, labels []int, coverage float64) (Rule, error) {
	if err := CheckCoverage(coverage); err != nil {
		return Rule{}, err
	}
	if err := check(probabilities, labels); err != nil {
		return Rule{}, err
	}
	if need := Needed(coverage); len(labels) < need {
		return Rule{}, &TooFewError{coverage, len(labels), need}
	}
	pictures := make([]ranked, len(labels))
	for i, row := range probabilities {
		order := ranking(row)
		pictures[i] = ranked{before: sums(row, order), label: slices.Index(order, labels[i])}
	}
	random := rand.New(rand.NewPCG(uint64(len(pictures)), 0))
	random.Shuffle(len(pictures), func(i, j int) { pictures[i], pictures[j] = pictures[j], pictures[i] })
	choosing, giving := pictures[:len(pictures)/2], pictures[len(pictures)/2:]

	best := Rule{Coverage: coverage, MeanSize: math.Inf(1)}
	for _, penalty := range penalties {
		for free := min(largestFree, len(probabilities[0])); free >= 1; free-- {
			r := Rule{Coverage: coverage, Penalty: penalty, Free: free}
			r.calibrate(choosing)
			if r.MeanSize < best.MeanSize {
				best = r
			}
			if penalty == 0 {
				break // k has no part in the score
			}
		}
	}
	best.calibrate(giving)
	best.ChosenOn = len(choosing)
	return best, nil
}

// check reports rows that are no probabilities, and labels that are none of theirs.
func check(probabilities [][]float64, labels []int) error {
	if len(probabilities) != len(labels) {
		return fmt.Errorf("%d rows of probabilities and %d labels", len(probabilities), len(labels))
	}
	for i, row := range probabilities {
		if len(row) != len(probabilities[0]) {
			return fmt.Errorf("row %d has %d probabilities, and the first %d", i, len(row), len(probabilities[0]))
		}
		if labels[i] < 0 || labels[i] >= len(row) {
			return fmt.Errorf("label %d of row %d is none of its %d classes", labels[i], i, len(row))
		}
		for _, p := range row {
			if !(p >= 0 && p <= 1) {
				return fmt.Errorf("row %d has the probability %v", i, p)
			}
		}
	}
	return nil
}

// ranked is a picture: for each rank the sum of the probabilities before it, and the rank
// of its class, from 0.
type ranked struct {
	before []float64
	label  int
}

// calibrate sets the threshold by pictures, with their number and the mean size of their
// sets.
func (r *Rule) calibrate(pictures []ranked) {
	scores := make([]float64, len(pictures))
	for i, p := range pictures {
		scores[i] = r.score(p.before, p.label)
	}
	slices.Sort(scores)
	r.Threshold, r.Pictures = scores[place(len(scores), r.Coverage)-1], len(pictures)
	total := 0
	for _, p := range pictures {
		total += r.size(p.before)
	}
	r.MeanSize = float64(total) / float64(len(pictures))
}

// score returns the score of the class at a rank, from 0.
func (r Rule) score(before []float64, rank int) float64 {
	return before[rank] + r.Penalty*float64(max(0, rank+1-r.Free))
}

// size returns the number of classes whose score is at most the threshold. Scores rise
// with the rank, so that these are the first ones; the very first always is.
func (r Rule) size(before []float64) int {
	n := 1
	for n < len(before) && r.score(before, n) <= r.Threshold {
		n++
	}
	return min(n, len(before))
}

// ranking returns the classes by probability, the largest first, and equal ones in order.
func ranking(probabilities []float64) []int {
	order := make([]int, len(probabilities))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(probabilities[b], probabilities[a]) })
	return order
}

// sums returns for each rank the sum of the probabilities before it.
func sums(probabilities []float64, order []int) []float64 {
	before, sum := make([]float64, len(order)), 0.0
	for rank, class := range order {
		before[rank] = sum
		sum += probabilities[class]
	}
	return before
}

// Set returns the classes in the set of a picture with these probabilities, by their
// places, the most probable first. It is never empty, unless there are no probabilities.
func (r Rule) Set(probabilities []float64) []int {
	order := ranking(probabilities)
	return order[:r.size(sums(probabilities, order))]
}

// Validate reports what no fitted rule says.
func (r Rule) Validate() error {
	if err := CheckCoverage(r.Coverage); err != nil {
		return err
	}
	finite := func(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }
	if !finite(r.Threshold) || !finite(r.Penalty) || !finite(r.MeanSize) || r.Free < 1 || r.Pictures < 1 ||
		r.ChosenOn < 0 {
		return fmt.Errorf("rule of prediction sets: threshold %v, penalty %v after rank %d, fitted on %d pictures after "+
			"%d, of mean size %v", r.Threshold, r.Penalty, r.Free, r.Pictures, r.ChosenOn, r.MeanSize)
	}
	return nil
}
