package train

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"garb/backbone"
	"garb/evaluate"
	"garb/model"
	"garb/nn"
	"garb/tensor"
)

// saveCheckpoint writes the current model to
// checkpoints/NAME_{epoch:02d}_{val_accuracy:.3f}.safetensors.
func (r *run) saveCheckpoint(ctx context.Context, e Epoch, validation *measurement) error {
	c := r.Config
	acceptance, detector, err := r.fitAcceptance(ctx, validation)
	if err != nil {
		return err
	}
	logits := cutRows(validation.logits, len(r.classes))
	description := model.Description{
		Format: model.FormatVersion, Architecture: c.Backbone, BackboneDigest: r.digest, Classes: r.classes,
		Preprocessing: c.Preprocessing, Head: c.head(),
		Temperature: evaluate.Temperature(logits, sampleLabels(r.validation)),
		Acceptance:  acceptance,
		Training: &model.Training{
			Garb: model.Version, DataDigest: r.Data,
			Pictures: [3]int{len(r.train.set.Samples), len(r.validation.set.Samples), r.testCount()},
			Epoch:    e.Epoch, Accuracy: e.Accuracy, Validation: e.ValidationAccuracy,
			ValidationLoss: e.ValidationLoss,
			Settings:       r.settings(),
		},
	}
	r.describeOwn(&description)
	if err = r.fitCoverage(&description, logits); err != nil {
		return err
	}
	tensors, err := r.modelTensors()
	if err != nil {
		return err
	}
	maps.Copy(tensors, detector)
	m := model.Model{Description: description, Tensors: tensors}
	if err := m.SetGolden(ctx, r.weights); err != nil {
		return err
	}
	name := fmt.Sprintf("%s_%02d_%.3f.safetensors", filepath.Base(c.Out), e.Epoch, e.ValidationAccuracy)
	return m.Save(filepath.Join(c.Out, "checkpoints", name), tensor.Float32)
}

// describeOwn adds the network's layers to the description of a model whose backbone is not one of
// garb's.
func (r *run) describeOwn(m *model.Description) {
	if r.architecture.Name != backbone.OwnName {
		return
	}
	outputs, spec := r.outputs(), m.Preprocessing
	if r.Config.Binary {
		outputs = 2 // see addFirstClass
	}
	m.FeaturesAt = len(r.architecture.Features(spec.Height, spec.Width).Layers()) - 1
	m.Network = m.Head.NetworkGraph(r.architecture, spec.Height, spec.Width, outputs, 0).Layers()
	m.Architecture, m.Head = "", model.Head{}
}

func (r *run) testCount() int {
	if r.test.empty() {
		return 0
	}
	return len(r.test.set.Samples)
}

// modelTensors returns the tensors of the model's file.
func (r *run) modelTensors() (tensor.Map, error) {
	spec := r.Config.Preprocessing
	params := r.graph.Params()
	if r.frozen && r.digest == "" { // a model on a backbone that others do not have
		params = append(r.architecture.Features(spec.Height, spec.Width).Params(), params...)
	}
	kept, err := r.keptWeights()
	if err != nil {
		return nil, err
	}
	w := nn.Overlay{Top: kept, Below: r.weights}
	m := tensor.Map{}
	for _, p := range params {
		t, err := w.Tensor(p.Name)
		if err != nil {
			return nil, err
		}
		m[p.Name] = t
	}
	if r.Config.Binary {
		addFirstClass(m)
	}
	return m, nil
}

// addFirstClass adds to the classifier of a binary network a unit for the first class, whose logit
// is always 0: the softmax of (0, z) is (1−σ(z), σ(z)).
func addFirstClass(m tensor.Map) {
	kernel, bias := backbone.ClassifierName+"/kernel", backbone.ClassifierName+"/bias"
	one := m[kernel]
	two := tensor.New(one.Shape[0], 2)
	for i, v := range one.Data {
		two.Data[2*i+1] = v
	}
	m[kernel], m[bias] = two, tensor.FromSlice([]float32{0, m[bias].Data[0]}, 2)
}

// cutRows cuts values into rows of the given length.
func cutRows(values []float32, length int) [][]float32 {
	return slices.Collect(slices.Chunk(values, length))
}

// sampleLabels returns the label of each picture of a split.
func sampleLabels(s split) []int {
	all := make([]int, len(s.set.Samples))
	for i, sample := range s.set.Samples {
		all[i] = sample.Label
	}
	return all
}
