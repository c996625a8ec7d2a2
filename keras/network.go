package keras

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"garb/nn"
	"garb/tensor"
)

// Network converts a whole model into garb's layers and tensors. The last layer is the
// model's output, including a final Softmax or Sigmoid. Parameters are named by their
// layer's path in the model, "base/block1_conv/kernel"; a layer that is called twice has
// its parameters once.
//
// The input is side×side pixels, or the size that the file gives if side is 0. Layers that
// do nothing in inference (noise, augmentation, dropout of whole channels) are dropped.
//
// An error is a *FormatError, an *UnknownLayerError or a *SettingError.
func (m *Model) Network(side int) (*nn.Network, error) {
	if m.Class == "" {
		return nil,
			malformed("the file holds weights only; a whole model is in what model.save makes, a .keras or .h5 " +
				"file with its layers")
	}
	c, graph, err := m.graph(side)
	if err != nil {
		return nil, err
	}
	tensors, err := c.readTensors(graph)
	if err != nil {
		return nil, err
	}
	return &nn.Network{Layers: graph.Layers(), Tensors: tensors}, nil
}

// graph converts a model's layers without their weights.
func (m *Model) graph(side int) (*conversion, *nn.Graph, error) {
	shape, err := m.inputShape(side)
	if err != nil {
		return nil, nil, err
	}
	c := &conversion{
		layers: []nn.Layer{{Op: nn.OpInput, Shape: shape}}, shapes: [][]int{shape}, places: []string{"the input"},
		generation: parseGeneration(m.KerasVersion), halfPixels: usesHalfPixels(m.KerasVersion),
		settings: map[*Layer]config{}, parameters: map[string]parameter{}, owners: map[string]part{},
		planes: map[int]plane{},
	}
	output := c.applyModel(m, "", 0)
	if _, isPlane := c.planes[output]; isPlane {
		c.fail(malformed("its output is %s, without the axis of channels", c.places[output]))
	}
	if c.err != nil {
		return nil, nil, c.err
	}
	graph, err := nn.NewGraph(c.layers[:output+1])
	if err != nil {
		return nil, nil, c.explain(err)
	}
	return c, graph, nil
}

// parseGeneration returns the number before a version's first dot, 0 if there is none.
func parseGeneration(version string) int {
	first, _, _ := strings.Cut(version, ".")
	n, err := strconv.Atoi(first)
	if err != nil {
		return 0
	}
	return n
}

// usesHalfPixels reports whether a version of Keras interpolates with pixels as squares with their
// values at their centres: since 2.4.
func usesHalfPixels(version string) bool {
	_, rest, _ := strings.Cut(version, ".")
	return parseGeneration(version) > 2 || parseGeneration(version) == 2 && parseGeneration(rest) >= 4
}

// inputShape returns the shape of the model's input, [h w c].
func (m *Model) inputShape(side int) ([]int, error) {
	if side < 0 || side > maxSide {
		return nil, malformed("an input of %d pixels per side; the limit is %d", side, maxSide)
	}
	declared := m.declaredInput()
	if declared == nil {
		return nil, malformed("the file does not say what its input is; the model may never have been built")
	}
	if len(declared) != 4 {
		return nil, malformed("its input has %d axes without the batch's; a picture has 3", len(declared)-1)
	}
	if declared[3] == nil {
		return nil, malformed("its input has no fixed number of channels")
	}
	shape := []int{side, side, *declared[3]}
	if side == 0 {
		if declared[1] == nil || declared[2] == nil {
			return nil, malformed("its input is of any size, so give the size of the pictures in pixels")
		}
		shape[0], shape[1] = *declared[1], *declared[2]
	}
	for _, n := range shape {
		if n < 1 || n > maxSide {
			return nil, malformed("its input is of %s; each from 1 to %d", tensor.ShapeString(shape), maxSide)
		}
	}
	return shape, nil
}

// declaredInput returns the shape of the model's input in the file, batch first, with nil for
// variable dimensions. It is nil if the file gives none.
func (m *Model) declaredInput() []*int {
	for i, l := range m.Layers {
		if m.Class == "Sequential" && i > 0 ||
			m.Class != "Sequential" && len(m.inputs) > 0 && l.Name != m.inputs[0].layer {
			continue
		}
		if l.Model != nil {
			return l.Model.declaredInput()
		}
		var config struct {
			Shape      []*int `json:"batch_shape"`       // Keras 3
			OlderShape []*int `json:"batch_input_shape"` // before
		}
		if json.Unmarshal(l.Config, &config) != nil {
			return nil
		}
		if config.Shape != nil {
			return config.Shape
		}
		if config.OlderShape != nil {
			return config.OlderShape
		}
	}
	return m.builtFor
}

