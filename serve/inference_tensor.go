package serve

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"

	"garb/model"
	"garb/picture"
)

// Data types of the Open Inference Protocol.
const (
	typeBytes = "BYTES" // encoded pictures, names of classes
	typeFP32  = "FP32"
)

// inputs are what a request of the tensor protocols has: encoded pictures, or preprocessed values, one
// picture after another.
type inputs struct {
	pictures []upload
	values   []float32
}

// inputSpec describes the inputs that a model takes, and limits their number.
type inputSpec struct {
	spec     picture.Spec
	pictures int
	judges   bool // the model has acceptance
}

func (s *Server) inputSpec(v *version) inputSpec {
	return inputSpec{v.Spec(), s.config.MaxPictures, v.judges()}
}

// countPictures returns the number of pictures of a tensor: its first dimension.
func (e inputSpec) countPictures(datatype string, shape []int) (int, error) {
	fits := false
	switch datatype {
	case typeBytes:
		fits = len(shape) == 1 || len(shape) == 2 && shape[1] == 1
	case typeFP32:
		fits = len(shape) == 4 && slices.Equal(shape[1:], e.shape())
	default:
		return 0, fmt.Errorf("%w: the datatype %.20q: it must be BYTES, for pictures, or FP32, for values",
			errBadRequest, datatype)
	}
	if !fits || shape[0] < 1 {
		return 0, fmt.Errorf("%w: %s of shape %v: the model takes BYTES of shape [n] and FP32 of shape [n %d %d %d], "+
			"with n from 1", errBadRequest, datatype, shape, e.spec.Height, e.spec.Width, e.spec.Channels())
	}
	return shape[0], e.checkCount(shape[0])
}

// shape returns the shape of the values of one picture.
func (e inputSpec) shape() []int { return []int{e.spec.Height, e.spec.Width, e.spec.Channels()} }

// checkCount checks the number of pictures of a request.
func (e inputSpec) checkCount(n int) error {
	if n > e.pictures {
		return fmt.Errorf("%w: it has more than %d pictures", errTooLarge, e.pictures)
	}
	return nil
}

// decodeRaw decodes a binary tensor: little-endian floats, or for each picture its length and bytes.
func (e inputSpec) decodeRaw(datatype string, shape []int, data []byte) (in inputs, err error) {
	n, err := e.countPictures(datatype, shape)
	if err != nil {
		return in, err
	}
	if datatype == typeFP32 {
		if len(data) != 4*n*e.spec.ValueCount() {
			return in, fmt.Errorf("%w: %d bytes are not %d values", errBadRequest, len(data), n*e.spec.ValueCount())
		}
		in.values = make([]float32, n*e.spec.ValueCount())
		for i := range in.values {
			in.values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		return in, nil
	}
	for i := range n {
		if len(data) < 4 || uint64(len(data)-4) < uint64(binary.LittleEndian.Uint32(data)) {
			return inputs{},
				fmt.Errorf("%w: the data end within element %d; 4 bytes with its length precede each element",
					errBadRequest, i)
		}
		end := 4 + int(binary.LittleEndian.Uint32(data))
		in.pictures, data = append(in.pictures, upload{data: data[4:end]}), data[end:]
	}
	if len(data) > 0 {
		return inputs{}, fmt.Errorf("%w: %d bytes after the last of %d elements", errBadRequest, len(data), n)
	}
	return in, nil
}

// answerAll returns the answers about all inputs. It fails if one of them fails, since these
// protocols have no errors of single pictures.
func (s *Server) answerAll(ctx context.Context, v *version, in inputs) ([]*answer, error) {
	var answers []*answer
	var errs []error
	var err error
	if in.pictures != nil {
		answers, errs, err = s.classifyAll(ctx, v, in.pictures, classifyOptions{})
	} else {
		answers, errs, err = s.computeAll(ctx, v, in.values)
	}
	if err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err == nil && !allFinite(answers[i].outputs) {
			err = fmt.Errorf("%w: the values are too large for the model", errBadRequest)
		}
		if err != nil && len(errs) > 1 {
			err = fmt.Errorf("picture %d: %w", i, err)
		}
		if err != nil {
			return nil, err
		}
	}
	return answers, nil
}

