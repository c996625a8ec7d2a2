// Package weights provides pretrained weights: those built into the binary, those
// downloaded from their official sources, and those in the user's files.
package weights

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"garb/internal/edition"
	"garb/tensor"
	"garb/torch"
)

// Source describes pretrained weights that garb knows by name.
type Source struct {
	Name         string `json:"name"`
	Architecture string `json:"architecture"` // in package backbone
	Description  string `json:"description"`
	// WithTop says that the weights include the network's own classification layer.
	WithTop bool   `json:"with_top"`
	Licence string `json:"licence"`
	Origin  string `json:"origin"` // who made them
	BuiltIn bool   `json:"built_in"`
	// URL is the address of the official file; MaxBytes is more than its size. MD5 is the digest
	// that its makers publish, in hexadecimal; SHA256Prefix is the first eight digits of a SHA-256.
	// URL and digests are empty for built-in weights; both digests are empty if the makers publish
	// none.
	URL          string `json:"url,omitempty"`
	MD5          string `json:"md5,omitempty"`
	SHA256Prefix string `json:"sha256_prefix,omitempty"`
	MaxBytes     int64  `json:"-"`
	// Application describes a network of keras.applications, whose Architecture is
	// backbone.OwnName. It is nil for the others.
	Application *Application `json:"application,omitempty"`
}

var sources = slices.Concat(builtInSources, []Source{
	{
		Name: "xception", Architecture: "xception",
		Description: "ImageNet, without top",
		Licence:     "MIT",
		Origin:      "François Chollet, keras-applications",
		// URL and digest: keras/src/applications/xception.py of Keras 3.
		URL: "https://storage.googleapis.com/tensorflow/keras-applications/xception/" +
			"xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
		MD5:      "b0042744bf5b25fce3cb969f33bebb97",
		MaxBytes: 100 << 20, // 20,861,480 float32 values are 83.4 MB
	},
	torchvisionSource("mobilenet-v2", "mobilenet_v2", "b0353104", 14),
	torchvisionSource("resnet18", "resnet18", "f37072fd", 45),
	torchvisionSource("resnet50", "resnet50", "0676ba61", 98),
}, parseApplications())

// torchvisionSource describes weights of torchvision: IMAGENET1K_V1 in torchvision/models,
// about as large as megabytes. The file's name contains the first eight digits of its
// SHA-256. The later IMAGENET1K_V2 classify better, but a head learns worse from their
// features.
func torchvisionSource(name, file, digest string, megabytes int64) Source {
	return Source{
		Name: name, Architecture: name, WithTop: true,
		Description:  "ImageNet, 1000 classes",
		Licence:      "BSD-3-Clause",
		Origin:       "torchvision, IMAGENET1K_V1",
		URL:          "https://download.pytorch.org/models/" + file + "-" + digest + ".pth",
		SHA256Prefix: digest, MaxBytes: 2 * megabytes << 20,
	}
}

// Sources returns all sources in a fixed order.
func Sources() []Source { return append([]Source(nil), sources...) }

// Lookup returns the source with the given name.
func Lookup(name string) (Source, bool) {
	for _, s := range sources {
		if s.Name == name {
			return s, true
		}
	}
	return Source{}, false
}

// openLite unpacks the built-in file at its first call.
var openLite = sync.OnceValues(func() (*tensor.File, error) {
	data, err := unpack(packedLite)
	if err != nil {
		return nil, err
	}
	return tensor.Decode(data)
})

const builtInName = "efficientnet-lite0"

// BuiltIn returns the weights that are built into the binary under a name. Tensors are decoded one
// by one on request.
func BuiltIn(name string) (*tensor.File, bool) {
	if name != builtInName || packedLite == nil {
		return nil, false
	}
	f, err := openLite()
	if err != nil {
		panic("weights: the built-in file: " + err.Error()) // the binary is damaged
	}
	return f, true
}

// builtInDigest is the Digest of the built-in file, which a test verifies. Computing it would take
// a tenth of the time to a first answer.
const builtInDigest = "sha256:131b3dbc9e8d2a8cab25db21f6b41b3d3ddfac641a9c33ab098681635fed3291"

// Digest returns the digest of the weights that Open returned for a reference.
func Digest(reference string, f *tensor.File) string {
	if reference == builtInName {
		return builtInDigest
	}
	return f.Digest()
}

// MissingError says that the weights of a known name have not been downloaded.
type MissingError struct {
	Name string
	Path string // where they are looked for
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("the weights %q are not on this machine", e.Name)
}

// KerasFileError says that a file of weights is in Keras's format, which Open does not
// convert. Read does.
type KerasFileError struct{ Path string }

func (e *KerasFileError) Error() string {
	return e.Path + " is a Keras file, not a safetensors file"
}

// Home returns the folder in which garb keeps files between runs: GARB_HOME, or garb in the user's
// cache folder.
func Home() (string, error) {
	if home := os.Getenv("GARB_HOME"); home != "" {
		return home, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("there is no folder for garb's files: %w; set GARB_HOME to one", err)
	}
	return filepath.Join(cache, "garb"), nil
}

// Path returns where a source's weights are stored once they are downloaded.
func (s Source) Path() (string, error) {
	home, err := Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, "weights", s.Name+".safetensors"), nil
}

// Open returns weights by reference: a known name (built in or downloaded), the path of a
// safetensors file, or that of a PyTorch state dict, which it converts in memory. Its error is a
// *MissingError if the weights of a known name have not been downloaded, and a *KerasFileError for
// a Keras file.
func Open(reference string) (*tensor.File, error) {
	if f, ok := BuiltIn(reference); ok {
		return f, nil
	}
	if reference == builtInName {
		return nil, &edition.MissingError{Part: "weights " + builtInName + ", from ImageNet", Build: edition.Default}
	}
	s, ok := Lookup(reference)
	if !ok {
		return openFile(reference)
	}
	path, err := s.Path()
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(path); os.IsNotExist(err) {
		return nil, &MissingError{s.Name, path}
	}
	return tensor.ReadFile(path)
}

func openFile(path string) (*tensor.File, error) {
	f, err := tensor.ReadFile(path)
	if err == nil && !hasTorchNames(f) {
		return f, nil
	}
	if err == nil || isTorch(path) {
		n, networkErr := Read(path)
		var notABackbone *torch.NotABackboneError
		if err == nil && errors.As(networkErr, &notABackbone) {
			return f, nil // the user's own network
		}
		if networkErr != nil {
			return nil, networkErr
		}
		return n.toFile()
	}
	if isKeras(path) {
		return nil, &KerasFileError{path}
	}
	if os.IsNotExist(err) && !strings.ContainsAny(path, `/\.`) {
		return nil, fmt.Errorf("no weights and no file are named %q; the known weights are %s: %w",
			path, listNames(), fs.ErrNotExist)
	}
	return nil, err
}

func listNames() string {
	var list []string
	for _, s := range sources {
		list = append(list, s.Name)
	}
	return strings.Join(list, ", ")
}
