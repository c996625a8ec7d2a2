package keras

import (
	"archive/zip"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"regexp"
	"slices"
	"strconv"
	"time"

	"garb/internal/hdf5"
	"garb/nn"
	"garb/tensor"
)

// WriteOptions configures Write.
type WriteOptions struct {
	Name string // of the model; "" means "garb"
	// Probabilities makes the output probabilities: it adds a Softmax unless the network ends with
	// one. Otherwise the output is the network's.
	Probabilities bool
	// MultiLabel adds a Sigmoid instead.
	MultiLabel bool
	// Temperature divides the logits before; 0 means 1.
	Temperature float64
	// Preprocessing makes the model take pictures of the network's size, with samples from 0 to 255
	// as float32; nil leaves the network's own input.
	Preprocessing *Preprocessing
	// Input and Output are the names of the first and the last layer; "" means names by their class.
	Input, Output string
	// Metadata is for garb and people. Keras ignores it.
	Metadata map[string]string
}

// Preprocessing computes the network's input from a picture's samples: (sample − mean)/std, with
// one mean and std per channel.
type Preprocessing struct{ Mean, Std []float32 }

// writtenVersion is the version of Keras whose format is written and tested.
const writtenVersion = "3.15.1"

// Write writes a network as a .keras archive, which Keras loads from 3.4 on (tested with
// 3.4.1 and 3.6.0 on JAX, and 3.15.1 on TensorFlow): a functional model of Keras's own
// layers in float32 with the network's input, [batch h w c]. Layers that share parameters
// become one Keras layer that is called several times. The same network always gives the
// same bytes.
//
// Errors are *nn.LayerError and *nn.WeightError about the network, or those of w. Keras
// has no layer that pads with the lowest number: such a Pad is an error unless zeros do
// the same, before a MaxPool of values that are never negative. Write panics if the
// temperature is negative or not finite, or if Preprocessing does not have the network's
// number of channels.
func Write(w io.Writer, n *nn.Network, o WriteOptions) error {
	if !(o.Temperature >= 0) || math.IsInf(o.Temperature, 0) {
		panic(fmt.Sprintf("keras: temperature %v", o.Temperature))
	}
	d, err := newDraft(n, o.Preprocessing)
	if err != nil {
		return err
	}
	if o.Probabilities {
		d.addProbabilities(o.Temperature, o.MultiLabel)
	}
	d.rename(d.values[0].layer, o.Input)
	d.rename(d.values[len(d.values)-1].layer, o.Output)
	layers := d.sortLayers()
	config, err := json.Marshal(d.describe(modelName(o.Name), layers))
	if err != nil {
		return err
	}
	metadata, err := json.Marshal(object{
		"keras_version": writtenVersion,
		"date_saved":    archiveTime.Format("2006-01-02@15:04:05"),
		"garb":          o.Metadata,
	})
	if err != nil {
		return err
	}
	archive := zip.NewWriter(w)
	for _, entry := range []struct {
		name  string
		write func(io.Writer) error
	}{
		{"metadata.json", func(w io.Writer) error { _, err := w.Write(metadata); return err }},
		{"config.json", func(w io.Writer) error { _, err := w.Write(config); return err }},
		{"model.weights.h5", func(w io.Writer) error { return hdf5.Write(w, weightGroups(layers)) }},
	} {
		// Uncompressed, as in Keras's files: weights hardly get smaller.
		to, err := archive.CreateHeader(&zip.FileHeader{Name: entry.name, Method: zip.Store, Modified: archiveTime})
		if err != nil {
			return err
		}
		if err := entry.write(to); err != nil {
			return err
		}
	}
	return archive.Close()
}

// archiveTime is the time of all entries, zip's first day, so that a file's bytes do not depend on
// when it was written.
var archiveTime = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

// object is a JSON object. Its keys are written in alphabetical order.
type object = map[string]any

// draft is a Keras model under construction.
type draft struct {
	values []value // of the network's layers by index, and those that are added
	known  map[string]*draftLayer
	names  map[string]bool // of layers
}

// draftLayer is a Keras layer: its settings, its variables in Keras's order, and the number of its
// calls.
type draftLayer struct {
	class, name string
	settings    object
	variables   []*tensor.Tensor
	arguments   []any // of its calls, other than values
	calls       []value
}

