package model

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"slices"

	"garb/accept"
	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// FormatVersion is the version of the format of model files.
const FormatVersion = 1

// metadataKey is the key of the metadata of a safetensors file that has the Description, as JSON.
const metadataKey = "garb"

// Model is a model to save: its description and its tensors. These are the tensors of the head (see
// Head.Graph) and, unless BackboneDigest is set, of the backbone.
type Model struct {
	Description
	Tensors tensor.Map
}

// Description is everything that an answer depends on except the weights. It is stored in the metadata
// of a model's file, a safetensors file.
type Description struct {
	Format       int    `json:"format"`
	Architecture string `json:"architecture,omitempty"` // of the backbone
	// Network is the whole network, from a picture to logits, of a model that is not one of
	// garb's backbones with a head. The model's file has all of its tensors, under the names
	// of the network's parameters.
	Network []nn.Layer `json:"network,omitempty"`
	// FeaturesAt is the index of the layer of Network whose output is the features, if garb
	// has trained a head on them; 0 means the last layer that looks at several places.
	FeaturesAt int `json:"features_at,omitempty"`
	// Unnamed says that the outputs of Network have no names: Classes are numbers, and the
	// outputs may not be classes at all.
	Unnamed bool `json:"unnamed,omitempty"`
	// MultiLabel says that a picture can show any number of the classes: the probability of
	// each is the sigmoid of its logit.
	MultiLabel bool `json:"multi_label,omitempty"`
	// BackboneDigest, if not "", is the digest of the backbone's weights, which are not in the
	// file but built in or pulled.
	BackboneDigest string       `json:"backbone_digest,omitempty"`
	Classes        []string     `json:"classes"` // in the order of the logits
	Preprocessing  picture.Spec `json:"preprocessing"`
	Head           Head         `json:"head,omitzero"`
	// Temperature divides the logits before the softmax, which calibrates the probabilities
	// (Guo et al. 2017); 0 means 1.
	Temperature float64 `json:"temperature,omitempty"`
	// Coverage is the rule of the model's prediction sets, fitted on the calibrated
	// probabilities of validation pictures; nil if it has none.
	Coverage *Coverage `json:"coverage,omitempty"`
	Training *Training `json:"training,omitempty"`
	// Acceptance describes how the model judges whether a picture shows any of its classes; nil
	// if it does not. With the methods accept.Class and accept.Head the network has one more
	// output than there are classes, the last.
	Acceptance *Acceptance `json:"acceptance,omitempty"`
	// TensorsDigest is the digest of the file's tensors: see digestTensors.
	TensorsDigest string `json:"tensors_digest"`
	// Golden are outputs of the network for drawn pictures. Open computes them again, and
	// refuses the model if they differ.
	Golden []Golden `json:"golden,omitempty"`
}

// Training is the record of a model's training.
type Training struct {
	Garb       string `json:"garb"`        // version
	DataDigest string `json:"data_digest"` // of all pictures and their classes
	Pictures   [3]int `json:"pictures"`    // train, validation, test
	Epoch      int    `json:"epoch"`
	// The figures of the epoch, before calibration.
	Accuracy       float64 `json:"accuracy"`
	Validation     float64 `json:"validation_accuracy"`
	ValidationLoss float64 `json:"validation_loss"`
	// Averaged are the digests of the models that were averaged (see Average). Then there is
	// no epoch, and there are no figures.
	Averaged []string `json:"averaged,omitempty"`
	// Settings are the settings in the run's config.json, without paths.
	Settings json.RawMessage `json:"settings,omitempty"`
}

// Golden is the number of a drawn picture (see DrawGoldenPicture) and the network's outputs for it.
type Golden struct {
	Picture int       `json:"picture"`
	Logits  []float32 `json:"logits"`
}

// goldenTolerance is the tolerance of a golden logit, relative to 1 + its absolute value. The portable
// kernels and the assembly differ by 1e-5 after about sixty layers; another preprocessing, a wrong weight
// or a wrong order of classes make a difference of more than 1e-2.
const goldenTolerance = 1e-3

// DrawGoldenPicture draws golden picture n, the same on every machine, with colours, edges and fine
// texture that every part of the preprocessing affects.
func DrawGoldenPicture(n int) *picture.RGB {
	const width, height = 160, 200
	p := &picture.RGB{Width: width, Height: height, Pix: make([]uint8, 0, 3*width*height)}
	for y := range height {
		for x := range width {
			r, g, b := x*255/width, y*255/height, (x+y)*3%256
			if dx, dy := x-80+10*n, y-100; dx*dx+dy*dy < 45*45 { // a disc
				r, b = 255-r, (x*y+17*n)%256
			}
			if x%32 < 4*(n+1)%16 { // stripes
				g = 255 - g
			}
			p.Pix = append(p.Pix, uint8(r), uint8(g), uint8(b))
		}
	}
	return p
}

