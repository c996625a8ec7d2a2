package model

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"garb/accept"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// The texts for refused pictures.
const (
	NotClothing = "not clothing"  // of the built-in models
	NoneOfThese = "none of these" // of any other
)

// ErrNoAcceptance is wrapped by the error of a threshold for a model without acceptance.
var ErrNoAcceptance = errors.New("the model has no acceptance: it does not judge whether a picture shows any of its " +
	"classes")

// Acceptance describes how a model judges whether a picture shows any of its classes. The tensors of a
// detector (see accept.Detector) are in the model's file, with the prefix "acceptance/".
type Acceptance struct {
	Method accept.Method `json:"method"`
	accept.Calibration
	// Threshold is the lowest acceptance of accepted pictures, from 0 to 1.
	Threshold float64 `json:"threshold"`
	// Validation is the share of validation pictures that is accepted.
	Validation accept.Share `json:"validation"`
	// Others are the shares of pictures of none of the classes that are accepted; it is empty
	// if the acceptance was not measured on such pictures.
	Others []OtherShare `json:"others,omitempty"`
	// Refusal describes a picture that is not accepted, such as "not clothing".
	Refusal string `json:"refusal"`
	// Preprocessing is the preprocessing that the acceptance was measured with.
	Preprocessing picture.Spec `json:"preprocessing"`
}

// OtherShare is the share of other pictures, from a source named Name, that is accepted.
type OtherShare struct {
	Name string `json:"name"`
	accept.Share
}

// OtherScores are the scores of other pictures, from a source named Name.
type OtherScores struct {
	Name   string
	Scores []float64
}

// NewAcceptance fits a model's acceptance by accept.FitAll on the scores (see accept.Score and
// accept.Detector) of validation pictures and of groups of other pictures. spec is the model's
// preprocessing.
func NewAcceptance(
	m accept.Method, spec picture.Spec, refusal string, validation []float64, others ...OtherScores,
) (*Acceptance, error) {
	if len(validation) == 0 {
		return nil, errors.New("fitting the acceptance needs validation pictures")
	}
	var groups [][]float64
	for _, o := range others {
		groups = append(groups, o.Scores)
	}
	f := accept.FitAll(validation, groups...)
	a := &Acceptance{Method: m, Calibration: f.Calibration, Threshold: f.Threshold, Validation: f.Validation,
		Refusal: refusal, Preprocessing: spec}
	for i, share := range f.Others {
		a.Others = append(a.Others, OtherShare{others[i].Name, share})
	}
	return a, a.validate(spec)
}

// Measured reports whether the acceptance was measured on other pictures.
func (a *Acceptance) Measured() bool {
	return slices.ContainsFunc(a.Others, func(o OtherShare) bool { return o.Count > 0 })
}

// validate checks the acceptance of a model with this preprocessing.
func (a *Acceptance) validate(spec picture.Spec) error {
	wrap := func(err error) error { return fmt.Errorf("its acceptance: %w", err) }
	if err := a.Method.Validate(); err != nil {
		return wrap(err)
	}
	calibration := a.Calibration
	if err := calibration.Validate(); err != nil {
		return wrap(err)
	}
	if !(a.Threshold >= 0 && a.Threshold <= 1) {
		return wrap(fmt.Errorf("the threshold is %v, not from 0 to 1", a.Threshold))
	}
	if err := a.Validation.Validate(); err != nil {
		return wrap(fmt.Errorf("on validation: %w", err))
	}
	for _, o := range a.Others {
		if err := o.Validate(); err != nil {
			return wrap(fmt.Errorf("of %q: %w", o.Name, err))
		}
	}
	const longest = 100 // bytes
	if s := a.Refusal; strings.TrimSpace(s) != s || s == "" || len(s) > longest || !utf8.ValidString(s) ||
		strings.ContainsFunc(s, func(r rune) bool { return !unicode.IsPrint(r) }) {
		return wrap(fmt.Errorf("the text for refused pictures, %q, is not a line of text", a.Refusal))
	}
	if a.Preprocessing != spec {
		return wrap(errors.New("it was measured with another preprocessing than the model's: measure it again"))
	}
	return nil
}

// tensorPrefix is the prefix of the names of the acceptance's tensors in a model's file.
const tensorPrefix = "acceptance/"

// AcceptanceTensors returns the tensors of a detector for Model.Tensors.
func AcceptanceTensors(d *accept.Detector) tensor.Map {
	all := tensor.Map{}
	for name, m := range d.Tensors {
		all[tensorPrefix+name] = tensor.FromSlice(m.Values, m.Rows, m.Columns)
	}
	return all
}

// judge computes acceptance logits.
type judge struct {
	*Acceptance
	threshold float64          // the model's, or that of Options.Accept
	detector  *accept.Detector // nil if the method needs only the network's outputs
}

// newJudge returns the judge of a model with a number of features; nil if it has no acceptance.
func (m *Description) newJudge(w nn.Weights, features int) (*judge, error) {
	if m.Acceptance == nil {
		return nil, nil
	}
	j := &judge{Acceptance: m.Acceptance, threshold: m.Acceptance.Threshold}
	if !j.Method.NeedsFeatures() {
		return j, nil
	}
	j.detector = &accept.Detector{Method: j.Method, Tensors: map[string]accept.Matrix{}}
	for _, name := range accept.TensorNames(j.Method) {
		t, err := w.Tensor(tensorPrefix + name)
		if err != nil {
			return nil, fmt.Errorf("its acceptance: %w", err)
		}
		if len(t.Shape) != 2 {
			return nil, fmt.Errorf("its acceptance: %s has the shape %s, not that of a matrix", name,
				tensor.ShapeString(t.Shape))
		}
		j.detector.Tensors[name] = accept.Matrix{Rows: t.Shape[0], Columns: t.Shape[1], Values: t.Data}
	}
	if err := j.detector.Validate(features); err != nil {
		return nil, fmt.Errorf("its acceptance: %w", err)
	}
	return j, nil
}

