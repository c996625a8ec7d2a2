package hdf5

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// open returns the root of a file of testdata (see its generate.py).
func open(t testing.TB, name string) *Group {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	return openTestRoot(t, data)
}

func openTestRoot(t testing.TB, data []byte) *Group {
	t.Helper()
	f, err := Open(data)
	if err != nil {
		t.Fatal(err)
	}
	root, err := f.Root()
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// checkRamp checks the values that generate.py gives every dataset.
func checkRamp(t *testing.T, d *Dataset, shape []int) {
	t.Helper()
	if !cmp.Equal(d.Shape(), shape) {
		t.Errorf("%s has shape %v, want %v", d.Path(), d.Shape(), shape)
	}
	values, err := d.Floats()
	if err != nil {
		t.Errorf("%s: %v", d.Path(), err)
		return
	}
	if len(values) != d.Len() {
		t.Errorf("%s has %d values, want %d", d.Path(), len(values), d.Len())
	}
	for i, v := range values {
		if want := float32(i%1024) * 0.25; v != want {
			t.Errorf("value %d of %s is %g, want %g", i, d.Path(), v, want)
			return
		}
	}
}

func TestDatasets(t *testing.T) {
	for _, test := range []struct {
		file, path string
		shape      []int
	}{
		{"older.h5", "contiguous", []int{3, 3, 4, 5}},
		{"older.h5", "half", []int{6}},
		{"older.h5", "double", []int{6}},
		{"older.h5", "scalar", nil},
		{"older.h5", "empty", []int{0, 4}},
		{"older.h5", "chunked", []int{7, 5, 3}},
		{"older.h5", "deflate", []int{64, 70}},
		{"older.h5", "all_filters", []int{64, 70}},
		{"older.h5", "many_chunks", []int{200}},
		{"older.h5", "layers/layer_0/0", []int{1}},
		{"older.h5", "layers/layer_19/0", []int{20}},
		{"newer.h5", "contiguous", []int{3, 3, 4, 5}},
		{"newer.h5", "layers/dense/0", []int{4}},
		{"newer.h5", "loop/loop/layers/dense/0", []int{4}},
	} {
		d, err := open(t, test.file).Dataset(test.path)
		if err != nil || d == nil {
			t.Errorf("%s of %s: %v, %v", test.path, test.file, d, err)
			continue
		}
		checkRamp(t, d, test.shape)
	}
}

func TestGroups(t *testing.T) {
	root := open(t, "older.h5")
	layers, err := root.Group("layers")
	if err != nil || len(layers.Names()) != 20 || layers.Names()[1] != "layer_1" {
		t.Errorf("members %v, %v", layers.Names(), err)
	}
	for _, path := range []string{"none", "layers/none", "contiguous/0", "layers/layer_0/0/0", ""} {
		if o, err := root.Open(path); o != nil || err != nil {
			t.Errorf("%q is %v, %v; want nothing", path, o, err)
		}
	}
	if d, err := root.Dataset("layers"); d != nil || err != nil {
		t.Errorf("a group is a dataset: %v, %v", d, err)
	}
}

func TestAttributes(t *testing.T) {
	for _, test := range []struct {
		file, name string
		want       []string
	}{
		{"older.h5", "fixed", []string{"block1_conv1", "conv"}},
		{"older.h5", "variable", []string{"block1_conv1", "", "größer"}},
		{"older.h5", "scalar", []string{"one text"}},
		{"older.h5", "long", []string{strings.Repeat("x", 6000)}},
		{"older.h5", "empty", []string{}},
		{"newer.h5", "fixed", []string{"block1_conv1", "conv"}},
		{"newer.h5", "variable", []string{"block1_conv1", "", "größer"}},
	} {
		g, err := open(t, test.file).Group("attributes")
		if err != nil {
			t.Fatal(err)
		}
		got, found, err := g.Attribute(test.name)
		if err != nil || !found || !cmp.Equal(got, test.want) {
			t.Errorf("attribute %s of %s is %.60q, %v, %v; want %.60q", test.name, test.file, got, found, err,
				test.want)
		}
		if _, found, err := g.Attribute("none"); found || err != nil {
			t.Errorf("a missing attribute gives %v, %v", found, err)
		}
	}
}

func TestWhatIsNotReadIsNamed(t *testing.T) {
	var unsupported *UnsupportedError
	for path, what := range map[string]string{"lzf": "filter 32000", "big_endian": "of class 1",
		"integer": "of class 0"} {
		d, err := open(t, "older.h5").Dataset(path)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Floats(); !errors.As(err, &unsupported) || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: error %v, want one with %q", path, err, what)
		}
	}
	if _, err := open(t, "newer.h5").Group("dense_storage"); !errors.As(err, &unsupported) {
		t.Errorf("a group in dense storage gives %v", err)
	}
}

// visitAll reads whatever can be reached and returns the first error other than
// an *UnsupportedError. It stops at a depth that no honest file has, as its
// callers would.
func visitAll(g *Group, depth int) error {
	var unsupported *UnsupportedError
	if _, _, err := g.Attribute("variable"); err != nil && !errors.As(err, &unsupported) {
		return err
	}
	for _, name := range g.Names() {
		o, err := g.Open(name)
		if err != nil && !errors.As(err, &unsupported) {
			return err
		}
		switch o := o.(type) {
		case *Dataset:
			if o.Len() < 1<<20 {
				if _, err := o.Floats(); err != nil && !errors.As(err, &unsupported) {
					return err
				}
			}
		case *Group:
			if depth < 100 {
				if err := visitAll(o, depth+1); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func visitBytes(data []byte) error {
	f, err := Open(data)
	if err != nil {
		return err
	}
	root, err := f.Root()
	if err != nil {
		return err
	}
	return visitAll(root, 0)
}

func TestLoopsEnd(t *testing.T) {
	g := open(t, "newer.h5")
	for range 1_000_000 {
		next, err := g.Group("loop")
		var format *FormatError
		if errors.As(err, &format) && strings.Contains(format.Reason, "in cycles") {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		g = next
	}
	t.Error("a loop can be followed a million times")
}

func TestCutsAreErrors(t *testing.T) {
	data, err := os.ReadFile("testdata/older.h5")
	if err != nil {
		t.Fatal(err)
	}
	for length := 0; length < len(data)-8; length += 7 {
		var format *FormatError
		if err := visitBytes(data[:length]); !errors.As(err, &format) {
			t.Errorf("cut to %d of %d bytes, it gives %v", length, len(data), visitBytes(data[:length]))
		}
	}
}

func FuzzOpen(f *testing.F) {
	for _, name := range []string{"small.h5", "newer.h5"} {
		data, err := os.ReadFile("testdata/" + name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		err := visitBytes(data)
		var format *FormatError
		var unsupported *UnsupportedError
		if err != nil && !errors.As(err, &format) && !errors.As(err, &unsupported) {
			t.Errorf("%T: %v", err, err)
		}
	})
}

func ExampleGroup_Dataset() {
	data, err := os.ReadFile("testdata/older.h5")
	if err != nil {
		fmt.Println(err)
		return
	}
	file, err := Open(data)
	if err != nil {
		fmt.Println(err)
		return
	}
	root, err := file.Root()
	if err != nil {
		fmt.Println(err)
		return
	}
	kernel, err := root.Dataset("layers/layer_3/0")
	if err != nil || kernel == nil {
		fmt.Println("no such dataset", err)
		return
	}
	values, err := kernel.Floats()
	fmt.Println(kernel.Shape(), values, err)
	// Output: [4] [0 0.25 0.5 0.75] <nil>
}
