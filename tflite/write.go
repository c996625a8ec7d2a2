// Package tflite writes networks as TensorFlow Lite models, which LiteRT runs.
package tflite

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	flatbuffers "github.com/google/flatbuffers/go"

	"garb/nn"
	"garb/tensor"
)

// Options configures Write.
type Options struct {
	// Name and Doc describe the model to people.
	Name, Doc string
	// Preprocessing turns a picture's samples into the network's input. It is recorded in the
	// metadata or, with Pictures, part of the model. nil: unknown.
	Preprocessing *Preprocessing
	// Pictures makes the model take pictures of the network's input size.
	Pictures bool
	// MultiLabel makes the probabilities the sigmoids of the logits instead of their softmax.
	MultiLabel bool
	// Temperature divides the logits before the softmax or sigmoid; 0 means 1.
	Temperature float64
	// Acceptance adds the output "acceptance"; nil: none.
	Acceptance *Acceptance
	// Labels has the names of the classes in the order of the outputs; nil: none.
	Labels []string
	// Names are those of the input and the outputs.
	Names Names
	// Metadata is added to the model's metadata entries.
	Metadata map[string]string
}

// Preprocessing computes the network's input from a picture's samples, which are 0 to 255: (sample
// − mean)/std, with one mean and std per channel.
type Preprocessing struct{ Mean, Std []float32 }

// Acceptance describes the output that says how likely the picture shows any of the classes,
// float32 [batch 1], from 0 to 1: the sigmoid of Slope·score + Offset. The score is that of
// onnx.Acceptance.
type Acceptance struct {
	Kernel []float32 // of the logit z; nil: no z
	Bias   float32
	Energy bool // the energy of the logits, log Σ e^logits
	Top    bool // the largest logit minus the energy of the others
	// Means holds the means of the distances, one after another; nil: no distances.
	Means, Scale, Centre, Spread []float32

	Slope, Offset float64
}

// Names are the names of a written model's input, unless it takes pictures, and of its outputs; ""
// means the usual name.
type Names struct{ Input, Logits, Probabilities string }

// resolve returns the names with the usual ones in place of "". It panics if a name stands for two
// things.
func (n Names) resolve() Names {
	n.Input, n.Logits = cmp.Or(n.Input, inputName), cmp.Or(n.Logits, logitsName)
	n.Probabilities = cmp.Or(n.Probabilities, probabilitiesName)
	all := []string{n.Input, n.Logits, n.Probabilities, pictureName, acceptanceName}
	slices.Sort(all)
	if len(slices.Compact(all)) < 5 {
		panic(fmt.Sprintf("tflite: names that stand for two things: %q", n))
	}
	return n
}

// Usual names of a model's inputs and outputs.
const (
	inputName         = "input"   // float32 [batch h w c]
	pictureName       = "picture" // uint8 [batch h w 3], with Options.Pictures
	logitsName        = "logits"
	probabilitiesName = "probabilities"
	acceptanceName    = "acceptance"
)

// inputTensor is the index of the input among the tensors.
const inputTensor = 0

// signatureName is TensorFlow's name for a model's only signature.
const signatureName = "serving_default"

// TooLargeError says that a model is too large for one file.
type TooLargeError struct{ Bytes int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the TensorFlow Lite file may have up to %d bytes; the limit is %d", e.Bytes, maxFileBytes)
}

// maxFileBytes is the limit of a flatbuffer, whose offsets are signed.
const maxFileBytes = math.MaxInt32

// LabelError says that a class has a name that the file of labels, with one name per line, cannot
// hold.
type LabelError struct{ Label string }

func (e *LabelError) Error() string {
	return fmt.Sprintf("a class is named %q; %s needs one name per line, and none empty", e.Label, labelsFile)
}

