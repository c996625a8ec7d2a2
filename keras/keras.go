// Package keras reads the files that Keras saves models and weights in, without
// Python: `.keras` archives and `.weights.h5` files of Keras 3 (and the archives
// of late Keras 2), and the HDF5 files of Keras 1 to 3. It finds in them the
// networks that garb has, and gives their weights garb's names; or it turns whole
// models, whatever their layers, into garb's. And it writes networks as archives that
// Keras 3 loads.
package keras

import (
	"encoding/json"
	"errors"
	"fmt"

	"garb/internal/hdf5"
	"garb/internal/safefile"
	"garb/tensor"
)

// Limits bound what a file may make its reader do.
type Limits struct {
	MaxBytes       int64 // of the file, and of the weights once unpacked
	MaxConfigBytes int64 // of the description of the layers
	MaxValues      int   // in all weights together
}

// DefaultLimits returns limits that ten times the largest network here meets.
func DefaultLimits() Limits {
	return Limits{MaxBytes: 1 << 30, MaxConfigBytes: 4 << 20, MaxValues: 1 << 28}
}

// FormatError says why a file is not one of Keras's, or is damaged.
type FormatError struct {
	Reason string
	Err    error // the cause, if it is an error of its own
}

func (e *FormatError) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *FormatError) Unwrap() error { return e.Err }

// UnknownLayerError names a layer that garb does not have.
type UnknownLayerError struct {
	Layer string // its place: the names of the models around it and its own, with slashes
	Class string // Keras's: "LSTM"
	// Owner says whose class it is if the file does not say that it is Keras's own, "" if
	// it does. A class of somebody's own may be named as one of Keras's.
	Owner string
}

func (e *UnknownLayerError) Error() string {
	if e.Owner != "" {
		return fmt.Sprintf("layer %q is a %s of %s, and garb has Keras's own layers only", e.Layer, e.Class, e.Owner)
	}
	return fmt.Sprintf("layer %q is a %s, which garb does not have", e.Layer, e.Class)
}

func malformed(format string, args ...any) error {
	return &FormatError{Reason: fmt.Sprintf(format, args...)}
}

// Model is a Keras model as its file describes it.
type Model struct {
	Name  string
	Class string // "Functional" or "Sequential"; "" when the file holds weights only
	// KerasVersion is that of the Keras that wrote the file, "" when it does not say.
	KerasVersion string
	// Metadata is what Write was given to keep, nil if the file is not Write's.
	Metadata map[string]string
	Layers   []*Layer // in the order of the file
	// inputs and outputs of a functional model; a Sequential has its first and last layer.
	inputs, outputs []reference
	// unused is a setting that garb does not know, with its value, "" for none.
	unused string
	has    any
	// builtFor is the shape of a Sequential's input where no layer says it, batch first.
	builtFor []*int
}

// Layer is a layer of a Model. In a file of weights only, where layers have no
// class, it is a place that holds variables.
type Layer struct {
	Name   string
	Class  string // "Conv2D"; "" when the file holds weights only
	Config json.RawMessage
	Inputs []string // names of the layers whose outputs it takes, of all calls
	calls  []call   // each use of the layer; not of those of a Sequential
	// Model holds the layers of a layer that is itself a model, else it is nil.
	Model     *Model
	Variables []Variable
}

// Variable is one array of a layer's weights. Its values stay in the file until
// Tensor is called.
type Variable struct {
	Name    string // what it is to its layer: "kernel", "moving_mean"; "" when the file does not say
	dataset *hdf5.Dataset
}

// Shape returns the variable's dimensions.
func (v Variable) Shape() []int { return v.dataset.Shape() }

// Tensor reads the variable's values into a fresh tensor. It is not for use by
// several goroutines at once.
func (v Variable) Tensor() (*tensor.Tensor, error) {
	values, err := v.dataset.Floats()
	if err != nil {
		return nil, &FormatError{"the weights cannot be read", err}
	}
	return tensor.FromSlice(values, v.dataset.Shape()...), nil
}

// OpenFile opens the Keras file at path, whatever its name ends in. Errors name
// the path.
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

// Open opens a Keras file; its kind is told from its bytes. It keeps data, which
// must not change any more. An error is or wraps a *FormatError or an
// *UnknownLayerError.
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
				return malformed("it holds more than %d weights", limits.MaxValues)
			}
		}
	}
	return nil
}

// OpenWeights opens a file of weights alone, of the older generation's layout, as those of a
// model that is described as Keras's to_json does, by a Keras of the version. Layers with
// weights are paired in their order, as by Keras's load_weights: names in the file may be
// others. What does not fit is a *FormatError.
func OpenWeights(description []byte, version string, data []byte, limits Limits) (*Model, error) {
	m, err := parseModel(description, "", 0, false)
	if err != nil {
		return nil, err
	}
	m.KerasVersion = version
	if !hdf5.IsHDF5(data) {
		return nil, malformed("it is no HDF5 file, as those of weights are")
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

// openHDF5 opens a file that is HDF5 as a whole: weights only of either
// generation, or a model of the older one.
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

// readText returns a scalar attribute, "" when there is none.
func readText(o hdf5.Object, name string) (string, error) {
	values, _, err := o.Attribute(name)
	if err != nil || len(values) == 0 {
		return "", err
	}
	return values[0], nil
}

// leaf is a layer that is no model, with its place.
type leaf struct {
	place string
	layer *Layer
}

// leaves appends all layers that are no models, in order, nested ones included.
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
