package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"hash/crc32"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"garb/backbone"
	"garb/internal/edition"
	"garb/model"
	"garb/tensor"
)

const example = "../../examples/t-shirt.jpg"

// runGarb runs the program and returns its exit code, standard output and standard error.
func runGarb(t testing.TB, in io.Reader, args ...string) (code int, out, errOut string) {
	t.Helper()
	if in == nil {
		in = strings.NewReader("")
	}
	var o, e bytes.Buffer
	code = run(context.Background(), args, in, &o, &e)
	return code, o.String(), e.String()
}

// skipSmall skips a test in the small build, which does not have the part that the test needs.
func skipSmall(t *testing.T, part string) {
	t.Helper()
	if edition.Name == "small" {
		t.Skip("the small build has no " + part)
	}
}

// badPictures are broken or unusual files, with the kind of error and a word of its message.
var badPictures = map[string]struct {
	data       []byte
	kind, word string
}{
	"empty.jpg": {nil, "not_a_picture", "empty"},
	"text.jpg":  {[]byte("hello, this is no picture at all"), "not_a_picture", "JPEG, PNG"},
	"huge.gif": {[]byte("GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff," +
		"\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02"), "too_large", "65535"},
	"huge.webp": {[]byte("RIFF\x14\x00\x00\x00WEBPVP8L\x08\x00\x00\x00\x2f\xff\xff\xff\x0f\x00\x00\x00"),
		"too_large", "16384"},
	"bomb.png":   {claimPNG(60_000, 60_000), "too_large", "60000"},
	"cut.png":    {claimPNG(100, 100), "corrupt", "another copy"},
	"broken.jpg": {[]byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00"), "corrupt", "cut off"},
}

// claimPNG returns a PNG header that claims a size, without any content.
func claimPNG(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n\x00\x00\x00\x0dIHDR")
	b = binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32(b, width), height)
	b = append(b, 8, 6, 0, 0, 0)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[12:]))
	return append(b, "\x00\x00\x00\x02IDAT\x78\x9c\x00\x00\x00\x00"...)
}

func write(t testing.TB, folder, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(folder, name)
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestClassify(t *testing.T) {
	code, out, errOut := runGarb(t, nil, "classify", "--top", "2", example)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitDone || errOut != "" || len(lines) != 3 || lines[0] != example || !strings.Contains(lines[1],
		"t-shirt") || !strings.Contains(lines[1], "█") {
		t.Errorf("%d\n%s%s", code, out, errOut)
	}
	code, out, _ = runGarb(t, bytes.NewReader(readFile(t, example)), "classify", "-")
	if code != exitDone || !strings.HasPrefix(out, "-\n") {
		t.Errorf("standard input: %d\n%s", code, out)
	}
}

// decodeObject decodes one line of JSON and checks its keys.
func decodeObject(t testing.TB, line string, keys ...string) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(line), &o); err != nil {
		t.Fatalf("%v: %s", err, line)
	}
	if len(o) != len(keys) {
		t.Errorf("keys of %s, want %v", line, keys)
	}
	for _, k := range keys {
		if _, ok := o[k]; !ok {
			t.Errorf("no key %q in %s", k, line)
		}
	}
	return o
}

func TestClassifyJSON(t *testing.T) {
	skipSmall(t, "ImageNet network")
	code, out, _ := runGarb(t, nil, "classify", "--json", "--top", "3", example)
	if code != exitDone || strings.Count(out, "\n") != 1 {
		t.Fatalf("%d\n%s", code, out)
	}
	o := decodeObject(t, out, "picture", "class", "probability", "predictions", "accepted", "acceptance", "model")
	predictions := o["predictions"].([]any)
	if o["class"] != "t-shirt" || len(predictions) != 3 {
		t.Errorf("%v", o)
	}
	text, _ := json.Marshal(predictions[0])
	decodeObject(t, string(text), "class", "probability", "logit")
	text, _ = json.Marshal(o["model"])
	if m := decodeObject(t, string(text), "name", "digest"); m["name"] != "clothing" {
		t.Errorf("%v", m)
	}

	_, out, _ = runGarb(t, nil, "classify", "--json", "--model", "imagenet", "--top", "1", example)
	text, _ = json.Marshal(decodeObject(t, out, "picture", "class", "probability", "predictions",
		"model")["predictions"].([]any)[0])
	decodeObject(t, string(text), "class", "probability", "logit", "wnid", "index")
}

