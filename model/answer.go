package model

import (
	"math"
	"slices"

	"garb/accept"
	"garb/internal/elementary"
	"garb/nn"
)

// Prediction is one class with its probability.
type Prediction struct {
	Class       string  `json:"class"`
	Probability float64 `json:"probability"` // see Description.Probabilities
	Logit       float32 `json:"logit"`
	Index       int     `json:"-"` // of the class in Classifier.Classes
}

// ListedPrediction is a prediction as the commands and the service print it. One of ImageNet's
// classes, several of which share a name, comes with its identifiers.
type ListedPrediction struct {
	Prediction
	WNID  string `json:"wnid,omitempty"`  // WordNet's identifier: "n04370456"
	Index *int   `json:"index,omitempty"` // of the class in the network's output
}

// List returns predictions of the classifier with the identifiers of ImageNet's classes.
func (c *Classifier) List(predictions []Prediction) []ListedPrediction {
	listed := make([]ListedPrediction, len(predictions))
	for i, p := range predictions {
		listed[i].Prediction = p
		if wnid := c.WNID(p.Index); wnid != "" {
			listed[i].WNID, listed[i].Index = wnid, &listed[i].Prediction.Index
		}
	}
	return listed
}

// Answer is what a model says about a picture.
type Answer struct {
	Predictions []Prediction // all classes, the most probable first
	// Judged says that the model judges whether a picture shows any of its classes. If it does
	// not, Accepted is true and Acceptance is 1.
	Judged     bool
	Accepted   bool
	Acceptance float64 // from 0 to 1
	Refusal    string  // describes a picture that is not accepted: "not clothing"
	// Labels has the classes with a probability above one half if the model is a multi-label
	// model, the most probable first. It may be empty, and is nil for other models.
	Labels []string
	// Set has the classes that include the right one with the probability of
	// Description.Coverage, the most probable first; nil if the model has no prediction sets.
	Set []string
}

// Answer returns the answer for a row of Outputs.
func (c *Classifier) Answer(row []float32) Answer {
	classes := len(c.description.Classes)
	a := Answer{Predictions: c.Predictions(row[:classes]), Accepted: true, Acceptance: 1}
	a.Set = c.PredictionSet(a.Predictions)
	if c.description.MultiLabel {
		a.Labels = []string{}
		for _, p := range a.Predictions {
			if p.Probability > 0.5 {
				a.Labels = append(a.Labels, p.Class)
			}
		}
	}
	if c.judge != nil {
		a.Judged, a.Refusal = true, c.judge.Refusal
		a.Acceptance = accept.Logistic(float64(row[classes]))
		a.Accepted = a.Acceptance >= c.judge.threshold
	}
	return a
}

// Predictions returns the predictions for the logits of a picture, one for each class, the most
// probable first.
func (c *Classifier) Predictions(logits []float32) []Prediction {
	probabilities := c.description.Probabilities(logits)
	predictions := make([]Prediction, len(logits))
	for i, class := range Rank(logits) {
		predictions[i] = Prediction{c.description.Classes[class], probabilities[class], logits[class], class}
	}
	return predictions
}

// PredictionSet returns the classes that include the right one with the probability of
// Description.Coverage, the most probable first, for the result of Predictions. It is nil if the
// model has no prediction sets.
func (c *Classifier) PredictionSet(predictions []Prediction) []string {
	if c.description.Coverage == nil {
		return nil
	}
	return SelectClasses(c.description.Coverage.Rule, predictions)
}

// Softmax returns e^logits[c] / Σ_k e^logits[k].
func Softmax(logits []float32) []float64 {
	probabilities, logSum := make([]float64, len(logits)), nn.LogSumExp(logits, 1)
	for c, v := range logits {
		probabilities[c] = elementary.Exp(float64(v) - logSum)
	}
	return probabilities
}

// Rank returns the indices of the classes, that of the largest logit first. Classes with equal
// logits keep their order, and NaN comes last.
func Rank(logits []float32) []int {
	// Integers in the order of the logits, with the class in the lower half, sort many times
	// faster than anything that a function compares.
	keys := make([]uint64, len(logits))
	for i, v := range logits {
		bits := math.Float32bits(v)
		switch {
		case v != v:
			bits = 0
		case v == 0:
			bits = 1 << 31 // -0 equals 0
		case bits>>31 == 0:
			bits |= 1 << 31
		default:
			bits = ^bits
		}
		keys[i] = uint64(^bits)<<32 | uint64(uint32(i))
	}
	slices.Sort(keys)
	classes := make([]int, len(logits))
	for i, k := range keys {
		classes[i] = int(uint32(k))
	}
	return classes
}
