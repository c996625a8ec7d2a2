package garb

import (
	"context"
	"math"

	"garb/backbone"
	"garb/nn"
)

// Head turns a feature vector into logits: a dense layer.
type Head struct {
	plan       *nn.Plan
	classCount int
}

// HeadGraph is the head as a network from features to logits. Its parameters are
// "classifier/kernel" [features classes] and "classifier/bias" [classes].
func HeadGraph(features, classes int) *nn.Graph {
	b := nn.NewBuilder(1, 1, features)
	return b.Build(b.Dense(backbone.ClassifierName, b.Flatten(b.Input()), classes, nn.WithBias()))
}

// NewHead compiles a head.
func NewHead(w nn.Weights, features, classes int) (*Head, error) {
	plan, err := nn.Compile(HeadGraph(features, classes), w, nn.Options{Threads: 1})
	return &Head{plan, classes}, err
}

// Logits returns the logits of one feature vector.
func (h *Head) Logits(ctx context.Context, features []float32) ([]float32, error) {
	logits := make([]float32, h.classCount)
	return logits, h.plan.Run(ctx, features, logits)
}

// Golden returns what a model of e and h answers to golden picture n.
func (h *Head) Golden(ctx context.Context, e *Extractor, n int) (Golden, error) {
	input := make([]float32, e.spec.ValueCount())
	e.spec.Tensor(GoldenPicture(n), input)
	features, err := e.features(ctx, input)
	if err != nil {
		return Golden{}, err
	}
	logits, err := h.Logits(ctx, features)
	return Golden{n, logits}, err
}

// Softmax returns e^logits[c] / Σ_k e^logits[k].
func Softmax(logits []float32) []float64 {
	largest := math.Inf(-1)
	for _, v := range logits {
		largest = max(largest, float64(v))
	}
	p := make([]float64, len(logits))
	sum := 0.0
	for i, v := range logits {
		p[i] = math.Exp(float64(v) - largest)
		sum += p[i]
	}
	for i := range p {
		p[i] /= sum
	}
	return p
}
