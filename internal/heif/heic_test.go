package heif

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"garb/internal/raster"
)

// heicExpectation is what testdata/heic/make.py writes of each picture.
type heicExpectation struct {
	Width, Height int
	Grey, Alpha   bool
	Refused       bool
	SHA256        string // of the RGB bytes over white
}

func TestHEICAgreesWithPillow(t *testing.T) {
	var expected map[string]heicExpectation
	if err := json.Unmarshal(read(t, "heic/expected.json"), &expected); err != nil {
		t.Fatal(err)
	}
	for name, want := range expected {
		t.Run(name, func(t *testing.T) {
			data := read(t, name)
			if want.Refused {
				if _, err := decode(data, 1<<20); !typed(err) {
					t.Errorf("%v; want an error", err)
				}
				return
			}
			format, h, err := ReadHeader(data)
			if err != nil || format != formatHEIC || h.Width != want.Width || h.Height != want.Height ||
				h.Alpha != want.Alpha || !h.Alpha && h.Grey != want.Grey {
				t.Fatalf("ReadHeader = %q, %+v, %v; want %+v", format, h, err, want)
			}
			m, err := decode(data, 1<<20)
			if err != nil || m.Width != want.Width || m.Height != want.Height {
				t.Fatalf("Decode gave %d × %d, %v", m.Width, m.Height, err)
			}
			if sum := sha256.Sum256(m.Pix); hex.EncodeToString(sum[:]) != want.SHA256 {
				t.Error("the pixels are not pillow-heif's")
			}
		})
	}
}

// TestTilesInParallel compares the pixels that different numbers of processors decode.
func TestTilesInParallel(t *testing.T) {
	data := read(t, "heic/grid-420-alpha.heic")
	var want raster.Image
	for _, processors := range []int{1, 2, 5} {
		before := runtime.GOMAXPROCS(processors)
		m, err := decode(data, 1<<20)
		runtime.GOMAXPROCS(before)
		if err != nil {
			t.Fatal(err)
		}
		if want.Pix == nil {
			want = m
		}
		if !bytes.Equal(m.Pix, want.Pix) {
			t.Errorf("%d processors give other pixels", processors)
		}
	}
}

func TestInParallel(t *testing.T) {
	broken := errors.New("broken")
	for _, n := range []int{0, 1, 100} {
		done := make([]bool, n)
		err := inParallel(context.Background(), n, func(_ context.Context, i int) error {
			done[i] = true
			return nil
		})
		for i := range done {
			if !done[i] || err != nil {
				t.Fatalf("of %d: %d is not done, %v", n, i, err)
			}
		}
	}
	ended, end := context.WithCancel(context.Background())
	end()
	if err := inParallel(ended, 3, func(context.Context, int) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("after the context's end: %v", err)
	}
	err := inParallel(context.Background(), 9, func(ctx context.Context, i int) error {
		if i == 0 {
			return broken
		}
		<-ctx.Done() // the failure stops the others
		return ctx.Err()
	})
	if !errors.Is(err, broken) {
		t.Errorf("%v", err)
	}
}

