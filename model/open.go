package model

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"garb/backbone"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
	"garb/weights"
)

// ErrNotModel is wrapped by errors about files that are not models.
var ErrNotModel = errors.New("not a model")

// ErrNoClasses is wrapped by errors about files that have weights but are not models. It wraps
// ErrNotModel.
var ErrNoClasses = fmt.Errorf("%w: the file has weights but no classes", ErrNotModel)

// Error says that a model cannot be used.
type Error struct {
	Model string // as the caller named it
	Err   error
}

func (e *Error) Error() string { return fmt.Sprintf("model %s: %v", e.Model, e.Err) }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Options of a Classifier or Extractor.
type Options struct {
	// Threads is the largest number of cores that one answer uses; 0 means all.
	Threads int
	// Limits bounds the cost of a picture; the zero value means picture.DefaultLimits.
	Limits picture.Limits
	// Size is the height and width of the pictures that Open has a model answer on, in pixels;
	// 0 means the model's own. Most networks accept any size, but answer best near the size that
	// they were trained on, and are calibrated only for that one.
	Size int
	// Accept is the acceptance, from 0 to 1, from which a picture is accepted. nil means the
	// model's own threshold, and 0 accepts every picture. Another threshold is an error,
	// ErrNoAcceptance, for a model that does not judge. With a Size other than its own no model
	// judges, because its acceptance was not measured on such pictures.
	Accept *float64
}

// resize returns a preprocessing with the size in the options.
func (o Options) resize(s picture.Spec) picture.Spec {
	if o.Size != 0 {
		s.Width, s.Height = o.Size, o.Size
	}
	return s
}

// limits returns the limits in the options, or the default ones.
func (o Options) limits() picture.Limits {
	if o.Limits == (picture.Limits{}) {
		return picture.DefaultLimits()
	}
	return o.Limits
}

// Default opens the built-in clothing classifier.
func Default(o Options) (*Classifier, error) { return Open(DefaultName, o) }

// Open opens a model: the path of a model file, the folder of a training run
// (its best checkpoint), or the name of a built-in model. It checks the file, its
// weights and its golden logits. Errors are *Error.
func Open(name string, o Options) (*Classifier, error) {
	c, err := open(name, o)
	if err != nil {
		return nil, &Error{name, err}
	}
	return c, nil
}

func open(name string, o Options) (*Classifier, error) {
	if name == ImageNet {
		return openImageNet(o)
	}
	if data, ok := builtInFile(name); ok {
		return decode(name, data, o)
	}
	path, err := findFile(name)
	if err != nil {
		return nil, err
	}
	f, err := tensor.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return newClassifier(strings.TrimSuffix(filepath.Base(path), fileExtension), f, o)
}

// OpenBytes opens the model in the bytes of a model file, which it does not keep. It checks
// them as Open does. Errors are *Error.
func OpenBytes(data []byte, o Options) (*Classifier, error) {
	const name = "bytes"
	c, err := decode(name, data, o)
	if err != nil {
		return nil, &Error{name, err}
	}
	return c, nil
}

func decode(name string, data []byte, o Options) (*Classifier, error) {
	f, err := tensor.Decode(data)
	if err != nil {
		return nil, err
	}
	return newClassifier(name, f, o)
}

// maxFileBytes bounds a model file that is read into memory, as tensor.ReadFile does.
const maxFileBytes = 2 << 30

// OpenFS opens a model file, or the folder of a training run, in a file system. It checks it as
// Open does. Errors are *Error.
func OpenFS(fsys fs.FS, name string, o Options) (*Classifier, error) {
	c, err := openFS(fsys, name, o)
	if err != nil {
		return nil, &Error{name, err}
	}
	return c, nil
}

func openFS(fsys fs.FS, name string, o Options) (*Classifier, error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		if name, err = BestCheckpointFS(fsys, name); err != nil {
			return nil, err
		}
	}
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFileBytes+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxFileBytes {
		return nil, fmt.Errorf("the file has more than %d bytes", maxFileBytes)
	}
	return decode(strings.TrimSuffix(path.Base(name), fileExtension), data, o)
}

// fileExtension is the ending of a model file's name.
const fileExtension = ".safetensors"

// findFile returns the path of a model's file.
func findFile(name string) (string, error) {
	info, err := os.Stat(name)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("there is no such file or run, and the built-in models are %s: %w",
			strings.Join(BuiltInNames(), ", "), fs.ErrNotExist)
	case err != nil:
		return "", err
	case !info.IsDir():
		return name, nil
	}
	return BestCheckpoint(name)
}

