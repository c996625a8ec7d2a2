package png

import "garb/internal/raster"

// newConverter returns a function that converts an unfiltered row to red, green and blue over white.
// A row of whole bytes may have bits after its last pixel.
func newConverter(p picture, palette []byte, t transparency) (func(out, row []uint8), error) {
	if len(palette)/3 > 256 || palette != nil && p.colours != indexed {
		return nil, raster.Corruptf("the palette has %d colours, or is of a picture without one", len(palette)/3)
	}
	if (p.colours == indexed || p.bits <= 8) && p.colours.channels() == 1 {
		lut, err := makeTable(p, palette, t)
		if err != nil {
			return nil, err
		}
		bits := p.bits
		return func(out, row []uint8) { convertTable(out, row, lut, bits) }, nil
	}
	step := p.bits / 8 // from a sample to the next; the high byte comes first
	switch p.colours {
	case grey:
		return convertGrey16, nil
	case greyAlpha:
		return func(out, row []uint8) { convertGreyAlpha(out, row, step) }, nil
	case rgbAlpha:
		if step == 1 {
			return convertRGBAlpha, nil
		}
		return convertRGBAlpha16, nil
	}
	if t.alphas != nil {
		return nil, raster.Corruptf("chunk tRNS has the transparency of a palette, and there is none")
	}
	if !t.set() {
		return func(out, row []uint8) { convertRGB(out, row, step) }, nil
	}
	// Like Pillow, compare the low bytes with what remains of 16 bits, which are the high bytes.
	var transparent [3]uint8
	for i, v := range t.colour {
		transparent[i] = uint8(v)
	}
	return func(out, row []uint8) {
		convertRGB(out, row, step)
		for ; len(out) >= 3; out = out[3:] {
			if [3]uint8(out) == transparent {
				out[0], out[1], out[2] = 255, 255, 255
			}
		}
	}, nil
}

// makeTable returns the colours of grey levels or of a palette, over white.
func makeTable(p picture, palette []byte, t transparency) (*[256][3]uint8, error) {
	var colours [256][3]uint8
	if p.colours == grey {
		if t.alphas != nil {
			return nil, raster.Corruptf("chunk tRNS has the transparency of a palette, and there is none")
		}
		most := 1<<p.bits - 1
		for i := range most + 1 {
			level := uint8(i * 255 / most)
			if t.set() && level == uint8(t.colour[0]) { // not scaled, as in Pillow
				level = 255
			}
			colours[i] = [3]uint8{level, level, level}
		}
		return &colours, nil
	}
	for i := range len(palette) / 3 {
		colours[i] = [3]uint8(palette[3*i:])
	}
	if len(t.colour) > 1 || len(t.alphas) > 256 || len(t.colour) == 1 && t.colour[0] > 255 {
		return nil, raster.Corruptf("the transparency in chunk tRNS is not one of a palette")
	}
	if len(t.colour) == 1 {
		colours[t.colour[0]] = [3]uint8{255, 255, 255}
	}
	for i, alpha := range t.alphas {
		c := &colours[i]
		for j := range c {
			c[j] = raster.OverWhite(c[j], alpha)
		}
	}
	return &colours, nil
}

// convertTable converts pixels of 1, 2, 4 or 8 bits, of which the first is highest.
func convertTable(out, row []uint8, table *[256][3]uint8, bits int) {
	if bits == 8 {
		for x := range min(len(row), len(out)/3) {
			*(*[3]uint8)(out[3*x:]) = table[row[x]]
		}
		return
	}
	perByte := 8 / bits
	for x := range len(out) / 3 {
		shift := 8 - bits - bits*(x%perByte)
		*(*[3]uint8)(out[3*x:]) = table[row[x/perByte]>>shift&(1<<bits-1)]
	}
}

func convertGrey16(out, row []uint8) {
	for ; len(out) >= 3; out, row = out[3:], row[2:] {
		out[0], out[1], out[2] = row[0], row[0], row[0]
	}
}

func convertGreyAlpha(out, row []uint8, step int) {
	for ; len(out) >= 3; out, row = out[3:], row[2*step:] {
		level := raster.OverWhite(row[0], row[step])
		out[0], out[1], out[2] = level, level, level
	}
}

func convertRGB(out, row []uint8, step int) {
	if step == 1 {
		copy(out, row)
		return
	}
	for i := range out {
		out[i] = row[2*i]
	}
}

func convertRGBAlpha(out, row []uint8) {
	for ; len(out) >= 3 && len(row) >= 4; out, row = out[3:], row[4:] {
		out[0], out[1], out[2] = row[0], row[1], row[2]
		if row[3] != 255 {
			raster.BlendRow(out[:3], row[:4])
		}
	}
}

func convertRGBAlpha16(out, row []uint8) {
	for ; len(out) >= 3; out, row = out[3:], row[8:] {
		for i := range 3 {
			out[i] = raster.OverWhite(row[2*i], row[6])
		}
	}
}
