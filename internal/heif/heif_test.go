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
	return errors.Is(err, raster.ErrCorrupt) || errors.Is(err, raster.ErrUnsupported) ||
		errors.Is(err, raster.ErrTooLarge)
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
	for _, size := range [][2]uint32{{16000, 16000}, {10000, 5001}} {
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
	_, err := Decode(ctx, read(t, "test8.heic"), raster.Options{MaxPixels: 1 << 20})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a cancelled context: %v", err)
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

func glob(t testing.TB, pattern string) []string {
	names, err := filepath.Glob(pattern)
	if err != nil || len(names) == 0 {
		t.Fatalf("no files %s: %v", pattern, err)
	}
	return names
}

func seeds(f *testing.F) {
	for _, name := range append(glob(f, "testdata/drawn*.*"), glob(f, "testdata/heic/*.heic")...) {
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
	for _, d := range []*decoder{avifDecoder, heicDecoder} { // which takes longer than a fuzzer waits
		if err := d.compile(context.Background()); err != nil {
			f.Fatal(err)
		}
	}
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
	data, err := os.ReadFile("testdata/drawn-irot1.heic")
	if err != nil {
		fmt.Println(err)
		return
	}
	m, err := Decode(context.Background(), data, raster.Options{MaxPixels: 50_000_000})
	fmt.Println(len(m.Pix), m.Width, m.Height, err)
	// Output: 12300 50 82 <nil>
}
