package jpeg

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"garb/internal/raster"
)

func files(t testing.TB) []string {
	t.Helper()
	list, err := filepath.Glob("testdata/*.jpg")
	if err != nil || len(list) == 0 {
		t.Fatal("no testdata", err)
	}
	return list
}

func options(scale int) raster.Options { return raster.Options{Scale: scale, MaxPixels: 1 << 24} }

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestPixelsAreThoseOfPillow compares sound and damaged files, at every scale that Pillow offers, with
// the digests that testdata/make.py and make_damaged.py kept (see testdata/digest.py).
func TestPixelsAreThoseOfPillow(t *testing.T) {
	for _, folder := range []string{"testdata", "testdata/damaged"} {
		for line := range strings.Lines(string(read(t, filepath.Join(folder, "digests.tsv")))) {
			fields := strings.Split(strings.TrimSpace(line), "\t")
			scale, err := strconv.Atoi(fields[1])
			if err != nil {
				t.Fatal(err)
			}
			o := options(scale)
			o.KeepTruncated = fields[2] == "true"
			m, err := Decode(context.Background(), read(t, filepath.Join(folder, fields[0])), o)
			have := []string{"refused"}
			switch {
			case err == nil && fields[3] == "nothing" && bytes.Count(m.Pix, m.Pix[:1]) == len(m.Pix),
				err != nil && fields[3] == "nothing" && !errors.Is(err, raster.ErrTruncated):
				have[0] = "nothing"
			case err == nil:
				digest := fmt.Sprintf("%.16x", sha256.Sum256(m.Pix))[:16]
				have = []string{strconv.Itoa(m.Width), strconv.Itoa(m.Height), digest}
			case !errors.Is(err, raster.ErrCorrupt) && !errors.Is(err, raster.ErrUnsupported):
				t.Errorf("%s: error of no kind: %v", fields[0], err)
			}
			if !slices.Equal(have, fields[3:]) {
				t.Errorf("%v: %q (%v)", fields, have, err)
			}
			if sound := folder == "testdata"; sound && len(m.Repairs) > 0 {
				t.Errorf("%s: repairs %q of a sound file", fields[0], m.Repairs)
			}
		}
	}
}

func TestRepairsAreNamed(t *testing.T) {
	for name, want := range map[string]string{
		"cut-420-60-closed":         repairEarlyEnd,
		"cut-progressive-20-closed": repairScans,
		"flip-restart-0":            repairBadCode,
		"restart-missing":           repairRestart,
		"scans-1":                   repairScans,
		"scans-twice":               repairProgression,
		"tables-missing":            repairTables,
		"surplus-bytes":             repairSurplus,
		"unclosed-surplus-8":        repairEnd,
	} {
		m, err := Decode(context.Background(), read(t, "testdata/damaged/"+name+".jpg"), options(1))
		if err != nil || !slices.Contains(m.Repairs, want) {
			t.Errorf("%s: repairs %q, %v; want %q", name, m.Repairs, err, want)
		}
	}
	o := options(1)
	o.KeepTruncated = true
	m, err := Decode(context.Background(), read(t, "testdata/damaged/cut-420.jpg"), o)
	if err != nil || !slices.Contains(m.Repairs, repairCut) {
		t.Errorf("cut: repairs %q, %v", m.Repairs, err)
	}
}

// TestPixelsAreThoseOfPillowOnPhotos compares photos with Pillow on this machine.
func TestPixelsAreThoseOfPillowOnPhotos(t *testing.T) {
	python, folder := os.Getenv("GARB_PYTHON"), os.Getenv("GARB_DATA")
	if python == "" || folder == "" {
		t.Skip("set GARB_PYTHON and GARB_DATA to run this test (see .ci/run)")
	}
	photos, err := filepath.Glob(filepath.Join(folder, "test", "*", "*.jpg"))
	if err != nil || len(photos) == 0 {
		t.Fatal("no photos", err)
	}
	const script = `
import sys
from PIL import Image
for path in sys.stdin.read().split("\n"):
    sys.stdout.buffer.write(Image.open(path).convert("RGB").tobytes())
`
	var chosen []string
	for i := 0; i < len(photos); i += 5 {
		chosen = append(chosen, photos[i])
	}
	peer := exec.Command(python, "-c", script)
	peer.Stdin = strings.NewReader(strings.Join(chosen, "\n"))
	peer.Stderr = os.Stderr
	all, err := peer.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range chosen {
		m, err := Decode(context.Background(), read(t, path), options(1))
		if err != nil {
			t.Fatal(path, err)
		}
		n := len(m.Pix)
		if len(all) < n || !bytes.Equal(m.Pix, all[:n]) {
			t.Fatalf("%s: other pixels than Pillow's", path)
		}
		all = all[n:]
	}
	if len(all) != 0 {
		t.Errorf("Pillow gave %d bytes more", len(all))
	}
}

