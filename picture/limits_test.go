package picture

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"
)

func TestDefaultLimits(t *testing.T) {
	// As the documentation of DefaultLimits has them.
	want := Limits{
		MaxBytes: 67_108_864, MaxPixels: 110_000_000, MaxDecodedPixels: 66_000_000, MaxSide: 65_535,
		Timeout: 30 * time.Second,
	}
	if have := DefaultLimits(); have != want {
		t.Errorf("%+v, want %+v", have, want)
	}
	for name, spoil := range map[string]func(l *Limits){
		"bytes": func(l *Limits) { l.MaxBytes = 0 }, "pixels": func(l *Limits) { l.MaxPixels = 0 },
		"decoded pixels": func(l *Limits) { l.MaxDecodedPixels = -1 },
		"side":           func(l *Limits) { l.MaxSide = 0 }, "time": func(l *Limits) { l.Timeout = -1 },
	} {
		l := want
		spoil(&l)
		if l.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := (Limits{MaxBytes: 1, MaxPixels: 1, MaxSide: 1}).Validate(); err != nil {
		t.Errorf("the least: %v", err)
	}
}

// TestPhonePhotos checks that the sizes of phones' pictures are within the default limits: JPEGs that
// are decoded at reduced scale up to 108 megapixels, and 64 megapixels of everything else.
func TestPhonePhotos(t *testing.T) {
	l := DefaultLimits()
	small := unit(224, 224, Bilinear, Stretch)
	for _, test := range []struct {
		info      Info
		spec      Spec
		fits      bool
		fitsWhole bool
	}{
		{Info{Format: JPEG, Width: 8160, Height: 6144}, small, true, true},
		{Info{Format: JPEG, Width: 8192, Height: 6144}, small, true, true},
		{Info{Format: JPEG, Width: 9248, Height: 6944}, small, true, true},
		{Info{Format: JPEG, Width: 12000, Height: 9000}, small, true, false},
		{Info{Format: JPEG, Width: 12032, Height: 9024}, small, true, false},
		{Info{Format: JPEG, Width: 12032, Height: 9024}, unit(224, 224, Nearest, Stretch), false, false},
		{Info{Format: JPEG, Width: 12032, Height: 9024, whole: true}, small, false, false},
		{Info{Format: JPEG, Width: 16320, Height: 12240}, small, false, false},
		{Info{Format: JPEG, Width: 65535, Height: 1000}, small, true, true},
		{Info{Format: HEIC, Width: 8064, Height: 6048}, small, true, true},
		{Info{Format: HEIC, Width: 12000, Height: 9000}, small, false, false},
		{Info{Format: PNG, Width: 8000, Height: 8000}, small, true, true},
		{Info{Format: PNG, Width: 8200, Height: 8200}, small, false, false},
	} {
		check := func(reduction int) bool {
			err := errors.Join(l.checkSize(test.info.Width, test.info.Height), l.checkDecoded(test.info, reduction))
			if err != nil && !errors.Is(err, ErrTooLarge) {
				t.Errorf("%+v: %v", test.info, err)
			}
			return err == nil
		}
		if check(test.spec.Reduction(test.info)) != test.fits || check(1) != test.fitsWhole {
			t.Errorf("%+v: %v, whole %v", test.info, !test.fits, !test.fitsWhole)
		}
	}
}

// TestDecodedPixels checks that the limit of decoded pixels counts what is decoded.
func TestDecodedPixels(t *testing.T) {
	p := newRGB(800, 600)
	data := encodeJPEG(t, p)
	s := unit(100, 75, Bilinear, Stretch) // at 1/4: 200 × 150
	for _, test := range []struct {
		pixels, decoded int
		reduced, whole  bool
	}{
		{480_000, 480_000, true, true},
		{480_000, 0, true, true},
		{480_000, 479_999, true, false},
		{480_000, 30_000, true, false},
		{480_000, 29_999, false, false},
		{479_999, 480_000, false, false},
	} {
		l := DefaultLimits()
		l.MaxPixels, l.MaxDecodedPixels = test.pixels, test.decoded
		_, err := s.Load(context.Background(), data, l, make([]float32, s.ValueCount()))
		_, whole := Decode(context.Background(), data, l)
		if (err == nil) != test.reduced || (whole == nil) != test.whole {
			t.Errorf("%+v: reduced %v, whole %v", test, err, whole)
		}
		for _, err := range []error{err, whole} {
			if err != nil && !errors.Is(err, ErrTooLarge) {
				t.Error(err)
			}
		}
	}
}

// TestLimitInErrors checks that the error names the limit exactly, also one of few pixels.
func TestLimitInErrors(t *testing.T) {
	data := read(t, "testdata/plain.jpg") // 40 × 30
	for pixels, want := range map[int]string{1000: "40 × 30 pixels; the limit is 0.001 megapixels", 1: "0.000001 "} {
		_, err := Decode(t.Context(), data, DefaultLimits().WithMaxPixels(pixels))
		if !errors.Is(err, ErrTooLarge) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}
