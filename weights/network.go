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
	"garb/nn"
	"garb/tensor"
	"garb/torch"
)

// Network holds the weights of a known architecture under garb's names.
type Network struct {
	Architecture string // its name in package backbone
	WithTop      bool   // the tensors include the classification layer
	Tensors      tensor.Map
	// Metadata holds the file's own metadata and where the weights come from.
	Metadata map[string]string
	// Format describes the file's format to people: "Keras 3.3.3, model xception".
	Format string
	// LeftOut names layers of the file that the network does not have.
	LeftOut []string
}

// NotANetworkError says that a file's tensors fit none of garb's architectures.
type NotANetworkError struct{ Path string }

func (e *NotANetworkError) Error() string {
	return e.Path + " holds the weights of none of garb's backbones"
}

// ParameterCount returns the number of values in all tensors.
func (n *Network) ParameterCount() int {
	count := 0
	for _, t := range n.Tensors {
		count += tensor.Len(t.Shape)
	}
	return count
}

// NoteStep adds a step of the conversion to the metadata unless it is already the last one.
func (n *Network) NoteStep(step string) {
	switch before := n.Metadata[KeyConverted]; {
	case before == "":
		n.Metadata[KeyConverted] = step
	case !strings.HasSuffix(before, step):
		n.Metadata[KeyConverted] = before + ", " + step
	}
}

// Keys of the metadata.
const (
	KeyArchitecture = "architecture"  // the name in package backbone
	KeySource       = "source"        // where the weights come from, for people
	KeySourceDigest = "source_digest" // of the file that was converted
	KeyConverted    = "converted"     // how, for people
)

const maxFileBytes = 2 << 30

// Read reads a Keras, PyTorch or safetensors file, recognized by its content, and finds the network
// in it. The network is complete: every parameter of the architecture has its shape, and there are
// no others. Errors name the path; they wrap those of packages keras, torch and tensor, or are a
// *NotANetworkError.
func Read(path string) (*Network, error) {
	data, err := safefile.Read(path, maxFileBytes)
	if err != nil {
		return nil, err
	}
	n, err := decode(path, data)
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

// decode finds the network in a file's data. path names the file in errors.
func decode(path string, data []byte) (*Network, error) {
	switch {
	case torch.Is(data):
		s, err := torch.Decode(data)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return networkFromTorch(path, s, "PyTorch", map[string]string{})
	case !looksLikeKeras(data):
		return decodeSafetensors(path, data)
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

func decodeSafetensors(path string, data []byte) (*Network, error) {
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
	if hasTorchNames(f) {
		var s *torch.StateDict
		if s, err = torch.FromSafetensors(f); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		return networkFromTorch(path, s, "safetensors of PyTorch", metadata)
	}
	architecture, withTop, ok := Recognise(f)
	if !ok {
		return nil, &NotANetworkError{path}
	}
	n := &Network{
		Architecture: architecture, WithTop: withTop, Tensors: tensor.Map{},
		Metadata: metadata, Format: "safetensors",
	}
	for _, name := range f.Names() {
		if n.Tensors[name], err = f.Tensor(name); err != nil {
			return nil, err
		}
	}
	return n, nil
}

// hasTorchNames reports whether a file's tensors have PyTorch's names: garb has none that end in
// running_mean.
func hasTorchNames(f *tensor.File) bool {
	return slices.ContainsFunc(f.Names(), func(n string) bool { return strings.HasSuffix(n, ".running_mean") })
}

// networkFromTorch finds the network in a state dict.
func networkFromTorch(path string, s *torch.StateDict, format string, metadata map[string]string) (*Network, error) {
	b, err := s.Backbone()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	n := &Network{
		Architecture: b.Architecture, WithTop: b.WithTop, Tensors: b.Tensors, LeftOut: b.LeftOut,
		Metadata: metadata, Format: format,
	}
	n.NoteStep("from " + format)
	return n, nil
}

// toFile returns the network as a safetensors file in memory.
func (n *Network) toFile() (*tensor.File, error) {
	var b bytes.Buffer
	if err := tensor.Write(&b, n.Metadata, n.Tensors, tensor.Float32); err != nil {
		return nil, err
	}
	return tensor.Decode(b.Bytes())
}

// Recognise returns the architecture whose parameters a file holds, all of them and no
// others, and whether they include the classification layer.
func Recognise(f *tensor.File) (architecture string, withTop, ok bool) {
	for _, a := range backbone.All() {
		switch {
		case holds(f, a, a.Features(a.MinSide, a.MinSide).Params()):
			return a.Name, false, true
		case holds(f, a, a.WithTop(a.MinSide, a.MinSide).Params()):
			return a.Name, true, true
		}
	}
	return "", false, false
}

// holds reports whether a file's tensors are these parameters of an architecture.
func holds(f *tensor.File, a backbone.Architecture, params []nn.Param) bool {
	if len(params) != len(f.Names()) {
		return false
	}
	for _, p := range params {
		shape := f.Shape(p.Name)
		if a.Name == "small-cnn" && p.Name == "dense1/kernel" && len(shape) == 2 {
			shape[0] = p.Shape[0] // depends on the size of the input
		}
		if !f.Has(p.Name) || !slices.Equal(shape, p.Shape) {
			return false
		}
	}
	return true
}

// looksLikeKeras reports whether data begins like a zip archive or an HDF5 file.
func looksLikeKeras(data []byte) bool {
	return bytes.HasPrefix(data, []byte("PK\x03\x04")) || bytes.HasPrefix(data, []byte("\x89HDF\r\n\x1a\n"))
}

func isKeras(path string) bool { return looksLikeKeras(readBeginning(path)) }

// isTorch reports whether a file is one of torch.save: PyTorch's old format, or a zip archive with
// a pickle.
func isTorch(path string) bool {
	start := readBeginning(path)
	if !bytes.HasPrefix(start, []byte("PK")) {
		return torch.Is(start)
	}
	data, err := safefile.Read(path, maxFileBytes)
	return err == nil && torch.Is(data)
}

// readBeginning returns a file's first 8 bytes, nothing if it cannot be read.
func readBeginning(path string) []byte {
	info, err := os.Stat(path)
	if err != nil || !info.Mode().IsRegular() { // opening a pipe can block forever
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
