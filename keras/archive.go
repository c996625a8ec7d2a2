package keras

import (
	"archive/zip"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

const (
	maxArchiveEntries = 1000
	// maxExpansion is the highest ratio of deflate (RFC 1951: 258 bytes from 2 bits).
	maxExpansion = 1032
)

// openArchive opens a .keras file: a zip archive of config.json (the layers), metadata.json (the
// version) and model.weights.h5. It reads only these entries, into memory, and ignores others.
func openArchive(data []byte, limits Limits) (*Model, error) {
	archive, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		return nil, &FormatError{"the .keras archive is damaged or cut off; copy or download it again", err}
	}
	if len(archive.File) > maxArchiveEntries {
		return nil, malformed("the archive has %d entries; a .keras file has 3", len(archive.File))
	}
	config, err := unpack(archive, "config.json", limits.MaxConfigBytes)
	if err != nil {
		return nil, err
	}
	m, err := parseModel(config, "", 0, false)
	if err != nil {
		return nil, err
	}
	metadata, err := unpack(archive, "metadata.json", limits.MaxConfigBytes)
	if err != nil {
		return nil, err
	}
	var about struct {
		KerasVersion string          `json:"keras_version"`
		Garb         json.RawMessage `json:"garb"`
	}
	if err = json.Unmarshal(metadata, &about); err != nil {
		return nil, &FormatError{"metadata.json is not valid", err}
	}
	m.KerasVersion = about.KerasVersion
	if json.Unmarshal(about.Garb, &m.Metadata) != nil {
		m.Metadata = nil // not written by garb
	}
	weights, err := unpack(archive, "model.weights.h5", limits.MaxBytes)
	if err != nil {
		return nil, err
	}
	root, err := openRoot(weights)
	if err != nil {
		return nil, err
	}
	return m, attachByNumber(m, root, "")
}

// unpack returns the bytes of an entry after checking its checksum. The size that the archive gives
// is trusted only within the limit and what the packed bytes can expand to.
func unpack(archive *zip.Reader, name string, maxBytes int64) ([]byte, error) {
	for _, entry := range archive.File {
		if entry.Name != name {
			continue
		}
		size := entry.UncompressedSize64
		if size > uint64(maxBytes) {
			return nil, malformed("%s has %d bytes unpacked; the limit is %d", name, size, maxBytes)
		}
		if size/maxExpansion > entry.CompressedSize64 {
			return nil, malformed("%s would have %d bytes unpacked from %d, which cannot be", name, size,
				entry.CompressedSize64)
		}
		r, err := entry.Open()
		if err != nil {
			return nil, &FormatError{name + " cannot be unpacked", err}
		}
		defer r.Close()
		data := make([]byte, size)
		if _, err := io.ReadFull(r, data); err != nil {
			return nil, &FormatError{name + " cannot be unpacked", err}
		}
		// The checksum is compared at the end of the entry.
		if n, err := r.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			return nil, &FormatError{name + " does not match its entry in the archive", err}
		}
		return data, nil
	}
	return nil, malformed("it is a zip archive without %s, not a .keras file", name)
}

// parseModel parses a model's description, {"class_name", "config": {"name", "layers": [...]}}, of
// any Keras from 2.0 on. owned says that the file names the owners of all classes.
func parseModel(data []byte, place string, depth int, owned bool) (*Model, error) {
	if depth > maxModelDepth {
		return nil, malformed("models are nested more than %d deep", maxModelDepth)
	}
	var described struct {
		Class  string          `json:"class_name"`
		Config json.RawMessage `json:"config"`
		owner
	}
	if err := json.Unmarshal(data, &described); err != nil {
		return nil, &FormatError{"the description of the layers is not valid", err}
	}
	owned = owned || described.isKnown()
	if whose := described.findForeign(described.Class, owned); whose != "" {
		return nil, &UnknownLayerError{place, described.Class, whose}
	}
	if !modelClasses[described.Class] {
		return nil, &UnknownLayerError{Layer: place, Class: described.Class}
	}
	m := &Model{Class: described.Class}
	var config struct {
		Name    string            `json:"name"`
		Layers  []json.RawMessage `json:"layers"`
		Inputs  any               `json:"input_layers"`
		Outputs any               `json:"output_layers"`
		Built   any               `json:"build_input_shape"`
	}
	if err := json.Unmarshal(described.Config, &config); err != nil {
		// Before Keras 2.3 a Sequential was only a list.
		if json.Unmarshal(described.Config, &config.Layers) != nil {
			return nil, &FormatError{"the description of the layers is not valid", err}
		}
	}
	m.Name = config.Name
	m.inputs, m.outputs = parseEnds(config.Inputs), parseEnds(config.Outputs)
	m.unused, m.has = findUnusedModelSetting(described.Config)
	m.builtFor = parseDimensions(config.Built)
	names := map[string]bool{}
	for _, raw := range config.Layers {
		l, err := parseLayer(raw, place, depth, owned)
		if err != nil {
			return nil, err
		}
		if names[l.Name] {
			return nil, malformed("two layers are named %q", joinPath(place, l.Name))
		}
		names[l.Name] = true
		if m.Class == "Sequential" && len(m.Layers) > 0 {
			l.Inputs = []string{m.Layers[len(m.Layers)-1].Name}
		}
		m.Layers = append(m.Layers, l)
	}
	return m, nil
}

// maxModelDepth limits models within models. People nest them once or twice.
const maxModelDepth = 16

