package augment

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"garb/picture"
)

func TestRotateQuarters(t *testing.T) {
	p := drawPattern(5, 3)
	pixel := func(p *picture.RGB, x, y int) []uint8 { return p.Pix[3*(y*p.Width+x):][:3] }
	for quarters, at := range []func(x, y int) (int, int){
		func(x, y int) (int, int) { return x, y },
		func(x, y int) (int, int) { return 2 - y, x }, // the top row becomes the right column
		func(x, y int) (int, int) { return 4 - x, 2 - y },
		func(x, y int) (int, int) { return y, 4 - x },
	} {
		got := rotateQuarters(p, quarters)
		if quarters%2 == 1 && (got.Width != 3 || got.Height != 5) {
			t.Fatalf("%d quarters: %d × %d", quarters, got.Width, got.Height)
		}
		for i := range 15 {
			x, y := at(i%5, i/5)
			if !slices.Equal(pixel(got, x, y), pixel(p, i%5, i/5)) {
				t.Errorf("%d quarters: pixel (%d, %d) is not at (%d, %d)", quarters, i%5, i/5, x, y)
			}
		}
		if back := rotateQuarters(got, 4-quarters); !slices.Equal(back.Pix, p.Pix) {
			t.Errorf("%d quarters and back give another picture", quarters)
		}
	}
}

// TestRotationComesBeforeTheCrop checks that a wide picture is rotated before it is cropped, so
// that its pixels fill a tall input without stretching.
func TestRotationComesBeforeTheCrop(t *testing.T) {
	set := writeTraining(t, [2]int{40, 20})
	spec := unitSpec(20, 40)
	spec.Fit = picture.Crop
	for epoch := range 30 {
		v := mustViews(t, Config{QuarterTurns: 1}, spec, set, 1)
		s := v.config.drawScene(v.stream(forScenes, epoch, 0), 20, 40)
		if s.quarters == 2 {
			continue
		}
		want := make([]float32, spec.ValueCount())
		spec.Tensor(rotateQuarters(drawPattern(40, 20), s.quarters), want)
		if !slices.Equal(load(t, v, epoch, 0), want) {
			t.Fatalf("epoch %d: not the picture's own pixels", epoch)
		}
	}
}

// TestScenesLeaveTheRest checks that views whose scene happens to change nothing have the same
// bits as views without scenes, including the noise of erased rectangles.
func TestScenesLeaveTheRest(t *testing.T) {
	set := writeTraining(t, [2]int{50, 40})
	plain := everything
	plain.QuarterTurns, plain.ZoomOut, plain.ShrinkMin, plain.BlurMax, plain.Noise = 0, 0, 0, 0, 0
	scened := plain
	scened.QuarterTurns, scened.ZoomOut, scened.ShrinkMin, scened.BlurMax, scened.Noise = 1e-300, 1.0001, 19, 1e-3,
		1e-6
	want, got := mustViews(t, plain, unitSpec(20, 24), set, 5), mustViews(t, scened, unitSpec(20, 24), set, 5)
	for epoch := range 40 {
		if !slices.Equal(load(t, got, epoch, 0), load(t, want, epoch, 0)) {
			// A thumbnail of 19 or 20 of 20 pixels is the only one that may show.
			if s := scened.drawScene(got.stream(forScenes, epoch, 0), 20, 24); s.thumbnail != 19 {
				t.Errorf("epoch %d differs", epoch)
			}
		}
	}
}

func TestPlace(t *testing.T) {
	spec := unitSpec(40, 30)
	corners := map[[2]int]bool{}
	for _, at := range []float64{0, 0.5, 0.999999} {
		s := scene{distance: 2, left: at, top: at, background: [3]uint8{1, 2, 3}}
		inner := s.shrinkSpec(spec)
		if inner.Width != 20 || inner.Height != 15 {
			t.Fatalf("%d × %d at twice the distance", inner.Width, inner.Height)
		}
		p := &picture.RGB{Width: 20, Height: 15, Pix: slices.Repeat([]uint8{200}, 3*20*15)}
		out := s.place(p, 40, 30)
		left, top, count := 40, 30, 0
		for i := range 40 * 30 {
			switch pixel := [3]uint8(out.Pix[3*i:]); pixel {
			case [3]uint8{200, 200, 200}:
				left, top, count = min(left, i%40), min(top, i/40), count+1
			case s.background:
			default:
				t.Fatalf("a pixel of %v", pixel)
			}
		}
		if count != 20*15 {
			t.Errorf("%d pixels of the picture, want %d", count, 20*15)
		}
		corners[[2]int{left, top}] = true
	}
	if !corners[[2]int{0, 0}] || !corners[[2]int{20, 15}] || len(corners) != 3 {
		t.Errorf("places %v", corners)
	}
	if (scene{}).shrinkSpec(spec) != spec {
		t.Error("without a distance a picture has another size")
	}
}

