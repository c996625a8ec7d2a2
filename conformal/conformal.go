// Package conformal makes prediction sets. Instead of the most probable class alone, a set
// has so many classes that the right one is among them with a given probability.
//
// The sets are adaptive (Romano, Sesia, Candès 2020, "Classification with Valid and
// Adaptive Coverage") and regularised (Angelopoulos, Bates, Malik, Jordan 2021, "Uncertainty
// Sets for Image Classifiers using Conformal Prediction"). Let p₁ ≥ p₂ ≥ … be the
// probabilities of one picture, equal ones in the order of the classes. The score of the
// class at rank r is
//
//	s(r) = p₁ + … + p₍r₋₁₎ + λ·max(0, r − k)
//
// and the set has all classes whose score is at most a threshold τ. Fit computes τ from
// pictures whose class is known, so that the right class of a new picture of the same kind
// is in its set with at least the given probability, the coverage.
//
// Both papers add a random part of p₍r₎ to the score. This package does not, so the same
// picture always gets the same set, and no set is empty, since s(1) = 0. The price is that
// the sets cannot cover less than the most probable class alone.
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
	// Coverage is the probability with which the set should contain the right class.
	Coverage float64 `json:"coverage"`
	// Threshold is τ, the largest score of a class in a set.
	Threshold float64 `json:"threshold"`
	// Penalty is λ, which each rank after Free, k, adds to a class's score. The larger it
	// is, the less the sizes of the sets differ.
	Penalty float64 `json:"penalty"`
	Free    int     `json:"free"`
	// Pictures is the number of pictures that gave Threshold, and ChosenOn that of the other
	// pictures, which gave Penalty and Free.
	Pictures int `json:"pictures"`
	ChosenOn int `json:"chosen_on"`
	// MeanSize is the mean number of classes in the sets of Pictures.
	MeanSize float64 `json:"mean_size"`
}

// TooFewError says that there are too few pictures to fit a rule: with fewer than
// coverage/(1−coverage), even the largest score as threshold does not guarantee the coverage.
type TooFewError struct {
	Coverage   float64
	Have, Need int // pictures
}

func (e *TooFewError) Error() string {
	return fmt.Sprintf("prediction sets with a coverage of %v need at least %d pictures to fit; there are %d",
		e.Coverage, e.Need, e.Have)
}

// penalties are the values of λ that Fit tries: no penalty, and those of the reference
// implementation of Angelopoulos et al.
var penalties = []float64{0, 0.001, 0.01, 0.1, 0.2, 0.5}

// largestFree is the largest k that Fit tries.
const largestFree = 5

// Needed returns the number of pictures that Fit needs: twice the smallest n for which
// ⌈(n+1)·coverage⌉ ≤ n, because half of them choose λ and k.
func Needed(coverage float64) int {
	n := max(1, int(coverage/(1-coverage)))
	for thresholdRank(n, coverage) > n {
		n++
	}
	return 2 * n
}

// thresholdRank returns ⌈(n+1)·coverage⌉: the rank, from 1, of the threshold among n sorted
// scores.
func thresholdRank(n int, coverage float64) int {
	const rounding = 1e-9 // 20·0.95 is a little above 19
	return int(math.Ceil(float64(float64(n+1)*coverage) - rounding))
}

// CheckCoverage returns an error unless the coverage is above 0 and at most 0.999, which needs
// 2,000 pictures.
func CheckCoverage(coverage float64) error {
	if !(coverage > 0 && coverage <= 0.999) {
		return fmt.Errorf("the coverage is %v; it must be above 0 and at most 0.999", coverage)
	}
	return nil
}

