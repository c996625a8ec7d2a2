package torch

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"garb/backbone"
	"garb/tensor"
)

// Backbone is one of torchvision's networks with garb's names and layouts.
type Backbone struct {
	Architecture string // in package backbone
	WithTop      bool   // the tensors include the classification layer
	Tensors      tensor.Map
	// LeftOut describes the parts of the file that the network does not have.
	LeftOut []string
}

// NotABackboneError says that a state dict fits none of garb's networks.
type NotABackboneError struct{ Reason string }

func (e *NotABackboneError) Error() string {
	return "not the weights of torchvision's MobileNetV2, ResNet18 or ResNet50: " + e.Reason
}

// vision describes the names of an architecture in torchvision.
type vision struct {
	architecture string
	layer        func(name string) string // translates garb's name of a layer
	top          string                   // the last layer, "fc"; a new one may be a module of several layers
	sign         string                   // a tensor that only this network has
}

var visions = []vision{
	{"mobilenet-v2", nameMobileNetLayer, "classifier", "features.18.0.weight"},
	{"resnet18", nameResNetLayer, "fc", "layer1.0.conv2.weight"},
	{"resnet50", nameResNetLayer, "fc", "layer1.0.conv3.weight"},
}

// nameResNetLayer returns torchvision's name of a layer of garb's ResNets.
func nameResNetLayer(name string) string {
	parts := strings.Split(name, "/")
	switch {
	case name == backbone.ClassifierName:
		return "fc"
	case parts[0] == "stem":
		return map[string]string{"conv": "conv1", "bn": "bn1"}[parts[1]]
	}
	block := "layer" + strings.TrimPrefix(parts[0], "group") + "." + parts[1] // group1/0/conv2/bn
	if parts[2] == "shortcut" {
		return block + ".downsample." + map[string]string{"conv": "0", "bn": "1"}[parts[3]]
	}
	return block + "." + parts[3] + strings.TrimPrefix(parts[2], "conv")
}

// nameMobileNetLayer returns torchvision's name of a layer of garb's MobileNetV2.
func nameMobileNetLayer(name string) string {
	parts := strings.Split(name, "/")
	place := map[string]string{"conv": "0", "bn": "1"}[parts[len(parts)-1]]
	switch parts[0] {
	case backbone.ClassifierName:
		return "classifier.1"
	case "stem":
		return "features.0." + place
	case "head":
		return "features.18." + place
	}
	number, err := strconv.Atoi(parts[1]) // blocks/07/depthwise/bn
	if err != nil {
		panic("torch: MobileNetV2 has a layer " + name)
	}
	depthwise := 1
	if number == 0 { // the first block has no expansion
		depthwise = 0
	}
	block := fmt.Sprintf("features.%d.conv.", number+1)
	switch parts[2] {
	case "expand":
		return block + "0." + place
	case "depthwise":
		return fmt.Sprintf("%s%d.%s", block, depthwise, place)
	}
	if place == "0" {
		return fmt.Sprintf("%s%d", block, depthwise+1)
	}
	return fmt.Sprintf("%s%d", block, depthwise+2)
}

// parameters has PyTorch's names of a layer's parameters.
var parameters = map[string]string{
	"kernel": "weight", "bias": "bias", // of a convolution or dense layer
	"gamma": "weight", "beta": "bias", "moving_mean": "running_mean", "moving_variance": "running_var",
}

// Backbone finds the network of torchvision that the state dict is of: MobileNetV2, ResNet18 or
// ResNet50. A top for other classes than ImageNet's is left out. All other tensors must be there
// with their shapes, and no more; otherwise the error is a *NotABackboneError that names one.
func (s *StateDict) Backbone() (*Backbone, error) {
	reason := "none of its names are theirs"
	for _, v := range visions {
		if s.Tensors[v.sign] == nil {
			continue
		}
		b, err := s.extract(v)
		var other *NotABackboneError
		if !errors.As(err, &other) {
			return b, err
		}
		reason = other.Reason
	}
	return nil, &NotABackboneError{reason}
}

