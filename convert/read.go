// Package convert reads whole models from other programs' files, and writes garb's models for
// other programs.
package convert

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"garb/backbone"
	"garb/keras"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// Options of Read supply what a file does not say about its model.
type Options struct {
	// Classes names the outputs, in their order; nil means the names in the file, which only
	// files that garb wrote have.
	Classes []string
	// Unnamed accepts a file whose outputs have no names. The model is then a backbone to train
	// on: see model.FromNetwork.
	Unnamed bool
	// Preprocess is one of Preprocessings; "" means the one of the network, if it is known.
	Preprocess string
	// Side is the height and width of the pictures, in pixels; 0 means those in the file.
	Side int
	// Orientation says what is done with EXIF's orientation; nil means what the file says, and
	// otherwise picture.IgnoreOrientation for a Keras file, since Keras reads pictures so.
	Orientation *picture.Orientation
	// Filter resizes pictures; "" means the network's own, or nearest as in Keras's load_img.
	Filter picture.Filter
}

// Import is a model that was read from another program's file.
type Import struct {
	Model  *model.Model
	Format string // of the file, for people: "Keras 3.3.3"
	// Preprocess is the name of the preprocessing, and Reason says why Read chose it: "the file
	// says". Reason is "" if Options.Preprocess names it.
	Preprocess, Reason string
	// Judged says that garb wrote the file for a model with an acceptance. Model has none, since
	// Read does not read it back.
	Judged bool
}

// ClassesError says that a file does not name its classes, and Options.Classes does not either.
type ClassesError struct{ Outputs int }

func (e *ClassesError) Error() string {
	return fmt.Sprintf("the file does not name its %d classes; give their names in the order of the outputs", e.Outputs)
}

// PreprocessError says that the preprocessing of a network is unknown.
type PreprocessError struct{}

func (e *PreprocessError) Error() string {
	return "the file does not say how to prepare pictures for its network, which garb does not know; name the " +
		"preprocessing, one of " + strings.Join(Preprocessings(), ", ")
}

// metadataKey is the key, in the metadata of a file, of what garb knows about its model.
const metadataKey = "garb"

// Read reads a whole model: a .keras or .h5 file of Keras, or an ONNX file. Errors name the file.
// They wrap *StateDictError, *ClassesError, *PreprocessError or those of packages keras, onnx, nn
// and model.
func Read(ctx context.Context, path string, o Options) (*Import, error) {
	in, err := read(ctx, path, o)
	if err != nil && !strings.Contains(err.Error(), path) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return in, err
}

func read(ctx context.Context, path string, o Options) (*Import, error) {
	f, err := open(path, o.Side)
	if err != nil {
		return nil, err
	}
	classes := o.Classes
	if classes == nil {
		classes = f.description.Classes
	}
	if classes == nil && !o.Unnamed {
		outputs, countErr := model.CountClasses(f.network)
		if countErr != nil {
			return nil, countErr
		}
		return nil, &ClassesError{outputs}
	}
	c, err := f.choosePreprocessing(o.Preprocess)
	if err != nil {
		return nil, err
	}
	spec := c.applyTo(f.network, cmp.Or(o.Filter, c.filter, picture.Nearest))
	spec.Orientation = f.chooseOrientation(o.Orientation)
	if err = spec.Validate(); err != nil {
		return nil, err
	}
	m, err := model.FromNetwork(f.network, classes, spec)
	if err != nil {
		return nil, err
	}
	if f.description.Digest != "" { // garb wrote it, and a model of its own has no signature
		m.Signature = f.description.Signature
	} else if m.Signature != nil {
		m.Signature.SetNames(f.input, f.output)
	}
	if f.endsInLogits {
		m.Temperature, m.MultiLabel = f.description.Temperature, f.description.MultiLabel
	}
	if err = m.SetGolden(ctx, nil); err != nil {
		return nil, err
	}
	if f.architecture != "" {
		if rebuilt, ok := m.RebuildOn(ctx, f.architecture, f.backbone); ok {
			m = rebuilt
		}
	}
	return &Import{Model: m, Format: f.format, Preprocess: c.name, Reason: c.reason, Judged: f.description.Judges}, nil
}

// chooseOrientation returns what is done with EXIF's orientation, see Options.
func (f *file) chooseOrientation(asked *picture.Orientation) picture.Orientation {
	switch described := f.description.Preprocessing; {
	case asked != nil:
		return *asked
	case described != (picture.Spec{}):
		return described.Orientation
	case f.isKeras:
		return picture.IgnoreOrientation
	}
	return picture.ApplyOrientation
}

// choice is the preprocessing that was chosen for a network.
type choice struct {
	preprocessing
	filter picture.Filter // "" if it is unknown
	reason string         // see Import
}

