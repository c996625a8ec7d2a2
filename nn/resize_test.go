package nn

import (
	"slices"
	"testing"
)

// TestNearest checks that centres between two pixels are rounded as in TensorFlow 2.21
// (tf.image.resize), which does not always take the later pixel.
func TestNearest(t *testing.T) {
	for _, c := range []struct {
		from int
		want []int
	}{
		{48, []int{0, 1, 3, 4, 5, 7, 8, 9, 11, 12, 13, 14, 16, 17, 18, 20, 21, 22, 23, 25, 26, 27, 29, 30, 31, 33, 34,
			35, 36, 38, 39, 40, 42, 43, 44, 46, 47}},
		// 41 places, of which the middle one lies on the border
		{2, append(make([]int, 21), slices.Repeat([]int{1}, 20)...)},
		{10, []int{1, 5, 8}},
		{14, []int{0, 0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7, 7, 8, 9, 9, 10, 11, 11, 12, 13, 13}},
		{3, []int{0, 0, 1, 1, 1, 2, 2}},
	} {
		if got := Nearest(c.from, len(c.want)); !slices.Equal(got, c.want) {
			t.Errorf("%d places of %d are %v, want %v", len(c.want), c.from, got, c.want)
		}
	}
}
