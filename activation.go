package garb

import (
	"context"
	"errors"
	"fmt"
	"math"
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
	plan    *nn.Plan // to the last feature map
	head    []nn.Layer
	shapes  [][]int // of the head's layers
	weights nn.Weights
	// pool says how the features are made of the map: one number for each channel, its mean
	// or its largest; or all values of the map.
	pool pooling
}

type pooling uint8

const (
	mean pooling = iota
	largest
	all
)

// newMapper prepares the maps of a network. It is compiled when it is first asked for,
// since most who open a model never do.
func newMapper(whole *nn.Graph, w nn.Weights, o Options) func() (*mapper, error) {
	return sync.OnceValues(func() (*mapper, error) {
		layers, shapes := whole.Layers(), whole.Shapes()
		at, computed := lastPlural(layers, shapes), lastComputed(layers)
		m := &mapper{weights: w}
		switch op := layers[at].Op; op {
		case nn.OpAveragePool, nn.OpMaxPool: // of the whole map, or else there is no one place for a class
			if shape := shapes[at]; shape[0]*shape[1] > 1 {
				return nil, ErrNoActivationMap
			}
			if op == nn.OpMaxPool {
				m.pool = largest
			}
		case nn.OpGlobalAveragePool:
		case nn.OpGlobalMaxPool:
			m.pool = largest
		case nn.OpFlatten:
			m.pool = all
		default:
			return nil, ErrNoActivationMap
		}
		last := layers[at].Inputs[0]
		if last == 0 || len(shapes[last]) != 3 {
			return nil, ErrNoActivationMap
		}
		var err error
		if at < computed {
			head, err := headOf(whole, at)
			if err != nil {
				return nil, err
			}
			m.head, m.shapes = head.Layers()[1:], head.Shapes()[1:]
		}
		m.plan, err = nn.Compile(whole.Upto(last), w, nn.Options{Threads: o.Threads})
		return m, err
	})
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
	if class < 0 || class >= len(c.classes) {
		panic(fmt.Sprintf("garb: class %d of %d", class, len(c.classes)))
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
	w, err := mapper.gradient(mapper.features(featureMap, channels), class)
	if err != nil {
		return nil, err
	}
	if mapper.pool == all {
		w = means(w, channels)
	}
	m := &ActivationMap{Height: shape[0], Width: shape[1], Values: make([]float32, positions)}
	for i := range m.Values {
		m.Values[i] = dot(featureMap[i*channels:][:channels], w)
	}
	return m, nil
}

// features are what the head takes, of a feature map.
func (m *mapper) features(featureMap []float32, channels int) []float32 {
	switch m.pool {
	case mean:
		return means(featureMap, channels)
	case largest:
		features := slices.Clone(featureMap[:channels])
		for i, v := range featureMap {
			features[i%channels] = max(features[i%channels], v)
		}
		return features
	}
	return featureMap
}

// means are the channels' means over all positions.
func means(featureMap []float32, channels int) []float32 {
	m, positions := make([]float32, channels), float32(len(featureMap)/channels)
	for i, v := range featureMap {
		m[i%channels] += v / positions
	}
	return m
}

// gradient is that of a class's logit by the features, through the head.
func (m *mapper) gradient(features []float32, class int) ([]float32, error) {
	values := [][]float32{features}
	var back []func(g []float32) []float32
	for i, l := range m.head {
		y, step, err := m.layer(l, m.shapes[i], values[i])
		if err != nil {
			return nil, err
		}
		values, back = append(values, y), append(back, step)
	}
	g := make([]float32, len(values[len(values)-1]))
	g[class] = 1
	for i := len(back) - 1; i >= 0; i-- {
		g = back[i](g)
	}
	return g, nil
}

// layer is a layer of a head on x, and the gradient by x of what has the gradient g by
// its output.
func (m *mapper) layer(l nn.Layer, shape []int, x []float32) (y []float32, back func(g []float32) []float32, err error) {
	var params [4][]float32
	for i, name := range map[nn.Op][]string{
		nn.OpDense: {"kernel", "bias"}, nn.OpConv: {"kernel", "bias"}, nn.OpScale: {"scale", "offset"},
		nn.OpBatchNorm: {"gamma", "beta", "moving_mean", "moving_variance"},
	}[l.Op] {
		if name == "bias" && !l.Bias {
			continue
		}
		t, err := m.weights.Tensor(l.Name + "/" + name)
		if err != nil {
			return nil, nil, err
		}
		params[i] = t.Data
	}
	each := func(f func(i int, v float32) (value, slope float32)) {
		y = make([]float32, len(x))
		slopes := make([]float32, len(x))
		for i, v := range x {
			y[i], slopes[i] = f(i, v)
		}
		back = func(g []float32) []float32 {
			for i := range slopes {
				slopes[i] *= g[i]
			}
			return slopes
		}
	}
	// The functions' slopes: those of x·[x>0] and so on.
	between := func(low, high float32) func(int, float32) (float32, float32) {
		return func(_ int, v float32) (float32, float32) {
			if v > low && v < high {
				return v, 1
			}
			return min(max(v, low), high), 0
		}
	}
	logistic := func(v float32) float32 { return float32(1 / (1 + math.Exp(-float64(v)))) }
	switch l.Op {
	case nn.OpDense, nn.OpConv: // a convolution at one place
		units, kernel := tensor.Len(shape), params[0]
		y = make([]float32, units)
		copy(y, params[1])
		for k, v := range x {
			for j, w := range kernel[k*units:][:units] {
				y[j] += v * w
			}
		}
		back = func(g []float32) []float32 {
			by := make([]float32, len(x))
			for k := range by {
				by[k] = dot(kernel[k*units:][:units], g)
			}
			return by
		}
	case nn.OpScale:
		each(func(i int, v float32) (float32, float32) { return v*params[0][i] + params[1][i], params[0][i] })
	case nn.OpBatchNorm:
		each(func(i int, v float32) (float32, float32) {
			slope := params[0][i] / float32(math.Sqrt(float64(params[3][i])+l.Epsilon))
			return (v-params[2][i])*slope + params[1][i], slope
		})
	case nn.OpReLU:
		each(between(0, float32(math.Inf(1))))
	case nn.OpReLU6:
		each(between(0, 6))
	case nn.OpLeakyReLU:
		each(func(_ int, v float32) (float32, float32) {
			if v < 0 {
				return v * float32(l.Slope), float32(l.Slope)
			}
			return v, 1
		})
	case nn.OpSigmoid:
		each(func(_ int, v float32) (float32, float32) { s := logistic(v); return s, s * (1 - s) })
	case nn.OpSwish:
		each(func(_ int, v float32) (float32, float32) { s := logistic(v); return v * s, s + v*s*(1-s) })
	case nn.OpTanh:
		each(func(_ int, v float32) (float32, float32) {
			t := float32(math.Tanh(float64(v)))
			return t, 1 - t*t
		})
	default: // Dropout, Flatten, Reshape
		y, back = x, func(g []float32) []float32 { return g }
	}
	return y, back, nil
}

func dot(a, b []float32) float32 {
	sum := float32(0)
	for i, v := range a {
		sum += v * b[i]
	}
	return sum
}
