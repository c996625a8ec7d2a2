// Package mislabel finds labels that are likely wrong, by confident learning
// (Northcutt, Jiang and Chuang 2021, "Confident Learning: Estimating Uncertainty in
// Dataset Labels", Journal of Artificial Intelligence Research 70).
//
// It needs only probabilities and labels. The probabilities of a picture must come from a
// model that was not trained on that picture, for a model tends to repeat the labels of its
// training pictures, right or wrong.
package mislabel

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"slices"
)

// Order names the score by which pictures are ranked.
type Order string

// The orders. Each is a score from 0 to 1 that is low for a doubtful label.
const (
	// SelfConfidence is the probability of the given label.
	SelfConfidence Order = "self-confidence"
	// Margin is (p + 1 − q)/2, where p is the probability of the given label and q the
	// largest probability of another class.
	Margin Order = "margin"
	// WeightedEntropy is ln(1+w)/w with w = H/(p·ln k), where H is the entropy of the k
	// probabilities in nats and p the probability of the given label.
	WeightedEntropy Order = "weighted-entropy"
)

// Orders lists all orders, the default first.
func Orders() []Order { return []Order{SelfConfidence, Margin, WeightedEntropy} }

// Finding is what the probabilities say about one label.
type Finding struct {
	Index int // of the picture in the input
	Label int // the given class
	// Proposed is the class that the picture is counted for, if it is a candidate;
	// otherwise the most probable of the other classes.
	Proposed int
	// Candidate says that the label is likely wrong: see Find.
	Candidate bool
	Score     float64 // from 0 (doubtful) to 1, see Order
}

// Report is the result of Find.
type Report struct {
	// Thresholds has the mean probability of class j over the pictures labelled j; +Inf
	// for a class without pictures, which is never proposed.
	Thresholds []float64
	// Joint has in row i and column j the number of pictures labelled i that are counted
	// for class j: the confident joint. Pictures that reach no threshold are in no cell.
	Joint [][]int
	// Findings has every picture: candidates before the others, each part by rising
	// score, equal scores by rising index.
	Findings []Finding
}

// Candidates returns the number of candidates, which are the first findings.
func (r *Report) Candidates() int {
	n, _ := slices.BinarySearchFunc(r.Findings, false, func(f Finding, _ bool) int {
		if f.Candidate {
			return -1
		}
		return 1
	})
	return n
}

// ErrInput is wrapped by errors about unusable input.
var ErrInput = errors.New("unusable probabilities or labels")

// sumTolerance is how far the sum of a picture's probabilities may be from 1: float32
// softmax over thousands of classes stays within it, a forgotten softmax does not.
const sumTolerance = 1e-3

// Find ranks pictures by how doubtful their labels are. probabilities has a row of k ≥ 2
// values for each picture, labels the given classes in [0,k).
//
// A picture is counted for class j if its probability of j reaches the threshold of j,
// and if j is the most probable of the classes whose thresholds are reached. It is a
// candidate if j is not its label, and more probable than its label. (The last condition
// is not in the paper. It matters where a class has so few pictures that its threshold
// is near 0: the model itself finds such a proposal less likely than the label.)
//
// Errors wrap ErrInput. Find panics if the lengths of probabilities and labels differ.
func Find(probabilities [][]float64, labels []int, by Order) (*Report, error) {
	if len(probabilities) != len(labels) {
		panic("mislabel: lengths of probabilities and labels differ")
	}
	if !slices.Contains(Orders(), by) {
		return nil, fmt.Errorf("%w: unknown order %q; the orders are %v", ErrInput, by, Orders())
	}
	if err := checkInput(probabilities, labels); err != nil {
		return nil, err
	}
	k := len(probabilities[0])
	r := &Report{Thresholds: computeThresholds(probabilities, labels, k), Joint: make([][]int, k)}
	for i := range r.Joint {
		r.Joint[i] = make([]int, k)
	}
	for i, p := range probabilities {
		f := Finding{
			Index: i, Label: labels[i],
			Proposed: findLargest(p, labels[i]), Score: computeScore(p, labels[i], by),
		}
		if j := findClass(p, r.Thresholds); j >= 0 {
			r.Joint[f.Label][j]++
			if j != f.Label && p[j] > p[f.Label] {
				f.Proposed, f.Candidate = j, true
			}
		}
		r.Findings = append(r.Findings, f)
	}
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		if a.Candidate != b.Candidate {
			if a.Candidate {
				return -1
			}
			return 1
		}
		return cmp.Or(cmp.Compare(a.Score, b.Score), cmp.Compare(a.Index, b.Index))
	})
	return r, nil
}

// checkInput reports probabilities and labels that Find cannot use.
func checkInput(probabilities [][]float64, labels []int) error {
	if len(labels) == 0 {
		return fmt.Errorf("%w: there are no pictures", ErrInput)
	}
	k := len(probabilities[0])
	if k < 2 {
		return fmt.Errorf("%w: a label can be wrong only if there are at least 2 classes; there are %d", ErrInput, k)
	}
	for i, row := range probabilities {
		if len(row) != k {
			return fmt.Errorf("%w: picture %d has %d probabilities, the first has %d", ErrInput, i, len(row), k)
		}
		if labels[i] < 0 || labels[i] >= k {
			return fmt.Errorf("%w: picture %d has label %d of %d classes", ErrInput, i, labels[i], k)
		}
		sum := 0.0
		for j, p := range row {
			if !(p >= 0 && p <= 1+sumTolerance) { // NaN fails too
				return fmt.Errorf("%w: picture %d has probability %v of class %d", ErrInput, i, p, j)
			}
			sum += p
		}
		if math.Abs(sum-1) > sumTolerance {
			return fmt.Errorf("%w: the probabilities of picture %d sum to %v, not 1", ErrInput, i, sum)
		}
	}
	return nil
}

// computeThresholds returns t[j] = mean of p[j] over the pictures labelled j.
func computeThresholds(probabilities [][]float64, labels []int, k int) []float64 {
	t, n := make([]float64, k), make([]float64, k)
	for i, row := range probabilities {
		t[labels[i]] += row[labels[i]]
		n[labels[i]]++
	}
	for j := range t {
		if n[j] == 0 {
			t[j] = math.Inf(1)
		} else {
			t[j] /= n[j]
		}
	}
	return t
}

// thresholdTolerance lets a probability reach the mean of values equal to it, however the sum
// was rounded.
const thresholdTolerance = 1e-9

// findClass returns the class that a picture is counted for: the most probable of those whose
// thresholds it reaches, or −1.
func findClass(p, thresholds []float64) int {
	best := -1
	for j, v := range p {
		if v >= thresholds[j]-thresholdTolerance && (best < 0 || v > p[best]) {
			best = j
		}
	}
	return best
}

// findLargest returns the most probable class other than except.
func findLargest(p []float64, except int) int {
	best := -1
	for j, v := range p {
		if j != except && (best < 0 || v > p[best]) {
			best = j
		}
	}
	return best
}

// computeScore returns a picture's score by the order.
func computeScore(p []float64, label int, by Order) float64 {
	own := min(p[label], 1)
	switch by {
	case Margin:
		return (own + 1 - min(p[findLargest(p, label)], 1)) / 2
	case WeightedEntropy:
		const smallest = 1e-12 // keeps the quotients finite
		entropy := 0.0
		for _, v := range p {
			if v > 0 {
				entropy -= float64(v * math.Log(v))
			}
		}
		w := max(entropy/math.Log(float64(len(p)))/max(own, smallest), smallest)
		return math.Log1p(w) / w
	}
	return own
}