// outputs returns the number of outputs of the model's network.
func (m *Description) outputs() int {
	if m.Acceptance != nil && m.Acceptance.Method.HasOutput() {
		return len(m.Classes) + 1
	}
	return len(m.Classes)
}

// validate checks that a model can be used.
func (m *Description) validate() error {
	for _, check := range []func() error{
		m.validateNetwork, m.validateClasses, m.validateGolden, m.Head.Validate, m.validateExtras,
		m.Preprocessing.Validate,
	} {
		if err := check(); err != nil {
			return err
		}
	}
	return nil
}

// validateNetwork checks the format, and that the model has either a backbone or its own network.
func (m *Description) validateNetwork() error {
	if m.Format != FormatVersion {
		return fmt.Errorf("its format has version %d, but this version of garb reads version %d: use a newer garb, or "+
			"the one that wrote the file", m.Format, FormatVersion)
	}
	if m.Network == nil {
		if _, err := backbone.Lookup(m.Architecture); err != nil {
			return err
		}
	} else if m.Architecture != "" || m.BackboneDigest != "" || len(m.Head.Inner) > 0 {
		return errors.New("it has both its own network and a backbone or head")
	}
	if m.FeaturesAt < 0 || m.FeaturesAt > 0 && m.FeaturesAt >= len(m.Network)-1 {
		return fmt.Errorf("its features are at layer %d of %d", m.FeaturesAt, len(m.Network))
	}
	return nil
}

// validateClasses checks that each class has its own name.
func (m *Description) validateClasses() error {
	if len(m.Classes) == 0 {
		return errors.New("it has no classes")
	}
	sorted := slices.Sorted(slices.Values(m.Classes))
	if len(slices.Compact(sorted)) != len(m.Classes) || sorted[0] == "" {
		return errors.New("it has two classes of the same name, or one without a name")
	}
	return nil
}

// validateGolden checks that there are golden logits, one for each output.
func (m *Description) validateGolden() error {
	if len(m.Golden) == 0 {
		return errors.New("it has no golden logits")
	}
	for _, g := range m.Golden {
		if len(g.Logits) != m.outputs() || g.Picture < 0 || g.Picture > 15 {
			return errors.New("its golden logits do not belong to its classes")
		}
	}
	return nil
}

// validateExtras checks the temperature, the prediction sets and the acceptance.
func (m *Description) validateExtras() error {
	switch {
	case !(m.Temperature >= 0) || math.IsInf(m.Temperature, 0):
		return fmt.Errorf("its temperature is %v", m.Temperature)
	case m.MultiLabel && (m.Coverage != nil || m.Acceptance != nil):
		return errors.New("it is a multi-label model with prediction sets or acceptance, which need classes that " +
			"exclude each other")
	}
	if m.Coverage != nil {
		if err := m.Coverage.validate(); err != nil {
			return err
		}
	}
	if m.Acceptance != nil {
		return m.Acceptance.validate(m.Preprocessing)
	}
	return nil
}

// Probabilities returns the softmax of the logits divided by the temperature or, for a multi-label model,
// the sigmoid of each.
func (m *Description) Probabilities(logits []float32) []float64 {
	if m.Temperature != 0 {
		cooled := make([]float32, len(logits))
		for i, v := range logits {
			cooled[i] = float32(float64(v) / m.Temperature)
		}
		logits = cooled
	}
	if !m.MultiLabel {
		return Softmax(logits)
	}
	probabilities := make([]float64, len(logits))
	for i, v := range logits {
		probabilities[i] = accept.Logistic(float64(v))
	}
	return probabilities
}

// decodeDescription decodes the Description in a file's metadata. ok is false if there is none: then the
// file has only weights.
func decodeDescription(f *tensor.File) (m *Description, ok bool, err error) {
	text, ok := f.Metadata[metadataKey]
	if !ok {
		return nil, false, nil
	}
	m = &Description{}
	if err := json.Unmarshal([]byte(text), m); err != nil {
		return nil, true, fmt.Errorf("its description cannot be decoded: %w", err)
	}
	return m, true, m.validate()
}

