package heif

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"garb/internal/raster"
)

func read(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// decode decodes without a deadline.
func decode(data []byte, maxPixels int) (raster.Image, error) {
	return Decode(context.Background(), data, raster.Options{MaxPixels: maxPixels})
}

// expectation is what testdata/make.py writes of each picture.
type expectation struct {
	Width    int
	Height   int
	Quarters [4][3]float64 // mean colours of the middles: top left, top right, bottom left, bottom right
}

func TestPicturesAgreeWithPillow(t *testing.T) {
	var expected map[string]expectation
	if err := json.Unmarshal(read(t, "expected.json"), &expected); err != nil {
		t.Fatal(err)
	}
	for name, want := range expected {
		t.Run(name, func(t *testing.T) {
			data := read(t, name)
			format, h, err := ReadHeader(data)
			if err != nil || format != filepath.Ext(name)[1:] || h.Width != want.Width || h.Height != want.Height {
				t.Fatalf("ReadHeader = %q, %d × %d, %v; want %d × %d", format, h.Width, h.Height, err, want.Width,
					want.Height)
			}
			m, err := decode(data, h.Width*h.Height*2)
			if err != nil || m.Width != want.Width || m.Height != want.Height || len(m.Pix) != 3*m.Width*m.Height {
				t.Fatalf("Decode gave %d bytes, %d × %d, %v", len(m.Pix), m.Width, m.Height, err)
			}
			// Rounding, and ways of interpolating chroma: 1 level in the mean, 2 in
			// limited range, whose levels are 255/219 apart. At sharp edges this build of
			// libde265 differs by more (wasm/README.md), so they are left out.
			tolerance := 1.0
			if name == "drawn-709.heic" {
				tolerance = 2
			}
			for i, got := range quarters(m.Pix, m.Width, m.Height) {
				for j := range got {
					if math.Abs(got[j]-want.Quarters[i][j]) > tolerance {
						t.Errorf("quarter %d has mean colour %.1f, want %.1f", i, got, want.Quarters[i])
						break
					}
				}
			}
		})
	}
}

// quarters returns the mean colour of each quarter's middle: 1/4 of its sides in from each
// edge, as testdata/make.py does.
func quarters(pixels []byte, width, height int) (means [4][3]float64) {
	for q, box := range [4][4]int{{0, 0, width / 2, height / 2}, {width / 2, 0, width, height / 2},
		{0, height / 2, width / 2, height}, {width / 2, height / 2, width, height}} {
		inX, inY := (box[2]-box[0])/4, (box[3]-box[1])/4
		count := 0.0
		for y := box[1] + inY; y < box[3]-inY; y++ {
			for x := box[0] + inX; x < box[2]-inX; x++ {
				count++
				for j := range 3 {
					means[q][j] += float64(pixels[3*(y*width+x)+j])
				}
			}
		}
		for j := range 3 {
			means[q][j] /= count
		}
	}
	return means
}

func TestOtherDataAreNotIdentified(t *testing.T) {
	for _, data := range []string{"", "ftyp", "GIF89a..........", "\x00\x00\x00\x18ftypisom\x00\x00\x00\x00isommp42",
		"\x00\x00\x00\x18ftyp"} {
		if format, _, err := ReadHeader([]byte(data)); !errors.Is(err, raster.ErrUnsupported) || format != "" {
			t.Errorf("ReadHeader(%q) = %q, %v", data, format, err)
		}
		if _, err := decode([]byte(data), 1); !errors.Is(err, raster.ErrUnsupported) {
			t.Errorf("Decode(%q) gave %v", data, err)
		}
	}
}

// typed tells whether an error is one that Decode may give.
func typed(err error) bool {
	return errors.Is(err, raster.ErrCorrupt) || errors.Is(err, raster.ErrUnsupported) || errors.Is(err, raster.ErrTooLarge)
}

// A file that is cut is refused, unless what is missing isn't the picture's (EXIF, XMP):
// then the picture is the same.
func TestFilesCutShort(t *testing.T) {
	for _, name := range []string{"drawn-444.avif", "drawn-alpha.heic", "test8.avif", "test8.heic"} {
		data := read(t, name)
		whole, err := decode(data, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		cuts := []int{13, 40, len(data) / 2, len(data) - 1}
		for n := 0; n < len(data); n += 1 + len(data)/400 {
			_, _, err := ReadHeader(data[:n])
			if err != nil && !typed(err) {
				t.Errorf("ReadHeader of %s cut at %d: %v", name, n, err)
			}
			if err == nil {
				cuts = append(cuts, n)
				break
			}
		}
		for _, n := range cuts {
			m, err := decode(data[:n], 1<<20)
			if err != nil && !typed(err) {
				t.Errorf("Decode of %s cut at %d: %v", name, n, err)
			}
			if err == nil && (strings.HasPrefix(name, "drawn") || !bytes.Equal(m.Pix, whole.Pix)) {
				t.Errorf("Decode of %s cut at %d gave another picture", name, n)
			}
		}
	}
}

// withSize returns a copy of data in which each ispe says width × height.
func withSize(data []byte, width, height uint32) []byte {
	data = bytes.Clone(data)
	for at := 0; ; {
		i := bytes.Index(data[at:], []byte("ispe"))
		if i < 0 {
			return data
		}
		at += i + 4
		binary.BigEndian.PutUint32(data[at+4:], width)
		binary.BigEndian.PutUint32(data[at+8:], height)
	}
}

func TestHugeClaimsAreRefusedUndecoded(t *testing.T) {
	data := read(t, "drawn.avif")
	for _, size := range [][2]uint32{{60000, 60000}, {math.MaxUint32, math.MaxUint32}, {30000, 30000}} {
		_, err := decode(withSize(data, size[0], size[1]), 50_000_000)
		if !errors.Is(err, raster.ErrTooLarge) {
			t.Errorf("%d × %d: %v", size[0], size[1], err)
		}
	}
	if _, err := decode(data, 82*50-1); !errors.Is(err, raster.ErrTooLarge) {
		t.Errorf("one pixel too many: %v", err)
	}
	// A size that the bit stream doesn't have.
	resized := withSize(read(t, "drawn-444.heic"), 16, 16)
	if _, err := decode(resized, 1<<20); !errors.Is(err, raster.ErrCorrupt) {
		t.Errorf("a wrong size: %v", err)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m, err := avifDecoder.start(context.Background(), 32<<20)
	if err != nil {
		t.Fatal(err)
	}
	defer m.close()
	if _, err := m.allocate(16<<20, nil); err != nil {
		t.Errorf("a block within the limit: %v", err)
	}
	if _, err := m.allocate(17<<20, nil); !errors.Is(err, raster.ErrTooLarge) {
		t.Errorf("a block beyond the limit: %v", err)
	}
	if size := m.module.Memory().Size(); size > 32<<20 {
		t.Errorf("the memory has grown to %d bytes", size)
	}
}

func TestContextEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Decode(ctx, read(t, "test8.heic"), raster.Options{MaxPixels: 1 << 20}); !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
	}
	// Within the decoder: its code is compiled first, so that the time runs out in it.
	for name, d := range map[string]*decoder{"test8.heic": heicDecoder, "test8.avif": avifDecoder} {
		if err := d.compile(context.Background()); err != nil {
			t.Fatal(err)
		}
		data := read(t, name)
		// These pictures take some hundred milliseconds.
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Millisecond)
		if _, err := Decode(ctx, data, raster.Options{MaxPixels: 1 << 20}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: %v", name, err)
		}
		cancel()
	}
}

