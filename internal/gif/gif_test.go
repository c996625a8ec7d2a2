package gif

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
		}
		h, err := ReadHeader(data)
		if (err != nil) != (fields[3] == "refused") || h.Animated != (fields[3] == "animated") {
			t.Errorf("%s: animated %v, %v, want %s", fields[0], h.Animated, err, fields[3])
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
		"plain.gif":            {},
		"animated.gif":         {Animated: true},
		"no-palette.gif":       {Grey: true},
		"transparent-grey.gif": {Grey: true, Alpha: true},
		"local-grey.gif":       {},
	} {
		want.Width, want.Height, want.BitsPerSample = 13, 11, 8
		got, err := ReadHeader(readFile(t, name))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestRepairs(t *testing.T) {
	for name, want := range map[string]string{
		"plain.gif":        "[]",
		"animated.gif":     "[]",
		"surplus.gif":      "[]",
		"no-trailer.gif":   "[the end of the file is missing]",
		"animated-cut.gif": "[the end of the file is missing]",
		"cut.gif":          "[a part of the picture is missing]",
		"bad-code.gif":     "[a part of the picture is missing]",
	} {
		m, err := Decode(context.Background(), readFile(t, name),
			raster.Options{MaxPixels: testPixels, KeepTruncated: true})
		if got := fmt.Sprint(m.Repairs); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for name, want := range map[string]error{
		"cut.gif":        raster.ErrTruncated,
		"cut-header.gif": raster.ErrTruncated,
		"early-end.gif":  raster.ErrCorrupt,
		"no-picture.gif": raster.ErrCorrupt,
	} {
		_, err := Decode(context.Background(), readFile(t, name), raster.Options{MaxPixels: testPixels})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	data := readFile(t, "plain.gif")
	_, err := Decode(context.Background(), data, raster.Options{MaxPixels: 13*11 - 1})
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
	for _, name := range []string{"no-palette.gif", "two-colours.gif", "bad-code.gif"} {
		data := readFile(t, name)
		p, err := newParser(data)
		if err != nil {
			t.Fatal(err)
		}
		binary.LittleEndian.PutUint16(data[6:], 10_000)
		binary.LittleEndian.PutUint16(data[8:], 10_000)
		frame := strings.Index(string(data[p.at:]), ",\x00\x00\x00\x00") + p.at
		binary.LittleEndian.PutUint16(data[frame+5:], 10_000)
		binary.LittleEndian.PutUint16(data[frame+7:], 10_000)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err = Decode(context.Background(), data, raster.Options{MaxPixels: maxPixels})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > allowed || !errors.Is(err, raster.ErrCorrupt) {
			t.Errorf("%s: %d bytes allocated, %v", name, n, err)
		}
	}
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.gif")
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
	data := readFile(b, "full-table.gif")
	b.SetBytes(90 * 70)
	for b.Loop() {
		if _, err := Decode(context.Background(), data, raster.Options{MaxPixels: testPixels}); err != nil {
			b.Fatal(err)
		}
	}
}
