//go:build ((amd64 || arm64) && !purego) || (js && simd128)

package kernel

import "unsafe"

// gemmTile is the argument of the micro-kernels. The generator has the same layout. Strides are in
// bytes.
type gemmTile struct {
	dst, a, b, bias, residual unsafe.Pointer
	dstStride, aStride        uintptr
	segments, segmentLen      uintptr
	segmentStep               uintptr // from the end of a segment to the next
	residualStride            uintptr
	next                      uintptr // from b to what to prefetch into the second-level cache
	mask                      uintptr // of the last vector, from makeMask
	low, high                 float32
}

// tileRows is the number of rows of each level's largest micro-kernel.
var tileRows = [...]int{AVX2: 6, AVX512: maxTileRows, NEON: 8, SIMD128: 6}

const (
	// groupValues limits the values of B in a group of panels to half of a core's second-level
	// cache (1 MiB on Zen 4).
	groupValues = 128 << 10
	// blockValues limits the values of A in a block of rows to the larger part of the first-level
	// cache (32 KiB).
	blockValues = 5 << 10
)

// gemmRun is what gemmVector keeps from tile to tile.
type gemmRun struct {
	*Gemm
	tile      gemmTile
	copied    bool // a tile's rows are in Scratch
	block     int  // tiles in a block of rows
	rowHigh   int
	panelHigh int
}

// gemmVector goes through groups of panels of B, in each through blocks of rows of
// A, and in these through panels and tiles. So a block is loaded from memory once per
// group, and dst is written from front to back.
func gemmVector(g *Gemm, rowLow, rowHigh, panelLow, panelHigh int) {
	const value = unsafe.Sizeof(float32(0))
	r := gemmRun{Gemm: g, rowHigh: rowHigh, panelHigh: panelHigh, tile: gemmTile{
		dstStride:      uintptr(g.DstStride) * value,
		aStride:        uintptr(g.AStride) * value,
		segments:       uintptr(g.Segments),
		segmentLen:     uintptr(g.SegmentLen),
		segmentStep:    uintptr(g.SegmentStride-g.SegmentLen) * value,
		residualStride: uintptr(g.ResidualStride) * value,
	}}
	r.tile.low, r.tile.high = g.Activation.bounds()
	largest := tileRows[g.B.level]
	group := max(1, groupValues/(g.B.PanelColumns*g.B.Rows))
	r.block = max(1, blockValues/(largest*g.B.Rows))
	needed := ScratchLen(g.AStride)
	r.copied = g.Segments == 1 && needed > 0 && len(g.Scratch) >= needed
	if r.copied { // one tile for all panels of a group
		r.tile.aStride = uintptr(g.AStride+scratchPad) * value
		r.block = 1
	}
	tiles := (rowHigh - rowLow + largest - 1) / largest
	for first := panelLow; first < panelHigh; first += group {
		for low, left := rowLow, tiles; left > 0; left -= r.block {
			high := low
			for p := first; p < min(first+group, panelHigh); p++ {
				high = r.computeBlock(p, low, left, p == first)
			}
			low = high
		}
	}
}

// computeBlock computes the rows from low on of a block of one panel and returns the row
// behind it. left is the number of tiles up to rowHigh.
func (r *gemmRun) computeBlock(p, low, left int, copyRows bool) int {
	t := &r.tile
	column, width, panel := r.B.panel(p)
	eights := (width + 7) / 8
	last := 8 // values in the last vector
	if r.B.level == AVX512 && eights%2 == 0 {
		last = 16
	}
	t.b, t.mask = unsafe.Pointer(&panel[0]), makeMask(r.B.level, width%last)
	if r.Bias != nil {
		t.bias = unsafe.Pointer(&r.Bias[column])
	}
	for tile := left; tile > max(0, left-r.block); tile-- {
		rows := (r.rowHigh - low + tile - 1) / tile
		t.dst, t.a = unsafe.Pointer(&r.Dst[low*r.DstStride+column]), unsafe.Pointer(&r.A[low*r.AStride])
		if r.Residual != nil {
			t.residual = unsafe.Pointer(&r.Residual[low*r.ResidualStride+column])
		}
		if r.copied {
			if copyRows {
				r.copyRows(low, rows)
			}
			t.a = unsafe.Pointer(&r.Scratch[0])
		}
		// The next panel is prefetched while the last tile of this one is computed.
		if t.next = 0; tile == max(1, left-r.block+1) && p+1 < r.panelHigh {
			t.next = uintptr(r.B.PanelColumns*r.B.Rows) * unsafe.Sizeof(float32(0))
		}
		gemmKernels[r.B.level][rows][eights](noescape((*byte)(unsafe.Pointer(t))))
		low += rows
	}
	return low
}

// copyRows copies a tile's rows of A to Scratch.
func (g *Gemm) copyRows(low, rows int) {
	for i := range rows {
		copy(g.Scratch[i*(g.AStride+scratchPad):][:g.SegmentLen], g.A[(low+i)*g.AStride:])
	}
}
