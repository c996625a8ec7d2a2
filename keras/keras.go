// Package keras reads models and weights that Keras saved, without Python: `.keras`
// archives and `.weights.h5` files of Keras 3 (and the archives of late Keras 2),
// and the HDF5 files of Keras 1 to 3. It finds garb's own networks in them and
// gives their weights garb's names, or converts whole models of any layers. It also
// writes networks as archives that Keras 3 loads.
package keras

import (
	"encoding/json"
	"errors"
	"fmt"

	"garb/internal/hdf5"
	"garb/internal/safefile"
	"garb/tensor"
)

// Limits limits what one file may cost.
type Limits struct {
	MaxBytes       int64 // of the file, and of the unpacked weights
	MaxConfigBytes int64 // of the description of the layers
	MaxValues      int   // in all weights together
}

// DefaultLimits returns limits for networks ten times as large as garb's largest.
func DefaultLimits() Limits {
	return Limits{MaxBytes: 1 << 30, MaxConfigBytes: 4 << 20, MaxValues: 1 << 28}
}

// FormatError says why a file is not a valid Keras file.
type FormatError struct {
	Reason string
	Err    error // the cause, or nil
}

func (e *FormatError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// UnknownLayerError names a layer that garb does not support.
type UnknownLayerError struct {
	Layer string // its path: the names of the models around it and its own, with slashes
	Class string // Keras's: "LSTM"
	// Owner names the owner of the class, "" if it is Keras's own. A custom class may have the name
	// of one of Keras's.
	Owner string
}

func (e *UnknownLayerError) Error() string {
	if e.Owner != "" {
		return fmt.Sprintf("layer %q is a %s of %s; garb supports only Keras's own layers", e.Layer, e.Class, e.Owner)
	}
	return fmt.Sprintf("layer %q is a %s, which garb does not support", e.Layer, e.Class)
}

func malformed(format string, args ...any) error {
	return &FormatError{Reason: fmt.Sprintf(format, args...)}
}

// Model is a Keras model as its file describes it.
type Model struct {
	Name  string
	Class string // "Functional" or "Sequential"; "" if the file has only weights
	// KerasVersion is the version of Keras that wrote the file, "" if the file does not say.
	KerasVersion string
	// Metadata is WriteOptions.Metadata, nil if the file is not from Write.
	Metadata map[string]string
	Layers   []*Layer // in the order of the file
	// inputs and outputs of a functional model; a Sequential has its first and last layer.
	inputs, outputs []reference
	// unused is a setting that garb does not know, with its value; "" if there is none.
	unused string
	has    any
	// builtFor is the shape of a Sequential's input if no layer gives it, batch first.
	builtFor []*int
}

// Layer is a layer of a Model. In a file with only weights, where layers have no class, it is a
// group of variables.
type Layer struct {
	Name   string
	Class  string // "Conv2D"; "" if the file has only weights
	Config json.RawMessage
	Inputs []string // names of the layers whose outputs it takes, in all calls
	calls  []call   // none in a Sequential
	// Model has the layers of a layer that is itself a model; otherwise it is nil.
	Model     *Model
	Variables []Variable
}

// Variable is one array of a layer's weights. Its values are read by Tensor.
type Variable struct {
	Name    string // "kernel", "moving_mean"; "" if the file does not say
	dataset *hdf5.Dataset
}

// Shape returns the variable's dimensions.
func (v Variable) Shape() []int { return v.dataset.Shape() }

// Tensor reads the variable's values into a new tensor. It must not be called by several goroutines
// at once.
func (v Variable) Tensor() (*tensor.Tensor, error) {
	values, err := v.dataset.Floats()
	if err != nil {
		return nil, &FormatError{"the weights cannot be read", err}
	}
	return tensor.FromSlice(values, v.dataset.Shape()...), nil
}

// OpenFile opens the Keras file at path, whatever its extension. Errors name the path.
func OpenFile(path string, limits Limits) (*Model, error) {
	data, err := safefile.Read(path, limits.MaxBytes)
	if err != nil {
		return nil, err
	}
	m, err := Open(data, limits)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return m, nil
}

// Open opens a Keras file, whose kind it determines by its content. It keeps data, which must not
// change afterwards. An error is or wraps a *FormatError or an *UnknownLayerError.
func Open(data []byte, limits Limits) (*Model, error) {
	var m *Model
	var err error
	switch {
	case hdf5.IsHDF5(data):
		m, err = openHDF5(data, limits)
	case len(data) >= 2 && string(data[:2]) == "PK":
		m, err = openArchive(data, limits)
	default:
		return nil, malformed("it is neither a .keras archive nor an HDF5 file")
	}
	if err != nil {
		var format *FormatError
		var unknown *UnknownLayerError
		if !errors.As(err, &format) && !errors.As(err, &unknown) {
			err = &FormatError{"the weights cannot be read", err}
		}
		return nil, err
	}
	return m, m.check(limits)
}

// check counts a model's weights.
func (m *Model) check(limits Limits) error {
	values := 0
	for _, l := range m.leaves("", nil) {
		for _, v := range l.layer.Variables {
			if values += v.dataset.Len(); values > limits.MaxValues {
				return malformed("it has more than %d weights", limits.MaxValues)
			}
		}
	}
	return nil
}

// OpenWeights opens a file with only weights, in the older generation's layout, as those of a model
// that description describes like Keras's to_json, in the given version. Layers with weights are
// paired in order, as by Keras's load_weights; names in the file may differ. If they do not fit,
// the error is a *FormatError.
func OpenWeights(description []byte, version string, data []byte, limits Limits) (*Model, error) {
	m, err := parseModel(description, "", 0, false)
	if err != nil {
		return nil, err
	}
	m.KerasVersion = version
	if !hdf5.IsHDF5(data) {
		return nil, malformed("it is not an HDF5 file of weights")
	}
	root, err := openRoot(data)
	if err != nil {
		return nil, &FormatError{"the weights cannot be read", err}
	}
	if err := attachInOrder(m, root); err != nil {
		var format *FormatError
		if !errors.As(err, &format) {
			err = &FormatError{"the weights cannot be read", err}
		}
		return nil, err
	}
	return m, m.check(limits)
}

// openHDF5 opens an HDF5 file: weights only of either generation, or a model of the older one.
func openHDF5(data []byte, limits Limits) (*Model, error) {
	root, err := openRoot(data)
	if err != nil {
		return nil, err
	}
	version, err := readText(root, "keras_version")
	if err != nil {
		return nil, err
	}
	description, err := readText(root, "model_config")
	if err != nil {
		return nil, err
	}
	if int64(len(description)) > limits.MaxConfigBytes {
		return nil, malformed("the description of its layers has %d bytes; at most %d are read", len(description),
			limits.MaxConfigBytes)
	}
	if description != "" {
		m, err := parseModel([]byte(description), "", 0, false)
		if err != nil {
			return nil, err
		}
		weights, err := root.Group("model_weights")
		if err != nil {
			return nil, err
		}
		if weights == nil {
			return nil, malformed("it describes a model without weights")
		}
		m.KerasVersion = version
		return m, attachByName(m, weights)
	}
	if _, older, err := root.Attribute("layer_names"); err != nil {
		return nil, err
	} else if _, split, err := root.Attribute("layer_names0"); err != nil {
		return nil, err
	} else if older || split {
		m, err := listByName(root)
		if err != nil {
			return nil, err
		}
		m.KerasVersion = version
		return m, nil
	}
	return listByNumber(root)
}

func openRoot(data []byte) (*hdf5.Group, error) {
	file, err := hdf5.Open(data)
	if err != nil {
		return nil, err
	}
	return file.Root()
}

// readText returns a scalar attribute, "" if there is none.
func readText(o hdf5.Object, name string) (string, error) {
	values, _, err := o.Attribute(name)
	if err != nil || len(values) == 0 {
		return "", err
	}
	return values[0], nil
}

// leaf is a layer that is not a model, with its path.
type leaf struct {
	place string
	layer *Layer
}

// leaves appends all layers that are not models, in order, including nested ones.
func (m *Model) leaves(place string, all []leaf) []leaf {
	for _, l := range m.Layers {
		at := joinPath(place, l.Name)
		if l.Model != nil {
			all = l.Model.leaves(at, all)
			continue
		}
		all = append(all, leaf{at, l})
	}
	return all
}

func joinPath(place, name string) string {
	if place == "" {
		return name
	}
	return place + "/" + name
}
