package vp8

import (
	"testing"

	"garb/internal/fence"
)

// TestKernelsStayInside runs the kernels on memory that ends, or begins, with what they may use.
func TestKernelsStayInside(t *testing.T) {
	for _, atEnd := range []bool{false, true} {
		bytes := func(n int) []uint8 { return fence.Make[uint8](t, n, atEnd) }
		const lumaStride, chromaStride = 16 + padding, 8 + padding
		c := rowCache{lumaStride: lumaStride, chromaStride: chromaStride,
			luma: bytes(19*lumaStride + 16), u: bytes(11*chromaStride + 8), v: bytes(11*chromaStride + 8)}
		s := newStrength(40, 3)
		s.inner = true
		filterNormal(&c, 4*lumaStride, 4*chromaStride, s, true, true)
		filterSimple(c.luma, 4*lumaStride, lumaStride, s, true, true)

		w := (*workspace)(bytes(len(workspace{})))
		blocks := (*[32]int16)(fence.Make[int16](t, 32, atEnd))
		addTwo(blocks, w, len(w)-3*workStride-8)
		addOne((*[16]int16)(fence.Make[int16](t, 16, atEnd)), w, len(w)-3*workStride-4)
		for at, size := range map[int]int{lumaAt: 16, uAt: 8, vAt: 8} {
			predictTrueMotion(w, at, size)
		}
		for n := 1; n < 70; n++ {
			whole := (n + 15) / 16 * 16
			upsample(bytes(2*whole+1), bytes(whole+1), bytes(whole+1), n)
			row := func() []uint8 { return bytes(whole + 16) }
			convert(bytes(3*n), row(), row(), row())
		}
	}
}
