// Package convert reads whole models from the files of other programs, and writes garb's models for other
// programs.
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
	"garb/onnx"
	"garb/picture"
	"garb/tensor"
)

// Options are settings that a file may not have.
type Options struct {
	// Classes are the names of the outputs, in their order; nil means the names in a file that
	// garb wrote.
	Classes []string
	// Unnamed allows outputs without names: the model is then one to train on, see
	// model.FromNetwork.
	Unnamed bool
	// Preprocess is the name of a preprocessing, see Preprocessings; "" means that of the
	// network, if it is known.
	Preprocess string
	// Side is the height and width of the pictures in pixels; 0 means the size in the file.
	Side int
	// Filter is the filter for resizing pictures; "" means the network's own or nearest, as
	// in Keras's load_img.
	Filter picture.Filter
}

// Imported is a model that was read from the file of another program.
type Imported struct {
	Model  *model.Model
	Format string // of the file, for people, such as "Keras 3.3.3"
	// Preprocess is the name of the preprocessing. Recognised is the reason for its choice, to
	// follow "as", "" if Options has it.
	Preprocess, Recognised string
	// Judged says that garb wrote the file for a model with acceptance. Model has none, since
	// the acceptance is not read back.
	Judged bool
}

// ClassesError says that the names of a model's classes are needed.
type ClassesError struct{ Outputs int }

func (e *ClassesError) Error() string {
	return fmt.Sprintf("the file does not name its %d classes: their names are needed, in the order of the outputs",
		e.Outputs)
}

// PreprocessError says that the preprocessing of a network's pictures is not known.
type PreprocessError struct{}

func (e *PreprocessError) Error() string {
	return "the file does not store the preprocessing of pictures, and garb does not know the network: the " +
		"preprocessing is needed, one of " + strings.Join(Preprocessings(), ", ")
}

// metadataKey is the key of the metadata of written files that has a description, as JSON.
const metadataKey = "garb"

// Read reads a whole model from a .keras or .h5 file of Keras, or from an ONNX file. Errors name the file
// and wrap those of packages keras, onnx, nn and model, *ClassesError or *PreprocessError.
func Read(ctx context.Context, path string, o Options) (*Imported, error) {
	in, err := read(ctx, path, o)
	if err != nil && !strings.Contains(err.Error(), path) {
		err = fmt.Errorf("%s: %w", path, err)
	}
	return in, err
}

func read(ctx context.Context, path string, o Options) (*Imported, error) {
	f, err := open(path, o.Side)
	if err != nil {
		return nil, err
	}
	if f.architecture == "" {
		f.architecture, f.backbone = findBackbone(f.network.Tensors), f.network.Tensors
	}
	about, _ := decodeDescription(f.metadata)
	in := &Imported{Format: f.format, Judged: about.Judges}
	if o.Classes == nil {
		o.Classes = about.Classes
	}
	if o.Classes == nil && !o.Unnamed {
		var outputs int
		if outputs, err = model.CountClasses(f.network); err != nil {
			return nil, err
		}
		return nil, &ClassesError{outputs}
	}
	p, filter, reason, err := f.choosePreprocessing(o.Preprocess)
	if err != nil {
		return nil, err
	}
	in.Preprocess, in.Recognised = p.name, reason
	spec := p.apply(f.network, cmp.Or(o.Filter, filter))
	if err = spec.Validate(); err != nil {
		return nil, err
	}
	if in.Model, err = model.FromNetwork(f.network, o.Classes, spec); err != nil {
		return nil, err
	}
	if f.beforeTemperature { // the network ends in logits
		in.Model.Temperature, in.Model.MultiLabel = about.Temperature, about.MultiLabel
	}
	if err = in.Model.SetGolden(ctx, nil); err != nil {
		return nil, err
	}
	if f.architecture != "" {
		if m, ok := in.Model.OnBackbone(ctx, f.architecture, f.backbone); ok {
			in.Model = m
		}
	}
	return in, nil
}

// choosePreprocessing returns the preprocessing of a name, or that of the network if the name is "". It
// also returns the network's filter, and the reason for the choice, as in Imported.
func (f *file) choosePreprocessing(name string) (p preprocessing, filter picture.Filter, reason string, err error) {
	about, described := decodeDescription(f.metadata)
	a, backboneErr := backbone.Lookup(f.architecture)
	found, by, recognised := recognise(f.names)
	switch {
	case name != "":
		p, err = findPreprocessing(name)
		return p, picture.Nearest, "", err
	case f.prepares:
		return preprocessings[0], cmp.Or(about.Preprocessing.Filter, picture.Nearest),
			"the network prepares its pictures itself", nil
	case described:
		s := about.Preprocessing
		return preprocessing{name: "of its own", mean: s.Mean, std: s.Std}, s.Filter, "the file says", nil
	case f.rescales():
		return preprocessings[0], picture.Nearest, "the network scales its pictures itself", nil
	case backboneErr == nil:
		return preprocessing{name: a.Name, mean: a.Spec.Mean, std: a.Spec.Std}, a.Spec.Filter, a.Name + " has it", nil
	case recognised:
		return found, picture.Nearest, by + " has it", nil
	}
	return p, filter, "", &PreprocessError{}
}

