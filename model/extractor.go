package model

import (
	"context"
	"sync"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// Extractor computes the feature vectors of pictures by preprocessing and a backbone. It may be used by
// several goroutines.
type Extractor struct {
	spec   picture.Spec
	limits picture.Limits
	plan   *nn.Plan
	count  int       // of a feature vector
	inputs sync.Pool // of *[]float32
}

// NewExtractor compiles a backbone for pictures prepared by spec. It copies the weights.
func NewExtractor(a backbone.Architecture, w nn.Weights, spec picture.Spec, o Options) (*Extractor, error) {
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	a, err := a.For(spec)
	if err != nil {
		return nil, err
	}
	return newExtractor(a.Features(spec.Height, spec.Width), w, spec, o)
}

// newExtractor compiles a network that computes features of pictures prepared by spec.
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

// Limits returns the limits of a picture.
func (e *Extractor) Limits() picture.Limits { return e.limits }

// FeatureCount returns the length of a feature vector.
func (e *Extractor) FeatureCount() int { return e.count }

// Embed returns the feature vector of an encoded picture: the output of the backbone. Errors are
// *picture.Error or ctx's.
func (e *Extractor) Embed(ctx context.Context, data []byte) ([]float32, error) {
	input := e.inputs.Get().(*[]float32)
	defer e.inputs.Put(input)
	if _, err := e.spec.Load(ctx, data, e.limits, *input); err != nil {
		return nil, err
	}
	return e.features(ctx, *input)
}

// Features computes the feature vectors of inputs, as Spec().Tensor writes them, one after another. The
// error is ctx's. It panics if the lengths do not match.
func (e *Extractor) Features(ctx context.Context, inputs, features []float32) error {
	return e.plan.Run(ctx, inputs, features)
}

// features runs the backbone on one input.
func (e *Extractor) features(ctx context.Context, input []float32) ([]float32, error) {
	features := make([]float32, e.count)
	return features, e.plan.Run(ctx, input, features)
}
