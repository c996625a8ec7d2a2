package onnx

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"garb/internal/safefile"
	"garb/nn"
	"garb/tensor"
)

// Info is what a file says about itself.
type Info struct {
	Producer, ProducerVersion string // the program that wrote it: "pytorch", "2.4.0"
	Opset                     int
	Doc                       string
	Metadata                  map[string]string
	Input                     Input
	// Outputs are the names of all outputs, Output that of the one that was read.
	Outputs []string
	Output  string
}

// Input is the input that a file declares.
type Input struct {
	Name string
	// Shape has the batch axis, and −1 for open sizes.
	Shape  []int
	Layout Layout
	// Picture says that the input is samples from 0 to 255 as bytes: the network itself prepares
	// them.
	Picture bool
}

// Layout is the order of a feature map's axes.
type Layout string

// The layouts: channels before rows and columns, or after.
const (
	NCHW Layout = "NCHW"
	NHWC Layout = "NHWC"
)

// ReadFile reads the ONNX model at path, and its weights in other files of the same folder or below
// it. Errors name the path.
func ReadFile(path string, limits Limits) (*nn.Network, *Info, error) {
	data, err := safefile.Read(path, limits.MaxBytes)
	if err != nil {
		return nil, nil, err
	}
	root, err := os.OpenRoot(filepath.Dir(path))
	if err != nil {
		return nil, nil, err
	}
	defer root.Close()
	n, info, err := readModel(data, limits, newFolderReader(root, limits.MaxBytes-int64(len(data))))
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", path, err)
	}
	return n, info, nil
}

// Read reads an ONNX model of a network that computes one value from a picture: the output named
// "logits" if there is one, otherwise the first. Data must not change meanwhile.
//
// Errors are *FormatError, *UnknownOperatorError, *OpsetError and *SizeError.
func Read(data []byte, limits Limits) (*nn.Network, *Info, error) {
	return readModel(data, limits, nil)
}

// newFolderReader returns a reader of parts of the files below root, of at most maxBytes in all.
func newFolderReader(root *os.Root, maxBytes int64) partReader {
	return func(location string, offset, length int64) ([]byte, error) {
		if !filepath.IsLocal(location) || strings.ContainsAny(location, `\:`) {
			return nil, errors.New("it is not in the model's folder")
		}
		info, err := root.Stat(location)
		if err != nil {
			return nil, err
		}
		if !info.Mode().IsRegular() { // opening a pipe could wait forever
			return nil, &safefile.NotRegularError{Path: location, Mode: info.Mode()}
		}
		if offset > info.Size() || length > info.Size()-offset {
			return nil, fmt.Errorf("it has %d bytes, and the weights are from %d to %d: %w", info.Size(), offset,
				offset+length, fs.ErrInvalid)
		}
		if length > maxBytes {
			return nil, fmt.Errorf("it and the other files are larger than the limit: %w", fs.ErrInvalid)
		}
		maxBytes -= length
		f, err := root.Open(location)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		data := make([]byte, length)
		_, err = f.ReadAt(data, offset)
		return data, err
	}
}

// value is what a name of the file stands for: a constant, or the output of a layer, with axes that
// say how it is seen. The batch's axis comes before them.
type value struct {
	constant *constant
	layer    int
	axes     []axis
	// sole says that no other value reads the layer.
	sole bool
	// repeated are the sizes of the axes to which an Expand repeats the value, nil for none.
	repeated []int
	// above, if not nil, says that the value is whether that of the layer is greater than this
	// number.
	above *float32
	// joined says that the batch's axis is joined with the only other.
	joined bool
	// numbering, if not nil, is the value itself.
	numbering *numbering
}

// reader turns operators into layers.
type reader struct {
	model    *model
	readPart partReader
	// budget is for the weights of layers and the dequantized ones, decoded for the tensors of the
	// file, few of which are kept.
	budget, decoded budget

	values map[string]value
	uses   map[string]int // of the file's values
	// pending counts the uses by later nodes; a value without any is dropped.
	pending map[string]int
	// foldable is how many more values may be computed from constants: more in a file of many
	// weights.
	foldable int
	batch    int64 // the size that the file declares, −1: open

	layers  []nn.Layer
	public  map[int]bool // layers whose value several nodes take
	shapes  [][]int
	tensors tensor.Map
	names   map[string]int
	// shared has the layers whose parameters later ones may share, by what the parameters are made
	// from.
	shared map[string]string
	keys   map[string]string // the reverse of shared
	users  map[string]int    // of a layer's name
}

func newReader(m *model, limits Limits, beside partReader) *reader {
	return &reader{
		model: m, readPart: beside, budget: budget{limits.MaxValues, limits.MaxValues},
		decoded: budget{4 * limits.MaxValues, limits.MaxValues},
		values:  map[string]value{}, uses: map[string]int{}, pending: map[string]int{}, foldable: foldedAtLeast,
		public:  map[int]bool{},
		tensors: tensor.Map{}, names: map[string]int{}, shared: map[string]string{}, keys: map[string]string{},
		users: map[string]int{},
	}
}