// goldenPicture is the number of the picture that SetGolden uses.
const goldenPicture = 0

// SetGolden computes the golden logits of the model before it is saved. backbone are the weights that
// BackboneDigest refers to; nil if there are none.
func (m *Model) SetGolden(ctx context.Context, backbone nn.Weights) error {
	var w nn.Weights = m.Tensors
	if backbone != nil {
		w = nn.Overlay{Top: m.Tensors, Below: backbone}
	}
	return m.setGolden(ctx, w, w)
}

func (m *Description) setGolden(ctx context.Context, base, top nn.Weights) error {
	c, err := m.compile(base, top, Options{})
	if err != nil {
		return err
	}
	g, err := c.computeGolden(ctx, goldenPicture)
	m.Golden = []Golden{g}
	return err
}

// IsModel reports whether a reference is that of a model: the name of a built-in one, a folder, or a file
// with a Description, even an invalid one.
func IsModel(reference string) bool {
	if slices.Contains(BuiltInNames(), reference) {
		return true
	}
	if info, err := os.Stat(reference); err == nil && info.IsDir() {
		return true
	}
	f, err := tensor.ReadFile(reference)
	return err == nil && f.Metadata[metadataKey] != ""
}

// Store writes a model (see Open) to another file, with its values stored as dtype. In float16 a model
// takes half the space. Its golden logits are computed with the rounded weights.
func Store(name, path string, dtype tensor.DType) (*Description, error) {
	c, err := Open(name, Options{})
	if err != nil {
		return nil, err
	}
	m, params := Model{*c.description, tensor.Map{}}, c.networks.whole.Params()
	if m.BackboneDigest != "" {
		params = c.networks.head.Params()
	}
	var names []string
	for _, p := range params {
		names = append(names, p.Name)
	}
	if a := m.Acceptance; a != nil {
		for _, tensorName := range accept.TensorNames(a.Method) {
			names = append(names, tensorPrefix+tensorName)
		}
	}
	for _, tensorName := range names {
		if m.Tensors[tensorName], err = c.weights.Tensor(tensorName); err != nil {
			return nil, &Error{name, err}
		}
	}
	m.Tensors = m.Tensors.As(dtype)
	m.Classes = c.DistinctClasses()
	base := nn.Overlay{Top: m.Tensors, Below: c.weights}
	if err = m.setGolden(context.Background(), base, m.Tensors); err != nil {
		return nil, &Error{name, err}
	}
	return &m.Description, m.Save(path, dtype)
}

// DistinctClasses returns the classes in the order of the logits, each with its own name: ImageNet
// classes that share a name are followed by their WordNet identifier.
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

// Save atomically writes a model file with values stored as dtype, which must be able to hold them: see
// tensor.Map.As. The golden logits must be set: see SetGolden.
func (m *Model) Save(path string, dtype tensor.DType) error {
	digest, err := digestTensors(m.Tensors.Names(), m.Tensors)
	if err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	m.TensorsDigest = digest
	if err = m.validate(); err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	text, err := json.Marshal(m.Description)
	if err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	return tensor.WriteFile(path, map[string]string{metadataKey: string(text)}, m.Tensors, dtype)
}

// digestTensors returns the digest of tensors: of the name, the shape and the values, as little-endian
// float32, of each in the given order.
func digestTensors(names []string, w nn.Weights) (string, error) {
	hash := sha256.New()
	for _, name := range names {
		t, err := w.Tensor(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %s\n", name, tensor.ShapeString(t.Shape))
		if err = binary.Write(hash, binary.LittleEndian, t.Data); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("sha256:%x", hash.Sum(nil)), nil
}

// checkTensors compares the digest of a file's tensors with the one in its description, since golden
// logits do not depend on weights whose input is zero.
func (m *Description) checkTensors(f *tensor.File) error {
	digest, err := digestTensors(f.Names(), f)
	if err != nil {
		return err
	}
	if digest != m.TensorsDigest {
		return errors.New("its weights have changed since it was saved: the file is damaged; copy it again")
	}
	return nil
}

// checkGolden compares logits with golden ones.
func checkGolden(g Golden, logits []float32) error {
	for i, want := range g.Logits {
		if d := math.Abs(float64(logits[i] - want)); !(d <= goldenTolerance*(1+math.Abs(float64(want)))) {
			return fmt.Errorf("it fails its self-test: logit %d of golden picture %d is %v, not %v; the file is "+
				"damaged or was made for another version of garb", i, g.Picture, logits[i], want)
		}
	}
	return nil
}
