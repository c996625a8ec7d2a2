package convert

import (
	"encoding/json"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"garb"
	"garb/internal/safefile"
	"garb/keras"
	"garb/onnx"
	"garb/picture"
)

// WriteOptions are how a model is written.
type WriteOptions struct {
	// Preprocessing lets an ONNX model begin with uint8 pictures of its size, as they are
	// decoded and resized, not with prepared values.
	Preprocessing bool
	// Int8 stores the weights of an ONNX model as garb's int8 files do, in a quarter to a
	// third of the space. It answers as such a file, computing in float32.
	Int8 bool
}

// description is what files of other formats hold of what garb knows, under metadataKey.
type description struct {
	Classes       []string     `json:"classes"`
	Preprocessing picture.Spec `json:"preprocessing"`
	Temperature   float64      `json:"temperature,omitempty"`
	Digest        string       `json:"digest"` // of garb's file
}

// described reads a description back; ok is false if there is none that can be used.
func described(text string) (d description, ok bool) {
	if text == "" || json.Unmarshal([]byte(text), &d) != nil || d.Preprocessing.Validate() != nil {
		return description{}, false
	}
	return d, true
}

// FormatError says that a file's name does not tell a format that garb writes.
type FormatError struct{ Path string }

func (e *FormatError) Error() string {
	return fmt.Sprintf("%s is to end in .safetensors, .onnx or .keras, which says what is written", e.Path)
}

// Write writes a model for other programs, all or nothing: by the ending of path an ONNX
// model or a .keras archive. Errors are *FormatError, those of packages onnx and keras, or
// the file system's.
func Write(path string, c *garb.Classifier, o WriteOptions) error {
	n, err := c.Network()
	if err != nil {
		return err
	}
	spec, temperature := c.Spec(), c.Model().Temperature
	text, err := json.Marshal(description{c.Classes(), spec, temperature, c.Digest()})
	if err != nil {
		return err
	}
	metadata := map[string]string{metadataKey: string(text)}
	var write func(w io.Writer) error
	switch strings.ToLower(filepath.Ext(path)) {
	case ".onnx":
		options := onnx.Options{
			Temperature: temperature, Int8: o.Int8, Metadata: metadata, ProducerVersion: garb.Version,
			Doc: fmt.Sprintf("%s: %d classes; pictures of %d × %d, %v, (x − %v) / %v", c.Name(), len(c.Classes()), spec.Width, spec.Height, spec.Filter, spec.Mean, spec.Std),
		}
		options.Metadata["classes"] = strings.Join(c.Classes(), "\n")
		if o.Preprocessing {
			options.Preprocessing = &onnx.Preprocessing{Mean: spec.Mean, Std: spec.Std}
		}
		write = func(w io.Writer) error { return onnx.Write(w, n, options) }
	case ".keras":
		if o.Preprocessing {
			return fmt.Errorf("%s: preprocessing goes into ONNX files alone", path)
		}
		if o.Int8 {
			return fmt.Errorf("%s: weights of int8 go into ONNX files alone", path)
		}
		write = func(w io.Writer) error {
			return keras.Write(w, n, keras.WriteOptions{Name: c.Name(), Probabilities: true, Temperature: temperature, Metadata: metadata})
		}
	default:
		return &FormatError{path}
	}
	return safefile.Write(path, write)
}