// TestApplyBlur checks that a line becomes a Gaussian of the given standard deviation with the
// same sum, and that a plain picture stays as it is, up to its edges.
func TestApplyBlur(t *testing.T) {
	for _, std := range []float64{0.5, 1, 2.5, 4} {
		const side = 41
		p := &picture.RGB{Width: side, Height: side, Pix: make([]uint8, 3*side*side)}
		for i := range side { // a line, whose profile is one Gaussian
			copy(p.Pix[3*(i*side+side/2):], []uint8{250, 250, 250})
		}
		got := applyBlur(p, std)
		sum, square := 0.0, 0.0
		for x := range side {
			v := float64(got.Pix[3*(20*side+x)+1])
			sum += v
			square += v * float64(x-side/2) * float64(x-side/2)
		}
		if measured := math.Sqrt(square / sum); math.Abs(measured-std) > 0.06*std+0.02 || math.Abs(sum-250) > 15 {
			t.Errorf("standard deviation %v: %.3f, light %v of 250", std, measured, sum)
		}
		down := rotateQuarters(applyBlur(rotateQuarters(p, 1), std), 3)
		if !slices.Equal(down.Pix, got.Pix) {
			t.Errorf("%v: a blur down is not a blur across", std)
		}
		plain := &picture.RGB{Width: 7, Height: 3, Pix: slices.Repeat([]uint8{9, 99, 255}, 21)}
		if !slices.Equal(applyBlur(plain, std).Pix, plain.Pix) {
			t.Errorf("%v: a plain picture changes", std)
		}
	}
}

func TestDegrade(t *testing.T) {
	grey := func() *picture.RGB {
		return &picture.RGB{Width: 60, Height: 50, Pix: slices.Repeat([]uint8{128}, 3*60*50)}
	}
	noisy := scene{noise: 20, levels: rand.New(rand.NewPCG(1, 2))}.degrade(grey(), picture.Bilinear)
	var values []float64
	for _, v := range noisy.Pix {
		values = append(values, float64(v))
	}
	if std := math.Sqrt(variance(values)); math.Abs(std-20) > 1 {
		t.Errorf("noise of %.2f levels, want 20", std)
	}
	// A board of single pixels: a thumbnail of half the size cannot hold it.
	board := grey()
	for i := range 60 * 50 {
		if (i%60+i/60)%2 == 0 {
			copy(board.Pix[3*i:], []uint8{255, 255, 255})
		}
	}
	small := scene{thumbnail: 25}.degrade(board, picture.Bilinear)
	values = values[:0]
	for _, v := range small.Pix {
		values = append(values, float64(v))
	}
	if small.Width != 60 || small.Height != 50 || variance(values) > 40 {
		t.Errorf("%d × %d, variance %v", small.Width, small.Height, variance(values))
	}
	if p := grey(); (scene{}).degrade(p, picture.Bilinear) != p {
		t.Error("a scene of nothing changes a picture")
	}
}

// TestRotatedPicturesHavePixels checks that a JPEG is decoded large enough for both orientations.
func TestRotatedPicturesHavePixels(t *testing.T) {
	for probability, want := range map[float64][2]int{0: {100, 200}, 0.5: {200, 200}} {
		v := mustViews(t, Config{QuarterTurns: probability}, unitSpec(100, 200), nil, 1)
		if got := [2]int{v.decoding.Width, v.decoding.Height}; got != want {
			t.Errorf("quarter turns %v: decoded for %v, want %v", probability, got, want)
		}
	}
}
