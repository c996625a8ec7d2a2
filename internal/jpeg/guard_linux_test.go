package jpeg

import (
	"testing"

	"garb/internal/fence"
)

// TestKernelsStayInside runs the kernels on memory that ends, or begins, with what they may use.
func TestKernelsStayInside(t *testing.T) {
	for _, atEnd := range []bool{false, true} {
		bytes := func(n int) []byte { return fence.Make[byte](t, n, atEnd) }
		words := func(n int) []int16 { return fence.Make[int16](t, n, atEnd) }
		for _, stride := range []int{8, 9, 16, 100} {
			block, quantization := (*[64]int16)(words(64)), (*[64]int16)(words(64))
			for _, v := range []int16{0, 1, 20000} {
				block[0], quantization[0] = v, 1
				transformVector(block, quantization, bytes(7*stride+8), stride)
			}
		}
		for n := 1; n < 70; n++ {
			whole := (n + vectorSamples - 1) / vectorSamples * vectorSamples
			addRows(words(whole), bytes(whole)[:n], bytes(whole)[:n])
			expand(bytes(2*whole), words(whole+2), n, 8, 7, 4)
			yccToRGB(bytes(3*n), bytes(n), bytes(n), bytes(n), nil)
		}
	}
}
