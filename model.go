package garb

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

// metadataKey is where a safetensors file has the Model, as JSON.
const metadataKey = "garb"

// Model is everything that an answer depends on, but the weights: what a model
// file says of itself. Its file is one safetensors file with the head's tensors (see
// HeadSpec.Graph) and, unless BackboneDigest is set, those of the backbone.
type Model struct {
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
	Head           HeadSpec     `json:"head,omitzero"`
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
	// TensorsDigest is the digest of the file's tensors: see digestOf.
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

// Golden is a drawn picture, by its number (see GoldenPicture), and its logits: all
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

// GoldenPicture draws picture n: colours, edges and fine texture that touch every
// part of the preprocessing, the same on every machine.
func GoldenPicture(n int) *picture.RGB {
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
func (m *Model) outputs() int {
	if m.Acceptance != nil && m.Acceptance.Method.HasOutput() {
		return len(m.Classes) + 1
	}
	return len(m.Classes)
}

// validate reports what makes a model unusable.
func (m *Model) validate() error {
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
func (m *Model) Probabilities(logits []float32) []float64 {
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

// decodeModel reads the Model out of a file's metadata. ok is false if there is
// none: then it is a file of weights.
func decodeModel(f *tensor.File) (m *Model, ok bool, err error) {
	text, ok := f.Metadata[metadataKey]
	if !ok {
		return nil, false, nil
	}
	m = &Model{}
	if err := json.Unmarshal([]byte(text), m); err != nil {
		return nil, true, fmt.Errorf("its description cannot be read: %w", err)
	}
	return m, true, m.validate()
}

// goldenPicture is the picture whose logits SetGolden takes.
const goldenPicture = 0

// SetGolden computes the golden logits of the model with weights that are to be
// saved: those of the backbone and of the head.
func (m *Model) SetGolden(ctx context.Context, w nn.Weights) error { return m.setGolden(ctx, w, w) }

func (m *Model) setGolden(ctx context.Context, base, top nn.Weights) error {
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
	if slices.Contains(BuiltInModels(), reference) {
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
// rounded weights. model is as for Open.
func Store(model, path string, dtype tensor.DType) (*Model, error) {
	c, err := Open(model, Options{}) // checked as any that answers
	if err != nil {
		return nil, err
	}
	m, params := *c.model, c.networks.whole.Params()
	if m.BackboneDigest != "" {
		params = c.networks.head.Params()
	}
	all := tensor.Map{}
	for _, p := range params {
		if all[p.Name], err = c.weights.Tensor(p.Name); err != nil {
			return nil, &ModelError{model, err}
		}
	}
	if a := m.Acceptance; a != nil {
		for _, name := range accept.TensorNames(a.Method) {
			name = tensorPrefix + name
			if all[name], err = c.weights.Tensor(name); err != nil {
				return nil, &ModelError{model, err}
			}
		}
	}
	all = all.As(dtype)
	m.Classes = distinct(c.classes)
	if err := m.setGolden(context.Background(), nn.Overlay{Top: all, Below: c.weights}, all); err != nil {
		return nil, &ModelError{model, err}
	}
	return &m, m.Save(path, all, dtype)
}

// distinct are the names of classes; ImageNet has some of one name, which then say which
// they are.
func distinct(classes []Prediction) []string {
	count := map[string]int{}
	for _, c := range classes {
		count[c.Class]++
	}
	names := make([]string, len(classes))
	for i, c := range classes {
		if names[i] = c.Class; count[c.Class] > 1 {
			names[i] += " (" + c.WNID + ")"
		}
	}
	return names
}

// Save writes a model file, all or nothing, with values stored as dtype: they must
// be such as it can hold, see tensor.Map.As. tensors are the head's, and the
// backbone's if m.BackboneDigest is empty. The golden logits must be there: see
// SetGolden.
func (m *Model) Save(path string, tensors tensor.Map, dtype tensor.DType) error {
	digest, err := digestOf(tensors.Names(), tensors)
	if err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	m.TensorsDigest = digest
	if err := m.validate(); err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("model not saved: %w", err)
	}
	return tensor.WriteFile(path, map[string]string{metadataKey: string(text)}, tensors, dtype)
}

// digestOf returns the digest of tensors: of the name, shape and values, as
// little-endian float32, of each in the given order.
func digestOf(names []string, w nn.Weights) (string, error) {
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
func (m *Model) checkTensors(f *tensor.File) error {
	digest, err := digestOf(f.Names(), f)
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
