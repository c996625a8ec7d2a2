package picture

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// chunk encodes a part of a WebP file.
func chunk(name string, body ...byte) []byte {
	data := binary.LittleEndian.AppendUint32([]byte(name), uint32(len(body)))
	data = append(data, body...)
	return data[:len(data):len(data)]
}

// webpCanvas encodes a WebP file that begins with a canvas of 10 × 12 pixels.
func webpCanvas(chunks ...[]byte) []byte {
	all := append([][]byte{[]byte("WEBP"), chunk("VP8X", 0, 0, 0, 0, 9, 0, 0, 11, 0, 0)}, chunks...)
	body := slices.Concat(all...)
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

// TestIdentifyWebP checks that the picture in a WebP may be larger than the canvas that its header
// claims. Sizes have 14 bits; the two bits above, of a lossy one, are its scaling.
func TestIdentifyWebP(t *testing.T) {
	lossy := chunk("VP8 ", 0, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0x7f, 0x01, 0xa0) // 16383 (1) × 8193 (2)
	lossless := chunk("VP8L", 0x2f, 0xff, 0xff, 0xff, 0x0f)                   // 16384 × 16384
	for name, test := range map[string]struct {
		data          []byte
		width, height int
	}{
		"canvas":              {webpCanvas(), 10, 12},
		"lossy":               {webpCanvas(lossy), 16383, 8193},
		"lossless":            {webpCanvas(lossless), 16384, 16384},
		"after an odd chunk":  {webpCanvas(chunk("ICCP", 1), []byte{0}, lossy), 16383, 8193},
		"after an even chunk": {webpCanvas(chunk("ICCP", 1, 2), lossy), 16383, 8193},
		"lossy, too short":    {webpCanvas(lossy[:8], make([]byte, 1)), 10, 12},
		"lossless, too short": {webpCanvas(lossless[:12]), 10, 12},
	} {
		info, err := Identify(test.data)
		if err != nil || info.Width != test.width || info.Height != test.height {
			t.Errorf("%s: %d × %d, %v; want %d × %d", name, info.Width, info.Height, err, test.width, test.height)
		}
	}
}

// TestIdentifyShortHeaders checks that a file that is cut right behind the bytes that name its
// format is a broken picture of that format.
func TestIdentifyShortHeaders(t *testing.T) {
	for _, test := range []struct {
		data string
		want Format
	}{
		{"\xff\xd8\xff", JPEG},
		{"\x89PNG\r\n\x1a\n", PNG},
		{"GIF87a", GIF},
		{"GIF89a", GIF},
		{"RIFF\x04\x00\x00\x00WEBP", WebP},
		{"BM" + strings.Repeat("\x00", 12) + "\x28\x00\x00\x00", BMP},
		{"\x00\x00\x00\x10ftypheic\x00\x00\x00\x00", HEIC},
		{"\x00\x00\x00\x10ftypavif\x00\x00\x00\x00", AVIF},
	} {
		info, err := Identify([]byte(test.data))
		if info.Format != test.want || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "cut off") {
			t.Errorf("%q: format %q, error %v", test.data, info.Format, err)
		}
		if _, err := Identify([]byte(test.data[:len(test.data)-1])); test.want != HEIC && test.want != AVIF &&
			!errors.Is(err, ErrNotPicture) {
			t.Errorf("%q, cut: error %v", test.data, err)
		}
	}
}

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