// file is the content of another program's file.
type file struct {
	network  *nn.Network
	format   string
	names    []string // of the network and its parts
	metadata string   // written by garb, "" if there is none
	prepares bool     // the network takes pixel values without preprocessing
	// beforeTemperature says that the network's outputs are not divided by the temperature.
	beforeTemperature bool
	// architecture is garb's name of the backbone inside, and backbone its weights; "" and nil
	// if it is not one of garb's.
	architecture string
	backbone     tensor.Map
}

// StateDictError says that a file of PyTorch is not a whole model.
type StateDictError struct{ Path string }

func (e *StateDictError) Error() string {
	return e.Path + " is a state dict of PyTorch, which has weights but no layers: export the model with " +
		"torch.onnx.export and convert the result"
}

// open reads a file, whose format it detects.
func open(path string, side int) (*file, error) {
	if strings.EqualFold(filepath.Ext(path), ".onnx") {
		limits := onnx.DefaultLimits()
		limits.Side = side
		n, info, err := onnx.ReadFile(path, limits)
		if err != nil {
			return nil, err
		}
		f := &file{network: resize(n, side), metadata: info.Metadata[metadataKey], prepares: info.Input.Picture,
			beforeTemperature: info.Output == "logits"}
		f.format = strings.TrimSpace(fmt.Sprintf("ONNX opset %d of %s %s", info.Opset,
			cmp.Or(info.Producer, "an unknown program"), info.ProducerVersion))
		return f, nil
	}
	if extension := strings.ToLower(filepath.Ext(path)); extension == ".pth" || extension == ".pt" {
		return nil, &StateDictError{path}
	}
	m, err := keras.OpenFile(path, keras.DefaultLimits())
	if err != nil {
		return nil, err
	}
	n, err := m.Network(side)
	if err != nil {
		return nil, err
	}
	f := &file{network: n, format: strings.TrimSpace("Keras " + m.KerasVersion), names: listNames(m),
		metadata: m.Metadata[metadataKey]}
	about, _ := decodeDescription(f.metadata)
	f.prepares = about.Prepares
	if b, err := m.Backbone(); err == nil {
		f.architecture, f.backbone = b.Architecture, b.Tensors
	}
	return f, nil
}

// findBackbone returns the backbone whose parameters tensors has under garb's names, as in files that garb
// wrote; "" if there is none.
func findBackbone(tensors tensor.Map) string {
	for _, a := range backbone.All() {
		if !slices.ContainsFunc(a.Features(a.Spec.Height, a.Spec.Width).Params(), func(p nn.Param) bool {
			t := tensors[p.Name]
			return t == nil || !slices.Equal(t.Shape, p.Shape)
		}) {
			return a.Name
		}
	}
	return ""
}

// resize sets the size of a network's pictures, unless side is 0.
func resize(n *nn.Network, side int) *nn.Network {
	if side > 0 && len(n.Layers) > 0 && len(n.Layers[0].Shape) == 3 {
		n.Layers[0].Shape[0], n.Layers[0].Shape[1] = side, side
	}
	return n
}

// listNames returns the names of a model and of the models inside it.
func listNames(m *keras.Model) []string {
	all := []string{m.Name}
	for _, l := range m.Layers {
		if l.Model != nil {
			all = append(all, l.Name)
			all = append(all, listNames(l.Model)...)
		}
	}
	return all
}

// rescales reports whether the network begins by scaling its pictures, perhaps after selecting their
// channels.
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

// ClassesFrom returns the classes of a data set's folder, or of the folder train in it: the names of the
// subfolders in alphabetical order, as Keras numbers them.
func ClassesFrom(folder string) ([]string, error) {
	if info, err := os.Stat(filepath.Join(folder, "train")); err == nil && info.IsDir() {
		folder = filepath.Join(folder, "train")
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no folder %s to read classes from: %w", folder, fs.ErrNotExist)
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
		return nil, fmt.Errorf("%s has no folders of classes", folder)
	}
	return classes, nil
}