func TestCutsAreErrors(t *testing.T) {
	for _, name := range []string{"17x9-420.jpg", "17x9-422-progressive.jpg", "17x9-restart.jpg", "17x9-cmyk.jpg"} {
		data := read(t, filepath.Join("testdata", name))
		for cut := range len(data) - 2 { // without the end marker all pixels may be there
			_, err := Decode(context.Background(), data[:cut], options(1))
			if !errors.Is(err, raster.ErrCorrupt) {
				// A sequential picture is whole once its last block is read.
				if err == nil && cut > len(data)-6 {
					continue
				}
				t.Fatalf("%s cut to %d of %d bytes: %v", name, cut, len(data), err)
			}
		}
	}
}

// makeSegment encodes a marker segment.
func makeSegment(marker byte, body ...byte) []byte {
	n := len(body) + 2
	return append([]byte{0xff, marker, byte(n >> 8), byte(n)}, body...)
}

func TestBrokenFiles(t *testing.T) {
	start, end := []byte{0xff, markerSOI}, []byte{0xff, markerEOI}
	frame := makeSegment(markerSOF0, 8, 0, 8, 0, 8, 1, 1, 0x11, 0)
	scan := makeSegment(markerSOS, 1, 1, 0, 0, 63, 0)
	table := makeSegment(markerDHT, append(append([]byte{0}, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 0)...)
	cat := func(parts ...[]byte) []byte { return slices.Concat(parts...) }
	for name, test := range map[string]struct {
		data        []byte
		unsupported bool
	}{
		"empty":             {nil, false},
		"only a start":      {start, false},
		"no picture":        {cat(start, end), false},
		"scan before frame": {cat(start, scan, end), false},
		"two frames":        {cat(start, frame, frame), false},
		"a side of 0":       {cat(start, makeSegment(markerSOF0, 8, 0, 0, 0, 8, 1, 1, 0x11, 0)), false},
		"no tables":         {cat(start, frame, scan, end), false},
		"no quantization": {cat(start, frame, table,
			makeSegment(markerDHT, append([]byte{0x10}, table[5:]...)...), scan, end), false},
		"sampling factor 0": {cat(start, makeSegment(markerSOF0, 8, 0, 8, 0, 8, 1, 1, 0x01, 0)), false},
		"component twice": {cat(start,
			makeSegment(markerSOF0, 8, 0, 8, 0, 8, 3, 1, 0x11, 0, 1, 0x11, 0, 2, 0x11, 0)), false},
		"too many codes": {cat(start,
			makeSegment(markerDHT, append(append([]byte{0}, 3, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 1, 2,
				3)...)), false},
		"table cut":             {cat(start, makeSegment(markerDHT, 0, 1)), false},
		"quantization cut":      {cat(start, makeSegment(markerDQT, 0, 1, 2)), false},
		"unknown component":     {cat(start, frame, table, makeSegment(markerSOS, 1, 9, 0, 0, 63, 0)), false},
		"two components of one": {cat(start, frame, makeSegment(markerSOS, 2, 1, 0, 1, 0, 0, 63, 0)), false},
		"segment past the end":  {cat(start, []byte{0xff, markerDQT, 0xff, 0xff, 1}), false},
		"segment of length 1":   {cat(start, []byte{0xff, markerDQT, 0, 1}), false},
		"lossless arithmetic":   {cat(start, makeSegment(0xcb, 8, 0, 8, 0, 8, 1, 1, 0x11, 0), scan), true},
		"12 bits":               {cat(start, makeSegment(markerSOF1, 12, 0, 8, 0, 8, 1, 1, 0x11, 0)), true},
		"two components":        {cat(start, makeSegment(markerSOF0, 8, 0, 8, 0, 8, 2, 1, 0x11, 0, 2, 0x11, 0)), true},
		"factors do not divide": {cat(start,
			makeSegment(markerSOF0, 8, 0, 8, 0, 8, 3, 1, 0x31, 0, 2, 0x21, 0, 3, 0x11, 0), scan), true},
		"impossible progression": {cat(start, makeSegment(markerSOF2, 8, 0, 8, 0, 8, 1, 1, 0x11, 0),
			makeSegment(markerSOS, 1, 1, 0, 5, 70, 0)), false},
		"restart interval length": {cat(start, makeSegment(markerDRI, 1)), false},
	} {
		_, err := Decode(context.Background(), test.data, options(1))
		if errors.Is(err, raster.ErrUnsupported) != test.unsupported ||
			errors.Is(err, raster.ErrCorrupt) == test.unsupported {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestDamageBeforeARestartMarkerShows takes bytes out of an interval that ends in
// the middle of a row of blocks.
func TestDamageBeforeARestartMarkerShows(t *testing.T) {
	data := read(t, "testdata/65x33-restart.jpg")
	begin := bytes.Index(data, []byte{0xff, markerRST0})
	end := bytes.Index(data, []byte{0xff, markerRST0 + 1})
	if begin < 0 || end < begin+10 {
		t.Fatal("the fixture has no intervals")
	}
	for repair, damaged := range map[string][]byte{
		repairEarlyEnd: slices.Concat(data[:begin+4], data[end:]),
		repairRestart:  slices.Concat(data[:begin], data[begin+2:]),
	} {
		m, err := Decode(context.Background(), damaged, options(1))
		if err != nil || !slices.Contains(m.Repairs, repair) {
			t.Errorf("%v: %q, want %q", err, m.Repairs, repair)
		}
	}
}

func TestDecodeObeysItsContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"65x33-420.jpg", "65x33-420-progressive.jpg"} {
		_, err := Decode(ctx, read(t, filepath.Join("testdata", name)), options(1))
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestScansAreBounded(t *testing.T) {
	// A progressive picture whose first scan comes again and again.
	data := read(t, "testdata/17x9-420-progressive.jpg")
	begin := bytes.Index(data, []byte{0xff, markerSOS})
	end := begin + 2
	for data[end] != 0xff || data[end+1] == 0 {
		end++
	}
	many := slices.Clone(data[:end])
	for range maxScans {
		many = append(many, data[begin:end]...)
	}
	_, err := Decode(context.Background(), append(many, 0xff, markerEOI), options(1))
	if !errors.Is(err, raster.ErrUnsupported) {
		t.Errorf("%d scans: %v", maxScans, err)
	}
}

func TestDecodeAllocatesWhatItSays(t *testing.T) {
	// A large picture of nothing: every block ends at once.
	const side = 2048
	counts := append([]byte{0}, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
	data := slices.Concat([]byte{0xff, markerSOI},
		makeSegment(markerDQT, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...),
		makeSegment(markerSOF0, 8, side>>8, side&255, side>>8, side&255, 3, 1, 0x11, 0, 2, 0x11, 0, 3, 0x11, 0),
		makeSegment(markerDHT, append(slices.Clone(counts), 0)...),
		makeSegment(markerDHT, append(append([]byte{0x10}, counts[1:]...), 0)...),
		makeSegment(markerSOS, 3, 1, 0, 2, 0, 3, 0, 0, 63, 0),
		make([]byte, side/8*side/8*3*2/8+1), []byte{0xff, markerEOI})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := Decode(context.Background(), data, options(1)); err != nil {
		t.Fatal(err)
	}
	runtime.ReadMemStats(&after)
	// 3 bytes for each pixel of the result, 1 for each sample, and some tables.
	if got, most := after.TotalAlloc-before.TotalAlloc, uint64(side*side*6+1<<18); got > most {
		t.Errorf("%d bytes allocated, at most %d expected", got, most)
	}
}

// TestLargeHeadersAreRefused decodes headers that claim more than the limit. At reduced scale the
// result is small, but the coefficients of several scans are not.
func TestLargeHeadersAreRefused(t *testing.T) {
	const side = 65535
	for _, test := range []struct {
		marker byte
		scale  int
	}{{markerSOF0, 1}, {markerSOF0, 8}, {markerSOF2, 1}, {markerSOF2, 8}, {markerSOF3, 1}, {markerSOF10, 8}} {
		data := slices.Concat([]byte{0xff, markerSOI},
			makeSegment(markerDQT, append([]byte{0}, bytes.Repeat([]byte{1}, 64)...)...),
			makeSegment(test.marker, 8, side>>8, side&255, side>>8, side&255, 1, 1, 0x11, 0),
			makeSegment(markerSOS, 1, 1, 0, 0, 0, 0), []byte{0xff, markerEOI})
		o := raster.Options{Scale: test.scale, MaxPixels: side / 8 * side / 8}
		if test.marker != markerSOF0 && test.scale > 1 {
			o.MaxPixels = side * side / 2
		}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := Decode(context.Background(), data, o)
		runtime.ReadMemStats(&after)
		if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, raster.ErrTooLarge) || got > 1<<16 {
			t.Errorf("marker %#x at 1/%d: %v; %d bytes allocated", test.marker, test.scale, err, got)
		}
	}
}

func TestVectorTransformIsTheGenericOne(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for round := range 300 {
		var block [64]int16
		var quantization [64]int16
		for i := range block {
			if random.IntN(3) > 0 || round == 0 {
				block[i] = int16(random.IntN(401) - 200)
			}
			quantization[i] = int16(random.IntN(30) + 1)
			if round%4 == 1 { // as of damaged files
				block[i], quantization[i] = int16(random.Uint32()), int16(random.Uint32())
			}
		}
		if round%5 == 1 {
			clear(block[8:])
		}
		got, want := make([]byte, 100), make([]byte, 100)
		transform8(&block, &quantization, want, 12)
		transformVector(&block, &quantization, got, 12)
		if !bytes.Equal(got, want) {
			t.Fatalf("transform of %v: %v, want %v", block, got, want)
		}
	}
}

func TestVectorsAreTheGenericCode(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for n := 1; n < 100; n++ {
		whole := (n + vectorSamples - 1) / vectorSamples * vectorSamples
		samples := func() []byte {
			s := make([]byte, whole)
			for i := range s {
				s[i] = byte(random.Uint32())
			}
			return s[:n]
		}
		near, far, third := samples(), samples(), samples()
		gotSums, wantSums := make([]int16, whole+2), make([]int16, whole+2)
		addRows(gotSums[1:], near, far)
		addRowsGeneric(wantSums[1:], near, far)
		if !slices.Equal(gotSums[1:n+1], wantSums[1:n+1]) {
			t.Fatalf("%d sums: %v, want %v", n, gotSums, wantSums)
		}
		wantSums[0], wantSums[n+1] = wantSums[1], wantSums[n]
		got, want := make([]byte, 2*whole), make([]byte, 2*whole)
		expand(got, wantSums, n, 8, 7, 4)
		expandGeneric(want, wantSums, n, 8, 7, 4)
		if !bytes.Equal(got[:2*n], want[:2*n]) {
			t.Fatalf("%d expanded: %v, want %v", n, got, want)
		}
		got, want = make([]byte, 3*n), make([]byte, 3*n)
		yccToRGB(got, near, far, third, nil)
		for i := range n {
			yccToRGB(want[3*i:3*i+3], near[i:i+1], far[i:i+1], third[i:i+1], nil)
		}
		if !bytes.Equal(got, want) {
			t.Fatalf("%d converted: %v, want %v", n, got, want)
		}
	}
}

// FuzzDecode checks the size of the picture, and that neither memory that was used before nor keeping
// what is there of cut files changes it.
func FuzzDecode(f *testing.F) {
	for _, path := range files(f) {
		if strings.Contains(path, "17x9") || strings.Contains(path, "2x3") {
			f.Add(read(f, path), uint8(0))
		}
	}
	for _, name := range []string{"processes/arithmetic-restart", "processes/progressive-420", "processes/lossless-4",
		"processes/lossless-sampled-scans", "damaged/restart-d5", "damaged/scans-3", "damaged/unclosed-surplus-8"} {
		f.Add(read(f, "testdata/"+name+".jpg"), uint8(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, scale uint8) {
		h, err := ReadHeader(data)
		if err != nil || h.Width*h.Height > 1<<16 {
			return
		}
		o := options(1 << (scale % 4))
		m, err := Decode(context.Background(), data, o)
		if err != nil {
			return
		}
		denominator := o.Scale
		if m.Width == h.Width && m.Height == h.Height {
			denominator = 1 // as of lossless pictures
		}
		if len(m.Pix) != 3*m.Width*m.Height || m.Width != ceilDiv(h.Width, denominator) ||
			m.Height != ceilDiv(h.Height, denominator) {
			t.Errorf("%d bytes for %d × %d of %+v at 1/%d", len(m.Pix), m.Width, m.Height, h, denominator)
		}
		o.Pix = bytes.Repeat([]byte{0xa5}, len(m.Pix)+1)
		if again, err := Decode(context.Background(), data, o); err != nil || !bytes.Equal(again.Pix, m.Pix) ||
			&again.Pix[0] != &o.Pix[0] {
			t.Errorf("other pixels or memory if there is memory, or %v", err)
		}
		o.KeepTruncated = true
		if kept, err := Decode(context.Background(), data, o); err != nil || !bytes.Equal(kept.Pix, m.Pix) {
			t.Errorf("other pixels if cut files are kept, or %v", err)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	data := read(b, "testdata/65x33-420.jpg")
	for _, scale := range []int{1, 8} {
		b.Run(fmt.Sprintf("1/%d", scale), func(b *testing.B) {
			for b.Loop() {
				if _, err := Decode(context.Background(), data, options(scale)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func ExampleDecode() {
	data, err := os.ReadFile("testdata/65x33-420.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := Decode(context.Background(), data, raster.Options{Scale: 2, MaxPixels: 1 << 20})
	fmt.Println(m.Width, m.Height, err)
	// Output: 33 17 <nil>
}
