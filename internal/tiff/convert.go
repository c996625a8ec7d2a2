package tiff

import "garb/internal/raster"

// converter converts samples to RGB over white.
type converter struct {
	isRGB    bool // nothing is to be done
	levels   [256]uint8
	palette  [256][3]uint8
	channels int
	alpha    int
	colour   int // photometric interpretation
}

// newConverter returns the converter for a picture, or nil if its palette is missing or too long.
func newConverter(p *picture) *converter {
	c := &converter{channels: p.channels, alpha: p.alpha, colour: p.photometric}
	c.isRGB = p.channels == 3
	scale := uint8(1)
	if p.bits < 8 {
		scale = uint8(255 / (1<<p.bits - 1))
	}
	for i := range c.levels {
		c.levels[i] = uint8(i) * scale
		// Pillow does not invert samples of 16 bits.
		if p.photometric == whiteIsZero && p.bits <= 8 {
			c.levels[i] = 255 - c.levels[i]
		}
	}
	if p.photometric != paletted {
		return c
	}
	colours, err := p.ints(tagColorMap)
	n := len(colours) / 3
	if err != nil || n == 0 || n > len(c.palette) {
		return nil
	}
	for i := range n {
		// The most significant byte is taken, also of palettes that were written with 8 bits.
		c.palette[i] = [3]uint8{uint8(colours[i] >> 8), uint8(colours[n+i] >> 8), uint8(colours[2*n+i] >> 8)}
	}
	return c
}

// convert converts a row.
func (c *converter) convert(out, row []uint8) {
	for ; len(out) >= 3; out, row = out[3:], row[c.channels:] {
		switch c.colour {
		case paletted:
			copy(out[:3], c.palette[row[0]][:])
		case separated:
			cmykToRGB(out, row)
			continue
		case rgbColour:
			copy(out[:3], row[:3])
		default:
			level := c.levels[row[0]]
			out[0], out[1], out[2] = level, level, level
		}
		if c.alpha == unspecified {
			continue
		}
		alpha := row[c.channels-1]
		for i, v := range out[:3] {
			if c.alpha == associated && alpha > 0 {
				v = uint8(min(uint32(v)*255/uint32(alpha), 255))
			}
			out[i] = raster.OverWhite(v, alpha)
		}
	}
}

// cmykToRGB converts a pixel as Pillow does (Convert.c, cmyk2rgb).
func cmykToRGB(out, cmyk []uint8) {
	light := 255 - uint32(cmyk[3])
	for i := range 3 {
		product := uint32(cmyk[i])*light + 128
		out[i] = uint8(light - (product+product>>8)>>8)
	}
}
