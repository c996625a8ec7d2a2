package raster

import (
	"errors"
	"math"
	"slices"
	"testing"
)

// TestTurn turns a picture of 3 × 2 pixels, whose pixels are numbered by rows.
func TestTurn(t *testing.T) {
	for orientation, want := range map[int][]int{
		0: {0, 1, 2, 3, 4, 5},
		1: {0, 1, 2, 3, 4, 5},
		2: {2, 1, 0, 5, 4, 3},
		3: {5, 4, 3, 2, 1, 0},
		4: {3, 4, 5, 0, 1, 2},
		5: {0, 3, 1, 4, 2, 5},
		6: {3, 0, 4, 1, 5, 2},
		7: {5, 2, 4, 1, 3, 0},
		8: {2, 5, 1, 4, 0, 3},
		9: {0, 1, 2, 3, 4, 5},
	} {
		m := New(3, 2)
		for i := range m.Pix {
			m.Pix[i] = uint8(i)
		}
		m.AddRepair("one")
		m.AddRepair("one")
		q := m.Turn(orientation)
		var got []int
		for i := 0; i < len(q.Pix); i += 3 {
			if q.Pix[i+1] != q.Pix[i]+1 || q.Pix[i+2] != q.Pix[i]+2 {
				t.Errorf("orientation %d: channels are mixed: %v", orientation, q.Pix)
			}
			got = append(got, int(q.Pix[i])/3)
		}
		wide := 3
		if orientation >= 5 && orientation <= 8 {
			wide = 2
		}
		if !slices.Equal(got, want) || q.Width != wide || q.Width*q.Height != 6 || len(q.Repairs) != 1 {
			t.Errorf("orientation %d: %v, %d × %d, %v; want %v", orientation, got, q.Width, q.Height, q.Repairs, want)
		}
	}
}

func TestOverWhite(t *testing.T) {
	for level := range 256 {
		for alpha := range 256 {
			a := float64(alpha) / 255
			want := uint8(math.Round(float64(level)*a + 255*(1-a)))
			var row [3]uint8
			BlendRow(row[:], []uint8{uint8(level), 255, 0, uint8(alpha)})
			got := OverWhite(uint8(level), uint8(alpha))
			if got != want || row != [3]uint8{want, 255, uint8(255 - alpha)} {
				t.Fatalf("level %d, alpha %d: %d, row %v; want %d", level, alpha, got, row, want)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	if err := CheckPixels(10, 10, 100); err != nil {
		t.Error(err)
	}
	for _, side := range []int{11, math.MaxInt} {
		if err := CheckPixels(side, side, 110); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%d pixels a side: %v", side, err)
		}
	}
	if !errors.Is(ErrTruncated, ErrCorrupt) || !errors.Is(Corruptf("%d", 1), ErrCorrupt) ||
		!errors.Is(Unsupportedf("%d", 1), ErrUnsupported) || errors.Is(Corruptf("x"), ErrTruncated) {
		t.Error("errors are not told apart")
	}
}

func TestNewIn(t *testing.T) {
	memory := make([]uint8, 18)
	if m := NewIn(memory[:0], 3, 2); len(m.Pix) != 18 || &m.Pix[0] != &memory[0] || m.Width != 3 || m.Height != 2 {
		t.Errorf("%+v does not lie in the memory", m)
	}
	if m := NewIn(memory, 7, 1); len(m.Pix) != 21 || m.Width != 7 || m.Height != 1 {
		t.Errorf("%+v if the memory is too small", m)
	}
}
