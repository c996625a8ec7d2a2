package torch

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// answer is a tensor as PyTorch read it.
type answer struct {
	Shape  []int
	Values []float64
}

func readAnswers(t *testing.T) map[string]map[string]answer {
	t.Helper()
	var all map[string]map[string]answer
	if err := json.Unmarshal(file(t, "answers.json"), &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func file(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestDecode compares the tensors of every file of torch.save with what PyTorch finds in it.
func TestDecode(t *testing.T) {
	for name, want := range readAnswers(t) {
		s, err := Decode(file(t, name))
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		got := map[string]answer{}
		for key, x := range s.Tensors {
			a := answer{Shape: append([]int{}, x.Shape...), Values: []float64{}}
			for _, v := range x.Data {
				a.Values = append(a.Values, float64(v))
			}
			got[key] = a
		}
		for _, a := range want {
			for i, v := range a.Values {
				a.Values[i] = float64(float32(v))
			}
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (- PyTorch, + garb):\n%s", name, d)
		}
	}
}

func TestIntegersAreNamed(t *testing.T) {
	for name, want := range map[string][]string{
		"zip.pth": {"1.num_batches_tracked"}, "parallel.pth": {"1.num_batches_tracked"},
		"kinds.pth": {"bool", "int", "long"},
	} {
		s, err := Decode(file(t, name))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(s.Integers, want) {
			t.Errorf("%s: integers %q, want %q", name, s.Integers, want)
		}
	}
}

// TestRefuses checks that files that are not state dicts give an error of the right type and words.
func TestRefuses(t *testing.T) {
	for name, want := range map[string]error{
		"calls.pth":        &CallError{"posix.system"},
		"calls_legacy.pth": &CallError{"posix.system"},
		"calls4.pth":       &CallError{"posix.system"},
		"module.pth":       &CallError{"torch.nn.modules.container.Sequential"},
		"getattr.pth":      &CallError{"__builtin__.getattr"},
	} {
		_, err := Decode(file(t, name))
		var call *CallError
		if !errors.As(err, &call) || call.Error() != want.Error() {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	for name, want := range map[string]string{
		"plain.pth": "not one of torch.save", "script.pth": "TorchScript", "deflated.pth": "compressed entry",
	} {
		if _, err := Decode(file(t, name)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", name, err, want)
		}
	}
}

// TestCutOff cuts a file off at every length and wants an error.
func TestCutOff(t *testing.T) {
	for _, name := range []string{"zip.pth", "legacy.pth"} {
		whole := file(t, name)
		for n := range whole {
			_, err := Decode(whole[:n])
			checkError(t, err)
			if err == nil {
				t.Fatalf("%s: its first %d of %d bytes are read", name, n, len(whole))
			}
		}
	}
}

// checkError fails for an error of another type than this package's.
func checkError(t *testing.T, err error) {
	t.Helper()
	var format *FormatError
	var call *CallError
	var lacking *UnsupportedError
	if err != nil && !errors.As(err, &format) && !errors.As(err, &call) && !errors.As(err, &lacking) {
		t.Fatalf("%T: %v", err, err)
	}
}

// entry is a part of an archive for a test.
type entry struct {
	name string
	data []byte
}

// archiveEntries returns an archive as torch.save writes it.
func archiveEntries(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, e := range entries {
		w, err := z.CreateRaw(&zip.FileHeader{Name: e.name, Method: zip.Store, CRC32: crc32.ChecksumIEEE(e.data),
			CompressedSize64: uint64(len(e.data)), UncompressedSize64: uint64(len(e.data))})
		if err == nil {
			_, err = w.Write(e.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// A hand-made pickle, in parts.
const (
	begin     = "\x80\x02}("
	end       = "u."
	noHooks   = "\x89ccollections\nOrderedDict\n)R"
	rebuild   = "ctorch._utils\n_rebuild_tensor_v2\n"
	storage10 = "(X\x07\x00\x00\x00storagectorch\nFloatStorage\nX\x01\x00\x00\x000X\x03\x00\x00\x00cpuK\x0atQ"
)

func text(s string) string {
	return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
}

func number(n int64) string {
	return "\x8a\x08" + string(binary.LittleEndian.AppendUint64(nil, uint64(n)))
}

func numbers(all ...int64) string {
	s := "("
	for _, n := range all {
		s += number(n)
	}
	return s + "t"
}

// viewCall returns the instructions that make a tensor from a storage of ten values.
func viewCall(offset int64, size, stride []int64) string {
	return rebuild + "(" + storage10 + number(offset) + numbers(size...) + numbers(stride...) + noHooks + "tR"
}

func decodePickle(t testing.TB, pickle string) (*StateDict, error) {
	t.Helper()
	values := make([]byte, 40)
	for i := range 10 {
		copy(values[4*i:], []byte{0, 0, 0x80, byte(0x3f + i)})
	}
	return Decode(archiveEntries(t, entry{"m/data.pkl", []byte(pickle)}, entry{"m/data/0", values}))
}

func TestViewsStayInsideTheirStorage(t *testing.T) {
	for _, test := range []struct {
		offset       int64
		size, stride []int64
		want         string // in the error; "" for none
	}{
		{0, []int64{10}, []int64{1}, ""},
		{4, []int64{2, 3}, []int64{3, 1}, ""},
		{9, []int64{1, 1}, []int64{1 << 60, -5}, ""}, // strides of axes of 1 are never used
		{0, []int64{2, 5}, []int64{0, 1}, ""},
		{0, []int64{0, 1 << 30}, []int64{1, 1}, ""},
		{5, []int64{2, 3}, []int64{3, 1}, "larger than its storage"},
		{0, []int64{11}, []int64{1}, "larger than its storage"},
		{10, []int64{1}, []int64{1}, "begins at value 10"},
		{-1, []int64{1}, []int64{1}, "begins at value -1"},
		{0, []int64{2}, []int64{-1}, "stride of -1"},
		{0, []int64{2}, []int64{1 << 62}, "stride of"},
		{0, []int64{2, 2}, []int64{1<<31 - 1, 1<<31 - 1}, "larger than its storage"},
		{0, []int64{-1}, []int64{1}, "dimension of -1"},
		{0, []int64{1 << 40}, []int64{0}, "dimension of"},
		{0, []int64{1 << 30, 1 << 30, 1 << 30}, []int64{0, 0, 0}, "shape"},
		{0, []int64{1 << 30}, []int64{0}, "more values than the file has bytes"},
		{0, []int64{1, 1}, []int64{1}, "2 dimensions and 1 strides"},
		{0, []int64{1, 1, 1, 1, 1, 1, 1, 1, 1}, []int64{1, 1, 1, 1, 1, 1, 1, 1, 1}, "wrong arguments"},
	} {
		s, err := decodePickle(t, begin+text("w")+viewCall(test.offset, test.size, test.stride)+end)
		checkError(t, err)
		switch {
		case test.want == "" && err != nil ||
			test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)):
			t.Errorf("offset %d, size %v, stride %v: %v, want %q", test.offset, test.size, test.stride, err, test.want)
		case err == nil && len(s.Tensors["w"].Data) > 0 && s.Tensors["w"].Data[0] == 0:
			t.Errorf("offset %d: the first value is 0", test.offset)
		}
	}
}

func TestHostilePickles(t *testing.T) {
	one := viewCall(0, []int64{1}, []int64{1})
	self := "\x80\x02}q\x00(" + text("w") + "h\x00u."
	for name, test := range map[string]struct{ pickle, want string }{
		"no dict":          {"\x80\x02K\x01.", "an int instead of a dict"},
		"an empty dict":    {"\x80\x02}.", "no tensors"},
		"a dict in itself": {self, "a dict instead of a tensor"},
		"a number":         {begin + text("epoch") + "K\x01" + end, `entry epoch is an int`},
		"a name twice":     {begin + text("w") + one + text("w") + one + end, "twice"},
		"an unknown call": {begin + text("w") + "cbuiltins\neval\n(" + text("1") + "tR" + end,
			`calls "builtins.eval"`},
		"a named function": {begin + text("w") + "cnt\nsystem\n" + end, `calls "nt.system"`},
		"INST":             {"\x80\x02(ios\nsystem\n.", `calls "os.system"`},
		"a class of storage": {begin + text("w") + "ctorch\nFloatStorage\n(K\x05tR" + end,
			`calls "torch.FloatStorage"`},
		"OBJ":               {"\x80\x02(o.", "instruction OBJ"},
		"NEWOBJ":            {"\x80\x02ccollections\nOrderedDict\n)\x81.", "instruction NEWOBJ"},
		"no instruction":    {"\x80\x02\xff", "no instruction 0xff"},
		"protocol":          {"\x80\x06.", "protocol 6"},
		"an empty stack":    {"\x80\x02.", "stack is empty"},
		"below the mark":    {"\x80\x02}(s.", "stack is empty"},
		"no mark":           {"\x80\x02t.", "mark is missing"},
		"not in the memo":   {"\x80\x02h\x07.", "recalls"},
		"calls a number":    {"\x80\x02K\x01)R.", "it calls an int"},
		"changes a tensor":  {begin + text("w") + one + "}b" + end, "it changes a tensor"},
		"an attribute":      {"\x80\x02}}(" + text("__class__") + "K\x01ub.", "attribute __class__"},
		"an unhashable key": {"\x80\x02}}K\x01s.", "a dict as the key"},
		"a list as key":     {"\x80\x02}]K\x01s.", "a list as the key"},
		"an odd number":     {"\x80\x02}(K\x01u.", "sets 1 values"},
		"a long text":       {begin + text(strings.Repeat("w", 5000)) + one + end, "text of 5000 bytes"},
		"a huge text":       {"\x80\x02X\xff\xff\xff\xff.", "text of 4294967295 bytes"},
		"another storage": {begin + text("w") + strings.Replace(one, "\x000X", "\x001X", 1) + end,
			"no entry m/data/1"},
		"a path": {begin + text("w") + strings.Replace(one, "X\x01\x00\x00\x000X", text("../0")+"X", 1) +
			end, "no entry m/data/../0"},
		"a large storage": {begin + text("w") + strings.Replace(one, "K\x0a", "K\x0b", 1) + end,
			"has 40 bytes, not 11 × 4"},
		"two kinds": {begin + text("w") + one + text("v") + strings.Replace(one, "Float", "Half", 1) + end,
			"is both"},
		"hooks": {begin + text("w") + strings.Replace(one, ")R", ")R("+text("a")+"K\x01u", 1) + end,
			"wrong arguments"},
		"two sets of weights": {begin + text("model") + "}" + text("state_dict") + "}" + end, "both"},
	} {
		_, err := decodePickle(t, test.pickle)
		checkError(t, err)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

func TestHostileArchives(t *testing.T) {
	pickle := entry{"m/data.pkl", []byte(begin + text("w") + viewCall(0, []int64{1}, []int64{1}) + end)}
	values := entry{"m/data/0", make([]byte, 40)}
	damaged := archiveEntries(t, pickle, values)
	damaged[bytes.Index(damaged, values.data)] ^= 1
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"a wrong checksum": {damaged, "checksum"},
		"no pickle":        {archiveEntries(t, values), "0 entries data.pkl"},
		"two pickles":      {archiveEntries(t, pickle, values, entry{"n/data.pkl", nil}), "2 entries data.pkl"},
		"an entry twice":   {archiveEntries(t, pickle, values, values), "twice"},
		"big-endian":       {archiveEntries(t, pickle, values, entry{"m/byteorder", []byte("big")}), `order "big"`},
		"a long pickle":    {archiveEntries(t, entry{"m/data.pkl", make([]byte, maxPickleBytes+1)}), "; the limit is"},
		"many entries":     {bytes.Repeat([]byte("PK\x01\x02"), maxEntries+1), "65537 entries"},
	} {
		_, err := Decode(test.data)
		checkError(t, err)
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v, want %q", name, err, test.want)
		}
	}
}

// TestEntriesThatOverlap checks that a directory that names the same bytes many times takes no more
// memory than a file of its size.
func TestEntriesThatOverlap(t *testing.T) {
	const copies = 50
	var pickle strings.Builder
	pickle.WriteString(begin)
	for i := range copies {
		key := fmt.Sprintf("%02d", i)
		pickle.WriteString(text(key) + rebuild + "((" + text("storage") + "ctorch\nByteStorage\n" + text(key) +
			text("cpu") +
			number(4000) + "tQ" + number(0) + numbers(1) + numbers(1) + noHooks + "tR")
	}
	pickle.WriteString(end)
	entries := []entry{{"m/data.pkl", []byte(pickle.String())}}
	for i := range copies {
		entries = append(entries, entry{fmt.Sprintf("m/data/%02d", i), make([]byte, 4000)})
	}
	whole := archiveEntries(t, entries...)
	if _, err := Decode(whole); err != nil {
		t.Fatal(err)
	}
	// Point the directory at the last entry's bytes, and leave out those of the others.
	z, err := zip.NewReader(bytes.NewReader(whole), int64(len(whole)))
	if err != nil {
		t.Fatal(err)
	}
	last, err := z.File[copies].DataOffset()
	if err != nil {
		t.Fatal(err)
	}
	first, err := z.File[1].DataOffset()
	if err != nil {
		t.Fatal(err)
	}
	header := int64(len("m/data/00")) + 30
	cut := last - first
	packed := append(slices.Clone(whole[:first-header]), whole[last-header:]...)
	for at := 0; ; {
		i := bytes.Index(packed[at:], []byte("PK\x01\x02"))
		if i < 0 {
			break
		}
		at += i + 4
		if offset := packed[at+38:]; binary.LittleEndian.Uint32(offset) > 0 {
			binary.LittleEndian.PutUint32(offset, uint32(first-header))
		}
	}
	tail := packed[len(packed)-6:]
	binary.LittleEndian.PutUint32(tail, binary.LittleEndian.Uint32(tail)-uint32(cut))
	if _, err := Decode(packed); err == nil || !strings.Contains(err.Error(), "overlap") {
		t.Errorf("%d bytes for %d: %v", len(packed), len(whole), err)
	}
}

// TestLongestPickle reads a pickle of the greatest length, made of the instruction that takes most
// memory.
func TestLongestPickle(t *testing.T) {
	_, err := decodePickle(t, "\x80\x02("+strings.Repeat("}", maxPickleBytes-4)+".")
	checkError(t, err)
	if err == nil {
		t.Error("it is read")
	}
}

// TestSafetensorsAreNoPickle uses a header of 640 bytes, whose length begins like a pickle.
func TestSafetensorsAreNoPickle(t *testing.T) {
	for length := range 70_000 {
		header := append(binary.LittleEndian.AppendUint64(nil, uint64(length)), "{}"...)
		if Is(header) {
			t.Fatalf("a header of %d bytes is taken for a pickle", length)
		}
	}
	if !Is(file(t, "plain.pth")) {
		t.Error("a pickle is not taken for one")
	}
}

func FuzzDecode(f *testing.F) {
	files, err := filepath.Glob(filepath.Join("testdata", "*.pth"))
	if err != nil || len(files) < 15 {
		f.Fatal(files, err)
	}
	for _, name := range files {
		f.Add(file(f, filepath.Base(name)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := Decode(data)
		checkError(t, err)
		if err != nil {
			return
		}
		values := 0
		for _, x := range s.Tensors {
			values += len(x.Data)
		}
		if values > len(data) {
			t.Errorf("%d values from %d bytes", values, len(data))
		}
	})
}

// FuzzPickle fuzzes the machine, whose pickles an archive's checksum hides from FuzzDecode.
func FuzzPickle(f *testing.F) {
	for _, name := range []string{"zip.pth", "kinds.pth", "checkpoint.pth", "protocol4.pth", "calls4.pth",
		"module.pth"} {
		z, err := zip.NewReader(bytes.NewReader(file(f, name)), int64(len(file(f, name))))
		if err != nil {
			f.Fatal(err)
		}
		a := archive{data: file(f, name), left: 1 << 20}
		for _, e := range z.File {
			if strings.HasSuffix(e.Name, pickleEntry) {
				pickle, err := a.bytes(e)
				if err != nil {
					f.Fatal(err)
				}
				f.Add(pickle)
			}
		}
	}
	f.Fuzz(func(t *testing.T, pickle []byte) {
		m := machine{data: pickle, storages: map[string]*storage{}}
		m.load = func(s *storage) error {
			s.data = make([]byte, 1<<12)
			s.count = min(s.count, len(s.data)/s.kind.bytes)
			return nil
		}
		v, err := m.interpret()
		checkError(t, err)
		if d, ok := v.(*dict); ok && err == nil {
			_, err = decodeDict(d, 1<<16)
			checkError(t, err)
		}
	})
}
