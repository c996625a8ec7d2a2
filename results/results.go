// Package results has the rows that garb computes for pictures, and writes them as files: JSON
// lines here, and Parquet in package results/parquet.
package results

import (
	"garb/model"
)

// Model identifies the model of a row.
type Model struct {
	Name   string `json:"name"`
	Digest string `json:"digest"`
}

// Row is an Answer, an Embedding or a PictureError.
type Row interface {
	// PictureName returns the path or URL of the row's picture.
	PictureName() string
}

// Answer is what a model says about a picture: a line of garb classify --json.
type Answer struct {
	Picture     string                   `json:"picture"`
	Class       string                   `json:"class"`
	Probability float64                  `json:"probability"`
	Predictions []model.ListedPrediction `json:"predictions"`
	Set         []string                 `json:"set,omitempty"`    // the prediction set, with --coverage
	Labels      *[]string                `json:"labels,omitempty"` // with probability above 0.5, for multi-label models
	// The next three are set for models with an acceptance.
	Accepted   *bool    `json:"accepted,omitempty"`
	Acceptance *float64 `json:"acceptance,omitempty"`
	Refusal    string   `json:"refusal,omitempty"` // for a picture that is not accepted
	Model      Model    `json:"model"`
	// With --sort-into: where the picture is now, or why it was not sorted.
	Sorted    string `json:"sorted,omitempty"`
	SortError string `json:"sort_error,omitempty"`
}

// PictureName returns the path or URL of the picture.
func (a Answer) PictureName() string { return a.Picture }

// Embedding is the feature vector of a picture: a line of garb embed --json.
type Embedding struct {
	Picture   string    `json:"picture"`
	Embedding []float32 `json:"embedding"`
}

// PictureName returns the path or URL of the picture.
func (e Embedding) PictureName() string { return e.Picture }

// PictureError says why a picture has neither an answer nor an embedding.
type PictureError struct {
	Picture string  `json:"picture"`
	Error   Failure `json:"error"`
}

// PictureName returns the path or URL of the picture.
func (e PictureError) PictureName() string { return e.Picture }

// Failure is an error as JSON: a word for programs, and a sentence for people.
type Failure struct {
	Kind    string `json:"kind"`
	Message string `json:"message"`
}

// Answers makes the answers of one model.
type Answers struct {
	Model Model
	Top   int  // number of predictions in an answer, from 1
	Sets  bool // whether answers have prediction sets

	list func([]model.Prediction) []model.ListedPrediction
}

// NewAnswers returns Answers of a classifier.
func NewAnswers(c *model.Classifier, top int, sets bool) Answers {
	return Answers{Model{c.Name(), c.Digest()}, top, sets, c.List}
}

// Row returns what the model answered as the row of a picture.
func (s Answers) Row(picture string, a model.Answer) Answer {
	best := a.Predictions[0]
	row := Answer{
		Picture: picture, Class: best.Class, Probability: best.Probability,
		Predictions: s.list(a.Predictions[:min(s.Top, len(a.Predictions))]), Model: s.Model,
	}
	if s.Sets {
		row.Set = a.Set
	}
	if a.Labels != nil {
		row.Labels = &a.Labels
	}
	if a.Judged {
		row.Accepted, row.Acceptance = &a.Accepted, &a.Acceptance
	}
	if !a.Accepted {
		row.Refusal = a.Refusal
	}
	return row
}