// value is the output of a call of a layer with other values, which are given by their indices in
// the draft.
type value struct {
	layer  *draftLayer
	call   int
	inputs []int
	shape  []int // without the batch axis
}

func newDraft(n *nn.Network, p *Preprocessing) (*draft, error) {
	graph, err := nn.NewGraph(n.Layers)
	if err != nil {
		return nil, err
	}
	layers, shapes := graph.Layers(), graph.Shapes()
	if err := checkLowestPads(layers); err != nil {
		return nil, err
	}
	d := &draft{known: map[string]*draftLayer{}, names: map[string]bool{}}
	places := make([]int, len(layers)) // the index of each layer's value in the draft
	for i, l := range layers {
		if l.Op == nn.OpCrop && l.Above+l.Below+l.Left+l.Right == 0 {
			l = keepChannels(l, shapes[l.Inputs[0]])
		}
		var variables []*tensor.Tensor
		for _, p := range graph.LayerParams(i) {
			t, err := readParameter(n.Tensors, p)
			if err != nil {
				return nil, err
			}
			variables = append(variables, t)
		}
		class, settings, err := describeLayer(l, shapes[i], variables)
		if err != nil {
			return nil, &nn.LayerError{Layer: i, Name: l.Name, Op: l.Op, Reason: err.Error()}
		}
		if class == "Rescaling" {
			variables = nil // they are in the settings
		}
		inputs := make([]int, len(l.Inputs))
		for j, in := range l.Inputs {
			inputs[j] = places[in]
		}
		d.add(l.Name, class, settings, variables, inputs, shapes[i])
		if l.Op == nn.OpSelect {
			d.values[len(d.values)-1].layer.arguments = []any{l.Channels}
		}
		if i == 0 && p != nil {
			d.addPreprocessing(*p, shapes[0])
		}
		places[i] = len(d.values) - 1
	}
	return d, nil
}

// keepChannels returns a Select of the channels that a Crop of only channels keeps, which
// Cropping2D cannot do.
func keepChannels(l nn.Layer, from []int) nn.Layer {
	pick := nn.Layer{Op: nn.OpSelect, Inputs: l.Inputs}
	for c := l.Before; c < from[len(from)-1]-l.After; c++ {
		pick.Channels = append(pick.Channels, c)
	}
	return pick
}

// addPreprocessing adds a layer behind the input that computes the network's input from samples.
func (d *draft) addPreprocessing(p Preprocessing, shape []int) {
	if len(p.Mean) != shape[2] || len(p.Std) != shape[2] {
		panic(fmt.Sprintf("keras: preprocessing of %d and %d channels for a network of %d", len(p.Mean), len(p.Std),
			shape[2]))
	}
	mean, variance, alike := toFloat64(p.Mean), make([]float64, len(p.Std)), true
	for c, std := range toFloat64(p.Std) {
		variance[c] = std * std
		alike = alike && p.Mean[c] == p.Mean[0] && p.Std[c] == p.Std[0]
	}
	if alike {
		scale := 1 / float64(p.Std[0])
		d.add("", "Rescaling", object{"scale": scale, "offset": -mean[0] * scale}, nil, []int{0}, shape)
		return
	}
	d.add("", "Normalization", object{"axis": []int{-1}, "mean": mean, "variance": variance}, nil, []int{0}, shape)
}

// readParameter returns a parameter's values.
func readParameter(tensors tensor.Map, p nn.Param) (*tensor.Tensor, error) {
	t, err := tensors.Tensor(p.Name)
	if err != nil {
		return nil, &nn.WeightError{Name: p.Name, Detail: "cannot be read", Err: err}
	}
	if !slices.Equal(t.Shape, p.Shape) {
		return nil, &nn.WeightError{Name: p.Name, Detail: fmt.Sprintf("shape %s where the network needs %s",
			tensor.ShapeString(t.Shape), tensor.ShapeString(p.Shape))}
	}
	for _, v := range t.Data {
		if v-v != 0 {
			return nil, &nn.WeightError{Name: p.Name, Detail: "holds values that are not finite numbers"}
		}
	}
	return t, nil
}

