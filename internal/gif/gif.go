// Package gif decodes the first frame of GIF pictures to the pixels of Pillow 13 (GifImagePlugin.py,
// GifDecode.c), at its place on the canvas and over white.
package gif

import (
	"context"
	"errors"

	"garb/internal/raster"
)

// ReadHeader reads what precedes the first frame, and looks for a second one.
func ReadHeader(data []byte) (raster.Header, error) {
	p, f, err := parse(data)
	if err != nil {
		return raster.Header{}, err
	}
	h := raster.Header{Width: p.width, Height: p.height, BitsPerSample: 8}
	h.Grey = p.colours(f) == nil
	h.Alpha = f.transparent >= 0
	p.skipBlocks()
	_, err = p.nextFrame()
	h.Animated = err == nil
	return h, nil
}

// parse parses up to the data of the first frame.
func parse(data []byte) (*parser, frame, error) {
	p, err := newParser(data)
	if err != nil {
		return nil, frame{}, err
	}
	f, err := p.nextFrame()
	if errors.Is(err, errNoFrame) {
		err = raster.Corruptf("GIF without a picture")
	}
	return p, f, err
}

// Decode decodes the first frame. It allocates 3 bytes per pixel of the canvas and, before that, a few
// bytes per pixel that the data expand to.
func Decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	p, f, err := parse(data)
	if err != nil {
		return raster.Image{}, err
	}
	if err = raster.CheckPixels(p.width, p.height, o.MaxPixels); err != nil {
		return raster.Image{}, err
	}
	if f.width == 0 || f.height == 0 {
		return raster.Image{}, raster.Corruptf("GIF with a frame of %d × %d pixels", f.width, f.height)
	}
	d := lzwDecoder{minBits: f.minBits, data: data[p.at:], wanted: f.width * f.height}
	err = d.decode(ctx)
	cut := errors.Is(err, raster.ErrCorrupt)
	if err != nil && (!cut || !o.KeepTruncated) {
		return raster.Image{}, err
	}
	m := p.compose(f, d.pixels)
	p.skipBlocks()
	switch {
	case cut:
		m.AddRepair("a part of the picture is missing")
	case !p.hasTrailer():
		m.AddRepair("the end of the file is missing")
	}
	return m, nil
}

// compose returns the canvas with the pixels of the frame, in the order of the data, on it.
func (p *parser) compose(f frame, pixels []uint8) raster.Image {
	var lookup [256][3]uint8
	colours := p.colours(f)
	for i := range lookup {
		switch {
		case i == f.transparent:
			lookup[i] = [3]uint8{255, 255, 255}
		case colours == nil:
			lookup[i] = [3]uint8{uint8(i), uint8(i), uint8(i)}
		case 3*i+3 <= len(colours):
			lookup[i] = [3]uint8(colours[3*i:])
		}
	}
	m := raster.New(p.width, p.height)
	background := lookup[max(f.transparent, 0)]
	if background != [3]uint8{} {
		for i := range p.width * p.height {
			copy(m.Pix[3*i:], background[:])
		}
	}
	y := 0
	for next := f.rows(); len(pixels) > 0; y = next(y) {
		n := min(f.width, len(pixels))
		out := m.Row(f.y + y)[3*f.x:]
		for x, v := range pixels[:n] {
			copy(out[3*x:3*x+3], lookup[v][:])
		}
		pixels = pixels[n:]
	}
	return m
}

// rows returns a function that returns the row that is stored behind row y.
func (f frame) rows() func(y int) int {
	if !f.interlaced {
		return func(y int) int { return y + 1 }
	}
	step, starts := 8, []int{4, 2, 1} // GIF89a, appendix E
	return func(y int) int {
		for y += step; y >= f.height && len(starts) > 0; starts = starts[1:] {
			y = starts[0]
			step = 2 * y
		}
		return y
	}
}
