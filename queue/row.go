package queue

import (
	"encoding/json"
	"fmt"

	"garb/results"
)

// Row is what a job has about a picture: a result or a failure.
type Row struct {
	Picture string           `json:"picture"`
	Index   int              `json:"index"`            // in its batch
	Line    json.RawMessage  `json:"line,omitempty"`   // of Classify: a results.Answer
	Vector  Vector           `json:"vector,omitempty"` // of Embed and Features
	SHA256  string           `json:"sha256,omitempty"` // of Features: of the picture's bytes
	Failure *results.Failure `json:"failure,omitempty"`
}

// Result returns the row in the form that package results writes.
func (r Row) Result() (results.Row, error) {
	switch {
	case r.Failure != nil:
		return results.PictureError{Picture: r.Picture, Error: *r.Failure}, nil
	case r.Line != nil:
		var a results.Answer
		if err := json.Unmarshal(r.Line, &a); err != nil {
			return nil, fmt.Errorf("%s: the row of the queue is damaged: %w", r.Picture, err)
		}
		return a, nil
	}
	return results.Embedding{Picture: r.Picture, Embedding: r.Vector}, nil
}
