package model

import (
	"context"
	"sync"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// Extractor turns pictures into feature vectors by preprocessing and a backbone. Many goroutines
// may use it at a time.
type Extractor struct {
	spec   picture.Spec
	limits picture.Limits
	plan   *nn.Plan
	count  int       // length of a feature vector
	inputs sync.Pool // of *[]float32
}

// NewExtractor compiles a backbone for pictures that spec prepares. It copies the weights.
func NewExtractor(a backbone.Architecture, w nn.Weights, spec picture.Spec, o Options) (*Extractor, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	a, err := a.Adapt(spec)
	if err != nil {
		return nil, err
	}
	return newExtractor(a.Features(spec.Height, spec.Width), w, spec, o)
}

// newExtractor compiles a network that turns the inputs of spec into features.
func newExtractor(g *nn.Graph, w nn.Weights, spec picture.Spec, o Options) (*Extractor, error) {
	limits := o.limits()
	if err := limits.Validate(); err != nil {
		return nil, err
	}
	plan, err := nn.Compile(g, w, nn.Options{Threads: o.Threads})
	if err != nil {
		return nil, err
	}
	e := &Extractor{spec: spec, limits: limits, plan: plan, count: tensor.Len(g.OutputShape())}
	e.inputs.New = func() any { v := make([]float32, spec.ValueCount()); return &v }
	return e, nil
}

// Spec returns the preprocessing.
func (e *Extractor) Spec() picture.Spec { return e.spec }

// Limits returns the bounds of a picture's cost.
func (e *Extractor) Limits() picture.Limits { return e.limits }

// FeatureCount returns the length of a feature vector.
func (e *Extractor) FeatureCount() int { return e.count }

// Embed returns the feature vector of an encoded picture: usually the average of the network's
// last feature map over its positions. Errors are *picture.Error, or ctx's.
func (e *Extractor) Embed(ctx context.Context, data []byte) ([]float32, error) {
	input := e.inputs.Get().(*[]float32)
	defer e.inputs.Put(input)
	if _, err := e.spec.Load(ctx, data, e.limits, *input); err != nil {
		return nil, err
	}
	return e.embedInput(ctx, *input)
}

// embedInput returns the feature vector of one input.
func (e *Extractor) embedInput(ctx context.Context, input []float32) ([]float32, error) {
	features := make([]float32, e.count)
	return features, e.plan.Run(ctx, input, features)
}

// Features writes the feature vector of each of several inputs, which Spec().Tensor wrote. The
// error is ctx's. It panics if the lengths do not match.
func (e *Extractor) Features(ctx context.Context, inputs, features []float32) error {
	return e.plan.Run(ctx, inputs, features)
}
