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
	"garb/picture"
	"garb/tensor"
	"garb/tflite"
)

// WriteOptions are how a model is written.
type WriteOptions struct {
	// Preprocessing lets a model begin with pictures of its size, as they are decoded and
	// resized, not with prepared values: uint8, or in a .keras file float32 from 0 to 255.
	Preprocessing bool
	// Int8 stores the weights of an ONNX model as garb's int8 files do, in a quarter to a
	// third of the space. It answers as such a file, computing in float32.
	Int8 bool
}

// Written says what became of a model in a file of another format.
type Written struct {
	// Acceptance is whether the file has the model's acceptance, as an output of its own.
	Acceptance bool
	// WithoutAcceptance is why it has not, "" if the model has none either.
	WithoutAcceptance string
}

// description is what files of other formats hold of what garb knows, under metadataKey.
type description struct {
	Classes       []string     `json:"classes"`
	Preprocessing picture.Spec `json:"preprocessing"`
	Temperature   float64      `json:"temperature,omitempty"`
	MultiLabel    bool         `json:"multi_label,omitempty"`
	// Of a file with an output for acceptance: from where a picture is accepted, and what is
	// said of one that is not.
	Threshold *float64 `json:"acceptance_threshold,omitempty"`
	Refusal   string   `json:"refusal,omitempty"`
	// Judges is whether the model has an acceptance, whether the file has it or not.
	Judges bool `json:"judges,omitempty"`
	// Prepares is whether the network of a .keras file prepares its pictures itself.
	Prepares bool   `json:"prepares,omitempty"`
	Digest   string `json:"digest"` // of garb's file
}

// described reads a description back; ok is false if there is none that can be used.
func described(text string) (d description, ok bool) {
	if text == "" || json.Unmarshal([]byte(text), &d) != nil || d.Preprocessing.Validate() != nil {
		return description{}, false
	}
	return d, true
}

// FormatError says that a file's name does not tell a format that garb writes.
type FormatError struct{ Path string }

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s is to end in .safetensors, .onnx, .keras or .tflite, which says what is written", e.Path)
}

// Write writes a model for other programs, all or nothing: by the ending of path an ONNX
// model, a .keras archive or a TensorFlow Lite model. The network's outputs are those of the
// classes alone; ONNX and TensorFlow Lite models have the acceptance as a further output, if
// it is not by accept.Neighbours, and a .keras archive has none. Errors are *FormatError,
// those of packages onnx, keras and tflite, or the file system's.
func Write(path string, c *model.Classifier, o WriteOptions) (Written, error) {
	n, err := c.Network()
	if err != nil {
		return Written{}, err
	}
	n, acceptance, written, err := judged(n, c)
	if err != nil {
		return Written{}, err
	}
	extension := strings.ToLower(filepath.Ext(path))
	if written.Acceptance && extension == ".keras" {
		written = Written{WithoutAcceptance: "a .keras file has one output, the probabilities"}
	}
	spec, m := c.Spec(), c.Description()
	temperature := m.Temperature
	about := description{Classes: c.Classes(), Preprocessing: spec, Temperature: temperature,
		MultiLabel: m.MultiLabel, Digest: c.Digest(),
		Judges: c.Judges(), Prepares: o.Preprocessing && extension == ".keras"}
	if written.Acceptance {
		threshold := c.AcceptanceThreshold()
		about.Threshold, about.Refusal = &threshold, m.Acceptance.Refusal
	}
	text, err := json.Marshal(about)
	if err != nil {
		return Written{}, err
	}
	metadata := map[string]string{metadataKey: string(text)}
	doc := fmt.Sprintf("%s: %d classes; pictures of %d × %d, %v, (x − %v) / %v", c.Name(), len(c.Classes()),
		spec.Width, spec.Height, spec.Filter, spec.Mean, spec.Std)
	if o.Int8 && extension != ".onnx" {
		return Written{}, fmt.Errorf("%s: weights of int8 go into ONNX files alone", path)
	}
	mean, std := spec.Mean[:spec.Channels()], spec.Std[:spec.Channels()]
	var write func(w io.Writer) error
	switch extension {
	case ".onnx":
		options := onnx.Options{
			Acceptance: acceptance, MultiLabel: m.MultiLabel,
			Temperature: temperature, Int8: o.Int8, Metadata: metadata, ProducerVersion: model.Version, Doc: doc,
		}
		options.Metadata["classes"] = strings.Join(c.Classes(), "\n")
		if o.Preprocessing {
			options.Preprocessing = &onnx.Preprocessing{Mean: mean, Std: std}
		}
		write = func(w io.Writer) error { return onnx.Write(w, n, options) }
	case ".keras":
		options := keras.WriteOptions{
			Name: c.Name(), Probabilities: true, MultiLabel: m.MultiLabel, Temperature: temperature,
			Metadata: metadata,
		}
		if o.Preprocessing {
			options.Preprocessing = &keras.Preprocessing{Mean: mean, Std: std}
		}
		write = func(w io.Writer) error { return keras.Write(w, n, options) }
	case ".tflite":
		options := tflite.Options{
			Name: c.Name(), Doc: doc, Labels: c.Classes(), Metadata: metadata, MultiLabel: m.MultiLabel,
			Temperature:   temperature,
			Acceptance:    (*tflite.Acceptance)(acceptance),
			Preprocessing: &tflite.Preprocessing{Mean: mean, Std: std}, Pictures: o.Preprocessing,
		}
		write = func(w io.Writer) error { return tflite.Write(w, n, options) }
	default:
		return Written{}, &FormatError{path}
	}
	return written, safefile.Write(path, write)
}

