package augment

import (
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"garb/dataset"
	"garb/picture"
)

// settingTests has a test for each field of Config, which fails if the field has no effect or a
// wrong one.
var settingTests = map[string]func(*testing.T){
	"RotationRangeDegrees": func(t *testing.T) {
		checkSigned(t, Config{RotationRangeDegrees: 30}, "angle", 30,
			func(d changes) float64 { return math.Atan2(d.affine.yx, d.affine.xx) * 180 / math.Pi })
		checkViewsChange(t, Config{RotationRangeDegrees: 30})
	},
	"WidthShift": func(t *testing.T) {
		checkSigned(t, Config{WidthShift: 0.25}, "shift across", 0.25*drawnWidth,
			func(d changes) float64 { return d.affine.x0 })
		checkSigned(t, Config{WidthShift: 1.5}, "shift across", 1.5, func(d changes) float64 { return d.affine.x0 })
		checkSigned(t, Config{WidthShift: 0.25}, "shift down", 0, func(d changes) float64 { return d.affine.y0 })
		checkViewsChange(t, Config{WidthShift: 0.25})
	},
	"HeightShift": func(t *testing.T) {
		checkSigned(t, Config{HeightShift: 0.25}, "shift down", 0.25*drawnHeight,
			func(d changes) float64 { return d.affine.y0 })
		checkSigned(t, Config{HeightShift: 1.5}, "shift down", 1.5, func(d changes) float64 { return d.affine.y0 })
		checkSigned(t, Config{HeightShift: 0.25}, "shift across", 0, func(d changes) float64 { return d.affine.x0 })
		checkViewsChange(t, Config{HeightShift: 0.25})
	},
	"ShearDegrees": func(t *testing.T) {
		checkSigned(t, Config{ShearDegrees: 20}, "shear", 20, func(d changes) float64 {
			return -math.Atan2(d.affine.xy, d.affine.yy) * 180 / math.Pi
		})
		checkViewsChange(t, Config{ShearDegrees: 20})
	},
	"Zoom": func(t *testing.T) {
		across := func(d changes) float64 { return d.affine.xx - 1 }
		down := func(d changes) float64 { return d.affine.yy - 1 }
		checkSigned(t, Config{Zoom: 0.2}, "zoom across", 0.2, across)
		checkSigned(t, Config{Zoom: 0.2}, "zoom down", 0.2, down)
		together := 0
		for _, d := range drawMany(Config{Zoom: 0.2}) {
			if (across(d) > 0) == (down(d) > 0) {
				together++
			}
		}
		checkHalf(t, "zooms that go the same way across and down", together)
		checkViewsChange(t, Config{Zoom: 0.2})
	},
	"HorizontalFlip": func(t *testing.T) {
		checkFlips(t, Config{HorizontalFlip: true}, func(d changes) bool { return d.flipAcross },
			func(d changes) bool { return d.flipDown })
		checkViewsChange(t, Config{HorizontalFlip: true})
	},
	"VerticalFlip": func(t *testing.T) {
		checkFlips(t, Config{VerticalFlip: true}, func(d changes) bool { return d.flipDown },
			func(d changes) bool { return d.flipAcross })
		checkViewsChange(t, Config{VerticalFlip: true})
	},
	"CropMin": func(t *testing.T) {
		least, most := findRange(Config{CropMin: 0.3}, func(d changes) float64 { return d.crop.area })
		if math.Abs(least-0.3) > 0.01 || math.Abs(most-1) > 0.01 {
			t.Errorf("areas of %.3f to %.3f of the picture, want 0.3 to 1", least, most)
		}
		for _, d := range drawMany(Config{CropMin: 0.3}) {
			if _, _, width, height := d.crop.bounds(1000, 1000, unitSpec(drawnWidth, drawnHeight)); width != height {
				t.Fatalf("without an aspect a part of %d × %d", width, height)
			}
		}
		checkViewsChange(t, Config{CropMin: 0.3})
	},
	"CropAspect": func(t *testing.T) {
		c := Config{CropMin: 0.25, CropAspect: 2}
		checkSigned(t, c, "logarithm of the aspect", math.Log(2), func(d changes) float64 {
			_, _, width, height := d.crop.bounds(100_000, 100_000, unitSpec(10, 10))
			return math.Log(float64(width) / float64(height))
		})
		checkViewsChange(t, c)
	},
	"Brightness": func(t *testing.T) {
		checkSigned(t, Config{Brightness: 0.4}, "brightness", 0.4, func(d changes) float64 { return d.brightness - 1 })
		checkSigned(t, Config{Brightness: 0.4}, "contrast and saturation", 0,
			func(d changes) float64 { return d.contrast*d.saturation - 1 })
		checkViewsChange(t, Config{Brightness: 0.4})
	},
	"Contrast": func(t *testing.T) {
		checkSigned(t, Config{Contrast: 0.4}, "contrast", 0.4, func(d changes) float64 { return d.contrast - 1 })
		checkSigned(t, Config{Contrast: 0.4}, "brightness and saturation", 0,
			func(d changes) float64 { return d.brightness*d.saturation - 1 })
		checkViewsChange(t, Config{Contrast: 0.4})
	},
	"Saturation": func(t *testing.T) {
		checkSigned(t, Config{Saturation: 0.4}, "saturation", 0.4, func(d changes) float64 { return d.saturation - 1 })
		checkSigned(t, Config{Saturation: 0.4}, "brightness and contrast", 0,
			func(d changes) float64 { return d.brightness*d.contrast - 1 })
		checkViewsChange(t, Config{Saturation: 0.4})
	},
	"Erasing": func(t *testing.T) {
		for _, probability := range []float64{0, 0.2, 1} {
			erased, taller := 0, 0
			for _, d := range drawMany(Config{Erasing: probability}) {
				if d.erase {
					erased++
				}
				if d.erased.aspect > 1 {
					taller++
				}
			}
			if math.Abs(float64(erased)/drawCount-probability) > 4*math.Sqrt(probability*(1-probability)/drawCount) {
				t.Errorf("with the probability %v %d of %d pictures are erased", probability, erased, drawCount)
			}
			checkHalf(t, "rectangles that are higher than wide", taller)
		}
		least, most := findRange(Config{Erasing: 1}, func(d changes) float64 { return d.erased.aspect })
		if math.Abs(least-0.3) > 0.01 || math.Abs(most-1/0.3) > 0.1 {
			t.Errorf("rectangles %.3f to %.3f times as high as wide, want 0.3 to 3.33", least, most)
		}
		least, most = findRange(Config{Erasing: 1}, func(d changes) float64 { return d.erased.area })
		if math.Abs(least-0.02) > 0.002 || math.Abs(most-0.2) > 0.002 {
			t.Errorf("rectangles of %.3f to %.3f of the area, want 0.02 to 0.2", least, most)
		}
		checkViewsChange(t, Config{Erasing: 1})
	},
	"Mixup": func(t *testing.T) {
		// Of Beta(α, α) the variance is 1/(8α+4).
		for _, alpha := range []float64{0.1, 1, 20} {
			shares := findShares(t, Config{Mixup: alpha})
			if got, want := variance(shares), 1/(8*alpha+4); got < 0.8*want || got > 1.25*want {
				t.Errorf("α = %v: shares with the variance %.4f, want %.4f", alpha, got, want)
			}
		}
		// With both on, each keeps its own α: mixup's shares are all near ½, and CutMix's are
		// 1 or what a rectangle of the whole area, cut off at the edges, leaves. If both had
		// mixup's, the variance would be about 0.01, and if both had CutMix's, 0.16.
		if v := variance(findShares(t, Config{Mixup: 500, CutMix: 0.01})); v < 0.03 || v > 0.1 {
			t.Errorf("mixup of halves and CutMix of wholes in turn: variance %.3f", v)
		}
	},
	"CutMix": func(t *testing.T) {
		// For a large α rectangles have half the area, less what the edge cuts off: the
		// picture keeps half of itself or more.
		for _, share := range findShares(t, Config{CutMix: 500}) {
			if share < 0.45 || share > 1 {
				t.Fatalf("a share of %v", share)
			}
		}
		// For a small one rectangles have next to nothing of it, or all.
		wholes := func(alpha float64) (count int) {
			for _, share := range findShares(t, Config{CutMix: alpha}) {
				if share > 0.98 {
					count++
				}
			}
			return count
		}
		if few, many := wholes(500), wholes(0.01); few > 40 || many < 300 {
			t.Errorf("pictures that stay whole: %d for a large α, and %d for a small one, of %d", few, many,
				shareCount)
		}
	},
	"QuarterTurns": func(t *testing.T) {
		for _, probability := range []float64{0, 0.3, 1} {
			var counts [4]float64
			for _, d := range drawMany(Config{QuarterTurns: probability}) {
				counts[d.scene.quarters]++
			}
			for quarters, count := range counts {
				share := probability / 3
				if quarters == 0 {
					share = 1 - probability
				}
				if math.Abs(count/drawCount-share) > 4*math.Sqrt(share*(1-share)/drawCount) {
					t.Errorf("with the probability %v %v of %d pictures have %d quarter turns", probability, count,
						drawCount, quarters)
				}
			}
		}
		checkViewsChange(t, Config{QuarterTurns: 1})
	},
	"ZoomOut": func(t *testing.T) {
		checkEveryFourth(t, Config{ZoomOut: 3}, 1, 3, func(d changes) float64 { return d.scene.distance })
		for _, out := range []float64{0, 1} {
			_, most := findRange(Config{ZoomOut: out}, func(d changes) float64 { return d.scene.distance })
			if most != 0 {
				t.Errorf("zoom out %v: a distance of %v", out, most)
			}
		}
		grey := 0
		for _, d := range drawMany(Config{ZoomOut: 3}) {
			if b := d.scene.background; b[0] == b[1] && b[1] == b[2] {
				grey++
			}
		}
		checkHalf(t, "grey backgrounds", grey)
		checkViewsChange(t, Config{ZoomOut: 3})
	},
	"ShrinkMin": func(t *testing.T) {
		checkEveryFourth(t, Config{ShrinkMin: 8}, 8, drawnHeight,
			func(d changes) float64 { return float64(d.scene.thumbnail) })
		for _, size := range []int{0, drawnHeight, 2 * drawnWidth} {
			_, most := findRange(Config{ShrinkMin: size}, func(d changes) float64 { return float64(d.scene.thumbnail) })
			if most != 0 {
				t.Errorf("thumbnails of at least %d pixels: one of %v", size, most)
			}
		}
		checkViewsChange(t, Config{ShrinkMin: 4})
	},
	"BlurMax": func(t *testing.T) {
		checkEveryFourth(t, Config{BlurMax: 4}, 0, 4, func(d changes) float64 { return d.scene.blur })
		checkViewsChange(t, Config{BlurMax: 4})
	},
	"Noise": func(t *testing.T) {
		checkEveryFourth(t, Config{Noise: 25}, 0, 25, func(d changes) float64 { return d.scene.noise })
		checkViewsChange(t, Config{Noise: 25})
	},
}

