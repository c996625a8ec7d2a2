//go:build (amd64 || arm64) && !purego

package kernel

import "unsafe"

// outerTile is the argument of the outer functions. The generator has the same layout. Strides are
// in bytes. b is packed: a row has whole vectors.
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

// outerRows is the number of rows of each level's largest outer function.
var outerRows = [...]int{AVX2: 6, AVX512: maxTileRows, NEON: 6}

// outerVector goes through groups of panels of b, which it packs, in each through tiles of rows of
// dst, whose columns of a it packs, and in these through the panels. So a tile's rows of dst are
// written from front to back, and packed values stay in a near cache.
func outerVector(o *Outer, low, count int) {
	const value = unsafe.Sizeof(float32(0))
	lanes := level.lanes()
	width := 2 * lanes
	panels, a := o.Scratch[:outerPanelValues], o.Scratch[outerPanelValues:]
	group := max(1, outerPanelValues/(count*width)) * width // columns
	t := outerTile{
		a: unsafe.Pointer(&a[0]), count: count,
		dstStride: uintptr(o.Columns) * value, aStride: uintptr(lanes) * value,
	}
	lines := linesTile{count: count}
	tiles := (o.Rows + outerRows[level] - 1) / outerRows[level]
	for first := 0; first < o.Columns; first += group {
		end := min(first+group, o.Columns)
		lines.stride = uintptr(o.BStride) * value
		for column := first; column < end; column += width {
			lines.dst = unsafe.Pointer(&panels[(column-first)*count])
			lines.src = unsafe.Pointer(&o.B[low*o.BStride+column])
			lines.sums = unsafe.Pointer(&o.dummySums[0])
			if o.Sums != nil {
				lines.sums = unsafe.Pointer(&o.Sums[column])
			}
			packColumns(&lines, min(width, o.Columns-column))
		}
		lines.dst, lines.stride, lines.sums = t.a, uintptr(o.AStride)*value, unsafe.Pointer(&o.dummySums[0])
		for m, left := 0, tiles; left > 0; left-- {
			rows := (o.Rows - m + left - 1) / left
			lines.src = unsafe.Pointer(&o.A[low*o.AStride+m])
			packColumns(&lines, rows)
			for column := first; column < end; column += width {
				columns := min(width, o.Columns-column)
				t.mask = makeMask(level, columns%lanes)
				t.dst, t.b = unsafe.Pointer(&o.Dst[m*o.Columns+column]), unsafe.Pointer(&panels[(column-first)*count])
				outerKernels[level][rows][(columns+lanes-1)/lanes](noescape((*byte)(unsafe.Pointer(&t))))
			}
			m += rows
		}
	}
}

// packColumns copies up to two vectors of columns and fills the last one up with zeros.
func packColumns(t *linesTile, columns int) {
	lanes := level.lanes()
	t.mask = makeMask(level, columns%lanes)
	packKernels[level][(columns+lanes-1)/lanes](noescape((*byte)(unsafe.Pointer(t))))
}
