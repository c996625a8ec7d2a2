// Package convert takes whole models from other programs' files, and writes garb's for
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
	"garb/onnx"
	"garb/picture"
	"garb/tensor"
)

// Options are what a file does not say of its model.
type Options struct {
	// Classes are the names of the outputs, in their order; nil: those that the file has, if
	// garb wrote it.
	Classes []string
	// Unnamed lets outputs be without names: the model is then one to train on, see
	// model.FromNetwork.
	Unnamed bool
	// Preprocess names what is done to a picture's samples, see Preprocessings; "" is that
	// of the network, if it is known.
	Preprocess string
	// Side is the height and width of the pictures, in pixels; 0: what the file says.
	Side int
	// Filter resizes pictures; "": nearest, as Keras's load_img does, or the network's own.
	Filter picture.Filter
}

// Imported is a model that was read from another program's file.
type Imported struct {
	Model  *model.Model
	Format string // of the file, for people: "Keras 3.3.3"
	// Preprocess is the preprocessing's name, and Recognised why it was chosen, to be put
	// after "as", "" if it was asked for.
	Preprocess, Recognised string
	// Judged says that garb wrote the file for a model with an acceptance. Model has none:
	// it is not read back.
	Judged bool
}

// ClassesError says that the names of a model's classes are needed.
type ClassesError struct{ Outputs int }

func (e *ClassesError) Error() string {
	return fmt.Sprintf("the file does not name its %d classes: give them in the order of the outputs by --classes "+
		"a,b,… or, for those of a data set's folder, by --classes-from DIR", e.Outputs)
}

// PreprocessError says that nobody knows how a network's pictures are prepared.
type PreprocessError struct{}

func (e *PreprocessError) Error() string {
	return "the file does not say how pictures are prepared for its network, and it is none that garb knows: name " +
		"the way by --preprocess, one of " + strings.Join(Preprocessings(), ", ")
}

// metadataKey is where written files have what garb knows of a model, as JSON.
const metadataKey = "garb"

// Read reads a whole model: a .keras or .h5 file of Keras, or an ONNX file. Errors name the
// file and wrap those of packages keras, onnx, nn and garb, *ClassesError or
// *PreprocessError.
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
		f.architecture, f.backbone = ownBackbone(f.network.Tensors), f.network.Tensors
	}
	about, told := described(f.metadata)
	in := &Imported{Format: f.format, Judged: about.Judges}
	if o.Classes == nil {
		o.Classes = about.Classes
	}
	if o.Classes == nil && !o.Unnamed {
		outputs, err := model.CountClasses(f.network)
		if err != nil {
			return nil, err
		}
		return nil, &ClassesError{outputs}
	}
	filter := picture.Nearest
	var p preprocessing
	a, backboneErr := backbone.Lookup(f.architecture)
	switch found, by, ok := recognised(f.names); {
	case o.Preprocess != "":
		if p, err = preprocessingOf(o.Preprocess); err != nil {
			return nil, err
		}
	case f.prepares:
		p, in.Recognised, filter = preprocessings[0], "the network prepares its pictures itself",
			cmp.Or(about.Preprocessing.Filter, filter)
	case told:
		p = preprocessing{name: "of its own", mean: about.Preprocessing.Mean, std: about.Preprocessing.Std}
		in.Recognised, filter = "the file says", about.Preprocessing.Filter
	case f.rescales():
		p, in.Recognised = preprocessings[0], "the network scales its pictures itself"
	case backboneErr == nil:
		p = preprocessing{name: a.Name, mean: a.Spec.Mean, std: a.Spec.Std}
		in.Recognised, filter = a.Name+" has it", a.Spec.Filter
	case ok:
		p, in.Recognised = found, by+" has it"
	default:
		return nil, &PreprocessError{}
	}
	in.Preprocess = p.name
	spec := p.apply(f.network, cmp.Or(o.Filter, filter))
	if err := spec.Validate(); err != nil {
		return nil, err
	}
	if in.Model, err = model.FromNetwork(f.network, o.Classes, spec); err != nil {
		return nil, err
	}
	if f.beforeTemperature { // the network ends in logits
		in.Model.Temperature, in.Model.MultiLabel = about.Temperature, about.MultiLabel
	}
	if err := in.Model.SetGolden(ctx, nil); err != nil {
		return nil, err
	}
	if f.architecture != "" {
		if m, ok := in.Model.OnBackbone(ctx, f.architecture, f.backbone); ok {
			in.Model = m
		}
	}
	return in, nil
}

// file is what a file of another program holds.
type file struct {
	network  *nn.Network
	format   string
	names    []string // of the network and its parts
	metadata string   // garb's own, "" if there is none
	prepares bool     // it takes a picture's samples as they are
	// beforeTemperature says that the network's output has still to be divided by it.
	beforeTemperature bool
	// architecture is garb's name of the backbone inside, and backbone its weights; "" and
	// nil if it is none that garb has.
	architecture string
	backbone     tensor.Map
}

// StateDictError says that a file of PyTorch is no whole model.
type StateDictError struct{ Path string }

func (e *StateDictError) Error() string {
	return e.Path + " has weights but no layers, as all state dicts of PyTorch; export the model with " +
		"torch.onnx.export and convert that"
}

// open tells files apart by their content.
func open(path string, side int) (*file, error) {
	if strings.EqualFold(filepath.Ext(path), ".onnx") {
		limits := onnx.DefaultLimits()
		limits.Side = side
		n, info, err := onnx.ReadFile(path, limits)
		if err != nil {
			return nil, err
		}
		f := &file{network: resized(n, side), metadata: info.Metadata[metadataKey], prepares: info.Input.Picture,
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
	f := &file{network: n, format: strings.TrimSpace("Keras " + m.KerasVersion), names: names(m),
		metadata: m.Metadata[metadataKey]}
	about, _ := described(f.metadata)
	f.prepares = about.Prepares
	if b, err := m.Backbone(); err == nil {
		f.architecture, f.backbone = b.Architecture, b.Tensors
	}
	return f, nil
}

// ownBackbone finds the backbone that tensors are those of under garb's names, as in files
// that garb wrote; "" if there is none.
func ownBackbone(tensors tensor.Map) string {
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

// resized is a network for pictures of another side.
func resized(n *nn.Network, side int) *nn.Network {
	if side > 0 && len(n.Layers) > 0 && len(n.Layers[0].Shape) == 3 {
		n.Layers[0].Shape[0], n.Layers[0].Shape[1] = side, side
	}
	return n
}

// names are those of a model and the models inside.
func names(m *keras.Model) []string {
	all := []string{m.Name}
	for _, l := range m.Layers {
		if l.Model != nil {
			all = append(all, l.Name)
			all = append(all, names(l.Model)...)
		}
	}
	return all
}

// rescales reports whether the network begins by scaling its pictures, perhaps after picking
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

// ClassesFrom are the classes of a data set's folder: its subfolders in alphabetical order,
// as Keras numbers them; of a folder with train, those in it.
func ClassesFrom(folder string) ([]string, error) {
	if info, err := os.Stat(filepath.Join(folder, "train")); err == nil && info.IsDir() {
		folder = filepath.Join(folder, "train")
	}
	entries, err := os.ReadDir(folder)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("there is no folder %s to take classes from: %w", folder, fs.ErrNotExist)
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
		return nil, fmt.Errorf("%s has no folders, one for each class", folder)
	}
	return classes, nil
}
