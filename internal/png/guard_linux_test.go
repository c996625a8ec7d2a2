package png

import (
	"testing"

	"garb/internal/fence"
)

// TestKernelsStayInside runs the kernels on memory that ends, or begins, with their slices.
func TestKernelsStayInside(t *testing.T) {
	for _, atEnd := range []bool{false, true} {
		for n := range 100 {
			out, data := fence.Make[uint8](t, n, atEnd), fence.Make[uint8](t, n, atEnd)
			above := fence.Make[uint8](t, n, atEnd)
			for filter := uint8(1); filter <= 4; filter++ {
				for _, bpp := range []int{3, 4} {
					unfilter(filter, out, data, above, bpp)
				}
			}
		}
	}
}
