package serve

import (
	"bytes"
	"context"
	"encoding/base64"
	"image/png"
	"time"

	"garb/explain"
	"garb/model"
	"garb/picture"
)

// answer is a model's answer about a picture.
type answer struct {
	model.Answer
	outputs []float32 // the model's outputs, which begin with the logits
	logits  []float32 // of the classes
	heat    string    // the heat map as a data URL, "" if there is none

	decode, wait, inference time.Duration
}

// classify decodes a picture, once it has its place in the queue, and classifies it with the model.
func (s *Server) classify(ctx context.Context, v *version, data []byte, options classifyOptions) (*answer, error) {
	began := time.Now()
	select {
	case s.decoders <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	a := &answer{wait: time.Since(began)}
	began = time.Now()
	input := v.inputs.Get().(*[]float32)
	info, err := func() (picture.Info, error) {
		defer func() { <-s.decoders }()
		if err := ctx.Err(); err != nil {
			return picture.Info{}, err
		}
		return v.Spec().Load(ctx, data, s.config.Limits, *input)
	}()
	if err != nil {
		v.inputs.Put(input)
		return nil, err
	}
	a.decode = time.Since(began)
	j := &job{ctx: ctx, input: *input, explanation: options.explanation}
	if err = s.compute(v, j, options.threshold, a); err != nil {
		return nil, err
	}
	v.inputs.Put(input)
	if j.heat != nil {
		width, height := info.Upright()
		if a.heat, err = dataURL(j.heat, v.Spec(), width, height); err != nil {
			return nil, err
		}
	}
	s.metrics.observeStage(stageDecode, a.decode)
	return a, nil
}

// compute runs the model on an input, and completes the answer. threshold is the threshold of
// acceptance; nil means the model's.
func (s *Server) compute(v *version, j *job, threshold *float64, a *answer) error {
	if err := v.infer(j); err != nil {
		return err
	}
	a.outputs, a.logits, a.Answer = j.outputs, j.outputs[:v.classes], v.Answer(j.outputs)
	if a.Judged && threshold != nil {
		a.Accepted = a.Acceptance >= *threshold
	}
	a.wait, a.inference = a.wait+j.wait, j.inference
	s.metrics.observeStage(stageQueue, a.wait)
	s.metrics.observeStage(stageInference, a.inference)
	s.metrics.count(predictions, v.name, a.Predictions[0].Class)
	if a.refused() {
		s.metrics.count(refusals, v.name)
	}
	return nil
}

// refused reports whether the model judges that the picture shows none of its classes.
func (a *answer) refused() bool { return a.Judged && !a.Accepted }

// dataURL returns a heat map as a data URL of a PNG.
func dataURL(m *model.ActivationMap, spec picture.Spec, width, height int) (string, error) {
	var b bytes.Buffer
	b.WriteString("data:image/png;base64,")
	to := base64.NewEncoder(base64.StdEncoding, &b)
	if err := png.Encode(to, explain.DrawHeat(m, spec, width, height)); err != nil {
		return "", err
	}
	err := to.Close()
	return b.String(), err
}
