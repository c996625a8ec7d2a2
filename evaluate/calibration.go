package evaluate

import (
	"slices"

	"garb/model"
)

// Bin is a range of probabilities with the answers whose first probability is in it.
type Bin struct {
	Low   float64 `json:"low"` // excluded, except in the first Bin
	High  float64 `json:"high"`
	Count int     `json:"count"`
	// Confidence is the mean of the first probabilities, and Accuracy the share of right answers.
	// A calibrated classifier has equal ones.
	Confidence float64 `json:"confidence"`
	Accuracy   float64 `json:"accuracy"`
}

// bins is the number of ranges, which have equal width, as in Guo et al. 2017.
const bins = 15

// Calibration sorts answers by their first probability into 15 ranges of equal width. It returns the
// expected calibration error, Σ_b n_b/n·|accuracy_b − confidence_b|, and the ranges (Naeini et al.
// 2015).
func Calibration(answers []Answer) (ece float64, all []Bin) {
	all = make([]Bin, bins)
	for b := range all {
		all[b].Low, all[b].High = float64(b)/bins, float64(b+1)/bins
	}
	for _, a := range answers {
		p := a.Predictions[0].Probability
		b := 0
		for b < bins-1 && p > all[b].High {
			b++
		}
		all[b].Count++
		all[b].Confidence += p
		if a.Right() {
			all[b].Accuracy++
		}
	}
	for b := range all {
		n := float64(all[b].Count)
		if n == 0 {
			continue
		}
		all[b].Confidence /= n
		all[b].Accuracy /= n
		distance := max(all[b].Accuracy-all[b].Confidence, all[b].Confidence-all[b].Accuracy)
		ece += float64(n / float64(len(answers)) * distance)
	}
	return ece, all
}

// computeTopK returns the share of answers whose class is among the first k predictions, for k = 1,
// and for k = 2, 3 and 5 as long as there are more than k classes.
func computeTopK(answers []Answer) map[int]float64 {
	shares := map[int]float64{}
	if len(answers) == 0 {
		return shares
	}
	for _, k := range []int{1, 2, 3, 5} {
		if k > 1 && k >= len(answers[0].Predictions) {
			break
		}
		hits := 0
		for _, a := range answers {
			place := slices.IndexFunc(a.Predictions, func(p model.Prediction) bool { return p.Class == a.Class })
			if place >= 0 && place < k {
				hits++
			}
		}
		shares[k] = float64(hits) / float64(len(answers))
	}
	return shares
}
