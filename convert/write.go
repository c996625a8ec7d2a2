//go:build !small

package convert

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"garb/accept"
	"garb/internal/safefile"
	"garb/keras"
	"garb/model"
	"garb/nn"
	"garb/onnx"
	"garb/tensor"
	"garb/tflite"
)

// describe returns the description of a model in a file of another format.
func describe(c *model.Classifier, x Export) description {
	m := c.Description()
	d := description{Classes: c.Classes(), Preprocessing: c.Spec(), Temperature: m.Temperature,
		MultiLabel: m.MultiLabel, Digest: c.Digest(), Judges: c.Judges(), Signature: m.Signature}
	if x.Acceptance {
		threshold := c.AcceptanceThreshold()
		d.Threshold, d.Refusal = &threshold, m.Acceptance.Refusal
	}
	return d
}

// Write writes a model for other programs, all or nothing: an ONNX model, a .keras archive or a
// TensorFlow Lite model, as the ending of path says. ONNX and TensorFlow Lite models have the
// acceptance as an additional output, unless its method is accept.Neighbours. A .keras archive has
// only the outputs of the classes. Errors are *FormatError, those of packages onnx, keras and
// tflite, or the file system's.
func Write(path string, c *model.Classifier, o WriteOptions) (Export, error) {
	n, err := c.Network()
	if err != nil {
		return Export{}, err
	}
	n, acceptance, x, err := splitAcceptance(n, c)
	if err != nil {
		return Export{}, err
	}
	extension := strings.ToLower(filepath.Ext(path))
	if o.Int8 && extension != ".onnx" {
		return Export{}, fmt.Errorf("%s: only ONNX files can have int8 weights", path)
	}
	if x.Acceptance && extension == ".keras" {
		x = Export{DropReason: "a .keras file has one output, the probabilities"}
	}
	d := describe(c, x)
	d.Prepares = o.Preprocessing && extension == ".keras"
	text, err := json.Marshal(d)
	if err != nil {
		return Export{}, err
	}
	f := exportedFile{c, n, acceptance, map[string]string{metadataKey: string(text)}, o}
	var write func(io.Writer) error
	switch extension {
	case ".onnx":
		write = f.writeONNX
	case ".keras":
		write = f.writeKeras
	case ".tflite":
		write = f.writeTFLite
	default:
		return Export{}, &FormatError{path}
	}
	return x, safefile.Write(path, write)
}

// exportedFile is the content of a file for other programs.
type exportedFile struct {
	classifier *model.Classifier
	network    *nn.Network // without the output of the acceptance
	acceptance *onnx.Acceptance
	metadata   map[string]string
	options    WriteOptions
}

func (f *exportedFile) writeONNX(w io.Writer) error {
	m := f.classifier.Description()
	o := onnx.Options{
		Acceptance: f.acceptance, MultiLabel: m.MultiLabel, Temperature: m.Temperature, Int8: f.options.Int8,
		Names: f.tensorNames(), Metadata: f.metadata, ProducerVersion: model.Version, Doc: f.summarize(),
	}
	o.Metadata["classes"] = strings.Join(f.classifier.Classes(), "\n")
	if f.options.Preprocessing {
		mean, std := f.scaling()
		o.Preprocessing = &onnx.Preprocessing{Mean: mean, Std: std}
	}
	return onnx.Write(w, f.network, o)
}

func (f *exportedFile) writeKeras(w io.Writer) error {
	m := f.classifier.Description()
	names := f.tensorNames()
	o := keras.WriteOptions{
		Name: f.classifier.Name(), Probabilities: true, MultiLabel: m.MultiLabel, Temperature: m.Temperature,
		Input: names.Input, Output: names.Probabilities, Metadata: f.metadata,
	}
	if f.options.Preprocessing {
		mean, std := f.scaling()
		o.Preprocessing = &keras.Preprocessing{Mean: mean, Std: std}
	}
	return keras.Write(w, f.network, o)
}

func (f *exportedFile) writeTFLite(w io.Writer) error {
	m := f.classifier.Description()
	mean, std := f.scaling()
	return tflite.Write(w, f.network, tflite.Options{
		Name: f.classifier.Name(), Doc: f.summarize(), Labels: f.classifier.Classes(), Metadata: f.metadata,
		MultiLabel: m.MultiLabel, Temperature: m.Temperature, Acceptance: (*tflite.Acceptance)(f.acceptance),
		Preprocessing: &tflite.Preprocessing{Mean: mean, Std: std}, Pictures: f.options.Preprocessing,
		Names: tflite.Names(f.tensorNames()),
	})
}

