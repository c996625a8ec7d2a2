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

// The names of a refusal.
const (
	NotClothing = "not clothing"  // of the built-in models
	NoneOfThese = "none of these" // of any other
)

// ErrNoAcceptance is wrapped by errors about models that cannot judge whether a picture
// shows any of their classes, and were asked to.
var ErrNoAcceptance = errors.New("the model does not judge whether a picture shows any of its classes")

// Acceptance is how a model judges whether a picture shows any of its classes. The
// tensors of a detector (see accept.Detector) are in the model's file, under names that
// begin with "acceptance/".
type Acceptance struct {
	Method accept.Method `json:"method"`
	accept.Calibration
	// Threshold is the acceptance, from 0 to 1, from which a picture is accepted.
	Threshold float64 `json:"threshold"`
	// Validation is what share of the validation pictures is accepted.
	Validation accept.Share `json:"validation"`
	// Others is what is accepted of pictures of none of the classes; empty if the model
	// was not measured against other pictures.
	Others []OtherShare `json:"others,omitempty"`
	// Refusal describes a picture that is not accepted, such as "not clothing".
	Refusal string `json:"refusal"`
	// Preprocessing is that of the pictures it was measured with.
	Preprocessing picture.Spec `json:"preprocessing"`
}

// OtherShare is what share is accepted of other pictures, which come from Name.
type OtherShare struct {
	Name string `json:"name"`
	accept.Share
}

// OtherScores are the scores of other pictures, which come from Name.
type OtherScores struct {
	Name   string
	Scores []float64
}

// NewAcceptance fits a model's acceptance to the scores (see accept.Score and
// accept.Detector) of validation pictures and of groups of other pictures, as
// accept.FitAll does. spec is the model's preprocessing.
func NewAcceptance(m accept.Method, spec picture.Spec, refusal string, validation []float64,
	others ...OtherScores) (*Acceptance, error) {
	if len(validation) == 0 {
		return nil, errors.New("acceptance needs validation pictures to be fitted to")
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

// Measured reports whether the acceptance was measured against other pictures.
func (a *Acceptance) Measured() bool {
	return slices.ContainsFunc(a.Others, func(o OtherShare) bool { return o.Count > 0 })
}

// validate reports what makes an acceptance unusable in a model with this preprocessing.
func (a *Acceptance) validate(spec picture.Spec) error {
	wrap := func(err error) error { return fmt.Errorf("its acceptance: %w", err) }
	if err := a.Method.Validate(); err != nil {
		return wrap(err)
	}
	if err := a.Calibration.Validate(); err != nil {
		return wrap(err)
	}
	if !(a.Threshold >= 0 && a.Threshold <= 1) {
		return wrap(fmt.Errorf("the threshold is %v, and an acceptance is from 0 to 1", a.Threshold))
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
		return wrap(fmt.Errorf("what it says of a refused picture, %q, is not a line of text", a.Refusal))
	}
	if a.Preprocessing != spec {
		return wrap(errors.New("it was measured with another preprocessing than the model's, so its figures do not hold: " +
			"measure it again"))
	}
	return nil
}

// tensorPrefix begins the names of the acceptance's tensors in a model's file.
const tensorPrefix = "acceptance/"

// AcceptanceTensors returns the tensors of a detector as a model's file has them, for
// Model.Save.
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
	threshold float64          // that decides
	detector  *accept.Detector // nil if the method needs the network's outputs alone
}

// newJudge makes the judge of a model, whose network's features are so many; nil if it has
// no acceptance.
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
			return nil, fmt.Errorf("its acceptance: %s is %s, not a table", name, tensor.ShapeString(t.Shape))
		}
		j.detector.Tensors[name] = accept.Matrix{Rows: t.Shape[0], Columns: t.Shape[1], Values: t.Data}
	}
	if err := j.detector.Validate(features); err != nil {
		return nil, fmt.Errorf("its acceptance: %w", err)
	}
	return j, nil
}

