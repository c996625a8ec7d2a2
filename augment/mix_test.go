package augment

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"

	"garb/dataset"
	"garb/picture"
)

// unitSpec returns a spec whose values are levels / 255.
func unitSpec(width, height int) picture.Spec {
	return picture.Spec{Width: width, Height: height, Filter: picture.Bilinear, Fit: picture.Stretch,
		Std: [3]float32{255, 255, 255}}
}

func mustViews(t testing.TB, c Config, s picture.Spec, train *dataset.Set, seed uint64) *Views {
	t.Helper()
	v, err := New(c, s, dataset.Training{Set: train}, seed, picture.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// makeBatch returns pictures whose values are all the picture's index, each of its own class.
func makeBatch(n, size int) (inputs, targets []float32) {
	targets = make([]float32, n*n)
	for i := range n {
		inputs = append(inputs, slices.Repeat([]float32{float32(i)}, size)...)
		targets[i*n+i] = 1
	}
	return inputs, targets
}

// TestMixTreatsTargetsAlike checks that targets are mixed in the same shares as pictures: each
// value of a picture is its index, and so the mean of its values must be the mean of its
// targets' classes.
func TestMixTreatsTargetsAlike(t *testing.T) {
	for name, c := range map[string]Config{"mixup": {Mixup: 0.8}, "cutmix": {CutMix: 1},
		"both": {Mixup: 0.2, CutMix: 1}} {
		t.Run(name, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				s := unitSpec(rapid.IntRange(1, 12).Draw(t, "width"), rapid.IntRange(1, 12).Draw(t, "height"))
				s.Grey = rapid.Bool().Draw(t, "grey")
				v, err := New(c, s, dataset.Training{}, rapid.Uint64().Draw(t, "seed"), picture.DefaultLimits())
				if err != nil {
					t.Fatal(err)
				}
				n, size := rapid.IntRange(0, 9).Draw(t, "n"), s.ValueCount()
				inputs, targets := makeBatch(n, size)
				epoch, step := rapid.IntRange(0, 100).Draw(t, "epoch"), rapid.IntRange(0, 100).Draw(t, "step")
				v.Mix(epoch, step, inputs, targets, max(n, 1))
				for i := range n {
					checkMixture(t, inputs[i*size:][:size], targets[i*n:][:n])
				}
			})
		})
	}
}

// checkMixture checks that targets are probabilities, and that the mean of their classes is
// that of the values.
func checkMixture(t *rapid.T, values, targets []float32) {
	sum, meanClass, meanValue := 0.0, 0.0, 0.0
	for class, p := range targets {
		sum += float64(p)
		meanClass += float64(class) * float64(p)
		if p < 0 {
			t.Fatalf("target %v", p)
		}
	}
	for _, value := range values {
		meanValue += float64(value) / float64(len(values))
	}
	if math.Abs(sum-1) > 1e-6 || math.Abs(meanClass-meanValue) > 1e-5 {
		t.Fatalf("targets sum to %v and have the mean %v; the values have the mean %v", sum, meanClass, meanValue)
	}
}

// TestMixDoesWhatIsOn checks that mixup makes new values, that cutmix makes pictures with the
// values of two, and that with both on each batch gets one of them.
func TestMixDoesWhatIsOn(t *testing.T) {
	for name, test := range map[string]struct {
		c             Config
		mixup, cutmix bool
	}{"mixup": {Config{Mixup: 1}, true, false}, "cutmix": {Config{CutMix: 1}, false, true},
		"both": {Config{Mixup: 1, CutMix: 1}, true, true}} {
		v := mustViews(t, test.c, unitSpec(10, 10), nil, 7)
		var mixup, cutmix bool
		for step := range 20 {
			const n, size = 8, 300
			inputs, targets := makeBatch(n, size)
			v.Mix(1, step, inputs, targets, n)
			var blended, patched bool
			for i := range n {
				values := inputs[i*size:][:size]
				for _, x := range values {
					blended = blended || x != float32(math.Trunc(float64(x)))
					patched = patched || x != values[0]
				}
			}
			if blended == patched {
				t.Errorf("%s, step %d: blended %v, patched %v", name, step, blended, patched)
			}
			mixup, cutmix = mixup || blended, cutmix || patched
		}
		if mixup != test.mixup || cutmix != test.cutmix {
			t.Errorf("%s: mixup came: %v; cutmix came: %v", name, mixup, cutmix)
		}
	}
}

func TestMixIsSeeded(t *testing.T) {
	v := mustViews(t, Config{Mixup: 1}, unitSpec(2, 2), nil, 7)
	mix := func(epoch, step int) []float32 {
		inputs, targets := makeBatch(8, 12)
		v.Mix(epoch, step, inputs, targets, 8)
		return inputs
	}
	if !slices.Equal(mix(3, 4), mix(3, 4)) {
		t.Error("the same batch is mixed differently")
	}
	if slices.Equal(mix(3, 4), mix(3, 5)) || slices.Equal(mix(3, 4), mix(4, 4)) {
		t.Error("another batch is mixed the same way")
	}
}

func TestMixOffDoesNothing(t *testing.T) {
	v := mustViews(t, Config{Zoom: 0.5}, unitSpec(2, 2), nil, 7)
	inputs, targets := makeBatch(4, 12)
	v.Mix(1, 1, inputs, targets, 4)
	if i, j := makeBatch(4, 12); !slices.Equal(inputs, i) || !slices.Equal(targets, j) {
		t.Error("a batch was mixed")
	}
}

func TestMixChecksLengths(t *testing.T) {
	v := mustViews(t, Config{Mixup: 1}, unitSpec(2, 2), nil, 7)
	for _, lengths := range [][3]int{{12, 3, 0}, {12, 3, 2}, {13, 3, 3}, {12, 6, 3}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic for %v", lengths)
				}
			}()
			v.Mix(0, 0, make([]float32, lengths[0]), make([]float32, lengths[1]), lengths[2])
		}()
	}
}

// TestDrawBeta checks the mean ½ and the variance 1/(8α+4) of Beta(α, α), within four standard
// errors of 20,000 draws.
func TestDrawBeta(t *testing.T) {
	for _, alpha := range []float64{minAlpha, 0.05, 0.2, 1, 3, 100} {
		r := rand.New(rand.NewPCG(1, 2))
		const n = 20_000
		sum, square, fourth := 0.0, 0.0, 0.0
		for range n {
			x := drawBeta(r, alpha)
			if !(x >= 0 && x <= 1) {
				t.Fatalf("α = %v: %v", alpha, x)
			}
			d := x - 0.5
			sum, square, fourth = sum+d, square+d*d, fourth+d*d*d*d
		}
		mean, variance, want := sum/n, square/n, 1/(8*alpha+4)
		if math.Abs(mean) > 4*math.Sqrt(want/n) {
			t.Errorf("α = %v: mean %v", alpha, 0.5+mean)
		}
		if math.Abs(variance-want) > 4*math.Sqrt((fourth/n-variance*variance)/n)+1e-9 {
			t.Errorf("α = %v: variance %v, want %v", alpha, variance, want)
		}
	}
}

func BenchmarkMix(b *testing.B) {
	for name, c := range map[string]Config{"mixup": {Mixup: 0.2}, "cutmix": {CutMix: 1}} {
		b.Run(name+"/32 of 224x224", func(b *testing.B) {
			v := mustViews(b, c, unitSpec(224, 224), nil, 1)
			inputs, targets := makeBatch(32, 3*224*224)
			for step := 0; b.Loop(); step++ {
				v.Mix(0, step, inputs, targets, 32)
			}
		})
	}
}
