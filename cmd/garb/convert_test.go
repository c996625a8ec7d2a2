package main

import (
	"bytes"
	"compress/gzip"
	"crypto/md5"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"runtime"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"garb/model"
	"garb/tensor"
)

// runCommand runs one subcommand and returns what it printed.
func runCommand(t *testing.T, command *cobra.Command, args ...string) (stdout, stderr string, err error) {
	t.Helper()
	var out, errOut bytes.Buffer
	command.SetArgs(append([]string{}, args...)) // nil would mean those of the process
	command.SetOut(&out)
	command.SetErr(&errOut)
	command.SilenceErrors, command.SilenceUsage = true, true
	err = command.ExecuteContext(t.Context())
	return out.String(), errOut.String(), addHint(err)
}

// unpackKerasFile unpacks a file of keras/testdata into a temporary folder.
func unpackKerasFile(t *testing.T, name string) string {
	t.Helper()
	packed, err := os.Open(filepath.Join("..", "..", "keras", "testdata", name+".gz"))
	if err != nil {
		t.Fatal(err)
	}
	defer packed.Close()
	r, err := gzip.NewReader(packed)
	if err != nil {
		t.Fatal(err)
	}
	data, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestConvert(t *testing.T) {
	from := unpackKerasFile(t, "nested3.keras")
	to := filepath.Join(t.TempDir(), "xception.safetensors")
	out, _, err := runCommand(t, newConvertCommand(), from, to, "--dtype", "float16")
	if err != nil {
		t.Fatal(err)
	}
	f, err := tensor.ReadFile(to)
	if err != nil {
		t.Fatal(err)
	}
	if f.DType("block1/conv1/kernel") != tensor.Float16 {
		t.Errorf("stored as %s", f.DType("block1/conv1/kernel"))
	}
	want := fmt.Sprintf(`read        %s: Keras 3.15.1, model xception
network     xception without top
parameters  20,861,480 in 234 tensors
left out    inner, last
wrote       %s: float16, 41.7 MB
digest      %s
`, from, to, f.Digest())
	if out != want {
		t.Errorf("printed\n%swant\n%s", out, want)
	}

	if _, _, err := runCommand(t, newConvertCommand(), from, to); err == nil ||
		!strings.Contains(err.Error(), "--force") {
		t.Errorf("writing over a file: %v", err)
	}
	if again, err := tensor.ReadFile(to); err != nil || again.Digest() != f.Digest() {
		t.Errorf("the file was changed: %v", err)
	}
	if _, _, err := runCommand(t, newConvertCommand(), from, to, "--force"); err != nil {
		t.Error(err)
	}
}

func TestConvertWrongly(t *testing.T) {
	folder := t.TempDir()
	write := func(name, content string) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
	to := filepath.Join(folder, "out.safetensors")
	for _, test := range []struct {
		args []string
		text string
	}{
		{nil, "needs a file to read"},
		{[]string{"a.keras", "b.h5"}, "must end in .safetensors"},
		{[]string{"a.keras", to, "--dtype", "int4"}, "float32, float16 or int8"},
		{[]string{filepath.Join(folder, "none.keras"), to}, "no such file"},
		{[]string{folder, to}, "no checkpoints"},
		{[]string{write("empty.keras", ""), to}, "empty.keras"},
		{[]string{write("text.h5", "hello"), to}, "text.h5"},
		{[]string{write("cut.keras", "PK\x03\x04"), to}, "cut.keras: the .keras archive is damaged"},
	} {
		if _, _, err := runCommand(t, newConvertCommand(), test.args...); err == nil || !strings.Contains(err.Error(),
			test.text) {
			t.Errorf("%q: error %v, want one with %q", test.args, err, test.text)
		}
	}
	if _, err := os.Stat(to); err == nil {
		t.Error("a conversion that failed left a file")
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int]string{0: "0", 999: "999", 1000: "1,000", 20861480: "20,861,480"} {
		if got := groupDigits(n); got != want {
			t.Errorf("%d is written %s, want %s", n, got, want)
		}
	}
}

func TestModelsList(t *testing.T) {
	skipSmall(t, "ImageNet network")
	t.Setenv("GARB_HOME", t.TempDir())
	out, _, err := runCommand(t, newModelsCommand(), "list", "--json")
	if err != nil {
		t.Fatal(err)
	}
	states := map[string]string{}
	for line := range strings.Lines(out) {
		var m struct{ Name, State, Licence string }
		if err := json.Unmarshal([]byte(line), &m); err != nil || m.Licence == "" {
			t.Errorf("%v in %s", err, line)
		}
		states[m.Name] = m.State
	}
	if states["efficientnet-lite0"] != "built in" || states["xception"] != "not pulled" {
		t.Errorf("states %v", states)
	}
	if out, _, err := runCommand(t, newModelsCommand(), "list"); err != nil ||
		!strings.Contains(strings.Join(strings.Fields(out), " "),
			"xception weights xception not pulled MIT") {
		t.Errorf("%v\n%s", err, out)
	}
}

// TestModelsPull has no official file of Xception, so its cases end with the check of the
// digest. Package weights tests the rest.
func TestModelsPull(t *testing.T) {
	t.Setenv("GARB_HOME", t.TempDir())
	path := unpackKerasFile(t, "xception2.weights.h5")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(data)))
		w.Write(data)
	}))
	defer server.Close()
	digest := fmt.Sprintf("its MD5 is %x, not b0042744bf5b25fce3cb969f33bebb97", md5.Sum(data))
	_, stderr, err := runCommand(t, newModelsCommand(), "pull", "xception", "--url", server.URL+"/x.h5")
	if err == nil || !strings.Contains(err.Error(), digest) {
		t.Errorf("another file by URL: %v", err)
	}
	if !strings.Contains(stderr, "xception: ") {
		t.Errorf("progress %q", stderr)
	}
	if _, _, err := runCommand(t, newModelsCommand(), "pull", "xception", "--from", path); err == nil ||
		!strings.Contains(err.Error(), digest) {
		t.Errorf("another file: %v", err)
	}
	for _, test := range []struct {
		args []string
		text string
	}{
		{[]string{"pull"}, "needs the name"},
		{[]string{"pull", "resnet"}, "did you mean resnet18"},
		{[]string{"pull", "xception", "--from", "a", "--url", "b"}, "from url"},
		{[]string{"push"}, "list, pull, show"},
		{[]string{"show"}, "one name, file or run"},
		{[]string{"show", "xception"}, "garb models pull xception"},
		{[]string{"show", "none.safetensors"}, "no such file"},
		{[]string{"show", t.TempDir()}, "checkpoints"},
	} {
		if _, _, err := runCommand(t, newModelsCommand(), test.args...); err == nil || !strings.Contains(err.Error(),
			test.text) {
			t.Errorf("%q: error %v, want one with %q", test.args, err, test.text)
		}
	}
}