func TestOneBadPictureDoesNotStopTheOthers(t *testing.T) {
	folder := t.TempDir()
	args := []string{"classify", "--json", example}
	var names []string
	for name, bad := range badPictures {
		names = append(names, write(t, folder, name, bad.data))
	}
	names = append(names, filepath.Join(folder, "missing.jpg"))
	code, out, _ := runGarb(t, nil, append(append(args, names...), example)...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if code != exitFailed || len(lines) != len(names)+2 {
		t.Fatalf("%d, %d lines\n%s", code, len(lines), out)
	}
	for i, name := range names { // in the order of the arguments
		o := decodeObject(t, lines[1+i], "picture", "error")
		e := o["error"].(map[string]any)
		want, ok := badPictures[filepath.Base(name)]
		if !ok {
			want.kind, want.word = "not_found", "check the path"
		}
		if o["picture"] != name || e["kind"] != want.kind || !strings.Contains(e["message"].(string), want.word) {
			t.Errorf("%s: %v", name, o)
		}
	}
	for _, line := range []string{lines[0], lines[len(lines)-1]} {
		if decodeObject(t, line, "picture", "class", "probability", "predictions", "accepted", "acceptance",
			"model")["class"] != "t-shirt" {
			t.Error(line)
		}
	}
	// For people: the reasons go to standard error, with the file's name.
	for name, bad := range badPictures {
		code, out, errOut := runGarb(t, nil, "classify", filepath.Join(folder, name))
		if code != exitFailed || out != "" || !strings.Contains(errOut, name) || !strings.Contains(errOut, bad.word) {
			t.Errorf("%s: %d %q %q", name, code, out, errOut)
		}
	}
}

func TestFolders(t *testing.T) {
	root := t.TempDir()
	if err := os.MkdirAll(filepath.Join(root, "deep", ".hidden"), 0o755); err != nil {
		t.Fatal(err)
	}
	data := readFile(t, example)
	write(t, root, "b.jpg", data)
	write(t, root, "notes.txt", []byte("not a picture"))
	write(t, filepath.Join(root, "deep"), "without-ending", data)
	write(t, filepath.Join(root, "deep", ".hidden"), "c.jpg", data)
	code, out, errOut := runGarb(t, nil, "classify", "--json", root)
	if code != exitDone || strings.Count(out, "\n") != 2 || !strings.HasPrefix(errOut, "2 pictures in ") ||
		!strings.HasSuffix(errOut, "\n2 pictures used, 0 skipped, 2 ignored (1 other file, 1 hidden file)\n") {
		t.Errorf("%d\n%s%s", code, out, errOut)
	}
	for _, command := range []string{"classify", "embed"} {
		table := write(t, root, "names.csv", []byte("file\nb\n../elsewhere\n"))
		for _, c := range []struct {
			args []string
			code int
		}{
			{[]string{root}, exitDone}, {[]string{"--strict", root}, exitDone},
			{[]string{table}, exitDone}, {[]string{"--strict", table}, exitFailed},
		} {
			code, _, errOut := runGarb(t, nil, append([]string{command}, c.args...)...)
			if code != c.code || (code == exitFailed) != strings.Contains(errOut, "1 file skipped (1 malformed row)") {
				t.Errorf("%s %q: %d %s", command, c.args, code, errOut)
			}
		}
	}
	empty := t.TempDir()
	if code, _, errOut := runGarb(t, nil, "classify", empty); code != exitFailed || !strings.Contains(errOut,
		"no pictures") {
		t.Errorf("%d %s", code, errOut)
	}
}

func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{
		{"classify"}, {"classify", "--top", "0", example}, {"classify", "--nix", example},
		{"classify", "--top", "many",
			example},
		{"frobnicate"}, {"embed"}, {"embed", "--size", "150", example}, {"embed", "--model", "clothing", "--backbone",
			"xception", example},
		{"evaluate"}, {"evaluate", "pictures"}, {"train"}, {"train",
			"pictures"},
		{"train", "--data", "x", "--epochs", "0"}, {"train", "--data", "x", "--resize", "lanczos"},
		{"version", "please"},
		{"train", "--data", "x", "--backbone", "resnet"}, {"train", "--data", "x", "--size", "8"},
		{"embed", "--backbone", "resnet", example},
		{"embed", "--backbone", "xception", "--resize", "lanczos", example},
		{"embed", "--backbone", "xception", "--size", "-1", example},
	} {
		code, out, errOut := runGarb(t, nil, args...)
		if code != exitMisused || out != "" || !strings.HasPrefix(errOut, "garb: ") ||
			!strings.Contains(errOut, "--help") {
			t.Errorf("%v: %d %q %q", args, code, out, errOut)
		}
	}
}