// Damage within the picture's bits may go unseen, but never gives another kind of error.
func TestDamagedBits(t *testing.T) {
	for _, name := range []string{"drawn.avif", "drawn.heic", "drawn-grid.heic", "drawn-sequence.avif"} {
		data := read(t, name)
		for i := range 12 {
			bad := bytes.Clone(data)
			bad[len(bad)-1-i*len(bad)/30] ^= 0x55
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
			if _, err := Decode(ctx, bad, raster.Options{MaxPixels: 1 << 20}); err != nil && !typed(err) {
				t.Errorf("%s: %v", name, err)
			}
			cancel()
		}
	}
}

func TestBytesOfTheModulesAreTheNamedOnes(t *testing.T) {
	sums, err := os.ReadFile("SHA256SUMS")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{"wasm/avif.wasm.gz": avifModule, "wasm/heic.wasm.gz": heicModule} {
		sum := sha256.Sum256(data)
		if !slices.Contains(strings.Split(string(sums), "\n"),
			fmt.Sprintf("%s  %s", hex.EncodeToString(sum[:]), name)) {
			t.Errorf("%s isn't the file of SHA256SUMS", name)
		}
	}
}

func TestApply(t *testing.T) {
	// a b c
	// d e f
	source := func() []byte {
		var p []byte
		for _, v := range []byte("abcdef") {
			p = append(p, v, v, v)
		}
		return p
	}
	for _, c := range []struct {
		name  string
		steps []transformation
		want  string
		width int
	}{
		{"90° anticlockwise", []transformation{{kind: 'r', turns: 1}}, "cfbead", 2},
		{"180°", []transformation{{kind: 'r', turns: 2}}, "fedcba", 3},
		{"90° clockwise", []transformation{{kind: 'r', turns: 3}}, "daebfc", 2},
		{"upside down", []transformation{{kind: 'm', vertical: true}}, "defabc", 3},
		{"left to right", []transformation{{kind: 'm'}}, "cbafed", 3},
		{"crop", []transformation{{kind: 'c', left: 1, top: 1, w: 2, h: 1}}, "ef", 2},
		{"crop, then turn", []transformation{{kind: 'c', left: 1, w: 2, h: 2}, {kind: 'r', turns: 1}}, "cfbe", 2},
	} {
		got, width, height := applyTransformations(source(), 3, 2, c.steps)
		letters := ""
		for i := 0; i < len(got); i += 3 {
			letters += string(got[i])
		}
		if letters != c.want || width != c.width || width*height != len(c.want) {
			t.Errorf("%s: %q, %d × %d; want %q", c.name, letters, width, height, c.want)
		}
	}
}

