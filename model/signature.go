package model

import (
	"cmp"
	"fmt"
	"unicode"
	"unicode/utf8"
)

// Signature says what another program's file calls the input and the output of its network, and
// what the output holds. Clients that were written for that file know its model by these.
type Signature struct {
	// Input and Output are "" if the file does not name them, or if ValidTensorName refuses the name.
	Input  string       `json:"input,omitempty"`
	Output string       `json:"output,omitempty"`
	Values OutputValues `json:"values"`
}

// OutputValues is what the output of a network holds.
type OutputValues string

// What an output holds: one number for each class, or a single number that is about the second of
// two classes.
const (
	Logits        OutputValues = "logits"
	Probabilities OutputValues = "probabilities"
	Logit         OutputValues = "logit"
	Probability   OutputValues = "probability"
)

// MaxTensorNameBytes is the length of the longest name of an input or output.
const MaxTensorNameBytes = 128

// ValidTensorName reports whether a name may be that of an input or output: 1 to
// MaxTensorNameBytes bytes of printable UTF-8.
func ValidTensorName(name string) bool {
	if name == "" || len(name) > MaxTensorNameBytes || !utf8.ValidString(name) {
		return false
	}
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return false
		}
	}
	return true
}

// SetNames sets the names of the input and the output. It leaves out those that ValidTensorName
// refuses.
func (s *Signature) SetNames(input, output string) {
	s.Input, s.Output = "", ""
	if ValidTensorName(input) {
		s.Input = input
	}
	if ValidTensorName(output) && output != input {
		s.Output = output
	}
}

// Validate reports names that ValidTensorName refuses, and values that do not fit the number of
// classes.
func (s *Signature) Validate(classes int) error {
	for _, name := range []string{s.Input, s.Output} {
		if name != "" && !ValidTensorName(name) {
			return fmt.Errorf("the name %.40q of its input or output is too long, or not printable", name)
		}
	}
	if s.Input == s.Output && s.Input != "" {
		return fmt.Errorf("its input and its output are both named %q", s.Input)
	}
	switch s.Values {
	case Logits, Probabilities:
		return nil
	case Logit, Probability:
		if classes == 2 {
			return nil
		}
	}
	return fmt.Errorf("its output of %d classes holds %.40q", classes, s.Values)
}

// Output returns what the file that the model was converted from returns for a picture with
// these logits: see Signature.Values. Models that were not converted return probabilities.
func (d *Description) Output(logits []float32) []float32 {
	values := Probabilities
	if d.Signature != nil {
		values = d.Signature.Values
	}
	switch values {
	case Logits:
		return logits
	case Logit:
		return []float32{logits[1] - logits[0]}
	}
	probabilities := make([]float32, len(logits))
	for i, p := range d.Probabilities(logits) {
		probabilities[i] = float32(p)
	}
	if values == Probability {
		return probabilities[1:]
	}
	return probabilities
}

// OutputLength returns the number of values that Description.Output returns for a model of so many classes.
func (s Signature) OutputLength(classes int) int {
	if s.Values == Logit || s.Values == Probability {
		return 1
	}
	return classes
}

// Signature returns the model's signature. Names that it does not have are the usual ones: "input",
// and "logits" or "probabilities".
func (c *Classifier) Signature() Signature {
	s := Signature{Values: Probabilities}
	if own := c.description.Signature; own != nil {
		s = *own
	}
	usual := "probabilities"
	if s.Values == Logits || s.Values == Logit {
		usual = "logits"
	}
	s.Input, s.Output = cmp.Or(s.Input, "input"), cmp.Or(s.Output, usual)
	return s
}

// SignatureOutput returns the output of the signature for a row of Outputs: see Description.Output.
func (c *Classifier) SignatureOutput(row []float32) []float32 {
	return c.description.Output(row[:len(c.description.Classes)])
}
