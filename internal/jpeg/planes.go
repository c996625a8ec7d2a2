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
	s := Samples{}
	d := decoder{ctx: ctx, data: data, scale: 1, maxPixels: o.MaxPixels, keepTruncated: true, samples: &s}
	err := d.decode()
	s.Repairs = d.repairs.Repairs
	return s, err
}

func (s *Samples) allocate(width, height, channels int) {
	s.Width, s.Height, s.Channels = width, height, channels
	s.Pix = make([]uint8, 0, width*height*channels)
}

// addRow appends a row of the components' samples.
func (s *Samples) addRow(row [4][]byte) {
	start := len(s.Pix)
	s.Pix = s.Pix[:start+s.Width*s.Channels]
	for c := range s.Channels {
		out := s.Pix[start+c:]
		for x, v := range row[c][:s.Width] {
			out[x*s.Channels] = v
		}
	}
}