// Write writes a network as a TensorFlow Lite model that computes in float32. Its input is
// "input", the network's input as float32 [1 h w c], or "picture", uint8 [1 h w c]; the
// first axis can be resized to any batch. Its outputs are "logits", the network's output,
// and "probabilities", their softmax; a softmax at the end of the network is taken for the
// latter. Options.Acceptance adds a third output, and Options.Names gives other names. Batch-norms
// and ReLUs are fused into the layer before, unless another layer takes its output as well. The
// same network always gives the same bytes.
//
// The error is a *nn.LayerError or *nn.WeightError about the network, a *LabelError, a
// *TooLargeError, or one of w. Write panics if Pictures is set and the Preprocessing does not
// fit the network, if the temperature is negative or not finite, if Labels or Acceptance
// do not fit the network's last layer, or if a name stands for two things.
func Write(w io.Writer, n *nn.Network, o Options) error {
	if !(o.Temperature >= 0) || math.IsInf(o.Temperature, 0) {
		panic(fmt.Sprintf("tflite: temperature %v", o.Temperature))
	}
	if err := checkLabels(o.Labels); err != nil {
		return err
	}
	graph, err := nn.NewGraph(n.Layers)
	if err != nil {
		return err
	}
	b := &writer{
		graph: graph, shapes: graph.Shapes(), weights: n.Tensors,
		makers: map[int32]int{}, readers: map[int32]int{}, names: map[string]bool{},
	}
	o.Names = o.Names.resolve()
	for _, name := range []string{o.Names.Input, o.Names.Logits, o.Names.Probabilities, inputName,
		pictureName, logitsName, probabilitiesName, acceptanceName} {
		b.names[name] = true
	}
	if err = b.writeNetwork(o); err != nil {
		return err
	}
	model, err := b.encode(o)
	if err != nil {
		return err
	}
	if _, err = w.Write(model); err != nil {
		return err
	}
	return appendLabels(w, int64(len(model)), o.Labels)
}

// writeNetwork writes all layers, and the parts before and after them.
func (w *writer) writeNetwork(o Options) error {
	layers := w.graph.Layers()
	x := w.writeInput(o)
	last := len(layers) - 1
	if layers[last].Op == nn.OpSoftmax && last > 1 {
		last = layers[last].Inputs[0]
	}
	outputs, err := w.writeLayers(layers, x, last)
	if err != nil {
		return err
	}
	shape, logits := w.shapes[last], outputs[last]
	if o.Labels != nil && len(o.Labels) != shape[len(shape)-1] {
		panic(fmt.Sprintf("tflite: %d labels for logits %s", len(o.Labels), tensor.ShapeString(shape)))
	}
	if _, ok := w.makers[logits]; !ok || logits == x { // the input itself
		logits = w.addReshape("logits", logits, shape)
	}
	w.tensors[logits].name = o.Names.Logits
	scaled := logits
	if o.Temperature != 0 && o.Temperature != 1 {
		inverse := w.addFloats("temperature/inverse", []float32{float32(1 / o.Temperature)}, 1)
		scaled = w.addBinary(opMul, mulOptions, "probabilities/cooled", shape, logits, inverse)
	}
	var probabilities int32
	if o.MultiLabel {
		probabilities = w.addNode("probabilities/sigmoid", shape, node{op: opLogistic, inputs: []int32{scaled}})
	} else {
		probabilities = w.addSoftmax("probabilities/softmax", scaled, shape)
	}
	w.outputs = []output{{probabilitiesName, probabilities}, {logitsName, logits}}
	if o.Acceptance != nil {
		in := layers[last].Inputs[0]
		score := w.writeAcceptance(*o.Acceptance, outputs[in], tensor.Len(w.shapes[in]), logits, shape)
		w.outputs = append(w.outputs, output{acceptanceName, score})
	}
	public := map[string]string{logitsName: o.Names.Logits, probabilitiesName: o.Names.Probabilities,
		acceptanceName: acceptanceName}
	for _, out := range w.outputs {
		w.tensors[out.tensor].name = public[out.role]
	}
	return nil
}

