// Package answers keeps a service's answers in a folder, to look at them later: to compare them
// with the answers on a reference data set (drift), and to collect the right classes that people
// send back (feedback).
//
// A folder has files of JSON lines, answers-TIME.jsonl, with one Record per line; feedback.jsonl
// with one StoredFeedback per line; and, if pictures are kept, pictures/ab/ab….jpg, named by the
// SHA-256 of their bytes. One process writes a folder, with a Writer. Any process may read it.
package answers

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path"
	"slices"
	"time"

	"garb/model"
	"garb/picture"
)

// Record is an answer to one picture.
type Record struct {
	// RequestID and Index identify the picture: Index counts the pictures of a request from 0.
	RequestID string    `json:"request_id"`
	Index     int       `json:"index"`
	Time      time.Time `json:"time"`
	TraceID   string    `json:"trace_id,omitempty"`
	Key       string    `json:"key,omitempty"` // the name of the API key
	Model     Model     `json:"model"`
	Picture   Picture   `json:"picture"`

	Class string `json:"class"` // the most probable one
	// Predictions are the most probable classes, in order.
	Predictions []Prediction `json:"predictions"`
	// Acceptance and Accepted are nil if the model does not judge whether a picture shows any
	// of its classes.
	Acceptance *float64 `json:"acceptance,omitempty"`
	Accepted   *bool    `json:"accepted,omitempty"`
	// Labels are those of a multi-label model, perhaps none, and nil for other models.
	Labels []string `json:"labels,omitzero"`
	// Set is the prediction set, nil if the model has none.
	Set       []string  `json:"set,omitzero"`
	Embedding Embedding `json:"embedding,omitzero"`
}

// SetAnswer sets what a model says about the picture.
func (r *Record) SetAnswer(a model.Answer) {
	r.Class, r.Labels, r.Set = a.Predictions[0].Class, a.Labels, a.Set
	r.Predictions = make([]Prediction, len(a.Predictions))
	for i, p := range a.Predictions {
		r.Predictions[i] = Prediction{p.Class, p.Probability}
	}
	if a.Judged {
		r.Acceptance, r.Accepted = &a.Acceptance, &a.Accepted
	}
}

// Model identifies the model that answered.
type Model struct {
	Name    string `json:"name"`
	Version int    `json:"version,omitempty"`
	Digest  string `json:"digest"` // "sha256:" and 64 digits
}

// Picture describes a picture.
type Picture struct {
	// SHA256 is the digest of its bytes in hexadecimal; "" if the request had no encoded picture.
	SHA256 string `json:"sha256,omitempty"`
	Bytes  int    `json:"bytes,omitempty"`
	Format string `json:"format,omitempty"` // such as "jpeg"; "" if unknown
	Width  int    `json:"width,omitempty"`
	Height int    `json:"height,omitempty"`
	// File is the path of the kept picture below the folder of answers, with slashes; "" if the
	// picture was not kept.
	File string `json:"file,omitempty"`
}

// Prediction is a class with its probability.
type Prediction struct {
	Class       string  `json:"class"`
	Probability float64 `json:"probability"`
}

// Embedding is a feature vector. In JSON it is a string: the values as little-endian float32, in
// base64.
type Embedding []float32

// maxEmbedding is the maximum number of values of an embedding.
const maxEmbedding = 1 << 16

// MarshalText implements encoding.TextMarshaler.
func (e Embedding) MarshalText() ([]byte, error) {
	raw := make([]byte, 0, 4*len(e))
	for _, v := range e {
		raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
	}
	return base64.StdEncoding.AppendEncode(nil, raw), nil
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *Embedding) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	if err != nil || len(raw)%4 != 0 || len(raw) > 4*maxEmbedding {
		return errors.New("the embedding is not float32 values in base64")
	}
	*e = make(Embedding, len(raw)/4)
	for i := range *e {
		(*e)[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return nil
}

// Limits of what a record holds.
const (
	maxNameLength = 256     // bytes of a name or an identifier
	maxLine       = 1 << 20 // bytes of a line
)

// Validate reports the first field without a sensible value.
func (r *Record) Validate() error {
	switch {
	case r.RequestID == "" || len(r.RequestID) > maxNameLength:
		return fmt.Errorf("a request id of %d bytes", len(r.RequestID))
	case r.Index < 0:
		return fmt.Errorf("index %d", r.Index)
	case r.Time.IsZero():
		return errors.New("no time")
	case r.Class == "":
		return errors.New("no class")
	case r.Picture.SHA256 != "" && !isSHA256(r.Picture.SHA256):
		return fmt.Errorf("picture digest %.80q", r.Picture.SHA256)
	case r.Picture.File != "" && !isPictureFile(r.Picture.File, r.Picture.SHA256):
		return fmt.Errorf("picture file %.120q", r.Picture.File)
	case r.Acceptance != nil && !(*r.Acceptance >= 0 && *r.Acceptance <= 1):
		return fmt.Errorf("acceptance %v", *r.Acceptance)
	}
	for _, p := range r.Predictions {
		if !(p.Probability >= 0 && p.Probability <= 1) {
			return fmt.Errorf("probability %v", p.Probability)
		}
	}
	for _, v := range r.Embedding {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("embedding with the value %v", v)
		}
	}
	return nil
}

// encode returns the record as a line.
func (r *Record) encode() ([]byte, error) {
	if err := r.Validate(); err != nil {
		return nil, err
	}
	return encodeLine(r)
}

// errLineTooLong reports a record that is too long for a line.
var errLineTooLong = fmt.Errorf("a line is longer than %d bytes", maxLine)

func encodeLine(v any) ([]byte, error) {
	line, err := json.Marshal(v)
	if err == nil && len(line) >= maxLine {
		err = errLineTooLong
	}
	return append(line, '\n'), err
}

// isSHA256 reports whether text is a SHA-256 in lower-case hexadecimal.
func isSHA256(text string) bool {
	if len(text) != 64 {
		return false
	}
	for _, c := range text {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return true
}

// namePicture returns the path of a kept picture below the folder, with slashes.
func namePicture(digest, format string) string {
	extension := ""
	if all := picture.Format(format).Extensions(); len(all) > 0 {
		extension = all[0]
	}
	return path.Join(picturesFolder, digest[:2], digest+extension)
}

// isPictureFile reports whether a path is one that namePicture returns for a digest.
func isPictureFile(file, digest string) bool {
	if !isSHA256(digest) {
		return false
	}
	stem := namePicture(digest, "")
	if file == stem {
		return true
	}
	return slices.ContainsFunc(picture.Formats(), func(f picture.Format) bool {
		return file == namePicture(digest, string(f))
	})
}

// formatDigest returns a SHA-256 in hexadecimal.
func formatDigest(digest [32]byte) string { return hex.EncodeToString(digest[:]) }
