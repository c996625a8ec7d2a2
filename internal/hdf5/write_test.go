package hdf5

import (
	"bytes"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func encode(t testing.TB, root *Node) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := Write(&b, root); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// drawNode draws a tree: groups of up to 20 members, datasets of up to 3 axes.
func drawNode(t *rapid.T, depth int) *Node {
	names := rapid.StringMatching(`[a-zé_0-9: ]{1,12}`)
	n := &Node{}
	if rapid.Bool().Draw(t, "attributes") {
		n.Attributes = rapid.MapOfN(names, rapid.StringMatching(`[a-zé/ ]{0,40}`), 0, 3).Draw(t, "texts")
	}
	if depth < 4 && (depth == 0 || rapid.Bool().Draw(t, "is a group")) {
		n.Members = map[string]*Node{}
		for _, name := range rapid.SliceOfNDistinct(names, 0, 20/(1+depth), rapid.ID).Draw(t, "members") {
			n.Members[name] = drawNode(t, depth+1)
		}
		return n
	}
	n.Shape = rapid.SliceOfN(rapid.IntRange(0, 4), 0, 3).Draw(t, "shape")
	count := 1
	for _, d := range n.Shape {
		count *= d
	}
	single := rapid.SliceOfN(rapid.Float32(), count, count).Draw(t, "values")
	n.Values = single
	if rapid.Bool().Draw(t, "double") {
		double := make([]float64, count)
		for i, v := range single {
			double[i] = float64(v)
		}
		n.Values = double
	}
	return n
}

// compare compares an object that was read with the one that was written.
func compare(want *Node, got Object) error {
	for name, text := range want.Attributes {
		values, found, err := got.Attribute(name)
		if err != nil {
			return err
		}
		if !found || !slices.Equal(values, []string{text}) {
			return fmt.Errorf("%s: attribute %q is %q, want %q", got.Path(), name, values, text)
		}
	}
	if dataset, ok := got.(*Dataset); ok {
		return compareDatasets(want, dataset)
	}
	return compareGroups(want, got.(*Group))
}

func compareDatasets(want *Node, got *Dataset) error {
	values, err := got.Floats()
	if err != nil {
		return err
	}
	var single []float32
	switch v := want.Values.(type) {
	case []float32:
		single = v
	case []float64:
		for _, x := range v {
			single = append(single, float32(x))
		}
	default:
		return fmt.Errorf("%s is a dataset", got.Path())
	}
	if !slices.Equal(got.Shape(), want.Shape) {
		return fmt.Errorf("%s has shape %v, want %v", got.Path(), got.Shape(), want.Shape)
	}
	for i, v := range values {
		if math.Float32bits(v) != math.Float32bits(single[i]) {
			return fmt.Errorf("%s: value %d is %v, want %v", got.Path(), i, v, single[i])
		}
	}
	return nil
}

func compareGroups(want *Node, got *Group) error {
	if want.Values != nil || len(got.Names()) != len(want.Members) {
		return fmt.Errorf("%s has members %q, want %d", got.Path(), got.Names(), len(want.Members))
	}
	for name, n := range want.Members {
		member, err := got.Open(name)
		if err != nil {
			return err
		}
		if member == nil {
			return fmt.Errorf("%s has no member %q", got.Path(), name)
		}
		if err := compare(n, member); err != nil {
			return err
		}
	}
	return nil
}

func TestWriteReadBack(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		root := drawNode(rt, 0)
		data := encode(t, root)
		if !bytes.Equal(data, encode(t, root)) {
			rt.Error("two files of one tree are different")
		}
		if err := compare(root, openTestRoot(t, data)); err != nil {
			rt.Error(err)
		}
	})
}

func many(n int) map[string]*Node {
	members := map[string]*Node{}
	for i := range n {
		members[fmt.Sprintf("layer_%d", i)] = &Node{Values: []float32{float32(i)}, Shape: []int{1}}
	}
	return members
}

func TestWriteManyMembers(t *testing.T) {
	root := &Node{Members: many(9000)} // more than the layers that a network may have
	if err := compare(root, openTestRoot(t, encode(t, root))); err != nil {
		t.Error(err)
	}
}

type failing struct{ after int }

func (f *failing) Write(p []byte) (int, error) {
	if f.after -= len(p); f.after < 0 {
		return 0, errDiskFull
	}
	return len(p), nil
}

var errDiskFull = errors.New("no space left")

func TestWriteFails(t *testing.T) {
	root := &Node{Members: map[string]*Node{"x": {Values: make([]float32, 5000), Shape: []int{5000}}}}
	for _, after := range []int{0, 5000, 20000} {
		if err := Write(&failing{after}, root); !errors.Is(err, errDiskFull) {
			t.Errorf("after %d bytes: %v", after, err)
		}
	}
}

func TestWritePanics(t *testing.T) {
	for name, root := range map[string]*Node{
		"a root that is a dataset": {Values: []float32{1}},
		"another shape":            {Members: map[string]*Node{"x": {Values: []float32{1}, Shape: []int{2}}}},
		"a negative shape":         {Members: map[string]*Node{"x": {Values: []float32{1}, Shape: []int{-1, -1}}}},
		"other values":             {Members: map[string]*Node{"x": {Values: []int{1}}}},
		"members of a dataset": {Members: map[string]*Node{"x": {Values: []float32{1},
			Members: map[string]*Node{"y": {}}}}},
		"a slash":          {Members: map[string]*Node{"x/y": {}}},
		"a dot":            {Members: map[string]*Node{".": {}}},
		"no name":          {Members: map[string]*Node{"": {}}},
		"a zero byte":      {Attributes: map[string]string{"x": "\x00"}},
		"too many members": {Members: many(1 << 16)},
		"a long text":      {Attributes: map[string]string{"x": strings.Repeat("x", 1<<16)}},
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if recover() == nil {
					t.Error("no panic")
				}
			}()
			Write(&bytes.Buffer{}, root)
		})
	}
}