func readModel(data []byte, limits Limits, beside partReader) (*nn.Network, *Info, error) {
	if int64(len(data)) > limits.MaxBytes {
		return nil, nil, malformed("it has %d bytes; the limit is %d", len(data), limits.MaxBytes)
	}
	m, err := decodeModel(data, limits)
	if err != nil {
		return nil, nil, err
	}
	r := newReader(m, limits, beside)
	info := &Info{
		Producer: m.producer, ProducerVersion: m.producerVersion, Opset: int(m.opset), Doc: m.doc,
		Metadata: m.metadata,
	}
	for _, output := range m.outputs {
		info.Outputs = append(info.Outputs, output.name)
		if info.Output == "" || output.name == logitsName {
			info.Output = output.name
		}
	}
	if info.Output == "" {
		return nil, nil, malformed("it has no output")
	}
	nodes, err := r.findNeeded(info.Output)
	if err != nil {
		return nil, nil, err
	}
	if info.Input, err = r.readInput(nodes, limits.Side); err != nil {
		return nil, nil, err
	}
	for _, n := range nodes {
		if err = r.readNode(n); err != nil {
			return nil, nil, err
		}
	}
	network, err := r.finish(info.Output)
	return network, info, err
}

// findNeeded returns the nodes that an output depends on, in order, and counts the uses of each
// value.
func (r *reader) findNeeded(output string) ([]*node, error) {
	makers := map[string]int{}
	for i, n := range r.model.nodes {
		for _, out := range n.outputs {
			if out == "" {
				continue
			}
			if _, twice := makers[out]; twice || r.model.initializers[out] != nil {
				return nil, &FormatError{Node: n.displayName(),
					Reason: fmt.Sprintf("its output %q exists already", out)}
			}
			makers[out] = i
		}
	}
	need := make([]bool, len(r.model.nodes))
	last, ok := makers[output]
	if !ok {
		return nil, malformed("no node computes its output %q", output)
	}
	need[last] = true
	r.uses[output]++
	var nodes []*node
	for i := last; i >= 0; i-- {
		if !need[i] {
			continue
		}
		n := r.model.nodes[i]
		nodes = append(nodes, n)
		for _, in := range n.inputs {
			r.uses[in]++
			maker, ok := makers[in]
			if !ok {
				continue // an input, a weight, or missing, which readNode reports
			}
			if maker >= i {
				return nil, &FormatError{Node: n.displayName(),
					Reason: fmt.Sprintf("its input %q is computed by a later node, or depends on the node itself", in)}
			}
			need[maker] = true
		}
	}
	slices.Reverse(nodes)
	r.pending = maps.Clone(r.uses)
	return nodes, nil
}

// readInput finds the one input that is not a weight, and makes it the first layer.
func (r *reader) readInput(nodes []*node, side int) (Input, error) {
	var at *declaration
	for i, d := range r.model.inputs {
		if r.model.initializers[d.name] != nil {
			continue // old files list their weights as inputs too
		}
		if r.uses[d.name] == 0 {
			continue
		}
		if at != nil {
			return Input{}, malformed("it has several inputs, %q and %q", at.name, d.name)
		}
		at = &r.model.inputs[i]
	}
	if at == nil {
		return Input{}, malformed("it has no input that its output depends on")
	}
	input := Input{Name: at.name, Picture: at.kind == typeUint8}
	switch at.kind {
	case typeFloat, typeUint8, typeFloat16, typeDouble:
	default:
		return input, malformed("its input %q has values of type %d, not float32 or bytes", at.name, at.kind)
	}
	if len(at.dims) != 4 {
		return input, malformed("its input %q has %d axes; a batch of pictures has 4", at.name, len(at.dims))
	}
	for _, d := range at.dims {
		if d > 1<<24 {
			return input, malformed("its input %q is %v", at.name, at.dims)
		}
		input.Shape = append(input.Shape, int(max(d, -1)))
	}
	if r.batch = int64(input.Shape[0]); r.batch == 0 {
		r.batch = -1
	}
	input.Layout = findLayout(at, nodes)
	h, w, c := input.Shape[2], input.Shape[3], input.Shape[1]
	if input.Layout == NHWC {
		h, w, c = input.Shape[1], input.Shape[2], input.Shape[3]
	}
	if (h <= 0 || w <= 0) && side <= 0 {
		return input, &SizeError{at.name}
	}
	if h <= 0 {
		h = side
	}
	if w <= 0 {
		w = side
	}
	if c <= 0 {
		return input, malformed("its input %q is %v, and does not say how many channels it has", at.name, input.Shape)
	}
	axes := nchw(h, w, c)
	if input.Layout == NHWC {
		axes = nhwc(h, w, c)
	}
	if err := r.emit(nn.Layer{Op: nn.OpInput, Shape: []int{h, w, c}}, []int{h, w, c}); err != nil {
		return input, err
	}
	r.values[at.name] = value{layer: 0, axes: axes}
	r.public[0] = true
	return input, nil
}

