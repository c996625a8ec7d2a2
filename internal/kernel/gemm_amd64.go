//go:build !purego

package kernel

import "unsafe"

// gemmTile is the argument of the micro-kernels; the generator has its layout.
// Strides are in bytes.
type gemmTile struct {
	dst, a, b, bias, residual unsafe.Pointer
	dstStride, aStride        uintptr
	segments, segmentLen      uintptr
	segmentStep               uintptr // from the end of a segment to the next
	residualStride            uintptr
	next                      uintptr // from b to what is to be brought into the second-level cache
	mask                      uintptr // of the last vector: bits, or the address of one; 0 if it is full
	low, high                 float32
}

// tileRows is the number of rows of each level's largest micro-kernel.
var tileRows = [...]int{AVX2: 6, AVX512: maxTileRows}

const (
	// groupValues is how much of B a group of panels may hold: half of a core's
	// second-level cache (1 MiB on Zen 4).
	groupValues = 128 << 10
	// blockValues is how much of A a block of rows may hold: the larger part of the
	// first-level cache (32 KiB).
	blockValues = 5 << 10
)

// gemmVector goes through groups of panels of B, in each through blocks of rows of
// A, and in these through panels and tiles. So a block comes from memory once a
// group, and dst is written from front to back.
func gemmVector(g *Gemm, rowLow, rowHigh, panelLow, panelHigh int) {
	const value = unsafe.Sizeof(float32(0))
	t := gemmTile{
		dstStride:      uintptr(g.DstStride) * value,
		aStride:        uintptr(g.AStride) * value,
		segments:       uintptr(g.Segments),
		segmentLen:     uintptr(g.SegmentLen),
		segmentStep:    uintptr(g.SegmentStride-g.SegmentLen) * value,
		residualStride: uintptr(g.ResidualStride) * value,
	}
	t.low, t.high = g.Activation.bounds()
	level := g.B.level
	needed := ScratchLen(g.AStride)
	copied := g.Segments == 1 && needed > 0 && len(g.Scratch) >= needed
	group := max(1, groupValues/(g.B.PanelColumns*g.B.Rows))
	block := max(1, blockValues/(tileRows[level]*g.B.Rows)) // in tiles
	if copied {                                             // a tile for all panels of a group
		t.aStride = uintptr(g.AStride+scratchPad) * value
		block = 1
	}
	tiles := (rowHigh - rowLow + tileRows[level] - 1) / tileRows[level]
	for first := panelLow; first < panelHigh; first += group {
		for blockLow, left := rowLow, tiles; left > 0; left -= block {
			blockHigh := blockLow
			for p := first; p < min(first+group, panelHigh); p++ {
				column, width, panel := g.B.panel(p)
				eights := (width + 7) / 8
				last := 8 // values in the last vector
				if level == AVX512 && eights%2 == 0 {
					last = 16
				}
				t.b, t.mask = unsafe.Pointer(&panel[0]), maskOf(level, width%last)
				if g.Bias != nil {
					t.bias = unsafe.Pointer(&g.Bias[column])
				}
				low := blockLow
				for tile := left; tile > max(0, left-block); tile-- {
					rows := (rowHigh - low + tile - 1) / tile
					t.dst, t.a = unsafe.Pointer(&g.Dst[low*g.DstStride+column]), unsafe.Pointer(&g.A[low*g.AStride])
					if g.Residual != nil {
						t.residual = unsafe.Pointer(&g.Residual[low*g.ResidualStride+column])
					}
					if copied {
						if p == first {
							g.copyRows(low, rows)
						}
						t.a = unsafe.Pointer(&g.Scratch[0])
					}
					// The next panel comes while the last tile of this one is computed.
					if t.next = 0; tile == max(1, left-block+1) && p+1 < panelHigh {
						t.next = uintptr(g.B.PanelColumns*g.B.Rows) * value
					}
					if level == AVX512 {
						gemmAVX512(rows, eights, (*byte)(unsafe.Pointer(&t)))
					} else {
						gemmAVX2(rows, eights, (*byte)(unsafe.Pointer(&t)))
					}
					low += rows
				}
				blockHigh = low
			}
			blockLow = blockHigh
		}
	}
}

// copyRows copies a tile's rows of A to Scratch.
func (g *Gemm) copyRows(low, rows int) {
	for i := range rows {
		copy(g.Scratch[i*(g.AStride+scratchPad):][:g.SegmentLen], g.A[(low+i)*g.AStride:])
	}
}

// partMasks are eight ones and eight zeros: the mask of the first n of 8 values
// begins at 8−n.
var partMasks = [16]int32{-1, -1, -1, -1, -1, -1, -1, -1}

// maskOf returns the mask of the first n values of a vector, 0 for n = 0.
func maskOf(level Level, n int) uintptr {
	switch {
	case n == 0:
		return 0
	case level == AVX512:
		return 1<<n - 1
	}
	return uintptr(unsafe.Pointer(&partMasks[8-n]))
}
