package keras

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"garb/backbone"
	"garb/nn"
	"garb/tensor"
)

// Backbone is one of garb's networks, found in a Keras model.
type Backbone struct {
	Architecture string // its name in package backbone
	WithTop      bool   // Tensors include the classification layer
	Place        string // of the nested model that it is in, "" if it is the whole model
	// Height and Width are the size of the model's input in pixels, 0 if the file does not give it.
	Height, Width int
	// Tensors has the weights under garb's names: exactly the parameters of the architecture's
	// graph, with their shapes.
	Tensors tensor.Map
	// LeftOut names the layers with weights that are not part of the backbone.
	LeftOut []string
}

// NotABackboneError says that a model contains none of garb's networks.
type NotABackboneError struct{ Reason string }

func (e *NotABackboneError) Error() string { return e.Reason }

// source locates a parameter's values: a variable of a layer.
type source struct {
	layer    *Layer
	variable int
}

// match is an architecture that a model seems to have.
type match struct {
	architecture string
	withTop      bool
	height       int // of the graph with the parameters, in pixels
	width        int
	// sources locates each parameter under garb's names.
	sources map[string]source
}

// Backbone finds a network in a model or in one nested in it, and reads its weights.
// It checks every parameter: the error is a *FormatError about a wrong shape, a
// *SettingError about a setting that garb does not support, and a *NotABackboneError
// if there is no network.
func (m *Model) Backbone() (*Backbone, error) {
	place, inner, found, err := m.search("")
	if err != nil {
		return nil, err
	}
	if found == nil {
		return nil, &NotABackboneError{fmt.Sprintf("it contains no network of garb's; garb has Keras's Xception "+
			"and the network Conv2D(32), MaxPooling2D, Flatten, Dense(64), Dense(1); this has %s", m.summarize())}
	}
	b := &Backbone{
		Architecture: found.architecture, WithTop: found.withTop, Place: place, Tensors: tensor.Map{},
	}
	b.Height, b.Width = inner.inputSize()
	a, err := backbone.Lookup(found.architecture)
	if err != nil {
		return nil, err
	}
	graph := a.Features(found.height, found.width)
	if found.withTop {
		graph = a.WithTop(found.height, found.width)
	}
	if inner.Class != "" { // names do not determine the settings
		_, _, graphErr := inner.graph(found.height)
		var setting *SettingError
		if !errors.As(graphErr, &setting) {
			setting = found.checkWindows(a.Name, graph)
		}
		if setting != nil {
			within := *setting
			within.Layer = joinPath(place, setting.Layer)
			return nil, &within
		}
	}
	used := map[*Layer]bool{}
	for _, p := range graph.Params() {
		s, ok := found.sources[p.Name]
		if !ok {
			return nil, malformed("it looks like %s, but %s is missing", a.Name, p.Name)
		}
		used[s.layer] = true
		v := s.layer.Variables[s.variable]
		if shape := v.Shape(); !slices.Equal(shape, p.Shape) {
			return nil, malformed("layer %q should be %s's %s %s, but has shape %s",
				s.layer.Name, a.Name, p.Name, tensor.ShapeString(p.Shape), tensor.ShapeString(shape))
		}
		if b.Tensors[p.Name], err = v.Tensor(); err != nil {
			return nil, fmt.Errorf("layer %q: %w", s.layer.Name, err)
		}
	}
	for _, l := range m.leaves("", nil) {
		if len(l.layer.Variables) > 0 && !used[l.layer] {
			b.LeftOut = append(b.LeftOut, l.place)
		}
	}
	return b, nil
}

// checkWindows compares the strides, dilations and padding of a model's layers with those of an
// architecture; nil if they are equal.
func (f *match) checkWindows(architecture string, graph *nn.Graph) *SettingError {
	pair := func(height, width int) [2]int { return [2]int{height, width} }
	for _, l := range graph.Layers() {
		from, ok := f.sources[l.Name+"/kernel"]
		if !ok || l.Height == 0 || strings.HasSuffix(l.Name, "/pointwise") {
			continue
		}
		s := settings{from.layer.Name, from.layer.Class, parseConfig(from.layer.Config), func(error) int { return 0 }}
		differs := func(setting string, want any) *SettingError {
			return &SettingError{s.place, s.class, setting, formatValue(s.values[setting]),
				fmt.Sprintf("%v in its %s", want, architecture)}
		}
		one := [2]int{1, 1}
		switch {
		case pair(s.getPair("strides", one)) != pair(l.Strides()):
			return differs("strides", pair(l.Strides()))
		case pair(s.getPair("dilation_rate", one)) != pair(l.Dilations()):
			return differs("dilation_rate", pair(l.Dilations()))
		case s.getSamePadding() != l.Same && l.Height*l.Width > 1:
			return differs("padding", map[bool]string{true: "same", false: "valid"}[l.Same])
		}
	}
	return nil
}

// search searches for a network in m, then in the models nested in it.
func (m *Model) search(place string) (string, *Model, *match, error) {
	for _, recognise := range []func(*Model) (*match, error){matchXception, matchSmallCNN, matchByOrder} {
		if found, err := recognise(m); found != nil || err != nil {
			return place, m, found, err
		}
	}
	for _, l := range m.Layers {
		if l.Model == nil {
			continue
		}
		if at, inner, found, err := l.Model.search(joinPath(place, l.Name)); found != nil || err != nil {
			return at, inner, found, err
		}
	}
	return "", nil, nil, nil
}

