package picture

import (
	"encoding/binary"
	"errors"
	"slices"
	"strings"
	"testing"

	"garb/internal/raster"
)

// TestTruncatedWebP checks a WebP whose container is whole and whose pixels are not: KeepTruncated
// does not help.
func TestTruncatedWebP(t *testing.T) {
	data := slices.Clone(read(t, "testdata/lossy.webp"))
	data = data[:len(data)/4*2] // chunks have even sizes
	binary.LittleEndian.PutUint32(data[4:], uint32(len(data)-8))
	binary.LittleEndian.PutUint32(data[16:], uint32(len(data)-20))
	_, err := Decode(t.Context(), data, DefaultLimits())
	if !errors.Is(err, ErrCorrupt) || errors.Is(err, ErrTruncated) || !errors.Is(err, raster.ErrTruncated) {
		t.Error(err)
	}
}

// TestErrorTexts checks that an error says each thing once.
func TestErrorTexts(t *testing.T) {
	for _, test := range []struct {
		err  error
		want string
	}{
		{classify(raster.ErrTruncated), "corrupt picture: the file is cut off; take another copy"},
		{classify(raster.Corruptf("PNG of 0 × 5 pixels")),
			"corrupt picture: the file is broken or cut off; take another copy (PNG of 0 × 5 pixels)"},
		{errTooManyPixels(12000, 9000, 66_000_000),
			"picture too large: 12000 × 9000 pixels; the limit is 66 megapixels; scale it down"},
	} {
		if got := test.err.Error(); got != test.want {
			t.Errorf("%q, want %q", got, test.want)
		}
	}
}

// TestLowerLimit checks that the error of a picture beyond both limits names the one that it has to
// meet.
func TestLowerLimit(t *testing.T) {
	_, err := Decode(t.Context(), makePNG(12_000, 12_000), DefaultLimits())
	if !errors.Is(err, ErrTooManyPixels) || !strings.Contains(err.Error(), "the limit is 66 megapixels") {
		t.Error(err)
	}
}