// logit is the acceptance's of a picture with these features and network outputs.
func (j *judge) logit(features, outputs []float32, classes int) float32 {
	if j.detector != nil {
		return float32(j.Logit(j.detector.Score(features)))
	}
	return float32(j.Logit(accept.Score(j.Method, outputs, classes)))
}

// setThreshold takes the threshold of the options. resized is whether the model is to
// answer on pictures of another size than its own: it was not measured on these, so it
// does not judge.
func (c *Classifier) setThreshold(threshold *float64, resized bool) error {
	switch {
	case threshold != nil && !(*threshold >= 0 && *threshold <= 1):
		return fmt.Errorf("a threshold of %v; an acceptance is from 0 to 1", *threshold)
	case resized:
		c.judge = nil
	}
	switch {
	case threshold == nil || *threshold == 0 && c.judge == nil:
	case c.judge == nil && resized && c.description.Acceptance != nil:
		return fmt.Errorf("%w at another size than its own, on which it was measured", ErrNoAcceptance)
	case c.judge == nil:
		return ErrNoAcceptance
	default:
		c.judge.threshold = *threshold
	}
	return nil
}

// Answer is what a model says of a picture.
type Answer struct {
	Predictions []Prediction // all classes, the most probable first
	// Judged is whether the model judges if a picture shows any of its classes. If not,
	// Accepted is true and Acceptance is 1.
	Judged     bool
	Accepted   bool
	Acceptance float64 // from 0 to 1
	Refusal    string  // what to say of the picture if it is not accepted, as "not clothing"
	// Labels are the classes that a multi-label model says yes to, with a probability above
	// one half, the most probable first: none, one or more. It is nil for other models.
	Labels []string
	// Set has the classes that hold the right one with the probability of Description.Coverage, the
	// most probable first; nil if the model has no rule for such sets.
	Set []string
}

// Judges reports whether the model judges if a picture shows any of its classes.
func (c *Classifier) Judges() bool { return c.judge != nil }

// Detector returns what a model that judges by its features has of the training pictures;
// nil if it judges by its network's outputs, or not at all.
func (c *Classifier) Detector() *accept.Detector {
	if c.judge == nil {
		return nil
	}
	return c.judge.detector
}

// AcceptanceThreshold returns the acceptance from which a picture is accepted: the model's
// own or that of Options.Accept. It is 0 if the model does not judge.
func (c *Classifier) AcceptanceThreshold() float64 {
	if c.judge == nil {
		return 0
	}
	return c.judge.threshold
}

// OutputCount returns the length of a row of Outputs: the number of classes, and one more
// if the model judges.
func (c *Classifier) OutputCount() int {
	if c.judge == nil {
		return len(c.description.Classes)
	}
	return len(c.description.Classes) + 1
}

// Outputs writes, for each of the inputs, as Spec().Tensor gives them one after another, a
// row of OutputCount values: the logits in the order of Classes and, if the model judges,
// the logit of the acceptance, log(a/(1−a)). The error is ctx's. It panics if the lengths
// do not fit.
func (c *Classifier) Outputs(ctx context.Context, inputs, rows []float32) error {
	features := make([]float32, len(rows)/c.OutputCount()*c.FeatureCount())
	if err := c.Features(ctx, inputs, features); err != nil {
		return err
	}
	return c.HeadOutputs(ctx, features, rows)
}

// HeadOutputs writes the rows of feature vectors, as Features gives them one after
// another. See Outputs.
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
		of := raw[i*outputs:][:outputs]
		row := rows[i*width:][:width]
		copy(row, of[:classes])
		row[classes] = c.judge.logit(features[i*c.count:][:c.count], of, classes)
	}
	return nil
}

// Answer returns what the model says of a picture with this row of Outputs.
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

// Judge answers what is in an encoded picture, and whether it shows any of the classes.
// Its errors are *picture.Error, or ctx's.
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
