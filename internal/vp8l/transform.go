package vp8l

import (
	"context"

	"garb/internal/raster"
)

// Transforms of the pixels (RFC 9649, section 3.5).
const (
	predictor = iota
	crossColour
	subtractGreen
	palette
	transforms
)

// transform is the inverse of a transform, row by row.
type transform struct {
	kind  int
	width int         // of its result
	bits  uint        // of the size of a tile, or by which columns are divided for a palette
	data  []uint32    // of the tiles, or the palette
	wide  int         // tiles in a row
	rows  [2][]uint32 // its result, of even and odd rows, with one pixel more
}

// readTransform reads a transform of an image of the given size. It returns the width that the image
// has in the data behind it.
func (d *decoder) readTransform(ctx context.Context, width, height int) (int, error) {
	t := transform{kind: d.bits.read(2), width: width}
	for i := range d.transforms {
		if d.transforms[i].kind == t.kind {
			return 0, raster.Corruptf("VP8L: a transform comes twice")
		}
	}
	for i := range t.rows {
		t.rows[i] = make([]uint32, width+1)
	}
	stored := width
	var err error
	switch t.kind {
	case predictor, crossColour:
		t.bits = uint(2 + d.bits.read(3))
		t.wide = divide(width, t.bits)
		t.data, err = d.readImage(ctx, t.wide, divide(height, t.bits))
	case palette:
		colours := 1 + d.bits.read(8)
		for size := 16; size >= colours && t.bits < 3; size = 1 << (4 >> t.bits) {
			t.bits++
		}
		stored = divide(width, t.bits)
		t.data, err = d.readPalette(ctx, colours, 1<<(8>>t.bits))
	}
	d.transforms = append(d.transforms, t)
	return stored, err
}

// readPalette reads a palette of differences. It is filled up to size with transparent black.
func (d *decoder) readPalette(ctx context.Context, colours, size int) ([]uint32, error) {
	list, err := d.readImage(ctx, colours, 1)
	if err != nil {
		return nil, err
	}
	out := make([]uint32, size)
	previous := uint32(0)
	for i := range min(colours, size) {
		previous = add(previous, list[i])
		out[i] = previous
	}
	return out, nil
}

// apply returns row y of the result from that of what is transformed.
func (t *transform) apply(y int, in []uint32) []uint32 {
	out, above := t.rows[y&1], t.rows[1-y&1]
	switch t.kind {
	case predictor:
		t.predictRow(y, in, out, above)
	case crossColour:
		modes := t.data[y>>t.bits*t.wide:]
		for x := 0; x < t.width; x += 1 << t.bits {
			end := min(x+1<<t.bits, t.width)
			addColour(out[x:end], in[x:end], modes[x>>t.bits])
		}
	case subtractGreen:
		addGreen(out[:t.width], in[:t.width])
	case palette:
		t.lookUp(in, out[:t.width])
	}
	return out[:t.width]
}

// lookUp replaces indexes, of which a pixel has up to 8 in green, by colours.
func (t *transform) lookUp(in, out []uint32) {
	width := 8 >> t.bits // of an index
	mask := uint32(1)<<width - 1
	packed := uint32(0)
	for x := range out {
		if x&(1<<t.bits-1) == 0 {
			packed = in[x>>t.bits] >> 8 & 0xff
		}
		out[x] = t.data[packed&mask]
		packed >>= width
	}
}

// predictRow adds predictions to a row (RFC 9649, section 3.5.1).
func (t *transform) predictRow(y int, in, out, above []uint32) {
	if y == 0 {
		out[0] = add(in[0], black)
		addLeft(out[:t.width], in[:t.width], nil)
		return
	}
	out[0] = add(in[0], above[0])
	above[t.width] = out[0]
	modes := t.data[y>>t.bits*t.wide:]
	for x := 1; x < t.width; {
		end := min((x>>t.bits+1)<<t.bits, t.width)
		mode := modes[x>>t.bits] >> 8 & 15
		predict(int(mode), out[x-1:end], in[x-1:end], above[x-1:end+1])
		x = end
	}
}

const black = 0xff000000

// add adds the channels of two pixels.
func add(a, b uint32) uint32 {
	const odd = 0xff00ff00
	return (a&odd+b&odd)&odd | (a&^odd+b&^odd)&^odd
}

// average averages the channels of two pixels, rounding down.
func average(a, b uint32) uint32 { return a&b + (a^b)>>1&0x7f7f7f7f }

