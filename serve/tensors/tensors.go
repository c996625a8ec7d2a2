// Package tensors is what the protocols of tensors share: pictures or values as inputs, answers as
// outputs, and JSON that is parsed in place.
package tensors

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"garb/model"
	"garb/picture"
	"garb/serve/engine"
	"garb/serve/registry"
	"garb/serve/request"
)

// Data types of the Open Inference Protocol.
const (
	Bytes = "BYTES" // encoded pictures, names of classes
	FP32  = "FP32"
)

// Inputs are the inputs of a request: encoded pictures, or preprocessed values, one picture after
// another.
type Inputs struct {
	Pictures [][]byte
	Values   []float32
}

// InputSpec describes the inputs that a model takes, and limits their number.
type InputSpec struct {
	Spec        picture.Spec
	MaxPictures int
	Judges      bool // the model has acceptance
}

// NewInputSpec returns the input specification of a model; a request may have maxPictures.
func NewInputSpec(v *registry.Version, maxPictures int) InputSpec {
	return InputSpec{v.Spec(), maxPictures, v.Judges()}
}

// CountPictures returns the number of pictures of a tensor: its first dimension. It fails if the model
// does not take such tensors.
func (e InputSpec) CountPictures(datatype string, shape []int) (int, error) {
	fits := false
	switch datatype {
	case Bytes:
		fits = len(shape) == 1 || len(shape) == 2 && shape[1] == 1
	case FP32:
		fits = len(shape) == 4 && slices.Equal(shape[1:], e.Shape())
	default:
		return 0, fmt.Errorf("%w: the datatype %.20q: it must be BYTES, for pictures, or FP32, for values",
			request.ErrInvalid, datatype)
	}
	if !fits || shape[0] < 1 {
		return 0, fmt.Errorf("%w: %s of shape %v: the model takes BYTES of shape [n] and FP32 of shape [n %d %d %d], "+
			"with n from 1", request.ErrInvalid, datatype, shape, e.Spec.Height, e.Spec.Width, e.Spec.Channels())
	}
	return shape[0], e.CheckCount(shape[0])
}

// Shape returns the shape of the values of one picture: height, width, channels.
func (e InputSpec) Shape() []int { return []int{e.Spec.Height, e.Spec.Width, e.Spec.Channels()} }

// CheckCount checks the number of pictures of a request.
func (e InputSpec) CheckCount(n int) error {
	if n > e.MaxPictures {
		return fmt.Errorf("%w: it has more than %d pictures", request.ErrTooLarge, e.MaxPictures)
	}
	return nil
}