// checkEveryFourth checks that a quarter of the pictures have a value drawn from least to most,
// and that the others have 0, as all have without the setting.
func checkEveryFourth(t *testing.T, c Config, least, most float64, value func(changes) float64) {
	t.Helper()
	count, smallest, largest := 0, math.Inf(1), 0.0
	for _, d := range drawMany(c) {
		if v := value(d); v != 0 {
			count, smallest, largest = count+1, min(smallest, v), max(largest, v)
		}
	}
	if math.Abs(float64(count)-drawCount/4) > 4*math.Sqrt(drawCount*3/16) {
		t.Errorf("%+v: %d of %d pictures with the change, want a quarter", c, count, drawCount)
	}
	if slack := 0.03 * (most - least); math.Abs(smallest-least) > slack || math.Abs(largest-most) > slack {
		t.Errorf("%+v: from %v to %v, want %v to %v", c, smallest, largest, least, most)
	}
	if _, largest := findRange(Config{}, value); largest != 0 {
		t.Errorf("%v without the setting", largest)
	}
}

// TestSettings runs the test of each field of Config, and fails if one has none.
func TestSettings(t *testing.T) {
	kind := reflect.TypeOf(Config{})
	for i := range kind.NumField() {
		name := kind.Field(i).Name
		test := settingTests[name]
		if test == nil {
			t.Errorf("%s has no test: add one to settingTests that fails if it has no effect or the opposite", name)
			continue
		}
		t.Run(name, test)
	}
	if len(settingTests) != kind.NumField() {
		t.Errorf("%d tests for %d settings", len(settingTests), kind.NumField())
	}
}

