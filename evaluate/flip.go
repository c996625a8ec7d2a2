package evaluate

import (
	"cmp"
	"context"

	"slices"
	"sync"

	"garb"
)

// FlipTTA is what Report.TTA says of answers by Flipped.
const FlipTTA = "flip"

// Flipped answers by a picture and its mirror image together (test-time augmentation):
// a class's probability is the mean of the two, and its logit too. It may be used by many
// goroutines.
//
// The mean is of probabilities, not of logits: on the validation split of the clothing data
// set both got 92.96 % right, 92.38 without the mirror image, with a log loss of 0.2115 from
// probabilities and 0.2134 from logits.
type Flipped struct {
	classifier *garb.Classifier
	buffers    sync.Pool // of *flipBuffers
}

// flipBuffers are one answer's: two inputs, one after the other, and their logits.
type flipBuffers struct{ inputs, logits []float32 }

// NewFlipped returns the classifier that shows c each picture twice.
func NewFlipped(c *garb.Classifier) *Flipped {
	values, classes := c.Spec().ValueCount(), len(c.Classes())
	f := &Flipped{classifier: c}
	f.buffers.New = func() any {
		return &flipBuffers{make([]float32, 2*values), make([]float32, 2*classes)}
	}
	return f
}

// Classes returns the classes in the order of the logits.
func (f *Flipped) Classes() []string { return f.classifier.Classes() }

// Classify answers what is in an encoded picture: all classes, the most probable first.
// Its errors are *picture.Error, or ctx's.
func (f *Flipped) Classify(ctx context.Context, data []byte) ([]garb.Prediction, error) {
	b := f.buffers.Get().(*flipBuffers)
	defer f.buffers.Put(b)
	spec := f.classifier.Spec()
	values, classes := spec.ValueCount(), len(b.logits)/2
	if _, err := spec.Load(ctx, data, f.classifier.Limits(), b.inputs[:values]); err != nil {
		return nil, err
	}
	mirror(b.inputs[values:], b.inputs[:values], spec.Width)
	if err := f.classifier.Logits(ctx, b.inputs, b.logits); err != nil {
		return nil, err
	}
	plain, mirrored := f.classifier.Predictions(b.logits[:classes]), f.classifier.Predictions(b.logits[classes:])
	return meanPredictions(plain, mirrored), nil
}

// mirror writes an input of rows of width pixels with three values each to dst, with left
// and right exchanged. Every fit of a picture.Spec but for rounding is symmetric, so these
// are the values of the mirrored picture.
func mirror(dst, src []float32, width int) {
	const channels = 3
	row := channels * width
	for start := 0; start < len(src); start += row {
		for x := range width {
			from, to := start+channels*x, start+channels*(width-1-x)
			copy(dst[to:to+channels], src[from:from+channels])
		}
	}
}

// meanPredictions returns the mean of two answers of one classifier, the most probable
// class first and equal ones in the order of a.
func meanPredictions(a, b []garb.Prediction) []garb.Prediction {
	type key struct{ class, wnid string } // ImageNet has two classes of one name
	other := make(map[key]garb.Prediction, len(b))
	for _, p := range b {
		other[key{p.Class, p.WNID}] = p
	}
	mean := slices.Clone(a)
	for i := range mean {
		p := other[key{mean[i].Class, mean[i].WNID}]
		mean[i].Probability = (mean[i].Probability + p.Probability) / 2
		mean[i].Logit = (mean[i].Logit + p.Logit) / 2
	}
	slices.SortStableFunc(mean, func(x, y garb.Prediction) int {
		return cmp.Compare(y.Probability, x.Probability)
	})
	return mean
}
