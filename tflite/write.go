// Package tflite writes networks as TensorFlow Lite models, which LiteRT runs.
package tflite

import (
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

// Options of Write.
type Options struct {
	// Name and Doc are for people.
	Name, Doc string
	// Preprocessing is what the network's input is made by from a picture's samples. The
	// metadata says it, or, with Pictures, the model does it. nil: unknown.
	Preprocessing *Preprocessing
	// Pictures makes the input pictures of the network's size.
	Pictures bool
	// MultiLabel makes the probabilities the sigmoids of the logits, not their softmax.
	MultiLabel bool
	// Temperature divides the logits before that; 0 means 1.
	Temperature float64
	// Acceptance adds the output "acceptance"; nil: none.
	Acceptance *Acceptance
	// Labels are the names of the classes, in the order of the outputs; nil: none.
	Labels []string
	// Metadata is written as entries of the model's own.
	Metadata map[string]string
}

// Preprocessing turns a picture's samples, 0 to 255, into the network's input:
// (sample − mean)/std, with one of both for each channel.
type Preprocessing struct{ Mean, Std []float32 }

// Acceptance is how likely a picture shows any of the classes, float32 [batch 1], from 0 to
// 1: the sigmoid of Slope·score + Offset. The score is that of onnx.Acceptance.
type Acceptance struct {
	Kernel []float32 // of the logit z, nil: without z
	Bias   float32
	Energy bool // of the logits, log Σ e^logits
	Top    bool // the largest logit above the others' energy
	// Means are those of the distances, one after another; nil: none.
	Means, Scale, Centre, Spread []float32

	Slope, Offset float64
}

// The names of a written model's inputs and outputs.
const (
	inputName         = "input"   // float32 [batch h w c]
	pictureName       = "picture" // uint8 [batch h w 3], with Options.Pictures
	logitsName        = "logits"
	probabilitiesName = "probabilities"
	acceptanceName    = "acceptance"
)

// inputTensor is the place of the input among the tensors.
const inputTensor = 0

// signatureName is the name of the only signature, which TensorFlow gives it too.
const signatureName = "serving_default"

// TooLargeError says that a model does not fit into one file.
type TooLargeError struct{ Bytes int64 }

func (e *TooLargeError) Error() string {
	return fmt.Sprintf("the TensorFlow Lite file might have %d bytes; one file holds at most %d", e.Bytes,
		maxFileBytes)
}

// maxFileBytes is the bound of a flatbuffer, whose offsets are signed.
const maxFileBytes = math.MaxInt32

// LabelError says that a class has a name that a file of a name a line cannot hold.
type LabelError struct{ Label string }

func (e *LabelError) Error() string {
	return fmt.Sprintf("a class is named %q; %s has one name a line, and no empty ones", e.Label, labelsFile)
}

// Write writes a network as a TensorFlow Lite model that computes in float32. Its input is
// "input", float32 [1 h w c] as the network has it, or "picture", uint8 [1 h w 3]; the first
// axis can be resized to any batch. Its outputs are "probabilities", the softmax of
// "logits", and "logits", what the network gives; a softmax that ends the network is the
// former itself. With Options.Acceptance there is a third. Layers before a batch-norm or
// ReLU do that as well where nothing else takes what they give.
// The same network gives the same bytes.
//
// Errors are *nn.LayerError and *nn.WeightError about the network, *LabelError,
// *TooLargeError, or those of w. It panics if Pictures meets a network without three
// channels or no Preprocessing, if the temperature is negative or no number, or if Labels or
// Acceptance do not fit the network's last layer.
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
		made: map[int32]int{}, readers: map[int32]int{}, names: map[string]bool{},
	}
	for _, name := range []string{inputName, pictureName, logitsName, probabilitiesName, acceptanceName} {
		b.names[name] = true
	}
	if err := b.network(o); err != nil {
		return err
	}
	model, err := b.encode(o)
	if err != nil {
		return err
	}
	if _, err := w.Write(model); err != nil {
		return err
	}
	return appendLabels(w, int64(len(model)), o.Labels)
}

