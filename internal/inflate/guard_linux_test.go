package inflate

import (
	"testing"

	"garb/internal/fence"
)

// TestAdlerStaysInside sums bytes that end, or begin, where memory ends.
func TestAdlerStaysInside(t *testing.T) {
	for _, atEnd := range []bool{false, true} {
		for n := range 100 {
			if a, b := sumAdler(1, 0, fence.Make[byte](t, n, atEnd)); a != 1 || b != uint32(n) {
				t.Errorf("%d zeros have the sums %d and %d", n, a, b)
			}
		}
	}
}
