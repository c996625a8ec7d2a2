package diagram

import (
	"encoding/xml"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"garb/nn"
)

func residual() *nn.Graph {
	b := nn.NewBuilder(16, 16, 3)
	x := b.ReLU(b.BatchNorm("stem/bn", b.Conv("stem", b.Input(), 8, 3, 2, nn.Same), 1e-3))
	y := b.ReLU(b.Conv("a", x, 8, 3, 1, nn.Same))
	y = b.Conv("b", y, 8, 3, 1, nn.Same)
	return b.Build(b.Dense("<d>", b.GlobalAveragePool(b.Add(x, y)), 5))
}

func TestBoxes(t *testing.T) {
	boxes := Boxes(residual())
	want := []struct {
		layers, above []int
		row           int
	}{
		{[]int{0}, nil, 0}, {[]int{1, 2, 3}, []int{0}, 1}, {[]int{4, 5}, []int{1}, 2}, {[]int{6}, []int{2}, 3},
		{[]int{7}, []int{1, 3}, 4}, {[]int{8}, []int{4}, 5}, {[]int{9}, []int{5}, 6},
	}
	if len(boxes) != len(want) {
		t.Fatalf("%d boxes: %v", len(boxes), boxes)
	}
	for i, b := range boxes {
		if !slices.Equal(b.Layers, want[i].layers) || !slices.Equal(b.Above, want[i].above) ||
			b.row != want[i].row || b.column != 0 {
			t.Errorf("box %d is %v, want %v", i, b, want[i])
		}
	}
	// Branches stand beside one another.
	b := nn.NewBuilder(8, 8, 3)
	x := b.Conv("x", b.Input(), 4, 1, 1, nn.Same)
	g := b.Build(b.Concat(b.Conv("y", x, 4, 3, 1, nn.Same), b.Conv("z", x, 4, 5, 1, nn.Same)))
	if boxes := Boxes(g); boxes[2].column != 0 || boxes[3].column != 1 || boxes[2].row != boxes[3].row {
		t.Errorf("%v", boxes)
	}
}

func TestWriteSVG(t *testing.T) {
	g := residual()
	times := make([]time.Duration, len(g.Layers()))
	times[1] = 1500 * time.Microsecond
	for _, times := range [][]time.Duration{nil, times} {
		var s strings.Builder
		if err := WriteSVG(&s, g, "a & b", times); err != nil {
			t.Fatal(err)
		}
		d := xml.NewDecoder(strings.NewReader(s.String()))
		for {
			if _, err := d.Token(); errors.Is(err, io.EOF) {
				break
			} else if err != nil {
				t.Fatal(err)
			}
		}
		for text, want := range map[string]bool{
			"a &amp; b": true, "&lt;d&gt;": true, "Conv 3×3 /2, 8": true, "BatchNorm, ReLU": true,
			"1.500 ms": times != nil, `class="heat"`: times != nil,
		} {
			if got := strings.Contains(s.String(), text); got != want {
				t.Errorf("%q: %v", text, got)
			}
		}
		if n := strings.Count(s.String(), "<g>"); n != 7 {
			t.Errorf("%d boxes", n)
		}
	}
}

func TestShort(t *testing.T) {
	for n, want := range map[int]string{
		7: "7", 999: "999", 4650: "4.65 k", 4_650_000: "4.65 M", 1_200_000_000: "1.2 G",
	} {
		if got := Short(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