// network writes all layers, and what is before and after them.
func (w *writer) network(o Options) error {
	layers := w.graph.Layers()
	x := w.begin(o)
	last := len(layers) - 1
	if layers[last].Op == nn.OpSoftmax && last > 1 {
		last = layers[last].Inputs[0]
	}
	made, err := w.layers(layers, x, last)
	if err != nil {
		return err
	}
	shape, logits := w.shapes[last], made[last]
	if o.Labels != nil && len(o.Labels) != shape[len(shape)-1] {
		panic(fmt.Sprintf("tflite: %d labels for logits %s", len(o.Labels), tensor.ShapeString(shape)))
	}
	if _, ok := w.made[logits]; !ok || logits == x { // the input itself, before the softmax
		logits = w.reshaped("logits", logits, shape)
	}
	w.tensors[logits].name = logitsName
	cooled := logits
	if o.Temperature != 0 && o.Temperature != 1 {
		inverse := w.floats("temperature/inverse", []float32{float32(1 / o.Temperature)}, 1)
		cooled = w.binary(opMul, mulOptions, "probabilities/cooled", shape, logits, inverse)
	}
	var probabilities int32
	if o.MultiLabel {
		probabilities = w.add("probabilities/sigmoid", shape, node{op: opLogistic, inputs: []int32{cooled}})
	} else {
		probabilities = w.softmaxOf("probabilities/softmax", cooled, shape)
	}
	w.outputs = []output{{probabilitiesName, probabilities}, {logitsName, logits}}
	if o.Acceptance != nil {
		in := layers[last].Inputs[0]
		score := w.acceptance(*o.Acceptance, made[in], tensor.Len(w.shapes[in]), logits, shape)
		w.outputs = append(w.outputs, output{acceptanceName, score})
	}
	for _, out := range w.outputs {
		w.tensors[out.tensor].name = out.name
	}
	return nil
}

// begin writes the input, and what is before the first layer.
func (w *writer) begin(o Options) int32 {
	shape := w.shapes[0]
	if !o.Pictures {
		w.tensors = append(w.tensors, variable{name: inputName, kind: typeFloat32, shape: shape})
		return inputTensor
	}
	if o.Preprocessing == nil || len(o.Preprocessing.Mean) != shape[2] || len(o.Preprocessing.Std) != shape[2] {
		panic(fmt.Sprintf("tflite: preprocessing %v for a network of %d channels", o.Preprocessing, shape[2]))
	}
	w.tensors = append(w.tensors, variable{name: pictureName, kind: typeUint8, shape: shape})
	x := w.add("preprocessing/cast", shape, node{op: opCast, inputs: []int32{inputTensor}, options: castOptions,
		fields: []field{typeUint8, typeFloat32}})
	mean, std := o.Preprocessing.Mean, o.Preprocessing.Std
	x = w.binary(opSub, subOptions, "preprocessing/centred", shape, x, w.floats("preprocessing/mean", mean, len(mean)))
	return w.binary(opDiv, divOptions, "preprocessing/scaled", shape, x, w.floats("preprocessing/std", std, len(std)))
}

