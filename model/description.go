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

// FormatVersion is the version of model files that this code writes and reads.
const FormatVersion = 1

// metadataKey is where a safetensors file has the Description, as JSON.
const metadataKey = "garb"

// Model is a model that is about to be saved: its description and its tensors. These are the
// head's (see Head.Graph) and, unless BackboneDigest is set, those of the backbone.
type Model struct {
	Description
	Tensors tensor.Map
}

// Description is everything that an answer depends on, but the weights: what a model's file,
// a safetensors file, says of itself.
type Description struct {
	Format       int    `json:"format"`
	Architecture string `json:"architecture,omitempty"` // of the backbone
	// Network is the whole network, from a picture to logits, of a model that is not made
	// of one of garb's backbones and a head: its file has all tensors, under the names of
	// the network's parameters.
	Network []nn.Layer `json:"network,omitempty"`
	// FeaturesAt is the layer of Network whose output the features are, where training has
	// put a head on them; 0: the last that looks at several places.
	FeaturesAt int `json:"features_at,omitempty"`
	// Unnamed says that nobody has named the outputs of Network: Classes are numbers, and the
	// outputs may be no classes at all.
	Unnamed bool `json:"unnamed,omitempty"`
	// MultiLabel says that each class is a question of its own, to which the sigmoid of its
	// logit answers: a picture shows any number of them.
	MultiLabel bool `json:"multi_label,omitempty"`
	// BackboneDigest says that the backbone's weights are not in the file but are
	// those built in (or pulled) that have this digest.
	BackboneDigest string       `json:"backbone_digest,omitempty"`
	Classes        []string     `json:"classes"` // in the order of the logits
	Preprocessing  picture.Spec `json:"preprocessing"`
	Head           Head         `json:"head,omitzero"`
	// Temperature divides the logits before their softmax, so that probabilities are
	// as often right as they say (Guo et al. 2017); 0 means 1.
	Temperature float64 `json:"temperature,omitempty"`
	// Coverage is the rule of the model's prediction sets, fitted on validation pictures to
	// the probabilities after the temperature; nil if it has none.
	Coverage *Coverage `json:"coverage,omitempty"`
	Training *Training `json:"training,omitempty"`
	// Acceptance is how the model judges whether a picture shows any of its classes; nil:
	// it does not. For the methods accept.Class and accept.Head the network has one more
	// output than there are classes, the last.
	Acceptance *Acceptance `json:"acceptance,omitempty"`
	// TensorsDigest is the digest of the file's tensors: see digestTensors.
	TensorsDigest string `json:"tensors_digest"`
	// Golden are outputs that the network must give, on the CPU at hand, to be used.
	Golden []Golden `json:"golden,omitempty"`
}

// Training is the record of how a model came about.
type Training struct {
	Garb       string `json:"garb"`        // version
	DataDigest string `json:"data_digest"` // of all pictures and their classes
	Pictures   [3]int `json:"pictures"`    // train, validation, test
	Epoch      int    `json:"epoch"`       // that this is
	// Of this epoch, before the temperature.
	Accuracy       float64 `json:"accuracy"`
	Validation     float64 `json:"validation_accuracy"`
	ValidationLoss float64 `json:"validation_loss"`
	// Averaged are the digests of the models whose mean the weights are (see Average): then
	// there is no epoch, and no figure of one.
	Averaged []string `json:"averaged,omitempty"`
	// Settings are those of the run, as its config.json has them, without its folders.
	Settings json.RawMessage `json:"settings,omitempty"`
}

// Golden is a drawn picture, by its number (see DrawGoldenPicture), and its logits: all
// outputs of the network.
type Golden struct {
	Picture int       `json:"picture"`
	Logits  []float32 `json:"logits"`
}

// goldenTolerance is how far a logit may be from the golden one, relative to
// 1 + its size. The portable kernels and the assembly differ by 1e-5 after some
// sixty layers; another preprocessing, a wrong weight or class order by more
// than 1e-2.
const goldenTolerance = 1e-3

// DrawGoldenPicture draws picture n: colours, edges and fine texture that touch every
// part of the preprocessing, the same on every machine.
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

// outputs is how many outputs the model's network has.
func (m *Description) outputs() int {
	if m.Acceptance != nil && m.Acceptance.Method.HasOutput() {
		return len(m.Classes) + 1
	}
	return len(m.Classes)
}