// extract returns a state dict's tensors as the network v.
func (s *StateDict) extract(v vision) (*Backbone, error) {
	a, err := backbone.Lookup(v.architecture)
	if err != nil {
		return nil, err
	}
	b := &Backbone{Architecture: a.Name, Tensors: tensor.Map{}}
	left := map[string]bool{}
	for name := range s.Tensors {
		left[name] = true
	}
	sources := map[string]*tensor.Tensor{} // by garb's names; copied when all of them are there
	params := a.WithTop(a.MinSide, a.MinSide).Params()
	for _, p := range params {
		slash := strings.LastIndexByte(p.Name, '/')
		layer, parameter := p.Name[:slash], p.Name[slash+1:]
		name := v.layer(layer) + "." + parameters[parameter]
		from := s.Tensors[name]
		inTop := layer == backbone.ClassifierName
		switch {
		case from == nil && !inTop:
			return nil, &NotABackboneError{fmt.Sprintf("%s has a tensor %q, and this file has none", a.Name, name)}
		case from != nil && fits(from.Shape, p.Shape):
			sources[p.Name] = from
			delete(left, name)
		case !inTop:
			return nil, &NotABackboneError{fmt.Sprintf("tensor %q has the shape %s, which does not fit %s of %s",
				name, tensor.ShapeString(from.Shape), tensor.ShapeString(p.Shape), a.Name)}
		}
	}
	kernel, bias := backbone.ClassifierName+"/kernel", backbone.ClassifierName+"/bias"
	if b.WithTop = sources[kernel] != nil && sources[bias] != nil; !b.WithTop {
		delete(sources, kernel)
		delete(sources, bias)
	}
	for _, name := range s.Tensors.Names() {
		inTop := strings.HasPrefix(name, v.top+".")
		switch {
		case inTop && (left[name] || !b.WithTop):
			b.LeftOut = append(b.LeftOut, name)
		case left[name]:
			return nil, &NotABackboneError{fmt.Sprintf("%s has no tensor %q", a.Name, name)}
		}
	}
	counters := 0
	for _, name := range s.Integers {
		if !strings.HasSuffix(name, ".num_batches_tracked") {
			return nil, &NotABackboneError{fmt.Sprintf("%s has no tensor of integers %q", a.Name, name)}
		}
		counters++
	}
	if counters > 0 {
		b.LeftOut = append(b.LeftOut, fmt.Sprintf("num_batches_tracked of %d batch-norms", counters))
	}
	for _, p := range params {
		if from := sources[p.Name]; from != nil {
			b.Tensors[p.Name] = transpose(from, p.Shape)
		}
	}
	return b, nil
}

// fits reports whether a tensor has, in PyTorch's layout, a shape of garb's. A kernel [out in h w]
// becomes [h w in out], a depthwise one [c 1 h w] becomes [h w c 1], and a dense one [out in]
// becomes [in out].
func fits(s, shape []int) bool {
	if len(s) != len(shape) {
		return false
	}
	switch len(s) {
	case 1:
		return s[0] == shape[0]
	case 2:
		return s[0] == shape[1] && s[1] == shape[0]
	case 4:
		inputs, outputs := shape[2], shape[3]
		if isDepthwise(shape) {
			inputs, outputs = outputs, inputs
		}
		return slices.Equal(s, []int{outputs, inputs, shape[0], shape[1]})
	}
	return false
}

// isDepthwise reports whether a shape of garb's is a depthwise kernel's. No other kernel of these
// networks has a single output.
func isDepthwise(shape []int) bool { return len(shape) == 4 && shape[3] == 1 }

// transpose returns a copy of a PyTorch tensor in garb's layout.
func transpose(t *tensor.Tensor, shape []int) *tensor.Tensor {
	to := tensor.New(shape...)
	outputs := t.Shape[0]
	inputs, window := 1, len(t.Data)/outputs // a vector, or a dense or depthwise kernel
	if len(shape) == 4 && !isDepthwise(shape) {
		inputs, window = shape[2], shape[0]*shape[1]
	}
	for k := range window {
		for i := range inputs {
			row := to.Data[(k*inputs+i)*outputs:][:outputs]
			for o := range row {
				row[o] = t.Data[(o*inputs+i)*window+k]
			}
		}
	}
	return to
}

// FromSafetensors returns a safetensors file's tensors as a state dict, whatever their names. It
// removes the prefix "module." of torch.nn.DataParallel. Errors are those of package tensor.
func FromSafetensors(f *tensor.File) (*StateDict, error) {
	names := f.Names()
	parallel := len(names) > 0 && !slices.ContainsFunc(names, func(n string) bool {
		return !strings.HasPrefix(n, parallelPrefix)
	})
	s := &StateDict{Tensors: tensor.Map{}}
	for _, stored := range names {
		name := stored
		if parallel {
			name = strings.TrimPrefix(stored, parallelPrefix)
		}
		if f.DType(stored) == tensor.Int64 {
			s.Integers = append(s.Integers, name)
			continue
		}
		t, err := f.Tensor(stored)
		if err != nil {
			return nil, err
		}
		s.Tensors[name] = t
	}
	return s, nil
}