// summarize lists a model's layers for a message, the first ten of them.
func (m *Model) summarize() string {
	var names []string
	for _, l := range m.leaves("", nil) {
		if len(names) == 10 {
			names = append(names, "…")
			break
		}
		if l.layer.Class == "" {
			names = append(names, l.place)
		} else if l.layer.Class != "InputLayer" {
			names = append(names, l.layer.Class)
		}
	}
	return strings.Join(names, ", ")
}

// inputSize returns the height and width of the model's input layer.
func (m *Model) inputSize() (height, width int) {
	for _, l := range m.Layers {
		var config struct {
			Shape      []*int `json:"batch_shape"`       // Keras 3
			OlderShape []*int `json:"batch_input_shape"` // before
		}
		if len(l.Config) == 0 || json.Unmarshal(l.Config, &config) != nil {
			continue
		}
		shape := config.Shape
		if shape == nil {
			shape = config.OlderShape
		}
		if len(shape) == 4 && shape[1] != nil && shape[2] != nil {
			return *shape[1], *shape[2]
		}
	}
	return 0, 0
}

// kind is the purpose of a layer's variables, as far as their shapes tell it.
type kind int

const (
	other kind = iota
	convolution
	separable
	normalisation
	dense
)

// parameterNames has garb's names of the variables of a kind, in Keras's order. A bias may be
// missing.
var parameterNames = map[kind][]string{
	convolution:   {"kernel", "bias"},
	separable:     {"depthwise/kernel", "pointwise/kernel"},
	normalisation: {"gamma", "beta", "moving_mean", "moving_variance"},
	dense:         {"kernel", "bias"},
}

func classify(shapes [][]int) kind {
	ranks := ""
	for _, s := range shapes {
		ranks += fmt.Sprint(len(s))
	}
	switch ranks {
	case "4", "41":
		return convolution
	case "44":
		return separable
	case "1111":
		return normalisation
	case "2", "21":
		return dense
	}
	return other
}

// kind classifies a layer by its class or, without one, its variables.
func (l *Layer) kind() kind {
	var shapes [][]int
	for _, v := range l.Variables {
		shapes = append(shapes, v.Shape())
	}
	return classify(shapes)
}

// assign assigns a layer's variables to a name of garb's.
func (f *match) assign(name string, l *Layer) error {
	names := parameterNames[l.kind()]
	if names == nil {
		return malformed("layer %q has weights of unexpected shapes", l.Name)
	}
	for i := range l.Variables {
		parameter := name + "/" + names[i]
		if _, taken := f.sources[parameter]; taken {
			return malformed("layer %q is a second %s", l.Name, name)
		}
		f.sources[parameter] = source{l, i}
	}
	return nil
}

// matchByOrder recognizes weights without a description: the model has the same kinds of layers as
// an architecture, with the same shapes in the same order. Keras stores them in the order of the
// model, either over all layers or class by class.
func matchByOrder(m *Model) (*match, error) {
	if m.Class != "" {
		return nil, nil
	}
	byKind := map[kind][]*Layer{}
	count := 0
	for _, l := range m.Layers {
		if k := l.kind(); l.Model == nil && k != other {
			byKind[k] = append(byKind[k], l)
			count++
		}
	}
	for _, name := range []string{"xception", "small-cnn"} {
		a, err := backbone.Lookup(name)
		if err != nil {
			return nil, err
		}
		height, width := a.Spec.Height, a.Spec.Width
		if units := byKind[dense]; name == "small-cnn" && len(units) > 0 {
			// The first dense layer determines the input's size: of side s, (s−2)/2 remain,
			// squared, times 32 channels.
			side := int(math.Sqrt(float64(units[0].Variables[0].Shape()[0]) / 32))
			height, width = 2*side+2, 2*side+2
		}
		if height < a.MinSide || height > maxSide {
			continue
		}
		for _, withTop := range []bool{false, true} {
			graph := a.Features(height, width)
			if withTop {
				graph = a.WithTop(height, width)
			}
			found := &match{architecture: name, withTop: withTop, height: height, width: width,
				sources: map[string]source{}}
			if layers := listLayers(graph); len(layers) == count && found.assignInOrder(layers, byKind) {
				return found, nil
			}
		}
	}
	return nil, nil
}

// maxSide limits the side of an input that is computed from weights, in pixels.
const maxSide = 4096

// graphLayer is a layer of a graph as in Keras, where a separable convolution is one layer.
type graphLayer struct {
	name   string
	shapes [][]int
}

func listLayers(g *nn.Graph) []graphLayer {
	var all []graphLayer
	for _, p := range g.Params() {
		name := p.Name[:strings.LastIndexByte(p.Name, '/')]
		name = strings.TrimSuffix(strings.TrimSuffix(name, "/depthwise"), "/pointwise")
		if len(all) == 0 || all[len(all)-1].name != name {
			all = append(all, graphLayer{name: name})
		}
		last := &all[len(all)-1]
		last.shapes = append(last.shapes, p.Shape)
	}
	return all
}

func (f *match) assignInOrder(layers []graphLayer, byKind map[kind][]*Layer) bool {
	next := map[kind]int{}
	for _, want := range layers {
		k := classify(want.shapes)
		if next[k] >= len(byKind[k]) {
			return false
		}
		l := byKind[k][next[k]]
		next[k]++
		if len(l.Variables) != len(want.shapes) {
			return false
		}
		for i, shape := range want.shapes {
			if !slices.Equal(l.Variables[i].Shape(), shape) {
				return false
			}
		}
		if f.assign(want.name, l) != nil {
			return false
		}
	}
	return true
}
