package nn

import (
	"context"

	"garb/tensor"
)

// Weights gives a graph's parameters by name. Tensor returns a tensor that the
// caller may keep but not change, or an error that names what is missing.
// *tensor.File and tensor.Map are Weights.
type Weights interface {
	Tensor(name string) (*tensor.Tensor, error)
}

// Options of Compile.
type Options struct {
	// Threads is the largest number of cores that one run uses; 0 means all.
	Threads int
}

// Plan is a compiled network. It is immutable and any number of goroutines may
// run it at the same time.
type Plan struct {
	inputLen, outputLen int
}

// Run computes the network for a batch: input holds n inputs one after another,
// output receives n outputs. It returns ctx's error, within one layer's time,
// when ctx ends; output is then undefined. It panics if the lengths do not fit.
func (p *Plan) Run(ctx context.Context, input, output []float32) error { panic("being written") }

// Compile prepares a graph for answering with the given weights...
func Compile(g *Graph, w Weights, o Options) (*Plan, error) { panic("being written") }
