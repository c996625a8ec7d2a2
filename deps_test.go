package garb_test

import (
	"bytes"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "garb"

// layout is the layout of the project, to be read downwards: a package imports
// only packages above it. It is a statement of policy, and exact: each row names
// every package of ours and every other module that the package imports, and the
// test fails for an import that is not named and for a name that is not imported.
// Change it together with ARCHITECTURE.md, when the code has a reason.
//
// Test files may also import any package above theirs, and the modules of
// testModules.
var layout = []struct{ pkg, ours, modules string }{
	{"internal/filename", "", ""},
	{"internal/safefile", "internal/filename", "golang.org/x/sys"},
	{"internal/edition", "", ""},
	{"internal/tfevents", "internal/safefile", "google.golang.org/protobuf"},
	{"internal/download", "internal/safefile", "github.com/hashicorp/go-retryablehttp"},
	{"internal/fence", "", ""},
	{"internal/kernel", "", "golang.org/x/sys"},
	{"internal/elementary", "", ""},
	{"internal/raster", "", ""},
	{"internal/exif", "", ""},
	{"internal/icc", "", ""},
	{"internal/jpeg", "internal/kernel internal/raster", ""},
	{"internal/heif", "internal/raster", "github.com/tetratelabs/wazero"},
	{"internal/bmp", "internal/raster", ""},
	{"internal/gif", "internal/raster", ""},
	{"internal/inflate", "internal/kernel", ""},
	{"internal/png", "internal/kernel internal/raster internal/inflate", ""},
	{"internal/vp8", "internal/kernel internal/raster", "golang.org/x/sys"},
	{"internal/vp8l", "internal/kernel internal/raster", "golang.org/x/sys"},
	{"internal/webp", "internal/kernel internal/raster internal/vp8 internal/vp8l", ""},
	{"internal/ico", "internal/raster internal/png internal/bmp", ""},
	{"internal/tiff", "internal/raster internal/exif internal/inflate internal/jpeg", ""},
	{"internal/hdf5", "internal/kernel", ""},
	{"tensor", "internal/safefile internal/kernel", ""},
	{"picture",
		"internal/edition internal/kernel internal/raster internal/exif internal/icc internal/jpeg internal/heif " +
			"internal/bmp internal/gif internal/png internal/ico internal/tiff internal/webp", ""},
	{"internal/drawn", "picture", ""},
	{"internal/drawn/make", "picture internal/drawn", ""},
	{"nn", "internal/kernel internal/elementary tensor", ""},
	{"internal/peertest", "tensor nn", ""},
	{"internal/mutate", "", ""},
	{"diagram", "tensor nn", ""},
	{"backbone", "picture nn", ""},
	{"keras", "internal/safefile internal/hdf5 tensor nn backbone", ""},
	{"torch", "internal/kernel tensor backbone", ""},
	{"weights", "internal/safefile internal/edition internal/download tensor nn backbone keras torch", ""},
	{"onnx", "internal/safefile internal/kernel tensor nn", "google.golang.org/protobuf"},
	{"tflite", "tensor nn", "github.com/google/flatbuffers"},
	{"accept", "internal/elementary nn", ""},
	{"conformal", "", ""},
	{"model", "internal/elementary accept tensor picture nn backbone weights conformal", ""},
	{".", "picture model", "golang.org/x/sync"},
	{"convert", "internal/safefile internal/edition accept tensor picture nn backbone keras weights onnx tflite model",
		""},
	{"report", "picture", ""},
	{"dataset", "internal/filename internal/safefile internal/download picture",
		"github.com/gofrs/flock golang.org/x/sync golang.org/x/text gonum.org/v1/gonum"},
	{"relabel", "internal/filename internal/safefile dataset", ""},
	{"results", "model", ""},
	{"results/parquet", "results", "github.com/parquet-go/parquet-go"},
	{"store", "internal/safefile dataset", "github.com/aws/aws-sdk-go-v2 github.com/aws/smithy-go gocloud.dev"},
	{"store/gcs", "store", "cloud.google.com/go/storage gocloud.dev google.golang.org/api"},
	{"store/azure", "store", "github.com/Azure/azure-sdk-for-go gocloud.dev"},
	{"crops", "picture dataset", "golang.org/x/text"},
	{"augment", "picture dataset", ""},
	{"evaluate", "nn picture accept conformal model report dataset", "gonum.org/v1/gonum"},
	{"internal/scale", "", ""},
	{"internal/perturb", "picture", ""},
	{"internal/card", "picture model dataset evaluate internal/perturb internal/drawn", ""},
	{"mislabel", "", ""},
	{"features", "internal/safefile picture weights model", "github.com/gofrs/flock"},
	{"shard", "internal/safefile", ""},
	{"train", "accept conformal internal/safefile internal/tfevents tensor picture nn backbone weights model report " +
		"dataset augment evaluate features shard",
		"github.com/gofrs/flock"},
	{"explain", "internal/safefile picture nn model report", "golang.org/x/image"},
	{"project", "", "golang.org/x/sync gonum.org/v1/gonum"},
	{"answers", "internal/safefile picture model", "github.com/gofrs/flock"},
	{"queue", "internal/safefile picture results",
		"github.com/gofrs/flock github.com/nats-io/nats-server/v2 github.com/nats-io/nats.go github.com/nats-io/nuid"},
	{"drift", "evaluate", "golang.org/x/sync gonum.org/v1/gonum"},
	{"serve/inferencepb", "", "google.golang.org/protobuf"},
	{"serve/tensorflowpb", "", "google.golang.org/protobuf"},
	{"serve/listen", "", "golang.org/x/sys"},
	{"serve/observe", "", "github.com/prometheus/client_golang go.opentelemetry.io/contrib go.opentelemetry.io/otel"},
	{"serve/reload", "internal/safefile", ""},
	{"serve/access", "serve/reload", "github.com/pelletier/go-toml/v2 golang.org/x/time"},
	{"serve/connection", "", ""},
	{"serve/fetch", "", ""},
	{"serve/origin", "", ""},
	{"serve/enginetest", "picture model", ""},
	{"serve/engine", "picture nn model serve/observe", ""},
	{"serve/registry", "picture model serve/observe serve/engine", ""},
	{"serve/request", "picture answers serve/observe serve/reload serve/access serve/fetch serve/origin " +
		"serve/engine serve/registry",
		""},
	{"serve/tensors", "picture model serve/engine serve/registry serve/request", ""},
	{"serve/healthpb", "", "google.golang.org/protobuf"},
	{"serve/grpc", "serve/access serve/engine serve/request",
		"connectrpc.com/connect connectrpc.com/grpcreflect google.golang.org/protobuf"},
	{"serve/health", "serve/engine serve/request serve/grpc serve/healthpb", ""},
	{"serve/classify", "accept picture model explain serve/engine serve/registry serve/request", ""},
	{"serve/inference", "model serve/inferencepb serve/engine serve/registry serve/request serve/tensors serve/grpc",
		""},
	{"serve/tensorflow",
		"internal/kernel serve/tensorflowpb serve/engine serve/registry serve/request serve/tensors " +
			"serve/grpc serve/classify",
		"google.golang.org/protobuf"},
	{"serve/page", "", ""},
	{"serve/trypage", "", ""},
	{"serve", "model answers serve/listen serve/observe serve/reload serve/access serve/connection serve/fetch " +
		"serve/origin " +
		"serve/engine serve/registry serve/request serve/grpc serve/health serve/classify serve/inference " +
		"serve/tensorflow serve/page serve/trypage",
		""},
	{"serve/function", "serve/request", "github.com/aws/aws-lambda-go"},
	{"serve/functiontest", "", ""},
	{"cmd/garb",
		"accept conformal internal/filename internal/safefile internal/edition internal/download internal/kernel " +
			"tensor picture nn diagram backbone keras weights model convert report dataset relabel results " +
			"results/parquet store/gcs store/azure crops augment " +
			"evaluate train explain project mislabel answers store queue drift features shard serve/listen serve",
		"github.com/spf13/cobra github.com/spf13/pflag go.yaml.in/yaml/v3 golang.org/x/sys golang.org/x/term " +
			"golang.org/x/text"},
	{"cmd/garb-lambda", "accept internal/kernel picture model serve serve/function", "github.com/aws/aws-lambda-go"},
	{"cmd/garb-wasm", ". picture", ""},
	{"cmd/garb-wasm/make", "", "github.com/andybalholm/brotli"},
	{"examples/train", ". train", ""},
	{"docs/lab", "internal/safefile model report evaluate train", ""},
	{"bench/frozen", "dataset", ""},
	{"bench/soak", "", ""},
	{"bench/reduction", "picture model dataset", "golang.org/x/image golang.org/x/sync"},
	{"bench", "internal/kernel tensor picture nn backbone weights keras onnx model serve/functiontest",
		"golang.org/x/sync golang.org/x/sys"},
}

// testModules are the modules that only tests import.
var testModules = []string{
	"connectrpc.com/connect",
	"connectrpc.com/grpcreflect",
	"github.com/chromedp/cdproto",
	"github.com/chromedp/chromedp",
	"github.com/google/go-cmp",
	"github.com/johannesboyne/gofakes3",
	"github.com/prometheus/client_model",
	"github.com/prometheus/common",
	"go.opentelemetry.io/proto",
	"go.uber.org/goleak",
	"go.yaml.in/yaml/v3",
	"google.golang.org/protobuf",
	"golang.org/x/net",
	"pgregory.net/rapid",
}

// imports are the paths that the Go files of one folder import, whatever system
// or tag each file is for.
type imports struct{ code, tests []string }

func TestPackagesImportOnlyWhatTheLayoutAllows(t *testing.T) {
	found := packages(t)
	above := map[string]bool{}
	for _, row := range layout {
		have, ok := found[row.pkg]
		delete(found, row.pkg)
		if !ok {
			t.Errorf("the layout names package %s, which does not exist", row.pkg)
			continue
		}
		var ours, modules []string
		for _, path := range have.code {
			if pkg, ok := ownPackage(path); ok {
				ours = append(ours, pkg)
				if !above[pkg] {
					t.Errorf("%s imports %s, which is not above it in the layout", row.pkg, pkg)
				}
			} else if !isStandard(path) {
				modules = append(modules, moduleOf(path))
			}
		}
		same(t, row.pkg, "packages", ours, strings.Fields(row.ours))
		same(t, row.pkg, "modules", modules, strings.Fields(row.modules))
		for _, path := range have.tests {
			pkg, ok := ownPackage(path)
			switch {
			case ok && pkg != row.pkg && !above[pkg]:
				t.Errorf("a test of %s imports %s, which is not above it in the layout", row.pkg, pkg)
			case !ok && !isStandard(path) && !slices.Contains(testModules, moduleOf(path)) && !slices.Contains(modules,
				moduleOf(path)):
				t.Errorf("a test of %s imports %s, which is neither its package's nor in testModules", row.pkg, path)
			}
		}
		above[row.pkg] = true
	}
	for pkg := range found {
		t.Errorf("package %s is not in the layout", pkg)
	}
}

// same says which of two sets has what the other lacks.
func same(t *testing.T, pkg, kind string, have, allowed []string) {
	t.Helper()
	slices.Sort(have)
	for _, name := range slices.Compact(have) {
		if !slices.Contains(allowed, name) {
			t.Errorf("%s imports %s, which is not among its %s in the layout", pkg, name, kind)
		}
	}
	for _, name := range allowed {
		if !slices.Contains(have, name) {
			t.Errorf("the layout allows %s to import %s, which it does not", pkg, name)
		}
	}
}

// packages finds every package of the module by its folder, "." for the root.
func packages(t *testing.T) map[string]imports {
	t.Helper()
	found := map[string]imports{}
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			return skipFolder(file, entry, "testdata")
		}
		if !strings.HasSuffix(file, ".go") {
			return nil
		}
		syntax, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ImportsOnly)
		if err != nil {
			return err
		}
		pkg := path.Dir(filepath.ToSlash(file))
		all := found[pkg]
		for _, spec := range syntax.Imports {
			name, err := strconv.Unquote(spec.Path.Value)
			if err != nil {
				return err
			}
			if strings.HasSuffix(file, "_test.go") {
				all.tests = append(all.tests, name)
			} else {
				all.code = append(all.code, name)
			}
		}
		found[pkg] = all
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// skipFolder leaves out folders that the go command leaves out, and those named.
func skipFolder(file string, entry fs.DirEntry, names ...string) error {
	hidden := strings.HasPrefix(entry.Name(), "_") || strings.HasPrefix(entry.Name(), ".")
	if file != "." && (hidden || slices.Contains(names, entry.Name())) {
		return fs.SkipDir
	}
	return nil
}