// EndNames returns the names of the model's input and output, as Keras gives them to the signature
// serving_default of a SavedModel: those of the first and the last layer. A Sequential of the older
// generation that does not begin with an InputLayer has one named after its first layer. A name is
// "" if the file does not give it, or if there are several inputs or outputs.
func (m *Model) EndNames() (input, output string) {
	switch n := len(m.Layers); {
	case m.Class == "Sequential" && n > 0:
		first := m.Layers[0]
		if first.Class == "InputLayer" {
			input = first.Name
		} else if parseGeneration(m.KerasVersion) < 3 {
			input = first.Name + "_input"
		}
		return input, m.Layers[n-1].Name
	case len(m.inputs) == 1 && len(m.outputs) == 1:
		return m.inputs[0].layer, m.outputs[0].layer
	}
	return "", ""
}

// conversion is a network under construction. It keeps the first error; after that, its methods do
// nothing.
type conversion struct {
	layers []nn.Layer
	shapes [][]int  // of the layers' outputs
	places []string // paths of the Keras layers that they come from
	// settings has the parsed configs of layers.
	settings   map[*Layer]config
	parameters map[string]parameter
	owners     map[string]part // whose the names of layers are
	generation int             // of Keras that wrote the file; 0: it does not say
	halfPixels bool            // of a Keras whose resizing takes pixels as squares
	visited    int
	computed   int // values of parameters that are not in the file
	// planes has the values that are one channel of another without its axis, x[..., 0].
	planes map[int]plane
	err    error
}

// parameter is the source of a parameter's values: a variable of the file, possibly in another
// shape, or computed numbers.
type parameter struct {
	variable Variable
	values   []float32
	shape    []int
}

func (c *conversion) fail(err error) int {
	if c.err == nil && err != nil {
		c.err = err
	}
	return 0
}

// maxVisits limits the layers that are converted, counting each call: models that call others
// twice, which call others twice, are small in a file.
const maxVisits = 1 << 16

func (c *conversion) visit(n int) bool {
	if c.visited += n; c.visited > maxVisits {
		c.fail(malformed("it is a network of more than %d layers, counting every call",
			maxVisits))
	}
	return c.err == nil
}

// applyModel applies a model to a value and returns the index of its output.
func (c *conversion) applyModel(m *Model, place string, input int) int {
	if !c.visit(len(m.Layers)) {
		return 0
	}
	if m.unused != "" {
		return c.fail(&SettingError{place, m.Class, m.unused, formatValue(m.has), "no such setting"})
	}
	if m.Class == "Sequential" {
		for _, l := range m.Layers {
			input = c.apply(l, joinPath(place, l.Name), []int{input}, nil)
		}
		return input
	}
	if len(m.inputs) != 1 || len(m.outputs) != 1 {
		what := fmt.Sprintf("model %q", place)
		if place == "" {
			what = "the model"
		}
		return c.fail(malformed("%s has %d inputs and %d outputs; garb's networks have one of each", what,
			len(m.inputs), len(m.outputs)))
	}
	w := traversal{
		conversion: c, model: m, place: place, input: input,
		byName: map[string]*Layer{}, firstCall: map[string]int{}, values: map[reference]int{},
	}
	for _, l := range m.Layers {
		w.byName[l.Name] = l
		for _, call := range l.calls {
			for _, r := range call.inputs {
				if first, ok := w.firstCall[r.layer]; !ok || r.call < first {
					w.firstCall[r.layer] = r.call
				}
			}
		}
	}
	output := m.outputs[0]
	if l := w.byName[output.layer]; l != nil && l.Model != nil {
		// The output is that of the last call.
		output.call = len(l.calls) - 1
	}
	return w.convert(output)
}

// traversal goes from a functional model's output to its input.
type traversal struct {
	*conversion
	model  *Model
	place  string
	input  int
	byName map[string]*Layer
	// firstCall is the lowest number of a layer's calls. Keras 2 counts those of models from 1,
	// since a model is first called when it is built; Keras 3 counts from 0.
	firstCall map[string]int
	values    map[reference]int
}

// pending marks values whose inputs are being converted.
const pending = -1

