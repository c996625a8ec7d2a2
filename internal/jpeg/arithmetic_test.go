package jpeg

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"garb/internal/raster"
)

// TestProcessesAreThoseOfPillow compares files of arithmetic and lossless coding, of which some are
// damaged, with the digests that testdata/make_processes.py kept.
func TestProcessesAreThoseOfPillow(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(string(read(t, "testdata/processes/digests.tsv"))), "\n")
	for _, line := range lines {
		name, rest, _ := strings.Cut(line, "\t")
		number, want, _ := strings.Cut(rest, "\t")
		scale, err := strconv.Atoi(number)
		if err != nil {
			t.Fatal(err)
		}
		data := read(t, filepath.Join("testdata/processes", name))
		m, err := Decode(context.Background(), data, raster.Options{Scale: scale, MaxPixels: 1 << 20})
		got := "refused"
		if err == nil {
			got = fmt.Sprintf("%d\t%d\t%.16x", m.Width, m.Height, sha256.Sum256(m.Pix))[:len(want)]
		} else if !errors.Is(err, raster.ErrCorrupt) && !errors.Is(err, raster.ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
		if got != want {
			t.Errorf("%s at 1/%d: %s (%v), want %s", name, scale, got, err, want)
		}
	}
}

func TestDamageIsNamed(t *testing.T) {
	for name, want := range map[string][]string{
		"arithmetic-420":     nil,
		"invalid-arithmetic": {repairBadCode, repairSurplus},
		"lossless-4":         nil,
		"ended-lossless":     {repairEarlyEnd, repairRestart},
	} {
		data := read(t, filepath.Join("testdata/processes", name+".jpg"))
		m, err := Decode(context.Background(), data, raster.Options{MaxPixels: 1 << 20})
		if err != nil || !slices.Equal(m.Repairs, want) {
			t.Errorf("%s: repairs %q, %v; want %q", name, m.Repairs, err, want)
		}
	}
}

// TestBombs decodes large pictures of almost no data, and looks at the memory for each pixel.
func TestBombs(t *testing.T) {
	const side = 4096
	scan := []byte{3, 1, 0, 2, 0, 3, 0}
	for _, test := range []struct {
		name          string
		marker        byte
		end           []byte // of the scan header
		bytesPerPixel int
	}{
		{"arithmetic", markerSOF9, []byte{0, 63, 0}, 6}, // a byte for each sample, of planes and result
		{"progressive", markerSOF10, []byte{0, 0, 0}, 6 + 6},
		{"lossless", markerSOF3, []byte{1, 0, 0}, 6},
	} {
		data := slices.Concat([]byte{0xff, markerSOI},
			makeSegment(markerDQT, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...),
			makeSegment(markerDHT, append([]byte{0, 1}, make([]byte, 16)...)...),
			makeSegment(test.marker, 8, side>>8, side&255, side>>8, side&255, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0),
			makeSegment(markerSOS, slices.Concat(scan, test.end)...), []byte{0x5a, 0xff, markerEOI})
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(context.Background(), data, raster.Options{MaxPixels: side * side})
		runtime.ReadMemStats(&after)
		if err != nil {
			t.Errorf("%s: %v", test.name, err)
		}
		if got, most := after.TotalAlloc-before.TotalAlloc, uint64(side*side*test.bytesPerPixel+1<<20); got > most {
			t.Errorf("%s: %d bytes allocated, at most %d expected", test.name, got, most)
		}
		_, err = Decode(context.Background(), data, raster.Options{MaxPixels: side})
		if !errors.Is(err, raster.ErrTooLarge) {
			t.Errorf("%s: over the limit: %v", test.name, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		cancel()
		if _, err = Decode(ctx, data, raster.Options{MaxPixels: side * side}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: cancelled: %v", test.name, err)
		}
	}
}

func BenchmarkDecodeArithmetic(b *testing.B) {
	data := read(b, "testdata/processes/arithmetic-420.jpg")
	for b.Loop() {
		if _, err := Decode(context.Background(), data, raster.Options{MaxPixels: 1 << 20}); err != nil {
			b.Fatal(err)
		}
	}
}
