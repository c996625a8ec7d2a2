package jpeg

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"garb/internal/raster"
)

// TestLosslessIsNotReduced decodes at all scales: libjpeg-turbo reduces in the transform, which
// lossless coding does not have.
func TestLosslessIsNotReduced(t *testing.T) {
	data := read(t, "testdata/processes/lossless-scans.jpg")
	full, fullErr := Decode(context.Background(), data, raster.Options{MaxPixels: 1 << 20})
	if fullErr != nil {
		t.Fatal(fullErr)
	}
	for _, scale := range []int{2, 4, 8} {
		m, err := Decode(context.Background(), data, raster.Options{Scale: scale, MaxPixels: 1 << 20})
		if err != nil || m.Width != 23 || m.Height != 17 || !bytes.Equal(m.Pix, full.Pix) {
			t.Errorf("1/%d: %d × %d, %v", scale, m.Width, m.Height, err)
		}
	}
	_, err := Decode(context.Background(), data, raster.Options{Scale: 8, MaxPixels: 23*17 - 1})
	if !errors.Is(err, raster.ErrTooLarge) {
		t.Errorf("over the limit: %v", err)
	}
}

func TestPredict(t *testing.T) {
	for predictor, want := range []int32{1: 10, 2: 7, 3: 20, 4: -3, 5: 3, 6: 2, 7: 8} {
		if got := predict(predictor, 10, 7, 20); predictor > 0 && got != want {
			t.Errorf("predictor %d: %d, want %d", predictor, got, want)
		}
	}
}

func BenchmarkDecodeLossless(b *testing.B) {
	data := read(b, "testdata/processes/lossless-scans.jpg")
	for b.Loop() {
		if _, err := Decode(context.Background(), data, raster.Options{MaxPixels: 1 << 20}); err != nil {
			b.Fatal(err)
		}
	}
}
