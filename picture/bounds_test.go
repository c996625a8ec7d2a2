package picture

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// TestBMPHeaders checks the sizes of BMP's headers. Those that garb does not decode are unsupported
// pictures, and others are not pictures.
func TestBMPHeaders(t *testing.T) {
	known := map[uint32]bool{12: true, 16: true, 40: true, 52: true, 56: true, 64: true, 108: true, 124: true}
	for size := range uint32(130) {
		data := encodeBMP(3)
		binary.LittleEndian.PutUint32(data[14:], size)
		if _, err := Identify(data); errors.Is(err, ErrNotPicture) == known[size] {
			t.Errorf("a header of %d bytes: %v", size, err)
		}
	}
}

// TestLimitsAreInclusive checks that a picture as large as the limits allow is decoded.
func TestLimitsAreInclusive(t *testing.T) {
	data := read(t, "testdata/plain.jpg") // 40 × 30
	l := DefaultLimits()
	l.MaxBytes, l.MaxPixels, l.MaxSide = int64(len(data)), 1200, 40
	if _, err := Decode(context.Background(), data, l); err != nil {
		t.Error(err)
	}
	if all, err := Read(bytes.NewReader(data), l); err != nil || !bytes.Equal(all, data) {
		t.Errorf("Read: %v", err)
	}
	l.MaxBytes--
	if _, err := Decode(context.Background(), data, l); !errors.Is(err, ErrTooLarge) {
		t.Errorf("a byte more than the limit: %v", err)
	}
	if _, err := Read(bytes.NewReader(data), l); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Read of a byte more than the limit: %v", err)
	}
}

func TestContextReader(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	r := contextReader{ctx: ctx, r: strings.NewReader("text")}
	b := make([]byte, 2)
	if n, err := r.Read(b); n != 2 || err != nil || string(b) != "te" {
		t.Errorf("%d bytes, %q, %v", n, b, err)
	}
	cancel()
	if n, err := r.Read(b); n != 0 || !errors.Is(err, context.Canceled) {
		t.Errorf("after the end: %d bytes, %v", n, err)
	}
}

func TestSpecBounds(t *testing.T) {
	for _, test := range []struct {
		width, height int
		ratio         float64
		valid         bool
	}{
		{1, 1, 0, true}, {4096, 4096, 1, true},
		{4097, 1, 0, false}, {1, 4097, 0, false}, {0, 1, 0, false}, {1, 0, 0, false}, {-1, 1, 0, false},
		{1, 1, -0.001, false}, {1, 1, 1.001, false},
	} {
		s := unit(test.width, test.height, Bilinear, Crop)
		s.CropRatio = test.ratio
		if err := s.Validate(); (err == nil) != test.valid {
			t.Errorf("%d × %d, ratio %v: %v", test.width, test.height, test.ratio, err)
		}
	}
}

// TestPart checks the middle of a crop, and that a letterbox shows the whole picture.
func TestPart(t *testing.T) {
	for _, test := range []struct {
		fit           Fit
		width, height int
		want          Part
	}{
		{Stretch, 200, 100, Part{0, 0, 200, 100}},
		{Crop, 200, 100, Part{50, 0, 100, 100}},
		{Crop, 100, 200, Part{0, 50, 100, 100}},
		{Letterbox, 200, 100, Part{0, -50, 200, 200}},
		{Letterbox, 100, 200, Part{-50, 0, 200, 200}},
	} {
		if have := unit(40, 40, Nearest, test.fit).Part(test.width, test.height); have != test.want {
			t.Errorf("%s of %d × %d: %v, want %v", test.fit, test.width, test.height, have, test.want)
		}
	}
}

// TestLetterbox puts plain pictures of several shapes between bars.
func TestLetterbox(t *testing.T) {
	s := unit(12, 8, Bilinear, Letterbox)
	s.Mean = [3]float32{-4, 8.6, 300}
	for _, test := range []struct{ width, height, left, top, innerWidth, innerHeight int }{
		{24, 8, 0, 2, 12, 4},
		{8, 16, 4, 0, 4, 8},
		{5, 8, 3, 0, 5, 8},
		{120, 80, 0, 0, 12, 8},
		{1000, 1, 0, 3, 12, 1},
		{1, 1000, 5, 0, 1, 8},
	} {
		p := newRGB(test.width, test.height)
		for i := range p.Pix {
			p.Pix[i] = 77
		}
		out := s.Resize(p)
		for y := range s.Height {
			for x := range s.Width {
				want := []uint8{0, 9, 255}
				if x >= test.left && x < test.left+test.innerWidth && y >= test.top && y < test.top+test.innerHeight {
					want = []uint8{77, 77, 77}
				}
				if have := out.row(y)[3*x:][:3]; !slices.Equal(have, want) {
					t.Fatalf("%d × %d: pixel (%d, %d) is %v, want %v", test.width, test.height, x, y, have, want)
				}
			}
		}
	}
}