// predictors add predictions of a mode to pixels from the second on; the first is to their left.
// above begins with the pixel above the first and ends with the one above and to the right of the last.
var predictors = [16]func(out, in, above []uint32){
	addBlack, addLeft,
	func(out, in, above []uint32) { addAbove(out, in, above[1:]) },
	func(out, in, above []uint32) { addAbove(out, in, above[2:]) },
	func(out, in, above []uint32) { addAbove(out, in, above) },
	predictWith(func(l, tl, t, tr uint32) uint32 { return average(average(l, tr), t) }),
	predictWith(func(l, tl, t, tr uint32) uint32 { return average(l, tl) }),
	predictWith(func(l, tl, t, tr uint32) uint32 { return average(l, t) }),
	predictWith(func(l, tl, t, tr uint32) uint32 { return average(tl, t) }),
	predictWith(func(l, tl, t, tr uint32) uint32 { return average(t, tr) }),
	predictWith(func(l, tl, t, tr uint32) uint32 { return average(average(l, tl), average(t, tr)) }),
	predictWith(func(l, tl, t, tr uint32) uint32 { return choose(l, t, tl) }),
	predictWith(func(l, tl, t, tr uint32) uint32 { return clampedSum(l, t, tl) }),
	predictWith(func(l, tl, t, tr uint32) uint32 { return clampedHalf(average(l, t), tl) }),
	addBlack, addBlack, // not in use, as in libwebp
}

func predictGeneric(mode int, out, in, above []uint32) { predictors[mode](out, in, above) }

func addBlack(out, in, _ []uint32) {
	for i := 1; i < len(out); i++ {
		out[i] = add(in[i], black)
	}
}

func addLeft(out, in, _ []uint32) {
	for i := 1; i < len(out); i++ {
		out[i] = add(in[i], out[i-1])
	}
}

func addAbove(out, in, above []uint32) {
	above = above[:len(out)-1]
	for i, v := range above {
		out[i+1] = add(in[i+1], v)
	}
}

// predictWith returns a predictor from a function of the pixels to the left, above and to the left,
// above, and above and to the right.
func predictWith(f func(l, tl, t, tr uint32) uint32) func(out, in, above []uint32) {
	return func(out, in, above []uint32) {
		left := out[0]
		for i := 1; i < len(out); i++ {
			left = add(in[i], f(left, above[i-1], above[i], above[i+1]))
			out[i] = left
		}
	}
}

// choose returns the one of l and t that is more like the gradient.
func choose(l, t, tl uint32) uint32 {
	difference := func(a, b uint32, shift int) int {
		return max(int(a>>shift&255)-int(b>>shift&255), int(b>>shift&255)-int(a>>shift&255))
	}
	excess := 0
	for shift := 0; shift < 32; shift += 8 {
		excess += difference(l, tl, shift) - difference(t, tl, shift)
	}
	if excess > 0 {
		return l
	}
	return t
}

// clampedSum computes a + b − c of each channel.
func clampedSum(a, b, c uint32) (v uint32) {
	for shift := 0; shift < 32; shift += 8 {
		s := int(a>>shift&255) + int(b>>shift&255) - int(c>>shift&255)
		v |= uint32(min(max(s, 0), 255)) << shift
	}
	return v
}

// clampedHalf computes a + (a − b) / 2 of each channel, where the division rounds towards zero.
func clampedHalf(a, b uint32) (v uint32) {
	for shift := 0; shift < 32; shift += 8 {
		level := int(a >> shift & 255)
		s := level + (level-int(b>>shift&255))/2
		v |= uint32(min(max(s, 0), 255)) << shift
	}
	return v
}

// addColourGeneric adds products of green to red and blue, and of red to blue (RFC 9649, section
// 3.5.2). The factors are those of green to red, green to blue and red to blue, from the lowest byte.
func addColourGeneric(out, in []uint32, factors uint32) {
	product := func(shift int, level uint32) uint32 {
		return uint32(int32(int8(factors>>shift)) * int32(int8(level)) >> 5)
	}
	for i, v := range in {
		g := v >> 8
		r := (v>>16 + product(0, g)) & 255
		b := (v + product(8, g) + product(16, r)) & 255
		out[i] = v&0xff00ff00 | r<<16 | b
	}
}

// addGreenGeneric adds green to red and blue (RFC 9649, section 3.5.3).
func addGreenGeneric(out, in []uint32) {
	for i, v := range in {
		g := v >> 8 & 255
		out[i] = v&0xff00ff00 | (v&0x00ff00ff+(g<<16|g))&0x00ff00ff
	}
}

// packGeneric writes pixels as red, green and blue.
func packGeneric(out []uint8, in []uint32) {
	for i, v := range in {
		o := out[3*i:][:3]
		o[0], o[1], o[2] = uint8(v>>16), uint8(v>>8), uint8(v)
	}
}