// add adds a call of a layer: of an existing one with the same parameters and settings, or else of
// a new one.
func (d *draft) add(parameters, class string, settings object, variables []*tensor.Tensor, inputs, shape []int) {
	l := &draftLayer{class: class, settings: settings, variables: variables}
	if parameters != "" {
		// Finite numbers, texts and lists of these always marshal.
		text, _ := json.Marshal(settings)
		key := parameters + "\x00" + class + string(text)
		if d.known[key] == nil {
			d.known[key] = l
		}
		l = d.known[key]
	}
	if l.name == "" {
		if parameters == "" {
			parameters = snakeCase(class)
		}
		l.name = d.reserveName(layerName(parameters))
	}
	v := value{l, len(l.calls), inputs, shape}
	l.calls = append(l.calls, v)
	d.values = append(d.values, v)
}

// notInNames matches characters that TensorFlow does not allow in names.
var notInNames = regexp.MustCompile(`[^A-Za-z0-9_.-]`)

// layerName returns a layer's name in Keras: block1_conv for block1/conv.
func layerName(name string) string {
	name = notInNames.ReplaceAllString(name, "_")
	if first := name[0]; first == '_' || first == '-' {
		name = "layer" + name
	}
	return name
}

func modelName(name string) string {
	if name == "" {
		return "garb"
	}
	return layerName(name)
}

// reserveName returns a name that no other layer has, and reserves it.
func (d *draft) reserveName(name string) string {
	free := name
	for i := 1; d.names[free]; i++ {
		free = name + "_" + strconv.Itoa(i)
	}
	d.names[free] = true
	return free
}

// rename gives a layer a name, unless it is "". Another layer that has the name gets another one.
func (d *draft) rename(l *draftLayer, name string) {
	if name == "" {
		return
	}
	name = layerName(name)
	for _, v := range d.values {
		if v.layer != l && v.layer.name == name {
			v.layer.name = d.reserveName(name)
		}
	}
	l.name, d.names[name] = name, true
}

// addProbabilities adds a Softmax or a Sigmoid at the end of the model.
func (d *draft) addProbabilities(temperature float64, multiLabel bool) {
	last := len(d.values) - 1
	if d.values[last].layer.class == "Softmax" {
		return
	}
	shape := d.values[last].shape
	if temperature != 0 && temperature != 1 {
		d.add("", "Rescaling", object{"scale": 1 / temperature, "offset": 0}, nil, []int{last}, shape)
		last++
	}
	if multiLabel {
		d.add("", "Activation", object{"activation": "sigmoid"}, nil, []int{last}, shape)
		return
	}
	d.add("", "Softmax", object{"axis": -1}, nil, []int{last}, shape)
}

