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

// ErrNoActivationMap is the error of networks that do not pool the positions of a feature map, so that
// no part of a picture can be related to a class.
var ErrNoActivationMap = errors.New("the network has no class activation map: it does not pool a feature map")

// ActivationMap shows which parts of a picture support a class. Its positions are spread evenly over
// the input.
type ActivationMap struct {
	Height, Width int
	// Values has a value for each position, row by row: positive where the picture supports
	// the class, negative where it counts against it.
	Values []float32
}

// mapper computes activation maps.
type mapper struct {
	plan    *nn.Plan  // from the input to the last feature map
	rest    *nn.Graph // from there to the logits
	weights nn.Weights
	flat    bool // the features are all values of the map, not one for each channel
}

// newMapper returns a function that returns the mapper of a network. The mapper is compiled at the first
// call, since most programs never need it.
func newMapper(whole *nn.Graph, w nn.Weights, o Options) func() (*mapper, error) {
	return sync.OnceValues(func() (*mapper, error) {
		layers, shapes := whole.Layers(), whole.Shapes()
		at := findLastSpatial(layers, shapes)
		switch layers[at].Op {
		case nn.OpAveragePool, nn.OpMaxPool: // it must pool the whole map
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
		rest, err := cutRest(whole, last)
		if err != nil {
			return nil, err
		}
		plan, err := nn.Compile(whole.Upto(last), w, nn.Options{Threads: o.Threads})
		return &mapper{plan, rest, w, layers[at].Op == nn.OpFlatten}, err
	})
}

// cutRest returns the part of a network after layer at, whose output is the only input of that part.
func cutRest(g *nn.Graph, at int) (*nn.Graph, error) {
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

// ActivationMap returns the class activation map (Zhou et al. 2016) of a class for an input, which
// Spec().Tensor writes:
//
//	map[y,x] = Σ_k w[k]·F[y,x,k]
//
// F is the last feature map, and w the class's column of the last layer's kernel. So the mean of the
// map is the class's logit without its bias. If there are layers between them, w is the gradient of
// the logit with respect to the pooled features at this input or, if the features are not pooled, the
// mean of the gradient over the positions (Grad-CAM, Selvaraju et al. 2017).
//
// Errors are ErrNoActivationMap or ctx's. It panics if there is no such class.
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
	if err = mapper.plan.Run(ctx, input, featureMap); err != nil {
		return nil, err
	}
	gradient, err := mapper.gradient(ctx, featureMap, class)
	if err != nil {
		return nil, err
	}
	w, share := make([]float32, channels), float32(1) // of each position in w
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

// gradient returns the gradient of a class's logit with respect to the feature map.
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
