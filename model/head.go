package model

import (
	"context"
	"fmt"

	"garb/backbone"
	"garb/nn"
)

// Head describes the layers between the features and the logits.
type Head struct {
	// Inner has the number of units of each dense layer with ReLU before the last; nil if the
	// last layer is the only one.
	Inner []int `json:"inner,omitempty"`
}

// Validate reports the first invalid number of layers or units.
func (h Head) Validate() error {
	const maxUnits, maxLayers = 1 << 16, 8
	if len(h.Inner) > maxLayers {
		return fmt.Errorf("a head of %d inner layers; at most %d are possible", len(h.Inner), maxLayers)
	}
	for _, units := range h.Inner {
		if units <= 0 || units > maxUnits {
			return fmt.Errorf("an inner layer of %d units; 1 to %d are possible", units, maxUnits)
		}
	}
	return nil
}

// innerName returns the name of inner layer i, counted from 0.
func innerName(i int) string { return fmt.Sprintf("inner%d", i+1) }

// addTo adds the head after features. dropout is the rate, in training, before the last layer.
func (h Head) addTo(b *nn.Builder, features nn.Value, classes int, dropout float64) nn.Value {
	x := features
	for i, units := range h.Inner {
		x = b.ReLU(b.Dense(innerName(i), x, units, nn.WithBias()))
	}
	return b.Dense(backbone.ClassifierName, b.Dropout(x, dropout), classes, nn.WithBias())
}

// Graph returns the head as a network from feature vectors to logits. Its parameters are
// "inner1/kernel" [features units], "inner1/bias" [units] and so on for each inner layer, and
// "classifier/kernel" and "classifier/bias" [classes].
func (h Head) Graph(features, classes int, dropout float64) *nn.Graph {
	b := nn.NewBuilder(1, 1, features)
	return b.Build(h.addTo(b, b.Flatten(b.Input()), classes, dropout))
}

// NetworkGraph returns a backbone with the head as one network, from [height width 3] to
// logits, to train as a whole.
func (h Head) NetworkGraph(a backbone.Architecture, height, width, classes int, dropout float64) *nn.Graph {
	return a.WithHead(height, width, func(b *nn.Builder, features nn.Value) nn.Value {
		return h.addTo(b, features, classes, dropout)
	})
}

// head turns feature vectors into the network's outputs.
type head struct {
	plan    *nn.Plan // nil if the features are the outputs
	outputs int      // the logits, and perhaps one of the acceptance
}

// newHead compiles a head's graph, which is nil if the features are the outputs.
func newHead(g *nn.Graph, w nn.Weights, outputs int) (*head, error) {
	if g == nil {
		return &head{nil, outputs}, nil
	}
	plan, err := nn.Compile(g, w, nn.Options{Threads: 1})
	return &head{plan, outputs}, err
}

// run writes the outputs for several feature vectors.
func (h *head) run(ctx context.Context, features, outputs []float32) error {
	if h.plan == nil {
		copy(outputs, features)
		return ctx.Err()
	}
	return h.plan.Run(ctx, features, outputs)
}

// runOne returns the outputs for one feature vector.
func (h *head) runOne(ctx context.Context, features []float32) ([]float32, error) {
	outputs := make([]float32, h.outputs)
	return outputs, h.run(ctx, features, outputs)
}
