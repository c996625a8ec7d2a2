package explain

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"garb/nn"
)

// Layers gives access to the output of every layer of a network.
type Layers struct {
	network *nn.Network
	graph   *nn.Graph
	layers  []nn.Layer
	shapes  [][]int
}

// NewLayers prepares a network, from the picture to the logits. Errors say what is wrong with
// its description.
func NewLayers(n *nn.Network) (*Layers, error) {
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		return nil, err
	}
	return &Layers{n, g, g.Layers(), g.Shapes()}, nil
}

// UnknownLayerError says that a network has no feature map with a name.
type UnknownLayerError struct {
	Name  string
	Known []string
}

func (e *UnknownLayerError) Error() string {
	return fmt.Sprintf("the network has no feature map %q; it has %s", e.Name, strings.Join(e.Known, ", "))
}

// Name returns the name of layer i. A layer without parameters is called by its index and
// operation, such as 5-relu6; so is a layer that shares the parameters of an earlier one.
func (l *Layers) Name(i int) string {
	name := l.layers[i].Name
	for _, earlier := range l.layers[:i] {
		if earlier.Name == name {
			name = ""
		}
	}
	if name == "" {
		return fmt.Sprintf("%d-%s", i, strings.ToLower(string(l.layers[i].Op)))
	}
	return name
}

// Names returns the names of all layers whose outputs are feature maps, in the network's order.
func (l *Layers) Names() []string {
	var names []string
	for i := range l.layers {
		if l.isMap(i) {
			names = append(names, l.Name(i))
		}
	}
	return names
}

// isMap reports whether a layer's output has several positions.
func (l *Layers) isMap(i int) bool {
	s := l.shapes[i]
	return i > 0 && len(s) == 3 && s[0]*s[1] > 1
}

// Find returns the index of a layer by its Name or by its index as text. The error is an
// *UnknownLayerError.
func (l *Layers) Find(name string) (int, error) {
	index, err := strconv.Atoi(name)
	for i := range l.layers {
		if l.isMap(i) && (err == nil && i == index || l.Name(i) == name) {
			return i, nil
		}
	}
	return 0, &UnknownLayerError{name, l.Names()}
}

// maxSpread is the largest number of layers that Spread chooses.
const maxSpread = 8

// Spread returns the indices of a few layers from the first to the last feature map: the first
// convolution, with the activation that follows, and the last layer of each size.
func (l *Layers) Spread() []int {
	var chosen []int
	for i := range l.layers {
		if l.layers[i].Op == nn.OpConv && l.isMap(i) {
			chosen = append(chosen, l.lastActivation(i))
			break
		}
	}
	for i := range l.layers {
		if !l.isMap(i) || l.layers[i].Op == nn.OpPad {
			continue
		}
		last := len(chosen) - 1
		switch {
		case last < 0 || l.shapes[i][0] < l.shapes[chosen[last]][0]:
			chosen = append(chosen, i)
		case last > 0 && l.shapes[i][0] == l.shapes[chosen[last]][0]:
			chosen[last] = i
		case last == 0 && i > chosen[0] && l.shapes[i][0] == l.shapes[chosen[0]][0]:
			chosen = append(chosen, i)
		}
	}
	if len(chosen) > maxSpread { // keep the first and the last ones, which show most
		chosen = append(chosen[:1], chosen[len(chosen)-maxSpread+1:]...)
	}
	return chosen
}

// lastActivation returns the last of the layers in a row after layer i that only normalize or
// activate, or i if there is none.
func (l *Layers) lastActivation(i int) int {
	for j := i + 1; j < len(l.layers); j++ {
		if in := l.layers[j].Inputs; len(in) != 1 || in[0] != i {
			break
		}
		switch l.layers[j].Op {
		case nn.OpBatchNorm, nn.OpScale, nn.OpReLU, nn.OpReLU6, nn.OpLeakyReLU, nn.OpSwish, nn.OpSigmoid, nn.OpTanh:
			i = j
		default:
			return i
		}
	}
	return i
}

// FeatureMap is the output of a layer for a picture: Height × Width positions with Channels
// values each.
type FeatureMap struct {
	Layer, Op               string
	Number                  int // the layer's index
	Height, Width, Channels int
	Values                  []float32 // in the order h, w, c
}

// ComputeMap computes the feature map of layer i, which Find or Spread returned, for an input
// as Spec.Tensor writes it. Errors are about missing weights, or ctx's.
func (l *Layers) ComputeMap(ctx context.Context, i int, input []float32) (*FeatureMap, error) {
	plan, err := nn.Compile(l.graph.Upto(i), l.network.Tensors, nn.Options{})
	if err != nil {
		return nil, err
	}
	s := l.shapes[i]
	m := &FeatureMap{l.Name(i), string(l.layers[i].Op), i, s[0], s[1], s[2], make([]float32, s[0]*s[1]*s[2])}
	return m, plan.Run(ctx, input, m.Values)
}
