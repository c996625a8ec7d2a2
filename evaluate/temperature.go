package evaluate

import (
	"math"

	"garb/nn"
)

// The temperatures that Temperature chooses from: beyond them a model is broken.
const (
	minTemperature = 0.05
	maxTemperature = 20
)

// Temperature returns the T for which softmax(logits/T) fits the labels best: that
// with the smallest mean of −ln(probability of the label), to three digits (Guo et
// al. 2017, "On Calibration of Modern Neural Networks"). It is fitted on pictures
// that the network was not trained on, and changes no answer, only how sure it is.
// Each row of logits has a value for each class. Without rows it is 1.
//
// n right answers do not prove that the next is right: as in Platt 1999 a label counts
// as a probability of (n+1)/(n+2), and the other classes share the rest. Else a few
// pictures, all of them right, would make the model sure of everything.
func Temperature(logits [][]float32, labels []int) float64 {
	if len(logits) == 0 {
		return 1
	}
	soft := 1 / float64(len(logits)+2)
	loss := func(logT float64) float64 { return meanLoss(logits, labels, math.Exp(logT), soft) }
	// The loss is convex in 1/T, so it has one minimum in log T: golden section.
	const ratio = 0.6180339887498949
	low, high := math.Log(minTemperature), math.Log(maxTemperature)
	a, b := high-ratio*(high-low), low+ratio*(high-low)
	atA, atB := loss(a), loss(b)
	for high-low > 1e-4 {
		if atA < atB {
			high, b, atB = b, a, atA
			a = high - ratio*(high-low)
			atA = loss(a)
		} else {
			low, a, atA = a, b, atB
			b = low + ratio*(high-low)
			atB = loss(b)
		}
	}
	t := math.Exp((low + high) / 2)
	return math.Round(t*1000) / 1000
}

// meanLoss is the mean of −Σ_c t[c]·ln(softmax(logits/T)[c]), where the targets t are
// 1−soft for the label and soft in equal parts for the others.
func meanLoss(logits [][]float32, labels []int, temperature, soft float64) float64 {
	total := 0.0
	for i, row := range logits {
		others := 0.0
		for c, v := range row {
			if c != labels[i] {
				others += float64(v) / temperature
			}
		}
		own := float64(row[labels[i]]) / temperature
		total += nn.LogSumExp(row, temperature) - own
		if len(row) > 1 {
			total += soft * (own - others/float64(len(row)-1))
		}
	}
	return total / float64(len(logits))
}
