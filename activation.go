package garb

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
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

// mapper computes activation maps. It is compiled when it is first asked for, since
// most who open a model never do.
type mapper struct {
	compile func() (*nn.Plan, error)
	head    nn.Weights
	inner   int // layers of the head before its last
}

// newMapper prepares the maps of a backbone for pictures prepared by spec, with a head.
func newMapper(a backbone.Architecture, spec picture.Spec, base, head nn.Weights, h HeadSpec, o Options) mapper {
	return mapper{
		compile: sync.OnceValues(func() (*nn.Plan, error) {
			g, ok := a.FeatureMap(spec.Height, spec.Width)
			if !ok {
				return nil, ErrNoActivationMap
			}
			return nn.Compile(g, base, nn.Options{Threads: o.Threads})
		}),
		head: head, inner: len(h.Inner),
	}
}

// ActivationMap returns where in an input, which Spec().Tensor gives, the evidence for a
// class is: the class activation map of Zhou et al. 2016,
//
//	map[y,x] = Σ_k w[k]·F[y,x,k]
//
// with the last feature map F and, as w, the class's column of the last layer. So the
// mean of the map is the class's logit without its bias. If the head has inner layers,
// w is the gradient of the logit by the features at this input (Selvaraju et al. 2017).
// Errors are ErrNoActivationMap, or ctx's. It panics if there is no such class.
func (c *Classifier) ActivationMap(ctx context.Context, input []float32, class int) (*ActivationMap, error) {
	if class < 0 || class >= len(c.classes) {
		panic(fmt.Sprintf("garb: class %d of %d", class, len(c.classes)))
	}
	plan, err := c.mapper.compile()
	if err != nil {
		return nil, err
	}
	shape := plan.OutputShape()
	positions, channels := shape[0]*shape[1], shape[2]
	features := make([]float32, positions*channels)
	if err := plan.Run(ctx, input, features); err != nil {
		return nil, err
	}
	weights, err := c.mapper.gradient(features, positions, class)
	if err != nil {
		return nil, err
	}
	m := &ActivationMap{Height: shape[0], Width: shape[1], Values: make([]float32, positions)}
	for i := range m.Values {
		m.Values[i] = dot(features[i*channels:][:channels], weights)
	}
	return m, nil
}

// gradient is that of a class's logit by the features, the mean of a feature map.
func (m mapper) gradient(featureMap []float32, positions, class int) ([]float32, error) {
	x := make([]float32, len(featureMap)/positions)
	for i, v := range featureMap {
		x[i%len(x)] += v / float32(positions)
	}
	var kernels [][]float32
	var active [][]bool // outputs of inner layers that are above zero
	for i := range m.inner {
		name := innerName(i)
		kernel, err := m.head.Tensor(name + "/kernel")
		if err != nil {
			return nil, err
		}
		bias, err := m.head.Tensor(name + "/bias")
		if err != nil {
			return nil, err
		}
		y := append([]float32(nil), bias.Data...)
		for k, v := range x {
			for j := range y {
				y[j] += v * kernel.Data[k*len(y)+j]
			}
		}
		on := make([]bool, len(y))
		for j, v := range y {
			on[j], y[j] = v > 0, max(v, 0)
		}
		kernels, active, x = append(kernels, kernel.Data), append(active, on), y
	}
	last, err := m.head.Tensor(backbone.ClassifierName + "/kernel")
	if err != nil {
		return nil, err
	}
	classes := last.Shape[1]
	g := make([]float32, len(x))
	for k := range g {
		g[k] = last.Data[k*classes+class]
	}
	for i := m.inner - 1; i >= 0; i-- {
		for j, on := range active[i] {
			if !on {
				g[j] = 0
			}
		}
		back := make([]float32, len(kernels[i])/len(g))
		for k := range back {
			back[k] = dot(kernels[i][k*len(g):][:len(g)], g)
		}
		g = back
	}
	return g, nil
}

func dot(a, b []float32) float32 {
	sum := float32(0)
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}
