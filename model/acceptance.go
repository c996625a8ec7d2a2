package model

import (
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

// The usual refusals, which describe a picture that is not accepted.
const (
	NotClothing = "not clothing"  // of the built-in models
	NoneOfThese = "none of these" // of other models
)

// ErrNoAcceptance is wrapped by the error of Open if Options.Accept sets a threshold, but the
// model cannot judge whether a picture shows any of its classes.
var ErrNoAcceptance = errors.New("the model does not judge whether a picture shows any of its classes")

// Acceptance says how a model judges whether a picture shows any of its classes. Some methods
// need tensors as well: see EncodeDetector.
type Acceptance struct {
	Method accept.Method `json:"method"`
	accept.Calibration
	// Threshold is the acceptance, from 0 to 1, from which a picture is accepted.
	Threshold float64 `json:"threshold"`
	// Validation is the share of the validation pictures that is accepted.
	Validation accept.Share `json:"validation"`
	// Others has the accepted shares of pictures of none of the classes; empty if the model was
	// not measured on any.
	Others []OtherShare `json:"others,omitempty"`
	// Refusal describes a picture that is not accepted, such as "not clothing".
	Refusal string `json:"refusal"`
	// Preprocessing is that of the pictures on which the acceptance was measured.
	Preprocessing picture.Spec `json:"preprocessing"`
}

// OtherShare is the accepted share of a group of pictures of none of the classes. Name says where
// they come from.
type OtherShare struct {
	Name string `json:"name"`
	accept.Share
}

// OtherScores are the scores of a group of pictures of none of the classes. Name says where they
// come from.
type OtherScores struct {
	Name   string
	Scores []float64
}

// FitAcceptance fits a model's acceptance to the scores (see accept.Score and accept.Detector) of
// validation pictures and of groups of other pictures, as accept.FitAll does. spec is the model's
// preprocessing.
func FitAcceptance(m accept.Method, spec picture.Spec, refusal string, validation []float64,
	others ...OtherScores) (*Acceptance, error) {
	if len(validation) == 0 {
		return nil, errors.New("there are no validation pictures to fit the acceptance to")
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

// Measured reports whether the acceptance was measured on pictures of none of the classes.
func (a *Acceptance) Measured() bool {
	return slices.ContainsFunc(a.Others, func(o OtherShare) bool { return o.Count > 0 })
}

// validate reports what makes an acceptance unusable in a model with this preprocessing.
func (a *Acceptance) validate(spec picture.Spec) error {
	wrap := func(err error) error { return fmt.Errorf("its acceptance: %w", err) }
	if err := a.Method.Validate(); err != nil {
		return wrap(err)
	}
	if err := a.Validate(); err != nil { // the Calibration's
		return wrap(err)
	}
	if !(a.Threshold >= 0 && a.Threshold <= 1) {
		return wrap(fmt.Errorf("its threshold is %v; it must be from 0 to 1", a.Threshold))
	}
	if err := a.Validation.Validate(); err != nil {
		return wrap(fmt.Errorf("on validation pictures: %w", err))
	}
	for _, o := range a.Others {
		if err := o.Validate(); err != nil {
			return wrap(fmt.Errorf("on %q: %w", o.Name, err))
		}
	}
	if !isRefusal(a.Refusal) {
		return wrap(fmt.Errorf("its refusal, %q, is not a short line of text", a.Refusal))
	}
	if a.Preprocessing != spec {
		return wrap(errors.New("it was measured with another preprocessing than the model's; measure it again"))
	}
	return nil
}

// isRefusal reports whether s is a short line of printable text.
func isRefusal(s string) bool {
	const maxBytes = 100
	unprintable := func(r rune) bool { return !unicode.IsPrint(r) }
	return s != "" && len(s) <= maxBytes && strings.TrimSpace(s) == s && utf8.ValidString(s) &&
		!strings.ContainsFunc(s, unprintable)
}

// detectorPrefix begins the names of a detector's tensors in a model's file.
const detectorPrefix = "acceptance/"

// EncodeDetector returns the tensors of a detector under the names that they have in a model's
// file.
func EncodeDetector(d *accept.Detector) tensor.Map {
	all := tensor.Map{}
	for name, m := range d.Tensors {
		all[detectorPrefix+name] = tensor.FromSlice(m.Values, m.Rows, m.Columns)
	}
	return all
}

// decodeDetector reads the detector of a method from a model's tensors.
func decodeDetector(m accept.Method, w nn.Weights) (*accept.Detector, error) {
	d := &accept.Detector{Method: m, Tensors: map[string]accept.Matrix{}}
	for _, name := range accept.TensorNames(m) {
		t, err := w.Tensor(detectorPrefix + name)
		if err != nil {
			return nil, err
		}
		if len(t.Shape) != 2 {
			return nil, fmt.Errorf("its tensor %s has the shape %s, which is not a matrix", name,
				tensor.ShapeString(t.Shape))
		}
		d.Tensors[name] = accept.Matrix{Rows: t.Shape[0], Columns: t.Shape[1], Values: t.Data}
	}
	return d, nil
}

// judge computes acceptance logits.
type judge struct {
	*Acceptance
	threshold float64          // the acceptance's own, or that of the options
	detector  *accept.Detector // nil if the method needs only the network's outputs
}

// newJudge returns the judge of a model whose feature vectors have the given length; nil if the
// model has no acceptance.
func (d *Description) newJudge(w nn.Weights, featureCount int) (*judge, error) {
	if d.Acceptance == nil {
		return nil, nil
	}
	j := &judge{Acceptance: d.Acceptance, threshold: d.Acceptance.Threshold}
	if !j.Method.NeedsFeatures() {
		return j, nil
	}
	var err error
	if j.detector, err = decodeDetector(j.Method, w); err == nil {
		err = j.detector.Validate(featureCount)
	}
	if err != nil {
		return nil, fmt.Errorf("its acceptance: %w", err)
	}
	return j, nil
}

// computeLogit returns the logit of the acceptance of a picture with these features and network
// outputs.
func (j *judge) computeLogit(features, outputs []float32, classes int) float32 {
	if j.detector != nil {
		return float32(j.Logit(j.detector.Score(features)))
	}
	return float32(j.Logit(accept.Score(j.Method, outputs, classes)))
}

// setThreshold sets the threshold of Options.Accept. If the model is to answer on pictures of
// another size than its own, it stops judging, because its acceptance was not measured on these.
func (c *Classifier) setThreshold(threshold *float64, resized bool) error {
	judged := c.judge != nil
	if resized {
		c.judge = nil
	}
	switch {
	case threshold == nil:
		return nil
	case !(*threshold >= 0 && *threshold <= 1):
		return fmt.Errorf("the threshold is %v; it must be from 0 to 1", *threshold)
	case c.judge != nil:
		c.judge.threshold = *threshold
		return nil
	case *threshold == 0:
		return nil // every picture is accepted in any case
	case judged:
		return fmt.Errorf("%w at another size than its own", ErrNoAcceptance)
	}
	return ErrNoAcceptance
}

// Judges reports whether the model judges if a picture shows any of its classes.
func (c *Classifier) Judges() bool { return c.judge != nil }

// Detector returns the detector of a model that judges by its features; nil if it judges by its
// network's outputs, or not at all.
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