// convert returns the index of a value after converting the layers that lead to it.
func (w *traversal) convert(r reference) int {
	if w.err != nil {
		return 0
	}
	at := joinPath(w.place, r.layer)
	if v, ok := w.values[r]; ok {
		if v == pending {
			return w.fail(malformed("layer %q depends on its own output", at))
		}
		return v
	}
	l := w.byName[r.layer]
	switch {
	case l == nil:
		return w.fail(malformed("%q is the input of a layer, but there is no such layer", at))
	case r.tensor != 0:
		return w.fail(malformed("layer %q has several outputs; garb supports one", at))
	case l.Class == "InputLayer":
		if l.Name != w.model.inputs[0].layer {
			return w.fail(malformed("layer %q is a second input; garb supports one", at))
		}
		return w.apply(l, at, []int{w.input}, nil)
	case r.call < 0 || r.call >= len(l.calls):
		return w.fail(malformed("output %d of layer %q is used, but it is called %d times", r.call, at, len(l.calls)))
	}
	call := l.calls[r.call]
	if call.training {
		return w.fail(&SettingError{at, l.Class, "call argument training", "true",
			"layers as they are when a model answers"})
	}
	if !w.visit(1 + len(call.inputs)) {
		return 0
	}
	w.values[r] = pending
	inputs := make([]int, len(call.inputs))
	for i, in := range call.inputs {
		if source := w.byName[in.layer]; source != nil && source.Model != nil {
			in.call -= w.firstCall[in.layer]
		}
		inputs[i] = w.convert(in)
	}
	v := w.apply(l, at, inputs, call.arguments)
	w.values[r] = v
	return v
}

// emit appends a layer for a Keras layer.
func (c *conversion) emit(place string, l nn.Layer, inputs ...int) int {
	if c.err != nil {
		return 0
	}
	l.Inputs = slices.Clone(inputs)
	shapes := make([][]int, len(inputs))
	for i, in := range inputs {
		shapes[i] = c.shapes[in]
	}
	shape, err := nn.OutputShape(l, shapes)
	if err != nil {
		return c.fail(malformed("garb cannot compute layer %q: %v", place, err))
	}
	c.layers, c.shapes, c.places = append(c.layers, l), append(c.shapes, shape), append(c.places, place)
	return len(c.layers) - 1
}

// explain translates an error about a graph to the Keras layer.
func (c *conversion) explain(err error) error {
	var wrong *nn.LayerError
	if errors.As(err, &wrong) && wrong.Layer > 0 && wrong.Layer < len(c.places) {
		return &FormatError{fmt.Sprintf("garb cannot compute layer %q", c.places[wrong.Layer]), err}
	}
	return &FormatError{"garb cannot compute the model", err}
}

// reserveName returns a name for the parameters of a layer: its path, unless another layer has the
// same one. The same owner always gets the same name.
func (c *conversion) reserveName(path string, owner part) string {
	name := path
	for n := 2; ; n++ {
		if other, taken := c.owners[name]; !taken || other == owner {
			c.owners[name] = owner
			return name
		}
		name = fmt.Sprintf("%s_%d", path, n)
	}
}

// maxComputed limits the values of all parameters that are not in the file.
const maxComputed = 1 << 22

// readTensors reads the parameters of the graph.
func (c *conversion) readTensors(graph *nn.Graph) (tensor.Map, error) {
	all := tensor.Map{}
	for i := range graph.Layers() {
		for _, p := range graph.LayerParams(i) {
			if all[p.Name] != nil && slices.Equal(all[p.Name].Shape, p.Shape) {
				continue
			}
			values, err := c.readValues(p)
			if err != nil {
				return nil, err
			}
			all[p.Name] = tensor.FromSlice(values, p.Shape...)
		}
	}
	return all, nil
}

// readValues reads or computes the values of a parameter.
func (c *conversion) readValues(p nn.Param) ([]float32, error) {
	source, ok := c.parameters[p.Name]
	if !ok || !slices.Equal(source.shape, p.Shape) {
		return nil, malformed("%s should be %s by the model's layers, but is %s in the file",
			p.Name, tensor.ShapeString(p.Shape), tensor.ShapeString(source.shape))
	}
	values := source.values
	if values == nil {
		t, err := source.variable.Tensor()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", p.Name, err)
		}
		values = t.Data
	}
	for _, v := range values {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return nil, malformed("%s has a value that is not finite", p.Name)
		}
	}
	return values, nil
}
