package tiff

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
	"slices"
	"strings"
	"testing"

	"garb/internal/raster"
)

const testPixels = 1 << 20

// notRead are files that Pillow reads and this package does not.
var notRead = []string{
	"lab.tif", "ycbcr.tif", "planes-16-raw.tif", "zstd.tif",
	"strips-missing-deflate.tif", "signed-16-mm-deflate.tif", "unsigned-12.tif",
}

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
			if slices.Contains(notRead, fields[0]) {
				want = "refused"
			}
			m, err := Decode(context.Background(), data, raster.Options{MaxPixels: testPixels, KeepTruncated: keep})
			got := fmt.Sprintf("%dx%d:%.16x", m.Width, m.Height, sha256.Sum256(m.Pix))
			if got = got[:min(len(got), len(want))]; err != nil {
				got = "refused"
			}
			if got != want {
				t.Errorf("%s, keep truncated %v: %s (%v), want %s", fields[0], keep, got, err, want)
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
		"0-1x1-ii.tif":   {Width: 21, Height: 13, BitsPerSample: 1, Grey: true},
		"1-16x1-mm.tif":  {Width: 21, Height: 13, BitsPerSample: 16, Grey: true},
		"2-8x4-2-ii.tif": {Width: 21, Height: 13, BitsPerSample: 8, Alpha: true},
		"3-4x1-ii.tif":   {Width: 21, Height: 13, BitsPerSample: 4},
		"5-8x4-ii.tif":   {Width: 21, Height: 13, BitsPerSample: 8, CMYK: true},
		"turned-6.tif":   {Width: 13, Height: 21, BitsPerSample: 8},
		"turned-xmp.tif": {Width: 13, Height: 21, BitsPerSample: 8},
		"pages.tif":      {Width: 50, Height: 40, BitsPerSample: 8, Animated: true},
	} {
		got, err := ReadHeader(readFile(t, name))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s: %+v, %v, want %+v", name, got, err, want)
		}
	}
}

func TestErrors(t *testing.T) {
	for name, want := range map[string]error{
		"cut-strips.tif":  raster.ErrTruncated,
		"cut-deflate.tif": raster.ErrTruncated,
		"no-offsets.tif":  raster.ErrCorrupt,
		"no-palette.tif":  raster.ErrCorrupt,
		"bigtiff-mm.tif":  raster.ErrUnsupported,
		"float.tif":       raster.ErrUnsupported,
		"unsigned-12.tif": raster.ErrUnsupported,
		"lab.tif":         raster.ErrUnsupported,
		"ycbcr.tif":       raster.ErrUnsupported,
		"zstd.tif":        raster.ErrUnsupported,
		"method-99.tif":   raster.ErrUnsupported,
	} {
		_, err := Decode(context.Background(), readFile(t, name), raster.Options{MaxPixels: testPixels})
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"2-8x3-ii.tif", "lzw.tif", "planes.tif", "jpeg.tif"} {
		data := readFile(t, name)
		_, err := Decode(context.Background(), data, raster.Options{MaxPixels: 21*13 - 1})
		if !errors.Is(err, raster.ErrTooLarge) {
			t.Errorf("%s: one pixel too many: %v", name, err)
		}
		if _, err := Decode(ctx, data, raster.Options{MaxPixels: testPixels}); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: with an ended context: %v", name, err)
		}
	}
}

func TestRepairs(t *testing.T) {
	for name, want := range map[string]string{
		"2-8x3-ii.tif":       "[]",
		"strips-missing.tif": "[strips or tiles are missing]",
		"cut-strips.tif":     "[the last rows are missing]",
	} {
		m, err := Decode(context.Background(), readFile(t, name),
			raster.Options{MaxPixels: testPixels, KeepTruncated: true})
		if got := fmt.Sprint(m.Repairs); err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", name, got, err, want)
		}
	}
}

