package model

import (
	"context"
	"fmt"
	"math"
	"slices"

	"garb/backbone"
	"garb/nn"
)

// Head describes a head: the layers between the features and the logits.
type Head struct {
	// Inner are the units of the dense layers with ReLU before the last layer, if any.
	Inner []int `json:"inner,omitempty"`
}

// Validate checks the number of inner layers and their units.
func (h Head) Validate() error {
	const maxUnits, maxLayers = 1 << 16, 8
	if len(h.Inner) > maxLayers {
		return fmt.Errorf("%d inner layers: must be at most %d", len(h.Inner), maxLayers)
	}
	for _, units := range h.Inner {
		if units <= 0 || units > maxUnits {
			return fmt.Errorf("an inner layer of %d units: must be from 1 to %d", units, maxUnits)
		}
	}
	return nil
}

// innerName returns the name of inner layer i, from 0.
func innerName(i int) string { return fmt.Sprintf("inner%d", i+1) }

// addLayers adds the head to features. In training, dropout at a rate precedes the last layer.
func (h Head) addLayers(b *nn.Builder, x nn.Value, classes int, dropout float64) nn.Value {
	for i, units := range h.Inner {
		x = b.ReLU(b.Dense(innerName(i), x, units, nn.WithBias()))
	}
	return b.Dense(backbone.ClassifierName, b.Dropout(x, dropout), classes, nn.WithBias())
}

// Graph returns the head as a network from a number of features to logits. Its parameters are
// "inner1/kernel" [features units], "inner1/bias" [units] and so on for each inner layer, and
// "classifier/kernel" and "classifier/bias" [classes].
func (h Head) Graph(features, classes int, dropout float64) *nn.Graph {
	b := nn.NewBuilder(1, 1, features)
	return b.Build(h.addLayers(b, b.Flatten(b.Input()), classes, dropout))
}

// NetworkGraph returns a backbone with the head as one network, from [height width 3] to logits.
func (h Head) NetworkGraph(a backbone.Architecture, height, width, classes int, dropout float64) *nn.Graph {
	return a.WithHead(height, width, func(b *nn.Builder, features nn.Value) nn.Value {
		return h.addLayers(b, features, classes, dropout)
	})
}

// head computes the network's outputs from feature vectors.
type head struct {
	plan    *nn.Plan // nil if the features are the logits
	outputs int      // number of outputs: the classes, and perhaps the acceptance
}

// newHead compiles the graph of a head: see networks.
func newHead(g *nn.Graph, w nn.Weights, outputs int) (*head, error) {
	if g == nil {
		return &head{nil, outputs}, nil
	}
	plan, err := nn.Compile(g, w, nn.Options{Threads: 1})
	return &head{plan, outputs}, err
}

// run computes the outputs for feature vectors, one after another.
func (h *head) run(ctx context.Context, features, outputs []float32) error {
	if h.plan == nil {
		copy(outputs, features)
		return ctx.Err()
	}
	return h.plan.Run(ctx, features, outputs)
}

// runOne returns the outputs for one feature vector.
func (h *head) runOne(ctx context.Context, features []float32) ([]float32, error) {
	logits := make([]float32, h.outputs)
	return logits, h.run(ctx, features, logits)
}

// Softmax returns e^logits[c] / Σ_k e^logits[k].
func Softmax(logits []float32) []float64 {
	p, logSum := make([]float64, len(logits)), nn.LogSumExp(logits, 1)
	for c, v := range logits {
		p[c] = math.Exp(float64(v) - logSum)
	}
	return p
}

// Ranking returns the indices of the classes in the order of their logits, the largest first and equal
// ones by index. NaN comes last.
func Ranking(logits []float32) []int {
	// Integers in the order of the logits, with the class in the lower half, sort many times
	// faster than by a comparison function.
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