// TestResizeOrder checks the order of a resizing: width first, unless the height shrinks by more
// than twice what the width does (Pillow 13.0.0). The order shows in the rounding.
func TestResizeOrder(t *testing.T) {
	random := rand.New(rand.NewPCG(5, 6))
	p := newRGB(40, 40)
	for i := range p.Pix {
		p.Pix[i] = uint8(random.Uint32())
	}
	whole := plane{p.Pix, 3 * p.Width, p.Width, p.Height}
	for _, test := range []struct {
		width, height int
		heightFirst   bool
	}{
		{30, 20, false}, // the height shrinks by exactly twice as much
		{30, 19, true},
		{31, 25, false},
		{44, 39, true},
		{44, 50, false},
		{50, 45, false},
	} {
		across, down := newWeights(p.Width, test.width, Bicubic), newWeights(p.Height, test.height, Bicubic)
		widthFirst, heightFirst := newRGB(test.width, test.height), newRGB(test.width, test.height)
		whole.scaleBoth(across, down, widthFirst)
		whole.scaleHeight(down).scaleWidth(across, heightFirst)
		orders := map[bool][]uint8{false: widthFirst.Pix, true: heightFirst.Pix}
		if bytes.Equal(orders[true], orders[false]) {
			t.Fatalf("%d × %d: the order makes no difference", test.width, test.height)
		}
		s := unit(test.width, test.height, Bicubic, Stretch)
		if !bytes.Equal(s.Resize(p).Pix, orders[test.heightFirst]) {
			t.Errorf("%d × %d: height first should be %v", test.width, test.height, test.heightFirst)
		}
	}
}

// claimSize changes the size in a picture's header to side × side, without more pixels.
func claimSize(t *testing.T, f Format, data []byte, side int) []byte {
	data = slices.Clone(data)
	switch f {
	case JPEG:
		at := bytes.Index(data, []byte("\xff\xc0\x00\x11\x08"))
		if at < 0 {
			t.Fatal("the JPEG has no baseline frame")
		}
		binary.BigEndian.PutUint16(data[at+5:], uint16(side))
		binary.BigEndian.PutUint16(data[at+7:], uint16(side))
	case WebP:
		if string(data[12:16]) == "VP8 " {
			binary.LittleEndian.PutUint16(data[26:], uint16(side))
			binary.LittleEndian.PutUint16(data[28:], uint16(side))
		} else {
			binary.LittleEndian.PutUint32(data[21:], uint32(side-1|(side-1)<<14))
		}
	case PNG:
		return makePNG(uint32(side), uint32(side))
	case BMP:
		return encodeBMP(uint32(side))
	case GIF:
		size := binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(nil, uint16(side)), uint16(side))
		const palette, frame = "\x80\x00\x00\x00\x00\x00\xff\xff\xff", ",\x00\x00\x00\x00"
		return slices.Concat([]byte("GIF89a"), size, []byte(palette+frame), size, []byte("\x00\x02\x00"))
	case TIFF: // one strip of 8-bit grey that is as long as the picture should be
		b := []byte("II*\x00\x08\x00\x00\x00\x08\x00")
		for _, entry := range [][2]uint32{{256, uint32(side)}, {257, uint32(side)}, {258, 8}, {259, 1}, {262, 1},
			{273, 8}, {278, uint32(side)}, {279, uint32(side * side)}} {
			b = binary.LittleEndian.AppendUint16(binary.LittleEndian.AppendUint16(b, uint16(entry[0])), 4)
			b = binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(b, 1), entry[1])
		}
		return append(b, 0, 0, 0, 0)
	}
	return data
}

// TestMemory checks how much decoding allocates for a pixel that a header claims and that is not
// there. Where the data show that nothing is there, it allocates nothing, unless cut pictures are
// kept. Package heif checks its own formats.
func TestMemory(t *testing.T) {
	const side = 2000
	for _, test := range []struct {
		format        Format
		file          string
		pixel, kept   float64 // bytes
		refused       bool
		refusedIfKept bool
	}{
		{JPEG, "plain.jpg", 5, 5, false, false},
		{PNG, "plain.png", 0, 3, true, false},
		{GIF, "plain.gif", 0, 3, true, false},
		{BMP, "plain.bmp", 0, 3, true, false},
		{TIFF, "", 0, 4, true, false},
		{WebP, "lossy.webp", 3.2, 3.2, true, true},
		{WebP, "lossless.webp", 7.2, 7.2, true, true},
	} {
		var data []byte
		if test.file != "" {
			data = read(t, "testdata/"+test.file)
		}
		data = claimSize(t, test.format, data, side)
		for _, keep := range []bool{false, true} {
			l := DefaultLimits()
			l.Timeout, l.KeepTruncated = 0, keep
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, info, err := Inspect(t.Context(), data, l)
			runtime.ReadMemStats(&after)
			most, refused := test.pixel, test.refused
			if keep {
				most, refused = test.kept, test.refusedIfKept
			}
			if info.Format != test.format || info.Width != side || info.Height != side || (err != nil) != refused {
				t.Errorf("%s %s, kept %v: %+v, %v", test.format, test.file, keep, info, err)
			}
			const fixed = 1 << 20
			if got := float64(after.TotalAlloc - before.TotalAlloc); got > most*side*side+fixed {
				t.Errorf("%s %s, kept %v: %.1f bytes a pixel", test.format, test.file, keep, got/side/side)
			}
			l.MaxDecodedPixels = side*side - 1
			runtime.ReadMemStats(&before)
			_, _, err = Inspect(t.Context(), data, l)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; !errors.Is(err, ErrTooLarge) || got > fixed/4 {
				t.Errorf("%s %s beyond the limit: %d bytes, %v", test.format, test.file, got, err)
			}
		}
	}
}