// Fit finds the rule for sets that contain the right class with probability coverage.
// probabilities has a row for each picture, with a value for each class, and labels has the
// index of the right class. The network must not have been trained on these pictures.
//
// One half of the pictures, rounded down, chooses λ and k: those that give the smallest mean
// size of the sets; of equals the smaller λ, then the larger k. The other half gives the
// threshold τ: the ⌈(n+1)·coverage⌉-th smallest of the n scores of right classes. So a new
// picture of the same kind (exchangeable with that half) has its right class in its set with
// a probability of at least coverage, however good the network is (Vovk, Gammerman, Shafer
// 2005). The division into halves depends only on the number of pictures.
//
// With too few pictures the error is a *TooFewError.
func Fit(probabilities [][]float64, labels []int, coverage float64) (Rule, error) {
	if err := CheckCoverage(coverage); err != nil {
		return Rule{}, err
	}
	if err := checkInput(probabilities, labels); err != nil {
		return Rule{}, err
	}
	if need := Needed(coverage); len(labels) < need {
		return Rule{}, &TooFewError{coverage, len(labels), need}
	}
	pictures := make([]rankedPicture, len(labels))
	for i, row := range probabilities {
		order := rank(row)
		pictures[i] = rankedPicture{before: sumBefore(row, order), label: slices.Index(order, labels[i])}
	}
	random := rand.New(rand.NewPCG(uint64(len(pictures)), 0))
	random.Shuffle(len(pictures), func(i, j int) { pictures[i], pictures[j] = pictures[j], pictures[i] })
	choosing, calibrating := pictures[:len(pictures)/2], pictures[len(pictures)/2:]

	best := Rule{Coverage: coverage, MeanSize: math.Inf(1)}
	for _, penalty := range penalties {
		for free := min(largestFree, len(probabilities[0])); free >= 1; free-- {
			r := Rule{Coverage: coverage, Penalty: penalty, Free: free}
			r.calibrate(choosing)
			if r.MeanSize < best.MeanSize {
				best = r
			}
			if penalty == 0 {
				break // k does not change the score
			}
		}
	}
	best.calibrate(calibrating)
	best.ChosenOn = len(choosing)
	return best, nil
}

// checkInput reports rows that are not probabilities, and labels of classes that do not exist.
func checkInput(probabilities [][]float64, labels []int) error {
	if len(probabilities) != len(labels) {
		return fmt.Errorf("%d rows of probabilities and %d labels", len(probabilities), len(labels))
	}
	for i, row := range probabilities {
		if len(row) != len(probabilities[0]) {
			return fmt.Errorf("row %d has %d probabilities, the first has %d", i, len(row), len(probabilities[0]))
		}
		if labels[i] < 0 || labels[i] >= len(row) {
			return fmt.Errorf("row %d has label %d, but there are %d classes", i, labels[i], len(row))
		}
		for _, p := range row {
			if !(p >= 0 && p <= 1) {
				return fmt.Errorf("row %d has the probability %v", i, p)
			}
		}
	}
	return nil
}

// rankedPicture has, for each rank, the sum of the probabilities before it, and the rank of the
// picture's class, from 0.
type rankedPicture struct {
	before []float64
	label  int
}

// calibrate computes the threshold from pictures, and the mean size of their sets.
func (r *Rule) calibrate(pictures []rankedPicture) {
	scores := make([]float64, len(pictures))
	for i, p := range pictures {
		scores[i] = r.score(p.before, p.label)
	}
	slices.Sort(scores)
	r.Threshold, r.Pictures = scores[thresholdRank(len(scores), r.Coverage)-1], len(pictures)
	total := 0
	for _, p := range pictures {
		total += r.size(p.before)
	}
	r.MeanSize = float64(total) / float64(len(pictures))
}

// score returns the score of the class at a rank, from 0.
func (r Rule) score(before []float64, rank int) float64 {
	return before[rank] + float64(r.Penalty*float64(max(0, rank+1-r.Free)))
}

// size returns the number of classes whose score is at most the threshold, and at least 1.
// Scores rise with the rank, so these are the first classes.
func (r Rule) size(before []float64) int {
	n := 1
	for n < len(before) && r.score(before, n) <= r.Threshold {
		n++
	}
	return min(n, len(before))
}

// rank returns the classes by falling probability; equal ones keep their order.
func rank(probabilities []float64) []int {
	order := make([]int, len(probabilities))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(probabilities[b], probabilities[a]) })
	return order
}

// sumBefore returns for each rank the sum of the probabilities before it.
func sumBefore(probabilities []float64, order []int) []float64 {
	before, sum := make([]float64, len(order)), 0.0
	for rank, class := range order {
		before[rank] = sum
		sum += probabilities[class]
	}
	return before
}

// Set returns the indices of the classes in the set of a picture with these probabilities, the
// most probable first. It is empty only if there are no probabilities.
func (r Rule) Set(probabilities []float64) []int {
	order := rank(probabilities)
	return order[:r.size(sumBefore(probabilities, order))]
}

// Validate returns an error if Fit cannot have made the rule.
func (r Rule) Validate() error {
	if err := CheckCoverage(r.Coverage); err != nil {
		return err
	}
	finite := func(v float64) bool { return v >= 0 && !math.IsInf(v, 0) }
	if !finite(r.Threshold) || !finite(r.Penalty) || !finite(r.MeanSize) || r.Free < 1 || r.Pictures < 1 ||
		r.ChosenOn < 0 {
		return fmt.Errorf("invalid rule for prediction sets: threshold %v, penalty %v after rank %d, mean size %v, "+
			"%d pictures for the threshold and %d for the penalty",
			r.Threshold, r.Penalty, r.Free, r.MeanSize, r.Pictures, r.ChosenOn)
	}
	return nil
}
