package picture

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"slices"
	"testing"
	"time"
)

// exifEntry is an entry of a TIFF directory: a tag, a type and a value.
type exifEntry struct{ tag, kind, value uint16 }

// exifBlock encodes a TIFF file whose directory begins at 8 bytes and a gap.
func exifBlock(order binary.AppendByteOrder, gap int, entries ...exifEntry) []byte {
	b := []byte("II*\x00")
	if order == binary.AppendByteOrder(binary.BigEndian) {
		b = []byte("MM\x00*")
	}
	b = order.AppendUint32(b, uint32(8+gap))
	b = append(b, make([]byte, gap)...)
	b = order.AppendUint16(b, uint16(len(entries)))
	for _, e := range entries {
		b = order.AppendUint16(order.AppendUint16(b, e.tag), e.kind)
		b = order.AppendUint16(order.AppendUint32(b, 1), e.value)
		b = append(b, 0, 0)
	}
	return b
}

func TestOrientation(t *testing.T) {
	const short = 3
	other, turned := exifEntry{0x0110, 2, 0}, exifEntry{0x0112, short, 6}
	block := exifBlock(binary.LittleEndian, 0, turned)
	for name, test := range map[string]struct {
		exif []byte
		want int
	}{
		"little endian":         {exifBlock(binary.LittleEndian, 0, exifEntry{0x0112, short, 6}), 6},
		"big endian":            {exifBlock(binary.BigEndian, 0, exifEntry{0x0112, short, 6}), 6},
		"after a gap":           {exifBlock(binary.BigEndian, 5, exifEntry{0x0112, short, 8}), 8},
		"after others":          {exifBlock(binary.LittleEndian, 0, other, other, exifEntry{0x0112, short, 2}), 2},
		"the first of two":      {exifBlock(binary.LittleEndian, 0, exifEntry{0x0112, short, 9}, turned), 1},
		"least":                 {exifBlock(binary.LittleEndian, 0, exifEntry{0x0112, short, 1}), 1},
		"0":                     {exifBlock(binary.LittleEndian, 0, exifEntry{0x0112, short, 0}), 1},
		"9":                     {exifBlock(binary.LittleEndian, 0, exifEntry{0x0112, short, 9}), 1},
		"another type":          {exifBlock(binary.LittleEndian, 0, exifEntry{0x0112, 4, 6}), 1},
		"another tag":           {exifBlock(binary.LittleEndian, 0, exifEntry{0x0113, short, 6}), 1},
		"nothing":               {exifBlock(binary.LittleEndian, 0), 1},
		"a name before":         {append([]byte("Exif\x00\x00"), block...), 6},
		"no name before":        {append([]byte("Exit\x00\x00"), block...), 1},
		"another beginning":     {append([]byte("IM*\x00"), block[4:]...), 1},
		"a directory elsewhere": {[]byte("II*\x00\x09\x00\x00\x00\x00\x00"), 1},
		"a directory far away":  {[]byte("II*\x00\xff\xff\xff\xff\x00\x00"), 1},
		"an entry cut off":      {block[:21], 1},
	} {
		if have := readOrientation(test.exif); have != test.want {
			t.Errorf("%s: %d, want %d", name, have, test.want)
		}
	}
}