// BestCheckpoint returns the path of the best checkpoint in a run's folder. Training writes
// checkpoints/NAME_{epoch}_{validation accuracy}.safetensors only after an epoch that is better
// than all before, so the best one is that of the latest epoch.
func BestCheckpoint(run string) (string, error) {
	best, err := BestCheckpointFS(os.DirFS(run), ".")
	if err != nil {
		return "", err
	}
	return filepath.Join(run, filepath.FromSlash(best)), nil
}

// BestCheckpointFS is BestCheckpoint for a folder in a file system. Its error is ErrNotModel if the
// folder has no checkpoint.
func BestCheckpointFS(fsys fs.FS, run string) (string, error) {
	folder := path.Join(run, "checkpoints")
	files, err := fs.ReadDir(fsys, folder)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	best, bestEpoch := "", -1
	for _, f := range files {
		parts := strings.Split(f.Name(), "_")
		if len(parts) < 3 || path.Ext(f.Name()) != fileExtension {
			continue
		}
		if epoch, err := strconv.Atoi(parts[len(parts)-2]); err == nil && epoch > bestEpoch {
			best, bestEpoch = path.Join(folder, f.Name()), epoch
		}
	}
	if best == "" {
		return "", fmt.Errorf("%w: the folder has no checkpoints/*.safetensors; give a model file or the folder of a "+
			"finished run", ErrNotModel)
	}
	return best, nil
}

// IsModel reports whether name, as Open takes it, means a model, valid or not: a built-in name,
// a folder, or a file with a description.
func IsModel(name string) bool {
	if slices.Contains(BuiltInNames(), name) {
		return true
	}
	if info, err := os.Stat(name); err == nil && info.IsDir() {
		return true
	}
	f, err := tensor.ReadFile(name)
	return err == nil && f.Metadata[metadataKey] != ""
}

// newClassifier opens the model in a file.
func newClassifier(name string, f *tensor.File, o Options) (*Classifier, error) {
	d, ok, err := decodeDescription(f)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, ErrNoClasses
	}
	if err = d.checkTensors(f); err != nil {
		return nil, err
	}
	base := f
	if d.BackboneDigest != "" {
		if base, err = openBackboneByDigest(d.Architecture, d.BackboneDigest); err != nil {
			return nil, err
		}
	}
	c, err := d.compile(base, f, o)
	if err != nil {
		return nil, err
	}
	if err = c.checkGolden(context.Background()); err != nil {
		return nil, err
	}
	spec := o.resize(d.Preprocessing)
	resized := spec != d.Preprocessing
	if resized {
		d.Preprocessing, d.Coverage = spec, nil // the sets have their coverage only at the model's own size
		if c, err = d.compile(base, f, o); err != nil {
			return nil, err
		}
	}
	c.name, c.digest = name, f.Digest()
	return c, c.setThreshold(o.Accept, resized)
}

// compile returns the model's classifier, without name and digest. base holds the weights of the
// backbone, and top those of the head and the acceptance.
func (d *Description) compile(base, top nn.Weights, o Options) (*Classifier, error) {
	n, err := d.buildNetworks(d.Preprocessing)
	if err != nil {
		return nil, err
	}
	e, err := newExtractor(n.features, base, d.Preprocessing, o)
	if err != nil {
		return nil, err
	}
	h, err := newHead(n.head, top, d.outputCount())
	if err != nil {
		return nil, err
	}
	w := nn.Overlay{Top: top, Below: base}
	j, err := d.newJudge(w, e.count)
	if err != nil {
		return nil, err
	}
	return &Classifier{
		Extractor: e, head: h, judge: j, networks: n, weights: w, description: d,
		compileMapper: sync.OnceValues(func() (*mapper, error) { return newMapper(n.whole, w, o) }),
	}, nil
}

// openImageNet opens the built-in network with its own classification layer.
func openImageNet(o Options) (*Classifier, error) {
	f, err := weights.Open(imageNetBackbone)
	if err != nil {
		return nil, err
	}
	a, err := backbone.Lookup(imageNetBackbone)
	if err != nil {
		return nil, err
	}
	d := &Description{Format: FormatVersion, Architecture: a.Name, Preprocessing: o.resize(a.Spec)}
	var wnids []string
	for _, class := range weights.ImageNetClasses() {
		d.Classes, wnids = append(d.Classes, class.Name), append(wnids, class.WNID)
	}
	c, err := d.compile(f, f, o)
	if err != nil {
		return nil, err
	}
	c.name, c.digest, c.wnids = ImageNet, weights.Digest(imageNetBackbone, f), wnids
	return c, c.setThreshold(o.Accept, false)
}