func TestModelsShow(t *testing.T) {
	skipSmall(t, "ImageNet network")
	out, _, err := runCommand(t, newModelsCommand(), "show", "efficientnet-lite0")
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"efficientnet-lite0 with its top", "224×224 RGB", "(x − 127) / 128", "4,694,024",
		"247 tensors, float16, 9.4 MB", "sha256:", "Apache-2.0"} {
		if !strings.Contains(out, text) {
			t.Errorf("%q is not in\n%s", text, out)
		}
	}
	out, _, err = runCommand(t, newModelsCommand(), "show", "efficientnet-lite0", "--json")
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"clothing": "t-shirt", "imagenet": "4,694,024"} {
		shown, _, showErr := runCommand(t, newModelsCommand(), "show", name)
		if showErr != nil || !strings.Contains(shown, text) {
			t.Errorf("%s: %v\n%s", name, showErr, shown)
		}
	}
	var d description
	if err := json.Unmarshal([]byte(out), &d); err != nil || d.Parameters != 4_694_024 ||
		d.Architecture != "efficientnet-lite0" || d.Input.Width != 224 {
		t.Errorf("%v in %s", err, out)
	}
	work, took := 0, 0.0
	for _, l := range d.Layers {
		work, took = work+l.MultiplyAdds, took+l.Milliseconds
	}
	if first := d.Layers[1]; first.Name != "stem/conv" || first.Parameters != 864 || first.ReceptiveField != 3 ||
		work != 385_187_552 || took <= 0 && runtime.GOOS != "windows" {
		t.Errorf("%v, %d multiply-adds, %v ms", first, work, took)
	}
	drawn := filepath.Join(t.TempDir(), "network.svg")
	if out, _, err := runCommand(t, newModelsCommand(), "show", "clothing", "--svg", drawn); err != nil ||
		!strings.Contains(out, "143 layers") {
		t.Errorf("%v\n%s", err, out)
	}
	if text, err := os.ReadFile(drawn); err != nil || !bytes.HasPrefix(text, []byte("<svg")) {
		t.Errorf("%.40s, %v", text, err)
	}
}