// writeInput writes the input and its preprocessing.
func (w *writer) writeInput(o Options) int32 {
	shape := w.shapes[0]
	if !o.Pictures {
		w.tensors = append(w.tensors, variable{name: o.Names.Input, kind: typeFloat32, shape: shape})
		return inputTensor
	}
	if o.Preprocessing == nil || len(o.Preprocessing.Mean) != shape[2] || len(o.Preprocessing.Std) != shape[2] {
		panic(fmt.Sprintf("tflite: preprocessing %v for a network of %d channels", o.Preprocessing, shape[2]))
	}
	w.tensors = append(w.tensors, variable{name: pictureName, kind: typeUint8, shape: shape})
	x := w.addNode("preprocessing/cast", shape, node{op: opCast, inputs: []int32{inputTensor}, options: castOptions,
		fields: []field{typeUint8, typeFloat32}})
	mean, std := o.Preprocessing.Mean, o.Preprocessing.Std
	x = w.addBinary(opSub, subOptions, "preprocessing/centred", shape, x,
		w.addFloats("preprocessing/mean", mean, len(mean)))
	return w.addBinary(opDiv, divOptions, "preprocessing/scaled", shape, x,
		w.addFloats("preprocessing/std", std, len(std)))
}

// writeAcceptance writes the output of the acceptance. x is the last layer's input, with so many
// features; shape is that of the logits.
func (w *writer) writeAcceptance(a Acceptance, x int32, features int, logits int32, shape []int) int32 {
	if len(shape) != 1 || a.Kernel != nil && len(a.Kernel) != features || len(a.Means)%features != 0 ||
		a.Means != nil && (len(a.Scale) != features || len(a.Centre) != features || len(a.Spread) != features) {
		panic(fmt.Sprintf("tflite: an acceptance that does not fit %d features", features))
	}
	one := []int{1}
	sub := func(name string, shape []int, x, y int32) int32 {
		return w.addBinary(opSub, subOptions, name, shape, x, y)
	}
	add := func(name string, shape []int, x, y int32) int32 {
		return w.addBinary(opAdd, addOptions, name, shape, x, y)
	}
	mul := func(name string, shape []int, x, y int32) int32 {
		return w.addBinary(opMul, mulOptions, name, shape, x, y)
	}
	energy := func(x int32) int32 { // log Σ e^x, less the largest x first so that no exponential overflows
		largest := w.addReduce(opReduceMax, "acceptance/largest", x, one, true, 1)
		lower := w.addNode("acceptance/exp", shape, node{op: opExp, options: expOptions,
			inputs: []int32{sub("acceptance/lower", shape, x, largest)}})
		sum := w.addReduce(opSum, "acceptance/sum", lower, one, true, 1)
		return add("acceptance/energy", one, w.addNode("acceptance/log", one, node{op: opLog, inputs: []int32{sum}}),
			largest)
	}
	score := int32(-1)
	switch {
	case a.Means != nil:
		squares := func(name string, from, scale []float32) int32 {
			many := []int{len(from) / features, features}
			each := w.addReshape("acceptance/features", x, []int{1, features})
			y := sub("acceptance/from_"+name, many, each, w.addFloats("acceptance/"+name, from, 1, many[0], features))
			y = mul("acceptance/scaled", many, y, w.addFloats("acceptance/"+name+"_scale", scale, features))
			y = mul("acceptance/squares", many, y, y)
			return w.addReduce(opMean, "acceptance/distance", y, many[:1], false, 2)
		}
		nearest := w.addReduce(opReduceMin, "acceptance/nearest", squares("means", a.Means, a.Scale), one, true, 1)
		score = sub("acceptance/score", one, squares("centre", a.Centre, a.Spread), nearest)
	case a.Top:
		const lowest = -1e30 // its exponential is zero
		at := w.addNode("acceptance/top", nil, node{op: opArgMax, options: argMaxOptions, fields: []field{typeInt32},
			inputs: []int32{logits, w.addIntegers("acceptance/axis", []int32{1}, 1)}})
		w.tensors[at].kind = typeInt32
		mask := w.addNode("acceptance/mask", shape, node{op: opOneHot, options: oneHotOptions,
			fields: []field{integer(-1)},
			inputs: []int32{at, w.addIntegers("acceptance/classes", []int32{int32(shape[0])}),
				w.addFloats("acceptance/hidden", []float32{lowest}), w.addFloats("acceptance/shown", []float32{0})}})
		largest := w.addReduce(opReduceMax, "acceptance/top_logit", logits, one, true, 1)
		score = sub("acceptance/score", one, largest, energy(add("acceptance/others", shape, logits, mask)))
	case a.Energy:
		score = energy(logits)
	}
	if a.Kernel != nil {
		z := w.addNode("acceptance/logit", one, node{op: opFullyConnected, options: fullyConnectedOptions,
			fields: []field{noActivation}, inputs: []int32{x, w.addFloats("acceptance/kernel", a.Kernel, 1, features),
				w.addFloats("acceptance/bias", []float32{a.Bias}, 1)}})
		if score >= 0 {
			z = sub("acceptance/score", one, score, z)
		}
		score = z
	}
	sloped := mul("acceptance/sloped", one, score, w.addFloats("acceptance/slope", []float32{float32(a.Slope)}, 1))
	shifted := add("acceptance/shifted", one, sloped, w.addFloats("acceptance/offset", []float32{float32(a.Offset)}, 1))
	return w.addNode("acceptance/sigmoid", one, node{op: opLogistic, inputs: []int32{shifted}})
}

