package model

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"garb/backbone"
	"garb/nn"
	"garb/tensor"
)

// MismatchError says why the weights of two models cannot be averaged.
type MismatchError struct {
	First, Second string // the models
	Difference    string // such as "classes: 10 and 17"
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s and %s cannot be averaged; they differ in %s", e.First, e.Second, e.Difference)
}

// maxAveraged limits the number of models to average, which are all open at the same time.
const maxAveraged = 100

// Average returns the model whose weights are the mean of the weights of the given models (see Open):
// a model soup (Wortsman et al. 2022).
//
//	w = (w₁ + … + wₙ)/n  for each parameter and each moving statistic
//
// It is useful for models that were fine-tuned from the same weights. They must have the same network,
// classes in the same order and preprocessing, else the error is a *MismatchError. The temperature is
// the mean of the models' temperatures. Measurements of single models do not hold for the mean, so it
// has no acceptance, no prediction sets and no training figures. If all models were trained on the
// same pictures, it has the first model's training record, else none.
func Average(ctx context.Context, models ...string) (*Model, error) {
	if len(models) < 2 || len(models) > maxAveraged {
		return nil, fmt.Errorf("%d models to average: must be from 2 to %d", len(models), maxAveraged)
	}
	var all []*Classifier
	for _, name := range models {
		c, err := Open(name, Options{})
		if err != nil {
			return nil, err
		}
		if len(all) > 0 {
			if d := describeDifference(all[0].description, c.description); d != "" {
				return nil, &MismatchError{models[0], name, d}
			}
		}
		all = append(all, c)
	}
	first := all[0].description
	m := &Model{Description{
		Format: FormatVersion, Architecture: first.Architecture, Network: first.Network,
		BackboneDigest: first.BackboneDigest, Classes: all[0].DistinctClasses(), Preprocessing: first.Preprocessing,
		Head: first.Head,
	}, tensor.Map{}}
	for _, c := range all {
		if c.description.BackboneDigest != m.BackboneDigest {
			m.BackboneDigest = "" // one of them has its own backbone, and so has the mean
		}
		m.Temperature += c.temperature() / float64(len(all))
	}
	m.Training = commonTraining(all)
	params := all[0].networks.whole.Params()
	if m.BackboneDigest != "" {
		params = all[0].networks.head.Params()
	}
	for _, p := range params {
		t, err := averageParameter(all, p)
		if err != nil {
			return nil, err
		}
		m.Tensors[p.Name] = t
	}
	return m, m.SetGolden(ctx, all[0].weights)
}

// AverageBackbones returns the mean of the backbones of models or files of weights (see FindBackbone),
// as weights to train heads on. Classes and preprocessing may differ; a difference in architecture is
// a *MismatchError.
func AverageBackbones(references ...string) (architecture string, mean tensor.Map, err error) {
	if len(references) < 2 || len(references) > maxAveraged {
		return "", nil, fmt.Errorf("%d backbones to average: must be from 2 to %d", len(references), maxAveraged)
	}
	all := make([]nn.Weights, len(references))
	for i, reference := range references {
		name, f, openErr := openGarbBackbone(reference)
		if openErr != nil {
			return "", nil, openErr
		}
		if i > 0 && name != architecture {
			return "", nil, &MismatchError{references[0], reference,
				fmt.Sprintf("the backbone: %s and %s", architecture, name)}
		}
		architecture, all[i] = name, f
	}
	a, err := backbone.Lookup(architecture)
	if err != nil {
		return "", nil, err
	}
	mean = tensor.Map{}
	for _, p := range a.Features(a.Spec.Height, a.Spec.Width).Params() {
		var tensors []*tensor.Tensor
		if tensors, err = readTensors(references, all, p.Name); err != nil {
			return "", nil, err
		}
		if mean[p.Name], err = averageTensors(references, p.Name, tensors); err != nil {
			return "", nil, err
		}
	}
	return architecture, mean, nil
}

// openGarbBackbone opens the weights of a reference whose backbone is one of garb's.
func openGarbBackbone(reference string) (architecture string, f *tensor.File, err error) {
	base, err := FindBackbone(reference, "")
	if err != nil {
		return "", nil, err
	}
	if base.Name == backbone.OwnName {
		return "", nil, &Error{reference,
			errors.New("its network has no backbone of garb's; average whole models instead")}
	}
	file := base.Weights
	if file == "" {
		file = base.Name // the architecture's own weights
	}
	f, err = OpenBackbone(file)
	return base.Name, f, err
}