// ownPackage tells whether an import is of this module, and its folder.
func ownPackage(path string) (string, bool) {
	if path == module {
		return ".", true
	}
	return strings.CutPrefix(path, module+"/")
}

// isStandard tells whether an import is of the standard library: its first
// element has no dot, as in no module's path.
func isStandard(path string) bool {
	first, _, _ := strings.Cut(path, "/")
	return !strings.Contains(first, ".")
}

// moduleOf returns the path of the module that a package belongs to.
func moduleOf(path string) string {
	elements := strings.Split(path, "/")
	n := 3 // host, owner, repository
	switch elements[0] {
	case "gocloud.dev":
		n = 1
	case "connectrpc.com", "go.opentelemetry.io", "go.uber.org", "go.yaml.in", "google.golang.org", "pgregory.net":
		n = 2
	}
	if len(elements) > n && regexp.MustCompile(`^v\d+$`).MatchString(elements[n]) {
		n++
	}
	return strings.Join(elements[:min(n, len(elements))], "/")
}

// Files that tie the project to one machine, or to one registry, work nowhere
// else. The patterns are in pieces so that this file does not match itself.
var foreign = regexp.MustCompile(strings.Join([]string{
	`(^|[\s"'` + "`" + `=:(])/(work|tmp|root|home)` + `/\w`,
	`pypi` + `\.org`, `python` + `hosted\.org`,
	`proxy\.` + `golang\.org`, `sum\.` + `golang\.org`,
	`npm` + `js\.org`, `crates` + `\.io`, `maven\.` + `(org|apache)`, `deb\.` + `debian\.org`,
}, "|"))