func TestBadModels(t *testing.T) {
	skipSmall(t, "ImageNet network")
	folder := t.TempDir()
	whole := readFile(t, "../../model/clothing.safetensors")
	flipped := bytes.Clone(whole)
	flipped[len(flipped)-7] ^= 1
	a, err := backbone.Lookup("efficientnet-lite0")
	if err != nil {
		t.Fatal(err)
	}
	w := tensor.Map{"classifier/kernel": tensor.New(1280, 2), "classifier/bias": tensor.New(2)}
	w["classifier/bias"].Data[0] = float32(math.NaN())
	m := model.Model{Description: model.Description{
		Format: model.FormatVersion, Architecture: a.Name, Classes: []string{"a", "b"}, Preprocessing: a.Spec,
		BackboneDigest: "sha256:131b3dbc9e8d2a8cab25db21f6b41b3d3ddfac641a9c33ab098681635fed3291",
	}, Tensors: w}
	m.Golden = []model.Golden{{Logits: make([]float32, 2)}}
	nan := filepath.Join(folder, "nan.safetensors")
	if err := m.Save(nan, tensor.Float32); err != nil {
		t.Fatal(err)
	}
	for path, word := range map[string]string{
		write(t, folder, "cut.safetensors", whole[:len(whole)/2]): "copy or download the file again",
		write(t, folder, "flipped.safetensors", flipped):          "damaged",
		nan:                          "not finite",
		example:                      "not a valid safetensors file",
		filepath.Join(folder, "nix"): "clothing, garments, imagenet",
		folder:                       "checkpoints",
	} {
		code, out, errOut := runGarb(t, nil, "classify", "--model", path, example)
		if code != exitFailed || out != "" || !strings.Contains(errOut, path) || !strings.Contains(errOut, word) {
			t.Errorf("%s: %d %q %q", path, code, out, errOut)
		}
	}
}

func TestEmbed(t *testing.T) {
	code, out, _ := runGarb(t, nil, "embed", "--json", example)
	o := decodeObject(t, out, "picture", "embedding")
	if v := o["embedding"].([]any); code != exitDone || len(v) != 1280 {
		t.Errorf("%d, %d values", code, len(v))
	}
	code, out, _ = runGarb(t, nil, "embed", example)
	if code != exitDone || !strings.Contains(out, "1280 values") {
		t.Errorf("%d %s", code, out)
	}
	path := filepath.Join(t.TempDir(), "features.npy")
	code, out, errOut := runGarb(t, nil, "embed", "--out", path, example, write(t, t.TempDir(), "bad.jpg", nil),
		example)
	if code != exitFailed || !strings.Contains(out, "2 × 1280") || !strings.Contains(errOut, "bad.jpg") {
		t.Errorf("%d %q %q", code, out, errOut)
	}
	data := readFile(t, path)
	n := 10 + int(binary.LittleEndian.Uint16(data[8:]))
	if !bytes.HasPrefix(data, []byte("\x93NUMPY\x01\x00")) || n%64 != 0 || !strings.Contains(string(data[:n]),
		"'shape': (2, 1280)") || len(data) != n+2*1280*4 {
		t.Errorf("header %q, %d bytes", data[:n], len(data))
	}
	first := math.Float32frombits(binary.LittleEndian.Uint32(data[n+4*7:]))
	if want := o["embedding"].([]any)[7].(float64); math.Abs(float64(first)-want) > 1e-6 {
		t.Errorf("value %v, want %v", first, want)
	}
}

