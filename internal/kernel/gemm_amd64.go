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
	mask                      uintptr // of the last vector: bits, or the address of one; 0 if it is full
	low, high                 float32
}

// tileRows is the number of rows of each level's largest micro-kernel.
var tileRows = [...]int{AVX2: 6, AVX512: maxTileRows}

// gemmVector goes through the panels, and for each through tiles of rows of
// nearly one size. B's panel stays in the caches meanwhile.
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
	vector := panelColumns[level].vector
	scratchLen := ScratchLen(g.AStride)
	copied := g.Segments == 1 && scratchLen > 0 && len(g.Scratch) >= scratchLen
	if copied {
		t.aStride = uintptr(g.AStride+scratchPad) * value
	}
	tiles := (rowHigh - rowLow + tileRows[level] - 1) / tileRows[level]
	for p := panelLow; p < panelHigh; p++ {
		column, width, panel := g.B.panel(p)
		vectors := (width + vector - 1) / vector
		t.b, t.mask = unsafe.Pointer(&panel[0]), maskOf(level, width%vector)
		if g.Bias != nil {
			t.bias = unsafe.Pointer(&g.Bias[column])
		}
		for low, left := rowLow, tiles; left > 0; left-- {
			rows := (rowHigh - low + left - 1) / left
			t.dst, t.a = unsafe.Pointer(&g.Dst[low*g.DstStride+column]), unsafe.Pointer(&g.A[low*g.AStride])
			if g.Residual != nil {
				t.residual = unsafe.Pointer(&g.Residual[low*g.ResidualStride+column])
			}
			if copied {
				for i := range rows {
					copy(g.Scratch[i*(g.AStride+scratchPad):][:g.SegmentLen], g.A[(low+i)*g.AStride:])
				}
				t.a = unsafe.Pointer(&g.Scratch[0])
			}
			if level == AVX512 {
				gemmTileAVX512(rows, vectors, (*byte)(unsafe.Pointer(&t)))
			} else {
				gemmTileAVX2(rows, vectors, (*byte)(unsafe.Pointer(&t)))
			}
			low += rows
		}
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

// gemmTileAVX512 calls the micro-kernel for a tile's size. The calls are direct, so
// that the tile stays on the stack.
func gemmTileAVX512(rows, vectors int, t *byte) {
	switch rows<<2 | vectors {
	case 1<<2 | 1:
		gemm1x1AVX512(t)
	case 1<<2 | 2:
		gemm1x2AVX512(t)
	case 2<<2 | 1:
		gemm2x1AVX512(t)
	case 2<<2 | 2:
		gemm2x2AVX512(t)
	case 3<<2 | 1:
		gemm3x1AVX512(t)
	case 3<<2 | 2:
		gemm3x2AVX512(t)
	case 4<<2 | 1:
		gemm4x1AVX512(t)
	case 4<<2 | 2:
		gemm4x2AVX512(t)
	case 5<<2 | 1:
		gemm5x1AVX512(t)
	case 5<<2 | 2:
		gemm5x2AVX512(t)
	case 6<<2 | 1:
		gemm6x1AVX512(t)
	case 6<<2 | 2:
		gemm6x2AVX512(t)
	case 7<<2 | 1:
		gemm7x1AVX512(t)
	case 7<<2 | 2:
		gemm7x2AVX512(t)
	case 8<<2 | 1:
		gemm8x1AVX512(t)
	case 8<<2 | 2:
		gemm8x2AVX512(t)
	case 9<<2 | 1:
		gemm9x1AVX512(t)
	case 9<<2 | 2:
		gemm9x2AVX512(t)
	case 10<<2 | 1:
		gemm10x1AVX512(t)
	case 10<<2 | 2:
		gemm10x2AVX512(t)
	case 11<<2 | 1:
		gemm11x1AVX512(t)
	case 11<<2 | 2:
		gemm11x2AVX512(t)
	case 12<<2 | 1:
		gemm12x1AVX512(t)
	case 12<<2 | 2:
		gemm12x2AVX512(t)
	case 13<<2 | 1:
		gemm13x1AVX512(t)
	case 13<<2 | 2:
		gemm13x2AVX512(t)
	case 14<<2 | 1:
		gemm14x1AVX512(t)
	case 14<<2 | 2:
		gemm14x2AVX512(t)
	}
}

// gemmTileAVX2 calls the micro-kernel for a tile's size. The calls are direct, so
// that the tile stays on the stack.
func gemmTileAVX2(rows, vectors int, t *byte) {
	switch rows<<2 | vectors {
	case 1<<2 | 1:
		gemm1x1AVX2(t)
	case 1<<2 | 2:
		gemm1x2AVX2(t)
	case 2<<2 | 1:
		gemm2x1AVX2(t)
	case 2<<2 | 2:
		gemm2x2AVX2(t)
	case 3<<2 | 1:
		gemm3x1AVX2(t)
	case 3<<2 | 2:
		gemm3x2AVX2(t)
	case 4<<2 | 1:
		gemm4x1AVX2(t)
	case 4<<2 | 2:
		gemm4x2AVX2(t)
	case 5<<2 | 1:
		gemm5x1AVX2(t)
	case 5<<2 | 2:
		gemm5x2AVX2(t)
	case 6<<2 | 1:
		gemm6x1AVX2(t)
	case 6<<2 | 2:
		gemm6x2AVX2(t)
	}
}