// modelClasses has the classes of layers that are models. Before Keras 2.3 "Functional" was called
// "Model".
var modelClasses = map[string]bool{"Functional": true, "Sequential": true, "Model": true}

func parseLayer(raw json.RawMessage, place string, depth int, owned bool) (*Layer, error) {
	var described struct {
		owner
		Class   string          `json:"class_name"`
		Name    string          `json:"name"`
		Config  json.RawMessage `json:"config"`
		Inbound any             `json:"inbound_nodes"`
	}
	if err := json.Unmarshal(raw, &described); err != nil {
		return nil, &FormatError{"the description of a layer is not valid", err}
	}
	var config struct {
		Name       string `json:"name"`
		DataFormat string `json:"data_format"`
	}
	isModel := modelClasses[described.Class]
	if err := json.Unmarshal(described.Config, &config); err != nil && !isModel {
		return nil, &FormatError{"the description of a layer is not valid", err}
	}
	l := &Layer{Name: described.Name, Class: described.Class, Config: described.Config}
	if l.Name == "" {
		l.Name = config.Name
	}
	at := joinPath(place, l.Name)
	if whose := described.findForeign(l.Class, owned); whose != "" {
		return nil, &UnknownLayerError{at, l.Class, whose}
	}
	switch config.DataFormat {
	case "", "channels_last":
	case "channels_first":
		return nil, malformed("layer %q has its channels first; garb supports only channels last", at)
	default:
		return nil, malformed("layer %q has the data_format %q; garb supports only channels_last", at,
			config.DataFormat)
	}
	l.calls = parseCalls(described.Inbound)
	for _, call := range l.calls {
		for _, input := range call.inputs {
			l.Inputs = append(l.Inputs, input.layer)
		}
	}
	if isModel {
		var err error
		l.Model, err = parseModel(raw, at, depth+1, owned)
		return l, err
	}
	if _, known := variableNames(l); !known {
		return nil, &UnknownLayerError{Layer: at, Class: l.Class}
	}
	return l, nil
}

// parseDimensions parses a shape, in which axes may be null; nil if it is not one.
func parseDimensions(v any) []*int {
	list, ok := v.([]any)
	if !ok || len(list) > 8 {
		return nil
	}
	shape := make([]*int, len(list))
	for i := range list {
		if n, ok := toWhole(list[i], 1); ok {
			shape[i] = &n
		} else if list[i] != nil {
			return nil
		}
	}
	return shape
}

// variableNames returns the names of a layer's variables in the order in which Keras stores them,
// or false if garb does not support the layer.
func variableNames(l *Layer) (names []string, known bool) {
	var config struct {
		UseBias *bool `json:"use_bias"`
		Center  *bool `json:"center"`
		Scale   *bool `json:"scale"` // a number for Rescaling
		Mean    any   `json:"mean"`
	}
	// If it is not an object, nothing is switched off; parseLayer refuses it.
	json.Unmarshal(l.Config, &config)
	on := func(option *bool) bool { return option == nil || *option }
	switch l.Class {
	case "InputLayer", "Activation", "ReLU", "LeakyReLU", "ELU", "Softmax", "Average", "MaxPooling2D",
		"AveragePooling2D",
		"GlobalAveragePooling2D", "GlobalMaxPooling2D", "ZeroPadding2D", "Cropping2D", "UpSampling2D", "Rescaling",
		"Flatten", "Reshape", "Dropout", "Concatenate", "Maximum", "Minimum", "CustomScaleLayer":
		return nil, true
	case "Normalization":
		if config.Mean != nil {
			return nil, true
		}
		return []string{"mean", "variance", "count"}, true
	case "Conv2D", "Dense":
		names = []string{"kernel"}
	case "PReLU":
		return []string{"alpha"}, true
	case "DepthwiseConv2D":
		names = []string{"depthwise_kernel"}
	case "SeparableConv2D":
		names = []string{"depthwise_kernel", "pointwise_kernel"}
	case "BatchNormalization", "LayerNormalization", "GroupNormalization":
		if on(config.Scale) {
			names = append(names, "gamma")
		}
		if on(config.Center) {
			names = append(names, "beta")
		}
		if l.Class == "BatchNormalization" {
			names = append(names, "moving_mean", "moving_variance")
		}
		return names, true
	default:
		return nil, identities[l.Class] || resizings[l.Class] || l.operator() != 0 || arrayOperations[l.currentClass()]
	}
	if on(config.UseBias) {
		names = append(names, "bias")
	}
	return names, true
}

// pairVariables pairs the datasets of a layer with their names.
func pairVariables(place string, l *Layer, datasets []namedDataset) ([]Variable, error) {
	names, _ := variableNames(l)
	if len(names) == 0 {
		return nil, nil // or only the state of a random generator
	}
	if l.Class == "Normalization" && len(datasets) == 2 {
		names = names[:2] // without the number of samples
	}
	if len(datasets) != len(names) {
		return nil, malformed("layer %q, a %s, has %d arrays of weights instead of %d", place, l.Class, len(datasets),
			len(names))
	}
	var list []Variable
	for i, name := range names {
		list = append(list, Variable{name, datasets[i].dataset})
	}
	return list, nil
}

// errMissing returns the error about a layer without weights in the file.
func errMissing(place string) error {
	return malformed("the weights of layer %q are missing", place)
}

// errUnexpected returns the error about a layer whose weights cannot be read, or are missing if
// err is nil.
func errUnexpected(place string, err error) error {
	if err == nil {
		return errMissing(place)
	}
	return fmt.Errorf("layer %q: %w", place, err)
}
