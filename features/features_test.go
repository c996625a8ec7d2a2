package features

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"garb/internal/safefile"
	"garb/model"
	"garb/picture"
)

func testKey() Key {
	return Key{Version: version, Weights: "sha256:test", Preprocessing: picture.Spec{Width: 8, Height: 8}}
}

// vectorOf returns a vector that depends on a digest only.
func vectorOf(d Digest, columns int) []float32 {
	v := make([]float32, columns)
	for i := range v {
		v[i] = float32(d[0]) + float32(i)
	}
	return v
}

// writeNumbers writes a file with the vectors of some numbers.
func writeNumbers(t testing.TB, m Meta, numbers ...int) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "features.safetensors")
	w := Create(path, m)
	for _, n := range numbers {
		d := Sum([]byte{byte(n)})
		if err := w.Add(d, vectorOf(d, m.Columns)); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	return path
}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestMergeOfParts: however pictures are distributed over files, in whatever order and with
// whatever repetitions, the merged file is that of one Writer, and has all vectors.
func TestMergeOfParts(t *testing.T) {
	folder := t.TempDir()
	rapid.Check(t, func(rt *rapid.T) {
		m := Meta{Key: testKey(), Columns: rapid.IntRange(1, 5).Draw(rt, "columns")}
		numbers := rapid.SliceOfN(rapid.IntRange(0, 40), 0, 60).Draw(rt, "numbers")
		parts := rapid.IntRange(1, 5).Draw(rt, "parts")
		spill := rapid.IntRange(1, 70).Draw(rt, "spill")
		whole := Create(filepath.Join(folder, "whole"), m)
		writers := make([]*Writer, parts)
		var names []string
		for i := range writers {
			name := filepath.Join(folder, fmt.Sprintf("part%d", i))
			names = append(names, name)
			part := m
			part.Part = fmt.Sprint(i)
			writers[i] = Create(name, part)
			writers[i].spill = spill
		}
		want := map[Digest]bool{}
		for _, n := range numbers {
			d := Sum([]byte{byte(n)})
			want[d] = true
			v := vectorOf(d, m.Columns)
			part := writers[rapid.IntRange(0, parts-1).Draw(rt, "to")]
			if err := errors.Join(whole.Add(d, v), part.Add(d, v)); err != nil {
				rt.Fatal(err)
			}
		}
		if rows, err := whole.Close(t.Context()); err != nil || rows != int64(len(want)) {
			rt.Fatal(rows, err)
		}
		for _, w := range writers {
			if _, err := w.Close(t.Context()); err != nil {
				rt.Fatal(err)
			}
		}
		merged, done := filepath.Join(folder, "merged"), 0
		rows, err := Merge(t.Context(), merged, names, MergeProgress{Written: func() { done++ }})
		if err != nil || rows != int64(len(want)) || done != len(want) {
			rt.Fatal(rows, done, err)
		}
		if !bytes.Equal(read(t, merged), read(t, filepath.Join(folder, "whole"))) {
			rt.Fatal("the merged file differs from that of one writer")
		}
		checkLookups(rt, merged, m.Columns, want)
	})
	if left, err := filepath.Glob(filepath.Join(folder, ".*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// checkLookups checks that a file has the vectors of all digests, and no other.
func checkLookups(t *rapid.T, path string, columns int, want map[Digest]bool) {
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for n := range 42 {
		d := Sum([]byte{byte(n)})
		v, ok, err := f.Lookup(d)
		if err != nil || ok != want[d] || ok && !slices.Equal(v, vectorOf(d, columns)) {
			t.Fatalf("%d: %v %v %v", n, v, ok, err)
		}
	}
}

// TestMergeInRounds merges more files than may be open at a time.
func TestMergeInRounds(t *testing.T) {
	folder := t.TempDir()
	var parts []string
	var numbers []int
	m := Meta{Key: testKey(), Columns: 2}
	for i := range maxOpen + 2 {
		name := filepath.Join(folder, fmt.Sprintf("part%d", i))
		w := Create(name, m)
		d := Sum([]byte{byte(i)})
		if err := w.Add(d, vectorOf(d, 2)); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		parts, numbers = append(parts, name), append(numbers, i)
	}
	merged := filepath.Join(folder, "merged")
	rows, err := Merge(t.Context(), merged, parts, MergeProgress{})
	if err != nil || rows != 256 {
		t.Fatal(rows, err)
	}
	if !bytes.Equal(read(t, merged), read(t, writeNumbers(t, m, numbers...))) {
		t.Error("the merged file differs")
	}
	if left, _ := filepath.Glob(filepath.Join(folder, ".*")); len(left) > 0 {
		t.Errorf("left: %v", left)
	}
}

func TestMergeRefuses(t *testing.T) {
	m := Meta{Key: testKey(), Columns: 2}
	first, merged := writeNumbers(t, m, 1, 2), filepath.Join(t.TempDir(), "merged")
	other := m
	other.Key.Weights = "sha256:other"
	var key *KeyError
	_, err := Merge(t.Context(), merged, []string{first, writeNumbers(t, other, 3)}, MergeProgress{})
	if !errors.As(err, &key) || len(key.Differences) != 1 || !strings.Contains(err.Error(), "backbone weights") {
		t.Error(err)
	}
	if _, err = Merge(t.Context(), merged, []string{first, writeNumbers(t, Meta{Key: m.Key, Columns: 3})},
		MergeProgress{}); !errors.As(err, &key) {
		t.Error(err)
	}
	// Another vector of the same picture.
	path := filepath.Join(t.TempDir(), "conflict")
	w := Create(path, m)
	if err = w.Add(Sum([]byte{2}), []float32{9, 9}); err != nil {
		t.Fatal(err)
	}
	if _, err = w.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	var conflict *ConflictError
	_, err = Merge(t.Context(), merged, []string{first, path}, MergeProgress{})
	if !errors.As(err, &conflict) || conflict.Digest != Sum([]byte{2}) || conflict.First != first ||
		conflict.Second != path {
		t.Error(err)
	}
	w = Create(path, m)
	if err = errors.Join(w.Add(Digest{}, []float32{1, 1}), w.Add(Digest{}, []float32{1, 2})); err != nil {
		t.Fatal(err)
	}
	if _, err = w.Close(t.Context()); !errors.As(err, &conflict) {
		t.Error(err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if _, err = Merge(stopped, merged, []string{first, first}, MergeProgress{}); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if _, err := os.Stat(merged); err == nil {
		t.Error("a failed merge left a file")
	}
}

// TestDamagedFiles: what is cut off, extended or changed is refused, and nothing else is.
func TestDamagedFiles(t *testing.T) {
	m := Meta{Key: testKey(), Columns: 2, Part: "a part"}
	sound := read(t, writeNumbers(t, m, 1, 2, 3))
	path := filepath.Join(t.TempDir(), "damaged")
	refused := func(name string, data []byte) {
		t.Helper()
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		var format *FormatError
		if err == nil {
			f.Close()
		}
		if !errors.As(err, &format) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v", name, err)
		}
	}
	for cut := range len(sound) {
		refused(fmt.Sprintf("the first %d bytes", cut), sound[:cut])
	}
	refused("one byte more", append(slices.Clone(sound), 0))
	change := func(from, to string) []byte {
		t.Helper()
		if !bytes.Contains(sound, []byte(from)) || len(from) != len(to) {
			t.Fatalf("%q is not in the file, or not as long as %q", from, to)
		}
		return bytes.Replace(sound, []byte(from), []byte(to), 1)
	}
	for from, to := range map[string]string{
		"[32]": "[31]", "[120,152]": "[120,151]", `"dtype":"U8","shape":[32]`: `"dtype":"I8","shape":[32]`,
		`"U8"`: `"I8"`, `"F32"`: `"F16"`, "[3,32]": "[3,31]", "[3,2]": "[4,2]", "[0,96]": "[1,96]",
		"[96,120]":        "[95,120]",
		"garb features 2": "garb features 1", `"part"`: `"pork"`, `\"weights\"`: `\"waights\"`, `"shape"`: `"shave"`,
	} {
		refused(to, change(from, to))
	}
	long := slices.Clone(sound)
	binary.LittleEndian.PutUint64(long, math.MaxUint64)
	refused("a long header", long)
	digests := len(sound)
	for n := 1; n <= 3; n++ { // whichever is first
		d := Sum([]byte{byte(n)})
		digests = min(digests, bytes.Index(sound, d[:]))
	}
	swapped := slices.Clone(sound)
	copy(swapped[digests:], sound[digests+32:digests+64])
	copy(swapped[digests+32:], sound[digests:digests+32])
	refused("swapped digests", swapped)
	if err := os.WriteFile(path, swapped, 0o644); err != nil {
		t.Fatal(err)
	}
	var format *FormatError
	if _, err := merge(t.Context(), path+"-merged", "", []string{path}, nil); !errors.As(err, &format) {
		t.Errorf("merging swapped digests: %v", err)
	}
	var folder *safefile.NotRegularError
	if _, err := Open(t.TempDir()); !errors.As(err, &folder) {
		t.Error(err)
	}
}

// TestFlippedBits: wherever a bit is flipped, Open or Check finds it, and so does Merge.
func TestFlippedBits(t *testing.T) {
	m := Meta{Key: testKey(), Columns: 2, Part: "a part"}
	sound := read(t, writeNumbers(t, m, 1, 2, 3))
	path := filepath.Join(t.TempDir(), "flipped")
	merged := path + "-merged"
	changed := 0
	for at := range sound {
		data := slices.Clone(sound)
		data[at] ^= 1 << (at % 8)
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err == nil {
			err = f.Check(t.Context(), nil)
			f.Close()
		}
		var format *FormatError
		var change *ChangedError
		if errors.As(err, &change) {
			changed++
		} else if !errors.As(err, &format) {
			t.Errorf("byte %d of %d: %v", at, len(sound), err)
		}
		_, err = Merge(t.Context(), merged, []string{path, path}, MergeProgress{})
		if !errors.As(err, &format) && !errors.As(err, &change) {
			t.Errorf("merging byte %d of %d: %v", at, len(sound), err)
		}
		if _, err := os.Stat(merged); err == nil {
			t.Fatalf("byte %d of %d: a failed merge left a file", at, len(sound))
		}
	}
	if least := 3*2*4 + sha256.Size; changed < least { // no other check finds most of these
		t.Errorf("%d changes were found by the digest; at least %d should be", changed, least)
	}
}

// TestCheckBlocks: Check reads files of more than one block, reports their vectors, and can be stopped.
func TestCheckBlocks(t *testing.T) {
	m := Meta{Key: testKey(), Columns: checkedBytes / 4 / 2}
	path := writeNumbers(t, m, 1, 2, 3, 4, 5)
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var blocks []int
	if err := f.Check(t.Context(), func(n int) { blocks = append(blocks, n) }); err != nil ||
		!slices.Equal(blocks, []int{2, 2, 1}) {
		t.Errorf("%v: %v", blocks, err)
	}
	stopped, stop := context.WithCancel(t.Context())
	stop()
	if err := f.Check(stopped, nil); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func TestIsFile(t *testing.T) {
	path := writeNumbers(t, Meta{Key: testKey(), Columns: 1}, 1)
	if ok, err := IsFile(path); !ok || err != nil {
		t.Error(ok, err)
	}
	for _, text := range []string{"", "{}", `{"class":"dress","score":1}`, strings.Repeat("\x00", 20)} {
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if ok, err := IsFile(path); ok || err != nil {
			t.Errorf("%q: %v, %v", text, ok, err)
		}
	}
	var folder *safefile.NotRegularError
	if _, err := IsFile(t.TempDir()); !errors.As(err, &folder) {
		t.Error(err)
	}
}

func TestNotFinite(t *testing.T) {
	m := Meta{Key: testKey(), Columns: 1}
	for _, bad := range []float32{float32(math.NaN()), float32(math.Inf(1)), float32(math.Inf(-1))} {
		if err := Create("unused", m).Add(Digest{}, []float32{bad}); err == nil {
			t.Errorf("%v is written", bad)
		}
		path := writeNumbers(t, m, 1)
		data := read(t, path)
		binary.LittleEndian.PutUint32(data[len(data)-sha256.Size-4:], math.Float32bits(bad))
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		var format *FormatError
		if _, _, err := f.Lookup(Sum([]byte{1})); !errors.As(err, &format) {
			t.Errorf("%v: %v", bad, err)
		}
	}
}

func TestDiscard(t *testing.T) {
	folder := t.TempDir()
	w := Create(filepath.Join(folder, "features"), Meta{Key: testKey(), Columns: 1})
	w.spill = 1
	if err := w.Add(Digest{}, []float32{1}); err != nil {
		t.Fatal(err)
	}
	w.Discard()
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
}

// TestDifferences: each field of a key counts.
func TestDifferences(t *testing.T) {
	base := testKey()
	for name, change := range map[string]func(*Key){
		"version": func(k *Key) { k.Version++ }, "weights": func(k *Key) { k.Weights += "x" },
		"width": func(k *Key) { k.Preprocessing.Width++ }, "height": func(k *Key) { k.Preprocessing.Height++ },
		"filter": func(k *Key) { k.Preprocessing.Filter += "x" }, "fit": func(k *Key) { k.Preprocessing.Fit += "x" },
		"crop":        func(k *Key) { k.Preprocessing.CropRatio++ },
		"orientation": func(k *Key) { k.Preprocessing.Orientation += "x" },
		"grey":        func(k *Key) { k.Preprocessing.Grey = true }, "mean": func(k *Key) { k.Preprocessing.Mean[1]++ },
		"std": func(k *Key) { k.Preprocessing.Std[2]++ }, "truncated": func(k *Key) { k.KeepTruncated = true },
		"pixels": func(k *Key) { k.MaxPixels++ }, "decoded": func(k *Key) { k.MaxDecodedPixels++ },
	} {
		k := base
		change(&k)
		if d := k.Differences(base); len(d) != 1 || k == base {
			t.Errorf("%s: %v", name, d)
		}
	}
	if d := base.Differences(base); d != nil {
		t.Error(d)
	}
}

// TestCacheNeedsAFolder: without a folder for what garb keeps, nothing is written elsewhere.
func TestCacheNeedsAFolder(t *testing.T) {
	folder := t.TempDir()
	t.Setenv("GARB_HOME", folder)
	cache, err := OpenCache(testKey(), 2)
	if err != nil || filepath.Dir(cache.path) != filepath.Join(folder, "features") {
		t.Errorf("%v", err)
	}
	for _, name := range []string{"GARB_HOME", "XDG_CACHE_HOME", "HOME", "LocalAppData"} {
		t.Setenv(name, "")
	}
	if cache, err := OpenCache(testKey(), 2); err == nil {
		t.Errorf("the cache is in %s", cache.path)
	}
}

// openCache opens a cache in GARB_HOME.
func openCache(t testing.TB, k Key) *Cache {
	t.Helper()
	c, err := OpenCache(k, 2)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestCacheOfTwo: two processes that open the cache of features, and each save a vector, lose none.
func TestCacheOfTwo(t *testing.T) {
	t.Setenv("GARB_HOME", t.TempDir())
	first, second := openCache(t, testKey()), openCache(t, testKey())
	a, b := Sum([]byte("a")), Sum([]byte("b"))
	first.Put(a, []float32{1, 2})
	second.Put(b, []float32{3, 4})
	second.Put(Digest{}, []float32{float32(math.NaN()), 0})
	if err := errors.Join(first.Save(), second.Save()); err != nil {
		t.Fatal(err)
	}
	second.Put(a, []float32{5, 6}) // what is saved stays
	second.spill = 1
	second.Put(Sum([]byte("c")), []float32{7, 8}) // by way of the folder
	second.Put(Sum([]byte("d")), []float32{9, 10})
	if err := second.Save(); err != nil {
		t.Fatal(err)
	}
	both := openCache(t, testKey())
	x, _ := both.Get(a)
	y, _ := both.Get(b)
	z, _ := both.Get(Sum([]byte("c")))
	if !slices.Equal(x, []float32{1, 2}) || !slices.Equal(y, []float32{3, 4}) || !slices.Equal(z, []float32{7, 8}) {
		t.Errorf("the cache has %v, %v and %v", x, y, z)
	}
	if left, err := filepath.Glob(filepath.Join(filepath.Dir(both.path), ".*")); err != nil || len(left) > 0 {
		t.Errorf("left: %v, %v", left, err)
	}
	if v, ok := both.Get(Digest{}); ok {
		t.Errorf("the cache has %v", v)
	}
	// Other weights, or another preprocessing, have features of their own.
	other := testKey()
	other.Weights = "sha256:other"
	if openCache(t, other).path == both.path {
		t.Error("the cache does not know its weights")
	}
	other = testKey()
	other.Preprocessing.Width++
	if openCache(t, other).path == both.path {
		t.Error("the cache does not know its preprocessing")
	}
}

// TestDamagedCache: a file that cannot be used is ignored and replaced.
func TestDamagedCache(t *testing.T) {
	t.Setenv("GARB_HOME", t.TempDir())
	d := Sum([]byte("a"))
	sound := read(t, writeNumbers(t, Meta{Key: testKey(), Columns: 2}, 1))
	notFinite, flipped := slices.Clone(sound), slices.Clone(sound)
	flipped[len(flipped)-sha256.Size-1] ^= 1
	binary.LittleEndian.PutUint32(notFinite[len(notFinite)-sha256.Size-4:], math.Float32bits(float32(math.NaN())))
	for name, data := range map[string][]byte{
		"cut": sound[:len(sound)-1], "empty": {}, "not finite": notFinite,
		"flipped": flipped, "another key": read(t, writeNumbers(t, Meta{Key: Key{}, Columns: 2}, 1)),
	} {
		c := openCache(t, testKey())
		if err := os.MkdirAll(filepath.Dir(c.path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(c.path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		// Get reads too little to find a flipped bit. Save does not keep it.
		if v, ok := c.Get(Sum([]byte{1})); ok && name != "flipped" {
			t.Errorf("%s: %v", name, v)
		}
		c.Put(d, []float32{1, 2})
		if err := c.Save(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if v, ok := openCache(t, testKey()).Get(d); !ok || v[1] != 2 {
			t.Errorf("%s: %v", name, v)
		}
		if v, ok := openCache(t, testKey()).Get(Sum([]byte{1})); ok {
			t.Errorf("%s: %v is kept", name, v)
		}
	}
}

// TestKeyOfExtractor: the key has the extractor's preprocessing and limits.
func TestKeyOfExtractor(t *testing.T) {
	l := picture.DefaultLimits().WithMaxPixels(12345)
	l.KeepTruncated = true
	c, err := model.Open(model.Clothing, model.Options{Threads: 1, Limits: l})
	if err != nil {
		t.Fatal(err)
	}
	want := Key{version, "sha256:x", c.Spec(), true, l.MaxPixels, l.MaxDecodedPixels}
	if k := NewKey(c.Extractor, "sha256:x"); k != want {
		t.Errorf("%+v", k)
	}
}

// FuzzOpen: no file makes Open, Lookup or Merge panic, or return values beyond the file.
func FuzzOpen(f *testing.F) {
	m := Meta{Key: testKey(), Columns: 2}
	sound := read(f, writeNumbers(f, m, 1, 2, 3))
	f.Add(sound)
	f.Add(sound[:len(sound)-1])
	f.Add(read(f, writeNumbers(f, Meta{Columns: 1})))
	flipped := slices.Clone(sound)
	flipped[len(flipped)-sha256.Size-1] ^= 1
	f.Add(flipped)
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "features")
		if err := os.WriteFile(path, data, 0o644); err != nil {
			t.Fatal(err)
		}
		file, err := Open(path)
		if err != nil {
			return
		}
		defer file.Close()
		if need := file.Rows() * int64(32+4*file.Columns); need > int64(len(data)) {
			t.Errorf("%d rows of %d values in %d bytes", file.Rows(), file.Columns, len(data))
		}
		file.Lookup(Sum([]byte{byte(rand.IntN(4))}))
		file.Check(t.Context(), nil)
		Merge(t.Context(), path+"-merged", []string{path, path}, MergeProgress{})
		merge(t.Context(), path+"-merged", "", []string{path, path}, nil) // as if its digest were right
	})
}

func ExampleMerge() {
	folder, err := os.MkdirTemp("", "features")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(folder)
	var parts []string
	for i, text := range []string{"one picture", "another picture"} {
		path := filepath.Join(folder, fmt.Sprint(i))
		w := Create(path, Meta{Key: Key{Weights: "sha256:…"}, Columns: 2})
		if err = w.Add(Sum([]byte(text)), []float32{float32(i), 0.5}); err != nil {
			panic(err)
		}
		if _, err = w.Close(context.Background()); err != nil {
			panic(err)
		}
		parts = append(parts, path)
	}
	whole := filepath.Join(folder, "whole.safetensors")
	rows, err := Merge(context.Background(), whole, parts, MergeProgress{})
	if err != nil {
		panic(err)
	}
	f, err := Open(whole)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	vector, ok, err := f.Lookup(Sum([]byte("another picture")))
	fmt.Println(rows, vector, ok, err)
	// Output: 2 [1 0.5] true <nil>
}
