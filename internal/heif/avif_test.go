package heif

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"garb/internal/raster"
)

// TestAVIFAgreesWithPillow compares with testdata/avif/EXPECTED.tsv, or with that of the folder in
// AVIF_PICTURES, which make.py writes by seed.
func TestAVIFAgreesWithPillow(t *testing.T) {
	folder := os.Getenv("AVIF_PICTURES")
	if folder == "" {
		folder = "testdata/avif"
	}
	table, err := os.ReadFile(filepath.Join(folder, "EXPECTED.tsv"))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(table)) {
		name, want, _ := strings.Cut(strings.TrimSpace(line), "\t")
		data, err := os.ReadFile(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(describeAVIF(data), "\t"); got != want {
			t.Errorf("%s: got\n%s, want\n%s", name, got, want)
		}
	}
}

// describeAVIF returns what Decode and ReadHeader give, as the columns of EXPECTED.tsv.
func describeAVIF(data []byte) []string {
	_, h, err := ReadHeader(data)
	var m raster.Image
	if err == nil {
		m, err = Decode(context.Background(), data, raster.Options{MaxPixels: 1 << 24})
	}
	columns := []string{"0", "0", "0", "0", "0", "0", "0", "refused"}
	if err != nil {
		return columns
	}
	truth := map[bool]int{true: 1}
	numbers := []int{m.Width, m.Height, h.Orientation, truth[h.Alpha], truth[h.Animated], len(h.ICC), len(h.XMP)}
	for i, v := range numbers {
		columns[i] = fmt.Sprint(v)
	}
	sum := sha256.Sum256(m.Pix)
	columns[7] = hex.EncodeToString(sum[:])
	return columns
}

func TestAVIFHeader(t *testing.T) {
	for _, c := range []struct {
		name string
		want raster.Header
	}{
		{"8-420-full", raster.Header{Width: 37, Height: 29, BitsPerSample: 8}},
		{"10-422-alpha", raster.Header{Width: 37, Height: 29, BitsPerSample: 10, Alpha: true}},
		{"12-400", raster.Header{Width: 37, Height: 29, BitsPerSample: 12, Grey: true}},
		{"turned-6", raster.Header{Width: 13, Height: 8, BitsPerSample: 8, Orientation: 6}},
		{"exif-alone", raster.Header{Width: 13, Height: 8, BitsPerSample: 8, Orientation: 1}},
		{"sequence", raster.Header{Width: 37, Height: 29, BitsPerSample: 8, Animated: true}},
		{"grid-alpha", raster.Header{Width: 128, Height: 64, BitsPerSample: 8, Alpha: true}},
	} {
		format, got, err := ReadHeader(read(t, "avif/"+c.name+".avif"))
		hasEXIF := len(got.EXIF) > 0
		got.EXIF = nil
		if err != nil || format != formatAVIF || fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("%s: %s %+v, %v; want %+v", c.name, format, got, err, c.want)
		}
		if want := strings.HasPrefix(c.name, "exif") || strings.HasPrefix(c.name, "turned"); hasEXIF != want {
			t.Errorf("%s: an EXIF block: %v", c.name, hasEXIF)
		}
	}
	_, h, _ := ReadHeader(read(t, "avif/exif.avif"))
	if !bytes.Contains(h.EXIF, []byte("drawn")) || h.Orientation != 0 {
		t.Errorf("EXIF block %q, orientation %d", h.EXIF, h.Orientation)
	}
}

func TestAVIFErrors(t *testing.T) {
	whole := read(t, "avif/size-64-64.avif")
	for _, c := range []struct {
		name string
		data []byte
		want error
	}{
		{"cut in the picture", whole[:len(whole)-1], raster.ErrTruncated},
		{"cut in the boxes", whole[:60], raster.ErrCorrupt},
		{"a wide side", read(t, "avif/wide.avif"), raster.ErrTooLarge},
		{"too many pixels", withSize(whole, 4000, 4000), raster.ErrTooLarge},
		{"a size that the bit stream does not have", withSize(read(t, "avif/grid.avif"), 100, 128), raster.ErrCorrupt},
	} {
		if _, err := decode(c.data, 1<<20); !errors.Is(err, c.want) {
			t.Errorf("%s: %v, want %v", c.name, err, c.want)
		}
	}
}

// The memory that a picture takes is bounded by what is decoded, not by what the header claims.
func TestAVIFMemory(t *testing.T) {
	whole := read(t, "avif/size-64-64.avif")
	hostile := withSize(whole[:len(whole)-1], 16000, 16000)
	allocated := measureAllocation(func() {
		if _, err := decode(hostile, 1<<30); !errors.Is(err, raster.ErrCorrupt) {
			t.Error(err)
		}
	})
	if allocated > 32<<20 {
		t.Errorf("a header of 256 megapixels takes %d bytes", allocated)
	}
	// The most that one pixel takes: 12 bits, 4:4:4, alpha, a grid.
	data := read(t, "avif/grid-deep.avif")
	f, err := openAVIF(context.Background(), data)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	h, err := f.readHeader()
	if err != nil {
		t.Fatal(err)
	}
	limit := avifMemory(len(data), h.Width*h.Height)
	f.allow(limit)
	if err = f.do("avifDecoderNextImage"); err != nil {
		t.Fatal(err)
	}
	used := len(f.memory.bytes)
	t.Logf("%d pixels take %d KiB of %d KiB", h.Width*h.Height, used>>10, limit>>10)
	if int64(used) > limit/2 {
		t.Errorf("%d pixels take %d KiB, more than half of the limit, %d KiB", h.Width*h.Height, used>>10, limit>>10)
	}
}

