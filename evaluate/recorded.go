package evaluate

import (
	"context"
	"errors"
	"fmt"

	"garb/dataset"
	"garb/model"
	"garb/picture"
)

// Record has the answer for a picture, for a Recorded classifier.
type Record struct {
	Picture     string               `json:"picture"` // its path
	Digest      string               `json:"digest,omitempty"`
	Predictions []RecordedPrediction `json:"predictions,omitempty"`
	Judged      bool                 `json:"judged,omitempty"`
	Acceptance  float64              `json:"acceptance,omitempty"`
	// Reason and Message say why the picture has no answer.
	Reason  dataset.Reason `json:"reason,omitempty"`
	Message string         `json:"message,omitempty"`
}

// RecordedPrediction is a prediction of a Record.
type RecordedPrediction struct {
	Class       string  `json:"c"`
	Probability float64 `json:"p"`
	Logit       float32 `json:"l"`
	Index       int     `json:"i"`
}

// NewRecord classifies the picture at a path as Run does. The error is ctx's.
func NewRecord(ctx context.Context, c Classifier, path string, l picture.Limits) (Record, error) {
	a := classify(ctx, c, dataset.Sample{Path: path}, "", l)
	r := Record{Picture: path, Digest: a.digest, Judged: a.Judged, Acceptance: a.Acceptance}
	if a.err != nil {
		s := a.skip()
		r.Reason, r.Message = s.Reason, s.Message
		return r, ctx.Err()
	}
	for _, p := range a.Predictions {
		r.Predictions = append(r.Predictions, RecordedPrediction(p))
	}
	return r, nil
}

// Recorded is a classifier that knows its answers, by the paths of pictures, and reads no pictures.
type Recorded struct {
	Classifier
	records map[string]Record
}

// NewRecorded returns a classifier that gives the recorded answers of c.
func NewRecorded(c Classifier, records []Record) *Recorded {
	r := &Recorded{c, make(map[string]Record, len(records))}
	for _, record := range records {
		r.records[record.Picture] = record
	}
	return r
}

// Judges reports whether the classifier judges whether a picture shows any of its classes.
func (r *Recorded) Judges() bool { return asJudge(r.Classifier) != nil }

// AcceptanceThreshold returns the classifier's threshold. It panics if the classifier does not judge.
func (r *Recorded) AcceptanceThreshold() float64 { return asJudge(r.Classifier).AcceptanceThreshold() }

// Judge panics: recorded answers are found by path.
func (r *Recorded) Judge(context.Context, []byte) (model.Answer, error) {
	panic("evaluate: a recorded classifier classifies no bytes")
}

// recordedError says why a recorded picture has no answer.
type recordedError Skipped

func (e *recordedError) Error() string { return e.Message }

// errNoRecord says that a picture was not recorded.
var errNoRecord = errors.New("it has no recorded answer")

// recall returns the recorded answer for a picture of a class.
func (r *Recorded) recall(s dataset.Sample, class string) Answer {
	record, ok := r.records[s.Path]
	a := Answer{Sample: s, Class: class, Judged: record.Judged, Acceptance: record.Acceptance, digest: record.Digest}
	switch {
	case !ok || record.Reason == "" && len(record.Predictions) == 0:
		a.err = fmt.Errorf("%s: %w", s.Path, errNoRecord)
	case record.Reason != "":
		a.err = &recordedError{s.Path, record.Reason, record.Message}
	}
	for _, p := range record.Predictions {
		a.Predictions = append(a.Predictions, model.Prediction(p))
	}
	return a
}

// skip returns why a picture has no answer.
func (a Answer) skip() Skipped {
	if recorded := (*recordedError)(nil); errors.As(a.err, &recorded) {
		return Skipped(*recorded)
	}
	return Skipped{a.Sample.Path, dataset.FindReason(a.err), a.err.Error()}
}

// isFlipped reports whether answers are those of a Flipped classifier.
func isFlipped(c Classifier) bool {
	if r, ok := c.(*Recorded); ok {
		c = r.Classifier
	}
	_, ok := c.(*Flipped)
	return ok
}
