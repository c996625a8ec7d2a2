package keras

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"

	"garb/internal/hdf5"
)

// storedLayer is a layer of a file of weights: its name and the shapes of its arrays.
type storedLayer struct {
	name   string
	shapes [][]int
}

// olderWeights returns a file of weights in the older generation's layout. The values count up
// over the whole file.
func olderWeights(t testing.TB, layers []storedLayer) []byte {
	t.Helper()
	root := &hdf5.Node{Attributes: map[string]string{}, Members: map[string]*hdf5.Node{}}
	next := float32(0)
	for i, l := range layers {
		group := &hdf5.Node{Attributes: map[string]string{}, Members: map[string]*hdf5.Node{}}
		for j, shape := range l.shapes {
			name := fmt.Sprintf("array_%d:0", j)
			values := make([]float32, product(shape))
			for k := range values {
				next++
				values[k] = next
			}
			// As Keras splits lists that are long.
			group.Attributes[fmt.Sprintf("weight_names%d", j)] = name
			group.Members[name] = &hdf5.Node{Values: values, Shape: shape}
		}
		root.Attributes[fmt.Sprintf("layer_names%d", i)] = l.name
		root.Members[l.name] = group
	}
	var b bytes.Buffer
	if err := hdf5.Write(&b, root); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func product(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// pairs describes a network whose two convolutions have the same shapes: only their order
// tells which is which.
const pairs = `{"class_name":"Functional","config":{"name":"pairs","layers":[
	{"class_name":"InputLayer","name":"in","config":{"name":"in","batch_shape":[null,4,4,2]},"inbound_nodes":[]},
	{"class_name":"Conv2D","name":"b","config":{"name":"b","filters":2,"kernel_size":[1,1],"use_bias":false},
	 "inbound_nodes":[[["in",0,0,{}]]]},
	{"class_name":"ReLU","name":"relu","config":{"name":"relu"},"inbound_nodes":[[["b",0,0,{}]]]},
	{"class_name":"Conv2D","name":"a","config":{"name":"a","filters":2,"kernel_size":[1,1],"use_bias":false},
	 "inbound_nodes":[[["relu",0,0,{}]]]},
	{"class_name":"BatchNormalization","name":"bn","config":{"name":"bn","scale":false},
	 "inbound_nodes":[[["a",0,0,{}]]]}],
	"input_layers":[["in",0,0]],"output_layers":[["bn",0,0]]}}`

func pairsStored() []storedLayer {
	kernel := [][]int{{1, 1, 2, 2}}
	return []storedLayer{{"a", kernel}, {"activation", nil}, {"conv2d_94", kernel}, {"norm", [][]int{{2}, {2}, {2}}}}
}

// Layers of the file are those of the network in order, as Keras's own load_weights takes
// them, whatever their names; here the name of each would be the other's.
func TestOpenWeights(t *testing.T) {
	m, err := OpenWeights([]byte(pairs), "3.15.1", olderWeights(t, pairsStored()), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	n, err := m.Network(0)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string][]float32{
		"b/kernel": {1, 2, 3, 4}, "a/kernel": {5, 6, 7, 8},
		"bn/beta": {9, 10}, "bn/moving_mean": {11, 12}, "bn/moving_variance": {13, 14},
	} {
		if got := n.Tensors[name]; got == nil || !slices.Equal(got.Data, want) {
			t.Errorf("%s is %v, want %v", name, got, want)
		}
	}
}

func TestOpenWeightsRefuses(t *testing.T) {
	changed := func(change func(l []storedLayer) []storedLayer) []byte {
		return olderWeights(t, change(pairsStored()))
	}
	less := changed(func(l []storedLayer) []storedLayer { return l[:3] })
	more := changed(func(l []storedLayer) []storedLayer { return append(l, storedLayer{"top", [][]int{{2, 9}}}) })
	arrays := changed(func(l []storedLayer) []storedLayer { l[3].shapes = l[3].shapes[:2]; return l })
	shapes := changed(func(l []storedLayer) []storedLayer { l[2].shapes = [][]int{{1, 1, 2, 3}}; return l })
	whole := olderWeights(t, pairsStored())
	empty := olderWeights(t, nil)
	small := DefaultLimits()
	small.MaxValues = 13
	unknown := strings.Replace(pairs, `"ReLU"`, `"ConvLSTM2D"`, 1)
	nested := strings.Replace(pairs, `{"class_name":"ReLU","name":"relu","config":{"name":"relu"}`,
		`{"class_name":"Sequential","name":"relu","config":{"name":"relu","layers":[]}`, 1)
	for _, c := range []struct {
		name, description string
		data              []byte
		limits            Limits
		want              string
	}{
		{"a layer less", pairs, less, DefaultLimits(),
			`the weights of 2 layers instead of the 3 of pairs; those of layer "bn"`},
		{"a layer more", pairs, more, DefaultLimits(),
			`more layers than the 3 of pairs; the first too many is "top"`},
		{"an array less", pairs, arrays, DefaultLimits(),
			`as layer "norm": layer "bn", a BatchNormalization, has 2 arrays of weights instead of 3`},
		{"another shape", pairs, shapes, DefaultLimits(),
			"a/kernel should be"},
		{"without a list", pairs, empty, DefaultLimits(), "no list of layers"},
		{"not HDF5", pairs, []byte("PK\x03\x04"), DefaultLimits(), "not an HDF5 file"},
		{"cut off", pairs, whole[:len(whole)-40], DefaultLimits(), "cannot be read"},
		{"too many values", pairs, whole, small, "more than 13 weights"},
		{"a layer that garb lacks", unknown, whole, DefaultLimits(), "ConvLSTM2D"},
		{"a model inside", nested, whole, DefaultLimits(), `layer "relu" is a model`},
	} {
		m, err := OpenWeights([]byte(c.description), "3.15.1", c.data, c.limits)
		if err == nil {
			_, err = m.Network(0)
		}
		var format *FormatError
		var layer *UnknownLayerError
		if !errors.As(err, &format) && !errors.As(err, &layer) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// Every description of package weights is a network that garb computes, with as many
// parameters as Keras says.
func TestDescribedApplications(t *testing.T) {
	table, err := os.ReadFile("../weights/applications.tsv")
	if err != nil {
		t.Fatal(err)
	}
	rows := strings.Split(strings.TrimSpace(string(table)), "\n")[1:]
	for _, row := range rows {
		cells := strings.Split(row, "\t")
		want, _ := strconv.Atoi(cells[2])
		side, _ := strconv.Atoi(cells[3])
		m, err := parseModel(unpacked(t, "../weights/applications/"+cells[0]+".json.gz"), "", 0, false)
		if err != nil {
			t.Fatal(err)
		}
		m.KerasVersion = "3.15.1"
		for _, l := range m.Layers {
			if names, _ := variableNames(l); len(names) > 0 && l.Class == "Normalization" {
				// Its statistics are in the file of weights.
				l.Config = bytes.Replace(l.Config, []byte(`"mean":null,"variance":null`),
					[]byte(`"mean":[1,2,3],"variance":[1,2,3]`), 1)
				want -= 2 * 3
			}
		}
		c, g, err := m.graph(0)
		if err != nil {
			t.Errorf("%s: %v", cells[0], err)
			continue
		}
		if shape := g.InputShape(); !slices.Equal(shape, []int{side, side, 3}) {
			t.Errorf("%s takes %v", cells[0], shape)
		}
		got := 0
		for _, p := range g.Params() {
			if c.parameters[p.Name].values == nil {
				got += product(p.Shape)
			}
		}
		if got != want {
			t.Errorf("%s has %d parameters, Keras %d", cells[0], got, want)
		}
	}
	if len(rows) < 34 {
		t.Errorf("%d networks", len(rows))
	}
}

func FuzzOpenWeights(f *testing.F) {
	f.Add(olderWeights(f, pairsStored()))
	f.Add(fixture(f, "small2.weights.h5"))
	limits := Limits{MaxBytes: 1 << 22, MaxConfigBytes: 1 << 20, MaxValues: 1 << 20}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := OpenWeights([]byte(pairs), "3.15.1", data, limits)
		if err != nil {
			var format *FormatError
			if !errors.As(err, &format) {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if _, err := m.Network(0); err != nil {
			checkNetworkError(t, err)
		}
	})
}
