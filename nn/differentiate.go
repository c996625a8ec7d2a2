package nn

import (
	"context"
	"fmt"
)

// Differentiator computes how a network's output changes with its input. Only one goroutine may use
// it at a time.
type Differentiator struct{ trainer *Trainer }

// NewDifferentiator prepares the gradients of g in inference, with the given weights. Its errors
// are those of NewTrainer.
func NewDifferentiator(g *Graph, w Weights) (*Differentiator, error) {
	none := func(Param) bool { return false }
	t, err := newTrainer(g, w, TrainerOptions{Threads: 1, Loss: directionLoss{}, Trainable: none}, true)
	if err != nil {
		return nil, err
	}
	return &Differentiator{t}, nil
}

// Gradient computes the network for one input, and writes the derivative of Σ_i
// direction[i]·output[i] by each value of the input to gradient. It returns ctx's error if ctx has
// ended before. It panics if the lengths do not fit.
func (d *Differentiator) Gradient(ctx context.Context, input, direction, output, gradient []float32) error {
	t := d.trainer
	if len(input) != t.inputLen || len(gradient) != t.inputLen {
		panic(fmt.Sprintf("nn: an input of %d and a gradient of %d values of a network with %d",
			len(input), len(gradient), t.inputLen))
	}
	if _, err := t.Step(ctx, input, direction, output); err != nil {
		return err
	}
	copy(gradient, t.gradient(t.memories[0].workspace, 0, 0, 1))
	return nil
}

// directionLoss is a Loss whose gradient is the targets.
type directionLoss struct{}

func (directionLoss) Gradient(gradient, outputs, direction []float32) float64 {
	sum := 0.0
	for i, v := range outputs {
		sum += float64(float64(v) * float64(direction[i]))
	}
	copy(gradient, direction)
	return sum
}
