package onnx

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"garb/nn"
)

// Options are the settings of Write.
type Options struct {
	// Preprocessing, if not nil, makes pictures the input; otherwise the input is the network's
	// own, prepared by the caller.
	Preprocessing *Preprocessing
	// MultiLabel makes the probabilities the sigmoids of the logits, not their softmax.
	MultiLabel bool
	// Temperature divides the logits before the probabilities; 0 means 1.
	Temperature float64
	// Int8 writes the weights as tensor.Int8 stores them: those that it stores as int8 with a
	// DequantizeLinear that converts them to float32; the others in float32, rounded to float16.
	// The model computes in float32: its answers are those of the network with weights of
	// tensor.Map.As(tensor.Int8).
	Int8 bool
	// Acceptance, if not nil, adds the output "acceptance".
	Acceptance *Acceptance
	// Names are those of the input and the outputs.
	Names Names
	// Metadata becomes the metadata of the model.
	Metadata        map[string]string
	ProducerVersion string // of garb
	Doc             string // for people
}

// Preprocessing converts a picture's samples, 0 to 255, to the network's input: (sample −
// mean)/std, with a mean and a deviation for each channel.
type Preprocessing struct{ Mean, Std []float32 }

// Acceptance computes how likely a picture shows any of the classes, float32 [batch 1], from 0 to
// 1: the sigmoid of Slope·score + Offset.
//
// The score is one of these: a logit z = Kernel·x + Bias of the input x of the network's last
// layer; −z plus the energy of the logits, log Σ e^logits − z; that energy alone; the largest logit
// minus the energy of the others; or by how much x is nearer to one of some means than to a centre:
//
//	mean_j ((x_j − Centre[j])·Spread[j])² − min_k mean_j ((x_j − Means[k,j])·Scale[j])²
type Acceptance struct {
	Kernel []float32 // nil: without z
	Bias   float32
	Energy bool
	Top    bool // the largest logit minus the energy of the others
	// Means are the means of the distances, one after another; nil: none.
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
		panic(fmt.Sprintf("onnx: names that stand for two things: %q", n))
	}
	return n
}

// The usual names of a written model's inputs and outputs.
const (
	inputName         = "input"   // float32 [batch h w c]
	pictureName       = "picture" // uint8 [batch h w 3], with Preprocessing
	logitsName        = "logits"
	probabilitiesName = "probabilities"
	acceptanceName    = "acceptance"
	batchName         = "batch"
)

// Write writes a network as an ONNX model of opset 17 that computes in float32, for batches of any
// size. Its input is "input", float32 [batch h w c] as the network's own, or "picture", uint8
// [batch h w 3]. Its outputs are "logits", the network's output, and "probabilities", their
// softmax; if the network ends with a softmax, "probabilities" is its output. With
// Options.Acceptance there is a third. Options.Names gives other names. The same network gives the
// same bytes.
//
// Errors are *nn.LayerError and *nn.WeightError about the network, *TooLargeError, or those of w.
// Write panics if Preprocessing has not as many channels as the network, if the temperature is
// negative or NaN, if Acceptance does not fit the input of the last layer, or if a name stands for
// two things.
func Write(w io.Writer, n *nn.Network, o Options) error {
	if !(o.Temperature >= 0) || math.IsInf(o.Temperature, 0) {
		panic(fmt.Sprintf("onnx: temperature %v", o.Temperature))
	}
	graph, err := nn.NewGraph(n.Layers)
	if err != nil {
		return err
	}
	b := &writer{
		graph: graph, shapes: graph.Shapes(), weights: n.Tensors, int8: o.Int8, known: map[string]bool{},
		constants: map[string]string{}, names: o.Names.resolve(),
	}
	for _, name := range []string{b.names.Input, b.names.Logits, b.names.Probabilities, inputName,
		pictureName, logitsName, probabilitiesName, acceptanceName} {
		b.known[name] = true
	}
	if err := b.writeNetwork(o); err != nil {
		return err
	}
	return b.write(w, o)
}

// write writes the model: all small parts as one message, then the weights one by one.
func (b *writer) write(w io.Writer, o Options) error {
	var model message
	model.appendInteger(modelIRVersion, irVersion)
	model.appendText(modelProducer, "garb")
	model.appendText(modelProducerVersion, o.ProducerVersion)
	model.appendText(modelDoc, o.Doc)
	var opset message
	opset.appendText(opsetDomain, "")
	opset.appendInteger(opsetVersion, outputOpset)
	model.appendMessage(modelOpsets, opset)
	for _, key := range slices.Sorted(maps.Keys(o.Metadata)) {
		var entry message
		entry.appendText(entryKey, key)
		entry.appendText(entryValue, o.Metadata[key])
		model.appendMessage(modelMetadata, entry)
	}

	var graph message
	graph.appendText(graphName, "network")
	for _, n := range b.nodes {
		graph.appendMessage(graphNodes, n.encode())
	}
	graph.appendMessage(graphInputs, b.input)
	for _, output := range b.outputs {
		graph.appendMessage(graphOutputs, output)
	}
	length := int64(len(graph))
	heads := make([]message, len(b.initializers))
	for i, t := range b.initializers {
		header := t.header()
		heads[i].openMessage(graphInitializers, int64(len(header))+t.valueBytes())
		heads[i] = append(heads[i], header...)
		length += int64(len(heads[i])) + t.valueBytes()
	}
	if total := int64(len(model)) + length + 16; total > maxFileBytes {
		return &TooLargeError{total}
	}
	model.openMessage(modelGraph, length)
	if _, err := w.Write(append(model, graph...)); err != nil {
		return err
	}
	for i, t := range b.initializers {
		if _, err := w.Write(heads[i]); err != nil {
			return err
		}
		if err := t.writeValues(w); err != nil {
			return err
		}
	}
	return nil
}

// operation is a node of the graph that is being written.
type operation struct {
	op, name   string
	inputs     []string
	output     string
	attributes []message
}

func (n operation) encode() message {
	var m message
	for _, in := range n.inputs {
		m.appendText(nodeInputs, in)
	}
	m.appendText(nodeOutputs, n.output)
	m.appendText(nodeName, n.name)
	m.appendText(nodeOp, n.op)
	for _, a := range n.attributes {
		m.appendMessage(nodeAttributes, a)
	}
	return m
}

// valueInfo encodes the declaration of an input or output, whose batch axis is open.
func valueInfo(name string, elem int64, shape []int) message {
	var dims message
	var batch message
	batch.appendText(dimName, batchName)
	dims.appendMessage(shapeDims, batch)
	for _, n := range shape {
		var dim message
		dim.appendInteger(dimValue, int64(n))
		dims.appendMessage(shapeDims, dim)
	}
	var tensorType, outer, m message
	tensorType.appendInteger(tensorTypeElem, elem)
	tensorType.appendMessage(tensorTypeDims, dims)
	outer.appendMessage(typeTensor, tensorType)
	m.appendText(valueName, name)
	m.appendMessage(valueType, outer)
	return m
}
