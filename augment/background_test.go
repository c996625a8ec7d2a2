package augment

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"garb/dataset"
	"garb/picture"
)

// writePNG writes a PNG file whose left and right halves have one colour each.
func writePNG(t *testing.T, name string, left, right color.RGBA) string {
	t.Helper()
	const side = 40
	p := image.NewRGBA(image.Rect(0, 0, side, side))
	for i := range side * side {
		c := left
		if i%side >= side/2 {
			c = right
		}
		p.SetRGBA(i%side, i/side, c)
	}
	var b bytes.Buffer
	if err := png.Encode(&b, p); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestBackgrounds(t *testing.T) {
	white, black := color.RGBA{255, 255, 255, 255}, color.RGBA{0, 0, 0, 255}
	red, blue := color.RGBA{200, 0, 0, 255}, color.RGBA{0, 0, 200, 255}
	garment, mask := writePNG(t, "a.png", red, red), writePNG(t, "m.png", white, black)
	back := writePNG(t, "b.png", blue, blue)
	set := &dataset.Set{Samples: []dataset.Sample{{Path: garment}, {Path: garment}}}
	spec := picture.Spec{Width: 40, Height: 40, Filter: picture.Bilinear, Fit: picture.Stretch,
		Std: [3]float32{1, 1, 1}}
	view := func(share float64, index int) []float32 {
		v, err := New(Config{}, spec, dataset.Training{Set: set}, 1, picture.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		v.SetBackgrounds(Backgrounds{Paths: []string{back}, Masks: []string{mask, ""}, Share: share})
		dst := make([]float32, spec.ValueCount())
		if err := v.Load(t.Context(), 1, index, dst); err != nil {
			t.Fatal(err)
		}
		return dst
	}
	pixel := func(v []float32, x int) [3]float32 { at := 3 * (20*40 + x); return [3]float32(v[at : at+3]) }
	pasted := view(1, 0)
	if pixel(pasted, 5) != [3]float32{200, 0, 0} || pixel(pasted, 35) != [3]float32{0, 0, 200} {
		t.Errorf("garment %v, background %v", pixel(pasted, 5), pixel(pasted, 35))
	}
	if edge := pixel(pasted, 20); edge[0] == 0 || edge[2] == 0 {
		t.Errorf("the edge %v is hard", edge)
	}
	for name, v := range map[string][]float32{"share 0": view(0, 0), "no mask": view(1, 1)} {
		if pixel(v, 35) != [3]float32{200, 0, 0} {
			t.Errorf("%s: background %v", name, pixel(v, 35))
		}
	}
	if !slices.Equal(pasted, view(1, 0)) {
		t.Error("the same view differs")
	}
	// A third of the views, each drawn independently.
	count := 0
	for index := range 300 {
		if v := view(1.0/3, 2*index); pixel(v, 35) == [3]float32{0, 0, 200} {
			count++
		}
	}
	if count < 70 || count > 130 {
		t.Errorf("%d of 300 pictures got another background", count)
	}
}
