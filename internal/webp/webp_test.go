package webp

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"garb/internal/raster"
)

var options = raster.Options{MaxPixels: 1 << 24}

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// describe describes a file as testdata/peer.py does.
func describe(t testing.TB, data []byte) string {
	t.Helper()
	m, err := Decode(context.Background(), data, options)
	if err != nil {
		if !errors.Is(err, raster.ErrCorrupt) {
			t.Errorf("%v", err)
		}
		return "refused"
	}
	h, err := ReadHeader(data)
	if err != nil || h.Width != m.Width || h.Height != m.Height || h.BitsPerSample != 8 || len(m.Repairs) > 0 {
		t.Errorf("%d × %d pixels, repairs %q; header %+v, %v", m.Width, m.Height, m.Repairs, h, err)
	}
	blocks := fmt.Sprintf("%d/%d/%d", len(h.EXIF), len(h.XMP), len(h.ICC))
	return fmt.Sprintf("%dx%d %x %s", m.Width, m.Height, sha256.Sum256(m.Pix), blocks)
}

// TestPixelsAreThoseOfPillow compares with the digests that testdata/make.py kept.
func TestPixelsAreThoseOfPillow(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(string(read(t, "testdata/digests.tsv"))), "\n")
	if len(lines) < 100 {
		t.Fatalf("only %d digests", len(lines))
	}
	for _, line := range lines {
		name, want, _ := strings.Cut(line, "\t")
		if got := describe(t, read(t, filepath.Join("testdata", name+".webp"))); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

// TestRandomFilesAreThoseOfPillow compares files of random streams and damaged ones with Pillow on this machine.
func TestRandomFilesAreThoseOfPillow(t *testing.T) {
	python := os.Getenv("GARB_PYTHON")
	if python == "" {
		t.Skip("set GARB_PYTHON to run this test (see .ci/run)")
	}
	const script = `
import os, random, sys
sys.path.insert(0, "testdata")
sys.dont_write_bytecode = True
import streams
r = random.Random(int(sys.argv[1]))
for i in range(200):
    with open(os.path.join(sys.argv[2], f"{i}.webp"), "wb") as f:
        f.write(streams.file(r, 60))
`
	seed := rand.Uint32()
	folder := t.TempDir()
	maker := exec.Command(python, "-c", script, fmt.Sprint(seed), folder)
	if out, err := maker.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	random := rand.New(rand.NewPCG(uint64(seed), 0))
	var paths []string
	for i := range 200 {
		path := filepath.Join(folder, fmt.Sprintf("%d.webp", i))
		data := read(t, path)
		damaged := filepath.Join(folder, fmt.Sprintf("%d-damaged.webp", i))
		for range 1 + random.IntN(3) {
			data[random.IntN(len(data))] = uint8(random.Uint32())
		}
		if err := os.WriteFile(damaged, data, 0o600); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path, damaged)
	}
	peer := exec.Command(python, "-B", "testdata/peer.py")
	peer.Stdin = strings.NewReader(strings.Join(paths, "\n"))
	peer.Stderr = os.Stderr
	out, err := peer.Output()
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range strings.Split(strings.TrimSpace(string(out)), "\n") {
		data := read(t, paths[i])
		h, err := ReadHeader(data)
		if err == nil && h.Width*h.Height > options.MaxPixels {
			continue // damage made the canvas large
		}
		if got := describe(t, data); got != want {
			t.Errorf("seed %d, %s: %s, want %s", seed, filepath.Base(paths[i]), got, want)
		}
	}
}

func TestReadHeader(t *testing.T) {
	for name, want := range map[string]raster.Header{
		"lossy-17x33":          {Width: 17, Height: 33},
		"lossless-17x33":       {Width: 17, Height: 33},
		"alpha-17x33":          {Width: 17, Height: 33, Alpha: true},
		"lossless-alpha-17x33": {Width: 17, Height: 33, Alpha: true},
		"animated-lossy":       {Width: 60, Height: 40, Alpha: true, Animated: true},
		"frame":                {Width: 30, Height: 40},
		"frame-opaque":         {Width: 30, Height: 40},
		"blocks": {
			Width: 20, Height: 10, EXIF: []byte("II*\x00\x08\x00\x00\x00\x00\x00\x00\x00"),
			XMP: []byte("<x:xmpmeta/>"), ICC: []byte("icc"),
		},
		"flags-unset":  {Width: 17, Height: 33},
		"blocks-twice": {Width: 17, Height: 33, EXIF: []byte("1")},
	} {
		want.BitsPerSample = 8
		h, err := ReadHeader(read(t, filepath.Join("testdata", name+".webp")))
		if err != nil || fmt.Sprintf("%+v", h) != fmt.Sprintf("%+v", want) {
			t.Errorf("%s: %+v, %v; want %+v", name, h, err, want)
		}
	}
}

