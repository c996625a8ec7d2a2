package augment

import (
	"math"
	"reflect"
	"strings"
	"testing"

	"garb/picture"
)

// TestValidateBounds checks that every setting is valid from 0, or its least value, to its
// largest, and invalid just below and above.
func TestValidateBounds(t *testing.T) {
	for field, bounds := range map[string]struct{ least, largest float64 }{
		"RotationRangeDegrees": {0, 180},
		"WidthShift":           {0, 4096},
		"HeightShift":          {0, 4096},
		"ShearDegrees":         {0, 89},
		"Zoom":                 {0, 0.99},
		"CropMin":              {0.01, 1},
		"CropAspect":           {1, 10},
		"Brightness":           {0, 1},
		"Contrast":             {0, 1},
		"Saturation":           {0, 1},
		"Erasing":              {0, 1},
		"Mixup":                {1e-3, 1000},
		"CutMix":               {1e-3, 1000},
		"QuarterTurns":         {0, 1},
		"ZoomOut":              {1, 10},
		"ShrinkMin":            {0, 4096},
		"BlurMax":              {0, 16},
		"Noise":                {0, 128},
	} {
		valid := func(value float64) bool {
			var c Config
			if field == "CropAspect" {
				c.CropMin = 0.5
			}
			switch v := reflect.ValueOf(&c).Elem().FieldByName(field); v.Kind() {
			case reflect.Int:
				v.SetInt(int64(value))
			default:
				v.SetFloat(value)
			}
			return c.Validate() == nil
		}
		step := func(value, towards float64) float64 {
			if field == "ShrinkMin" {
				return value + math.Copysign(1, towards)
			}
			return math.Nextafter(value, towards)
		}
		for _, value := range []float64{0, bounds.least, bounds.largest} {
			if !valid(value) {
				t.Errorf("%s %v is refused", field, value)
			}
		}
		for _, value := range []float64{step(0, -1), step(bounds.largest, math.Inf(1))} {
			if valid(value) {
				t.Errorf("%s %v is accepted", field, value)
			}
		}
		if bounds.least > 0 && valid(math.Nextafter(bounds.least, 0)) {
			t.Errorf("%s below %v is accepted", field, bounds.least)
		}
	}
	err := Config{CropAspect: 2}.Validate()
	if err == nil || !strings.Contains(err.Error(), "needs a smallest crop") {
		t.Errorf("a crop aspect without a crop: %v", err)
	}
}

// TestPartsOfExtremeShapes checks that a part with the widest ratio is as wide as the picture, and
// one with the narrowest as high, whatever its area.
func TestPartsOfExtremeShapes(t *testing.T) {
	for _, fit := range []picture.Fit{picture.Stretch, picture.Crop, picture.Letterbox} {
		s := unitSpec(30, 20)
		s.Fit = fit
		for _, size := range [][2]int{{400, 100}, {100, 400}, {300, 200}} {
			for _, area := range []float64{0.5, 0.9, 1} {
				wide := crop{area: area, maxAspect: 1000, aspect: 1}
				if _, _, width, height := wide.bounds(size[0], size[1], s); width != size[0] {
					t.Errorf("%s, %v, area %v: the widest part is %d × %d", fit, size, area, width, height)
				}
				high := crop{area: area, maxAspect: 1000, aspect: 0}
				if _, _, width, height := high.bounds(size[0], size[1], s); height != size[1] {
					t.Errorf("%s, %v, area %v: the highest part is %d × %d", fit, size, area, width, height)
				}
			}
		}
	}
}
