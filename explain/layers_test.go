package explain

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strings"
	"testing"

	"garb/backbone"
	"garb/model"
	"garb/nn"
	"garb/picture"
	"garb/tensor"
)

// newTestLayers returns the Layers of a network of the given layers, on inputs of 4 × 4
// pixels, with random weights.
func newTestLayers(t *testing.T, layers ...nn.Layer) *Layers {
	t.Helper()
	n := &nn.Network{Layers: append([]nn.Layer{{Op: nn.OpInput, Shape: []int{4, 4, 3}}}, layers...),
		Tensors: tensor.Map{}}
	g, err := nn.NewGraph(n.Layers)
	if err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(1, 2))
	for _, p := range g.Params() {
		values := make([]float32, tensor.Len(p.Shape))
		for i := range values {
			values[i] = float32(random.NormFloat64())
		}
		n.Tensors[p.Name] = tensor.FromSlice(values, p.Shape...)
	}
	l, err := NewLayers(n)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

var flat = []nn.Layer{
	{Op: nn.OpConv, Name: "edges", Inputs: []int{0}, Units: 2, Height: 3, Width: 3, Stride: 1, Same: true},
	{Op: nn.OpReLU, Inputs: []int{1}},
	{Op: nn.OpFlatten, Inputs: []int{2}},
	{Op: nn.OpDense, Name: "classes", Inputs: []int{3}, Units: 3, Bias: true},
}

func input(n int) []float32 {
	random := rand.New(rand.NewPCG(5, 6))
	values := make([]float32, n)
	for i := range values {
		values[i] = float32(random.NormFloat64())
	}
	return values
}

func TestNames(t *testing.T) {
	l := newTestLayers(t, flat...)
	if got := l.Names(); !slices.Equal(got, []string{"edges", "2-relu"}) {
		t.Errorf("%v", got)
	}
	for name, want := range map[string]int{"edges": 1, "1": 1, "2": 2, "2-relu": 2} {
		if got, err := l.Find(name); err != nil || got != want {
			t.Errorf("%s: %d, %v", name, got, err)
		}
	}
	for _, name := range []string{"corners", "classes", "0", "4", "99", "-1", ""} {
		var unknown *UnknownLayerError
		if _, err := l.Find(name); !errors.As(err, &unknown) || !strings.Contains(err.Error(), "edges, 2-relu") {
			t.Errorf("%q: %v", name, err)
		}
	}
	if got := l.Spread(); !slices.Equal(got, []int{2}) {
		t.Errorf("spread: %v", got)
	}
	shared := newTestLayers(t,
		nn.Layer{Op: nn.OpConv, Name: "twice", Inputs: []int{0}, Units: 3, Height: 1, Width: 1, Stride: 1},
		nn.Layer{Op: nn.OpConv, Name: "twice", Inputs: []int{1}, Units: 3, Height: 1, Width: 1, Stride: 1})
	if got := shared.Names(); !slices.Equal(got, []string{"twice", "2-conv"}) {
		t.Errorf("shared: %v", got)
	}
}

// TestSpread checks for every backbone that Spread chooses few layers, of falling sizes.
func TestSpread(t *testing.T) {
	for _, a := range backbone.All() {
		g := a.Features(a.Spec.Height, a.Spec.Width)
		l, err := NewLayers(&nn.Network{Layers: g.Layers()})
		if err != nil {
			t.Fatal(err)
		}
		chosen := l.Spread()
		if len(chosen) < 2 || len(chosen) > maxSpread || !slices.IsSorted(chosen) {
			t.Errorf("%s: %v", a.Name, chosen)
		}
		for k, i := range chosen[1:] {
			if before := l.shapes[chosen[k]][0]; l.shapes[i][0] > before || k > 0 && l.shapes[i][0] == before {
				t.Errorf("%s: layers %v have maps of %v", a.Name, chosen, l.shapes[i])
			}
		}
	}
}

// TestComputeMap compares a map with a naive convolution, and checks the order of channels.
func TestComputeMap(t *testing.T) {
	l := newTestLayers(t, flat...)
	x := input(48)
	m, err := l.ComputeMap(context.Background(), 2, x)
	if err != nil {
		t.Fatal(err)
	}
	kernel, _ := l.network.Tensors.Tensor("edges/kernel")
	want := make([]float64, 32)
	for place := range want {
		y, x0, f := place/8, place/2%4, place%2
		for i := range 3 {
			for j := range 3 {
				if py, px := y+i-1, x0+j-1; py >= 0 && py < 4 && px >= 0 && px < 4 {
					for c := range 3 {
						want[place] += float64(x[(py*4+px)*3+c]) * float64(kernel.Data[((i*3+j)*3+c)*2+f])
					}
				}
			}
		}
		if want[place] = max(want[place], 0); math.Abs(want[place]-float64(m.Values[place])) > 1e-5 {
			t.Errorf("value %d: %v, want %v", place, m.Values[place], want[place])
		}
	}
	if grid := m.DrawGrid(m.Strongest()); m.Layer != "2-relu" || grid.Rect.Dx() < 2*mapSide {
		t.Errorf("%s: %v", m.Layer, grid.Rect)
	}
	order := (&FeatureMap{Height: 2, Width: 1, Channels: 3, Values: []float32{9, 0, 1, 9, 1, 5}}).Strongest()
	if !slices.Equal(order, []int{2, 1, 0}) {
		t.Errorf("strongest: %v", order)
	}
	large := &FeatureMap{Height: 300, Width: 200, Channels: 1, Values: make([]float32, 60000)}
	if tile := large.drawChannel(0); tile.Rect.Dy() != largestTile {
		t.Errorf("a large map's tile is %v", tile.Rect)
	}
}

// photo returns the built-in classifier, the example picture, and the picture prepared for it.
func photo(t *testing.T) (*model.Classifier, *picture.RGB, []float32) {
	t.Helper()
	c, err := model.Default(model.Options{})
	if err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile("../examples/t-shirt.jpg")
	if err != nil {
		t.Fatal(err)
	}
	p, err := picture.Decode(context.Background(), data, picture.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	x := make([]float32, c.Spec().ValueCount())
	c.Spec().Tensor(p, x)
	return c, p, x
}

func TestDrawFilters(t *testing.T) {
	c, _, _ := photo(t)
	n, err := c.Network()
	if err != nil {
		t.Fatal(err)
	}
	l, err := NewLayers(n)
	if err != nil {
		t.Fatal(err)
	}
	m, name, shape := l.DrawFilters()
	if m == nil || name != "stem/conv" || !slices.Equal(shape, []int{3, 3, 3, 32}) {
		t.Errorf("filters of %s: %v", name, shape)
	}
}

// TestDrawFilter checks that zero is grey and that a positive weight is its channel's colour.
func TestDrawFilter(t *testing.T) {
	m := drawFilter([]float32{0, 0, 2, 0, -2, 0}, 1, 1, 2, 0)
	if c := m.NRGBAAt(0, 0); c.R != 127 || c.G != 255 || c.B != 0 || m.Rect.Dx() != filterSide {
		t.Errorf("%v, %v", c, m.Rect)
	}
	if c := drawFilter(make([]float32, 3), 1, 1, 1, 0).NRGBAAt(0, 0); c.R != 127 || c.G != 127 || c.B != 127 {
		t.Errorf("a filter of zeros is %v", c)
	}
	grey := newTestLayers(t, nn.Layer{Op: nn.OpGlobalAveragePool, Inputs: []int{0}})
	if m, _, _ := grey.DrawFilters(); m != nil {
		t.Error("a network without a convolution has filters")
	}
}
