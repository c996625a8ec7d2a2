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

// validated is what the network says of the pictures that are not trained on.
type validated struct {
	classes, width int       // width: of the network's output
	outputs        []float32 // of the validation pictures
	other          []float32 // of the other validation pictures
	logits         []float32 // of the validation pictures, one for each class

	// loss is the mean of −ln(probability of the class), and accuracy the share that is
	// right: over the pictures of each source, then over the sources. The loss is NaN if
	// the weights are not finite numbers any more.
	loss, accuracy float64
	right          string          // for each validation picture a 1 if its answer is right, else a 0
	sources        []SourceFigures // nil if there is but one
}

// measure runs the network on validation.
func (r *run) measure(ctx context.Context) (*validated, error) {
	w, err := r.kept()
	if err != nil {
		return nil, err
	}
	plan, err := nn.Compile(r.graph, w, nn.Options{})
	if errors.Is(err, nn.ErrNotFinite) {
		return &validated{loss: math.NaN()}, nil
	}
	if err != nil {
		return nil, err
	}
	m := &validated{classes: len(r.classes), width: tensor.Len(plan.OutputShape())}
	if m.outputs, err = outputsOf(ctx, plan, &r.validation); err != nil {
		return nil, err
	}
	if !r.otherValidation.empty() {
		if m.other, err = outputsOf(ctx, plan, &r.otherValidation); err != nil {
			return nil, err
		}
	}
	m.logits = classLogits(m.outputs, m.width, m.classes)
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
		if largest(row) == s.Label {
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
	m.loss = means(withPictures, func(f SourceFigures) float64 { return f.Loss })
	m.accuracy = means(withPictures, func(f SourceFigures) float64 { return f.Accuracy })
	if len(names) > 1 {
		m.sources = withPictures
	}
	return m, nil
}

// outputsOf returns the outputs of a plan for the pictures of a split, one after another.
func outputsOf(ctx context.Context, plan *nn.Plan, s *split) ([]float32, error) {
	const batch = 32
	outputs, n := tensor.Len(plan.OutputShape()), len(s.set.Samples)
	inputs, all := make([]float32, batch*s.length()), make([]float32, n*outputs)
	for low := 0; low < n; low += batch {
		var samples []int
		for i := low; i < min(low+batch, n); i++ {
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

// classLogits are the logits of the classes among a network's outputs: those of two classes
// where there is one output, since a sigmoid is the softmax of (0, logit).
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

// otherAUROC returns how well the scores tell validation pictures from other ones; 0
// without other pictures.
func (m *validated) otherAUROC(method accept.Method) float64 {
	if len(m.other) == 0 {
		return 0
	}
	return accept.AUROC(m.scores(method, m.outputs), m.scores(method, m.other))
}
