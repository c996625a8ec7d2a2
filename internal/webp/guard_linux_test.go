package webp

import (
	"testing"

	"garb/internal/fence"
)

// TestBlendStaysInside blends pixels that end, or begin, where memory ends.
func TestBlendStaysInside(t *testing.T) {
	for _, atEnd := range []bool{false, true} {
		for n := range 100 {
			blend(fence.Make[uint8](t, 3*n, atEnd), fence.Make[uint8](t, n, atEnd))
		}
	}
}