// measureAllocation returns the bytes that f allocates.
func measureAllocation(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func TestAVIFMemoryLimit(t *testing.T) {
	f, err := openAVIF(context.Background(), read(t, "avif/grid-deep.avif"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	f.allow(int64(len(f.memory.bytes)))
	if err = f.do("avifDecoderNextImage"); !errors.Is(err, raster.ErrTooLarge) {
		t.Errorf("decoding without memory: %v", err)
	}
}

func TestAVIFCancelled(t *testing.T) {
	data := read(t, "test8.avif")
	f, err := openAVIF(context.Background(), data)
	if err != nil {
		t.Fatal(err)
	}
	f.close()
	ctx, cancel := context.WithCancel(context.Background())
	f, err = openAVIF(ctx, data)
	if err != nil {
		t.Fatal(err)
	}
	defer f.close()
	f.allow(1 << 30)
	cancel() // the decoder looks at its context only while it runs
	if err = f.do("avifDecoderNextImage"); !errors.Is(err, context.Canceled) {
		t.Errorf("a decoder that is cancelled: %v", err)
	}
}

func TestReadTransforms(t *testing.T) {
	// Pillow 13, src/_avif.c, irot_imir_to_exif_orientation.
	const both = transformRotation | transformMirror
	for _, c := range []struct {
		flags       int
		turns, axis byte
		want        int
	}{
		{0, 1, 1, 0}, {transformRotation, 0, 0, 0}, {transformRotation, 1, 1, 8}, {transformRotation, 2, 0, 3},
		{transformRotation, 3, 0, 6}, {transformMirror, 3, 0, 4}, {transformMirror, 3, 1, 2}, {both, 0, 1, 2},
		{both, 1, 0, 5}, {both, 1, 1, 7}, {both, 2, 0, 2}, {both, 2, 1, 4}, {both, 3, 0, 7}, {both, 3, 1, 5},
	} {
		if got := readTransforms(c.flags, c.turns, c.axis); got != c.want {
			t.Errorf("flags %d, %d turns, axis %d: %d, want %d", c.flags, c.turns, c.axis, got, c.want)
		}
	}
}

func TestHasOrientation(t *testing.T) {
	block := func(order binary.AppendByteOrder, mark string, tag uint16) []byte {
		b := order.AppendUint32(order.AppendUint16([]byte(mark), 42), 8)
		b = order.AppendUint16(b, 1)
		b = order.AppendUint16(order.AppendUint16(b, tag), 3)
		return order.AppendUint16(order.AppendUint32(b, 1), 6)
	}
	little := append(block(binary.LittleEndian, "II", 0x112), 0, 0)
	big := append(block(binary.BigEndian, "MM", 0x112), 0, 0)
	for _, c := range []struct {
		exif []byte
		want bool
	}{
		{little, true}, {big, true}, {append([]byte("Exif\x00\x00Exif\x00\x00"), big...), true},
		{append(block(binary.LittleEndian, "II", 0x10e), 0, 0), false},
		{little[:len(little)-1], false}, {little[:9], false}, {little[:4], false}, {nil, false},
		{[]byte("II*\x00\xff\xff\xff\xff"), false},
	} {
		if got := hasOrientation(c.exif); got != c.want {
			t.Errorf("%q: %v", c.exif, got)
		}
	}
}

func FuzzDecodeAVIF(f *testing.F) {
	names, err := filepath.Glob("testdata/avif/*.avif")
	if err != nil || len(names) == 0 {
		f.Fatal(names, err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		h, headerErr := readAVIFHeader(data)
		m, err := decodeAVIF(ctx, data, raster.Options{MaxPixels: 1 << 18})
		switch {
		case headerErr != nil && err == nil:
			t.Fatalf("the header is refused: %v", headerErr)
		case err != nil && !typed(err) && !errors.Is(err, context.DeadlineExceeded):
			t.Fatal(err)
		case err == nil && (len(m.Pix) != 3*m.Width*m.Height || m.Width != h.Width || m.Height != h.Height):
			t.Fatalf("%d bytes, %d × %d; header %d × %d", len(m.Pix), m.Width, m.Height, h.Width, h.Height)
		}
	})
}

func BenchmarkDecodeAVIF(b *testing.B) {
	for _, name := range []string{"test8.avif", "test10.avif"} {
		data := read(b, name)
		h, err := readAVIFHeader(data)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if _, err := decode(data, 1<<24); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*h.Width*h.Height), "ns/pixel")
		})
	}
}
