package model

import (
	"cmp"
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

// MismatchError says why two models cannot be averaged.
type MismatchError struct {
	First, Second string // names of the models
	Difference    string // "classes: dress, hat in the first; hat, dress in the second"
}

func (e *MismatchError) Error() string {
	return fmt.Sprintf("%s and %s cannot be averaged (%s)", e.First, e.Second, e.Difference)
}

// maxAveraged bounds the number of models, which are all open at once.
const maxAveraged = 100

// Average returns the model whose weights are the mean of those of the given models, which it
// opens as Open does (Wortsman et al. 2022: model soups):
//
//	w = (w₁ + … + wₙ)/n  for each parameter and each moving statistic
//
// This is useful for models that were fine-tuned from the same weights. They must have the same
// network, the same classes in the same order and the same preprocessing; otherwise the error is
// a *MismatchError. The temperature is the mean of theirs. What was measured on one of the models
// does not hold for their mean, so it has no acceptance, no prediction sets and no figures of
// training. It has a record of training, with the first model's settings, only if all were trained
// on the same pictures.
func Average(ctx context.Context, models ...string) (*Model, error) {
	if len(models) < 2 || len(models) > maxAveraged {
		return nil, fmt.Errorf("%d models cannot be averaged; give from 2 to %d", len(models), maxAveraged)
	}
	all, err := openAlike(models)
	if err != nil {
		return nil, err
	}
	first := all[0].description
	m := &Model{Description{Format: FormatVersion, Architecture: first.Architecture, Network: first.Network,
		BackboneDigest: first.BackboneDigest, Classes: all[0].DistinctClasses(), Preprocessing: first.Preprocessing,
		Signature: first.Signature, Head: first.Head}, tensor.Map{}}
	for _, c := range all {
		if c.description.BackboneDigest != m.BackboneDigest {
			m.BackboneDigest = "" // one of them has another backbone, so the mean has its own
		}
		m.Temperature += c.temperature() / float64(len(all))
	}
	m.Training = mergeTraining(all)
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

// openAlike opens models that can be averaged.
func openAlike(models []string) ([]*Classifier, error) {
	var all []*Classifier
	for _, name := range models {
		c, err := Open(name, Options{})
		if err != nil {
			return nil, err
		}
		all = append(all, c)
		if len(all) == 1 {
			continue
		}
		if d := describeDifference(all[0].description, c.description); d != "" {
			return nil, &MismatchError{models[0], name, d}
		}
	}
	return all, nil
}

// averageParameter returns the mean of a parameter over models. In the last layer it leaves out
// an output of the acceptance.
func averageParameter(all []*Classifier, p nn.Param) (*tensor.Tensor, error) {
	var s sum
	for _, c := range all {
		t, err := c.weights.Tensor(p.Name)
		if err != nil {
			return nil, &Error{c.name, err}
		}
		classes := len(c.description.Classes)
		if strings.HasPrefix(p.Name, backbone.ClassifierName+"/") && c.description.outputCount() > classes {
			t = cutColumns(t, classes)
		}
		if !s.add(t) {
			return nil, &Error{c.name, fmt.Errorf("%s has the shape %s, not %s", p.Name,
				tensor.ShapeString(t.Shape), tensor.ShapeString(s.shape))}
		}
	}
	return s.mean(), nil
}

// AverageBackbones returns the mean of the backbones of the given models or files of weights,
// which it finds as FindBackbone does. Heads can be trained on it. Classes and preprocessing may
// differ, but not the architecture. The error names the reference that does not fit.
func AverageBackbones(references ...string) (architecture string, mean tensor.Map, err error) {
	if len(references) < 2 || len(references) > maxAveraged {
		return "", nil, fmt.Errorf("%d backbones cannot be averaged; give from 2 to %d", len(references), maxAveraged)
	}
	architecture, files, err := openBackbones(references)
	if err != nil {
		return "", nil, err
	}
	a, err := backbone.Lookup(architecture)
	if err != nil {
		return "", nil, err
	}
	mean = tensor.Map{}
	for _, p := range a.Features(a.Spec.Height, a.Spec.Width).Params() {
		var s sum // of the first backbone's shape, which may depend on the size of its pictures
		for i, f := range files {
			t, err := f.Tensor(p.Name)
			if err != nil {
				return "", nil, &Error{references[i], err}
			}
			if !s.add(t) {
				return "", nil, &MismatchError{references[0], references[i],
					fmt.Sprintf("%s: %s in the first; %s in the second", p.Name, tensor.ShapeString(s.shape),
						tensor.ShapeString(t.Shape))}
			}
		}
		mean[p.Name] = s.mean()
	}
	return architecture, mean, nil
}

// openBackbones opens backbones of the same architecture.
func openBackbones(references []string) (architecture string, files []*tensor.File, err error) {
	for _, reference := range references {
		base, err := FindBackbone(reference, "")
		if err != nil {
			return "", nil, err
		}
		if base.Name == backbone.OwnName {
			return "", nil, &Error{reference,
				errors.New("its network is not one of garb's backbones; average whole models instead")}
		}
		if architecture == "" {
			architecture = base.Name
		} else if base.Name != architecture {
			return "", nil, &MismatchError{references[0], reference,
				fmt.Sprintf("backbone: %s in the first; %s in the second", architecture, base.Name)}
		}
		f, err := OpenBackbone(cmp.Or(base.Weights, base.Name))
		if err != nil {
			return "", nil, err
		}
		files = append(files, f)
	}
	return architecture, files, nil
}

// sum adds tensors of the same shape.
type sum struct {
	shape  []int
	values []float64
	count  int
}

// add adds a tensor. It reports whether its shape is that of the tensors before.
func (s *sum) add(t *tensor.Tensor) bool {
	if s.count == 0 {
		s.shape, s.values = t.Shape, make([]float64, len(t.Data))
	}
	if !slices.Equal(t.Shape, s.shape) {
		return false
	}
	for i, v := range t.Data {
		s.values[i] += float64(v)
	}
	s.count++
	return true
}

// mean returns the mean of the tensors.
func (s *sum) mean() *tensor.Tensor {
	t := tensor.New(s.shape...)
	for i, v := range s.values {
		t.Data[i] = float32(v / float64(s.count))
	}
	return t
}

// cutColumns returns the first n values of a tensor's last axis.
func cutColumns(t *tensor.Tensor, n int) *tensor.Tensor {
	shape := slices.Clone(t.Shape)
	width := shape[len(shape)-1]
	shape[len(shape)-1] = n
	cut := tensor.New(shape...)
	for row := range len(t.Data) / width {
		copy(cut.Data[row*n:][:n], t.Data[row*width:])
	}
	return cut
}

// temperature returns the divisor of the logits.
func (c *Classifier) temperature() float64 { return cmp.Or(c.description.Temperature, 1) }

// mergeTraining returns the record of training of the mean of models. It is nil if they were
// trained on different pictures, or if one of them has no record.
func mergeTraining(all []*Classifier) *Training {
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

// describeDifference describes the first difference between two models that prevents averaging
// their weights; "" if there is none.
func describeDifference(a, b *Description) string {
	networkA, networkB := a.describeNetwork(), b.describeNetwork()
	switch {
	case networkA != networkB:
		return fmt.Sprintf("network: %s and %s", networkA, networkB)
	case encodeJSON(a.Network) != encodeJSON(b.Network):
		return "network: the layers have different settings"
	case !slices.Equal(a.Head.Inner, b.Head.Inner):
		return fmt.Sprintf("inner layers of the head: %v and %v", a.Head.Inner, b.Head.Inner)
	case !slices.Equal(a.Classes, b.Classes):
		return describeClasses(a.Classes, b.Classes)
	case a.Preprocessing != b.Preprocessing:
		return fmt.Sprintf("preprocessing: %s and %s", encodeJSON(a.Preprocessing), encodeJSON(b.Preprocessing))
	case a.Network != nil && (a.outputCount() > len(a.Classes) || b.outputCount() > len(b.Classes)):
		return "acceptance: it is an output of a network that is not one of garb's, and cannot be removed"
	}
	return ""
}

// describeNetwork names the model's network.
func (d *Description) describeNetwork() string {
	if d.Network != nil {
		return fmt.Sprintf("a network of %d layers", len(d.Network))
	}
	return d.Architecture
}

// describeClasses describes the difference between two lists of classes.
func describeClasses(a, b []string) string {
	for i, name := range a {
		if i < len(b) && b[i] != name {
			return fmt.Sprintf("classes: %d and %d; number %d is %q and %q", len(a), len(b), i+1, name, b[i])
		}
	}
	return fmt.Sprintf("classes: %d and %d", len(a), len(b))
}

// encodeJSON returns v as JSON. It panics if v has none, as functions do.
func encodeJSON(v any) string {
	text, err := json.Marshal(v)
	if err != nil {
		panic("model: " + err.Error())
	}
	return string(text)
}
