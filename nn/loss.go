package nn

import (
	"math"

	"garb/internal/elementary"
)

// Loss measures how far one output is from its target.
type Loss interface {
	// Gradient returns the loss of one image and writes its derivative by each logit to gradient.
	// The slices have the same length.
	Gradient(gradient, logits, targets []float32) (loss float64)
}

// SoftmaxCrossEntropy is −Σ_c w·t[c]·ln(softmax(logits)[c]), where t are the targets,
// which sum to 1, smoothed: t·(1−s) + s/classes.
type SoftmaxCrossEntropy struct {
	// LabelSmoothing is s, from 0 to below 1 (Szegedy et al. 2016).
	LabelSmoothing float64
	// ClassWeights multiplies the loss of an image by Σ_c ClassWeights[c]·targets[c]; nil means 1.
	// As in Keras the mean is still over the number of images.
	ClassWeights []float64
}

// Gradient writes w·(softmax(logits) − t), for targets that sum to 1, and returns the loss.
func (l SoftmaxCrossEntropy) Gradient(gradient, logits, targets []float32) float64 {
	logSum := LogSumExp(logits, 1)
	weight, total := 1.0, 0.0
	if l.ClassWeights != nil {
		weight = 0
		for c, t := range targets {
			weight += float64(l.ClassWeights[c] * float64(t))
		}
	}
	for _, t := range targets {
		total += float64(t)
	}
	total = float64(total*(1-l.LabelSmoothing)) + l.LabelSmoothing
	loss := 0.0
	for c, v := range logits {
		t := float64(float64(targets[c])*(1-l.LabelSmoothing)) + l.LabelSmoothing/float64(len(logits))
		logProbability := float64(v) - logSum
		if t != 0 { // 0·∞ is 0 here
			loss -= float64(t * logProbability)
		}
		gradient[c] = float32(weight * (float64(total*elementary.Exp(logProbability)) - t))
	}
	return weight * loss
}

// BinaryCrossEntropy is the mean over the outputs of
// w·(−t·ln(σ(logit)) − (1−t)·ln(1−σ(logit))), with targets t from 0 to 1.
type BinaryCrossEntropy struct {
	// LabelSmoothing s makes a target t·(1−s) + s/2.
	LabelSmoothing float64
	// ClassWeights multiplies the loss of an output with the target t, before smoothing, by w =
	// ClassWeights[0]·(1−t) + ClassWeights[1]·t; nil means 1.
	ClassWeights []float64
}

// Gradient writes w·(σ(logit) − t)/outputs and returns the loss.
func (l BinaryCrossEntropy) Gradient(gradient, logits, targets []float32) float64 {
	loss, n := 0.0, float64(len(logits))
	for i, v := range logits {
		x, t := float64(v), float64(targets[i])
		weight := 1.0
		if l.ClassWeights != nil {
			weight = float64(l.ClassWeights[0]*(1-t)) + float64(l.ClassWeights[1]*t)
		}
		t = float64(t*(1-l.LabelSmoothing)) + float64(l.LabelSmoothing/2)
		loss += float64(weight * (math.Max(x, 0) - float64(x*t) + math.Log1p(elementary.Exp(-math.Abs(x)))))
		gradient[i] = float32(weight * (1/(1+elementary.Exp(-x)) - t) / n)
	}
	return loss / n
}