// computeAll is classifyAll for values. It keeps them: the engine may read them after ctx has ended.
func (s *Server) computeAll(ctx context.Context, v *version, values []float32) ([]*answer, []error, error) {
	if !allFinite(values) {
		return nil, nil, fmt.Errorf("%w: the values are not all finite", errBadRequest)
	}
	length := v.Spec().ValueCount()
	return s.answerEach(ctx, v, len(values)/length, func(i int) (*answer, error) {
		a := &answer{}
		return a, s.compute(v, &job{ctx: ctx, input: values[i*length:][:length]}, nil, a)
	})
}

func allFinite(values []float32) bool {
	return !slices.ContainsFunc(values, func(v float32) bool {
		return v-v != 0 // of NaN and the infinities it is NaN
	})
}

// The names of the outputs.
const (
	outputLogits        = "logits"
	outputProbabilities = "probabilities"
	outputClass         = "class"
	outputAcceptance    = "acceptance" // of models with acceptance
)

// requestedOutput is an output that a request asks for.
type requestedOutput struct {
	name   string
	binary bool
	// top, if not 0, asks for this number of most probable classes instead of values: the
	// classification extension of Triton.
	top int
}

// outputNames returns the names of a model's outputs, in the order of responses.
func outputNames(judges bool) []string {
	names := []string{outputLogits, outputProbabilities, outputClass}
	if judges {
		names = append(names, outputAcceptance)
	}
	return names
}

// allOutputs returns the outputs for a request that names none.
func (e inputSpec) allOutputs(binary bool) (all []requestedOutput) {
	for _, name := range outputNames(e.judges) {
		all = append(all, requestedOutput{name: name, binary: binary})
	}
	return all
}

// checkOutputs checks the outputs that a request asks for.
func (e inputSpec) checkOutputs(all []requestedOutput) error {
	for i, o := range all {
		switch {
		case o.name == outputAcceptance && !e.judges:
			return fmt.Errorf("%w: there is no output %s: the model has no acceptance", errBadRequest,
				outputAcceptance)
		case !slices.Contains(outputNames(e.judges), o.name):
			return fmt.Errorf("%w: there is no output %.40q; the outputs are %s", errBadRequest, o.name,
				strings.Join(outputNames(e.judges), ", "))
		case slices.ContainsFunc(all[:i], func(before requestedOutput) bool { return before.name == o.name }):
			return fmt.Errorf("%w: the output %s is requested twice", errBadRequest, o.name)
		case o.top < 0 || o.top > 0 && o.name != outputLogits && o.name != outputProbabilities:
			return fmt.Errorf("%w: classification must be a number of classes, and goes with the outputs %s and %s",
				errBadRequest, outputLogits, outputProbabilities)
		}
	}
	return nil
}

// tensor is an output of a response.
type tensor struct {
	name, datatype string
	shape          []int
	floats         []float32
	texts          []string
}

// makeTensor returns an output for all pictures.
func makeTensor(v *version, answers []*answer, o requestedOutput) tensor {
	classes := len(v.Classes())
	t := tensor{name: o.name, datatype: typeFP32, shape: []int{len(answers), classes}}
	switch o.name {
	case outputClass:
		t.datatype, t.shape = typeBytes, t.shape[:1]
	case outputAcceptance:
		t.shape = t.shape[:1]
	}
	top := min(o.top, classes)
	if top > 0 {
		t.datatype, t.shape[1] = typeBytes, top
	}
	for _, a := range answers {
		values := a.logits
		if o.name == outputProbabilities {
			values = a.probabilities()
		}
		switch {
		case o.name == outputClass:
			t.texts = append(t.texts, a.Predictions[0].Class)
		case o.name == outputAcceptance:
			t.floats = append(t.floats, float32(a.Acceptance))
		case top > 0:
			for i, class := range model.Rank(a.logits)[:top] {
				t.texts = append(t.texts, fmt.Sprintf("%f:%d:%s", values[class], class, a.Predictions[i].Class))
			}
		default:
			t.floats = append(t.floats, values...)
		}
	}
	return t
}

// encodeRaw encodes a tensor in the form that inputSpec.decodeRaw decodes.
func (t tensor) encodeRaw() []byte {
	var data []byte
	for _, f := range t.floats {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(f))
	}
	for _, text := range t.texts {
		data = append(binary.LittleEndian.AppendUint32(data, uint32(len(text))), text...)
	}
	return data
}

// probabilities returns the probabilities in the order of the model's classes.
func (a *answer) probabilities() []float32 {
	all := make([]float32, len(a.logits))
	for i, class := range model.Rank(a.logits) {
		all[class] = float32(a.Predictions[i].Probability)
	}
	return all
}
