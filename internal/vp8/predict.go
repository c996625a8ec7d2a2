package vp8

import (
	"bytes"
	"encoding/binary"
)

// Modes of intra prediction (RFC 6386, section 12). Whole macroblocks and chroma have the first four.
const (
	modeDC = iota
	modeTrueMotion
	modeVertical
	modeHorizontal
	modeDownRight
	modeVerticalRight
	modeDownLeft
	modeVerticalLeft
	modeHorizontalDown
	modeHorizontalUp
	subblockModes
)

// workspace is a macroblock while it is predicted, beside the samples that it is predicted from: a row
// above each plane, with a sample to its left and, for luma, four to its right; and a column to the
// left. Luma is at the top, below it both chroma planes side by side.
type workspace [26 * workStride]uint8

const (
	workStride = 32
	lumaAt     = 1*workStride + 8
	uAt        = 18*workStride + 8
	vAt        = 18*workStride + 24
)

// predictSquare predicts size × size samples at w[at]. DC leaves out edges outside of the picture.
func predictSquare(w *workspace, at, size, mode int, hasAbove, hasLeft bool) {
	switch mode {
	case modeTrueMotion:
		predictTrueMotion(w, at, size)
	case modeVertical:
		above := w[at-workStride:][:size]
		for y := range size {
			copy(w[at+y*workStride:][:size], above)
		}
	case modeHorizontal:
		for y := range size {
			row := w[at+y*workStride-1:][:size+1]
			fill(row[1:], row[0])
		}
	default:
		dc := averageEdges(w, at, size, hasAbove, hasLeft)
		for y := range size {
			fill(w[at+y*workStride:][:size], dc)
		}
	}
}

func averageEdges(w *workspace, at, size int, hasAbove, hasLeft bool) uint8 {
	sum, n := 0, 0
	if hasAbove {
		for _, v := range w[at-workStride:][:size] {
			sum += int(v)
		}
		n += size
	}
	if hasLeft {
		for y := range size {
			sum += int(w[at+y*workStride-1])
		}
		n += size
	}
	if n == 0 {
		return 128
	}
	return uint8((sum + n/2) / n)
}

// fill sets all of row, whose length is a multiple of 8, to v.
func fill(row []uint8, v uint8) {
	for ; len(row) >= 8; row = row[8:] {
		binary.LittleEndian.PutUint64(row, uint64(v)*0x0101010101010101)
	}
}

func predictTrueMotionGeneric(w *workspace, at, size int) {
	above := w[at-workStride-1:][:size+1]
	for y := range size {
		row := w[at+y*workStride-1:][:size+1]
		d := int32(row[0]) - int32(above[0])
		for x := 1; x < len(row) && x < len(above); x++ {
			row[x] = clamp(int32(above[x]) + d)
		}
	}
}

// predictSubblock predicts 4 × 4 samples at w[at]. Samples are handled as bytes of integers, the first
// in the lowest byte.
func predictSubblock(w *workspace, at, mode int) {
	corner := uint64(w[at-workStride-1])
	above := binary.LittleEndian.Uint64(w[at-workStride:])
	var left [4]uint64
	for y := range left {
		left[y] = uint64(w[at+y*workStride-1])
	}
	var r [4]uint64
	switch mode {
	case modeDC:
		sum := uint64(4)
		for i, l := range left {
			sum += l + above>>(8*i)&0xff
		}
		r[0] = sum >> 3 * 0x01010101
		r[1], r[2], r[3] = r[0], r[0], r[0]
	case modeTrueMotion:
		predictTrueMotionGeneric(w, at, 4)
		return
	case modeVertical:
		r[0] = average3(above<<8|corner, above, above>>8)
		r[1], r[2], r[3] = r[0], r[0], r[0]
	case modeHorizontal:
		edge := corner | left[0]<<8 | left[1]<<16 | left[2]<<24 | left[3]<<32 | left[3]<<40
		v := average3(edge, edge>>8, edge>>16)
		for y := range r {
			r[y] = v >> (8 * y) & 0xff * 0x01010101
		}
	case modeDownLeft, modeVerticalLeft:
		r = predictFromAbove(above, mode)
	case modeHorizontalUp:
		edge := left[0] | left[1]<<8 | left[2]<<16 | left[3]*0x0101010101<<24
		s := interleave(average2(edge, edge>>8), average3(edge, edge>>8, edge>>16))
		r = [4]uint64{s, s >> 16, s >> 32, left[3] * 0x01010101}
	default:
		edge := left[3] | left[2]<<8 | left[1]<<16 | left[0]<<24 | corner<<32 | above<<40
		r = predictFromCorner(edge, above>>24&0xff, mode)
	}
	for y, v := range r {
		binary.LittleEndian.PutUint32(w[at+y*workStride:], uint32(v))
	}
}