// describeLayer returns the class and the settings of the Keras layer that computes what a layer
// does. Settings with Keras's default are not written.
//
//nolint:funlen,gocognit // a table of operations
func describeLayer(l nn.Layer, shape []int, params []*tensor.Tensor) (class string, settings object, err error) {
	padding := "valid"
	if l.Same {
		padding = "same"
	}
	strideHeight, strideWidth := l.Strides()
	dilationHeight, dilationWidth := l.Dilations()
	kernel, strides := []int{l.Height, l.Width}, []int{strideHeight, strideWidth}
	// Defaults are not written.
	windowed := func(class string, settings object) (string, object, error) {
		if dilationHeight > 1 || dilationWidth > 1 {
			settings["dilation_rate"] = []int{dilationHeight, dilationWidth}
			if class == "Conv2D" && (strideHeight > 1 || strideWidth > 1) {
				return "", nil, errors.New("it is dilated with strides above 1, which Keras does not allow")
			}
		}
		return class, settings, nil
	}
	switch l.Op {
	case nn.OpInput:
		return "InputLayer", object{"batch_shape": addBatchAxis(shape)}, nil
	case nn.OpConv:
		settings := object{
			"filters": l.Units, "kernel_size": kernel, "strides": strides, "padding": padding,
			"use_bias": l.Bias, "data_format": "channels_last",
		}
		if l.Groups > 1 && params[0].Shape[2] == 1 { // one channel per group
			delete(settings, "filters")
			settings["depth_multiplier"] = l.Units / l.Groups
			params[0] = tensor.FromSlice(params[0].Data, l.Height, l.Width, l.Groups, l.Units/l.Groups)
			return windowed("DepthwiseConv2D", settings)
		}
		if l.Groups > 1 {
			settings["groups"] = l.Groups
		}
		return windowed("Conv2D", settings)
	case nn.OpDepthwiseConv:
		return windowed("DepthwiseConv2D", object{"kernel_size": kernel, "strides": strides, "padding": padding,
			"use_bias": l.Bias, "data_format": "channels_last"})
	case nn.OpDense:
		return "Dense", object{"units": l.Units, "use_bias": l.Bias}, nil
	case nn.OpBatchNorm:
		return "BatchNormalization", object{"axis": -1, "epsilon": l.Epsilon, "momentum": cmp.Or(l.Momentum, 0.99)},
			nil
	case nn.OpLayerNorm:
		return "LayerNormalization", object{"axis": -1, "epsilon": l.Epsilon}, nil
	case nn.OpGroupNorm:
		return "GroupNormalization", object{"axis": -1, "epsilon": l.Epsilon, "groups": l.Groups}, nil
	case nn.OpScale:
		return "Rescaling", object{"scale": toFloat64(params[0].Data), "offset": toFloat64(params[1].Data)}, nil
	case nn.OpMaxPool, nn.OpAveragePool:
		if dilationHeight > 1 || dilationWidth > 1 {
			return "", nil, errors.New("it is dilated; Keras has no dilated pooling")
		}
		class := map[nn.Op]string{nn.OpMaxPool: "MaxPooling2D", nn.OpAveragePool: "AveragePooling2D"}[l.Op]
		return class, object{"pool_size": kernel, "strides": strides, "padding": padding,
			"data_format": "channels_last"}, nil
	case nn.OpGlobalAveragePool:
		return "GlobalAveragePooling2D", object{"data_format": "channels_last"}, nil
	case nn.OpGlobalMaxPool:
		return "GlobalMaxPooling2D", object{"data_format": "channels_last"}, nil
	case nn.OpReLU:
		return "ReLU", object{}, nil
	case nn.OpReLU6:
		return "ReLU", object{"max_value": 6}, nil
	case nn.OpLeakyReLU:
		return "LeakyReLU", object{"negative_slope": l.Slope}, nil
	case nn.OpSigmoid:
		return "Activation", object{"activation": "sigmoid"}, nil
	case nn.OpSwish:
		return "Activation", object{"activation": "silu"}, nil
	case nn.OpTanh:
		return "Activation", object{"activation": "tanh"}, nil
	case nn.OpPReLU:
		settings := object{}
		if len(shape) == 3 {
			settings["shared_axes"] = []int{1, 2}
			params[0] = tensor.FromSlice(params[0].Data, 1, 1, shape[2])
		}
		return "PReLU", settings, nil
	case nn.OpELU:
		return "ELU", object{"alpha": l.Slope}, nil
	case nn.OpSELU, nn.OpGELU, nn.OpSoftplus, nn.OpMish, nn.OpHardSigmoid, nn.OpHardSwish:
		return "Activation", object{"activation": kerasFunctions[l.Op]}, nil
	case nn.OpSoftmax:
		return "Softmax", object{"axis": -1}, nil
	case nn.OpAdd:
		return "Add", object{}, nil
	case nn.OpMultiply:
		return "Multiply", object{}, nil
	case nn.OpMaximum:
		return "Maximum", object{}, nil
	case nn.OpMinimum:
		return "Minimum", object{}, nil
	case nn.OpConcat:
		return "Concatenate", object{"axis": -1}, nil
	case nn.OpSelect:
		return "Take", object{"axis": -1}, nil // of the channels: see arguments
	case nn.OpPad:
		if l.Border != "" {
			return "", nil, fmt.Errorf("no layer of Keras pads with a border %q", l.Border)
		}
		return "ZeroPadding2D", object{"padding": [2][2]int{{l.Above, l.Below}, {l.Left, l.Right}},
			"data_format": "channels_last"}, nil
	case nn.OpCrop:
		if l.Before+l.After > 0 || len(shape) != 3 {
			return "", nil, errors.New("no layer of Keras crops rows and channels at once")
		}
		return "Cropping2D", object{"cropping": [2][2]int{{l.Above, l.Below}, {l.Left, l.Right}},
			"data_format": "channels_last"}, nil
	case nn.OpUpsample:
		interpolation := "nearest"
		if l.Linear {
			interpolation = "bilinear"
		}
		return "UpSampling2D", object{"size": [2]int{l.Rows, l.Columns}, "interpolation": interpolation,
			"data_format": "channels_last"}, nil
	case nn.OpResize:
		interpolation := "nearest"
		if l.Linear {
			interpolation = "bilinear"
		}
		return "Resizing", object{"height": l.Rows, "width": l.Columns, "interpolation": interpolation,
			"data_format": "channels_last"}, nil
	case nn.OpFlatten:
		return "Flatten", object{}, nil
	case nn.OpReshape:
		return "Reshape", object{"target_shape": l.Shape}, nil
	case nn.OpDropout:
		return "Dropout", object{"rate": l.Rate}, nil
	}
	return "", nil, errors.New("no layer of Keras computes it")
}