// readTensors returns the tensor of a name in each of several weights, which have names for errors.
func readTensors(names []string, all []nn.Weights, name string) ([]*tensor.Tensor, error) {
	tensors := make([]*tensor.Tensor, len(all))
	for i, w := range all {
		t, err := w.Tensor(name)
		if err != nil {
			return nil, &Error{names[i], err}
		}
		tensors[i] = t
	}
	return tensors, nil
}

// averageTensors returns the mean of a parameter's tensors in several models.
func averageTensors(models []string, parameter string, all []*tensor.Tensor) (*tensor.Tensor, error) {
	mean, sums := tensor.New(all[0].Shape...), make([]float64, len(all[0].Data))
	for i, t := range all {
		if !slices.Equal(t.Shape, mean.Shape) {
			return nil, &MismatchError{models[0], models[i], fmt.Sprintf("the shape of %s: %s and %s", parameter,
				tensor.ShapeString(mean.Shape), tensor.ShapeString(t.Shape))}
		}
		for j, v := range t.Data {
			sums[j] += float64(v)
		}
	}
	for j, sum := range sums {
		mean.Data[j] = float32(sum / float64(len(all)))
	}
	return mean, nil
}

// averageParameter returns the mean of a parameter over models. Of the last layer it averages only the
// outputs of the classes.
func averageParameter(all []*Classifier, p nn.Param) (*tensor.Tensor, error) {
	names, weights := make([]string, len(all)), make([]nn.Weights, len(all))
	for i, c := range all {
		names[i], weights[i] = c.name, c.weights
	}
	tensors, err := readTensors(names, weights, p.Name)
	if err != nil {
		return nil, err
	}
	for i, c := range all {
		inClassifier := strings.HasPrefix(p.Name, backbone.ClassifierName+"/")
		if classes := len(c.description.Classes); inClassifier && c.description.outputs() > classes {
			tensors[i] = cutColumns(tensors[i], classes)
		}
	}
	return averageTensors(names, p.Name, tensors)
}

// cutColumns returns the first n of a tensor's last axis.
func cutColumns(t *tensor.Tensor, n int) *tensor.Tensor {
	shape := slices.Clone(t.Shape)
	had := shape[len(shape)-1]
	shape[len(shape)-1] = n
	cut := tensor.New(shape...)
	for row := range len(t.Data) / had {
		copy(cut.Data[row*n:][:n], t.Data[row*had:])
	}
	return cut
}

// temperature returns the temperature that the logits are divided by.
func (c *Classifier) temperature() float64 {
	if c.description.Temperature == 0 {
		return 1
	}
	return c.description.Temperature
}

// commonTraining returns the training record of the mean of models; nil if they were trained on
// different pictures or one of them has no record.
func commonTraining(all []*Classifier) *Training {
	first := all[0].description.Training
	if first == nil {
		return nil
	}
	t := &Training{Garb: Version, DataDigest: first.DataDigest, Pictures: first.Pictures, Settings: first.Settings}
	for _, c := range all {
		if o := c.description.Training; o == nil || o.DataDigest != t.DataDigest {
			return nil
		}
		t.Averaged = append(t.Averaged, c.digest)
	}
	return t
}

// describeDifference describes the first difference that keeps two models from being averaged, to
// follow "they differ in"; "" if there is none.
func describeDifference(a, b *Description) string {
	text := func(v any) string {
		t, err := json.Marshal(v)
		if err != nil {
			panic("model: " + err.Error()) // plain values only
		}
		return string(t)
	}
	network := func(m *Description) string {
		if m.Network != nil {
			return fmt.Sprintf("its own network of %d layers", len(m.Network))
		}
		return m.Architecture
	}
	switch {
	case network(a) != network(b):
		return fmt.Sprintf("the network: %s and %s", network(a), network(b))
	case text(a.Network) != text(b.Network):
		return "the layers of their networks"
	case !slices.Equal(a.Head.Inner, b.Head.Inner):
		return fmt.Sprintf("the inner layers of the head: %v and %v", a.Head.Inner, b.Head.Inner)
	case !slices.Equal(a.Classes, b.Classes):
		for i, name := range a.Classes {
			if i < len(b.Classes) && b.Classes[i] != name {
				return fmt.Sprintf("the classes: class %d of %d is %q, and class %[1]d of %[4]d is %[5]q", i+1,
					len(a.Classes), name, len(b.Classes), b.Classes[i])
			}
		}
		return fmt.Sprintf("the number of classes: %d and %d", len(a.Classes), len(b.Classes))
	case a.Preprocessing != b.Preprocessing:
		return fmt.Sprintf("the preprocessing: %s and %s", text(a.Preprocessing), text(b.Preprocessing))
	case a.Network != nil && (a.outputs() > len(a.Classes) || b.outputs() > len(b.Classes)):
		return "the acceptance, which is an output of their own networks and cannot be removed"
	}
	return ""
}
