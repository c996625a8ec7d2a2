package train

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"garb/accept"
	"garb/dataset"
	"garb/model"
	"garb/nn"
	"garb/tensor"
)

// addOther adds the pictures of none of the classes in Config.Other. Their label is the number of
// classes.
func (o *pools) addOther(ctx context.Context, c Config, options dataset.Options) error {
	none := len(o.classes)
	wantTest := len(o.test.set.Samples) > 0
	for i, s := range c.Other {
		u := &dataset.Unlabelled{}
		var err error
		if s.TrainOnly {
			u.Train, err = dataset.PicturesIn(ctx, s.Path, options, o.tally)
		} else {
			u, err = dataset.ReadUnlabelled(ctx, s.Path, c.Split, wantTest, options, o.tally)
		}
		if err != nil {
			return fmt.Errorf("other pictures: %w", err)
		}
		for _, part := range []struct {
			to    *pool
			paths []string
		}{{&o.train, u.Train}, {&o.otherValidation, u.Validation}, {&o.otherTest, u.Test}} {
			set := &dataset.Set{}
			for _, path := range part.paths {
				set.Samples = append(set.Samples, dataset.Sample{Path: path, Label: none})
			}
			part.to.add(set, len(c.sources())+i, func(l int) int { return l })
		}
	}
	if len(c.Other) > 0 && len(o.otherValidation.set.Samples) == 0 {
		return errors.New("other pictures: none are left for validation, which the threshold is chosen by; add more")
	}
	return nil
}

// outputs returns the number of the network's outputs in training.
func (r *run) outputs() int {
	switch {
	case r.Config.Binary:
		return 1
	case r.Config.ownOutput():
		return len(r.classes) + 1
	}
	return len(r.classes)
}

// writeTarget writes the target of a label to row. The target of other pictures is an output of
// their own or, without one, the same probability of each class (Hendrycks, Mazeika & Dietterich
// 2019).
func (r *run) writeTarget(row []float32, label int) {
	clear(row)
	switch {
	case r.Config.Binary:
		row[0] = float32(label)
	case label < len(row):
		row[label] = 1
	default:
		for i := range row {
			row[i] = 1 / float32(len(row))
		}
	}
}

// answersRight reports whether the outputs agree with the targets, mixed or not: on the class or,
// for other pictures, on none, which is a score below 0 by every method.
func (r *run) answersRight(outputs, targets []float32, other bool) bool {
	classes := len(r.classes)
	switch {
	case r.Config.Binary:
		return (outputs[0] > 0) == (targets[0] > 0.5)
	case other:
		return accept.Score(r.Config.method(), outputs, classes) < 0
	}
	return nn.Argmax(outputs[:classes]) == nn.Argmax(targets[:classes])
}

// headLoss is the loss of a network whose first outputs tell the classes apart by a softmax, and
// whose last output tells by a sigmoid whether the picture shows any of them: (1−t)·classes +
// sigmoid, where t is the last target, the share of other pictures in a mixed picture.
type headLoss struct {
	classes nn.Loss
	sigmoid nn.BinaryCrossEntropy
}

// Gradient writes the gradient with respect to all outputs, and returns the loss.
func (l headLoss) Gradient(gradient, logits, targets []float32) float64 {
	k := len(logits) - 1
	other, loss := targets[k], 0.0
	clear(gradient[:k])
	if share := 1 - other; share > 0 {
		classTargets := make([]float32, k)
		for i, t := range targets[:k] {
			classTargets[i] = t / share
		}
		loss = float64(share) * l.classes.Gradient(gradient[:k], logits[:k], classTargets)
		for i := range gradient[:k] {
			gradient[i] *= share
		}
	}
	return loss + l.sigmoid.Gradient(gradient[k:], logits[k:], []float32{1 - other})
}

// noAcceptance is the value of Config.Acceptance that turns acceptance off.
const noAcceptance accept.Method = "none"

// DefaultDetector is the default method of acceptance without other pictures. docs/acceptance.md
// has the measurements behind the choice.
const DefaultDetector = accept.Distance

// AcceptanceMethods returns the values of Config.Acceptance.
func AcceptanceMethods() []accept.Method { return append(accept.Methods(), noAcceptance) }

