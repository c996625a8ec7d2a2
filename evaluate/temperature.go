package evaluate

import (
	"math"

	"garb/nn"
)

// The range of temperatures. A model that needs another one is broken.
const (
	minTemperature = 0.05
	maxTemperature = 20
)

// Temperature returns the T for which softmax(logits/T) fits the labels best, with the smallest mean
// of −ln(probability of the label), to three digits (temperature scaling: Guo et al. 2017, "On
// Calibration of Modern Neural Networks"). The network must not have been trained on these pictures.
// The temperature changes no prediction, only the confidence. Each row of logits has a value for each
// class. Without rows T is 1.
//
// As in Platt 1999, with n pictures the target of a label is (n+1)/(n+2), and the other classes share
// the rest. Otherwise a few pictures, all classified right, would make the model certain of everything.
func Temperature(logits [][]float32, labels []int) float64 {
	if len(logits) == 0 {
		return 1
	}
	soft := 1 / float64(len(logits)+2)
	loss := func(logT float64) float64 { return computeLoss(logits, labels, math.Exp(logT), soft) }
	// The loss is convex in 1/T, so it has one minimum in log T, found by golden-section search.
	const ratio = 0.6180339887498949
	low, high := math.Log(minTemperature), math.Log(maxTemperature)
	a, b := high-float64(ratio*(high-low)), low+float64(ratio*(high-low))
	atA, atB := loss(a), loss(b)
	for high-low > 1e-4 {
		if atA < atB {
			high, b, atB = b, a, atA
			a = high - float64(ratio*(high-low))
			atA = loss(a)
		} else {
			low, a, atA = a, b, atB
			b = low + float64(ratio*(high-low))
			atB = loss(b)
		}
	}
	t := math.Exp((low + high) / 2)
	return math.Round(t*1000) / 1000
}

// computeLoss returns the mean of −Σ_c t[c]·ln(softmax(logits/T)[c]), where the targets t are 1−soft
// for the label and equal parts of soft for the others.
func computeLoss(logits [][]float32, labels []int, temperature, soft float64) float64 {
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
			total += float64(soft * (own - others/float64(len(row)-1)))
		}
	}
	return total / float64(len(logits))
}
