package weights

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"garb/backbone"
	"garb/internal/safefile"
	"garb/keras"
	"garb/tensor"
	"garb/torch"
)

// Network is the weights of a known architecture under garb's names.
type Network struct {
	Architecture string // in package backbone
	WithTop      bool   // the tensors are those of the graph WithTop, else of Features
	Tensors      tensor.Map
	// Metadata is the file's own, and what it was made from.
	Metadata map[string]string
	// Format is what the file is, for people: "Keras 3.3.3, model xception".
	Format string
	// LeftOut names layers of the file that are not part of the network.
	LeftOut []string
}

// NotANetworkError says that the tensors of a file are those of no architecture
// that garb has.
type NotANetworkError struct{ Path string }

func (e *NotANetworkError) Error() string {
	return e.Path + " holds the weights of none of garb's backbones (garb models list names them)"
}

// ParameterCount returns the number of values in all tensors.
func (n *Network) ParameterCount() int {
	count := 0
	for _, t := range n.Tensors {
		count += tensor.Len(t.Shape)
	}
	return count
}

// NoteStep adds a step of the conversion to the metadata, once.
func (n *Network) NoteStep(step string) {
	switch before := n.Metadata[KeyConverted]; {
	case before == "":
		n.Metadata[KeyConverted] = step
	case !strings.HasSuffix(before, step):
		n.Metadata[KeyConverted] = before + ", " + step
	}
}

// Keys of a file's metadata.
const (
	KeyArchitecture = "architecture"  // the name in package backbone
	KeySource       = "source"        // where the weights come from, for people
	KeySourceDigest = "source_digest" // of the file that they were converted from
	KeyConverted    = "converted"     // how, for people
)

const maxFileBytes = 2 << 30

// Read reads a file of Keras, PyTorch or safetensors, told apart by their content, and
// finds the network in it. Every parameter of the architecture is there with its
// shape, and nothing else. Errors name the path; they wrap those of packages
// keras, torch and tensor, or are a *NotANetworkError.
func Read(path string) (*Network, error) {
	data, err := safefile.Read(path, maxFileBytes)
	if err != nil {
		return nil, err
	}
	n, err := read(path, data)
	if err != nil {
		return nil, err
	}
	n.Metadata[KeyArchitecture] = n.Architecture
	n.Metadata[KeySourceDigest] = fmt.Sprintf("sha256:%x", sha256.Sum256(data))
	if n.Metadata[KeySource] == "" {
		n.Metadata[KeySource] = filepath.Base(path)
	}
	return n, nil
}

func read(path string, data []byte) (*Network, error) {
	switch {
	case torch.Is(data):
		s, err := torch.Decode(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return fromTorch(path, s, "PyTorch", map[string]string{})
	case !looksLikeKeras(data):
		return readSafetensors(path, data)
	}
	m, err := keras.Open(data, keras.DefaultLimits())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	b, err := m.Backbone()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	n := &Network{
		Architecture: b.Architecture, WithTop: b.WithTop, Tensors: b.Tensors, LeftOut: b.LeftOut,
		Metadata: map[string]string{}, Format: "Keras",
	}
	if m.KerasVersion != "" {
		n.Format += " " + m.KerasVersion
	}
	if m.Class == "" {
		n.Format += ", weights only"
	}
	if b.Place != "" {
		n.Format += ", model " + b.Place
	}
	n.NoteStep("from " + n.Format)
	return n, nil
}

func readSafetensors(path string, data []byte) (*Network, error) {
	f, err := tensor.Decode(data)
	var format *tensor.FormatError
	if errors.As(err, &format) {
		format.Path = path
	}
	if err != nil {
		return nil, err
	}
	metadata := maps.Clone(f.Metadata)
	if metadata == nil {
		metadata = map[string]string{}
	}
	if torchNames(f) {
		s, err := torch.FromSafetensors(f)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return fromTorch(path, s, "safetensors of PyTorch", metadata)
	}
	architecture, withTop, ok := Recognise(f)
	if !ok {
		return nil, &NotANetworkError{path}
	}
	n := &Network{Architecture: architecture, WithTop: withTop, Tensors: tensor.Map{}, Metadata: metadata,
		Format: "safetensors"}
	for _, name := range f.Names() {
		if n.Tensors[name], err = f.Tensor(name); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// torchNames reports whether the tensors of a file have names of PyTorch's: those of the
// statistics of a batch-norm are unlike any of garb's.
func torchNames(f *tensor.File) bool {
	return slices.ContainsFunc(f.Names(), func(n string) bool { return strings.HasSuffix(n, ".running_mean") })
}

// fromTorch finds the network in a state dict.
func fromTorch(path string, s *torch.StateDict, format string, metadata map[string]string) (*Network, error) {
	b, err := s.Backbone()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	n := &Network{Architecture: b.Architecture, WithTop: b.WithTop, Tensors: b.Tensors, LeftOut: b.LeftOut,
		Metadata: metadata, Format: format}
	n.NoteStep("from " + format)
	return n, nil
}

// file returns the network as a safetensors file in memory.
func (n *Network) file() (*tensor.File, error) {
	var b bytes.Buffer
	if err := tensor.Write(&b, n.Metadata, n.Tensors, tensor.Float32); err != nil {
		return nil, err
	}
	return tensor.Decode(b.Bytes())
}

// Recognise tells which architecture's parameters a file holds, all of them and
// no others, and whether with its top.
func Recognise(f *tensor.File) (architecture string, withTop, ok bool) {
	for _, a := range backbone.All() {
		for _, withTop := range []bool{false, true} {
			graph := a.Features(a.MinSide, a.MinSide)
			if withTop {
				graph = a.WithTop(a.MinSide, a.MinSide)
			}
			params := graph.Params()
			if len(params) != len(f.Names()) {
				continue
			}
			same := true
			for _, p := range params {
				shape := f.Shape(p.Name)
				if a.Name == "small-cnn" && p.Name == "dense1/kernel" && len(shape) == 2 {
					shape[0] = p.Shape[0] // follows from the size of the input
				}
				same = same && f.Has(p.Name) && slices.Equal(shape, p.Shape)
			}
			if same {
				return a.Name, withTop, true
			}
		}
	}
	return "", false, false
}

// looksLikeKeras tells a zip archive or an HDF5 file by its first bytes.
func looksLikeKeras(data []byte) bool {
	return bytes.HasPrefix(data, []byte("PK\x03\x04")) || bytes.HasPrefix(data, []byte("\x89HDF\r\n\x1a\n"))
}

func isKeras(path string) bool { return looksLikeKeras(beginning(path)) }

// isTorch reports whether a file begins as those of torch.save, of PyTorch's own or of the
// zip archives that they share with Keras.
func isTorch(path string) bool {
	start := beginning(path)
	if !bytes.HasPrefix(start, []byte("PK")) {
		return torch.Is(start)
	}
	data, err := safefile.Read(path, maxFileBytes)
	return err == nil && torch.Is(data)
}

// beginning returns the first bytes of a file, none if it cannot be read.
func beginning(path string) []byte {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() { // opening a pipe could wait forever
		return nil
	}
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	start := make([]byte, 8)
	n, _ := io.ReadFull(f, start)
	return start[:n]
}