func TestSourcesNameNoRegistryAndNoMachine(t *testing.T) {
	const largest = 1 << 20 // bytes: larger files are weights and pictures
	err := filepath.WalkDir(".", func(file string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() {
			switch entry.Name() {
			case ".git", "bin", "runs", "__pycache__":
				return fs.SkipDir
			}
			return nil
		}
		if entry.Name() == ".git" { // of a work tree: it says where the repository is
			return nil
		}
		if info, infoErr := entry.Info(); infoErr != nil || !info.Mode().IsRegular() || info.Size() > largest {
			return infoErr
		}
		text, err := os.ReadFile(file)
		if err != nil || bytes.IndexByte(text, 0) >= 0 {
			return err
		}
		for i, line := range strings.Split(string(text), "\n") {
			if match := foreign.FindString(line); match != "" {
				t.Errorf("%s:%d holds %q", file, i+1, strings.TrimSpace(match))
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// endsEarly matches a command that may end before it has read all that is piped to it.
var endsEarly = regexp.MustCompile(`\|\s*(head|grep -[a-zA-Z]*[qm])\b`)

// TestSourcesReadPipesToTheEnd: in the scripts, a pipe fails if one of its commands does. Where the last
// command ends early, the one before it fails now and then, because nobody reads what it writes.
func TestSourcesReadPipesToTheEnd(t *testing.T) {
	scripts, err := filepath.Glob(".ci/*")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(scripts, "Makefile", "styles/help") {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for i, line := range strings.Split(string(text), "\n") {
			if match := endsEarly.FindString(line); match != "" {
				t.Errorf("%s:%d has %q: take a command that reads everything, such as sed -n 1p", file, i+1, match)
			}
		}
	}
}