// acceptance writes the output of acceptance. x, of so many values, is what the last layer
// takes, and shape that of the logits.
func (w *writer) acceptance(a Acceptance, x int32, features int, logits int32, shape []int) int32 {
	if len(shape) != 1 || a.Kernel != nil && len(a.Kernel) != features || len(a.Means)%features != 0 ||
		a.Means != nil &&
			(len(a.Scale) != features || len(a.Centre) != features || len(a.Spread) != features) {
		panic(fmt.Sprintf("tflite: an acceptance that does not fit %d features", features))
	}
	one := []int{1}
	sub := func(name string, shape []int, x, y int32) int32 {
		return w.binary(opSub, subOptions, name, shape, x, y)
	}
	add := func(name string, shape []int, x, y int32) int32 {
		return w.binary(opAdd, addOptions, name, shape, x, y)
	}
	mul := func(name string, shape []int, x, y int32) int32 {
		return w.binary(opMul, mulOptions, name, shape, x, y)
	}
	energy := func(x int32) int32 { // log Σ e^x, by the largest so that no exponential is too large
		largest := w.reduce(opReduceMax, "acceptance/largest", x, one, true, 1)
		lower := w.add("acceptance/exp", shape, node{op: opExp, options: expOptions,
			inputs: []int32{sub("acceptance/lower", shape, x, largest)}})
		sum := w.reduce(opSum, "acceptance/sum", lower, one, true, 1)
		return add("acceptance/energy", one, w.add("acceptance/log", one, node{op: opLog, inputs: []int32{sum}}),
			largest)
	}
	score := int32(-1)
	switch {
	case a.Means != nil:
		squares := func(name string, from, scale []float32) int32 {
			many := []int{len(from) / features, features}
			each := w.reshaped("acceptance/features", x, []int{1, features})
			y := sub("acceptance/from_"+name, many, each, w.floats("acceptance/"+name, from, 1, many[0], features))
			y = mul("acceptance/scaled", many, y, w.floats("acceptance/"+name+"_scale", scale, features))
			y = mul("acceptance/squares", many, y, y)
			return w.reduce(opMean, "acceptance/distance", y, many[:1], false, 2)
		}
		nearest := w.reduce(opReduceMin, "acceptance/nearest", squares("means", a.Means, a.Scale), one, true, 1)
		score = sub("acceptance/score", one, squares("centre", a.Centre, a.Spread), nearest)
	case a.Top:
		const lowest = -1e30 // adds nothing to a sum of exponentials
		at := w.add("acceptance/top", nil, node{op: opArgMax, options: argMaxOptions, fields: []field{typeInt32},
			inputs: []int32{logits, w.integers("acceptance/axis", []int32{1}, 1)}})
		w.tensors[at].kind = typeInt32
		mask := w.add("acceptance/mask", shape, node{op: opOneHot, options: oneHotOptions,
			fields: []field{integer(-1)},
			inputs: []int32{at, w.integers("acceptance/classes", []int32{int32(shape[0])}),
				w.floats("acceptance/hidden", []float32{lowest}), w.floats("acceptance/shown", []float32{0})}})
		largest := w.reduce(opReduceMax, "acceptance/top_logit", logits, one, true, 1)
		score = sub("acceptance/score", one, largest, energy(add("acceptance/others", shape, logits, mask)))
	case a.Energy:
		score = energy(logits)
	}
	if a.Kernel != nil {
		z := w.add("acceptance/logit", one, node{op: opFullyConnected, options: fullyConnectedOptions,
			fields: []field{noActivation}, inputs: []int32{x, w.floats("acceptance/kernel", a.Kernel, 1, features),
				w.floats("acceptance/bias", []float32{a.Bias}, 1)}})
		if score >= 0 {
			z = sub("acceptance/score", one, score, z)
		}
		score = z
	}
	sloped := mul("acceptance/sloped", one, score, w.floats("acceptance/slope", []float32{float32(a.Slope)}, 1))
	shifted := add("acceptance/shifted", one, sloped, w.floats("acceptance/offset", []float32{float32(a.Offset)}, 1))
	return w.add("acceptance/sigmoid", one, node{op: opLogistic, inputs: []int32{shifted}})
}

