// Package enginetest has a model for tests of a service: small, fast, and told how to behave.
package enginetest

import (
	"cmp"
	"context"
	"math"
	"sync"
	"sync/atomic"

	"garb/model"
	"garb/picture"
)

// Model is a model with two classes, dark and light: the mean of a picture's values decides.
type Model struct {
	Label string // its digest is sha256:LABEL
	// OnOutputs, if not nil, is called before outputs are computed; its error is that of Outputs.
	OnOutputs func(ctx context.Context, inputs, rows []float32) error
	OnAnswer  func() // if not nil, called before an answer is made
	Judging   bool   // the model has acceptance; light pictures show none of its classes
	// RefusalClass is the name of what shows none of the classes; "" means neither.
	RefusalClass  string
	PredictionSet []string
	// Named, if not nil, is the model's signature.
	Named  *model.Signature
	Memory int64 // what MemoryBytes returns

	Explained atomic.Int64 // class of the last activation map

	mu      sync.Mutex
	batches []int // sizes of what Outputs was called with
}

// Spec is the preprocessing of the model.
var Spec = picture.Spec{Width: 8, Height: 8, Filter: picture.Bilinear, Fit: picture.Stretch,
	Std: [3]float32{255, 255, 255}}

// Digest returns the digest, which contains the label.
func (f *Model) Digest() string { return "sha256:" + f.Label }

// Classes returns dark and light.
func (f *Model) Classes() []string { return []string{"dark", "light"} }

// Spec returns the preprocessing, see Spec.
func (f *Model) Spec() picture.Spec { return Spec }

// OutputCount returns the number of outputs: two, and one more with acceptance.
func (f *Model) OutputCount() int {
	if f.Judging {
		return 3
	}
	return 2
}

// Outputs computes the outputs of pictures from the means of their values.
func (f *Model) Outputs(ctx context.Context, inputs, rows []float32) error {
	length := f.OutputCount()
	n := len(rows) / length
	f.mu.Lock()
	f.batches = append(f.batches, n)
	f.mu.Unlock()
	if f.OnOutputs != nil {
		if err := f.OnOutputs(ctx, inputs, rows); err != nil {
			return err
		}
	}
	for i := range n {
		mean := float32(0)
		for _, v := range inputs[i*len(inputs)/n:][:len(inputs)/n] {
			mean += v / float32(len(inputs)/n)
		}
		row := rows[i*length:][:length]
		row[0], row[1] = -mean, mean-1
		if f.Judging {
			row[2] = 4
			if mean > 0.5 {
				row[2] = -4
			}
		}
	}
	return ctx.Err()
}

// Signature returns Named, or the usual signature.
func (f *Model) Signature() model.Signature {
	if f.Named != nil {
		return *f.Named
	}
	return model.Signature{Input: "input", Output: "probabilities", Values: model.Probabilities}
}

// SignatureOutput returns what Signature says that the output holds.
func (f *Model) SignatureOutput(row []float32) []float32 {
	dark, light := float32(0.75), float32(0.25)
	if row[1] > row[0] {
		dark, light = light, dark
	}
	switch f.Signature().Values {
	case model.Logits:
		return row[:2]
	case model.Logit:
		return []float32{row[1] - row[0]}
	case model.Probability:
		return []float32{light}
	}
	return []float32{dark, light}
}

// MemoryBytes returns the memory that the model takes.
func (f *Model) MemoryBytes(int, int) int64 { return f.Memory }

// AcceptanceThreshold returns one half.
func (f *Model) AcceptanceThreshold() float64 { return 0.5 }

// List returns the predictions as they are.
func (f *Model) List(predictions []model.Prediction) []model.ListedPrediction {
	listed := make([]model.ListedPrediction, len(predictions))
	for i, p := range predictions {
		listed[i].Prediction = p
	}
	return listed
}

// Answer returns the answer about a row of outputs.
func (f *Model) Answer(row []float32) (a model.Answer) {
	if f.OnAnswer != nil {
		f.OnAnswer()
	}
	p := []model.Prediction{{Class: "dark", Probability: 0.75, Logit: row[0]},
		{Class: "light", Probability: 0.25, Logit: row[1]}}
	if row[1] > row[0] {
		p[0].Class, p[1].Class = p[1].Class, p[0].Class
	}
	a.Predictions, a.Accepted, a.Set = p, true, f.PredictionSet
	if f.Judging {
		a.Judged, a.Acceptance, a.Refusal = true, 1/(1+math.Exp(-float64(row[2]))), cmp.Or(f.RefusalClass, "neither")
		a.Accepted = a.Acceptance >= 0.5
	}
	return a
}

// ActivationMap returns a map of one value, and notes the class.
func (f *Model) ActivationMap(_ context.Context, _ []float32, class int) (*model.ActivationMap, error) {
	f.Explained.Store(int64(class))
	return &model.ActivationMap{Height: 1, Width: 1, Values: []float32{1}}, nil
}

// BatchSizes returns the sizes of the batches so far, without that of the warm-up.
func (f *Model) BatchSizes() []int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]int(nil), f.batches[1:]...)
}