// estimateSize returns an upper bound of the model's bytes. A flatbuffer that has to grow is
// copied, and cannot grow beyond a gigabyte.
func (w *writer) estimateSize(o Options, metadata []byte) int64 {
	const node = 512 // more than an operator or tensor takes, without values and name
	size := int64(64<<10 + len(metadata) + len(o.Doc) + node*(len(w.tensors)+len(w.nodes)+len(o.Metadata)))
	for _, t := range w.tensors {
		size += int64(2*len(t.name) + t.values.length())
	}
	for key, value := range o.Metadata {
		size += int64(len(key) + len(value))
	}
	return size
}

// encode returns the model as a flatbuffer.
func (w *writer) encode(o Options) ([]byte, error) {
	metadata := w.encodeMetadata(o)
	size := w.estimateSize(o, metadata)
	if size > maxFileBytes {
		return nil, &TooLargeError{size}
	}
	e := encoder{
		builder: builder{flatbuffers.NewBuilder(int(size))}, model: w,
		indices: map[[sha256.Size]byte]uint32{},
	}
	e.buffers = append(e.buffers, e.addTable(nil, nil)) // of tensors without values
	tensors := e.addTensors()
	nodes, operators := e.addNodes()

	var outputs []int32
	for _, out := range w.outputs {
		outputs = append(outputs, out.tensor)
	}
	subgraph := e.addTable(slots{
		0: e.addOffsets(tensors...), 1: e.addIntegers([]int32{inputTensor}), 2: e.addIntegers(outputs),
		3: e.addOffsets(nodes...), 4: e.CreateString("main"),
	}, nil)
	entries := []flatbuffers.UOffsetT{e.addMetadata(metadataEntry, metadata)}
	for _, key := range slices.Sorted(maps.Keys(o.Metadata)) {
		entries = append(entries, e.addMetadata(key, []byte(o.Metadata[key])))
	}
	signature := e.addSignature()
	e.FinishWithFileIdentifier(e.addTable(slots{
		1: e.addOffsets(operators...), 2: e.addOffsets(subgraph), 3: e.CreateString(o.Doc),
		4: e.addOffsets(e.buffers...), 6: e.addOffsets(entries...), 7: e.addOffsets(signature),
	}, func() { e.PrependUint32Slot(0, 3, 0) }), []byte("TFL3")) // version of the schema
	return e.FinishedBytes(), nil
}

// encoder adds the parts of a model to a flatbuffer.
type encoder struct {
	builder
	model   *writer
	buffers []flatbuffers.UOffsetT
	indices map[[sha256.Size]byte]uint32 // in buffers, by the digest of the values
}

// addBuffer returns the index of a buffer with these values. Equal values share one.
func (e *encoder) addBuffer(v values) uint32 {
	key := v.digest()
	index, ok := e.indices[key]
	if !ok {
		index = uint32(len(e.buffers))
		e.indices[key] = index
		e.buffers = append(e.buffers, e.addTable(slots{0: e.addBytes(v)}, nil)) // data
	}
	return index
}