// The size of the input that changes are drawn for, and the number of draws.
const (
	drawnWidth, drawnHeight = 48, 40
	drawCount               = 2000
)

func drawMany(c Config) []changes {
	r := rand.New(rand.NewPCG(15, 1))
	all := make([]changes, drawCount)
	for i := range all {
		all[i] = c.drawChanges(r, drawnWidth, drawnHeight)
		all[i].scene = c.drawScene(r, drawnWidth, drawnHeight)
	}
	return all
}

func findRange(c Config, value func(changes) float64) (least, most float64) {
	least, most = math.Inf(1), math.Inf(-1)
	for _, d := range drawMany(c) {
		least, most = min(least, value(d)), max(most, value(d))
	}
	return least, most
}

// checkSigned checks that a value is drawn from −limit to limit, as often below 0 as above, and
// that it is 0 without the setting.
func checkSigned(t *testing.T, c Config, name string, limit float64, value func(changes) float64) {
	t.Helper()
	least, most := findRange(c, value)
	if slack := 0.015*limit + 1e-9; math.Abs(least+limit) > slack || math.Abs(most-limit) > slack {
		t.Errorf("%s from %v to %v, want ±%v", name, least, most, limit)
	}
	if limit > 0 {
		above := 0
		for _, d := range drawMany(c) {
			if value(d) > 0 {
				above++
			}
		}
		checkHalf(t, name+" above 0", above)
	}
	if least, most := findRange(Config{}, value); limit > 0 && (math.Abs(least) > 1e-9 || math.Abs(most) > 1e-9) {
		t.Errorf("%s from %v to %v without the setting", name, least, most)
	}
}

