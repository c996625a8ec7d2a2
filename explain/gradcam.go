package explain

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"garb"
	"garb/nn"
)

// ErrNoFeatureMap says that a network has no feature map on which all of its answer
// depends, so that there is no place to look at.
var ErrNoFeatureMap = errors.New("the network has no feature map on which its whole answer depends")

// step is what a channel is changed by to see what follows, as a share of its size: small
// beside what it is, large beside the rounding of float32.
const step = 0.05

// maxChanged is the number of values of changed feature maps, or inputs, that are computed
// together, unless a single one has more.
const maxChanged = 1 << 22

// GradCAM computes, for each of some classes, where in an input the network sees it
// (Selvaraju et al. 2017):
//
//	map[y,x] = max(0, Σ_k a[k]·F[y,x,k]), a[k] = mean over y, x of ∂logit/∂F[y,x,k]
//
// with the last feature map F. The derivatives are differences: the layers after F run on
// F with channel k a little larger, and a little smaller. So any layers may follow.
// Errors are ErrNoFeatureMap, about weights, or ctx's. It panics without a class.
func (l *Layers) GradCAM(ctx context.Context, input []float32, classes []int) ([]*garb.ActivationMap, error) {
	last, tail, err := l.tail()
	if err != nil {
		return nil, err
	}
	f, err := l.FeatureMap(ctx, last, input)
	if err != nil {
		return nil, err
	}
	plan, err := nn.Compile(tail, l.network.Tensors, nn.Options{})
	if err != nil {
		return nil, err
	}
	outputs := plan.OutputShape()[0]
	if most := slices.Max(classes); most >= outputs {
		return nil, fmt.Errorf("class %d of a network with %d outputs", most, outputs)
	}
	positions := f.Height * f.Width
	maps := make([]*garb.ActivationMap, len(classes))
	for j := range maps {
		maps[j] = &garb.ActivationMap{Height: f.Height, Width: f.Width, Values: make([]float32, positions)}
	}
	size := len(f.Values)
	together := max(1, maxChanged/2/size)
	for from := 0; from < f.Channels; from += together {
		count := min(together, f.Channels-from)
		inputs, logits := make([]float32, 2*count*size), make([]float32, 2*count*outputs)
		changes := make([]float32, count)
		for i := range count {
			up, down := inputs[2*i*size:][:size], inputs[(2*i+1)*size:][:size]
			copy(up, f.Values)
			copy(down, f.Values)
			changes[i] = step * f.magnitude(from+i)
			for p := from + i; p < size; p += f.Channels {
				up[p] += changes[i]
				down[p] -= changes[i]
			}
		}
		if err := plan.Run(ctx, inputs, logits); err != nil {
			return nil, err
		}
		for i := range count {
			for j, class := range classes {
				slope := (logits[2*i*outputs+class] - logits[(2*i+1)*outputs+class]) / (2 * changes[i]) / float32(positions)
				for p := range positions {
					maps[j].Values[p] += slope * f.Values[p*f.Channels+from+i]
				}
			}
		}
	}
	for _, m := range maps {
		for p, v := range m.Values {
			m.Values[p] = max(v, 0)
		}
	}
	return maps, nil
}

// magnitude is the root of a channel's mean square; that of a channel without any, 1.
func (m *FeatureMap) magnitude(c int) float32 {
	sum := 0.0
	for i := c; i < len(m.Values); i += m.Channels {
		sum += float64(m.Values[i]) * float64(m.Values[i])
	}
	if sum == 0 {
		return 1
	}
	return float32(math.Sqrt(sum / float64(m.Height*m.Width)))
}

// tail is the last feature map's layer, and the layers after it as a graph of their own.
func (l *Layers) tail() (last int, g *nn.Graph, err error) {
	for i := range l.layers {
		if l.isMap(i) {
			last = i
		}
	}
	if last == 0 || last == len(l.layers)-1 {
		return 0, nil, ErrNoFeatureMap
	}
	layers := []nn.Layer{{Op: nn.OpInput, Shape: l.shapes[last]}}
	for _, layer := range l.layers[last+1:] {
		inputs := make([]int, len(layer.Inputs))
		for j, in := range layer.Inputs {
			if in < last {
				return 0, nil, fmt.Errorf("%w: its last one, %s, is passed by", ErrNoFeatureMap, l.Name(last))
			}
			inputs[j] = in - last
		}
		layer.Inputs = inputs
		layers = append(layers, layer)
	}
	if g, err = nn.NewGraph(layers); err != nil {
		return 0, nil, err
	}
	return last, g, nil
}
