package weights

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"garb/tensor"
	"garb/torch"
)

// readTorchShapes returns the names and shapes of torchvision's MobileNetV2.
func readTorchShapes(t *testing.T) map[string][]int {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "torch", "testdata", "vision.json"))
	if err != nil {
		t.Fatal(err)
	}
	var all struct {
		Networks []struct {
			Name   string
			Shapes map[string][]int
		}
	}
	if err := json.Unmarshal(text, &all); err != nil || all.Networks[0].Name != "mobilenet-v2" {
		t.Fatal(err)
	}
	return all.Networks[0].Shapes
}

// torchValue returns value i of the tensor with that name.
func torchValue(name string, i int) float32 { return float32(len(name)) + float32(i%1000)/1000 }

func encodeTensor(name string, shape []int) (kind string, count int, data []byte) {
	count = tensor.Len(shape)
	if strings.HasSuffix(name, "num_batches_tracked") {
		return "Long", count, make([]byte, 8*count)
	}
	for i := range count {
		data = binary.LittleEndian.AppendUint32(data, math.Float32bits(torchValue(name, i)))
	}
	return "Float", count, data
}

// encodePTH encodes a state dict as torch.save does.
func encodePTH(t *testing.T, shapes map[string][]int) []byte {
	t.Helper()
	var out, pickle bytes.Buffer
	z := zip.NewWriter(&out)
	add := func(name string, data []byte) {
		w, err := z.CreateRaw(&zip.FileHeader{Name: name, CRC32: crc32.ChecksumIEEE(data),
			CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(data))})
		if err == nil {
			_, err = w.Write(data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	text := func(s string) string {
		return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
	}
	number := func(n int) string { return "J" + string(binary.LittleEndian.AppendUint32(nil, uint32(n))) }
	pickle.WriteString("\x80\x02ccollections\nOrderedDict\n)R(")
	for i, name := range slices.Sorted(maps.Keys(shapes)) {
		shape := shapes[name]
		kind, count, data := encodeTensor(name, shape)
		add(fmt.Sprintf("archive/data/%d", i), data)
		size, stride, step := "(", "(", count
		for _, n := range shape {
			step /= n
			size, stride = size+number(n), stride+number(step)
		}
		pickle.WriteString(text(name) + "ctorch._utils\n_rebuild_tensor_v2\n((" + text("storage") + "ctorch\n" +
			kind + "Storage\n" +
			text(fmt.Sprint(i)) + text("cpu") + number(count) + "tQ" + number(0) + size + "t" + stride +
			"t\x89ccollections\nOrderedDict\n)RtR")
	}
	pickle.WriteString("u.")
	add("archive/data.pkl", pickle.Bytes())
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// encodeSafetensors encodes a state dict as the Python package safetensors does.
func encodeSafetensors(t *testing.T, shapes map[string][]int) []byte {
	t.Helper()
	header, body := map[string]any{"__metadata__": map[string]string{"format": "pt"}}, []byte(nil)
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		kind, _, data := encodeTensor(name, shapes[name])
		dtype := map[string]string{"Float": "F32", "Long": "I64"}[kind]
		shape := append([]int{}, shapes[name]...)
		header[name] = map[string]any{"dtype": dtype, "shape": shape,
			"data_offsets": []int{len(body), len(body) + len(data)}}
		body = append(body, data...)
	}
	text, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(binary.LittleEndian.AppendUint64(nil, uint64(len(text))), text, body)
}

func write(t *testing.T, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestTorchFiles checks that PyTorch state dicts are read in both formats.
func TestTorchFiles(t *testing.T) {
	shapes := readTorchShapes(t)
	for name, data := range map[string][]byte{
		"mobile.pth": encodePTH(t, shapes), "mobile.safetensors": encodeSafetensors(t, shapes),
	} {
		path := write(t, name, data)
		n, err := Read(path)
		if err != nil {
			t.Fatal(err)
		}
		if n.Architecture != "mobilenet-v2" || !n.WithTop ||
			!slices.Equal(n.LeftOut, []string{"num_batches_tracked of 52 batch-norms"}) ||
			n.ParameterCount() != 3_504_872+34_112 ||
			n.Metadata[KeySourceDigest] != fmt.Sprintf("sha256:%x", sha256.Sum256(data)) {
			t.Errorf("%s: %s, top %v, left out %q, %d parameters, %v", name, n.Architecture, n.WithTop, n.LeftOut,
				n.ParameterCount(), n.Metadata)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		if architecture, withTop, ok := Recognise(f); architecture != "mobilenet-v2" || !withTop || !ok ||
			f.Metadata[KeySource] != name {
			t.Errorf("%s is recognised as %q, top %v, %v, from %q", name, architecture, withTop, ok,
				f.Metadata[KeySource])
		}
		kernel, err := f.Tensor("stem/conv/kernel")
		if err != nil {
			t.Fatal(err)
		}
		// [32 3 3 3] to [3 3 3 32]: output 5, input 1, row 2, column 0.
		got, want := kernel.Data[((2*3+0)*3+1)*32+5], torchValue("features.0.0.weight", ((5*3+1)*3+2)*3+0)
		if got != want {
			t.Errorf("%s: a weight is %g, want %g", name, got, want)
		}
		again, err := Open(path)
		if err != nil || again.Digest() != f.Digest() {
			t.Errorf("%s: another digest when opened again, %v", name, err)
		}
	}
}

// TestOtherTorchFiles checks that the error about a file that is nearly a backbone's names the
// difference.
func TestOtherTorchFiles(t *testing.T) {
	shapes := readTorchShapes(t)
	shapes["features.3.conv.2.weight"] = []int{12, 144, 1, 1}
	path := write(t, "other.pth", encodePTH(t, shapes))
	for _, open := range []func() error{
		func() error { _, err := Read(path); return err }, func() error { _, err := Open(path); return err },
	} {
		var none *torch.NotABackboneError
		if err := open(); !errors.As(err, &none) || !strings.Contains(err.Error(), `"features.3.conv.2.weight"`) ||
			!strings.Contains(err.Error(), path) {
			t.Error(err)
		}
	}
	path = write(t, "other.safetensors", encodeSafetensors(t, shapes))
	if _, err := Read(path); err == nil {
		t.Error("it is read")
	}
	if f, err := Open(path); err != nil || !f.Has("features.3.conv.2.weight") {
		t.Errorf("a file of weights of another network is not opened: %v", err)
	}
	var call *torch.CallError
	calls := filepath.Join("..", "torch", "testdata", "calls_legacy.pth")
	if _, err := Open(calls); !errors.As(err, &call) || !strings.Contains(err.Error(), calls) {
		t.Error(err)
	}
}

func TestPullTorch(t *testing.T) {
	contents := home(t)
	data := encodePTH(t, readTorchShapes(t))
	s, ok := Lookup("mobilenet-v2")
	if !ok {
		t.Fatal("there is no mobilenet-v2")
	}
	digest := fmt.Sprintf("%x", sha256.Sum256(data))
	s.SHA256Prefix = digest[:8]
	s.URL = serve(t, func(w http.ResponseWriter, _ *http.Request) { w.Write(data) }) + "/mobile.pth"
	pulled, err := pull(context.Background(), s, nil)
	if err != nil {
		t.Fatal(err)
	}
	f, err := Open("mobilenet-v2")
	if err != nil {
		t.Fatal(err)
	}
	if architecture, withTop, ok := Recognise(f); architecture != "mobilenet-v2" || !withTop || !ok ||
		f.Metadata[KeySourceDigest] != "sha256:"+digest {
		t.Errorf("recognised as %q, top %v, %v, from %q", architecture, withTop, ok, f.Metadata[KeySourceDigest])
	}
	if err = os.Remove(pulled); err != nil {
		t.Fatal(err)
	}
	other := s
	other.Architecture = "resnet18"
	if _, err = pullFile(other, write(t, "mobile.pth", data)); err == nil ||
		!strings.Contains(err.Error(), "holds mobilenet-v2") {
		t.Errorf("another network: %v", err)
	}
	s.SHA256Prefix = "b0353104"
	var wrong *DigestError
	_, err = pull(context.Background(), s, nil)
	if !errors.As(err, &wrong) || !strings.Contains(err.Error(), "its SHA-256 is "+digest+", not b0353104…") {
		t.Errorf("another file: %v", err)
	}
	if files := contents(); len(files) != 0 {
		t.Errorf("the folder holds %q", files)
	}
}
