package png

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"garb/internal/raster"
)

const testPixels = 1 << 20

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// digest returns what testdata/make.py writes for data.
func digest(data []byte) string {
	if len(data) == 0 {
		return "-"
	}
	return fmt.Sprintf("%x", sha256.Sum256(data))[:16]
}

func decodeDigest(data []byte, keep bool) (string, error) {
	m, err := Decode(context.Background(), data, raster.Options{MaxPixels: testPixels, KeepTruncated: keep})
	if err != nil {
		return "refused", err
	}
	return digest(m.Pix), nil
}

// TestPillow compares pixels, what is refused, and metadata with Pillow.
func TestPillow(t *testing.T) {
	lines := strings.Split(strings.TrimSpace(string(read(t, "expected.tsv"))), "\n")
	if len(lines) < 100 {
		t.Fatalf("%d files", len(lines))
	}
	for _, line := range lines {
		fields := strings.Split(line, "\t")
		data := read(t, fields[0])
		for i, keep := range []bool{false, true} {
			got, err := decodeDigest(data, keep)
			if got != fields[1+i] {
				t.Errorf("%s, keep truncated: %v: %s (%v); Pillow: %s", fields[0], keep, got, err, fields[1+i])
			}
			if err != nil && !errors.Is(err, raster.ErrCorrupt) {
				t.Errorf("%s: %v is of no known kind", fields[0], err)
			}
		}
		if len(fields) < 6 {
			continue
		}
		h, err := ReadHeader(data)
		if err != nil {
			t.Errorf("%s: %v", fields[0], err)
			continue
		}
		exif := []byte(strings.TrimPrefix(string(h.EXIF), "Exif\x00\x00"))
		got := []string{digest(exif), digest(h.XMP), digest(h.ICC)}
		if !slices.Equal(got, fields[3:]) {
			t.Errorf("%s: EXIF, XMP and ICC are %q; Pillow's %q", fields[0], got, fields[3:])
		}
	}
}

func TestReadHeader(t *testing.T) {
	for _, c := range []struct {
		file string
		want raster.Header
	}{
		{"type0-1.png", raster.Header{Width: 13, Height: 11, BitsPerSample: 1, Grey: true}},
		{"type0-16-transparent.png", raster.Header{Width: 13, Height: 11, BitsPerSample: 16, Grey: true}},
		{"type0-8-transparent.png", raster.Header{Width: 13, Height: 11, BitsPerSample: 8, Grey: true, Alpha: true}},
		{"type2-16-interlaced.png", raster.Header{Width: 13, Height: 11, BitsPerSample: 16}},
		{"type3-4-transparent.png", raster.Header{Width: 13, Height: 11, BitsPerSample: 4, Alpha: true}},
		{"type4-16.png", raster.Header{Width: 13, Height: 11, BitsPerSample: 16, Grey: true, Alpha: true}},
		{"transparent-late.png", raster.Header{Width: 9, Height: 12, BitsPerSample: 4, Alpha: true}},
		{"apng-first.png", raster.Header{Width: 9, Height: 12, BitsPerSample: 8, Alpha: true, Animated: true}},
		{"bad-crc-text.png", raster.Header{Width: 9, Height: 12, BitsPerSample: 8}},
	} {
		got, err := ReadHeader(read(t, c.file))
		if err != nil || fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", c.want) {
			t.Errorf("%s: %+v, %v; want %+v", c.file, got, err, c.want)
		}
	}
}

func TestRepairs(t *testing.T) {
	for file, want := range map[string][]string{
		"type2-8.png":             nil,
		"apng-first.png":          nil,
		"no-end.png":              {repairedEnd},
		"end-cut.png":             {repairedEnd},
		"no-adler.png":            {repairedAdler},
		"wrong-adler-apart.png":   {repairedAdler},
		"surplus-raw.png":         {repairedSurplus},
		"surplus-data.png":        {repairedSurplus},
		"surplus-idat.png":        {repairedSurplus},
		"rows-missing.png":        {repairedRows},
		"bad-crc-idat.png":        {repairedCRC},
		"bad-crc-text.png":        {repairedCRC},
		"bad-crc-text-after.png":  {repairedCRC},
		"rows-missing-partly.png": {repairedTruncated},
		"cut-file.png":            {repairedEnd, repairedTruncated},
		"filter-7.png":            {repairedCorrupt},
		"wrong-adler.png":         {repairedCorrupt},
	} {
		o := raster.Options{MaxPixels: testPixels, KeepTruncated: true}
		m, err := Decode(context.Background(), read(t, file), o)
		if err != nil || !slices.Equal(m.Repairs, want) {
			t.Errorf("%s: repaired %q, %v; want %q", file, m.Repairs, err, want)
		}
	}
}

