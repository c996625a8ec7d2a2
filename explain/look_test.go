package explain

import (
	"context"
	"errors"
	"image"
	"image/png"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"garb/model"
	"garb/picture"
)

// TestColourMap checks that the colours get lighter, by the weights of sRGB's luminance.
func TestColourMap(t *testing.T) {
	luminance := func(i int) float64 {
		c := colourMap[i]
		return 0.2126*float64(c.R) + 0.7152*float64(c.G) + 0.0722*float64(c.B)
	}
	for i := 4; i < len(colourMap); i += 4 {
		if luminance(i) <= luminance(i-4) {
			t.Errorf("colour %d %v is no lighter than %d %v", i, colourMap[i], i-4, colourMap[i-4])
		}
	}
}

// TestOverlay checks that what speaks for a class is redder than the picture and, in a signed
// overlay, what speaks against it is bluer.
func TestOverlay(t *testing.T) {
	p := &picture.RGB{Width: 20, Height: 40, Pix: make([]uint8, 3*20*40)}
	for i := range p.Pix {
		p.Pix[i] = 100
	}
	spec := picture.Spec{Width: 8, Height: 8, Filter: picture.Nearest, Fit: picture.Stretch}
	o := Overlay{Map: &model.ActivationMap{Height: 2, Width: 1, Values: []float32{1, -2}}, Title: "trousers",
		Low: "against", High: "for"}
	for _, o.Signed = range []bool{false, true} {
		m := o.Draw(p, spec)
		x := m.Rect.Dx() / 2
		above, below := m.NRGBAAt(x, 20), m.NRGBAAt(x, overlaySide-20)
		if above.R < above.B+30 {
			t.Errorf("signed %v: above is %v", o.Signed, above)
		}
		if blue := below.B > below.R+30; blue != o.Signed {
			t.Errorf("signed %v: below is %v", o.Signed, below)
		}
	}
}

func TestDrawGrid(t *testing.T) {
	tile := Tile{image.NewNRGBA(image.Rect(5, 5, 25, 15)), []string{"größer als der Platz", "2"}}
	m := DrawGrid("", []Tile{tile, tile, tile}, 2)
	if want := image.Pt(gap+2*(20+gap), lineHeight+2*gap+2*(10+2*lineHeight+gap)); m.Rect.Max != want {
		t.Errorf("%v, want %v", m.Rect.Max, want)
	}
	if m := DrawGrid(strings.Repeat("long ", 1000), []Tile{tile}, 1); m.Rect.Dx() != widestTitle {
		t.Errorf("a long title makes a grid of %v", m.Rect)
	}
	for text, want := range map[string]string{"abcdefgh": "abc..", "abcde": "abcde", "": ""} {
		if got := truncate(text, 5*advance+1); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// corner is a model that sees only the upper right quarter of its input.
type corner struct {
	side int
	grey bool
}

func (c corner) Spec() picture.Spec {
	return picture.Spec{Width: c.side, Height: c.side, Filter: picture.Nearest, Fit: picture.Stretch, Grey: c.grey,
		Std: [3]float32{1, 1, 1}}
}
func (corner) Classes() []string { return []string{"a", "b"} }
func (c corner) Logits(ctx context.Context, inputs, logits []float32) error {
	side, size, channels := c.side, c.Spec().ValueCount(), c.Spec().Channels()
	for i := range len(inputs) / size {
		sum := float32(0)
		for y := range side / 2 {
			for x := side / 2; x < side; x++ {
				sum += inputs[i*size+(y*side+x)*channels] / 255
			}
		}
		logits[2*i], logits[2*i+1] = 16*sum/float32(side*side), 0
	}
	return ctx.Err()
}
func (corner) Predictions(logits []float32) []model.Prediction {
	m := model.Rank(logits)
	all := make([]model.Prediction, 2)
	for i, class := range m {
		all[i].Probability = 0.5 + float64(logits[class]-logits[1-class])/10
	}
	return all
}

func TestOcclusion(t *testing.T) {
	// A batch holds fewer of the large inputs.
	for _, c := range []corner{{28, false}, {28, true}, {616, false}} {
		white := make([]float32, c.Spec().ValueCount())
		for i := range white {
			white[i] = 255
		}
		done := 0
		maps, err := Occlusion(context.Background(), c, white, []int{0, 1}, func(n int) { done += n })
		if err != nil || done != Occlusions {
			t.Fatalf("%v after %d", err, done)
		}
		for i := range Occlusions {
			row, column := i/occlusionCells, i%occlusionCells
			inside := row <= 7 && column >= 6
			if fell := maps[0].Values[i] > 1e-4; fell != inside {
				t.Errorf("side %v, row %d, column %d: %v", c, row, column, maps[0].Values[i])
			}
			if d := maps[0].Values[i] + maps[1].Values[i]; d > 1e-5 || d < -1e-5 {
				t.Errorf("side %v, row %d, column %d: the two classes' changes do not sum to 0", c, row, column)
			}
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err := Occlusion(ctx, c, white, []int{0}, func(int) {}); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
	}
}

func TestNearest(t *testing.T) {
	if s := Similarity([]float32{1, 2}, []float32{2, 4}); s < 0.9999 {
		t.Error(s)
	}
	if s := Similarity([]float32{1, 0}, []float32{0, 3}); s != 0 {
		t.Error(s)
	}
	if s := Similarity([]float32{0, 0}, []float32{1, 1}); s != 0 {
		t.Error(s)
	}
	got := Nearest([]Neighbour{{"a", "", 0.1}, {"b", "", 0.9}, {"c", "", 0.9}, {"d", "", 0.5}}, 3)
	if len(got) != 3 || got[0].Path != "b" || got[1].Path != "c" || got[2].Path != "d" {
		t.Errorf("%v", got)
	}
}

// TestWritePage checks that the page holds its pictures and refers to nothing outside.
func TestWritePage(t *testing.T) {
	folder := t.TempDir()
	f, err := os.Create(filepath.Join(folder, "cam-a.png"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, image.NewNRGBA(image.Rect(0, 0, 2, 2))); err != nil {
		t.Fatal(err)
	}
	found := &Findings{
		Picture: "x/<b>.jpg", Model: "m",
		Predictions: []model.ListedPrediction{{Prediction: model.Prediction{Class: "a<i>", Probability: 0.5}}},
		Maps:        []MapFile{{File: "cam-a.png", Kind: KindCAM, Class: "a<i>", Height: 7, Width: 7}},
		Filters:     &FiltersFile{File: "cam-a.png", Layer: "stem", Shape: []int{3, 3, 3, 8}}, Stopped: true,
	}
	var page strings.Builder
	if err := WritePage(&page, folder, found); err != nil {
		t.Fatal(err)
	}
	text := page.String()
	if strings.Count(text, `src="data:image/png;base64,`) != 2 || strings.Contains(text, "http:") ||
		!strings.Contains(text, "stopped") {
		t.Error(text)
	}
	for _, no := range []string{"a<i></f", "<b>.jpg", "Grad-CAM weighs"} {
		if strings.Contains(text, no) {
			t.Errorf("the page has %q", no)
		}
	}
	found.Filters.File = "filters.png"
	if err := WritePage(&page, folder, found); !errors.Is(err, fs.ErrNotExist) {
		t.Error(err)
	}
}
