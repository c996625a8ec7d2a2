package jpeg

import (
	"context"

	"garb/internal/raster"
)

// Samples are the samples of a picture, whose colours are not converted.
type Samples struct {
	Width, Height int
	Channels      int     // per pixel, 1 to 4
	Pix           []uint8 // one byte per channel, rows from top to bottom, without padding
	Repairs       []string
}

// DecodeSamples decodes the samples of all components of a picture, which may have two, upsampled. Errors
// behind the samples do not matter, as in libtiff. It heeds none of the options but MaxPixels.
func DecodeSamples(ctx context.Context, data []byte, o raster.Options) (Samples, error) {
	r := headerReader{data: data, pairs: true}
	if err := r.read(); err != nil {
		return Samples{}, err
	}
	if err := raster.CheckPixels(r.header.Width, r.header.Height, o.MaxPixels); err != nil {
		return Samples{}, err
	}
	d := decoder{ctx: ctx, data: data, scale: 1, maxPixels: o.MaxPixels, keepTruncated: true}
	if err := d.decode(); err != nil {
		return Samples{}, err
	}
	n := len(d.components)
	s := Samples{Width: d.width, Height: d.height, Channels: n, Repairs: d.repairs.Repairs}
	s.Pix = make([]uint8, s.Width*s.Height*n)
	for c := range d.components {
		u := newUpsampler(&d, &d.components[c])
		for y := range s.Height {
			if err := ctx.Err(); err != nil {
				return Samples{}, err
			}
			out := s.Pix[y*s.Width*n+c:]
			for x, v := range u.upsample(y)[:s.Width] {
				out[x*n] = v
			}
		}
	}
	return s, nil
}
