//go:build !purego

package kernel

import "unsafe"

// outerTile is the argument of the outer functions; the generator has its layout.
// Strides are in bytes. b is packed: a row takes the tile's whole vectors.
type outerTile struct {
	dst, a, b          unsafe.Pointer
	count              int
	dstStride, aStride uintptr
	mask               uintptr // as in gemmTile
}

// linesTile is the argument of the packLines functions.
type linesTile struct {
	dst, src, sums unsafe.Pointer
	count          int
	stride         uintptr
	mask           uintptr
}

// outerValues is how much of a a group of dst's rows may read: half of a core's
// second-level cache (1 MiB on Zen 4).
const outerValues = 100000 << 10

// outerVector goes through groups of rows of dst, in each through panels of b, which it
// packs, and in these through tiles. So a comes from memory once.
func outerVector(o *Outer, low, count int) {
	const value = unsafe.Sizeof(float32(0))
	lanes := 8
	if level == AVX512 {
		lanes = 16
	}
	t := outerTile{
		b: unsafe.Pointer(&o.Scratch[0]), count: count,
		dstStride: uintptr(o.Columns) * value, aStride: uintptr(o.AStride) * value,
	}
	lines := linesTile{dst: t.b, count: count, stride: uintptr(o.BStride) * value}
	tiles := (o.Rows + tileRows[level] - 1) / tileRows[level]
	group := max(1, outerValues/(count*tileRows[level])) // in tiles
	for m := 0; tiles > 0; tiles -= group {
		first := m
		for column := 0; column < o.Columns; column += 2 * lanes {
			width := min(2*lanes, o.Columns-column)
			vectors := (width + lanes - 1) / lanes
			t.mask = maskOf(level, width%lanes)
			lines.mask = t.mask
			lines.src = unsafe.Pointer(&o.B[low*o.BStride+column])
			lines.sums = unsafe.Pointer(&o.dummySums[0])
			if o.Sums != nil && first == 0 {
				lines.sums = unsafe.Pointer(&o.Sums[column])
			}
			packLines(vectors, (*byte)(unsafe.Pointer(&lines)))
			m = first
			for left := tiles; left > max(0, tiles-group); left-- {
				rows := (o.Rows - m + left - 1) / left
				t.dst, t.a = unsafe.Pointer(&o.Dst[m*o.Columns+column]), unsafe.Pointer(&o.A[low*o.AStride+m])
				if level == AVX512 {
					outerAVX512(rows, vectors, (*byte)(unsafe.Pointer(&t)))
				} else {
					outerAVX2(rows, vectors, (*byte)(unsafe.Pointer(&t)))
				}
				m += rows
			}
		}
	}
}

func packLines(vectors int, t *byte) {
	switch {
	case level == AVX512 && vectors == 1:
		packLines16AVX512(t)
	case level == AVX512:
		packLines32AVX512(t)
	case vectors == 1:
		packLines8AVX2(t)
	default:
		packLines16AVX2(t)
	}
}