// TestJPEGEXIF finds the first EXIF segment, wherever it is before the pixels.
func TestJPEGEXIF(t *testing.T) {
	segment := func(marker byte, body string) []byte {
		return append(binary.BigEndian.AppendUint16([]byte{0xff, marker}, uint16(2+len(body))), body...)
	}
	const start, exif = "\xff\xd8", "Exif\x00\x00body"
	for name, test := range map[string]struct{ data, want []byte }{
		"first": {segment(0xe1, exif), []byte(exif)},
		"empty": {segment(0xe1, exif[:6]), []byte(exif[:6])},
		"after others": {slices.Concat(segment(0xe0, "JFIF"), segment(0xe1, "http"), segment(0xe1, exif)),
			[]byte(exif)},
		"after an empty":    {slices.Concat(segment(0xe0, ""), segment(0xe1, exif)), []byte(exif)},
		"after padding":     {slices.Concat([]byte{0xff, 0xff}, segment(0xe1, exif)), []byte(exif)},
		"the first of two":  {slices.Concat(segment(0xe1, exif), segment(0xe1, exif+"x")), []byte(exif)},
		"another name":      {segment(0xe1, "Exif\x00\x01body"), nil},
		"another marker":    {segment(0xe2, exif), nil},
		"after the pixels":  {slices.Concat(segment(0xda, ""), segment(0xe1, exif)), nil},
		"cut off":           {segment(0xe1, exif)[:13], nil},
		"a size of 1":       {slices.Concat([]byte{0xff, 0xe0, 0, 1}, segment(0xe1, exif)), nil},
		"no marker":         {slices.Concat([]byte{0xfe, 0xe0, 0, 2}, segment(0xe1, exif)), nil},
		"the first is long": {segment(0xe0, string(make([]byte, 70000)))[:50], nil},
		"nothing":           {nil, nil},
	} {
		if have := findJPEGEXIF(append([]byte(start), test.data...)); !bytes.Equal(have, test.want) {
			t.Errorf("%s: %q, want %q", name, have, test.want)
		}
	}
}

func TestPNGEXIF(t *testing.T) {
	chunk := func(name, body string) []byte {
		b := append(binary.BigEndian.AppendUint32(nil, uint32(len(body))), name...)
		return append(append(b, body...), "\x00\x00\x00\x00"...) // a checksum
	}
	const start = "\x89PNG\r\n\x1a\n"
	for name, test := range map[string]struct {
		data []byte
		want string
	}{
		"first":        {chunk("eXIf", "body"), "body"},
		"after others": {slices.Concat(chunk("IHDR", "12345"), chunk("IEND", ""), chunk("eXIf", "body")), "body"},
		"another name": {chunk("eXIF", "body"), ""},
		"cut off":      {chunk("eXIf", "body")[:15], ""},
		"nothing":      {nil, ""},
	} {
		if have := findPNGEXIF(append([]byte(start), test.data...)); string(have) != test.want {
			t.Errorf("%s: %q, want %q", name, have, test.want)
		}
	}
}

func TestDefaultLimits(t *testing.T) {
	// As the documentation of DefaultLimits has them.
	want := Limits{MaxBytes: 33_554_432, MaxPixels: 50_000_000, MaxSide: 16_384, Timeout: 30 * time.Second}
	if have := DefaultLimits(); have != want {
		t.Errorf("%+v, want %+v", have, want)
	}
	for name, spoil := range map[string]func(l *Limits){
		"bytes": func(l *Limits) { l.MaxBytes = 0 }, "pixels": func(l *Limits) { l.MaxPixels = 0 },
		"side": func(l *Limits) { l.MaxSide = 0 }, "time": func(l *Limits) { l.Timeout = -1 },
	} {
		l := want
		spoil(&l)
		if l.Validate() == nil {
			t.Errorf("%s: no error", name)
		}
	}
	if err := (Limits{MaxBytes: 1, MaxPixels: 1, MaxSide: 1}).Validate(); err != nil {
		t.Errorf("the least: %v", err)
	}
}

// TestSmallFrame checks that a GIF whose first frame covers only a part of the picture is white
// elsewhere.
func TestSmallFrame(t *testing.T) {
	black := image.NewPaletted(image.Rect(2, 1, 3, 3), color.Palette{color.Black})
	var b bytes.Buffer
	if err := gif.EncodeAll(&b, &gif.GIF{Image: []*image.Paletted{black}, Delay: []int{0},
		Config: image.Config{Width: 4, Height: 5, ColorModel: black.Palette}}); err != nil {
		t.Fatal(err)
	}
	p, err := Decode(t.Context(), b.Bytes(), DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for i, level := range p.Pix {
		want := uint8(255)
		if x, y := i/3%4, i/12; x == 2 && (y == 1 || y == 2) {
			want = 0
		}
		if level != want {
			t.Errorf("level %d of pixel %d is %d, want %d", i%3, i/3, level, want)
		}
	}
}
