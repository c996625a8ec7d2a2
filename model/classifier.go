package model

import (
	"context"
	"slices"

	"garb/nn"
	"garb/tensor"
)

// Classifier says what a picture shows. Many goroutines may use it at a time.
type Classifier struct {
	*Extractor
	name, digest  string
	wnids         []string // of the classes, if they are ImageNet's
	head          *head
	judge         *judge // nil if the model does not judge
	networks      networks
	weights       nn.Weights              // of networks.whole
	compileMapper func() (*mapper, error) // on the first call: most programs draw no maps
	description   *Description
}

// Name returns the model's name: that of a built-in model, or of the file without
// its ending.
func (c *Classifier) Name() string { return c.name }

// Digest returns the digest of the model's file: "sha256:" and 64 digits.
func (c *Classifier) Digest() string { return c.digest }

// Description returns what the model's file says about the model.
func (c *Classifier) Description() Description { return *c.description }

// Classes returns the classes in the order of the logits.
func (c *Classifier) Classes() []string { return slices.Clone(c.description.Classes) }

// WNID returns WordNet's identifier of a class, which is given by its index; "" for a model whose
// classes are not ImageNet's.
func (c *Classifier) WNID(class int) string {
	if c.wnids == nil {
		return ""
	}
	return c.wnids[class]
}

// DistinctClasses returns the classes in the order of the logits. Where several of ImageNet's
// classes share a name, their WordNet identifiers are appended to it.
func (c *Classifier) DistinctClasses() []string {
	count := map[string]int{}
	for _, class := range c.description.Classes {
		count[class]++
	}
	names := make([]string, len(c.description.Classes))
	for i, class := range c.description.Classes {
		if names[i] = class; count[class] > 1 {
			names[i] += " (" + c.WNID(i) + ")"
		}
	}
	return names
}

// Network returns the whole network with its weights. Its input is what Spec().Tensor writes.
func (c *Classifier) Network() (*nn.Network, error) {
	n := &nn.Network{Layers: c.networks.whole.Layers(), Tensors: tensor.Map{}}
	for _, p := range c.networks.whole.Params() {
		t, err := c.weights.Tensor(p.Name)
		if err != nil {
			return nil, &Error{c.name, err}
		}
		n.Tensors[p.Name] = t
	}
	return n, nil
}

// Classify returns the predictions for an encoded picture, the most probable class first.
// Errors are *picture.Error, or ctx's.
func (c *Classifier) Classify(ctx context.Context, data []byte) ([]Prediction, error) {
	features, err := c.Embed(ctx, data)
	if err != nil {
		return nil, err
	}
	outputs, err := c.head.runOne(ctx, features)
	if err != nil {
		return nil, err
	}
	return c.Predictions(outputs[:len(c.description.Classes)]), nil
}

// Judge returns the answer to an encoded picture: its predictions, and whether it shows any of
// the classes. Errors are *picture.Error, or ctx's.
func (c *Classifier) Judge(ctx context.Context, data []byte) (Answer, error) {
	features, err := c.Embed(ctx, data)
	if err != nil {
		return Answer{}, err
	}
	row := make([]float32, c.OutputCount())
	if err := c.HeadOutputs(ctx, features, row); err != nil {
		return Answer{}, err
	}
	return c.Answer(row), nil
}

// Logits writes a row of logits, in the order of Classes, for each of several inputs, which
// Spec().Tensor wrote. The error is ctx's. It panics if the lengths do not match.
func (c *Classifier) Logits(ctx context.Context, inputs, logits []float32) error {
	features := make([]float32, len(logits)/len(c.description.Classes)*c.FeatureCount())
	if err := c.Features(ctx, inputs, features); err != nil {
		return err
	}
	return c.HeadLogits(ctx, features, logits)
}

// HeadLogits writes the rows of Logits for feature vectors that Features wrote. It runs only the
// head. The error is ctx's. It panics if the lengths do not match.
func (c *Classifier) HeadLogits(ctx context.Context, features, logits []float32) error {
	classes, outputs := len(c.description.Classes), c.head.outputs
	if outputs == classes {
		return c.head.run(ctx, features, logits)
	}
	raw := make([]float32, len(logits)/classes*outputs)
	if err := c.head.run(ctx, features, raw); err != nil {
		return err
	}
	for i := range len(logits) / classes {
		copy(logits[i*classes:][:classes], raw[i*outputs:])
	}
	return nil
}

// OutputCount returns the length of a row of Outputs: the number of classes, and one more
// if the model judges.
func (c *Classifier) OutputCount() int {
	if c.judge == nil {
		return len(c.description.Classes)
	}
	return len(c.description.Classes) + 1
}

// Outputs writes a row of OutputCount values for each of several inputs, which Spec().Tensor
// wrote: the logits in the order of Classes and, if the model judges, the logit of the acceptance,
// log(a/(1−a)). The error is ctx's. It panics if the lengths do not match.
func (c *Classifier) Outputs(ctx context.Context, inputs, rows []float32) error {
	features := make([]float32, len(rows)/c.OutputCount()*c.FeatureCount())
	if err := c.Features(ctx, inputs, features); err != nil {
		return err
	}
	return c.HeadOutputs(ctx, features, rows)
}

// HeadOutputs writes the rows of Outputs for feature vectors that Features wrote. It runs the
// head only. The error is ctx's. It panics if the lengths do not match.
func (c *Classifier) HeadOutputs(ctx context.Context, features, rows []float32) error {
	classes, width, outputs := len(c.description.Classes), c.OutputCount(), c.head.outputs
	if width == classes {
		return c.HeadLogits(ctx, features, rows)
	}
	raw := make([]float32, len(rows)/width*outputs)
	if err := c.head.run(ctx, features, raw); err != nil {
		return err
	}
	for i := range len(rows) / width {
		row, rawRow := rows[i*width:][:width], raw[i*outputs:][:outputs]
		copy(row, rawRow[:classes])
		row[classes] = c.judge.computeLogit(features[i*c.count:][:c.count], rawRow, classes)
	}
	return nil
}