// TestErrorsSayWhetherThereIsTooLittle checks which errors wrap ErrTruncated.
func TestErrorsSayWhetherThereIsTooLittle(t *testing.T) {
	for file, want := range map[string]bool{
		"cut-file.png": true, "cut-idat-40.png": true, "after-cut.png": true, "idat-apart.png": true,
		"rows-missing-partly.png": true, "flip-50.png": false, "filter-7.png": false, "no-header.png": false,
	} {
		_, err := decodeDigest(read(t, file), false)
		if err == nil || errors.Is(err, raster.ErrTruncated) != want {
			t.Errorf("%s: %v; ErrTruncated: want %v", file, err, want)
		}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := Decode(ctx, read(t, "type2-8.png"), raster.Options{MaxPixels: testPixels})
	if !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// resize returns a PNG with other sides in its header.
func resize(data []byte, width, height int) []byte {
	data = slices.Clone(data)
	binary.BigEndian.PutUint32(data[16:], uint32(width))
	binary.BigEndian.PutUint32(data[20:], uint32(height))
	binary.BigEndian.PutUint32(data[29:], crc32.ChecksumIEEE(data[12:29]))
	return data
}

// allocate returns the bytes that f allocates.
func allocate(f func()) int {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc - before.TotalAlloc)
}

// TestMemory decodes files whose headers promise far more than there is.
func TestMemory(t *testing.T) {
	ctx := context.Background()
	for _, name := range []string{"type6-16.png", "type6-16-interlaced.png", "type2-8.png", "type0-1.png"} {
		for _, side := range [][2]int{{8000, 8000}, {64_000_000, 1}, {1, 64_000_000}} {
			data := resize(read(t, name), side[0], side[1])
			pixels := side[0] * side[1]
			var err error
			used := allocate(func() { _, err = Decode(ctx, data, raster.Options{MaxPixels: pixels}) })
			if !errors.Is(err, raster.ErrCorrupt) || used > 2<<20 {
				t.Errorf("%s with %d × %d pixels: %v, %d bytes allocated", name, side[0], side[1], err, used)
			}
			used = allocate(func() { _, err = Decode(ctx, data, raster.Options{MaxPixels: pixels - 1}) })
			if !errors.Is(err, raster.ErrTooLarge) || used > 1<<20 {
				t.Errorf("%s with %d × %d pixels: %v, %d bytes allocated", name, side[0], side[1], err, used)
			}
		}
		data := resize(read(t, name), 1000, 1000)
		o := raster.Options{MaxPixels: 1_000_000, KeepTruncated: true}
		var err error
		used := allocate(func() { _, err = Decode(ctx, data, o) })
		if err != nil || used > 3_000_000+1<<20 {
			t.Errorf("%s with 1000 × 1000 pixels, kept: %v, %d bytes allocated", name, err, used)
		}
	}
}

// TestTexts checks the limits of texts that are decompressed.
func TestTexts(t *testing.T) {
	bomb := read(t, "ztxt-bomb.png")
	used := allocate(func() {
		if _, err := ReadHeader(bomb); err != nil {
			t.Error(err)
		}
	})
	if used > 6<<20 {
		t.Errorf("%d bytes allocated for a text of %d bytes", used, len(bomb))
	}
	r := reader{data: bomb, decompressed: maxTexts}
	if err := r.open(); !errors.Is(err, raster.ErrCorrupt) {
		t.Errorf("more than %d bytes: %v", maxTexts, err)
	}
}

// FuzzDecode checks that decoding neither panics nor contradicts the header.
func FuzzDecode(f *testing.F) {
	paths, err := filepath.Glob("testdata/*.png")
	if err != nil || len(paths) == 0 {
		f.Fatal(err)
	}
	for _, path := range paths {
		f.Add(read(f, filepath.Base(path)), false)
	}
	f.Fuzz(func(t *testing.T, data []byte, keep bool) {
		h, headerErr := ReadHeader(data)
		m, err := Decode(context.Background(), data, raster.Options{MaxPixels: 1 << 16, KeepTruncated: keep})
		if err != nil {
			if !errors.Is(err, raster.ErrCorrupt) && !errors.Is(err, raster.ErrTooLarge) {
				t.Errorf("%v is of no known kind", err)
			}
			return
		}
		if headerErr != nil || m.Width != h.Width || m.Height != h.Height || len(m.Pix) != 3*h.Width*h.Height {
			t.Errorf("%d × %d, %d bytes; the header says %d × %d, %v",
				m.Width, m.Height, len(m.Pix), h.Width, h.Height, headerErr)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	for _, name := range []string{"type2-8.png", "type6-8.png", "type3-4-interlaced.png"} {
		data := read(b, name)
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := decodeDigest(data, false); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// TestNoChunkAfterPixels checks that reading ends at what is no chunk, right behind the last pixels:
// a transparent colour that would follow at some distance does not count.
func TestNoChunkAfterPixels(t *testing.T) {
	data := read(t, "transparent-late.png")
	at := bytes.Index(data, []byte("tRNS")) - 4
	without := data[:at:at]
	with := slices.Concat(without, []byte("\x00\x00\x00\x00\xff\xff\xff\xff\x00\x00\x00\x00"), data[at:])
	want, err := decodeDigest(without, false)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := decodeDigest(with, false); got != want {
		t.Errorf("%s (%v), want %s", got, err, want)
	}
	if all, err := decodeDigest(data, false); all == want {
		t.Errorf("the colour makes no difference (%v)", err)
	}
}

// TestCutEnd names an end that is cut off, however much of it there is.
func TestCutEnd(t *testing.T) {
	const iend = 12 // bytes
	data := read(t, "type2-8.png")
	for cut := range iend + 1 {
		m, err := Decode(context.Background(), data[:len(data)-cut], raster.Options{MaxPixels: testPixels})
		if err != nil || slices.Contains(m.Repairs, repairedEnd) != (cut > 0) {
			t.Errorf("%d bytes cut: repaired %q, %v", cut, m.Repairs, err)
		}
	}
}