// kerasFunctions has Keras's names of functions.
var kerasFunctions = map[nn.Op]string{
	nn.OpSELU: "selu", nn.OpGELU: "gelu", nn.OpSoftplus: "softplus", nn.OpMish: "mish",
	nn.OpHardSigmoid: "hard_sigmoid", nn.OpHardSwish: "hard_silu",
}

// toFloat64 converts values exactly.
func toFloat64(values []float32) []float64 {
	exact := make([]float64, len(values))
	for i, v := range values {
		exact[i] = float64(v)
	}
	return exact
}

// checkLowestPads refuses each Pad with the lowest number for which zeros would not do the same.
// They do before a MaxPool of values that are never negative: at least one value of each window is
// inside the map, so the maximum is that of the inside.
func checkLowestPads(layers []nn.Layer) error {
	neverNegative := make([]bool, len(layers))
	for i, l := range layers {
		inputsNeverNegative := len(l.Inputs) > 0
		for _, in := range l.Inputs {
			inputsNeverNegative = inputsNeverNegative && neverNegative[in]
		}
		switch l.Op {
		case nn.OpReLU, nn.OpReLU6, nn.OpSigmoid, nn.OpHardSigmoid, nn.OpSoftplus, nn.OpSoftmax:
			neverNegative[i] = true
		case nn.OpMaxPool, nn.OpAveragePool, nn.OpGlobalMaxPool, nn.OpGlobalAveragePool,
			nn.OpAdd, nn.OpMultiply, nn.OpMaximum, nn.OpMinimum, nn.OpConcat, nn.OpSelect,
			nn.OpPad, nn.OpCrop, nn.OpUpsample, nn.OpResize, nn.OpFlatten, nn.OpReshape, nn.OpDropout:
			neverNegative[i] = inputsNeverNegative
		}
		if l.Op != nn.OpPad || !l.Lowest {
			continue
		}
		reason := "values before it may be below zero"
		if inputsNeverNegative {
			reason = findOtherReader(layers, i)
		}
		if reason != "" {
			return &nn.LayerError{Layer: i, Name: l.Name, Op: l.Op, Reason: "it pads with the lowest number, " +
				"for which Keras has no layer, and zeros would not do the same: " + reason}
		}
	}
	return nil
}

// findOtherReader describes why zeros in place of the lowest number could change what reads
// layer i, a Pad of values that are never negative. It returns "" if they could not.
func findOtherReader(layers []nn.Layer, i int) string {
	if i == len(layers)-1 {
		return "it is the output"
	}
	l := layers[i]
	for _, next := range layers[i+1:] {
		if !slices.Contains(next.Inputs, i) || next.Op == nn.OpGlobalMaxPool {
			continue
		}
		if next.Op != nn.OpMaxPool {
			return fmt.Sprintf("the next layer is %s", next.Op)
		}
		height, width := next.Height, next.Width
		if next.Same { // its own padding is up to half of the window
			height, width = height-height/2, width-width/2
		}
		if max(l.Above, l.Below) >= height || max(l.Left, l.Right) >= width {
			return "a window of the next MaxPool may be entirely in the padding"
		}
	}
	return ""
}

