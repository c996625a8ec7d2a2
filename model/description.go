package model

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"slices"

	"garb/accept"
	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// Description holds all that a model's answers depend on except the weights. A model file has it
// as metadata.
type Description struct {
	Format       int    `json:"format"`
	Architecture string `json:"architecture,omitempty"` // of the backbone
	// Network is the whole network, from the picture to the logits, of a model that does not
	// consist of one of garb's backbones and a head. Its file has all tensors, under the names of
	// the network's parameters.
	Network []nn.Layer `json:"network,omitempty"`
	// FeaturesAt is the layer of Network whose output is the features, if training put a head on
	// it. 0 means the last layer that combines several positions.
	FeaturesAt int `json:"features_at,omitempty"`
	// Unnamed says that the outputs of Network have no names: Classes are numbers, and the
	// outputs may not be classes at all.
	Unnamed bool `json:"unnamed,omitempty"`
	// MultiLabel says that a picture may show any number of the classes: the probability of each
	// is the sigmoid of its logit.
	MultiLabel bool `json:"multi_label,omitempty"`
	// BackboneDigest is the digest of the backbone's weights if the file leaves them out, because
	// they are built in or pulled.
	BackboneDigest string       `json:"backbone_digest,omitempty"`
	Classes        []string     `json:"classes"` // in the order of the logits
	Preprocessing  picture.Spec `json:"preprocessing"`
	// Signature names the input and output as the file does that the model was converted from; nil
	// if it was not converted.
	Signature *Signature `json:"signature,omitempty"`
	Head      Head       `json:"head,omitzero"`
	// Temperature divides the logits before the softmax, which calibrates the probabilities
	// (Guo et al. 2017); 0 means 1.
	Temperature float64 `json:"temperature,omitempty"`
	// Coverage is the rule of the model's prediction sets, fitted on validation pictures to
	// the probabilities after the temperature; nil if it has none.
	Coverage *Coverage `json:"coverage,omitempty"`
	Training *Training `json:"training,omitempty"`
	// Acceptance says how the model judges whether a picture shows any of its classes; nil if it
	// does not. For the methods accept.Class and accept.Head the network has one more output than
	// there are classes, the last.
	Acceptance *Acceptance `json:"acceptance,omitempty"`
	// TensorsDigest is the digest of the file's tensors: see digestTensors.
	TensorsDigest string `json:"tensors_digest"`
	// Golden holds outputs that the network must reproduce when the model is opened.
	Golden []Golden `json:"golden,omitempty"`
}

// Training is the record of how a model was trained.
type Training struct {
	Garb       string `json:"garb"`        // version
	DataDigest string `json:"data_digest"` // of all pictures and their classes
	Pictures   [3]int `json:"pictures"`    // train, validation, test
	Epoch      int    `json:"epoch"`       // after which the model was saved
	// The figures of this epoch, before the temperature.
	Accuracy       float64 `json:"accuracy"`
	Validation     float64 `json:"validation_accuracy"`
	ValidationLoss float64 `json:"validation_loss"`
	// Averaged holds the digests of the models whose weights were averaged (see Average). Such a
	// model has no epoch and no figures of one.
	Averaged []string `json:"averaged,omitempty"`
	// Settings are those of the run, as its config.json has them, without its folders.
	Settings json.RawMessage `json:"settings,omitempty"`
}

// decodeDescription reads the Description in a file's metadata and validates it. ok is false if
// there is none: then the file has only weights.
func decodeDescription(f *tensor.File) (d *Description, ok bool, err error) {
	text, ok := f.Metadata[metadataKey]
	if !ok {
		return nil, false, nil
	}
	d = &Description{}
	if err := json.Unmarshal([]byte(text), d); err != nil {
		return nil, true, fmt.Errorf("its description cannot be read: %w", err)
	}
	return d, true, d.validate()
}

// outputCount returns the number of outputs of the model's network.
func (d *Description) outputCount() int {
	if d.Acceptance != nil && d.Acceptance.Method.HasOutput() {
		return len(d.Classes) + 1
	}
	return len(d.Classes)
}

// Probabilities returns the softmax of the logits divided by the temperature, or the sigmoid of
// each for a multi-label model.
func (d *Description) Probabilities(logits []float32) []float64 {
	if d.Temperature != 0 {
		scaled := make([]float32, len(logits))
		for i, v := range logits {
			scaled[i] = float32(float64(v) / d.Temperature)
		}
		logits = scaled
	}
	if !d.MultiLabel {
		return Softmax(logits)
	}
	probabilities := make([]float64, len(logits))
	for i, v := range logits {
		probabilities[i] = accept.Logistic(float64(v))
	}
	return probabilities
}

// validate reports what makes a model unusable.
func (d *Description) validate() error {
	if d.Format != FormatVersion {
		return fmt.Errorf("its format is version %d, but this garb reads version %d; use the garb that wrote it, "+
			"or a newer one", d.Format, FormatVersion)
	}
	for _, validate := range []func() error{
		d.validateNetwork, d.validateClasses, d.validateGolden, d.validateAnswers, d.Preprocessing.Validate,
	} {
		if err := validate(); err != nil {
			return err
		}
	}
	return nil
}

func (d *Description) validateNetwork() error {
	if d.Network == nil {
		if _, err := backbone.Lookup(d.Architecture); err != nil {
			return err
		}
	} else if d.Architecture != "" || d.BackboneDigest != "" || len(d.Head.Inner) > 0 {
		return errors.New("it has a whole network, and also a backbone or a head")
	}
	if d.FeaturesAt < 0 || d.FeaturesAt > 0 && d.FeaturesAt >= len(d.Network)-1 {
		return fmt.Errorf("its features are the output of layer %d of %d", d.FeaturesAt, len(d.Network))
	}
	return d.Head.Validate()
}

func (d *Description) validateClasses() error {
	if len(d.Classes) == 0 {
		return errors.New("it has no classes")
	}
	sorted := slices.Sorted(slices.Values(d.Classes))
	if sorted[0] == "" {
		return errors.New("one of its classes has no name")
	}
	if len(slices.Compact(sorted)) != len(d.Classes) {
		return errors.New("two of its classes have the same name")
	}
	return nil
}

func (d *Description) validateGolden() error {
	if len(d.Golden) == 0 {
		return errors.New("it has no golden logits to check its answers with")
	}
	for _, g := range d.Golden {
		if len(g.Logits) != d.outputCount() {
			return fmt.Errorf("it has %d golden logits, but its network has %d outputs", len(g.Logits), d.outputCount())
		}
		if g.Picture < 0 || g.Picture > lastGoldenPicture {
			return fmt.Errorf("there is no golden picture %d", g.Picture)
		}
	}
	return nil
}

// validateAnswers validates what turns logits into answers.
func (d *Description) validateAnswers() error {
	if !(d.Temperature >= 0) || math.IsInf(d.Temperature, 0) {
		return fmt.Errorf("its temperature is %v", d.Temperature)
	}
	if d.MultiLabel && (d.Coverage != nil || d.Acceptance != nil) {
		return errors.New("a multi-label model cannot have prediction sets or an acceptance")
	}
	if d.Signature != nil {
		if err := d.Signature.Validate(len(d.Classes)); err != nil {
			return err
		}
	}
	if d.Coverage != nil {
		if err := d.Coverage.validate(); err != nil {
			return err
		}
	}
	if d.Acceptance != nil {
		return d.Acceptance.validate(d.Preprocessing)
	}
	return nil
}
