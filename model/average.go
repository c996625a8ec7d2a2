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

// MismatchError says why two models have no mean.
type MismatchError struct {
	First, Second string // the models
	Difference    string // "classes: dress, hat in the first; hat, dress in the second"
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s and %s have no mean, which takes models of one kind; %s", e.First, e.Second, e.Difference)
}

// maxAveraged bounds the models of a mean, which are all open at once.
const maxAveraged = 100

// Average returns the model whose weights are the mean of those of the given models, each
// as for Open (Wortsman et al. 2022: model soups):
//
//	w = (w₁ + … + wₙ)/n  for each parameter and each moving statistic
//
// It is of use for models that were fine-tuned from the same weights. They must be of one
// network, with the same classes in the same order and the same preprocessing, else the
// error is a *MismatchError. The temperature is the mean of theirs. What was measured of a
// single one does not hold of the mean: it has no acceptance, no prediction sets and no figures
// of training. If all were trained on the same pictures, it has the first model's record of
// training, else none.
func Average(ctx context.Context, models ...string) (*Model, error) {
	if len(models) < 2 || len(models) > maxAveraged {
		return nil, fmt.Errorf("the mean of %d models; it is of 2 to %d", len(models), maxAveraged)
	}
	var all []*Classifier
	for _, name := range models {
		c, err := Open(name, Options{})
		if err != nil {
			return nil, err
		}
		if len(all) > 0 {
			if d := difference(all[0].description, c.description); d != "" {
				return nil, &MismatchError{models[0], name, d}
			}
		}
		all = append(all, c)
	}
	first := all[0].description
	m := &Model{Description{Format: FormatVersion, Architecture: first.Architecture, Network: first.Network,
		BackboneDigest: first.BackboneDigest, Classes: all[0].DistinctClasses(), Preprocessing: first.Preprocessing,
		Head: first.Head}, tensor.Map{}}
	for _, c := range all {
		if c.description.BackboneDigest != m.BackboneDigest {
			m.BackboneDigest = "" // one of them has a backbone of its own, and so has the mean
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

// AverageBackbones returns the mean of the backbones of the given models or files of weights,
// each as for FindBackbone, as weights to train heads on: classes and preprocessing may
// differ, the architecture may not. An error says which one does not fit.
func AverageBackbones(references ...string) (architecture string, mean tensor.Map, err error) {
	if len(references) < 2 || len(references) > maxAveraged {
		return "", nil, fmt.Errorf("the mean of %d backbones; it is of 2 to %d", len(references), maxAveraged)
	}
	var all []*tensor.File
	for _, reference := range references {
		base, err := FindBackbone(reference, "")
		if err != nil {
			return "", nil, err
		}
		name, file := base.Name, base.Weights
		if name == backbone.OwnName {
			return "", nil, &Error{reference,
				errors.New("its network is none of garb's backbones; average the models as a whole")}
		}
		if file == "" {
			file = name // the architecture's own weights
		}
		f, err := OpenBackbone(file)
		if err != nil {
			return "", nil, err
		}
		if len(all) == 0 {
			architecture = name
		} else if name != architecture {
			return "", nil, &MismatchError{references[0], reference,
				fmt.Sprintf("backbone: %s in the first; %s in the second",
					architecture, name)}
		}
		all = append(all, f)
	}
	a, err := backbone.Lookup(architecture)
	if err != nil {
		return "", nil, err
	}
	mean = tensor.Map{}
	for _, p := range a.Features(a.Spec.Height, a.Spec.Width).Params() {
		var t *tensor.Tensor // of the first's shape, which may depend on the size of its pictures
		var sums []float64
		for i, f := range all {
			one, err := f.Tensor(p.Name)
			if err != nil {
				return "", nil, &Error{references[i], err}
			}
			if t == nil {
				t, sums = tensor.New(one.Shape...), make([]float64, len(one.Data))
			}
			if !slices.Equal(one.Shape, t.Shape) {
				return "", nil, &MismatchError{references[0], references[i],
					fmt.Sprintf("%s: %s in the first; %s in the second",
						p.Name, tensor.ShapeString(t.Shape), tensor.ShapeString(one.Shape))}
			}
			for j, v := range one.Data {
				sums[j] += float64(v)
			}
		}
		for j, sum := range sums {
			t.Data[j] = float32(sum / float64(len(all)))
		}
		mean[p.Name] = t
	}
	return architecture, mean, nil
}

// averageParameter returns the mean of a parameter over models. Of the last layer it has the classes'
// outputs only.
func averageParameter(all []*Classifier, p nn.Param) (*tensor.Tensor, error) {
	var sums []float64
	var mean *tensor.Tensor
	for _, c := range all {
		t, err := c.weights.Tensor(p.Name)
		if err != nil {
			return nil, &Error{c.name, err}
		}
		if strings.HasPrefix(p.Name, backbone.ClassifierName+"/") && c.description.outputs() > len(c.description.Classes) {
			t = columns(t, len(c.description.Classes))
		}
		if mean == nil {
			mean, sums = tensor.New(t.Shape...), make([]float64, len(t.Data))
		}
		if !slices.Equal(t.Shape, mean.Shape) {
			return nil, &Error{c.name, fmt.Errorf("%s has the shape %s, not %s", p.Name,
				tensor.ShapeString(t.Shape), tensor.ShapeString(mean.Shape))}
		}
		for i, v := range t.Data {
			sums[i] += float64(v)
		}
	}
	for i, v := range sums {
		mean.Data[i] = float32(v / float64(len(all)))
	}
	return mean, nil
}

// columns returns the first n of a tensor's last axis.
func columns(t *tensor.Tensor, n int) *tensor.Tensor {
	shape := slices.Clone(t.Shape)
	had := shape[len(shape)-1]
	shape[len(shape)-1] = n
	cut := tensor.New(shape...)
	for row := range len(t.Data) / had {
		copy(cut.Data[row*n:][:n], t.Data[row*had:])
	}
	return cut
}

// temperature is what the logits are divided by.
func (c *Classifier) temperature() float64 {
	if c.description.Temperature == 0 {
		return 1
	}
	return c.description.Temperature
}

// commonTraining is the record of a mean of models; nil if they were trained on different
// pictures or one does not say.
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

// difference says in what two models differ that must be the same for a mean of their
// weights, or "".
func difference(a, b *Description) string {
	text := func(v any) string {
		t, err := json.Marshal(v)
		if err != nil {
			panic("model: " + err.Error()) // plain values only
		}
		return string(t)
	}
	network := func(m *Description) string {
		if m.Network != nil {
			return fmt.Sprintf("a network of its own of %d layers", len(m.Network))
		}
		return m.Architecture
	}
	switch {
	case network(a) != network(b):
		return fmt.Sprintf("network: %s and %s", network(a), network(b))
	case text(a.Network) != text(b.Network):
		return "network: layers of theirs differ"
	case !slices.Equal(a.Head.Inner, b.Head.Inner):
		return fmt.Sprintf("inner layers of the head: %v and %v", a.Head.Inner, b.Head.Inner)
	case !slices.Equal(a.Classes, b.Classes):
		for i, name := range a.Classes {
			if i < len(b.Classes) && b.Classes[i] != name {
				return fmt.Sprintf("classes: %d and %d, of which number %d is %q and %q", len(a.Classes),
					len(b.Classes),
					i+1, name, b.Classes[i])
			}
		}
		return fmt.Sprintf("classes: %d and %d", len(a.Classes), len(b.Classes))
	case a.Preprocessing != b.Preprocessing:
		return fmt.Sprintf("preprocessing: %s and %s", text(a.Preprocessing), text(b.Preprocessing))
	case a.Network != nil && (a.outputs() > len(a.Classes) || b.outputs() > len(b.Classes)):
		return "acceptance: it is an output of a network of their own, and cannot be taken out"
	}
	return ""
}
