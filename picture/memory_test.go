package picture

import (
	"context"
	"slices"
	"testing"
)

// TestLoadReusesMemory loads pictures of several sizes in turn, so that they lie in the memory of others,
// and compares them with the same pictures in memory of their own.
func TestLoadReusesMemory(t *testing.T) {
	var files [][]byte
	for _, size := range [][2]int{{90, 70}, {30, 20}, {64, 48}} {
		p := newRGB(size[0], size[1])
		for i := range p.Pix {
			p.Pix[i] = uint8(i * i / size[0])
		}
		files = append(files, encodeJPEG(t, p))
	}
	files = append(files, read(t, "testdata/orientation6.jpg"), read(t, "testdata/bits16.png"))
	grey := unit(40, 30, Bicubic, Stretch)
	grey.Grey = true
	for _, s := range []Spec{
		unit(40, 30, Bicubic, Stretch), unit(90, 70, Bilinear, Stretch), unit(31, 47, Nearest, Crop),
		unit(47, 31, Bilinear, Letterbox), grey,
	} {
		for range 2 {
			for i, data := range files {
				p, _, err := s.Decode(context.Background(), data, DefaultLimits())
				if err != nil {
					t.Fatal(err)
				}
				resized := s.Resize(p)
				var want []float32
				for at := 0; at < len(resized.Pix); at += 3 / s.Channels() {
					want = append(want, (float32(resized.Pix[at])-s.Mean[0])/s.Std[0])
				}
				got := make([]float32, s.ValueCount())
				if _, err := s.Load(context.Background(), data, DefaultLimits(), got); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(got, want) {
					t.Errorf("%+v, picture %d: other values in used memory", s, i)
				}
			}
		}
	}
}

func TestLargeMemoryIsNotKept(t *testing.T) {
	var p pixPool
	large := make([]uint8, 9<<20)
	p.put(&large)
	if got := p.take(); len(*got) != 0 {
		t.Errorf("%d bytes are kept", len(*got))
	}
}

// TestWeightsAreFound asks for more weights than are kept, and for weights that differ in one property.
func TestWeightsAreFound(t *testing.T) {
	var c weightsCache
	for range 2 {
		for in := 20; in < 34; in += 3 {
			for _, out := range []int{9, 10} {
				for _, filter := range []Filter{Bilinear, Bicubic} {
					got, want := c.find(in, out, filter), newWeights(in, out, filter)
					if !slices.Equal(got.values, want.values) || !slices.Equal(got.first, want.first) {
						t.Errorf("%d to %d, %s: other weights", in, out, filter)
					}
					if c.find(in, out, filter) != got {
						t.Errorf("%d to %d, %s: not kept", in, out, filter)
					}
				}
			}
		}
	}
	for _, sides := range [][2]int{{maxKeptSide + 1, 5}, {5, maxKeptSide + 1}} {
		before := c.kept
		if c.find(sides[0], sides[1], Bilinear); c.kept != before {
			t.Errorf("weights for %d to %d are kept", sides[0], sides[1])
		}
	}
}
