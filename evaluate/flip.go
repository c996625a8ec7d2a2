package evaluate

import (
	"cmp"
	"context"
	"slices"
	"sync"

	"garb/model"
)

// FlipTTA is Report.TTA for answers by Flipped.
const FlipTTA = "flip"

// Flipped classifies a picture and its mirror image and returns the mean of both answers (test-time
// augmentation). Several goroutines may use it.
//
// Its probabilities are means of probabilities, not of logits. On the validation split of the
// clothing data set both ways got 92.96 % right (92.38 % without the mirror image), with a log loss
// of 0.2115 from probabilities and 0.2134 from logits.
type Flipped struct {
	classifier *model.Classifier
	buffers    sync.Pool // of *flipBuffers
}

// flipBuffers has two inputs, one after the other, and their outputs.
type flipBuffers struct{ inputs, outputs []float32 }

// NewFlipped returns a classifier that classifies each picture twice by c.
func NewFlipped(c *model.Classifier) *Flipped {
	values, outputs := c.Spec().ValueCount(), c.OutputCount()
	f := &Flipped{classifier: c}
	f.buffers.New = func() any {
		return &flipBuffers{make([]float32, 2*values), make([]float32, 2*outputs)}
	}
	return f
}

// Classes returns the classes in the order of the logits.
func (f *Flipped) Classes() []string { return f.classifier.Classes() }

// Judges reports whether the classifier judges whether a picture shows any of its classes.
func (f *Flipped) Judges() bool { return f.classifier.Judges() }

// AcceptanceThreshold returns the classifier's threshold.
func (f *Flipped) AcceptanceThreshold() float64 { return f.classifier.AcceptanceThreshold() }

// Classify returns the predictions for an encoded picture, the most probable first. Its errors are
// *picture.Error, or ctx's.
func (f *Flipped) Classify(ctx context.Context, data []byte) ([]model.Prediction, error) {
	a, err := f.Judge(ctx, data)
	return a.Predictions, err
}

// Judge returns the answer for an encoded picture. Its acceptance is the mean of two. Errors are
// *picture.Error, or ctx's.
func (f *Flipped) Judge(ctx context.Context, data []byte) (model.Answer, error) {
	b := f.buffers.Get().(*flipBuffers)
	defer f.buffers.Put(b)
	spec := f.classifier.Spec()
	values, outputs := spec.ValueCount(), len(b.outputs)/2
	if _, err := spec.Load(ctx, data, f.classifier.Limits(), b.inputs[:values]); err != nil {
		return model.Answer{}, err
	}
	mirror(b.inputs[values:], b.inputs[:values], spec.Width, spec.Channels())
	if err := f.classifier.Outputs(ctx, b.inputs, b.outputs); err != nil {
		return model.Answer{}, err
	}
	a, mirrored := f.classifier.Answer(b.outputs[:outputs]), f.classifier.Answer(b.outputs[outputs:])
	a.Predictions = averagePredictions(a.Predictions, mirrored.Predictions)
	a.Set = f.classifier.PredictionSet(a.Predictions)
	if a.Judged {
		a.Acceptance = (a.Acceptance + mirrored.Acceptance) / 2
		a.Accepted = a.Acceptance >= f.AcceptanceThreshold()
	}
	return a, nil
}

// mirror writes the mirror image of an input, whose rows have width pixels, to dst. Since every fit
// of a picture.Spec is symmetric except for rounding, it has the values of the mirrored picture.
func mirror(dst, src []float32, width, channels int) {
	row := channels * width
	for start := 0; start < len(src); start += row {
		for x := range width {
			from, to := start+channels*x, start+channels*(width-1-x)
			copy(dst[to:to+channels], src[from:from+channels])
		}
	}
}

// averagePredictions returns the means of a classifier's predictions a and b, the most probable first
// and equal ones in the order of a.
func averagePredictions(a, b []model.Prediction) []model.Prediction {
	other := make([]model.Prediction, len(b))
	for _, p := range b {
		other[p.Index] = p
	}
	mean := slices.Clone(a)
	for i := range mean {
		p := other[mean[i].Index]
		mean[i].Probability = (mean[i].Probability + p.Probability) / 2
		mean[i].Logit = (mean[i].Logit + p.Logit) / 2
	}
	slices.SortStableFunc(mean, func(x, y model.Prediction) int {
		return cmp.Compare(y.Probability, x.Probability)
	})
	return mean
}
