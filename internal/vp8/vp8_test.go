package vp8

import (
	"context"
	"errors"
	"testing"

	"garb/internal/raster"
)

func TestReadSize(t *testing.T) {
	sound := []byte{0x10, 0x02, 0x00, 0x9d, 0x01, 0x2a, 17, 0x40, 33, 0x80} // with requests to scale
	if w, h, err := ReadSize(sound, 100); err != nil || w != 17 || h != 33 {
		t.Errorf("%d × %d, %v", w, h, err)
	}
	for name, change := range map[string]func(data []byte){
		"not a key frame":  func(data []byte) { data[0] |= 1 },
		"unknown version":  func(data []byte) { data[0] |= 4 << 1 },
		"not shown":        func(data []byte) { data[0] &^= 1 << 4 },
		"partition of 100": func(data []byte) { data[0], data[1] = 100<<5&255|1<<4, 100>>3 },
		"no start code":    func(data []byte) { data[4] = 2 },
		"no width":         func(data []byte) { data[6] = 0 },
		"no height":        func(data []byte) { data[8] = 0 },
	} {
		data := append([]byte{}, sound...)
		change(data)
		if _, _, err := ReadSize(data, 100); !errors.Is(err, raster.ErrCorrupt) || errors.Is(err, raster.ErrTruncated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, _, err := ReadSize(sound[:9], 100); !errors.Is(err, raster.ErrTruncated) {
		t.Errorf("cut: %v", err)
	}
	if err := Decode(context.Background(), sound, nil, 0); !errors.Is(err, raster.ErrCorrupt) {
		t.Errorf("no partitions: %v", err)
	}
}

// TestPredictSubblock predicts from edges whose levels tell where they come from.
func TestPredictSubblock(t *testing.T) {
	// The samples to the left are 40 30 20 10 from the top, the corner is 50, those above 60 to 130.
	set := func(w *workspace) {
		w[lumaAt-workStride-1] = 50
		for i := range 8 {
			w[lumaAt-workStride+i] = uint8(60 + 10*i)
		}
		for y := range 4 {
			w[lumaAt+y*workStride-1] = uint8(40 - 10*y)
		}
	}
	for mode, want := range map[int][4][4]uint8{
		modeDC:             {{50, 50, 50, 50}, {50, 50, 50, 50}, {50, 50, 50, 50}, {50, 50, 50, 50}},
		modeTrueMotion:     {{50, 60, 70, 80}, {40, 50, 60, 70}, {30, 40, 50, 60}, {20, 30, 40, 50}},
		modeVertical:       {{60, 70, 80, 90}, {60, 70, 80, 90}, {60, 70, 80, 90}, {60, 70, 80, 90}},
		modeHorizontal:     {{40, 40, 40, 40}, {30, 30, 30, 30}, {20, 20, 20, 20}, {13, 13, 13, 13}},
		modeDownRight:      {{50, 60, 70, 80}, {40, 50, 60, 70}, {30, 40, 50, 60}, {20, 30, 40, 50}},
		modeVerticalRight:  {{55, 65, 75, 85}, {50, 60, 70, 80}, {40, 55, 65, 75}, {30, 50, 60, 70}},
		modeDownLeft:       {{70, 80, 90, 100}, {80, 90, 100, 110}, {90, 100, 110, 120}, {100, 110, 120, 128}},
		modeVerticalLeft:   {{65, 75, 85, 95}, {70, 80, 90, 100}, {75, 85, 95, 110}, {80, 90, 100, 120}},
		modeHorizontalDown: {{45, 50, 60, 70}, {35, 40, 45, 50}, {25, 30, 35, 40}, {15, 20, 25, 30}},
		modeHorizontalUp:   {{35, 30, 25, 20}, {25, 20, 15, 13}, {15, 13, 10, 10}, {10, 10, 10, 10}},
	} {
		var w workspace
		set(&w)
		predictSubblock(&w, lumaAt, mode)
		for y := range 4 {
			if got := [4]uint8(w[lumaAt+y*workStride:]); got != want[y] {
				t.Errorf("mode %d, row %d: %v, want %v", mode, y, got, want[y])
			}
		}
	}
}
