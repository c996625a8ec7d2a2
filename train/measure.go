package train

import (
	"context"
	"errors"
	"math"

	"garb/accept"
	"garb/model"
	"garb/nn"
	"garb/tensor"
)

// measurement holds the network's outputs for the validation pictures, and what follows from them.
type measurement struct {
	classes, width int       // width is the number of the network's outputs
	outputs        []float32 // of the validation pictures
	other          []float32 // of the other validation pictures
	logits         []float32 // of the validation pictures, one for each class

	// loss is the cross-entropy and accuracy the share of right answers, as the mean over the
	// data sets of the mean over each one's pictures. The loss is NaN if the weights are not
	// finite.
	loss, accuracy float64
	right          string          // "1" for each picture with a right answer, else "0"
	sources        []SourceFigures // of each data set, if there are several
}

// measure runs the network on the validation pictures.
func (r *run) measure(ctx context.Context) (*measurement, error) {
	w, err := r.keptWeights()
	if err != nil {
		return nil, err
	}
	plan, err := nn.Compile(r.graph, w, nn.Options{})
	if errors.Is(err, nn.ErrNotFinite) {
		return &measurement{loss: math.NaN()}, nil
	}
	if err != nil {
		return nil, err
	}
	m := &measurement{classes: len(r.classes), width: tensor.Len(plan.OutputShape())}
	if m.outputs, err = computeOutputs(ctx, plan, &r.validation); err != nil {
		return nil, err
	}
	if !r.otherValidation.empty() {
		if m.other, err = computeOutputs(ctx, plan, &r.otherValidation); err != nil {
			return nil, err
		}
	}
	m.logits = classLogits(m.outputs, m.width, m.classes)
	r.score(m)
	return m, nil
}

// score computes the figures of a measurement from its logits.
func (r *run) score(m *measurement) {
	names := sourceNames(r.Config.sources())
	figures := make([]SourceFigures, len(names))
	for _, from := range r.validation.from {
		figures[from].Count++
	}
	ones := make([]byte, len(r.validation.set.Samples))
	for i, s := range r.validation.set.Samples {
		row := m.logits[i*m.classes:][:m.classes]
		f := &figures[r.validation.from[i]]
		f.Loss -= math.Log(max(model.Softmax(row)[s.Label], 1e-15)) / float64(f.Count)
		ones[i] = '0'
		if nn.Argmax(row) == s.Label {
			ones[i] = '1'
			f.Accuracy++
		}
	}
	m.right = string(ones)
	var withPictures []SourceFigures
	for i, f := range figures {
		if f.Count > 0 {
			f.Name, f.Accuracy = names[i], f.Accuracy/float64(f.Count)
			withPictures = append(withPictures, f)
		}
	}
	m.loss = meanOverSources(withPictures, func(f SourceFigures) float64 { return f.Loss })
	m.accuracy = meanOverSources(withPictures, func(f SourceFigures) float64 { return f.Accuracy })
	if len(names) > 1 {
		m.sources = withPictures
	}
}

// computeOutputs returns the outputs of a plan for the pictures of a split, one after another.
func computeOutputs(ctx context.Context, plan *nn.Plan, s *split) ([]float32, error) {
	const batchSize = 32
	outputs, n := tensor.Len(plan.OutputShape()), len(s.set.Samples)
	inputs, all := make([]float32, batchSize*s.length()), make([]float32, n*outputs)
	for low := 0; low < n; low += batchSize {
		var samples []int
		for i := low; i < min(low+batchSize, n); i++ {
			samples = append(samples, i)
		}
		in := inputs[:len(samples)*s.length()]
		if err := s.load(ctx, 0, 0, samples, in, nil); err != nil {
			return nil, err
		}
		if err := plan.Run(ctx, in, all[low*outputs:][:len(samples)*outputs]); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// classLogits returns the logits of the classes among a network's outputs. A single output z becomes
// two logits, since its sigmoid is the softmax of (0, z).
func classLogits(all []float32, outputs, classes int) []float32 {
	if outputs == classes {
		return all
	}
	logits := make([]float32, 0, len(all)/outputs*classes)
	for low := 0; low < len(all); low += outputs {
		if outputs < classes {
			logits = append(logits, 0, all[low])
		} else {
			logits = append(logits, all[low:][:classes]...)
		}
	}
	return logits
}

// otherAUROC returns the area under the ROC curve of the scores, which tell validation pictures from
// other pictures; 0 without other pictures.
func (m *measurement) otherAUROC(method accept.Method) float64 {
	if len(m.other) == 0 {
		return 0
	}
	return accept.AUROC(m.scores(method, m.outputs), m.scores(method, m.other))
}
