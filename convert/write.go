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

// WriteOptions are options for writing a model.
type WriteOptions struct {
	// Preprocessing makes the preprocessing a part of the network. Then its inputs are decoded
	// and resized pictures, in uint8 or, in a .keras file, in float32 from 0 to 255.
	Preprocessing bool
	// Int8 stores the weights of an ONNX model like garb's int8 files, in a quarter to a third
	// of the space. The model gives the same answers as such a file, and computes in float32.
	Int8 bool
}

// Written describes a written file.
type Written struct {
	Acceptance bool // the file has the model's acceptance, as an output
	// WithoutAcceptance is the reason why the file lacks the model's acceptance; "" if the
	// model has none.
	WithoutAcceptance string
}

// description is the description of a model in the metadata of files of other formats.
type description struct {
	Classes       []string     `json:"classes"`
	Preprocessing picture.Spec `json:"preprocessing"`
	Temperature   float64      `json:"temperature,omitempty"`
	MultiLabel    bool         `json:"multi_label,omitempty"`
	// Threshold and Refusal are those of the acceptance, if the file has an output for it.
	Threshold *float64 `json:"acceptance_threshold,omitempty"`
	Refusal   string   `json:"refusal,omitempty"`
	// Judges says that the model has acceptance, even if the file does not.
	Judges bool `json:"judges,omitempty"`
	// Prepares says that preprocessing is a part of the network of a .keras file.
	Prepares bool   `json:"prepares,omitempty"`
	Digest   string `json:"digest"` // of the model's file
}

// decodeDescription decodes a description; ok is false if there is none or it is invalid.
func decodeDescription(text string) (d description, ok bool) {
	if text == "" || json.Unmarshal([]byte(text), &d) != nil || d.Preprocessing.Validate() != nil {
		return description{}, false
	}
	return d, true
}

// FormatError says that the extension of a file is not that of a format that garb writes.
type FormatError struct{ Path string }

func (e *FormatError) Error() string {
	return fmt.Sprintf("the extension of %s must be .safetensors, .onnx, .keras or .tflite", e.Path)
}

// Write atomically writes a model for other programs, in the format of the path's extension: an ONNX
// model, a .keras archive or a TensorFlow Lite model. ONNX and TensorFlow Lite models have the acceptance
// as a further output, unless its method is accept.Neighbours; a .keras archive has only the classes.
// Errors are *FormatError, those of packages onnx, keras and tflite, or of the file system.
func Write(path string, c *model.Classifier, o WriteOptions) (Written, error) {
	n, err := c.Network()
	if err != nil {
		return Written{}, err
	}
	n, acceptance, written, err := cutAcceptance(n, c)
	if err != nil {
		return Written{}, err
	}
	extension := strings.ToLower(filepath.Ext(path))
	if written.Acceptance && extension == ".keras" {
		written = Written{WithoutAcceptance: "a .keras file has one output, the probabilities"}
	}
	if o.Int8 && extension != ".onnx" {
		return Written{}, fmt.Errorf("%s: int8 weights are supported only in ONNX files", path)
	}
	spec := c.Spec()
	about := describe(c, written.Acceptance)
	about.Prepares = o.Preprocessing && extension == ".keras"
	text, err := json.Marshal(about)
	if err != nil {
		return Written{}, err
	}
	metadata := map[string]string{metadataKey: string(text)}
	doc := fmt.Sprintf("%s: %d classes; pictures of %d × %d, %v, (x − %v) / %v", c.Name(), len(c.Classes()),
		spec.Width, spec.Height, spec.Filter, spec.Mean, spec.Std)
	mean, std := spec.Mean[:spec.Channels()], spec.Std[:spec.Channels()]
	var write func(w io.Writer) error
	switch extension {
	case ".onnx":
		metadata["classes"] = strings.Join(c.Classes(), "\n")
		options := onnx.Options{
			Acceptance: acceptance, MultiLabel: about.MultiLabel, Temperature: about.Temperature, Int8: o.Int8,
			Metadata: metadata, ProducerVersion: model.Version, Doc: doc,
		}
		if o.Preprocessing {
			options.Preprocessing = &onnx.Preprocessing{Mean: mean, Std: std}
		}
		write = func(w io.Writer) error { return onnx.Write(w, n, options) }
	case ".keras":
		options := keras.WriteOptions{
			Name: c.Name(), Probabilities: true, MultiLabel: about.MultiLabel, Temperature: about.Temperature,
			Metadata: metadata,
		}
		if o.Preprocessing {
			options.Preprocessing = &keras.Preprocessing{Mean: mean, Std: std}
		}
		write = func(w io.Writer) error { return keras.Write(w, n, options) }
	case ".tflite":
		options := tflite.Options{
			Name: c.Name(), Doc: doc, Labels: c.Classes(), Metadata: metadata, MultiLabel: about.MultiLabel,
			Temperature: about.Temperature, Acceptance: (*tflite.Acceptance)(acceptance),
			Preprocessing: &tflite.Preprocessing{Mean: mean, Std: std}, Pictures: o.Preprocessing,
		}
		write = func(w io.Writer) error { return tflite.Write(w, n, options) }
	default:
		return Written{}, &FormatError{path}
	}
	return written, safefile.Write(path, write)
}

// describe returns the description of a classifier, with its acceptance if the file has that.
func describe(c *model.Classifier, acceptance bool) description {
	m := c.Description()
	d := description{
		Classes: c.Classes(), Preprocessing: c.Spec(), Temperature: m.Temperature, MultiLabel: m.MultiLabel,
		Digest: c.Digest(), Judges: c.Judges(),
	}
	if acceptance {
		threshold := c.AcceptanceThreshold()
		d.Threshold, d.Refusal = &threshold, m.Acceptance.Refusal
	}
	return d
}

// cutAcceptance returns the network without an output of acceptance, and how ONNX and TensorFlow Lite files
// compute the acceptance; nil if they cannot.
func cutAcceptance(n *nn.Network, c *model.Classifier) (*nn.Network, *onnx.Acceptance, Written, error) {
	m := c.Description()
	if m.Acceptance == nil {
		return n, nil, Written{}, nil
	}
	a := &onnx.Acceptance{Slope: m.Acceptance.Slope, Offset: m.Acceptance.Offset}
	switch method := m.Acceptance.Method; method {
	case accept.Class, accept.Head:
		classes, z, err := cutLastUnit(n, len(m.Classes))
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
			return n, nil, Written{WithoutAcceptance: "the last layer does not take the features"}, nil
		}
		a.Means, a.Scale, a.Centre, a.Spread = means.Values, scale.Values, centre.Values, spread.Values
	default:
		return n, nil, Written{WithoutAcceptance: fmt.Sprintf("the method %q cannot be written to a file", method)}, nil
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

// cutLastUnit splits a network that ends in a dense layer of classes+1 units into the network without the
// last unit, and that unit.
func cutLastUnit(n *nn.Network, classes int) (*nn.Network, unit, error) {
	layers := slices.Clone(n.Layers)
	last := &layers[len(layers)-1]
	kernel, bias := n.Tensors[last.Name+"/kernel"], n.Tensors[last.Name+"/bias"]
	if last.Op != nn.OpDense || last.Units != classes+1 || kernel == nil || last.Bias && bias == nil {
		return nil, unit{}, errors.New("the network does not end in a dense layer, so its output for acceptance " +
			"cannot be separated")
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