// sortLayers returns the layers in Keras's order, which determines the numbers of the layers of a
// class and so the paths of their variables. Layers that are farther from the output, by the
// longest path, come first; at equal distance, those that are reached first from the output. The
// distance of a layer is that of its farthest call.
func (d *draft) sortLayers() []*draftLayer {
	met := map[*draftLayer]int{}
	var layers []*draftLayer
	seen := make([]bool, len(d.values))
	var sorted []int // values, each behind its inputs
	var visit func(v int)
	visit = func(v int) {
		if seen[v] {
			return
		}
		seen[v] = true
		l := d.values[v].layer
		if _, known := met[l]; !known {
			met[l] = len(met)
			layers = append(layers, l)
		}
		for _, in := range d.values[v].inputs {
			visit(in)
		}
		sorted = append(sorted, v)
	}
	visit(len(d.values) - 1)

	distance, farthest := make([]int, len(d.values)), map[*draftLayer]int{}
	for _, v := range slices.Backward(sorted) {
		l := d.values[v].layer
		farthest[l] = max(farthest[l], distance[v])
		for _, in := range d.values[v].inputs {
			distance[in] = max(distance[in], farthest[l]+1)
		}
	}
	slices.SortFunc(layers, func(a, b *draftLayer) int {
		return cmp.Or(cmp.Compare(farthest[b], farthest[a]), cmp.Compare(met[a], met[b]))
	})
	return layers
}

// describe describes the model as Keras does.
func (d *draft) describe(name string, layers []*draftLayer) object {
	described := make([]object, len(layers))
	for i, l := range layers {
		settings := object{"name": l.name, "dtype": "float32"}
		module, registered := "keras.layers", any(nil)
		if l.class == "Take" { // operations have no dtype
			module, registered = "keras.src.ops.numpy", l.class
			delete(settings, "dtype")
		}
		for key, v := range l.settings {
			settings[key] = v
		}
		nodes := []object{}
		for _, call := range l.calls {
			if len(call.inputs) > 0 {
				nodes = append(nodes, object{"args": append([]any{d.describeInputs(call.inputs)}, l.arguments...),
					"kwargs": object{}})
			}
		}
		described[i] = object{
			"module": module, "class_name": l.class, "registered_name": registered,
			"name": l.name, "config": settings, "inbound_nodes": nodes,
		}
	}
	return object{
		"module": "keras.src.models.functional", "class_name": "Functional", "registered_name": "Functional",
		"config": object{
			"name": name, "trainable": true, "layers": described,
			"input_layers": d.describeHistory(0), "output_layers": d.describeHistory(len(d.values) - 1),
		},
	}
}

// describeInputs describes the inputs of a call: a value, or a list of several.
func (d *draft) describeInputs(inputs []int) any {
	list := make([]any, len(inputs))
	for i, in := range inputs {
		list[i] = object{"class_name": "__keras_tensor__", "config": object{
			"shape": addBatchAxis(d.values[in].shape), "dtype": "float32", "keras_history": d.describeHistory(in),
		}}
	}
	if len(list) == 1 {
		return list[0]
	}
	return list
}

// describeHistory describes a value: the layer, the number of its call and of its output.
func (d *draft) describeHistory(v int) []any {
	return []any{d.values[v].layer.name, d.values[v].call, 0}
}

// addBatchAxis returns a shape with a batch axis of any size.
func addBatchAxis(shape []int) []any {
	all := []any{nil}
	for _, n := range shape {
		all = append(all, n)
	}
	return all
}

// weightGroups returns the variables where Keras expects them: see attachByNumber. Layers without
// any, and the model itself, have an empty group, as in Keras's own files.
func weightGroups(layers []*draftLayer) *hdf5.Node {
	groups, used := map[string]*hdf5.Node{}, map[string]int{}
	for _, l := range layers {
		place := snakeCase(l.class)
		used[place]++
		if n := used[place]; n > 1 {
			place += "_" + strconv.Itoa(n-1)
		}
		vars := &hdf5.Node{Attributes: map[string]string{"name": l.name}, Members: map[string]*hdf5.Node{}}
		for i, t := range l.variables {
			vars.Members[strconv.Itoa(i)] = &hdf5.Node{Values: t.Data, Shape: t.Shape}
		}
		groups[place] = &hdf5.Node{Members: map[string]*hdf5.Node{"vars": vars}}
	}
	return &hdf5.Node{Members: map[string]*hdf5.Node{"layers": {Members: groups}, "vars": {}}}
}
