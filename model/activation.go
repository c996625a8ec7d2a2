package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"garb/nn"
	"garb/tensor"
)

// ErrNoActivationMap says that a network's features are no mean over positions, so
// that it does not know where in a picture it sees a class.
var ErrNoActivationMap = errors.New("the network has no class activation map: its features are no mean over positions")

// ActivationMap says where in a picture a network sees a class. Its positions are
// spread evenly over the input.
type ActivationMap struct {
	Height, Width int
	// Values has a value for each position, rows from top to bottom: what speaks for the
	// class is above zero, what speaks against it below.
	Values []float32
}

// mapper computes activation maps.
type mapper struct {
	plan *nn.Plan // to the last feature map
	// rest are the layers from there to the logits.
	rest    *nn.Graph
	weights nn.Weights
	// flat: the features are all values of the map, and no one number for each channel.
	flat bool
}

// newMapper prepares the maps of a network. It is compiled when it is first asked for,
// since most who open a model never do.
func newMapper(whole *nn.Graph, w nn.Weights, o Options) func() (*mapper, error) {
	return sync.OnceValues(func() (*mapper, error) {
		layers, shapes := whole.Layers(), whole.Shapes()
		at := lastPlural(layers, shapes)
		switch layers[at].Op {
		case nn.OpAveragePool, nn.OpMaxPool: // of the whole map, or else there is no one place for a class
			if shape := shapes[at]; shape[0]*shape[1] > 1 {
				return nil, ErrNoActivationMap
			}
		case nn.OpGlobalAveragePool, nn.OpGlobalMaxPool, nn.OpFlatten:
		default:
			return nil, ErrNoActivationMap
		}
		last := layers[at].Inputs[0]
		if last == 0 || len(shapes[last]) != 3 {
			return nil, ErrNoActivationMap
		}
		rest, err := restOf(whole, last)
		if err != nil {
			return nil, err
		}
		plan, err := nn.Compile(whole.Upto(last), w, nn.Options{Threads: o.Threads})
		return &mapper{plan, rest, w, layers[at].Op == nn.OpFlatten}, err
	})
}

// restOf is what a network does with the output of layer at, a feature map that no later
// layer looks past.
func restOf(g *nn.Graph, at int) (*nn.Graph, error) {
	rest := []nn.Layer{{Op: nn.OpInput, Shape: g.Shapes()[at]}}
	for _, l := range g.Layers()[at+1:] {
		l.Inputs = slices.Clone(l.Inputs)
		for i := range l.Inputs {
			l.Inputs[i] -= at
		}
		rest = append(rest, l)
	}
	return nn.NewGraph(rest)
}

// ActivationMap returns where in an input, which Spec().Tensor gives, the evidence for a
// class is: the class activation map of Zhou et al. 2016,
//
//	map[y,x] = Σ_k w[k]·F[y,x,k]
//
// with the last feature map F and, as w, the class's column of the last layer. So the
// mean of the map is the class's logit without its bias. If there are layers between, w
// is the gradient of the logit by the features at this input, and if these are no mean
// over positions, its mean over them (Selvaraju et al. 2017).
// Errors are ErrNoActivationMap, or ctx's. It panics if there is no such class.
func (c *Classifier) ActivationMap(ctx context.Context, input []float32, class int) (*ActivationMap, error) {
	if class < 0 || class >= len(c.description.Classes) {
		panic(fmt.Sprintf("model: class %d of %d", class, len(c.description.Classes)))
	}
	mapper, err := c.mapper()
	if err != nil {
		return nil, err
	}
	shape := mapper.plan.OutputShape()
	positions, channels := shape[0]*shape[1], shape[2]
	featureMap := make([]float32, positions*channels)
	if err := mapper.plan.Run(ctx, input, featureMap); err != nil {
		return nil, err
	}
	gradient, err := mapper.gradient(ctx, featureMap, class)
	if err != nil {
		return nil, err
	}
	w, share := make([]float32, channels), float32(1) // of what is summed over the positions
	if mapper.flat {
		share /= float32(positions)
	}
	for i, v := range gradient {
		w[i%channels] += v * share
	}
	m := &ActivationMap{Height: shape[0], Width: shape[1], Values: make([]float32, positions)}
	for i := range m.Values {
		for c, v := range featureMap[i*channels:][:channels] {
			m.Values[i] += v * w[c]
		}
	}
	return m, nil
}

// gradient is that of a class's logit by the feature map.
func (m *mapper) gradient(ctx context.Context, featureMap []float32, class int) ([]float32, error) {
	d, err := nn.NewDifferentiator(m.rest, m.weights)
	if err != nil {
		return nil, err
	}
	direction := make([]float32, tensor.Len(m.rest.OutputShape()))
	direction[class] = 1
	gradient := make([]float32, len(featureMap))
	err = d.Gradient(ctx, featureMap, direction, make([]float32, len(direction)), gradient)
	return gradient, err
}