func (e *encoder) addTensors() []flatbuffers.UOffsetT {
	tensors := make([]flatbuffers.UOffsetT, len(e.model.tensors))
	for i, t := range e.model.tensors {
		var dims []int32
		for _, n := range t.shape {
			dims = append(dims, int32(n))
		}
		offsets, buffer := slots{}, uint32(0)
		if t.constant {
			buffer = e.addBuffer(t.values)
		} else {
			offsets[7] = e.addIntegers(append([]int32{-1}, dims...)) // shape_signature: any batch
			dims = append([]int32{1}, dims...)
		}
		offsets[0], offsets[3] = e.addIntegers(dims), e.CreateString(t.name)
		tensors[i] = e.addTable(offsets, func() {
			e.PrependInt8Slot(1, int8(t.kind), 0) // type
			e.PrependUint32Slot(2, buffer, 0)     // buffer
		})
	}
	return tensors
}

// addNodes adds the nodes and the operators, each with its version, that they use.
func (e *encoder) addNodes() (nodes, operators []flatbuffers.UOffsetT) {
	type code struct {
		op      operator
		version int32
	}
	var codes []code
	for _, n := range e.model.nodes {
		c := code{n.op, max(n.version, 1)}
		index := slices.Index(codes, c)
		if index < 0 {
			index = len(codes)
			codes = append(codes, c)
		}
		offsets := slots{1: e.addIntegers(n.inputs), 2: e.addIntegers([]int32{n.output})} // inputs, outputs
		if n.options != noOptions {
			offsets[4] = e.addTable(nil, func() { // builtin_options
				for slot, f := range n.fields {
					f.put(e.Builder, slot)
				}
			})
		}
		nodes = append(nodes, e.addTable(offsets, func() {
			e.PrependUint32Slot(0, uint32(index), 0) // opcode_index
			e.PrependByteSlot(3, byte(n.options), 0) // builtin_options_type
		}))
	}
	for _, c := range codes {
		operators = append(operators, e.addTable(nil, func() {
			e.PrependInt8Slot(0, int8(min(c.op, 127)), 0) // deprecated_builtin_code, for old readers
			e.PrependInt32Slot(2, c.version, 0)           // version, whose default is 1
			e.PrependInt32Slot(3, int32(c.op), 0)         // builtin_code
		}))
	}
	return nodes, operators
}

func (e *encoder) addMetadata(name string, content []byte) flatbuffers.UOffsetT {
	buffer := e.addBuffer(values{text: content})
	return e.addTable(slots{0: e.CreateString(name)}, func() { e.PrependUint32Slot(1, buffer, 0) })
}

func (e *encoder) addSignature() flatbuffers.UOffsetT {
	addTensorMap := func(name string, tensor int32) flatbuffers.UOffsetT {
		return e.addTable(slots{0: e.CreateString(name)}, func() { e.PrependUint32Slot(1, uint32(tensor), 0) })
	}
	var outputs []flatbuffers.UOffsetT
	for _, out := range e.model.outputs {
		outputs = append(outputs, addTensorMap(e.model.tensors[out.tensor].name, out.tensor))
	}
	input := addTensorMap(e.model.tensors[inputTensor].name, inputTensor)
	return e.addTable(slots{
		0: e.addOffsets(input), 1: e.addOffsets(outputs...), 2: e.CreateString(signatureName),
	}, nil)
}

// digest returns a digest of the values' bytes.
func (v values) digest() [sha256.Size]byte {
	h := sha256.New()
	var chunk [4096]byte
	flush := func(n int) { h.Write(chunk[:n]) }
	n := 0
	put := func(bits uint32) {
		binary.LittleEndian.PutUint32(chunk[n:], bits)
		if n += 4; n == len(chunk) {
			flush(n)
			n = 0
		}
	}
	for _, x := range v.floats {
		put(math.Float32bits(x))
	}
	for _, x := range v.integers {
		put(uint32(x))
	}
	flush(n)
	h.Write(v.text)
	return [sha256.Size]byte(h.Sum(nil))
}
