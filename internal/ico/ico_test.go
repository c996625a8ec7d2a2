package ico

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
		"8.ico":       {BitsPerSample: 8, Alpha: true},
		"png.ico":     {BitsPerSample: 8, Alpha: true},
		"8.cur":       {BitsPerSample: 8},
		"32.cur":      {BitsPerSample: 8, Alpha: true},
		"bilevel.cur": {BitsPerSample: 1, Alpha: true, Grey: true},
	} {
		want.Width, want.Height = 17, 9
		got, err := ReadHeader(readFile(t, name))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for name, want := range map[string]error{
		"cut-mask.ico":      raster.ErrTruncated,
		"cut-pixels.ico":    raster.ErrTruncated,
		"cut-directory.ico": raster.ErrTruncated,
		"cut.cur":           raster.ErrTruncated,
		"none.ico":          raster.ErrCorrupt,
		"none.cur":          raster.ErrCorrupt,
		"png.cur":           raster.ErrUnsupported,
	} {
		_, err := Decode(context.Background(), readFile(t, name), raster.Options{MaxPixels: testPixels})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"8.ico", "8.cur", "png.ico"} {
		data := readFile(t, name)
		_, err := Decode(context.Background(), data, raster.Options{MaxPixels: 17*9 - 1})
		if !errors.Is(err, raster.ErrTooLarge) {
			t.Errorf("%s: one pixel too many: %v", name, err)
		}
		if _, err := Decode(ctx, data, raster.Options{MaxPixels: testPixels}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: with an ended context: %v", name, err)
		}
	}
}

// TestMemory decodes small files that claim large pictures.
func TestMemory(t *testing.T) {
	const maxPixels, allowed = 100_000_000, 1 << 20
	for _, name := range []string{"8.ico", "32.ico", "24.cur", "bilevel.cur"} {
		data := readFile(t, name)
		binary.LittleEndian.PutUint32(data[26:], 10_000)
		binary.LittleEndian.PutUint32(data[30:], 10_000)
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
	names, err := filepath.Glob("testdata/*.[ic][cu]?")
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
	data := readFile(b, "8.ico")
	b.SetBytes(17 * 9)
	for b.Loop() {
		if _, err := Decode(context.Background(), data, raster.Options{MaxPixels: testPixels}); err != nil {
			b.Fatal(err)
		}
	}
}
