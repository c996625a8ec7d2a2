package augment

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"garb/dataset"
	"garb/picture"
)

// everything turns on every change.
var everything = Config{
	RotationRangeDegrees: 30, WidthShift: 10, HeightShift: 0.1, ShearDegrees: 10, Zoom: 0.1,
	HorizontalFlip: true, VerticalFlip: true, CropMin: 0.5, CropAspect: 4. / 3,
	Brightness: 0.2, Contrast: 0.2, Saturation: 0.2, Erasing: 0.5, Mixup: 0.2, CutMix: 1,
	QuarterTurns: 0.75, ZoomOut: 3, ShrinkMin: 8, BlurMax: 3, Noise: 25,
}

// asImage converts a picture for the encoders.
func asImage(p *picture.RGB) image.Image {
	m := image.NewNRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := 0; i < len(p.Pix); i += 3 {
		m.SetNRGBA(i/3%p.Width, i/3/p.Width, color.NRGBA{p.Pix[i], p.Pix[i+1], p.Pix[i+2], 255})
	}
	return m
}

// writeTraining writes a training set of pictures of the given sizes, as PNGs and JPEGs.
func writeTraining(t testing.TB, sizes ...[2]int) *dataset.Set {
	t.Helper()
	s := &dataset.Set{Folder: t.TempDir(), Classes: []string{"all"}}
	for i, size := range sizes {
		p, path := drawPattern(size[0], size[1]), filepath.Join(s.Folder, fmt.Sprint(i))
		var b bytes.Buffer
		err := png.Encode(&b, asImage(p))
		if i%2 == 1 {
			b.Reset()
			err = jpeg.Encode(&b, asImage(p), nil)
		}
		if err == nil {
			err = os.WriteFile(path, b.Bytes(), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		s.Samples = append(s.Samples, dataset.Sample{Path: path})
	}
	return s
}

func load(t testing.TB, v *Views, epoch, index int) []float32 {
	t.Helper()
	dst := make([]float32, v.spec.ValueCount())
	if err := v.Load(context.Background(), epoch, index, dst); err != nil {
		t.Fatal(err)
	}
	return dst
}

// TestNothingOnIsSpecLoad checks that without changes a view has the same bits as Spec.Load
// gives, and so it has if the smallest crop is the whole picture.
func TestNothingOnIsSpecLoad(t *testing.T) {
	set := writeTraining(t, [2]int{40, 60}, [2]int{700, 500}, [2]int{32, 32})
	for _, fit := range []picture.Fit{picture.Stretch, picture.Crop, picture.Letterbox} {
		s := picture.Spec{Width: 32, Height: 24, Filter: picture.Bicubic, Fit: fit, CropRatio: 0.9,
			Mean: [3]float32{1, 2, 3}, Std: [3]float32{4, 5, 6}}
		for _, c := range []Config{{}, {Mixup: 1}, {CropMin: 1}} {
			if c.CropMin > 0 && fit != picture.Stretch {
				continue
			}
			v := mustViews(t, c, s, set, 1)
			for i, sample := range set.Samples {
				data, err := sample.Read(picture.DefaultLimits())
				if err != nil {
					t.Fatal(err)
				}
				want := make([]float32, s.ValueCount())
				if _, err := s.Load(t.Context(), data, picture.DefaultLimits(), want); err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(load(t, v, 1, i), want) {
					t.Errorf("%v, %+v: picture %d differs", fit, c, i)
				}
			}
		}
	}
}

// TestViewsAreSeeded checks that the same seed gives the same bits for any number of workers
// and order of work, and that another seed, epoch or picture gives other bits.
func TestViewsAreSeeded(t *testing.T) {
	sizes := slices.Repeat([][2]int{{50, 40}}, 12)
	set := writeTraining(t, sizes...)
	want := loadInParallel(t, mustViews(t, everything, unitSpec(20, 24), set, 5), 1)
	for workers := 2; workers <= 4; workers++ {
		views := loadInParallel(t, mustViews(t, everything, unitSpec(20, 24), set, 5), workers)
		for i, view := range views {
			if !slices.Equal(view, want[i]) {
				t.Errorf("%d workers: view %d differs", workers, i)
			}
		}
	}
	all := append(want, loadInParallel(t, mustViews(t, everything, unitSpec(20, 24), set, 6), 1)...)
	for i, a := range all {
		// Samples with odd and with even indices hold the same picture in two formats.
		if slices.ContainsFunc(all[:i], func(b []float32) bool { return slices.Equal(a, b) }) {
			t.Errorf("view %d is the same as an earlier one", i)
		}
	}
}

// loadInParallel loads each sample in epochs 1 and 2 by several goroutines. An even number of
// them works backwards.
func loadInParallel(t *testing.T, v *Views, workers int) [][]float32 {
	views, next := make([][]float32, 2*len(v.set.Samples)), make(chan int)
	var wait sync.WaitGroup
	for range workers {
		wait.Go(func() {
			for i := range next {
				views[i] = make([]float32, v.spec.ValueCount())
				if err := v.Load(context.Background(), 1+i%2, i/2, views[i]); err != nil {
					t.Error(err)
				}
			}
		})
	}
	for i := range views {
		if workers%2 == 0 {
			i = len(views) - 1 - i
		}
		next <- i
	}
	close(next)
	wait.Wait()
	return views
}

func TestAnyConfigGivesPictures(t *testing.T) {
	set := writeTraining(t, [2]int{50, 40}, [2]int{1, 1}, [2]int{3, 200}, [2]int{900, 20})
	rapid.Check(t, func(t *rapid.T) {
		upTo := func(limit float64, name string) float64 { return rapid.Float64Range(0, limit).Draw(t, name) }
		flag := func(name string) bool { return rapid.Bool().Draw(t, name) }
		c := Config{
			RotationRangeDegrees: upTo(maxDegrees, "rotation"), ShearDegrees: upTo(maxShear, "shear"),
			WidthShift: upTo(50, "width shift"), HeightShift: upTo(1, "height shift"), Zoom: upTo(0.99, "zoom"),
			HorizontalFlip: flag("horizontal"), VerticalFlip: flag("vertical"),
			CropMin:    rapid.Float64Range(0.01, 1).Draw(t, "crop"),
			CropAspect: rapid.Float64Range(1, maxAspect).Draw(t, "aspect"),
			Brightness: upTo(1, "brightness"), Contrast: upTo(1, "contrast"), Saturation: upTo(1, "saturation"),
			Erasing: upTo(1, "erasing"), QuarterTurns: upTo(1, "quarter turns"),
			ZoomOut:   rapid.Float64Range(1, maxZoomOut).Draw(t, "zoom out"),
			ShrinkMin: rapid.IntRange(0, 50).Draw(t, "shrink"), BlurMax: upTo(maxBlur, "blur"),
			Noise: upTo(maxNoise, "noise"),
		}
		if flag("whole") {
			c.CropMin, c.CropAspect = 0, 0
		}
		s := unitSpec(rapid.IntRange(1, 40).Draw(t, "width"), rapid.IntRange(1, 40).Draw(t, "height"))
		s.Fit = rapid.SampledFrom([]picture.Fit{picture.Stretch, picture.Crop, picture.Letterbox}).Draw(t, "fit")
		v, err := New(c, s, dataset.Training{Set: set}, rapid.Uint64().Draw(t, "seed"), picture.DefaultLimits())
		if err != nil {
			t.Fatal(err)
		}
		dst := slices.Repeat([]float32{float32(math.NaN())}, s.ValueCount())
		if err := v.Load(context.Background(), rapid.IntRange(0, 1000).Draw(t, "epoch"),
			rapid.IntRange(0, 3).Draw(t, "index"), dst); err != nil {
			t.Fatal(err)
		}
		for i, x := range dst {
			if !(x >= 0 && x <= 1) {
				t.Fatalf("value %d is %v", i, x)
			}
		}
	})
}

// mapPixels returns the levels of p after each pixel is replaced by the one at from(x, y), or
// by the nearest pixel inside p.
func mapPixels(p *picture.RGB, from func(x, y int) (int, int)) []uint8 {
	var pix []uint8
	for i := range p.Width * p.Height {
		x, y := from(i%p.Width, i/p.Width)
		x, y = min(max(x, 0), p.Width-1), min(max(y, 0), p.Height-1)
		pix = append(pix, p.Pix[3*(y*p.Width+x):][:3]...)
	}
	return pix
}

// TestMovedPixels turns on one change at a time that only moves pixels, and checks that forty
// views of a picture of the input's size show all possible results and nothing else.
func TestMovedPixels(t *testing.T) {
	set := writeTraining(t, [2]int{24, 20})
	p := drawPattern(24, 20)
	across := mapPixels(p, func(x, y int) (int, int) { return p.Width - 1 - x, y })
	down := mapPixels(p, func(x, y int) (int, int) { return x, p.Height - 1 - y })
	shifted := func(stepX, stepY int) (all [][]uint8) {
		for n := -2; n <= 2; n++ {
			all = append(all, mapPixels(p, func(x, y int) (int, int) { return x + n*stepX, y + n*stepY }))
		}
		return all
	}
	for name, test := range map[string]struct {
		c    Config
		want [][]uint8
	}{
		"horizontal flip": {Config{HorizontalFlip: true}, [][]uint8{p.Pix, across}},
		"vertical flip":   {Config{VerticalFlip: true}, [][]uint8{p.Pix, down}},
		"width shift":     {Config{WidthShift: 3}, shifted(1, 0)},
		"height shift":    {Config{HeightShift: 3}, shifted(0, 1)},
	} {
		found := map[int]bool{}
		for _, view := range loadLevels(t, test.c, set, 40) {
			i := slices.IndexFunc(test.want, func(w []uint8) bool { return slices.Equal(w, view) })
			found[i] = true
		}
		if found[-1] || len(found) != len(test.want) {
			t.Errorf("%s: of %d possible views found %v (-1 is another)", name, len(test.want), found)
		}
	}
}

func TestErasingIsRandom(t *testing.T) {
	set := writeTraining(t, [2]int{24, 20})
	p := drawPattern(24, 20)
	same := 0
	for _, view := range loadLevels(t, Config{Erasing: 0.5}, set, 200) {
		if slices.Equal(view, p.Pix) {
			same++
		}
	}
	if same < 72 || same > 128 { // four standard deviations
		t.Errorf("with erasing at 0.5, %d of 200 views are whole", same)
	}
}

// TestAffineChanges checks the matrix of each affine change, and that it and the colours' factors
// nearly reach their limits and never exceed them.
func TestAffineChanges(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	near := func(x, y float64) bool { return math.Abs(x-y) < 1e-9 }
	largest := map[string]float64{} // as a share of the limit
	for range 1000 {
		a := Config{RotationRangeDegrees: 30}.drawChanges(r, 24, 20).affine
		if !near(a.xx, a.yy) || !near(a.xy, -a.yx) || !near(a.xx*a.xx+a.yx*a.yx, 1) {
			t.Fatalf("rotation: %+v", a)
		}
		largest["rotation"] = max(largest["rotation"], math.Abs(math.Asin(a.yx))*180/math.Pi/30)
		a = Config{ShearDegrees: 20}.drawChanges(r, 24, 20).affine
		if !near(a.xx, 1) || !near(a.yx, 0) || !near(a.xy*a.xy+a.yy*a.yy, 1) {
			t.Fatalf("shear: %+v", a)
		}
		largest["shear"] = max(largest["shear"], math.Abs(math.Asin(a.xy))*180/math.Pi/20)
		a = Config{Zoom: 0.2}.drawChanges(r, 24, 20).affine
		if a.xy != 0 || a.yx != 0 || near(a.xx, a.yy) {
			t.Fatalf("zoom: %+v", a)
		}
		largest["zoom across"] = max(largest["zoom across"], math.Abs(a.xx-1)/0.2)
		largest["zoom down"] = max(largest["zoom down"], math.Abs(a.yy-1)/0.2)
		d := Config{Brightness: 0.2}.drawChanges(r, 24, 20)
		largest["brightness"] = max(largest["brightness"], math.Abs(d.brightness-1)/0.2)
		d = Config{Contrast: 0.3}.drawChanges(r, 24, 20)
		largest["contrast"] = max(largest["contrast"], math.Abs(d.contrast-1)/0.3)
		d = Config{Saturation: 0.4}.drawChanges(r, 24, 20)
		largest["saturation"] = max(largest["saturation"], math.Abs(d.saturation-1)/0.4)
	}
	for name, v := range largest {
		if v > 1+1e-9 || v < 0.99 {
			t.Errorf("%s reaches %.3f of its limit", name, v)
		}
	}
}

// TestChangesReachThePicture checks that affine changes and colours make each view different.
func TestChangesReachThePicture(t *testing.T) {
	set := writeTraining(t, [2]int{24, 20})
	p := drawPattern(24, 20)
	for name, c := range map[string]Config{
		"rotation": {RotationRangeDegrees: 30}, "shear": {ShearDegrees: 20}, "zoom": {Zoom: 0.2},
		"brightness": {Brightness: 0.2}, "contrast": {Contrast: 0.3}, "saturation": {Saturation: 0.4},
	} {
		views := loadLevels(t, c, set, 10)
		for i, view := range views {
			if slices.Equal(view, p.Pix) || slices.Equal(view, views[(i+1)%len(views)]) {
				t.Errorf("%s: view %d is not new", name, i)
			}
		}
	}
}

// loadLevels returns views of the first picture, at 24 × 20, in epochs 0 to count−1.
func loadLevels(t *testing.T, c Config, set *dataset.Set, count int) [][]uint8 {
	t.Helper()
	v := mustViews(t, c, unitSpec(24, 20), set, 1)
	views := make([][]uint8, count)
	for epoch := range views {
		for _, x := range load(t, v, epoch, 0) {
			views[epoch] = append(views[epoch], uint8(math.Round(float64(x)*255)))
		}
	}
	return views
}

// TestCrops checks that random crops lie in the picture, have areas and aspect ratios within
// the limits, and reach every edge.
func TestCrops(t *testing.T) {
	for _, test := range []struct {
		fit           picture.Fit
		width, height int
		baseWidth     float64
		baseHeight    float64
	}{
		{picture.Stretch, 4000, 5330, 4000, 5330},
		{picture.Crop, 4000, 5330, 4000, 4000},
		{picture.Letterbox, 5330, 4000, 4000, 4000},
	} {
		s := unitSpec(224, 224)
		s.Fit = test.fit
		c := Config{CropMin: 0.65, CropAspect: 4. / 3}
		r := rand.New(rand.NewPCG(1, 2))
		least, most := [2]float64{1, 2}, [2]float64{0, 0} // of area and aspect
		var edges [4]bool
		// A crop can have nearly all of the area and another aspect ratio if the picture is wider
		// or higher than the largest crop.
		largeAndOdd := false
		for range 2000 {
			d := c.drawChanges(r, 224, 224)
			left, top, width, height := d.crop.bounds(test.width, test.height, s)
			if left < 0 || top < 0 || left+width > test.width || top+height > test.height {
				t.Fatalf("%s: %d × %d at (%d, %d)", test.fit, width, height, left, top)
			}
			w, h := float64(width)/test.baseWidth, float64(height)/test.baseHeight
			for i, v := range []float64{w * h, w / h} {
				least[i], most[i] = min(least[i], v), max(most[i], v)
			}
			largeAndOdd = largeAndOdd || w*h > 0.95 && (w/h < 0.9 || w/h > 1.1)
			for i, at := range []bool{left < 100, top < 100, left+width > test.width-100,
				top+height > test.height-100} {
				edges[i] = edges[i] || at
			}
		}
		const slack = 0.01 // of rounding to pixels, and of ends that 2000 draws do not reach
		if least[0] < 0.65-slack || least[0] > 0.66 || most[0] > 1+slack || most[0] < 0.98 ||
			least[1] < 0.75-slack || least[1] > 0.77 || most[1] > 4./3+slack || most[1] < 1.3 ||
			edges != [4]bool{true, true, true, true} {
			t.Errorf("%s: areas %.3f to %.3f, aspects %.3f to %.3f, edges %v", test.fit, least[0], most[0], least[1],
				most[1], edges)
		}
		if largeAndOdd != (test.fit != picture.Stretch) {
			t.Errorf("%s: parts of another shape and nearly all of the area: %v", test.fit, largeAndOdd)
		}
	}
}

// TestCropsHavePixels checks that a large JPEG is decoded large enough for the smallest crop.
func TestCropsHavePixels(t *testing.T) {
	set := writeTraining(t, [2]int{1, 1}, [2]int{1600, 1200})
	v := mustViews(t, Config{CropMin: 0.1}, unitSpec(50, 50), set, 1)
	data, err := set.Samples[1].Read(picture.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	whole, _, err := v.spec.Decode(t.Context(), data, v.limits)
	if err != nil {
		t.Fatal(err)
	}
	p, _, err := v.decoding.Decode(t.Context(), data, v.limits)
	if err != nil {
		t.Fatal(err)
	}
	// For the whole 50 · 1.5 pixels a side are enough, which 1/8 has; for parts of √0.1
	// of the sides 3.2 times that, which only 1/4 has.
	if whole.Width != 200 || p.Width != 400 {
		t.Errorf("%d columns for the whole picture, %d for parts of it", whole.Width, p.Width)
	}
}

// TestShifts checks that limits mean the same as in Keras.
func TestShifts(t *testing.T) {
	for _, test := range []struct {
		limit       float64
		side        int
		least, most float64
		whole       bool
	}{
		{0.1, 200, -20, 20, false}, {10, 200, -9, 9, true}, {2, 200, -1, 1, true}, {1, 200, -1, 1, false},
		{2.5, 200, -2.5, 2.5, false},
	} {
		least, most, fraction := math.Inf(1), math.Inf(-1), false
		counts := map[float64]int{}
		for i := range 1000 {
			v := drawShift(test.limit, test.side, (float64(i)+0.5)/1000)
			least, most = min(least, v), max(most, v)
			fraction = fraction || v != math.Trunc(v)
			counts[v]++
		}
		if math.Abs(least-test.least) > 0.05 || math.Abs(most-test.most) > 0.05 || fraction == test.whole {
			t.Errorf("%v: from %v to %v", test.limit, least, most)
		}
		// With a whole number as limit, 0 is drawn with both signs.
		if test.limit == 10 && (counts[0] != 100 || counts[-9] != 50 || counts[4] != 50) {
			t.Errorf("%v", counts)
		}
	}
}

// TestStreamsAreUnrelated checks that the numbers at one place of neighbouring streams are as
// uniform and uncorrelated as those of one stream.
func TestStreamsAreUnrelated(t *testing.T) {
	v := mustViews(t, Config{}, unitSpec(4, 4), nil, 3)
	for name, stream := range map[string]func(i int) *rand.Rand{
		"pictures": func(i int) *rand.Rand { return v.stream(forPictures, 1, i) },
		"epochs":   func(i int) *rand.Rand { return v.stream(forPictures, i, 1) },
		"batches":  func(i int) *rand.Rand { return v.stream(forBatches, 1, i) },
	} {
		const n = 4000
		for place := range 3 {
			mean, product, last := 0.0, 0.0, 0.0
			for i := range n {
				r := stream(i)
				for range place {
					r.Float64()
				}
				x := r.Float64() - 0.5
				mean, product, last = mean+x/n, product+x*last/n, x
			}
			// Four standard errors: 1/√12 and 1/12, over √n.
			if math.Abs(mean) > 4*0.289/math.Sqrt(n) || math.Abs(product) > 4/12./math.Sqrt(n) {
				t.Errorf("%s, number %d: mean %v, covariance of neighbours %v", name, place, mean, product)
			}
		}
	}
}

func TestColour(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		p := drawPattern(rapid.IntRange(1, 9).Draw(t, "width"), rapid.IntRange(1, 9).Draw(t, "height"))
		factor := func(name string) float64 { return rapid.Float64Range(0, 2).Draw(t, name) }
		b, c, s := factor("brightness"), factor("contrast"), factor("saturation")
		got := clone(p)
		changeColours(got, b, c, s)
		// One after the other, in float64 and without rounding.
		lumaOf := func(v []float64) float64 { return 0.299*v[0] + 0.587*v[1] + 0.114*v[2] }
		mean, levels := 0.0, make([]float64, len(p.Pix))
		for i, v := range p.Pix {
			levels[i] = b * float64(v)
		}
		for i := 0; i < len(levels); i += 3 {
			mean += lumaOf(levels[i:]) / float64(len(levels)/3)
		}
		for i, v := range levels {
			levels[i] = mean + c*(v-mean)
		}
		for i := 0; i < len(levels); i += 3 {
			l := lumaOf(levels[i:])
			for k := range 3 {
				want := min(max(l+s*(levels[i+k]-l), 0), 255)
				if math.Abs(float64(got.Pix[i+k])-want) > 0.501 {
					t.Fatalf("level %d is %d, want %.3f", i+k, got.Pix[i+k], want)
				}
			}
		}
	})
}

func TestErase(t *testing.T) {
	const side = 200
	r := rand.New(rand.NewPCG(1, 2))
	least, most := 1.0, 0.0
	for range 300 {
		d := Config{Erasing: 1}.drawChanges(r, side, side)
		if !d.erase {
			t.Fatal("nothing is erased")
		}
		p := &picture.RGB{Width: side, Height: side, Pix: make([]uint8, 3*side*side)}
		d.erased.erase(p)
		left, top, right, bottom, count := side, side, 0, 0, 0
		for i := range side * side {
			if pixel := p.Pix[3*i : 3*i+3]; pixel[0]|pixel[1]|pixel[2] != 0 {
				x, y := i%side, i/side
				left, top, right, bottom, count = min(left, x), min(top, y), max(right, x+1), max(bottom, y+1), count+1
			}
		}
		// One pixel of noise in 2²⁴ is black.
		if area := (right - left) * (bottom - top); count < area-2 {
			t.Fatalf("%d of %d pixels of the rectangle changed", count, area)
		}
		share := float64(count) / (side * side)
		least, most = min(least, share), max(most, share)
	}
	if least < minErased*0.95 || least > 0.03 || most > maxErased*1.05 || most < 0.18 {
		t.Errorf("rectangles of %.3f to %.3f of the area", least, most)
	}
}

func TestValidate(t *testing.T) {
	for _, c := range []Config{{}, everything, {CropMin: 1}, {WidthShift: 0.2, Zoom: 0.5}} {
		if err := c.Validate(); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if (Config{}).Enabled() || !(Config{CutMix: 1}).Enabled() || !everything.Enabled() {
		t.Error("Enabled")
	}
	for word, c := range map[string]Config{
		"rotation": {RotationRangeDegrees: 181}, "width": {WidthShift: -1}, "height": {HeightShift: math.Inf(1)},
		"shear": {ShearDegrees: 90}, "zoom": {Zoom: 1},
		"crop": {CropMin: 1.1}, "0.01": {CropMin: 0.001}, "needs": {CropAspect: 1.3},
		"crop aspect": {CropMin: 0.5, CropAspect: 0.7},
		"brightness":  {Brightness: math.NaN()}, "contrast": {Contrast: 2}, "saturation": {Saturation: -0.1},
		"erasing": {Erasing: 1.5}, "mixup": {Mixup: -1}, "cutmix": {CutMix: 1e-9},
		"quarter": {QuarterTurns: 1.1}, "zoom out": {ZoomOut: 11}, "1 or more": {ZoomOut: 0.5},
		"thumbnail": {ShrinkMin: -1}, "blur": {BlurMax: 17}, "noise": {Noise: math.NaN()},
	} {
		if err := c.Validate(); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%+v: %v", c, err)
		}
		if _, err := New(c, unitSpec(4, 4), dataset.Training{}, 1, picture.DefaultLimits()); err == nil {
			t.Errorf("%+v: New gave no error", c)
		}
	}
	if _, err := New(Config{}, picture.Spec{}, dataset.Training{}, 1, picture.DefaultLimits()); err == nil {
		t.Error("no error for a spec without a size")
	}
}

func TestLoadSaysWhatIsWrong(t *testing.T) {
	set := writeTraining(t, [2]int{5, 5}, [2]int{5, 5}, [2]int{5, 5})
	if err := os.WriteFile(set.Samples[1].Path, []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(set.Samples[2].Path); err != nil {
		t.Fatal(err)
	}
	v := mustViews(t, everything, unitSpec(4, 4), set, 1)
	dst := make([]float32, 48)
	if err := v.Load(t.Context(), 0, 1, dst); !errors.Is(err, picture.ErrNotPicture) ||
		!strings.Contains(err.Error(), set.Samples[1].Path) {
		t.Error(err)
	}
	if err := v.Load(t.Context(), 0, 2, dst); !errors.Is(err, os.ErrNotExist) ||
		!strings.Contains(err.Error(), set.Samples[2].Path) {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := v.Load(ctx, 0, 0, dst); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

func BenchmarkApply(b *testing.B) {
	for _, test := range []struct {
		name string
		c    Config
	}{
		{"flip", Config{HorizontalFlip: true}},
		{"affine", Config{RotationRangeDegrees: 30, WidthShift: 10, HeightShift: 10, ShearDegrees: 10, Zoom: 0.1,
			HorizontalFlip: true}},
		{"colour", Config{Brightness: 0.2, Contrast: 0.2, Saturation: 0.2}},
		{"erasing", Config{Erasing: 1}},
		{"everything", everything},
	} {
		b.Run(test.name, func(b *testing.B) {
			p, r := drawPattern(224, 224), rand.New(rand.NewPCG(1, 2))
			for b.Loop() {
				d := test.c.drawChanges(r, 224, 224)
				d.apply(p, picture.Bilinear)
			}
		})
	}
}

// BenchmarkLoad is the whole way of a picture of the data set's size.
func BenchmarkLoad(b *testing.B) {
	set := writeTraining(b, [2]int{1, 1}, [2]int{400, 533})
	s := unitSpec(224, 224)
	s.Filter = picture.Bicubic
	for _, test := range []struct {
		name string
		c    Config
	}{{"nothing", Config{}}, {"everything", everything}} {
		b.Run(test.name, func(b *testing.B) {
			v := mustViews(b, test.c, s, set, 1)
			dst := make([]float32, s.ValueCount())
			for epoch := 0; b.Loop(); epoch++ {
				if err := v.Load(b.Context(), epoch, 1, dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
