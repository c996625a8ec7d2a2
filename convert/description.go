package convert

import (
	"encoding/json"

	"garb/model"
	"garb/picture"
)

// WriteOptions say how Write writes a model.
type WriteOptions struct {
	// Preprocessing lets the written model take pictures that are decoded and resized, not
	// prepared: uint8, or float32 from 0 to 255 in a .keras file.
	Preprocessing bool
	// Int8 stores the weights of an ONNX model as garb's int8 files do, in a quarter to a
	// third of the space. It answers as such a file does, and computes in float32.
	Int8 bool
}

// Export says what Write wrote.
type Export struct {
	// Acceptance says that the file has the model's acceptance, as an additional output.
	Acceptance bool
	// DropReason says why the file does not have the model's acceptance; "" if it has, or if the
	// model has none.
	DropReason string
}

// FormatError says that Write cannot tell the format from the ending of a file's name.
type FormatError struct{ Path string }

func (e *FormatError) Error() string { return e.Path + " must end in .onnx, .keras or .tflite" }

// description is what files of other formats hold, under metadataKey, of what garb knows about a
// model.
type description struct {
	Classes       []string     `json:"classes"`
	Preprocessing picture.Spec `json:"preprocessing"`
	Temperature   float64      `json:"temperature,omitempty"`
	MultiLabel    bool         `json:"multi_label,omitempty"`
	// Threshold is the acceptance from which a picture is accepted, and Refusal describes one that
	// is not, if the file has an output for the acceptance.
	Threshold *float64 `json:"acceptance_threshold,omitempty"`
	Refusal   string   `json:"refusal,omitempty"`
	// Judges says that the model has an acceptance, even if the file does not have it.
	Judges bool `json:"judges,omitempty"`
	// Prepares says that the network of a .keras file prepares its pictures itself.
	Prepares bool   `json:"prepares,omitempty"`
	Digest   string `json:"digest"` // of garb's file
	// Signature is that of the model, even if the file has other names.
	Signature *model.Signature `json:"signature,omitempty"`
}

// parseDescription reads a description. It returns the zero value if there is none, or one that
// is not valid.
func parseDescription(text string) description {
	var d description
	if text == "" || json.Unmarshal([]byte(text), &d) != nil || d.Preprocessing.Validate() != nil {
		return description{}
	}
	if d.Signature != nil && d.Signature.Validate(len(d.Classes)) != nil {
		return description{}
	}
	return d
}
