package onnx

import (
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"garb/nn"
)

// Options of Write.
type Options struct {
	// Preprocessing makes the input pictures of the network's size; nil leaves it the
	// network's own, prepared by the caller.
	Preprocessing *Preprocessing
	// MultiLabel makes the probabilities the sigmoids of the logits, not their softmax.
	MultiLabel bool
	// Temperature divides the logits before that; 0 means 1.
	Temperature float64
	// Int8 writes the weights as tensor.Int8 stores them: those that it stores as int8 so,
	// with a DequantizeLinear behind that gives float32; the others in float32, rounded to
	// float16. It computes in float32: the answers are those of the network with weights of
	// tensor.Map.As(tensor.Int8).
	Int8 bool
	// Acceptance adds the output "acceptance"; nil: none.
	Acceptance *Acceptance
	// Metadata is written as the model's own.
	Metadata        map[string]string
	ProducerVersion string // of garb
	Doc             string // for people
}

// Preprocessing turns a picture's samples, 0 to 255, into the network's input:
// (sample − mean)/std, with one of both for each channel.
type Preprocessing struct{ Mean, Std []float32 }

// Acceptance is how likely a picture shows any of the classes, float32 [batch 1], from 0 to
// 1: the sigmoid of Slope·score + Offset.
//
// The score is a logit z = Kernel·x + Bias of what the network's last layer takes, x, or
// −z beside the energy of the logits, log Σ e^logits − z, or the energy alone, or the largest
// logit above the energy of the others, or by x how much nearer that is to one of some means
// than to a centre:
//
//	mean_j ((x_j − Centre[j])·Spread[j])² − min_k mean_j ((x_j − Means[k,j])·Scale[j])²
type Acceptance struct {
	Kernel []float32 // nil: without z
	Bias   float32
	Energy bool
	Top    bool // the largest logit above the others' energy
	// Means are those of the distances, one after another; nil: none.
	Means, Scale, Centre, Spread []float32

	Slope, Offset float64
}

// The names of a written model's inputs and outputs.
const (
	inputName         = "input"   // float32 [batch h w c]
	pictureName       = "picture" // uint8 [batch h w 3], with Preprocessing
	logitsName        = "logits"
	probabilitiesName = "probabilities"
	acceptanceName    = "acceptance"
	batchName         = "batch"
)

// Write writes a network as an ONNX model of opset 17 that computes in float32, for batches
// of any size. Its input is "input", float32 [batch h w c] as the network has it, or "picture",
// uint8 [batch h w 3]. Its outputs are "logits", what the network gives, and
// "probabilities", their softmax; a softmax that ends the network is the latter itself. With
// Options.Acceptance there is a third.
// The same network gives the same bytes.
//
// Errors are *nn.LayerError and *nn.WeightError about the network, *TooLargeError, or
// those of w. It panics if Preprocessing meets a network without three channels, if the
// temperature is negative or no number, or if Acceptance does not fit what the last layer
// takes.
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
		constants: map[string]string{},
	}
	for _, name := range []string{inputName, pictureName, logitsName, probabilitiesName, acceptanceName} {
		b.known[name] = true
	}
	if err := b.network(o); err != nil {
		return err
	}
	return b.write(w, o)
}

// write writes the model: everything that is small as one message, weights one by one.
func (b *writer) write(w io.Writer, o Options) error {
	var model message
	model.integer(modelIRVersion, irVersion)
	model.text(modelProducer, "garb")
	model.text(modelProducerVersion, o.ProducerVersion)
	model.text(modelDoc, o.Doc)
	var opset message
	opset.text(opsetDomain, "")
	opset.integer(opsetVersion, writtenOpset)
	model.message(modelOpsets, opset)
	for _, key := range slices.Sorted(maps.Keys(o.Metadata)) {
		var entry message
		entry.text(entryKey, key)
		entry.text(entryValue, o.Metadata[key])
		model.message(modelMetadata, entry)
	}

	var graph message
	graph.text(graphName, "network")
	for _, n := range b.nodes {
		graph.message(graphNodes, n.message())
	}
	graph.message(graphInputs, b.input)
	for _, output := range b.outputs {
		graph.message(graphOutputs, output)
	}
	length := int64(len(graph))
	heads := make([]message, len(b.initializers))
	for i, t := range b.initializers {
		header := t.header()
		heads[i].open(graphInitializers, int64(len(header))+t.valueBytes())
		heads[i] = append(heads[i], header...)
		length += int64(len(heads[i])) + t.valueBytes()
	}
	if total := int64(len(model)) + length + 16; total > maxFileBytes {
		return &TooLargeError{total}
	}
	model.open(modelGraph, length)
	if _, err := w.Write(append(model, graph...)); err != nil {
		return err
	}
	for i, t := range b.initializers {
		if _, err := w.Write(heads[i]); err != nil {
			return err
		}
		if err := t.write(w); err != nil {
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

func (n operation) message() message {
	var m message
	for _, in := range n.inputs {
		m.text(nodeInputs, in)
	}
	m.text(nodeOutputs, n.output)
	m.text(nodeName, n.name)
	m.text(nodeOp, n.op)
	for _, a := range n.attributes {
		m.message(nodeAttributes, a)
	}
	return m
}

// valueInfo declares an input or output: its batch axis is open.
func valueInfo(name string, elem int64, shape []int) message {
	var dims message
	var batch message
	batch.text(dimName, batchName)
	dims.message(shapeDims, batch)
	for _, n := range shape {
		var dim message
		dim.integer(dimValue, int64(n))
		dims.message(shapeDims, dim)
	}
	var tensorType, outer, m message
	tensorType.integer(tensorTypeElem, elem)
	tensorType.message(tensorTypeDims, dims)
	outer.message(typeTensor, tensorType)
	m.text(valueName, name)
	m.message(valueType, outer)
	return m
}
