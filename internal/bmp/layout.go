package bmp

// layout says where the channels of a pixel are.
type layout struct {
	size int    // bytes
	at   [4]int // bytes of red, green, blue and, if alpha is set, alpha
	// alpha says that the pixel has alpha.
	alpha bool
	// greenBits is 5 or 6 for pixels of 16 bits.
	greenBits int
}

// plainLayouts has the layouts of pixels without bit fields, by their bits.
var plainLayouts = map[int]layout{
	16: {size: 2, greenBits: 5},
	24: {size: 3, at: [4]int{2, 1, 0, 0}},
	32: {size: 4, at: [4]int{2, 1, 0, 0}},
}

// fields identifies a layout of bit fields.
type fields struct {
	bits  int
	masks [4]uint32 // for red, green, blue and alpha
}

// fieldLayouts has the bit fields that Pillow takes (BmpImagePlugin.py, MASK_MODES).
var fieldLayouts = map[fields]layout{
	{32, [4]uint32{0xff0000, 0xff00, 0xff, 0}}:          {size: 4, at: [4]int{2, 1, 0, 0}},
	{32, [4]uint32{0xff000000, 0xff0000, 0xff00, 0}}:    {size: 4, at: [4]int{3, 2, 1, 0}},
	{32, [4]uint32{0xff000000, 0xff00, 0xff, 0}}:        {size: 4, at: [4]int{3, 1, 0, 0}},
	{32, [4]uint32{0xff000000, 0xff0000, 0xff00, 0xff}}: {size: 4, at: [4]int{3, 2, 1, 0}, alpha: true},
	{32, [4]uint32{0xff, 0xff00, 0xff0000, 0xff000000}}: {size: 4, at: [4]int{0, 1, 2, 3}, alpha: true},
	{32, [4]uint32{0xff0000, 0xff00, 0xff, 0xff000000}}: {size: 4, at: [4]int{2, 1, 0, 3}, alpha: true},
	{32, [4]uint32{0xff000000, 0xff00, 0xff, 0xff0000}}: {size: 4, at: [4]int{3, 1, 0, 2}, alpha: true},
	{32, [4]uint32{}}:                          {size: 4, at: [4]int{2, 1, 0, 3}, alpha: true},
	{24, [4]uint32{0xff0000, 0xff00, 0xff, 0}}: {size: 3, at: [4]int{2, 1, 0, 0}},
	{16, [4]uint32{0xf800, 0x7e0, 0x1f, 0}}:    {size: 2, greenBits: 6},
	{16, [4]uint32{0x7c00, 0x3e0, 0x1f, 0}}:    {size: 2, greenBits: 5},
}

// unpack writes pixels as RGBA.
func (l layout) unpack(rgba, row []byte) {
	if l.greenBits > 0 {
		l.unpack16(rgba, row)
		return
	}
	red, green, blue, alpha := l.at[0], l.at[1], l.at[2], l.at[3]
	for ; len(rgba) >= 4; rgba, row = rgba[4:], row[l.size:] {
		rgba[0], rgba[1], rgba[2], rgba[3] = row[red], row[green], row[blue], row[alpha]
		if !l.alpha {
			rgba[3] = 255
		}
	}
}

// unpack16 writes pixels of 16 bits as RGBA. It rounds down, as Pillow does.
func (l layout) unpack16(rgba, row []byte) {
	maxGreen := uint32(1)<<l.greenBits - 1
	for ; len(rgba) >= 4; rgba, row = rgba[4:], row[2:] {
		v := uint32(row[0]) | uint32(row[1])<<8
		rgba[0] = uint8(v >> (5 + l.greenBits) & 31 * 255 / 31)
		rgba[1] = uint8(v >> 5 & maxGreen * 255 / maxGreen)
		rgba[2] = uint8(v & 31 * 255 / 31)
		rgba[3] = 255
	}
}