// validate reports what makes a model unusable.
func (m *Description) validate() error {
	if m.Format != FormatVersion {
		return fmt.Errorf("its format is version %d, and this garb reads version %d: use the garb that it was made "+
			"with, or a newer one", m.Format, FormatVersion)
	}
	if m.Network == nil {
		if _, err := backbone.Lookup(m.Architecture); err != nil {
			return err
		}
	} else if m.Architecture != "" || m.BackboneDigest != "" || len(m.Head.Inner) > 0 {
		return errors.New("it has a network of its own, and a backbone or head beside it")
	}
	if m.FeaturesAt < 0 || m.FeaturesAt > 0 && m.FeaturesAt >= len(m.Network)-1 {
		return fmt.Errorf("its features are at layer %d of %d", m.FeaturesAt, len(m.Network))
	}
	if len(m.Classes) == 0 {
		return errors.New("it has no classes")
	}
	if sorted := slices.Sorted(slices.Values(m.Classes)); len(slices.Compact(sorted)) != len(m.Classes) ||
		sorted[0] == "" {
		return errors.New("it has a class twice, or one without a name")
	}
	if len(m.Golden) == 0 {
		return errors.New("it has no golden logits to check its answers by")
	}
	for _, g := range m.Golden {
		if len(g.Logits) != m.outputs() || g.Picture < 0 || g.Picture > 15 {
			return errors.New("its golden logits do not belong to its classes")
		}
	}
	if !(m.Temperature >= 0) || math.IsInf(m.Temperature, 0) {
		return fmt.Errorf("its temperature is %v", m.Temperature)
	}
	if err := m.Head.Validate(); err != nil {
		return err
	}
	if m.MultiLabel && (m.Coverage != nil || m.Acceptance != nil) {
		return errors.New("its classes are labels of their own, and it has prediction sets or an acceptance, which " +
			"are for one of many")
	}
	if m.Coverage != nil {
		if err := m.Coverage.validate(); err != nil {
			return err
		}
	}
	if m.Acceptance != nil {
		if err := m.Acceptance.validate(m.Preprocessing); err != nil {
			return err
		}
	}
	return m.Preprocessing.Validate()
}

// Probabilities returns the softmax of the logits over the temperature, or of a multi-label
// model the sigmoid of each.
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

// decodeDescription reads the Description out of a file's metadata. ok is false if there is
// none: then it is a file of weights.
func decodeDescription(f *tensor.File) (m *Description, ok bool, err error) {
	text, ok := f.Metadata[metadataKey]
	if !ok {
		return nil, false, nil
	}
	m = &Description{}
	if err := json.Unmarshal([]byte(text), m); err != nil {
		return nil, true, fmt.Errorf("its description cannot be read: %w", err)
	}
	return m, true, m.validate()
}

// goldenPicture is the picture whose logits SetGolden takes.
const goldenPicture = 0

// SetGolden computes the golden logits of the model as it is to be saved. backbone are the
// weights that its tensors leave out, since BackboneDigest names them; nil if there are none.
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
	g, err := c.golden(ctx, goldenPicture)
	m.Golden = []Golden{g}
	return err
}

// IsModel reports whether a reference is a model's: a built-in name, a run's folder, or a
// file that says so, sound or not.
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

// Store writes a model to another file with its values stored as dtype: rounded to
// float16, a model takes half the space, and its golden logits are those of the
// rounded weights. name is as for Open.
func Store(name, path string, dtype tensor.DType) (*Description, error) {
	c, err := Open(name, Options{}) // checked as any that answers
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
	if err := m.setGolden(context.Background(), nn.Overlay{Top: m.Tensors, Below: c.weights}, m.Tensors); err != nil {
		return nil, &Error{name, err}
	}
	return &m.Description, m.Save(path, dtype)
}

// DistinctClasses returns the classes in the order of the logits, each with a name of its own:
// those of ImageNet's that share one have their WordNet identifier behind it.
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

// Save writes a model file, all or nothing, with values stored as dtype: they must be such
// as it can hold, see tensor.Map.As. The golden logits must be there: see SetGolden.
func (m *Model) Save(path string, dtype tensor.DType) error {
	digest, err := digestTensors(m.Tensors.Names(), m.Tensors)
	if err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	m.TensorsDigest = digest
	if err := m.validate(); err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	text, err := json.Marshal(m.Description)
	if err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	return tensor.WriteFile(path, map[string]string{metadataKey: string(text)}, m.Tensors, dtype)
}

// digestTensors returns the digest of tensors: of the name, shape and values, as
// little-endian float32, of each in the given order.
func digestTensors(names []string, w nn.Weights) (string, error) {
	hash := sha256.New()
	for _, name := range names {
		t, err := w.Tensor(name)
		if err != nil {
			return "", err
		}
		fmt.Fprintf(hash, "%s %s\n", name, tensor.ShapeString(t.Shape))
		if err := binary.Write(hash, binary.LittleEndian, t.Data); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf("sha256:%x", hash.Sum(nil)), nil
}

// checkTensors compares the digest of a file's tensors with the one that its
// description states: golden logits cannot see a weight whose feature is zero.
func (m *Description) checkTensors(f *tensor.File) error {
	digest, err := digestTensors(f.Names(), f)
	if err != nil {
		return err
	}
	if digest != m.TensorsDigest {
		return errors.New("its weights are not those that it was saved with; the file is damaged: copy it again")
	}
	return nil
}

// checkGolden compares logits with the golden ones.
func checkGolden(g Golden, logits []float32) error {
	for i, want := range g.Logits {
		if d := math.Abs(float64(logits[i] - want)); !(d <= goldenTolerance*(1+math.Abs(float64(want)))) {
			return fmt.Errorf("its answer to golden picture %d is off: logit %d is %v, not %v; the file is damaged "+
				"or was made for another version", g.Picture, i, logits[i], want)
		}
	}
	return nil
}
