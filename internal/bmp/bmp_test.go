package bmp

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"garb/internal/raster"
)

const testPixels = 1 << 20

// TestPillow compares with the pixels that Pillow reads (testdata/make.py).
func TestPillow(t *testing.T) {
	f, err := os.Open("testdata/EXPECTED.tsv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		fields := strings.Split(lines.Text(), "\t")
		data := readFile(t, fields[0])
		for i, keep := range []bool{false, true} {
			want := fields[1+i]
			if fields[0] == "grey-4.bmp" {
				want = "refused" // with LOAD_TRUNCATED_IMAGES, Pillow returns black
			}
			m, err := Decode(context.Background(), data, raster.Options{MaxPixels: testPixels, KeepTruncated: keep})
			got := fmt.Sprintf("%dx%d:%.16x", m.Width, m.Height, sha256.Sum256(m.Pix))
			if got = got[:min(len(got), len(want))]; err != nil {
				got = "refused"
			}
			if got != want {
				t.Errorf("%s, keep truncated %v: %s (%v), want %s", fields[0], keep, got, err, want)
			}
			if cut := keep && fields[1] == "refused" && err == nil; cut != (len(m.Repairs) > 0) {
				t.Errorf("%s, keep truncated %v: repairs %v", fields[0], keep, m.Repairs)
			}
		}
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestHeader(t *testing.T) {
	for name, want := range map[string]raster.Header{
		"h12-1.bmp":       {BitsPerSample: 1},
		"h40-8.bmp":       {BitsPerSample: 8},
		"16.bmp":          {BitsPerSample: 5},
		"h124-32.bmp":     {BitsPerSample: 8},
		"bilevel.bmp":     {BitsPerSample: 1, Grey: true},
		"grey.bmp":        {BitsPerSample: 8, Grey: true},
		"fields-32-5.bmp": {BitsPerSample: 8, Alpha: true},
	} {
		want.Width, want.Height = 13, 7
		got, err := ReadHeader(readFile(t, name))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for name, want := range map[string]error{
		"cut.bmp":         raster.ErrTruncated,
		"cut-header.bmp":  raster.ErrTruncated,
		"rle8-cut.bmp":    raster.ErrTruncated,
		"rle8-early.bmp":  raster.ErrCorrupt,
		"jpeg-inside.bmp": raster.ErrUnsupported,
		"2.bmp":           raster.ErrUnsupported,
		"fields-32-8.bmp": raster.ErrUnsupported,
		"palette-300.bmp": raster.ErrUnsupported,
	} {
		_, err := Decode(context.Background(), readFile(t, name), raster.Options{MaxPixels: testPixels})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	data := readFile(t, "16.bmp")
	_, err := Decode(context.Background(), data, raster.Options{MaxPixels: 13*7 - 1})
	if !errors.Is(err, raster.ErrTooLarge) {
		t.Errorf("one pixel too many: %v", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Decode(ctx, data, raster.Options{MaxPixels: testPixels}); !errors.Is(err, context.Canceled) {
		t.Errorf("with an ended context: %v", err)
	}
}

// TestMemory decodes small files that claim large pictures.
func TestMemory(t *testing.T) {
	const maxPixels, allowed = 100_000_000, 1 << 20
	for _, name := range []string{"h40-32.bmp", "rle8.bmp", "16.bmp"} {
		data := readFile(t, name)
		binary.LittleEndian.PutUint32(data[18:], 10_000)
		binary.LittleEndian.PutUint32(data[22:], 10_000)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(context.Background(), data, raster.Options{MaxPixels: maxPixels})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > allowed || !errors.Is(err, raster.ErrCorrupt) {
			t.Errorf("%s: %d bytes allocated, %v", name, n, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.bmp")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		f.Add(readFile(f, filepath.Base(name)), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, keep bool) {
		h, headerErr := ReadHeader(data)
		m, err := Decode(context.Background(), data, raster.Options{MaxPixels: testPixels, KeepTruncated: keep})
		if err != nil {
			return
		}
		if headerErr != nil || m.Width != h.Width || m.Height != h.Height || len(m.Pix) != 3*m.Width*m.Height {
			t.Errorf("%d × %d, %d bytes, header %+v, %v", m.Width, m.Height, len(m.Pix), h, headerErr)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	const side = 1000
	data := readFile(b, "h40-32.bmp")[:54]
	binary.LittleEndian.PutUint32(data[18:], side)
	binary.LittleEndian.PutUint32(data[22:], side)
	data = append(data, make([]byte, 4*side*side)...)
	b.SetBytes(side * side)
	for b.Loop() {
		if _, err := Decode(context.Background(), data, raster.Options{MaxPixels: side * side}); err != nil {
			b.Fatal(err)
		}
	}
}
