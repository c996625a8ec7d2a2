package picture

import (
	"testing"

	"garb/internal/fence"
)

// TestKernelsStayInside runs the kernels on memory that ends, or begins, with their slices.
func TestKernelsStayInside(t *testing.T) {
	for _, atEnd := range []bool{false, true} {
		bytes := func(n int) []uint8 { return fence.Make[uint8](t, n, atEnd) }
		for in := 1; in < 40; in++ {
			row := bytes(3 * in)
			for _, out := range []int{1, in/2 + 1, in, 2*in + 1} {
				dst := [2][]uint8{bytes(3*out + rowSlack), bytes(3*out + rowSlack)}
				for _, filter := range []Filter{Bilinear, Bicubic} {
					scaleRows(dst[0], dst[1], row, row, newWeights(in, out, filter))
				}
			}
		}
		for width := range 100 {
			for _, k := range [][]int32{{1}, {3, 4, 5, 6, 7}} {
				mixRows(bytes(width), bytes(width*len(k)), width, k)
			}
			normalize(fence.Make[float32](t, width, atEnd), bytes(width), [3]float32{}, [3]float32{1, 1, 1})
		}
	}
}