// checkHalf checks that a count is half of drawCount, within four standard deviations.
func checkHalf(t *testing.T, what string, count int) {
	t.Helper()
	if math.Abs(float64(count)-drawCount/2) > 4*math.Sqrt(drawCount)/2 {
		t.Errorf("%s: %d of %d, want half", what, count, drawCount)
	}
}

func checkFlips(t *testing.T, c Config, flipped, other func(changes) bool) {
	t.Helper()
	count := 0
	for _, d := range drawMany(c) {
		if flipped(d) {
			count++
		}
		if other(d) {
			t.Fatal("flipped the other way")
		}
	}
	checkHalf(t, "flipped pictures", count)
	for _, d := range drawMany(Config{}) {
		if flipped(d) {
			t.Fatal("flipped without the setting")
		}
	}
}

// checkViewsChange checks that the drawn changes reach the picture: some views differ from it,
// and without the setting none does.
func checkViewsChange(t *testing.T, c Config) {
	t.Helper()
	set := writeTraining(t, [2]int{24, 20})
	whole := loadLevels(t, Config{}, set, 1)[0]
	if !slices.Equal(whole, drawPattern(24, 20).Pix) {
		t.Fatal("without changes a view is another picture")
	}
	changed := 0
	for _, view := range loadLevels(t, c, set, 12) {
		if !slices.Equal(view, whole) {
			changed++
		}
	}
	if changed == 0 {
		t.Errorf("%+v changes nothing", c)
	}
}

const shareCount = 1000

// findShares returns the share of itself that Mix leaves each picture.
func findShares(t *testing.T, c Config) []float64 {
	t.Helper()
	v, err := New(c, unitSpec(10, 10), dataset.Training{}, 3, picture.DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	var shares []float64
	for step := range shareCount / 2 {
		inputs, targets := makeBatch(2, 300)
		v.Mix(1, step, inputs, targets, 2)
		shares = append(shares, float64(targets[0]), float64(targets[3]))
	}
	return shares
}

func variance(values []float64) float64 {
	mean, square := 0.0, 0.0
	for _, v := range values {
		mean += v / float64(len(values))
	}
	for _, v := range values {
		square += (v - mean) * (v - mean) / float64(len(values))
	}
	return square
}