// logit returns the logit of the acceptance of a picture with these features and network outputs.
func (j *judge) logit(features, outputs []float32, classes int) float32 {
	if j.detector != nil {
		return float32(j.Logit(j.detector.Score(features)))
	}
	return float32(j.Logit(accept.Score(j.Method, outputs, classes)))
}

// setThreshold sets the threshold of the options. resized says that the model's input has another size
// than its own: then it has no acceptance, which was not measured at that size.
func (c *Classifier) setThreshold(threshold *float64, resized bool) error {
	switch {
	case threshold != nil && !(*threshold >= 0 && *threshold <= 1):
		return fmt.Errorf("the acceptance threshold is %v: must be from 0 to 1", *threshold)
	case resized:
		c.judge = nil
	}
	switch {
	case threshold == nil || *threshold == 0 && c.judge == nil:
	case c.judge == nil && resized && c.description.Acceptance != nil:
		return fmt.Errorf("%w at another size than its own", ErrNoAcceptance)
	case c.judge == nil:
		return ErrNoAcceptance
	default:
		c.judge.threshold = *threshold
	}
	return nil
}

// Answer is the answer of a model about a picture.
type Answer struct {
	Predictions []Prediction // all classes, the most probable first
	// Judged says that the model has acceptance. If not, Accepted is true and Acceptance is 1.
	Judged     bool
	Accepted   bool
	Acceptance float64 // the probability that the picture shows any of the classes
	Refusal    string  // the text for a picture that is not accepted, such as "not clothing"
	// Labels are the classes of a multi-label model with a probability above one half, the
	// most probable first, possibly none. It is nil for other models.
	Labels []string
	// Set is the prediction set: classes that include the right one with the coverage of
	// Description.Coverage, the most probable first. It is nil for a model without.
	Set []string
}

// Judges reports whether the model has acceptance: whether it judges if a picture shows any of its
// classes.
func (c *Classifier) Judges() bool { return c.judge != nil }

// Detector returns the detector of a model whose acceptance is computed from its features; nil for
// other models.
func (c *Classifier) Detector() *accept.Detector {
	if c.judge == nil {
		return nil
	}
	return c.judge.detector
}

// AcceptanceThreshold returns the lowest acceptance of accepted pictures: the model's own threshold or
// that of Options.Accept. It is 0 for a model without acceptance.
func (c *Classifier) AcceptanceThreshold() float64 {
	if c.judge == nil {
		return 0
	}
	return c.judge.threshold
}

// OutputCount returns the length of a row of Outputs: the number of classes, and one more if the model
// has acceptance.
func (c *Classifier) OutputCount() int {
	if c.judge == nil {
		return len(c.description.Classes)
	}
	return len(c.description.Classes) + 1
}

// Outputs computes for each input a row of OutputCount values: the logits in the order of Classes and,
// if the model has acceptance, the logit of the acceptance a, log(a/(1−a)). Inputs are as
// Spec().Tensor writes them, one after another. The error is ctx's. It panics if the lengths do not
// match.
func (c *Classifier) Outputs(ctx context.Context, inputs, rows []float32) error {
	features := make([]float32, len(rows)/c.OutputCount()*c.FeatureCount())
	if err := c.Features(ctx, inputs, features); err != nil {
		return err
	}
	return c.HeadOutputs(ctx, features, rows)
}

// HeadOutputs computes the rows of Outputs from feature vectors, as Features writes them, one after
// another.
func (c *Classifier) HeadOutputs(ctx context.Context, features, rows []float32) error {
	classes, width, outputs := len(c.description.Classes), c.OutputCount(), c.head.outputs
	if width == classes {
		return c.HeadLogits(ctx, features, rows)
	}
	raw := make([]float32, len(rows)/width*outputs)
	if err := c.head.run(ctx, features, raw); err != nil {
		return err
	}
	for i := range len(rows) / width {
		rawRow, row := raw[i*outputs:][:outputs], rows[i*width:][:width]
		copy(row, rawRow[:classes])
		row[classes] = c.judge.logit(features[i*c.count:][:c.count], rawRow, classes)
	}
	return nil
}

// Answer returns the answer about a picture with this row of Outputs.
func (c *Classifier) Answer(row []float32) Answer {
	classes := len(c.description.Classes)
	a := Answer{Predictions: c.Predictions(row[:classes]), Accepted: true, Acceptance: 1}
	a.Set = c.PredictionSet(a.Predictions)
	if c.description.MultiLabel {
		a.Labels = []string{}
		for _, p := range a.Predictions {
			if p.Probability > 0.5 {
				a.Labels = append(a.Labels, p.Class)
			}
		}
	}
	if c.judge != nil {
		a.Judged, a.Refusal = true, c.judge.Refusal
		a.Acceptance = accept.Logistic(float64(row[classes]))
		a.Accepted = a.Acceptance >= c.judge.threshold
	}
	return a
}

// Judge returns the answer about an encoded picture. Errors are *picture.Error or ctx's.
func (c *Classifier) Judge(ctx context.Context, data []byte) (Answer, error) {
	features, err := c.Embed(ctx, data)
	if err != nil {
		return Answer{}, err
	}
	row := make([]float32, c.OutputCount())
	if err := c.HeadOutputs(ctx, features, row); err != nil {
		return Answer{}, err
	}
	return c.Answer(row), nil
}
