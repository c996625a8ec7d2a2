package shard

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"garb/internal/safefile"
)

func TestParse(t *testing.T) {
	for _, c := range []struct {
		text, index string
		want        Shard // the zero Shard if the text is refused
	}{
		{"0/1", "", Shard{0, 1}}, {"3/10", "", Shard{3, 10}}, {"9/10", "5", Shard{9, 10}}, {"10", "5", Shard{5, 10}},
		{"100000", "99999", Shard{99999, 100000}}, {"007/08", "", Shard{7, 8}},
		{"3/3", "", Shard{}}, {"-1/3", "", Shard{}}, {"0/0", "", Shard{}}, {"0", "0", Shard{}}, {"", "", Shard{}},
		{"/3", "1", Shard{}}, {"1/", "", Shard{}}, {"1/2/3", "", Shard{}}, {"a/3", "", Shard{}}, {"1.5/3", "", Shard{}},
		{"0/100001", "", Shard{}}, {"0/99999999999999999999", "", Shard{}}, {"3", "3", Shard{}}, {"3", "-1", Shard{}},
		{"3", "x", Shard{}}, {"+1/3", "", Shard{}}, {" 1/3", "", Shard{}},
	} {
		s, err := Parse(c.text, c.index)
		if s != c.want || (err == nil) != (c.want != Shard{}) {
			t.Errorf("%q with index %q: %v, %v", c.text, c.index, s, err)
		}
	}
	for _, text := range []string{"0/100001", "0/1000000000", "0/99999999999999999999", "0/0"} {
		if _, err := Parse(text, ""); err == nil || !strings.Contains(err.Error(), "from 1 to 100000") {
			t.Errorf("%q: %v", text, err)
		}
	}
	if _, err := Parse("3", ""); !errors.Is(err, ErrNoIndex) {
		t.Error(err)
	}
	if s, err := Parse(Shard{3, 10}.String(), ""); s != (Shard{3, 10}) || err != nil {
		t.Error(s, err)
	}
}

// TestRange: the ranges of all shards follow one another, cover the list, and are equally long
// except for one picture.
func TestRange(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		count := rapid.IntRange(1, 2000).Draw(t, "count")
		total := rapid.IntRange(0, 1_000_000_000).Draw(t, "total")
		at := 0
		for i := range count {
			from, to := Shard{i, count}.Range(total)
			if size := to - from; from != at || size != total/count && size != total/count+1 {
				t.Fatalf("shard %d: %d to %d after %d", i, from, to, at)
			}
			at = to
		}
		if at != total {
			t.Fatalf("the shards end at %d of %d", at, total)
		}
	})
}

func TestFileName(t *testing.T) {
	for s, want := range map[Shard]string{
		{3, 10}: "a.csv-00003-of-00010", {99999, 100000}: "a.csv-099999-of-100000",
	} {
		if name := s.FileName("a.csv"); name != want {
			t.Error(name)
		}
	}
}

// TestDigestList: a list is known by its names, their borders and their order.
func TestDigestList(t *testing.T) {
	seen := map[string][]string{}
	for _, list := range [][]string{nil, {""}, {"a"}, {"a", "b"}, {"b", "a"}, {"ab"}, {"a", "", "b"}, {"a\x01b"}} {
		d := DigestList(slices.Values(list))
		if before, ok := seen[d]; ok || !strings.HasPrefix(d, "sha256:") {
			t.Errorf("%q and %q have the digest %s", before, list, d)
		}
		seen[d] = list
	}
}