// usualNames are the names of the inputs and outputs of models that were not converted.
var usualNames = []string{"input", "picture", "logits", "probabilities", "acceptance"}

// tensorNames returns the names of the written file's input and outputs. Those that hold the same
// as in the file that the model was converted from have its names.
func (f *exportedFile) tensorNames() onnx.Names {
	s := f.classifier.Description().Signature
	if s == nil {
		return onnx.Names{}
	}
	var names onnx.Names
	if !f.options.Preprocessing && !slices.Contains(usualNames, s.Input) {
		names.Input = s.Input
	}
	switch {
	case slices.Contains(usualNames, s.Output):
	case s.Values == model.Logits:
		names.Logits = s.Output
	case s.Values == model.Probabilities:
		names.Probabilities = s.Output
	}
	return names
}

// scaling returns the mean and divisor of each channel.
func (f *exportedFile) scaling() (mean, std []float32) {
	spec := f.classifier.Spec()
	return spec.Mean[:spec.Channels()], spec.Std[:spec.Channels()]
}

// summarize describes the model in a line.
func (f *exportedFile) summarize() string {
	spec := f.classifier.Spec()
	return fmt.Sprintf("%s: %d classes; pictures of %d × %d, %v, (x − %v) / %v", f.classifier.Name(),
		len(f.classifier.Classes()), spec.Width, spec.Height, spec.Filter, spec.Mean, spec.Std)
}

// splitAcceptance removes the output of the acceptance from the network of a model that has one,
// and returns how ONNX and TensorFlow Lite files compute the acceptance; nil if they cannot.
func splitAcceptance(n *nn.Network, c *model.Classifier) (*nn.Network, *onnx.Acceptance, Export, error) {
	m := c.Description()
	if m.Acceptance == nil {
		return n, nil, Export{}, nil
	}
	a := &onnx.Acceptance{Slope: m.Acceptance.Slope, Offset: m.Acceptance.Offset}
	switch method := m.Acceptance.Method; method {
	case accept.Class, accept.Head:
		classes, last, err := splitLastUnit(n, len(m.Classes))
		if err != nil {
			return nil, nil, Export{}, err
		}
		n, a.Kernel, a.Bias, a.Energy = classes, last.kernel, last.bias, method == accept.Class
	case accept.Exposure:
		a.Top = true
	case accept.Energy:
		a.Energy = true
	case accept.Distance:
		if !c.Judges() {
			break
		}
		if last := n.Layers[len(n.Layers)-1]; last.Op != nn.OpDense || len(m.Head.Inner) > 0 || m.Network != nil {
			return n, nil, Export{DropReason: "its last layer does not take the features"}, nil
		}
		means, scale, centre, spread := c.Detector().Distances()
		a.Means, a.Scale, a.Centre, a.Spread = means.Values, scale.Values, centre.Values, spread.Values
	default:
		return n, nil, Export{DropReason: fmt.Sprintf("such a file cannot express the method %q", method)}, nil
	}
	if !c.Judges() { // because of the size in its options
		return n, nil, Export{DropReason: "it was measured at another size"}, nil
	}
	return n, a, Export{Acceptance: true}, nil
}

// unit is one output of a dense layer.
type unit struct {
	kernel []float32
	bias   float32
}

// splitLastUnit removes the last output of a network that ends in a dense layer of classes+1
// units. It returns a network without that output, and the output's weights.
func splitLastUnit(n *nn.Network, classes int) (*nn.Network, unit, error) {
	layers := slices.Clone(n.Layers)
	last := &layers[len(layers)-1]
	kernel, bias := n.Tensors[last.Name+"/kernel"], n.Tensors[last.Name+"/bias"]
	if last.Op != nn.OpDense || last.Units != classes+1 || kernel == nil || last.Bias && bias == nil {
		return nil, unit{}, errors.New("the output of the acceptance cannot be separated from those of the classes, " +
			"because the network does not end in a dense layer")
	}
	last.Units = classes
	tensors := maps.Clone(n.Tensors)
	in := kernel.Shape[0]
	narrow, removed := tensor.New(in, classes), unit{kernel: make([]float32, in)}
	for i := range in {
		row := kernel.Data[i*(classes+1):][:classes+1]
		copy(narrow.Data[i*classes:], row[:classes])
		removed.kernel[i] = row[classes]
	}
	tensors[last.Name+"/kernel"] = narrow
	if last.Bias {
		removed.bias = bias.Data[classes]
		tensors[last.Name+"/bias"] = tensor.FromSlice(slices.Clone(bias.Data[:classes]), classes)
	}
	return &nn.Network{Layers: layers, Tensors: tensors}, removed, nil
}