// predictFromAbove predicts rows from the eight samples above.
func predictFromAbove(above uint64, mode int) (r [4]uint64) {
	next := above >> 8
	smooth := average3(above, next, next>>8|above>>56<<48)
	if mode == modeDownLeft {
		return [4]uint64{smooth, smooth >> 8, smooth >> 16, smooth >> 24}
	}
	half := average2(above, next)
	return [4]uint64{half, smooth, half>>8&0xffffff | smooth>>32<<24, smooth>>8&0xffffff | smooth>>40<<24}
}

// predictFromCorner predicts rows from the edge that runs from the lowest sample on the left over the
// corner to the third above, and the fourth above.
func predictFromCorner(edge, fourth uint64, mode int) (r [4]uint64) {
	next := edge>>8 | fourth<<56
	smooth := average3(edge, next, next>>8)
	half := average2(edge, next)
	switch mode {
	case modeDownRight:
		return [4]uint64{smooth >> 24, smooth >> 16, smooth >> 8, smooth}
	case modeVerticalRight:
		r[0], r[1] = half>>32, smooth>>24
		return [4]uint64{r[0], r[1], r[0]<<8 | smooth>>16&0xff, r[1]<<8 | smooth>>8&0xff}
	}
	s := interleave(half, smooth)
	return [4]uint64{s>>48 | smooth>>32<<16, s >> 32, s >> 16, s}
}

// average2 averages bytes, rounding up.
func average2(a, b uint64) uint64 { return (a | b) - (a^b)>>1&0x7f7f7f7f7f7f7f7f }

// average3 computes (a + 2b + c + 2) / 4 of bytes.
func average3(a, b, c uint64) uint64 {
	return average2(b, a&c+(a^c)>>1&0x7f7f7f7f7f7f7f7f)
}

// interleave alternates the first four bytes of a and b.
func interleave(a, b uint64) uint64 {
	spread := func(v uint64) uint64 {
		v &= 0xffffffff
		v = (v | v<<16) & 0x0000ffff0000ffff
		return (v | v<<8) & 0x00ff00ff00ff00ff
	}
	return spread(a) | spread(b)<<8
}

// replicate repeats the samples above and to the right of the macroblock for the subblocks below.
func (w *workspace) replicate() {
	const at = lumaAt - workStride + 16
	for y := 4; y < 16; y += 4 {
		copy(w[at+y*workStride:][:4], w[at:][:4])
	}
}

// shift moves the last columns of the macroblock to where they are to the left of the next.
func (w *workspace) shift() {
	for y := range 17 {
		w[lumaAt+(y-1)*workStride-1] = w[lumaAt+(y-1)*workStride+15]
	}
	for y := range 9 {
		w[uAt+(y-1)*workStride-1] = w[uAt+(y-1)*workStride+7]
		w[vAt+(y-1)*workStride-1] = w[vAt+(y-1)*workStride+7]
	}
}

// startRow sets the samples to the left of the picture (RFC 6386, section 12.2).
func (w *workspace) startRow(y int) {
	for i := range 17 {
		w[lumaAt+(i-1)*workStride-1] = 129
	}
	for i := range 9 {
		w[uAt+(i-1)*workStride-1] = 129
		w[vAt+(i-1)*workStride-1] = 129
	}
	if y > 0 {
		return
	}
	outside := bytes.Repeat([]byte{127}, 21)
	copy(w[lumaAt-workStride-1:], outside)
	copy(w[uAt-workStride-1:], outside[:9])
	copy(w[vAt-workStride-1:], outside[:9])
}
