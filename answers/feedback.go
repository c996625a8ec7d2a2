package answers

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Feedback tells the right class of an answered picture. It is what a client sends.
type Feedback struct {
	RequestID string `json:"request_id"`
	// Index or SHA256 says which picture of the request is meant: its position, from 0, or the
	// digest of its bytes in hexadecimal. Neither is needed if the request had one picture.
	Index  *int   `json:"index,omitempty"`
	SHA256 string `json:"sha256,omitempty"`
	// Class is the right class. The model need not have it.
	Class string `json:"class"`
	Note  string `json:"note,omitempty"`
}

// StoredFeedback is a line of the file of feedback: the feedback, and what was answered.
type StoredFeedback struct {
	RequestID string    `json:"request_id"`
	Index     int       `json:"index"`
	Time      time.Time `json:"time"`
	Class     string    `json:"class"` // the right one
	Note      string    `json:"note,omitempty"`
	Key       string    `json:"key,omitempty"` // the name of the API key
	Answered  string    `json:"answered"`      // the class that the model answered
	Model     Model     `json:"model"`
	Picture   Picture   `json:"picture"`
}

// Errors of feedback are of two kinds. The first is wrapped by errors about what the feedback says, the
// second by those about answers that are not there.
var (
	ErrFeedback = errors.New("invalid feedback")
	ErrUnknown  = errors.New("no such answer")
)

// ErrFeedbackFull says that the file of feedback has reached its maximum size.
var ErrFeedbackFull = errors.New("the file of feedback is full")

// ErrClosed says that the writer has been closed.
var ErrClosed = errors.New("the writer of answers is closed")

// FeedbackError says which field of a Feedback is invalid.
type FeedbackError struct {
	Field   string // its name in JSON; "" if the feedback is not valid JSON
	Message string
}

func (e *FeedbackError) Error() string {
	if e.Field == "" {
		return "the feedback " + e.Message
	}
	return fmt.Sprintf("the feedback's %s %s", e.Field, e.Message)
}

// Unwrap returns ErrFeedback.
func (e *FeedbackError) Unwrap() error { return ErrFeedback }

// UnknownRequestError says that no stored answer has the request id of a feedback: there was no such
// request, its answers were not chosen to be stored, or they are too old.
type UnknownRequestError struct{ RequestID string }

func (e *UnknownRequestError) Error() string {
	return fmt.Sprintf("no stored answer has the request id %q", e.RequestID)
}

// Unwrap returns ErrUnknown.
func (e *UnknownRequestError) Unwrap() error { return ErrUnknown }

// UnknownPictureError says that a request is known, but not the picture that a feedback means.
type UnknownPictureError struct {
	RequestID string
	// Several says that the request had several pictures and the feedback does not say which one
	// it means.
	Several bool
}

func (e *UnknownPictureError) Error() string {
	if e.Several {
		return fmt.Sprintf("the request %q had several pictures, and the feedback does not say which one it means",
			e.RequestID)
	}
	return fmt.Sprintf("the request %q had no such picture", e.RequestID)
}

// Unwrap returns ErrFeedback if the feedback says too little, and ErrUnknown otherwise.
func (e *UnknownPictureError) Unwrap() error {
	if e.Several {
		return ErrFeedback
	}
	return ErrUnknown
}

// Limits of feedback.
const (
	maxFeedback    = 1 << 14 // bytes of JSON
	maxClassLength = 100     // characters
	maxNoteLength  = 1000    // characters
)

// ParseFeedback decodes feedback from JSON and checks it. Errors are *FeedbackError.
func ParseFeedback(data []byte) (Feedback, error) {
	var f Feedback
	if len(data) > maxFeedback {
		return f, &FeedbackError{"", fmt.Sprintf("is longer than %d bytes", maxFeedback)}
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(&f); err != nil {
		return f, &FeedbackError{"", "is not valid JSON: " + strings.TrimPrefix(err.Error(), "json: ")}
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return f, &FeedbackError{"", "is followed by something else"}
	}
	return f, f.Validate()
}

// Validate reports the first invalid field. Its errors are *FeedbackError.
func (f Feedback) Validate() error {
	switch {
	case f.RequestID == "":
		return &FeedbackError{"request_id", "is missing"}
	case len(f.RequestID) > maxNameLength:
		return &FeedbackError{"request_id", fmt.Sprintf("is longer than %d bytes", maxNameLength)}
	case f.Index != nil && *f.Index < 0:
		return &FeedbackError{"index", "is negative"}
	case f.SHA256 != "" && !isSHA256(f.SHA256):
		return &FeedbackError{"sha256", "is not 64 hexadecimal digits in lower case"}
	case utf8.RuneCountInString(f.Note) > maxNoteLength:
		return &FeedbackError{"note", fmt.Sprintf("is longer than %d characters", maxNoteLength)}
	case !utf8.ValidString(f.Note):
		return &FeedbackError{"note", "is not valid UTF-8"}
	}
	if problem := checkClass(f.Class); problem != "" {
		return &FeedbackError{"class", problem}
	}
	return nil
}

// checkClass says what is wrong with the name of a class, "" if nothing is. A data set must be able
// to have it.
func checkClass(class string) string {
	switch {
	case strings.TrimSpace(class) == "":
		return "is missing"
	case utf8.RuneCountInString(class) > maxClassLength:
		return fmt.Sprintf("is longer than %d characters", maxClassLength)
	case strings.TrimSpace(class) != class:
		return "begins or ends with a space"
	case !utf8.ValidString(class) || strings.ContainsFunc(class, func(r rune) bool { return !unicode.IsPrint(r) }):
		return "has unprintable characters"
	case !strings.ContainsFunc(class, func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }):
		return "has neither a letter nor a digit"
	}
	return ""
}

// decodeFeedback decodes and checks a line of feedback.
func decodeFeedback(line []byte) (*StoredFeedback, error) {
	f := new(StoredFeedback)
	if err := json.Unmarshal(line, f); err != nil {
		return nil, fmt.Errorf("not feedback: %w", err)
	}
	p := f.Picture
	switch {
	case f.Time.IsZero():
		return nil, errors.New("no time")
	case p.SHA256 != "" && !isSHA256(p.SHA256):
		return nil, fmt.Errorf("picture digest %.80q", p.SHA256)
	case p.File != "" && !isPictureFile(p.File, p.SHA256):
		return nil, fmt.Errorf("picture file %.120q", p.File)
	}
	if problem := checkClass(f.Class); problem != "" {
		return nil, &FeedbackError{"class", problem}
	}
	return f, nil
}