func TestTrainEvaluateClassify(t *testing.T) {
	skipSmall(t, "ImageNet network")
	t.Setenv("GARB_HOME", t.TempDir())
	root := t.TempDir()
	data := readFile(t, example)
	for _, split := range []string{"train", "validation", "test"} {
		for _, class := range []string{"shirt", "dot"} {
			folder := filepath.Join(root, split, class)
			if err := os.MkdirAll(folder, 0o755); err != nil {
				t.Fatal(err)
			}
			picture := data
			if class == "dot" {
				picture = readFile(t, "../../picture/testdata/plain.png")
			}
			write(t, folder, "1", picture)
		}
	}
	out := filepath.Join(t.TempDir(), "runs", "mine")
	code, printed, errOut := runGarb(t, nil, "train", "--data", root, "--size", "64", "--epochs", "3",
		"--learning-rate", "0.01", "--out", out)
	if code != exitDone || !strings.Contains(printed, "test      accuracy 1.000 on 2 pictures") {
		t.Fatalf("%d\n%s%s", code, printed, errOut)
	}
	code, printed, errOut = runGarb(t, nil, "evaluate", "--model", out, "--data", filepath.Join(root, "test"),
		"--json")
	if code != exitDone {
		t.Fatalf("%d\n%s%s", code, printed, errOut)
	}
	r := decodeObject(t, printed, "folder", "accuracy", "count", "interval", "top_k", "log_loss", "macro_f1", "ece",
		"calibration", "classes", "per_class", "confusion", "skipped", "wrong", "acceptance", "data_digest", "seconds")
	if r["accuracy"] != 1.0 || r["count"] != 2.0 || len(r["interval"].([]any)) != 2 ||
		len(r["confusion"].([]any)) != 2 {
		t.Errorf("%v", r)
	}
	code, printed, _ = runGarb(t, nil, "evaluate", "--model", out, "--data", filepath.Join(root, "test"))
	if code != exitDone || !strings.Contains(printed, "accuracy  100.0 % on 2 pictures") ||
		!strings.Contains(printed, "[1]") {
		t.Errorf("%d\n%s", code, printed)
	}
	code, printed, _ = runGarb(t, nil, "classify", "--model", out, "--top", "1", example)
	if code != exitDone || !strings.Contains(printed, "shirt") {
		t.Errorf("%d\n%s", code, printed)
	}
	code, _, errOut = runGarb(t, nil, "evaluate", "--data", filepath.Join(root, "test"))
	if code != exitFailed || !strings.Contains(errOut, "dot") {
		t.Errorf("%d %s", code, errOut)
	}
	code, _, errOut = runGarb(t, nil, "train", "--data", filepath.Join(root, "test"),
		"--out", filepath.Join(t.TempDir(), "x"))
	if code != exitFailed || !strings.Contains(errOut, "too few pictures") {
		t.Errorf("%d %s", code, errOut)
	}
}

func TestHelpHasExamples(t *testing.T) {
	for _, command := range newRootCommand().Commands() {
		if command.Hidden { // not in this build
			continue
		}
		code, out, _ := runGarb(t, nil, command.Name(), "--help")
		if code != exitDone || !strings.Contains(out, "Examples:") || !strings.Contains(out, "garb "+command.Name()) {
			t.Errorf("%s: %d\n%s", command.Name(), code, out)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	var out, errOut bytes.Buffer
	if code := run(ctx, []string{"classify", example}, strings.NewReader(""), &out, &errOut); code != exitStopped ||
		!strings.Contains(errOut.String(), "stopped") {
		t.Errorf("%d %s", code, errOut.String())
	}
}

// TestUnknownLevel needs a process of its own, because the level is chosen at the start.
func TestUnknownLevel(t *testing.T) {
	if os.Getenv("GARB_TEST_LEVEL") != "" {
		os.Exit(run(context.Background(), []string{"version"}, nil, os.Stdout, os.Stderr))
	}
	c := exec.Command(os.Args[0], "-test.run", "^TestUnknownLevel$")
	c.Env = append(os.Environ(), "GARB_CPU=fast", "GARB_TEST_LEVEL=1")
	out, _ := c.CombinedOutput()
	if code := c.ProcessState.ExitCode(); code != exitMisused || !strings.Contains(string(out), "avx2") {
		t.Errorf("%d %s", code, out)
	}
}

// TestInterruptedWhileItWaits: one signal ends a command that waits for its input.
func TestInterruptedWhileItWaits(t *testing.T) {
	in, writer := io.Pipe()
	defer writer.Close()
	for _, command := range []string{"classify", "embed"} {
		ctx, cancel := context.WithCancel(t.Context())
		go func() {
			writer.Write([]byte{0xff}) // which returns once the command reads
			cancel()
		}()
		var out, errOut bytes.Buffer
		if code := run(ctx, []string{command, "-"}, in, &out, &errOut); code != exitStopped {
			t.Errorf("%s: %d %s", command, code, errOut.String())
		}
	}
}