// judged takes the output of acceptance off the network of a model that has one, and
// returns how ONNX and TensorFlow Lite files compute the acceptance; nil if they cannot.
func judged(n *nn.Network, c *model.Classifier) (*nn.Network, *onnx.Acceptance, Written, error) {
	m := c.Description()
	if m.Acceptance == nil {
		return n, nil, Written{}, nil
	}
	a := &onnx.Acceptance{Slope: m.Acceptance.Slope, Offset: m.Acceptance.Offset}
	switch method := m.Acceptance.Method; method {
	case accept.Class, accept.Head:
		classes, z, err := withoutLast(n, len(m.Classes))
		if err != nil {
			return nil, nil, Written{}, err
		}
		n, a.Kernel, a.Bias, a.Energy = classes, z.kernel, z.bias, method == accept.Class
	case accept.Exposure:
		a.Top = true
	case accept.Energy:
		a.Energy = true
	case accept.Distance:
		if !c.Judges() {
			break
		}
		means, scale, centre, spread := c.Detector().Distances()
		if last := n.Layers[len(n.Layers)-1]; last.Op != nn.OpDense || len(m.Head.Inner) > 0 || m.Network != nil {
			return n, nil, Written{WithoutAcceptance: "its features are not what the last layer takes"}, nil
		}
		a.Means, a.Scale, a.Centre, a.Spread = means.Values, scale.Values, centre.Values, spread.Values
	default:
		return n, nil, Written{WithoutAcceptance: fmt.Sprintf("the method %q does not fit into a file", method)}, nil
	}
	if !c.Judges() { // at another size than its own
		return n, nil, Written{WithoutAcceptance: "it was measured at another size"}, nil
	}
	return n, a, Written{Acceptance: true}, nil
}

// unit is one output of a dense layer.
type unit struct {
	kernel []float32
	bias   float32
}

// withoutLast returns a network that ends in a dense layer of classes+1 units without the
// last of them, and that.
func withoutLast(n *nn.Network, classes int) (*nn.Network, unit, error) {
	layers := slices.Clone(n.Layers)
	last := &layers[len(layers)-1]
	kernel, bias := n.Tensors[last.Name+"/kernel"], n.Tensors[last.Name+"/bias"]
	if last.Op != nn.OpDense || last.Units != classes+1 || kernel == nil || last.Bias && bias == nil {
		return nil, unit{},
			errors.New("the network does not end in a dense layer, so its output of acceptance cannot be told " +
				"from those of the classes")
	}
	last.Units = classes
	tensors := maps.Clone(n.Tensors)
	in := kernel.Shape[0]
	narrow, z := tensor.New(in, classes), unit{kernel: make([]float32, in)}
	for i := range in {
		row := kernel.Data[i*(classes+1):][:classes+1]
		copy(narrow.Data[i*classes:], row[:classes])
		z.kernel[i] = row[classes]
	}
	tensors[last.Name+"/kernel"] = narrow
	if last.Bias {
		z.bias = bias.Data[classes]
		tensors[last.Name+"/bias"] = tensor.FromSlice(slices.Clone(bias.Data[:classes]), classes)
	}
	return &nn.Network{Layers: layers, Tensors: tensors}, z, nil
}