// writeParts writes the parts of a list of texts, with failures for those that are empty.
func writeParts(t fataler, folder string, h Header, items []string) []string {
	var paths []string
	for i := range h.Count {
		h.Index, h.Total = i, len(items)
		from, to := h.Range(len(items))
		path := h.FileName(filepath.Join(folder, "out"))
		err := Write(path, h, func(w io.Writer) (End, error) {
			end := End{Seconds: 1}
			for _, item := range items[from:to] {
				if item == "" {
					end.Failed++
					continue
				}
				end.Rows++
				if _, err := io.WriteString(w, item); err != nil {
					return end, err
				}
			}
			return end, nil
		})
		if err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

type fataler interface{ Fatal(...any) }

func testHeader(count int) Header {
	return Header{
		Kind: "test", Shard: Shard{Count: count}, List: "sha256:list", Model: "sha256:model",
		Settings: map[string][]string{"top": {"3"}}, Prefix: []byte("head\n"),
	}
}

// TestPartsMakeTheWhole: whatever the parts hold, and in whatever order they are named, joined they
// are the whole.
func TestPartsMakeTheWhole(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(t *rapid.T) {
		items := rapid.SliceOfN(rapid.OneOf(
			rapid.String(),
			rapid.SampledFrom([]string{"", "\n", "\n{\"garb_part_end\":3}\n", "{\"garb_part\":1}\n", "\x00"}),
		), 0, 30).Draw(t, "items")
		paths := writeParts(t, folder, testHeader(rapid.IntRange(1, 12).Draw(t, "shards")), items)
		paths = rapid.Permutation(paths).Draw(t, "order")
		var parts []*Part
		var headers []Header
		for _, path := range paths {
			if ok, err := IsPart(path); !ok || err != nil {
				t.Fatal(path, err)
			}
			p, err := Open(path)
			if err != nil {
				t.Fatal(err)
			}
			parts, headers = append(parts, p), append(headers, p.Header)
		}
		order, err := Order(headers, paths)
		if err != nil {
			t.Fatal(err)
		}
		var joined bytes.Buffer
		rows, failed := 0, 0
		for _, i := range order {
			rows, failed = rows+parts[i].Rows, failed+parts[i].Failed
			if err := parts[i].Read(func(r io.Reader) error { _, err := io.Copy(&joined, r); return err }); err != nil {
				t.Fatal(err)
			}
		}
		if joined.String() != strings.Join(items, "") || rows+failed != len(items) {
			t.Fatalf("%q, %d and %d, of %q", joined.String(), rows, failed, items)
		}
	})
}

// TestDamagedParts: a part that was cut off, extended or changed is refused by Open or Read.
func TestDamagedParts(t *testing.T) {
	path := writeParts(t, t.TempDir(), testHeader(2), []string{"one\n", "two\n", "", "four\n"})[0]
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	body := bytes.Index(sound, []byte("one\n"))
	try := func(data []byte) error {
		t.Helper()
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := Open(path)
		if err != nil {
			return err
		}
		return p.Read(func(r io.Reader) error { _, err := io.Copy(io.Discard, r); return err })
	}
	if err := try(sound); err != nil || body < 0 {
		t.Fatal(err)
	}
	var format *FormatError
	for cut := range len(sound) {
		if err := try(sound[:cut]); !errors.As(err, &format) || format.Path != path {
			t.Errorf("the first %d bytes: %v", cut, err)
		}
	}
	for name, data := range map[string][]byte{
		"extended": append(slices.Clone(sound), '\n'), "a byte of the body": replaceOnce(sound, "one\n", "onf\n"),
		"a longer body": replaceOnce(sound, "one\n", "one\n\n"),
		"format":        replaceOnce(sound, `"garb_part":1`, `"garb_part":2`),
		"field":         replaceOnce(sound, `"kind"`, `"sort"`), "rows": replaceOnce(sound, `"rows":2`, `"rows":1`),
		"index": replaceOnce(sound, `"shard":0`, `"shard":2`), "shards": replaceOnce(sound, `"shards":2`, `"shards":0`),
		"total":      replaceOnce(sound, `"total":4`, `"total":-4`),
		"no kind":    replaceOnce(sound, `"kind":"test"`, `"kind":""`),
		"huge total": replaceOnce(sound, `"total":4`, `"total":4000000000000000000`),
		"negative":   replaceOnce(sound, `"rows":2,"failed":0`, `"rows":3,"failed":-1`),
		"no break":   bytes.Repeat([]byte("x"), 2*maxHeaderBytes),
	} {
		if bytes.Equal(data, sound) {
			t.Fatalf("%s: nothing changed", name)
		}
		if err := try(data); !errors.As(err, &format) {
			t.Errorf("%s: %v", name, err)
		}
	}
	var kind *safefile.NotRegularError
	if _, err := Open(t.TempDir()); !errors.As(err, &kind) {
		t.Error(err)
	}
	if ok, err := IsPart(writeText(t, "")); ok || err != nil {
		t.Error("an empty file is a part", err)
	}
}

// TestDamageIsNamed: the error says what happened to a part.
func TestDamageIsNamed(t *testing.T) {
	path := writeParts(t, t.TempDir(), testHeader(2), []string{"one\n", "two\n", "", "four\n"})[0]
	sound, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	const (
		changed = "it was changed: its content has another digest or size"
		longer  = "longer than its end line says"
		cut     = "cut off"
	)
	fake := replaceOnce(sound, "one\n", "one\n\n{\"garb_part_end\":3}\n")
	for name, c := range map[string]struct {
		data []byte
		says string
	}{
		"a byte":           {replaceOnce(sound, "one\n", "onf\n"), changed},
		"an inserted byte": {replaceOnce(sound, "one", "onee"), changed},
		"the digest":       {replaceOnce(sound, `"sha256":"`, `"sha256":"x`), changed},
		"rows":             {replaceOnce(sound, `"rows":2`, `"rows":1`), changed},
		"twice":            {slices.Concat(sound, sound), changed},
		"a line break":     {slices.Concat(sound, []byte("\n")), longer},
		"a short text":     {slices.Concat(sound, []byte("text")), longer},
		"a long text":      {slices.Concat(sound, bytes.Repeat([]byte("text\n"), 1000)), longer},
		"cut":              {sound[:len(sound)-3], cut},
		"cut in a line":    {sound[:len(sound)-1], cut},
		"a false end":      {fake[:len(fake)-100], cut},
		"a far end":        {replaceOnce(sound, "\n{\"garb_part_end\"", strings.Repeat("x", 2<<20)), cut},
		"nothing behind":   {replaceOnce(sound, "\n{\"garb_part_end\"", "\n{\"garb_part_and\""), cut},
	} {
		if err := os.WriteFile(path, c.data, 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := Open(path)
		if err == nil {
			err = p.Check()
		}
		if err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLongerPart: text behind the end of a long part is found, wherever a block of findEnd ends.
func TestLongerPart(t *testing.T) {
	for _, size := range []int{1<<20 - 200, 1<<20 - 1, 1 << 20, 1<<20 + 1, 1<<20 + maxEndBytes - 1, 3 << 20} {
		path := writeParts(t, t.TempDir(), testHeader(1), []string{strings.Repeat("x", size)})[0]
		data, err := os.ReadFile(path)
		if err == nil {
			err = os.WriteFile(path, append(data, bytes.Repeat([]byte("y"), 5000)...), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Open(path); err == nil || !strings.Contains(err.Error(), "longer than its end line says") {
			t.Errorf("%d bytes: %v", size, err)
		}
	}
}

func replaceOnce(data []byte, from, to string) []byte {
	return bytes.Replace(data, []byte(from), []byte(to), 1)
}

func writeText(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFailedPart: if the body cannot be written, there is no file, and no temporary one.
func TestFailedPart(t *testing.T) {
	folder := t.TempDir()
	failed := errors.New("failed")
	err := Write(filepath.Join(folder, "part"), testHeader(1), func(w io.Writer) (End, error) {
		io.WriteString(w, strings.Repeat("half a body", 1<<17))
		return End{}, failed
	})
	if left, readErr := os.ReadDir(folder); !errors.Is(err, failed) || readErr != nil || len(left) > 0 {
		t.Errorf("%v; left %v, %v", err, left, readErr)
	}
	long := testHeader(1)
	long.Prefix = make([]byte, maxHeaderBytes)
	err = Write(filepath.Join(folder, "part"), long, func(io.Writer) (End, error) { return End{}, nil })
	if err == nil {
		t.Error("a header that Open refuses is written")
	}
}

func TestOrder(t *testing.T) {
	headers := func(indices ...int) (all []Header, paths []string) {
		for _, i := range indices {
			h := testHeader(4)
			h.Index, h.Total = i, 40
			all, paths = append(all, h), append(paths, fmt.Sprintf("part%d", len(paths)))
		}
		return all, paths
	}
	all, paths := headers(2, 0, 3, 1)
	if order, err := Order(all, paths); err != nil || !slices.Equal(order, []int{1, 3, 0, 2}) {
		t.Error(order, err)
	}
	var missing *MissingError
	all, paths = headers(2, 0)
	if _, err := Order(all, paths); !errors.As(err, &missing) || !slices.Equal(missing.Indices, []int{1, 3}) ||
		!strings.Contains(err.Error(), "1/4, 3/4") {
		t.Error(err)
	}
	var double *DoubleError
	all, paths = headers(1, 1, 0, 2, 3) // the first part is double
	if _, err := Order(all, paths); !errors.As(err, &double) || double.First != "part0" || double.Second != "part1" {
		t.Error(err)
	}
	all, paths = headers(2, 0, 3, 0)
	if _, err := Order(all, paths); !errors.As(err, &double) || double.Shard != (Shard{0, 4}) ||
		double.First != "part1" || double.Second != "part3" {
		t.Error(err)
	}
	if _, err := Order(nil, nil); err == nil {
		t.Error("no parts are a whole")
	}
	for name, change := range map[string]func(*Header){
		"command": func(h *Header) { h.Kind = "other" }, "number of shards": func(h *Header) { h.Count = 5 },
		"number of pictures": func(h *Header) { h.Total++ }, "list of pictures": func(h *Header) { h.List = "other" },
		"model": func(h *Header) { h.Model = "other" }, "before the first": func(h *Header) { h.Prefix = nil },
		"--top (\"5\", not \"3\")":     func(h *Header) { h.Settings = map[string][]string{"top": {"5"}} },
		"--top (not given, not \"3\")": func(h *Header) { h.Settings = nil },
		"--extra (\"1\", not not given)": func(h *Header) {
			h.Settings = map[string][]string{"top": {"3"}, "extra": {"1"}}
		},
	} {
		all, paths = headers(0, 1, 2, 3)
		change(&all[2])
		var foreign *ForeignError
		if _, err := Order(all, paths); !errors.As(err, &foreign) || foreign.Path != "part2" ||
			len(foreign.Differences) != 1 || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestManyMissing(t *testing.T) {
	h := testHeader(MaxCount)
	var missing *MissingError
	if _, err := Order([]Header{h}, []string{"part"}); !errors.As(err, &missing) || len(err.Error()) > 300 ||
		!strings.Contains(err.Error(), "and 99989 more") {
		t.Error(err)
	}
}

func TestHeaderText(t *testing.T) {
	h := testHeader(3)
	h.Index = 2
	parsed, err := ParseHeader(h.String())
	if err != nil || parsed.String() != h.String() {
		t.Error(parsed, err)
	}
	other := strings.Replace(h.String(), `"shard":2`, `"shard":3`, 1)
	h.Total = maxTotal + 1 // with which the ranges of shards would overflow
	for _, text := range []string{"", "{}", "x", h.String() + "x", other, h.String()} {
		if _, err := ParseHeader(text); err == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// FuzzOpen: no file makes Open, Order or Read panic.
func FuzzOpen(f *testing.F) {
	for _, path := range writeParts(f, f.TempDir(), testHeader(2), []string{"one", "", "three"}) {
		data, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
		f.Add(data[:len(data)-3])
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "part")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		p, err := Open(path)
		if err != nil {
			return
		}
		Order([]Header{p.Header, p.Header}, []string{path, path})
		read := int64(0)
		p.Read(func(r io.Reader) (err error) { read, err = io.Copy(io.Discard, r); return err })
		if read > int64(len(data)) {
			t.Errorf("%d bytes of %d", read, len(data))
		}
	})
}

func Example() {
	list := []string{"a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"}
	for i := range 2 {
		s := Shard{Index: i, Count: 2}
		from, to := s.Range(len(list))
		fmt.Println(s, list[from:to], s.FileName("answers.jsonl"))
	}
	// Output:
	// 0/2 [a.jpg b.jpg] answers.jsonl-00000-of-00002
	// 1/2 [c.jpg d.jpg e.jpg] answers.jsonl-00001-of-00002
}