// method returns the method of acceptance, "" for none.
func (c Config) method() accept.Method {
	switch {
	case c.Acceptance == noAcceptance || c.Acceptance == "" && c.Binary:
		return ""
	case c.Acceptance != "":
		return c.Acceptance
	case len(c.Other) > 0:
		return accept.Class
	}
	return DefaultDetector
}

// ownOutput reports whether the network has an output for other pictures.
func (c Config) ownOutput() bool { return len(c.Other) > 0 && c.method().HasOutput() }

// validateAcceptance checks that the method of acceptance fits the other settings.
func (c Config) validateAcceptance() error {
	m := c.method()
	if m != "" {
		if err := m.Validate(); err != nil {
			return err
		}
	}
	hasOther := len(c.Other) > 0
	trained := m == accept.Class || m == accept.Head || m == accept.Exposure
	return checkRules([]rule{
		{hasOther && c.Binary,
			"other pictures do not work with a binary network: without binary, two classes have two outputs"},
		{m != "" && c.Binary,
			fmt.Sprintf("acceptance %s does not work with a binary network, which has one output", m)},
		{hasOther && m == "", "other pictures need acceptance, and acceptance is none"},
		{hasOther && !trained,
			fmt.Sprintf("acceptance %s does not learn from other pictures: choose %s, %s or %s, or no other pictures",
				m, accept.Class, accept.Head, accept.Exposure)},
		{!hasOther && trained,
			fmt.Sprintf("acceptance %s needs other pictures to train with, and there are none", m)},
		{hasOther && len(c.Teachers) > 0 && m == accept.Exposure,
			fmt.Sprintf("teachers do not work with acceptance %s, whose target for other pictures is the same "+
				"probability of each class", m)},
		{c.Refusal != "" && m == "", "a refusal is named, but acceptance is none: nothing is refused"},
	}...)
}

// scores returns the scores of pictures by their outputs.
func (m *measurement) scores(method accept.Method, outputs []float32) []float64 {
	var scores []float64
	for _, row := range cutRows(outputs, m.width) {
		scores = append(scores, accept.Score(method, row, m.classes))
	}
	return scores
}

// fitAcceptance fits how the model judges whether a picture shows any of its classes, on the
// validation pictures and, if there are any, other pictures. tensors are those of a detector on the
// model's features.
func (r *run) fitAcceptance(ctx context.Context, m *measurement) (a *model.Acceptance, tensors tensor.Map, err error) {
	c, method := r.Config, r.Config.method()
	if method == "" {
		return nil, nil, nil
	}
	var scores []float64
	if method.NeedsFeatures() {
		if scores, tensors, err = r.fitDetector(ctx, method); err != nil {
			return nil, nil, err
		}
	} else {
		scores = m.scores(method, m.outputs)
	}
	var others []model.OtherScores
	if len(c.Other) > 0 {
		for _, name := range sourceNames(c.Other) {
			others = append(others, model.OtherScores{Name: name})
		}
		for i, score := range m.scores(method, m.other) {
			group := &others[r.otherValidation.from[i]-len(c.sources())]
			group.Scores = append(group.Scores, score)
		}
		others = slices.DeleteFunc(others, func(o model.OtherScores) bool { return len(o.Scores) == 0 })
	}
	a, err = model.FitAcceptance(method, c.Preprocessing, cmp.Or(c.Refusal, model.NoneOfThese), scores, others...)
	return a, tensors, err
}

// fitDetector fits a detector on the features of the training pictures. It returns the detector's
// scores of the validation pictures, and its tensors.
func (r *run) fitDetector(ctx context.Context, method accept.Method) ([]float64, tensor.Map, error) {
	features, err := r.computeFeatures(ctx, &r.train)
	if err != nil {
		return nil, nil, err
	}
	detector, err := accept.FitDetector(method, features, sampleLabels(r.train), len(r.classes))
	if err != nil {
		return nil, nil, err
	}
	if features, err = r.computeFeatures(ctx, &r.validation); err != nil {
		return nil, nil, err
	}
	var scores []float64
	for _, f := range features {
		scores = append(scores, detector.Score(f))
	}
	return scores, model.EncodeDetector(detector), nil
}