func seeds(f *testing.F) {
	names, err := filepath.Glob("testdata/drawn*.*")
	if err != nil {
		f.Fatal(err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
}

func FuzzReadHeader(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		format, h, err := ReadHeader(data)
		switch {
		case err != nil && !typed(err), err == nil && format == "":
			t.Fatalf("format %q, %v", format, err)
		case err == nil && (h.Width <= 0 || h.Height <= 0 || h.Width > maxSide || h.Height > maxSide):
			t.Fatalf("%s of %d × %d", format, h.Width, h.Height)
		}
	})
}

func FuzzDecode(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		_, h, _ := ReadHeader(data)
		m, err := Decode(ctx, data, raster.Options{MaxPixels: 1 << 18})
		switch {
		case err != nil && !typed(err) && !errors.Is(err, context.DeadlineExceeded):
			t.Fatal(err)
		case err == nil && (len(m.Pix) != 3*m.Width*m.Height || m.Width != h.Width || m.Height != h.Height):
			t.Fatalf("%d bytes, %d × %d; the header says %d × %d", len(m.Pix), m.Width, m.Height, h.Width, h.Height)
		}
	})
}

func ExampleDecode() {
	data, err := os.ReadFile("testdata/drawn-turned6.avif")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := Decode(context.Background(), data, raster.Options{MaxPixels: 50_000_000})
	fmt.Println(len(m.Pix), m.Width, m.Height, err)
	// Output: 12300 50 82 <nil>
}