// bound is more than the bytes that the model takes: a flatbuffer that has to grow is copied,
// and cannot grow beyond a gigabyte.
func (w *writer) bound(o Options, metadata []byte) int64 {
	const node = 512 // more than an operator or a tensor takes without its values and name
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
	metadata := w.metadata(o)
	size := w.bound(o, metadata)
	if size > maxFileBytes {
		return nil, &TooLargeError{size}
	}
	b := builder{flatbuffers.NewBuilder(int(size))}

	var buffers []flatbuffers.UOffsetT
	known := map[[sha256.Size]byte]uint32{}
	hold := func(v values) uint32 { // one buffer for all that is the same
		key := v.digest()
		at, ok := known[key]
		if !ok {
			at = uint32(len(buffers))
			known[key] = at
			buffers = append(buffers, b.table(slots{0: b.bytes(v)}, nil)) // data
		}
		return at
	}
	buffers = append(buffers, b.table(nil, nil)) // that of tensors without values

	tensors := make([]flatbuffers.UOffsetT, len(w.tensors))
	for i, t := range w.tensors {
		var dims []int32
		for _, n := range t.shape {
			dims = append(dims, int32(n))
		}
		offsets, buffer := slots{}, uint32(0)
		if t.constant {
			buffer = hold(t.values)
		} else {
			offsets[7] = b.integers(append([]int32{-1}, dims...)) // shape_signature: the batch is open
			dims = append([]int32{1}, dims...)
		}
		offsets[0], offsets[3] = b.integers(dims), b.CreateString(t.name)
		tensors[i] = b.table(offsets, func() {
			b.PrependInt8Slot(1, int8(t.kind), 0) // type
			b.PrependUint32Slot(2, buffer, 0)     // buffer
		})
	}

	type code struct {
		op      operator
		version int32
	}
	var codes []code
	nodes := make([]flatbuffers.UOffsetT, len(w.nodes))
	for i, n := range w.nodes {
		versioned := code{n.op, max(n.version, 1)}
		at := slices.Index(codes, versioned)
		if at < 0 {
			at = len(codes)
			codes = append(codes, versioned)
		}
		offsets := slots{1: b.integers(n.inputs), 2: b.integers([]int32{n.output})} // inputs, outputs
		if n.options != noOptions {
			offsets[4] = b.table(nil, func() { // builtin_options
				for slot, f := range n.fields {
					f.put(b.Builder, slot)
				}
			})
		}
		nodes[i] = b.table(offsets, func() {
			b.PrependUint32Slot(0, uint32(at), 0)    // opcode_index
			b.PrependByteSlot(3, byte(n.options), 0) // builtin_options_type
		})
	}
	operators := make([]flatbuffers.UOffsetT, len(codes))
	for i, c := range codes {
		operators[i] = b.table(nil, func() {
			b.PrependInt8Slot(0, int8(min(c.op, 127)), 0) // deprecated_builtin_code, what old readers read
			b.PrependInt32Slot(2, c.version, 0)           // version, whose default is 1
			b.PrependInt32Slot(3, int32(c.op), 0)         // builtin_code
		})
	}

	var outputs []int32
	for _, out := range w.outputs {
		outputs = append(outputs, out.tensor)
	}
	subgraph := b.table(slots{
		0: b.offsets(tensors...), 1: b.integers([]int32{inputTensor}), 2: b.integers(outputs), 3: b.offsets(nodes...),
		4: b.CreateString("main"),
	}, nil)

	entry := func(name string, content []byte) flatbuffers.UOffsetT {
		buffer := hold(values{text: content})
		return b.table(slots{0: b.CreateString(name)}, func() { b.PrependUint32Slot(1, buffer, 0) })
	}
	entries := []flatbuffers.UOffsetT{entry(metadataEntry, metadata)}
	for _, key := range slices.Sorted(maps.Keys(o.Metadata)) {
		entries = append(entries, entry(key, []byte(o.Metadata[key])))
	}

	named := func(name string, tensor int32) flatbuffers.UOffsetT { // a TensorMap
		return b.table(slots{0: b.CreateString(name)}, func() { b.PrependUint32Slot(1, uint32(tensor), 0) })
	}
	var maps []flatbuffers.UOffsetT
	for _, out := range w.outputs {
		maps = append(maps, named(out.name, out.tensor))
	}
	signature := b.table(slots{
		0: b.offsets(named(w.tensors[inputTensor].name, inputTensor)), 1: b.offsets(maps...),
		2: b.CreateString(signatureName),
	}, nil)

	b.FinishWithFileIdentifier(b.table(slots{
		1: b.offsets(operators...), 2: b.offsets(subgraph), 3: b.CreateString(o.Doc), 4: b.offsets(buffers...),
		6: b.offsets(entries...), 7: b.offsets(signature),
	}, func() { b.PrependUint32Slot(0, 3, 0) }), []byte("TFL3")) // version of the schema
	return b.FinishedBytes(), nil
}

// digest tells values apart by their bytes.
func (v values) digest() [sha256.Size]byte {
	h := sha256.New()
	var some [4096]byte
	flush := func(n int) { h.Write(some[:n]) }
	n := 0
	put := func(bits uint32) {
		binary.LittleEndian.PutUint32(some[n:], bits)
		if n += 4; n == len(some) {
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