// DecodeRaw decodes a binary tensor: little-endian floats, or for each picture its length and bytes.
func (e InputSpec) DecodeRaw(datatype string, shape []int, data []byte) (in Inputs, err error) {
	n, err := e.CountPictures(datatype, shape)
	if err != nil {
		return in, err
	}
	if datatype == FP32 {
		if len(data) != 4*n*e.Spec.ValueCount() {
			return in, fmt.Errorf("%w: %d bytes are not %d values", request.ErrInvalid, len(data),
				n*e.Spec.ValueCount())
		}
		in.Values = make([]float32, n*e.Spec.ValueCount())
		for i := range in.Values {
			in.Values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		return in, nil
	}
	for i := range n {
		if len(data) < 4 || uint64(len(data)-4) < uint64(binary.LittleEndian.Uint32(data)) {
			return Inputs{},
				fmt.Errorf("%w: the data end within element %d; 4 bytes with its length precede each element",
					request.ErrInvalid, i)
		}
		end := 4 + int(binary.LittleEndian.Uint32(data))
		in.Pictures, data = append(in.Pictures, data[4:end]), data[end:]
	}
	if len(data) > 0 {
		return Inputs{}, fmt.Errorf("%w: %d bytes after the last of %d elements", request.ErrInvalid, len(data), n)
	}
	return in, nil
}

// Answer returns the answers about all inputs; options are only for pictures. It fails if one of them
// fails, since the protocols of tensors have no errors of single pictures.
func Answer(
	ctx context.Context, b *request.Backend, v *registry.Version, in Inputs, options engine.Options,
) (answers []*engine.Answer, err error) {
	var errs []error
	if in.Pictures != nil {
		answers, errs, err = b.Classify(ctx, v, in.Pictures, options)
	} else {
		answers, errs, err = b.Compute(ctx, v, in.Values)
	}
	if err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err != nil && len(errs) > 1 {
			err = fmt.Errorf("picture %d: %w", i, err)
		}
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// Picture is the name of the input of pictures.
const Picture = "picture"

// The names of the outputs.
const (
	Logits        = "logits"
	Probabilities = "probabilities"
	Class         = "class"
	Acceptance    = "acceptance" // of models with acceptance
)

// Output is an output that a request asks for.
type Output struct {
	Name   string
	Binary bool
	// Top, if not 0, asks for this number of most probable classes instead of values: the
	// classification extension of Triton.
	Top int
}

// outputNames returns the names of the model's outputs, in the order of responses.
func (e InputSpec) outputNames() []string {
	names := []string{Logits, Probabilities, Class}
	if e.Judges {
		names = append(names, Acceptance)
	}
	return names
}

// AllOutputs returns the outputs for a request that names none.
func (e InputSpec) AllOutputs(binary bool) (all []Output) {
	for _, name := range e.outputNames() {
		all = append(all, Output{Name: name, Binary: binary})
	}
	return all
}

// CheckOutputs checks the outputs that a request asks for.
func (e InputSpec) CheckOutputs(all []Output) error {
	for i, o := range all {
		switch {
		case o.Name == Acceptance && !e.Judges:
			return fmt.Errorf("%w: there is no output %s: the model has no acceptance", request.ErrInvalid,
				Acceptance)
		case !slices.Contains(e.outputNames(), o.Name):
			return fmt.Errorf("%w: there is no output %.40q; the outputs are %s", request.ErrInvalid, o.Name,
				strings.Join(e.outputNames(), ", "))
		case slices.ContainsFunc(all[:i], func(before Output) bool { return before.Name == o.Name }):
			return fmt.Errorf("%w: the output %s is requested twice", request.ErrInvalid, o.Name)
		case o.Top < 0 || o.Top > 0 && o.Name != Logits && o.Name != Probabilities:
			return fmt.Errorf("%w: classification must be a number of classes, and goes with the outputs %s and %s",
				request.ErrInvalid, Logits, Probabilities)
		}
	}
	return nil
}

// Metadata describes a tensor; −1 in the shape stands for any number.
type Metadata struct {
	Name     string `json:"name"`
	Datatype string `json:"datatype"`
	Shape    []int  `json:"shape"`
}

// Describe describes a model's inputs, of which a request has one, and its outputs. The input of values has
// the name of the model's signature.
func Describe(v *registry.Version) (inputs, outputs []Metadata) {
	spec, classes, values := v.Spec(), len(v.Classes()), v.Signature().Input
	if values == Picture { // names must differ
		values = "input"
	}
	inputs = []Metadata{{Picture, Bytes, []int{-1}},
		{values, FP32, []int{-1, spec.Height, spec.Width, spec.Channels()}}}
	outputs = []Metadata{{Logits, FP32, []int{-1, classes}}, {Probabilities, FP32, []int{-1, classes}},
		{Class, Bytes, []int{-1}}}
	if v.Judges() {
		outputs = append(outputs, Metadata{Acceptance, FP32, []int{-1}})
	}
	return inputs, outputs
}

// Tensor is an output of a response.
type Tensor struct {
	Metadata
	Floats []float32
	Texts  []string
}

// Collect returns an output for all pictures.
func Collect(v *registry.Version, answers []*engine.Answer, o Output) Tensor {
	classes := len(v.Classes())
	t := Tensor{Metadata: Metadata{o.Name, FP32, []int{len(answers), classes}}}
	switch o.Name {
	case Class:
		t.Datatype, t.Shape = Bytes, t.Shape[:1]
	case Acceptance:
		t.Shape = t.Shape[:1]
	}
	top := min(o.Top, classes)
	if top > 0 {
		t.Datatype, t.Shape[1] = Bytes, top
	}
	for _, a := range answers {
		values := a.Logits
		if o.Name == Probabilities {
			values = a.Probabilities()
		}
		switch {
		case o.Name == Class:
			t.Texts = append(t.Texts, a.Predictions[0].Class)
		case o.Name == Acceptance:
			t.Floats = append(t.Floats, float32(a.Acceptance))
		case top > 0:
			for i, class := range model.Rank(a.Logits)[:top] {
				t.Texts = append(t.Texts, fmt.Sprintf("%f:%d:%s", values[class], class, a.Predictions[i].Class))
			}
		default:
			t.Floats = append(t.Floats, values...)
		}
	}
	return t
}

// EncodeRaw encodes a tensor in the form that InputSpec.DecodeRaw decodes.
func (t Tensor) EncodeRaw() []byte {
	var data []byte
	for _, f := range t.Floats {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(f))
	}
	for _, text := range t.Texts {
		data = append(binary.LittleEndian.AppendUint32(data, uint32(len(text))), text...)
	}
	return data
}