// TestOtherStreams passes the decoder NAL units that are no picture.
func TestOtherStreams(t *testing.T) {
	data := read(t, "drawn.heic")
	at := bytes.Index(data, []byte("mdat")) + 4
	size := binary.BigEndian.Uint32(data[at:])
	for name, damage := range map[string]func(data []byte){
		"a unit beyond the data": func(data []byte) { binary.BigEndian.PutUint32(data[at:], size+1<<24) },
		"a negative size":        func(data []byte) { binary.BigEndian.PutUint32(data[at:], 1<<31) },
		"an empty unit":          func(data []byte) { binary.BigEndian.PutUint32(data[at:], 0) },
		"no slice":               func(data []byte) { data[at+4] = 40 << 1 },
	} {
		bad := bytes.Clone(data)
		damage(bad)
		if _, err := decode(bad, 1<<20); !errors.Is(err, raster.ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// TestAnotherPicture puts another picture's parameter sets and slice into a file.
func TestAnotherPicture(t *testing.T) {
	coded := func(data []byte) (configuration, item []byte) {
		c, err := parse(data)
		if err != nil {
			t.Fatal(err)
		}
		_, configuration, err = c.readHEVC(data, c.primary)
		if err != nil {
			t.Fatal(err)
		}
		return configuration, c.itemBytes(data, c.primary)
	}
	data := bytes.Clone(read(t, "test8.heic"))
	_, item := coded(data)
	configuration, slice := coded(read(t, "drawn-444.heic"))
	stream := append(parameterSets(configuration), slice...)
	stream = binary.BigEndian.AppendUint32(stream, uint32(len(item)-len(stream)-4))
	stream = append(stream, 38<<1, 1) // a unit of filler data
	copy(data[bytes.Index(data, item):], stream)
	if _, err := decode(data, 1<<20); !errors.Is(err, raster.ErrCorrupt) || !strings.Contains(err.Error(), "another") {
		t.Errorf("%v", err)
	}
}

// TestHEICMemory decodes files whose boxes claim more than their data have.
func TestHEICMemory(t *testing.T) {
	if err := heicDecoder.compile(context.Background()); err != nil {
		t.Fatal(err)
	}
	const limit = 8 << 20 // one instance for a tile takes 5
	claim := bytes.Clone(read(t, "heic/grid-420.heic"))
	grid := []byte{0, 0, 1, 1, 0, 107, 0, 85}
	at := bytes.Index(claim, grid)
	binary.BigEndian.PutUint16(claim[at+4:], 30000)
	binary.BigEndian.PutUint16(claim[at+6:], 2000)
	claim = withSizeOf(claim, 107, 85, 30000, 2000)
	canvas := bytes.Clone(read(t, "heic/overlay-of-grid.heic"))
	at = bytes.Index(canvas, []byte{0xff, 0xff, 0x80, 0, 0x12, 0x34, 0, 0, 0, 64, 0, 50})
	binary.BigEndian.PutUint16(canvas[at+8:], 30000)
	binary.BigEndian.PutUint16(canvas[at+10:], 2000)
	canvas = withSizeOf(canvas, 64, 50, 30000, 2000)
	end := bytes.Index(canvas, []byte("mdat")) + 30 // the first tile, behind the descriptions
	for i := range canvas[end:] {
		canvas[end+i] = 0xff
	}
	for name, data := range map[string][]byte{
		"a grid larger than its tiles":  claim,
		"a canvas without sound layers": canvas,
		"a picture larger than coded":   withSize(read(t, "drawn-444.heic"), 8000, 8000),
	} {
		allocated := measureAllocation(func() {
			if _, err := decode(data, 64_000_000); !errors.Is(err, raster.ErrCorrupt) {
				t.Errorf("%s: %v", name, err)
			}
		})
		if allocated > limit {
			t.Errorf("%s: %d bytes are allocated", name, allocated)
		}
	}
	if _, err := decode(read(t, "heic/grid-420.heic"), 107*85); !errors.Is(err, raster.ErrTooLarge) {
		t.Errorf("tiles with more pixels than allowed: %v", err)
	}
}

// TestNestedItemsAreBounded checks pictures whose items name each other or many others.
func TestNestedItemsAreBounded(t *testing.T) {
	data := read(t, "heic/overlay-of-grid.heic") // items 1 (overlay), 2 (grid), 3 and 4 (tiles)
	for name, c := range map[string]struct {
		change func(items map[uint32]*item)
		want   error
	}{
		"as it is":                {func(map[uint32]*item) {}, nil},
		"a grid of itself":        {func(items map[uint32]*item) { items[2].tiles[1] = 2 }, raster.ErrUnsupported},
		"the overlay in its grid": {func(items map[uint32]*item) { items[2].tiles[1] = 1 }, raster.ErrUnsupported},
		"many layers": {func(items map[uint32]*item) {
			items[1].tiles = slices.Repeat([]uint32{2}, maxTiles/2+1)
		}, raster.ErrUnsupported},
		"a tile that is missing": {func(items map[uint32]*item) { items[2].tiles[1] = 99 }, raster.ErrCorrupt},
		"an offset that is missing": {func(items map[uint32]*item) {
			items[1].tiles = []uint32{2, 2}
		}, raster.ErrCorrupt},
	} {
		c1, err := parse(data)
		if err != nil {
			t.Fatal(err)
		}
		c.change(c1.items)
		if _, err = c1.findPicture(data); !errors.Is(err, c.want) {
			t.Errorf("%s: %v; want %v", name, err, c.want)
		}
	}
	var e extent
	c, err := parse(data)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = c.checkItem(data, c.primary, &e, 1); err != nil || e.colourPixels != 64*50+2*64*64 || e.items != 2 {
		t.Errorf("an overlay inside another picture: %+v, %v", e, err)
	}
}

// withSizeOf returns a copy of data in which the ispe boxes of one size say another.
func withSizeOf(data []byte, width, height, newWidth, newHeight uint32) []byte {
	encode := func(w, h uint32) []byte {
		return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint32([]byte("ispe\x00\x00\x00\x00"), w), h)
	}
	return bytes.ReplaceAll(data, encode(width, height), encode(newWidth, newHeight))
}

// endless is a module whose functions malloc and decode never return:
//
//	(import "garb" "tick" (func (result i32)))
//	(memory (export "memory") 100)
//	(func (export "_initialize"))
//	(func (export "malloc") (param i32) (result i32) (loop (drop (call 0)) (br 0)) (unreachable))
const endless = "\x00asm\x01\x00\x00\x00" +
	"\x01\x0d\x03\x60\x00\x01\x7f\x60\x00\x00\x60\x01\x7f\x01\x7f" +
	"\x02\x0d\x01\x04garb\x04tick\x00\x00" +
	"\x03\x03\x02\x01\x02" +
	"\x05\x03\x01\x00\x64" +
	"\x07\x21\x03\x06memory\x02\x00\x0b_initialize\x00\x01\x06malloc\x00\x02" +
	"\x0a\x10\x02\x02\x00\x0b\x0b\x00\x03\x40\x10\x00\x1a\x0c\x00\x0b\x00\x0b"

// TestEndlessDecoder checks that a decoder that does not return is stopped at its deadline, and that its
// memory is given back.
func TestEndlessDecoder(t *testing.T) {
	var packed bytes.Buffer
	w := gzip.NewWriter(&packed)
	if _, err := w.Write([]byte(endless)); err != nil || w.Close() != nil {
		t.Fatal(err)
	}
	d := &decoder{packed: packed.Bytes(), ticks: true}
	if err := d.compile(context.Background()); err != nil {
		t.Fatal(err)
	}
	const rounds, memoryBytes = 20, 100 * 65536
	before := heapBytes()
	for range rounds {
		ctx, cancel := context.WithCancel(context.Background())
		m, err := d.start(ctx, 2*memoryBytes)
		if err != nil {
			t.Fatal(err)
		}
		time.AfterFunc(20*time.Millisecond, cancel)
		if _, err = m.call("malloc", 1); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		m.close()
	}
	if grown := heapBytes() - before; grown > rounds*memoryBytes/4 {
		t.Errorf("%d bytes are kept", grown)
	}
}

// heapBytes returns the size of what is in use.
func heapBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestTransform(t *testing.T) {
	for _, c := range []struct {
		name  string
		steps []transformation
		want  string // of "abc" over "def"
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
		for _, chroma := range []int{chromaNone, chroma444} {
			p := newPlanes[uint8](3, 2, chroma, 8)
			p.change(func(channel[uint8]) channel[uint8] { return channel[uint8]{3, 2, []uint8("abcdef")} })
			for _, step := range c.steps {
				p.transform(step)
			}
			p.change(func(got channel[uint8]) channel[uint8] {
				if string(got.pix) != c.want || got.width != c.width || got.width*got.height != len(c.want) {
					t.Errorf("%s: %q, %d × %d; want %q", c.name, got.pix, got.width, got.height, c.want)
				}
				return got
			})
		}
	}
}

func BenchmarkDecodeHEIC(b *testing.B) {
	for _, name := range []string{"test8.heic", "test12.heic"} {
		b.Run(name, func(b *testing.B) {
			data, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				b.Fatal(err)
			}
			_, h, err := ReadHeader(data)
			if err != nil {
				b.Fatal(err)
			}
			b.SetBytes(3 * int64(h.Width) * int64(h.Height))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := decode(data, 1<<20); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
