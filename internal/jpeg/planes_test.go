package jpeg

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"garb/internal/raster"
)

// TestDecodeSamples compares samples of RGB, grey and CMYK pictures with their pixels.
func TestDecodeSamples(t *testing.T) {
	o := raster.Options{MaxPixels: 37 * 41}
	for _, name := range []string{"37x41-rgb.jpg", "37x41-grey.jpg", "37x41-cmyk.jpg"} {
		data := read(t, "testdata/"+name)
		m, err := Decode(context.Background(), data, o)
		if err != nil {
			t.Fatal(err)
		}
		s, err := DecodeSamples(context.Background(), data, o)
		if err != nil || s.Width != m.Width || s.Height != m.Height {
			t.Fatalf("%s: %d × %d, %v", name, s.Width, s.Height, err)
		}
		got := make([]byte, len(m.Pix))
		for i := range s.Width * s.Height {
			switch p := s.Pix[i*s.Channels:]; s.Channels {
			case 1:
				expandGrey(got[3*i:3*i+3], p, nil, nil, nil)
			case 3:
				copy(got[3*i:], p[:3])
			default:
				cmykToRGB(got[3*i:3*i+3], p, p[1:], p[2:], p[3:])
			}
		}
		if !bytes.Equal(got, m.Pix) {
			t.Errorf("%s: the samples are not those of the pixels", name)
		}
		_, err = DecodeSamples(context.Background(), data, raster.Options{MaxPixels: 36 * 41})
		if !errors.Is(err, raster.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