// findLayout returns which axis of an input is the channels': the one of size 1 or 3, or otherwise,
// if the input is transposed first, the last.
func findLayout(input *declaration, nodes []*node) Layout {
	few := func(n int64) bool { return n == 1 || n == 3 }
	if before, after := few(input.dims[1]), few(input.dims[3]); before != after {
		if after {
			return NHWC
		}
		return NCHW
	}
	for _, n := range nodes {
		if n.op == "Transpose" && slices.Contains(n.inputs, input.name) {
			return NHWC
		}
	}
	return NCHW
}

// readNode turns a node into layers.
func (r *reader) readNode(n *node) error {
	turn := operators[n.op]
	if turn == nil && folds[n.op] == nil || n.domain != "" {
		return &UnknownOperatorError{Operator: n.operator(), Node: n.displayName()}
	}
	if len(n.outputs) == 0 || n.outputs[0] == "" {
		return &FormatError{Node: n.displayName(), Reason: "its first output has no name"}
	}
	c := &call{reader: r, node: n, read: map[string]bool{}, taken: map[int]bool{}}
	v, err := c.compute(turn)
	if err == nil {
		err = c.checkUnused()
	}
	if err != nil {
		var format *FormatError
		if errors.As(err, &format) && format.Node == "" {
			format.Node = n.displayName()
		}
		return err
	}
	v.sole = v.sole && r.uses[n.outputs[0]] == 1
	if v.constant == nil && v.numbering == nil && !v.sole {
		r.public[v.layer] = true
	}
	r.values[n.outputs[0]] = v
	for _, name := range n.inputs {
		if r.pending[name]--; r.pending[name] == 0 {
			delete(r.values, name)
		}
	}
	return nil
}

// emit appends a layer.
func (r *reader) emit(l nn.Layer, shape []int) error {
	const most = 1 << 28 // values of an output, as in package nn
	total := 1
	for _, n := range shape {
		if n <= 0 || n > most/total {
			return malformed("its output would be %s", tensor.ShapeString(shape))
		}
		total *= n
	}
	r.layers = append(r.layers, l)
	r.shapes = append(r.shapes, shape)
	return nil
}

// finish turns the value of the output into the last layer, and checks the network.
func (r *reader) finish(output string) (*nn.Network, error) {
	v := r.values[output]
	if v.constant != nil {
		return nil, malformed("its output %q does not depend on its input", output)
	}
	if v.repeated != nil {
		return nil, malformed("its output %q has values that an Expand repeats", output)
	}
	if v.above != nil || v.joined || v.numbering != nil {
		return nil, malformed("its output %q is not a value for each picture", output)
	}
	shape := r.shapes[v.layer]
	channels := shape[len(shape)-1]
	inOrder := flatten(v.axes).inOrder() // classes one after another
	total := tensor.Len(shape)
	switch {
	case inOrder && flatten(v.axes).size() == total && (len(v.axes) == 1 || total == channels):
		v.layer = r.withShape(v.layer, []int{total})
	case len(v.axes) == 3 && len(shape) == 3 &&
		(sameAxes(v.axes, nchw(shape[0], shape[1], shape[2])) || sameAxes(v.axes, nhwc(shape[0], shape[1], shape[2]))):
	default:
		return nil, malformed("the values of its output %q are in an order that garb does not support", output)
	}
	layers := r.layers[:v.layer+1]
	graph, err := nn.NewGraph(layers)
	if err != nil {
		return nil, &FormatError{Reason: "its layers are no network", Err: err}
	}
	n := &nn.Network{Layers: graph.Layers(), Tensors: tensor.Map{}}
	for _, p := range graph.Params() {
		t, err := r.tensors.Tensor(p.Name)
		if err != nil || !slices.Equal(t.Shape, p.Shape) {
			return nil, malformed("the weights %q do not have the shape %s", p.Name, tensor.ShapeString(p.Shape))
		}
		n.Tensors[p.Name] = t
	}
	return n, nil
}

// withShape returns a layer whose output has the same values as another's in a given shape.
func (r *reader) withShape(layer int, shape []int) int {
	if slices.Equal(r.shapes[layer], shape) {
		return layer
	}
	l := nn.Layer{Op: nn.OpReshape, Inputs: []int{layer}, Shape: shape}
	if len(shape) == 1 {
		l.Op, l.Shape = nn.OpFlatten, nil
	}
	r.layers = append(r.layers, l)
	r.shapes = append(r.shapes, shape)
	return len(r.layers) - 1
}