// TestConvertOut writes the built-in model for other programs, and reads it back.
func TestConvertOut(t *testing.T) {
	skipSmall(t, "ONNX, and writes no Keras files")
	folder, homework := t.TempDir(), unpackKerasFile(t, "network-homework3.keras")
	exported, back := filepath.Join(folder, "c.onnx"), filepath.Join(folder, "c.safetensors")
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"clothing", exported}, "float32 [n 224 224 3]"},
		{[]string{"clothing", exported, "--force", "--with-preprocessing"},
			"uint8 [n 224 224 3]: pictures resized by bicubic"},
		{[]string{"clothing", filepath.Join(folder, "small.onnx"), "--quantize", "int8"},
			"int8, one scale per output channel"},
		{[]string{exported, back}, "dress, hat, longsleeve"},
		{[]string{back, filepath.Join(folder, "c.keras")}, "c, 10 classes"},
		{[]string{exported, filepath.Join(folder, "again.keras")}, "wrote"},
		{[]string{filepath.Join(folder, "again.keras"), filepath.Join(folder, "again.safetensors")},
			"as the file says"},
		{[]string{"clothing", filepath.Join(folder, "c.tflite")}, "output \"acceptance\""},
		{[]string{"clothing", filepath.Join(folder, "p.tflite"), "--with-preprocessing"},
			"uint8 [n 224 224 3]: pictures resized by bicubic"},
		{[]string{"clothing", filepath.Join(folder, "p.keras"), "--with-preprocessing"},
			"float32, 0 to 255, [n 224 224 3]: pictures resized by bicubic"},
		{[]string{filepath.Join(folder, "p.keras"), filepath.Join(folder, "p.safetensors")},
			"as the network prepares its pictures itself"},
		{[]string{exported, filepath.Join(folder, "again.tflite")}, "wrote"},
		{[]string{homework, filepath.Join(folder, "h.safetensors"), "--classes", "cold,warm",
			"--preprocess", "rescale"}, "cold, warm"},
		{[]string{homework, filepath.Join(folder, "h.onnx"), "--classes", "cold,warm",
			"--preprocess", "rescale", "--resize", "bilinear"}, "preprocessing rescale, as requested"},
	} {
		out, _, err := runCommand(t, newConvertCommand(), c.args...)
		if err != nil || !strings.Contains(out, c.says) {
			t.Errorf("%v: %v\n%s", c.args, err, out)
		}
	}
}

