package evaluate

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/png"
	"math"
	"slices"
	"testing"

	"garb/model"
	"garb/picture"
)

func encoded(t *testing.T, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// lopsided draws a picture that is far from its mirror image, and that image.
func lopsided(t *testing.T, side int) (plain, mirrored []byte) {
	t.Helper()
	a, b := image.NewRGBA(image.Rect(0, 0, side, side)), image.NewRGBA(image.Rect(0, 0, side, side))
	for y := range side {
		for x := range side {
			c := color.RGBA{uint8(x), uint8(x * y), uint8(255 - y), 255}
			a.Set(x, y, c)
			b.Set(side-1-x, y, c)
		}
	}
	return encoded(t, a), encoded(t, b)
}

// A class's probability is the mean of the picture's and its mirror image's, which the
// classifier itself gives here: the picture has the input's size, so that nothing is
// rounded on the way.
func TestFlipped(t *testing.T) {
	c, err := model.Open(model.Clothing, model.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	plain, mirrored := lopsided(t, c.Spec().Width)
	by := func(classifier Classifier, data []byte) map[string]model.Prediction {
		all, err := classifier.Classify(t.Context(), data)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.IsSortedFunc(all, func(a, b model.Prediction) int {
			return int(math.Copysign(1,
				b.Probability-a.Probability))
		}) {
			t.Errorf("not the most probable first: %+v", all)
		}
		m := map[string]model.Prediction{}
		for _, p := range all {
			m[p.Class] = p
		}
		return m
	}
	a, b, both, again := by(c, plain), by(c, mirrored), by(NewFlipped(c), plain), by(NewFlipped(c), mirrored)
	sum, differ := 0.0, 0.0
	for class, p := range both {
		if want := (a[class].Probability + b[class].Probability) / 2; math.Abs(p.Probability-want) > 1e-12 {
			t.Errorf("%s: %v, want %v", class, p.Probability, want)
		}
		if want := (a[class].Logit + b[class].Logit) / 2; math.Abs(float64(p.Logit-want)) > 1e-6 {
			t.Errorf("%s: logit %v, want %v", class, p.Logit, want)
		}
		if math.Abs(again[class].Probability-p.Probability) > 1e-12 {
			t.Errorf("%s: the mirror image has another answer", class)
		}
		sum += p.Probability
		differ = max(differ, math.Abs(a[class].Probability-b[class].Probability))
	}
	if math.Abs(sum-1) > 1e-9 || len(both) != 10 || differ < 1e-3 {
		t.Errorf("%d classes with a sum of %v; the two answers differ by %v", len(both), sum, differ)
	}
}

// ImageNet has classes of one name, which stay apart.
func TestFlippedImageNet(t *testing.T) {
	c, err := model.Open(model.ImageNet, model.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	plain, _ := lopsided(t, 300)
	all, err := NewFlipped(c).Classify(t.Context(), plain)
	if err != nil {
		t.Fatal(err)
	}
	seen, sum := map[int]bool{}, 0.0
	for _, p := range all {
		seen[p.Index] = true
		sum += p.Probability
	}
	if len(seen) != 1000 || math.Abs(sum-1) > 1e-9 {
		t.Errorf("%d classes with a sum of %v", len(seen), sum)
	}
}

func TestFlippedErrors(t *testing.T) {
	c, err := model.Open(model.Clothing, model.Options{Threads: 1})
	if err != nil {
		t.Fatal(err)
	}
	f := NewFlipped(c)
	if _, err := f.Classify(t.Context(), []byte("text")); !errors.Is(err, picture.ErrNotPicture) {
		t.Errorf("%v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	plain, _ := lopsided(t, 20)
	if _, err := f.Classify(ctx, plain); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	s := set(t, map[string]string{"hat/1": string(plain)})
	for _, test := range []struct {
		classifier Classifier
		tta        string
	}{{f, FlipTTA}, {c, ""}} {
		r, err := Run(t.Context(), test.classifier, s, picture.DefaultLimits(), nil)
		if err != nil || r.TTA != test.tta {
			t.Errorf("%v, test-time augmentation %q, want %q", err, r.TTA, test.tta)
		}
	}
}

func TestMirror(t *testing.T) {
	src := []float32{1, 2, 3, 4, 5, 6, 7, 8, 9 /* next row */, 11, 12, 13, 14, 15, 16, 17, 18, 19}
	dst := make([]float32, len(src))
	mirror(dst, src, 3, 3)
	if want := []float32{7, 8, 9, 4, 5, 6, 1, 2, 3, 17, 18, 19, 14, 15, 16, 11, 12, 13}; !slices.Equal(dst, want) {
		t.Errorf("%v", dst)
	}
	dst = dst[:6]
	mirror(dst, src[:6], 3, 1)
	if want := []float32{3, 2, 1, 6, 5, 4}; !slices.Equal(dst, want) {
		t.Errorf("grey: %v", dst)
	}
}
