package serve

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"slices"
	"strings"
	"sync"

	"garb/model"
	"garb/picture"
)

// Data types of the Open Inference Protocol.
const (
	typeBytes = "BYTES" // encoded pictures, names of classes
	typeFP32  = "FP32"
)

// batch is what a request of the tensor protocols asks about: pictures, or the values that
// a model's Spec makes of pictures, one input after another.
type batch struct {
	pictures []sent
	values   []float32
}

// expected is what a model takes, and how much of it.
type expected struct {
	spec     picture.Spec
	pictures int
	judges   bool // whether it can be asked for the acceptance
}

func (s *Server) expects(v *version) expected {
	return expected{v.Spec(), s.config.MaxPictures, v.judges()}
}

// count returns how many pictures a tensor has: its first dimension.
func (e expected) count(datatype string, shape []int) (int, error) {
	fits := false
	switch datatype {
	case typeBytes:
		fits = len(shape) == 1 || len(shape) == 2 && shape[1] == 1
	case typeFP32:
		fits = len(shape) == 4 && slices.Equal(shape[1:], e.shape())
	default:
		return 0, fmt.Errorf("%w: a tensor of type %.20q; it is BYTES, of pictures, or FP32, of values",
			errBadRequest, datatype)
	}
	if !fits || shape[0] < 1 {
		return 0,
			fmt.Errorf("%w: %s of shape %v; the model takes BYTES of shape [n] and FP32 of shape [n %d %d 3], n from 1", errBadRequest, datatype, shape, e.spec.Height, e.spec.Width)
	}
	return shape[0], e.few(shape[0])
}

// shape is that of the values of one picture.
func (e expected) shape() []int { return []int{e.spec.Height, e.spec.Width, e.spec.Channels()} }

func (e expected) few(n int) error {
	if n > e.pictures {
		return fmt.Errorf("%w: it has more than %d pictures", errTooLarge, e.pictures)
	}
	return nil
}

// raw reads a tensor's bytes: little-endian floats, or each element after its length.
func (e expected) raw(datatype string, shape []int, data []byte) (b batch, err error) {
	n, err := e.count(datatype, shape)
	if err != nil {
		return b, err
	}
	if datatype == typeFP32 {
		if len(data) != 4*n*e.spec.ValueCount() {
			return b, fmt.Errorf("%w: %d bytes for %d values", errBadRequest, len(data), n*e.spec.ValueCount())
		}
		b.values = make([]float32, n*e.spec.ValueCount())
		for i := range b.values {
			b.values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		return b, nil
	}
	for i := range n {
		if len(data) < 4 || uint64(len(data)-4) < uint64(binary.LittleEndian.Uint32(data)) {
			return batch{},
				fmt.Errorf("%w: its data end within element %d; before each element are 4 bytes with its length",
					errBadRequest, i)
		}
		end := 4 + int(binary.LittleEndian.Uint32(data))
		b.pictures, data = append(b.pictures, sent{data: data[4:end]}), data[end:]
	}
	if len(data) > 0 {
		return batch{}, fmt.Errorf("%w: %d bytes after the last of %d elements", errBadRequest, len(data), n)
	}
	return b, nil
}

// answers answers about a batch, all of it or not at all: these protocols have no errors
// of single pictures.
func (s *Server) answers(ctx context.Context, v *version, b batch) ([]*answer, error) {
	var answers []*answer
	var errs []error
	var err error
	if b.pictures != nil {
		answers, errs, err = s.classifyAll(ctx, v, b.pictures, question{})
	} else {
		answers, errs, err = s.computeAll(ctx, v, b.values)
	}
	if err != nil {
		return nil, err
	}
	for i, err := range errs {
		if err == nil && !finite(answers[i].outputs) {
			err = fmt.Errorf("%w: its values are too large for the model", errBadRequest)
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

// computeAll is classifyAll for values. It keeps them: the engine may read them after ctx
// has ended.
func (s *Server) computeAll(ctx context.Context, v *version, values []float32) ([]*answer, []error, error) {
	if !finite(values) {
		return nil, nil, fmt.Errorf("%w: its values are not all numbers", errBadRequest)
	}
	length := v.Spec().ValueCount()
	n := len(values) / length
	release, err := s.admit(n)
	if err != nil {
		return nil, nil, err
	}
	defer release()
	answers, errs := make([]*answer, n), make([]error, n)
	var wait sync.WaitGroup
	for i := range n {
		answers[i] = &answer{}
		wait.Go(func() {
			errs[i] = v.guarded(func() error {
				return s.compute(v, &job{ctx: ctx, input: values[i*length:][:length]}, nil, answers[i])
			})
		})
	}
	wait.Wait()
	return answers, errs, ctx.Err()
}

func finite(values []float32) bool {
	return !slices.ContainsFunc(values, func(v float32) bool {
		return v-v != 0 // of NaN and the infinities it is NaN
	})
}

// Outputs, as the protocols name them.
const (
	outputLogits        = "logits"
	outputProbabilities = "probabilities"
	outputClass         = "class"
	outputAcceptance    = "acceptance" // of models that judge
)

// wanted is an output that a request asks for.
type wanted struct {
	name   string
	binary bool
	// top, if not 0, asks for so many classes instead of values, the most probable first:
	// Triton's classification.
	top int
}

// outputNames are the outputs of a model, in the order that they are answered in.
func outputNames(judges bool) []string {
	names := []string{outputLogits, outputProbabilities, outputClass}
	if judges {
		names = append(names, outputAcceptance)
	}
	return names
}

// everything are the outputs of requests that name none.
func (e expected) everything(binary bool) (all []wanted) {
	for _, name := range outputNames(e.judges) {
		all = append(all, wanted{name: name, binary: binary})
	}
	return all
}

// checkWanted refuses what is no output, before any work.
func (e expected) checkWanted(all []wanted) error {
	for i, o := range all {
		switch {
		case o.name == outputAcceptance && !e.judges:
			return fmt.Errorf("%w: there is no output %s: the model does not judge whether a picture shows any of "+
				"its classes", errBadRequest, outputAcceptance)
		case !slices.Contains(outputNames(e.judges), o.name):
			return fmt.Errorf("%w: there is no output %.40q; there are %s", errBadRequest, o.name,
				strings.Join(outputNames(e.judges), ", "))
		case slices.ContainsFunc(all[:i], func(before wanted) bool { return before.name == o.name }):
			return fmt.Errorf("%w: it asks for %s twice", errBadRequest, o.name)
		case o.top < 0 || o.top > 0 && o.name != outputLogits && o.name != outputProbabilities:
			return fmt.Errorf("%w: classification is a number of classes, of %s or %s", errBadRequest, outputLogits,
				outputProbabilities)
		}
	}
	return nil
}

// tensor is an output.
type tensor struct {
	name, datatype string
	shape          []int
	floats         []float32
	texts          []string
}

// tensorOf is an output about all pictures.
func tensorOf(v *version, answers []*answer, o wanted) tensor {
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

// raw is the bytes of a tensor, as expected.raw reads them.
func (t tensor) raw() []byte {
	var data []byte
	for _, f := range t.floats {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(f))
	}
	for _, text := range t.texts {
		data = append(binary.LittleEndian.AppendUint32(data, uint32(len(text))), text...)
	}
	return data
}

// probabilities are those of all classes in the model's order.
func (a *answer) probabilities() []float32 {
	all := make([]float32, len(a.logits))
	for i, class := range model.Rank(a.logits) {
		all[class] = float32(a.Predictions[i].Probability)
	}
	return all
}