// TestConvertSignature checks that convert and models show print the names of the file's input and
// output, and that a model of garb's own has none.
func TestConvertSignature(t *testing.T) {
	reference := filepath.Join(t.TempDir(), "course.safetensors")
	want := regexp.MustCompile(`(?m)^signature +input input_2, output last: logits$`)
	for _, c := range []struct {
		command *cobra.Command
		args    []string
	}{
		{newConvertCommand(), []string{unpackKerasFile(t, "network-course2.h5"), reference, "--classes", "a,b,c,d,e",
			"--preprocess", "xception"}},
		{newModelsCommand(), []string{"show", reference}},
	} {
		if out, _, err := runCommand(t, c.command, c.args...); err != nil || !want.MatchString(out) {
			t.Errorf("%v: %v\n%s", c.args, err, out)
		}
	}
	for name, want := range map[string]*model.Signature{
		reference:      {Input: "input_2", Output: "last", Values: model.Logits},
		model.Clothing: nil,
	} {
		out, _, err := runCommand(t, newModelsCommand(), "show", "--json", name)
		if err != nil {
			t.Fatal(err)
		}
		var d description
		if err := json.Unmarshal([]byte(out), &d); err != nil || !reflect.DeepEqual(d.Signature, want) {
			t.Errorf("%s: %+v, %v", name, d.Signature, err)
		}
	}
}

// TestConvertRefuses: convert refuses flags and files that do not fit, and writes nothing.
func TestConvertRefuses(t *testing.T) {
	skipSmall(t, "ONNX, and writes no Keras files")
	folder, homework := t.TempDir(), unpackKerasFile(t, "network-homework3.keras")
	exported := filepath.Join(folder, "c.onnx")
	for _, path := range []string{exported, filepath.Join(folder, "c.tflite")} {
		if _, _, err := runCommand(t, newConvertCommand(), "clothing", path); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"clothing", exported}, "--force"},
		{[]string{"clothing", filepath.Join(folder, "x.pb")}, ".keras or .tflite"},
		{[]string{"clothing", filepath.Join(folder, "x.safetensors"), "--with-preprocessing"}, "for .onnx"},
		{[]string{"clothing", filepath.Join(folder, "x.tflite"), "--quantize", "int8"}, "for .onnx"},
		{[]string{"clothing", filepath.Join(folder, "x.tflite"), "--dtype", "int8"}, "for .safetensors"},
		{[]string{"clothing", filepath.Join(folder, "c.tflite")}, "--force"},
		{[]string{"clothing", filepath.Join(folder, "none", "x.tflite")}, filepath.Join(folder, "none")},
		{[]string{filepath.Join(folder, "c.tflite"), filepath.Join(folder, "x.onnx"), "--classes", "a"},
			"does not read them"},
		{[]string{"clothing", filepath.Join(folder, "x.onnx"), "--dtype", "int8"}, "for .safetensors"},
		{[]string{"clothing", filepath.Join(folder, "x.onnx"), "--quantize", "int4"}, "it must be int8"},
		{[]string{"clothing", filepath.Join(folder, "x.keras"), "--quantize", "int8"}, "for .onnx"},
		{[]string{"clothing", filepath.Join(folder, "x.safetensors"), "--quantize", "int8"}, "use --dtype int8"},
		{[]string{"clothing", filepath.Join(folder, "x.onnx"), "--classes", "a,b"}, "from Keras and ONNX files"},
		{[]string{homework, filepath.Join(folder, "x.onnx")}, "does not name its 2 classes"},
		{[]string{homework, filepath.Join(folder, "x.safetensors")}, "use --preprocess"},
		{[]string{homework, filepath.Join(folder, "x.safetensors"), "--classes", "a,b"}, "use --preprocess"},
		{[]string{homework, filepath.Join(folder, "x.safetensors"), "--classes", "a,b,c", "--preprocess", "none"},
			"it has 2"},
		{[]string{exported, filepath.Join(folder, "x.safetensors"), "--preprocess", "alexnet"}, "densenet"},
		{[]string{exported, filepath.Join(folder, "x.safetensors"), "--classes-from", folder}, "no folders"},
	} {
		if _, _, err := runCommand(t, newConvertCommand(), c.args...); err == nil ||
			!strings.Contains(err.Error(), c.says) {
			t.Errorf("%v: %v, want %q", c.args, err, c.says)
		}
	}
	if left, err := filepath.Glob(filepath.Join(folder, "x.*")); err != nil || left != nil {
		t.Errorf("%v, %v", left, err)
	}
}