// TestMemory decodes small files that claim large pictures.
func TestMemory(t *testing.T) {
	const side, maxPixels, allowed = 10_000, 100_000_000, 1 << 20
	for _, name := range []string{
		"no-rows.tif", "packbits.tif", "no-sizes-strip.tif", "lzw.tif", "predictor-16.tif", "planes-deflate.tif",
		"bigtiff-deflate.tif", "jpeg.tif", "jpeg-cmyk.tif", "group4.tif", "modified-huffman.tif",
		"float-32-predictor-3.tif",
	} {
		data := readFile(t, name)
		setTag(t, data, tagImageWidth, side)
		setTag(t, data, tagImageLength, side)
		setTag(t, data, tagRowsPerStrip, side)
		setTag(t, data, tagTileWidth, 9_984)
		setTag(t, data, tagTileLength, 9_984)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(context.Background(), data, raster.Options{MaxPixels: maxPixels})
		runtime.ReadMemStats(&after)
		if n := after.TotalAlloc - before.TotalAlloc; n > allowed || err == nil {
			t.Errorf("%s: %d bytes allocated, %v", name, n, err)
		}
	}
}

// setTag changes the value of a tag of type SHORT in a little-endian file, if it is there.
func setTag(t *testing.T, data []byte, tag, value int) {
	t.Helper()
	d, err := parseDirectory(data)
	if err != nil {
		t.Fatal(err)
	}
	if e, ok := d.entries[tag]; ok {
		if e.valueType != typeShort {
			t.Fatalf("tag %d has type %d", tag, e.valueType)
		}
		binary.LittleEndian.PutUint16(e.data, uint16(value))
	}
}

// TestLoops decodes directories that point at themselves and tiles that overlap.
func TestLoops(t *testing.T) {
	data := readFile(t, "2-8x3-ii.tif")
	at := int(binary.LittleEndian.Uint32(data[4:]))
	end := at + 2 + 12*int(binary.LittleEndian.Uint16(data[at:]))
	binary.LittleEndian.PutUint32(data[end:], uint32(at))
	h, err := ReadHeader(data)
	if err != nil || h.Animated {
		t.Errorf("a directory that points at itself: %+v, %v", h, err)
	}
	data = readFile(t, "predictor-16.tif")
	setTag(t, data, tagImageWidth, 1)
	setTag(t, data, tagTileWidth, 40_000)
	setTag(t, data, tagTileLength, 16)
	_, err = Decode(context.Background(), data, raster.Options{MaxPixels: 600_000})
	if !errors.Is(err, raster.ErrTooLarge) {
		t.Errorf("tiles that are larger than the picture: %v", err)
	}
}

// TestSharing decodes a file whose strips are all the whole file.
func TestSharing(t *testing.T) {
	const strips = 1 << 20
	data := binary.LittleEndian.AppendUint32([]byte("II*\x00"), 8)
	entries := []uint32{
		tagImageWidth, 1, 1, tagImageLength, 1, strips, tagBitsPerSample, 1, 8, tagCompression, 1, jpegMethod,
		tagPhotometric, 1, 1, tagStripOffsets, strips, 8, tagRowsPerStrip, 1, 1, tagStripByteCounts, strips, 0,
	}
	start := uint32(8 + 2 + 12*len(entries)/3 + 4)
	entries[3*5+2], entries[3*7+2] = start, start+4*strips
	size := start + 8*strips
	data = binary.LittleEndian.AppendUint16(data, uint16(len(entries)/3))
	for e := range slices.Chunk(entries, 3) {
		data = binary.LittleEndian.AppendUint16(data, uint16(e[0]))
		data = binary.LittleEndian.AppendUint16(data, typeLong)
		data = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(data, e[1]), e[2])
	}
	data = append(data, make([]byte, 4+4*strips)...) // offsets of 0
	for range strips {
		data = binary.LittleEndian.AppendUint32(data, size)
	}
	_, err := Decode(context.Background(), data, raster.Options{MaxPixels: strips})
	if !errors.Is(err, raster.ErrTooLarge) {
		t.Errorf("strips that share all data: %v", err)
	}
}

func FuzzDecode(f *testing.F) {
	names, err := filepath.Glob("testdata/*.tif")
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
	for _, name := range []string{"lzw.tif", "jpeg.tif", "2-8x3-ii.tif"} {
		b.Run(name, func(b *testing.B) {
			data := readFile(b, name)
			for b.Loop() {
				if _, err := Decode(context.Background(), data, raster.Options{MaxPixels: testPixels}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