// computeFeatures returns the features of a split's pictures by the current network, without
// augmentation.
func (r *run) computeFeatures(ctx context.Context, s *split) ([][]float32, error) {
	if known, ok := s.loader.(vectors); ok {
		return known, nil
	}
	spec := r.Config.Preprocessing
	kept, err := r.keptWeights()
	if err != nil {
		return nil, err
	}
	w := nn.Overlay{Top: kept, Below: r.weights}
	plan, err := nn.Compile(r.architecture.Features(spec.Height, spec.Width), w, nn.Options{})
	if err != nil {
		return nil, err
	}
	plain := *s
	plain.loader = pictures{s.set, spec, r.Config.DataOptions.Limits()}
	all, err := computeOutputs(ctx, plan, &plain)
	return cutRows(all, r.architecture.FeatureCount), err
}

// checkOther returns an *OtherError if other pictures have the same bytes as pictures of a class.
func (r *run) checkOther() error {
	classes := map[string]dataset.Sample{}
	collect := func(s *split, do func(digest string, sample dataset.Sample)) {
		if s.empty() {
			return
		}
		for i, sample := range s.set.Samples {
			do(s.digests[i], sample)
		}
	}
	for _, s := range []*split{&r.train, &r.validation, &r.test} {
		collect(s, func(digest string, sample dataset.Sample) {
			if sample.Label < len(r.classes) {
				classes[digest] = sample
			}
		})
	}
	var both []string
	for _, s := range []*split{&r.train, &r.otherValidation, &r.otherTest} {
		collect(s, func(digest string, sample dataset.Sample) {
			if twin, ok := classes[digest]; ok && sample.Label == len(r.classes) {
				both = append(both, fmt.Sprintf("%s is the same as %s, a picture of %q", sample.Path, twin.Path,
					r.classes[twin.Label]))
			}
		})
	}
	if len(both) == 0 {
		return nil
	}
	return &OtherError{both}
}

// OtherError says which other pictures have the same bytes as a picture of a class.
type OtherError struct{ Pictures []string }

func (e *OtherError) Error() string {
	const shown = 5
	text := strings.Join(e.Pictures[:min(shown, len(e.Pictures))], "; ")
	if more := len(e.Pictures) - shown; more > 0 {
		text += fmt.Sprintf("; and %d more", more)
	}
	return "pictures of a class are among the other pictures: " + text
}

// Lookalike is one of the other pictures that the trained model accepts: it may show one of the
// classes after all.
type Lookalike struct {
	Path        string
	Class       string  // the most probable one
	Probability float64 // of Class
	Acceptance  float64
}

// findLookalikes returns the other pictures, of training and validation, that the model accepts,
// those with the highest acceptance first. plan computes the model's outputs.
func (r *run) findLookalikes(ctx context.Context, plan *nn.Plan, classifier *model.Classifier) ([]Lookalike, error) {
	a := classifier.Description().Acceptance
	if len(r.Config.Other) == 0 || a == nil {
		return nil, nil
	}
	trained := split{set: &dataset.Set{}}
	var known vectors
	for i, s := range r.train.set.Samples {
		if s.Label == len(r.classes) {
			trained.set.Samples = append(trained.set.Samples, s)
			if v, ok := r.train.loader.(vectors); ok {
				known = append(known, v[i])
			}
		}
	}
	switch {
	case known != nil:
		trained.loader = known
	case !r.frozen:
		trained.loader = pictures{trained.set, r.Config.Preprocessing, r.Config.DataOptions.Limits()}
	}
	var found []Lookalike
	for _, s := range []split{trained, r.otherValidation} {
		if s.empty() || s.loader == nil {
			continue
		}
		outputs, err := computeOutputs(ctx, plan, &s)
		if err != nil {
			return nil, err
		}
		for i, row := range cutRows(outputs, tensor.Len(plan.OutputShape())) {
			acceptance := a.Acceptance(accept.Score(a.Method, row, len(r.classes)))
			if acceptance >= a.Threshold {
				top := classifier.Predictions(row[:len(r.classes)])[0]
				found = append(found, Lookalike{s.set.Samples[i].Path, top.Class, top.Probability, acceptance})
			}
		}
	}
	slices.SortStableFunc(found, func(a, b Lookalike) int { return cmp.Compare(b.Acceptance, a.Acceptance) })
	return found, nil
}