// TestCutFilesAreErrors cuts files everywhere, with the right sizes in the headers too.
func TestCutFilesAreErrors(t *testing.T) {
	for _, name := range []string{"lossy-17x33", "lossless-17x33", "alpha-17x33", "animated-lossy"} {
		data := read(t, filepath.Join("testdata", name+".webp"))
		for cut := range len(data) - 1 {
			if _, err := Decode(context.Background(), data[:cut], options); !errors.Is(err, raster.ErrCorrupt) {
				t.Fatalf("%s cut to %d bytes: %v", name, cut, err)
			}
			keep := options
			keep.KeepTruncated = true
			if _, err := Decode(context.Background(), data[:cut], keep); !errors.Is(err, raster.ErrCorrupt) {
				t.Fatalf("%s cut to %d bytes, to be kept: %v", name, cut, err)
			}
		}
	}
	for _, name := range []string{"cut", "partition-cut", "lossless-cut", "alpha-short", "riff-long"} {
		_, err := Decode(context.Background(), read(t, filepath.Join("testdata", name+".webp")), options)
		if !errors.Is(err, raster.ErrTruncated) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestLimitOfPixels decodes at the limit, and one pixel below it without allocating the picture.
func TestLimitOfPixels(t *testing.T) {
	for _, name := range []string{"lossy-65x47", "lossless-65x47", "alpha-65x47"} {
		data := read(t, filepath.Join("testdata", name+".webp"))
		if _, err := Decode(context.Background(), data, raster.Options{MaxPixels: 65 * 47}); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		_, err := Decode(context.Background(), data, raster.Options{MaxPixels: 65*47 - 1})
		if !errors.Is(err, raster.ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
	}
	canvas := slices.Clone(read(t, "testdata/frame.webp"))
	copy(canvas[24:], "\xff\x3f\x00\xff\x3f\x00") // 16384 × 16384 pixels
	if allocated := allocatedBy(func() {
		if _, err := Decode(context.Background(), canvas, options); !errors.Is(err, raster.ErrTooLarge) {
			t.Errorf("canvas: %v", err)
		}
	}); allocated > 1<<16 {
		t.Errorf("%d bytes were allocated for a picture that is too large", allocated)
	}
}

// TestMemoryIsBoundedByPixels decodes headers that claim as many pixels as are allowed, and no data.
func TestMemoryIsBoundedByPixels(t *testing.T) {
	const side = 1024
	for name, perPixel := range map[string]uint64{"lossy-1x1": 3, "lossless-1x1": 7} {
		data := slices.Clone(read(t, filepath.Join("testdata", name+".webp")))
		if name == "lossy-1x1" {
			binary.LittleEndian.PutUint32(data[26:], side|side<<16)
		} else {
			bits := binary.LittleEndian.Uint32(data[21:])
			binary.LittleEndian.PutUint32(data[21:], bits&^(1<<28-1)|(side-1)|(side-1)<<14)
		}
		allocated := allocatedBy(func() {
			if m, err := Decode(context.Background(), data, options); err == nil && m.Width != side {
				t.Errorf("%s: %d pixels wide", name, m.Width)
			}
		})
		if most := side*side*perPixel + 1<<19; allocated > most {
			t.Errorf("%s: %d bytes were allocated, want at most %d", name, allocated, most)
		}
	}
}

func allocatedBy(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// endingContext ends after some calls of Err.
type endingContext struct {
	context.Context
	calls int
}

func (c *endingContext) Err() error {
	if c.calls--; c.calls < 0 {
		return context.Canceled
	}
	return nil
}

func TestDecodeEndsWithItsContext(t *testing.T) {
	for _, name := range []string{"lossy-65x47", "lossless-65x47", "alpha-65x47", "lossless-alpha-65x47"} {
		data := read(t, filepath.Join("testdata", name+".webp"))
		for calls := range 2 {
			_, err := Decode(&endingContext{context.Background(), calls}, data, options)
			if !errors.Is(err, context.Canceled) {
				t.Errorf("%s after %d calls: %v", name, calls, err)
			}
		}
	}
}

// TestBlend compares the assembly with the portable code.
func TestBlend(t *testing.T) {
	for level := range 256 {
		for _, n := range []int{1, 15, 16, 33, 256} {
			alpha := make([]uint8, n)
			for i := range alpha {
				alpha[i] = uint8(i * 255 / max(n-1, 1))
			}
			got := bytes.Repeat([]uint8{uint8(level), uint8(level + 1), 255}, n+1) // one pixel to be left alone
			want := slices.Clone(got)
			blend(got, alpha)
			blendGeneric(want, alpha)
			if !bytes.Equal(got, want) {
				t.Fatalf("level %d, %d pixels: %v, want %v", level, n, got, want)
			}
		}
	}
}

func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.webp")
	if err != nil || len(paths) == 0 {
		f.Fatal("no testdata", err)
	}
	for _, path := range paths {
		f.Add(read(f, path))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		h, headerErr := ReadHeader(data)
		m, err := Decode(context.Background(), data, raster.Options{MaxPixels: 1 << 16})
		switch {
		case err == nil && headerErr != nil:
			t.Errorf("ReadHeader refuses: %v", headerErr)
		case err == nil && (m.Width != h.Width || m.Height != h.Height || len(m.Pix) != 3*m.Width*m.Height):
			t.Errorf("%d × %d pixels, %d bytes; header %+v", m.Width, m.Height, len(m.Pix), h)
		case err != nil && !errors.Is(err, raster.ErrCorrupt) && !errors.Is(err, raster.ErrTooLarge):
			t.Errorf("unknown kind of error: %v", err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"quality-95", "lossless-65x47", "alpha-65x47"} {
		data := read(b, filepath.Join("testdata", name+".webp"))
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := Decode(context.Background(), data, options); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
