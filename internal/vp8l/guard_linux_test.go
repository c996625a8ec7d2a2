package vp8l

import (
	"testing"

	"garb/internal/fence"
)

// TestKernelsStayInside runs the kernels on memory that ends, or begins, with their slices.
func TestKernelsStayInside(t *testing.T) {
	for _, atEnd := range []bool{false, true} {
		for n := range 70 {
			pixels := func(n int) []uint32 { return fence.Make[uint32](t, n, atEnd) }
			for mode := range 14 {
				predict(mode, pixels(n+1), pixels(n+1), pixels(n+2))
			}
			addColour(pixels(n), pixels(n), 0x123456)
			addGreen(pixels(n), pixels(n))
			Pack(fence.Make[uint8](t, 3*n, atEnd), pixels(n))
		}
	}
}