// choosePreprocessing returns the preprocessing with the given name or, if that is "", the one
// that the file or its network is known to need.
func (f *file) choosePreprocessing(name string) (choice, error) {
	if name != "" {
		p, err := lookupPreprocessing(name)
		return choice{preprocessing: p}, err
	}
	described := f.description.Preprocessing
	if f.prepares {
		return choice{noPreprocessing, described.Filter, "the network prepares its pictures itself"}, nil
	}
	if described != (picture.Spec{}) {
		p := preprocessing{name: "custom", mean: described.Mean, std: described.Std}
		return choice{p, described.Filter, "the file says"}, nil
	}
	if f.rescales() {
		return choice{noPreprocessing, "", "the network scales its pictures itself"}, nil
	}
	if a, err := backbone.Lookup(f.architecture); err == nil {
		p := preprocessing{name: a.Name, mean: a.Spec.Mean, std: a.Spec.Std}
		return choice{p, a.Spec.Filter, "is usual for " + a.Name}, nil
	}
	if p, network, ok := recognize(f.names); ok {
		return choice{p, "", "is usual for " + network}, nil
	}
	return choice{}, &PreprocessError{}
}

// file is the content of another program's file.
type file struct {
	network     *nn.Network
	format      string
	isKeras     bool        // the file is Keras's
	names       []string    // of the network and the networks in it
	description description // what garb wrote about the model; zero in files of other programs
	prepares    bool        // the network takes the levels of pictures, 0 to 255
	// input and output are the names of the network's input and output, "" if they are unknown.
	input, output string
	// endsInLogits says that the network's outputs are logits before the temperature.
	endsInLogits bool
	// architecture is the name of the backbone in the network if it is one of garb's, and backbone
	// its weights.
	architecture string
	backbone     tensor.Map
}

// StateDictError says that a PyTorch file is not a whole model.
type StateDictError struct{ Path string }

func (e *StateDictError) Error() string {
	return e.Path + " is a PyTorch state dict, which has weights but no layers; export the model with " +
		"torch.onnx.export and convert the ONNX file"
}

// open reads a file by the ending of its name.
func open(path string, side int) (*file, error) {
	var f *file
	var err error
	switch strings.ToLower(filepath.Ext(path)) {
	case ".onnx":
		f, err = openONNX(path, side)
	case ".pth", ".pt":
		return nil, &StateDictError{path}
	default:
		f, err = openKeras(path, side)
	}
	if err != nil {
		return nil, err
	}
	if f.architecture == "" {
		f.architecture, f.backbone = findBackbone(f.network.Tensors), f.network.Tensors
	}
	return f, nil
}

func openKeras(path string, side int) (*file, error) {
	m, err := keras.OpenFile(path, keras.DefaultLimits())
	if err != nil {
		return nil, err
	}
	n, err := m.Network(side)
	if err != nil {
		return nil, err
	}
	f := &file{network: n, isKeras: true, format: strings.TrimSpace("Keras " + m.KerasVersion), names: collectNames(m),
		description: parseDescription(m.Metadata[metadataKey])}
	f.prepares = f.description.Prepares
	f.input, f.output = m.EndNames()
	if b, err := m.Backbone(); err == nil {
		f.architecture, f.backbone = b.Architecture, b.Tensors
	}
	return f, nil
}

// collectNames returns the names of a model and of the models in it.
func collectNames(m *keras.Model) []string {
	all := []string{m.Name}
	for _, l := range m.Layers {
		if l.Model != nil {
			all = append(all, l.Name)
			all = append(all, collectNames(l.Model)...)
		}
	}
	return all
}

// findBackbone returns the name of the backbone whose tensors are among the given ones, under
// garb's names as in files that garb wrote; "" if there is none.
func findBackbone(tensors tensor.Map) string {
	for _, a := range backbone.All() {
		missing := func(p nn.Param) bool {
			t := tensors[p.Name]
			return t == nil || !slices.Equal(t.Shape, p.Shape)
		}
		if !slices.ContainsFunc(a.Features(a.Spec.Height, a.Spec.Width).Params(), missing) {
			return a.Name
		}
	}
	return ""
}

// rescales reports whether the network begins by scaling its pictures, perhaps after selecting
// their channels.
func (f *file) rescales() bool {
	at := 0
	for i, l := range f.network.Layers {
		if len(l.Inputs) == 1 && l.Inputs[0] == at {
			if l.Op != nn.OpSelect {
				return l.Op == nn.OpScale
			}
			at = i
		}
	}
	return false
}

// ReadClasses returns the classes of a data set: the names of the folder's subfolders, or of those
// in its subfolder train, in alphabetical order, as Keras numbers them.
func ReadClasses(folder string) ([]string, error) {
	if info, err := os.Stat(filepath.Join(folder, "train")); err == nil && info.IsDir() {
		folder = filepath.Join(folder, "train")
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no folder %s to take the classes from: %w", folder, fs.ErrNotExist)
		}
		return nil, err
	}
	var classes []string
	for _, e := range entries {
		if e.IsDir() && !strings.HasPrefix(e.Name(), ".") {
			classes = append(classes, e.Name())
		}
	}
	if len(classes) == 0 {
		return nil, fmt.Errorf("%s has no folders; it needs one for each class", folder)
	}
	return classes, nil
}
