package crops

import (
	"bytes"
	"compress/zlib"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"garb/dataset"
	"garb/picture"
)

func TestParseNames(t *testing.T) {
	long := strings.Builder{}
	for i := range 257 {
		fmt.Fprintf(&long, "n%d\n", i)
	}
	for _, c := range []struct {
		text string
		want []string
		line int // of the error, −1 for none
	}{
		{"null\nhat\n", []string{"null", "hat"}, -1},
		{"null\nhat", []string{"null", "hat"}, -1},
		{"\ufeffnull\r\n t-shirt \r\n\r\n \n", []string{"null", "t-shirt"}, -1},
		{"null\n\nhat\n", nil, 2},
		{"\nhat\n", nil, 1},
		{"null\nhat\nshoes\nhat\n", nil, 4},
		{"null\nHat\nhat\n", nil, 3},
		{"", nil, 0},
		{"\ufeff\r\n\n", nil, 0},
		{"caf\xe9\n", nil, 0},
		{long.String(), nil, 257},
		{strings.TrimSuffix(long.String(), "n256\n"), strings.Fields(long.String())[:256], -1},
	} {
		got, err := ParseNames([]byte(c.text))
		var bad *NamesError
		switch {
		case c.line < 0 && (err != nil || !cmp.Equal(got, c.want)):
			t.Errorf("%.20q: %v, %v", c.text, got, err)
		case c.line >= 0 && (!errors.As(err, &bad) || bad.Line != c.line || got != nil):
			t.Errorf("%.20q: %v, %v; want line %d", c.text, got, err, c.line)
		}
	}
}

func FuzzParseNames(f *testing.F) {
	f.Add([]byte("null\nhat\n"))
	f.Add([]byte("\ufeffa\r\n\r\nb"))
	f.Add([]byte("\xff\n"))
	f.Fuzz(func(t *testing.T, text []byte) {
		names, err := ParseNames(text)
		var bad *NamesError
		if err != nil {
			if !errors.As(err, &bad) {
				t.Fatal(err)
			}
			return
		}
		if _, err = NewCutter(names, DefaultRule()); err != nil {
			t.Fatal(err)
		}
		again, err := ParseNames([]byte(strings.Join(names, "\n")))
		if err != nil && !strings.HasPrefix(names[0], "\ufeff") || err == nil && len(again) != len(names) {
			t.Fatalf("%q: %q, %v", names, again, err)
		}
	})
}

func TestRules(t *testing.T) {
	names := []string{"null", "skin", "hat", "boots", "heels"}
	rule := func(change func(r *Rule)) Rule {
		r := DefaultRule()
		change(&r)
		return r
	}
	for _, c := range []struct {
		rule         Rule
		field, named string // of the error
		classes      string
	}{
		{DefaultRule(), "", "", "boots hat heels null skin"},
		{rule(func(r *Rule) { r.Ignore = []string{"null", " skin ", "255"} }), "", "", "boots hat heels"},
		{rule(func(r *Rule) { r.Merge = map[string]string{"boots": "shoes", " heels ": " shoes "} }), "", "",
			"hat null shoes skin"},
		{rule(func(r *Rule) { r.Merge, r.Classes = map[string]string{"boots": "shoes"}, []string{"shoes", "hat"} }),
			"", "", "hat shoes"},
		{rule(func(r *Rule) { r.Merge = map[string]string{"boot": "shoes"} }), "merge", "boot", ""},
		{rule(func(r *Rule) { r.Merge = map[string]string{"boots": " "} }), "merge", "", ""},
		{rule(func(r *Rule) { r.Merge, r.Ignore = map[string]string{"boots": "x"}, []string{"boots"} }),
			"merge", "", ""},
		{rule(func(r *Rule) { r.Ignore = []string{"hair"} }), "ignore", "hair", ""},
		{rule(func(r *Rule) { r.Ignore = []string{"4"} }), "ignore", "4", ""},
		{rule(func(r *Rule) { r.Ignore = []string{"256"} }), "ignore", "256", ""},
		{rule(func(r *Rule) { r.Ignore = []string{"-1"} }), "ignore", "-1", ""},
		{rule(func(r *Rule) { r.Ignore = names }), "ignore", "", ""},
		{rule(func(r *Rule) { r.Classes = []string{"shoes"} }), "classes", "shoes", ""},
		{rule(func(r *Rule) { r.Classes, r.Merge = []string{"boots"}, map[string]string{"boots": "x"} }),
			"classes", "boots", ""},
		{rule(func(r *Rule) { r.Classes, r.Ignore = []string{"hat"}, []string{"hat"} }), "classes", "hat", ""},
		{rule(func(r *Rule) { r.Margin = -0.1 }), "margin", "", ""},
		{rule(func(r *Rule) { r.Margin = 11 }), "margin", "", ""},
		{rule(func(r *Rule) { r.MarginPixels = -1 }), "margin_pixels", "", ""},
		{rule(func(r *Rule) { r.MinPixels = 0 }), "min_pixels", "", ""},
		{rule(func(r *Rule) { r.MinSide = 0 }), "min_side", "", ""},
		{rule(func(r *Rule) { r.Whole = -0.1 }), "whole", "", ""},
		{rule(func(r *Rule) { r.Whole = 1.1 }), "whole", "", ""},
	} {
		cutter, err := NewCutter(names, c.rule)
		var bad *RuleError
		switch {
		case c.field == "" && (err != nil || strings.Join(cutter.Classes(), " ") != c.classes):
			t.Errorf("%+v: %v", c.rule, err)
		case c.field != "" && (!errors.As(err, &bad) || bad.Field != c.field || bad.Name != c.named ||
			(bad.Name != "") != (bad.Known != nil)):
			t.Errorf("%+v: %#v, want an error about %s %s", c.rule, err, c.field, c.named)
		}
	}
	var bad *NamesError
	if _, err := NewCutter(nil, DefaultRule()); !errors.As(err, &bad) {
		t.Error(err)
	}
}

// area is a rectangle of an index on a drawn mask.
type area struct {
	index uint8
	box   image.Rectangle
}

func drawMask(width, height int, areas ...area) *mask {
	m := &mask{width, height, make([]uint8, width*height)}
	for _, a := range areas {
		for y := a.box.Min.Y; y < a.box.Max.Y; y++ {
			for x := a.box.Min.X; x < a.box.Max.X; x++ {
				m.indices[y*width+x] = a.index
			}
		}
	}
	return m
}

// outcome is the expected result of a Cut.
type outcome struct {
	Boxes              []string
	Few, Small, Hidden int
}

var at = image.Rect

// boxCases are worked out by hand.
var boxCases = []struct {
	name  string
	areas []area
	want  outcome
}{
	{"nothing", nil, outcome{}},
	{"margin: 0.12 × 50 + 4 = 10, 0.12 × 100 + 4 = 16", []area{{2, at(50, 40, 100, 140)}},
		outcome{Boxes: []string{"coat (40,24)-(110,156) 5000"}}},
	{"rounding: 0.12 × 38 = 4.56 is 5, 0.12 × 37 = 4.44 is 4", []area{{2, at(50, 50, 88, 87)}},
		outcome{Boxes: []string{"coat (41,42)-(97,95) 1406"}}},
	{"clipped at each border", []area{{2, at(0, 0, 200, 200)}},
		outcome{Boxes: []string{"coat (0,0)-(200,200) 40000"}}},
	{"clipped at two", []area{{2, at(160, 3, 200, 43)}}, outcome{Boxes: []string{"coat (151,0)-(200,52) 1600"}}},
	{"two places are one box", []area{{4, at(10, 100, 30, 120)}, {4, at(60, 115, 80, 135)}},
		outcome{Boxes: []string{"shoes (0,92)-(92,143) 800"}}},
	{"599 pixels", []area{{2, at(0, 0, 40, 15)}, {0, at(0, 0, 1, 1)}}, outcome{Few: 1}},
	{"600 pixels in 32 × 32", []area{{2, at(0, 0, 32, 18)}, {2, at(0, 18, 12, 20)}}, outcome{Small: 1}},
	{"600 pixels, 31 wide", []area{{2, at(0, 0, 31, 100)}}, outcome{Small: 1}},
	{"31 high", []area{{2, at(0, 0, 100, 31)}}, outcome{Small: 1}},
	{"exactly 600 in exactly 32", []area{{2, at(0, 0, 32, 18)}, {2, at(0, 31, 24, 32)}},
		outcome{Boxes: []string{"coat (0,0)-(40,40) 600"}}},
	{"a sweater under a coat", []area{{2, at(0, 0, 100, 100)}, {3, at(30, 0, 70, 100)}, {2, at(30, 30, 70, 100)},
		{3, at(69, 99, 70, 100)}}, outcome{Boxes: []string{"coat (0,0)-(116,116) 8799"}, Hidden: 1}},
	{"as many pixels of both", []area{{2, at(0, 0, 80, 80)}, {3, at(0, 0, 40, 40)}, {3, at(40, 40, 80, 80)}},
		outcome{Hidden: 2}},
	{"what is beside the box does not hide", []area{{3, at(0, 0, 40, 40)}, {2, at(41, 0, 200, 200)}},
		outcome{Boxes: []string{"coat (18,0)-(200,200) 31800", "sweater (0,0)-(49,49) 1600"}}},
	{"nor does what is in the margin only", []area{{2, at(0, 0, 200, 200)}, {1, at(80, 80, 112, 112)},
		{3, at(80, 80, 112, 98)}, {3, at(80, 111, 104, 112)}},
		outcome{Boxes: []string{"coat (0,0)-(200,200) 38976", "sweater (72,72)-(120,120) 600"}}},
	{"a garment that is not wanted hides", []area{{6, at(0, 0, 100, 100)}, {2, at(0, 0, 40, 10)},
		{2, at(0, 90, 40, 100)}}, outcome{Hidden: 1}},
	{"what is no garment does not",
		[]area{{1, at(0, 0, 100, 50)}, {255, at(0, 50, 100, 100)}, {2, at(0, 0, 40, 10)},
			{2, at(0, 90, 40, 100)}}, outcome{Boxes: []string{"coat (0,0)-(49,116) 800"}}},
	{"labels of one class have a box each, and hide each other",
		[]area{{4, at(0, 0, 40, 40)}, {5, at(100, 0, 140, 40)}},
		outcome{Boxes: []string{"shoes (0,0)-(49,49) 1600", "shoes (91,0)-(149,49) 1600"}}},
}

func TestCutBoxes(t *testing.T) {
	names := []string{"null", "skin", "coat", "sweater", "boots", "heels", "scarf"}
	rule := DefaultRule()
	rule.Ignore = []string{"null", "skin", "255"}
	rule.Merge = map[string]string{"boots": "shoes", "heels": "shoes"}
	rule.Classes = []string{"coat", "sweater", "shoes"}
	cutter, err := NewCutter(names, rule)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range boxCases {
		cut, err := cutter.Cut(t.Context(), &Photo{mask: drawMask(200, 200, c.areas...)})
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		got := outcome{nil, cut.Few, cut.Small, cut.Hidden}
		for _, crop := range cut.Crops {
			got.Boxes = append(got.Boxes, fmt.Sprint(crop.Class, " ", crop.Box, " ", crop.Pixels))
		}
		if diff := cmp.Diff(c.want, got); diff != "" {
			t.Errorf("%s:\n%s", c.name, diff)
		}
	}
}

// TestExtents compares extents with their definition, on random masks.
func TestExtents(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &mask{width: rapid.IntRange(1, 9).Draw(t, "width"), height: rapid.IntRange(1, 9).Draw(t, "height")}
		m.indices = rapid.SliceOfN(rapid.Uint8Range(0, 3), m.width*m.height, m.width*m.height).Draw(t, "indices")
		var want [maxNames]extent
		for i, index := range m.indices {
			x, y := i%m.width, i/m.width
			want[index].pixels++
			want[index].box = want[index].box.Union(image.Rect(x, y, x+1, y+1))
		}
		got := m.extents()
		if got != want {
			t.Fatalf("%v, want %v", got[:4], want[:4])
		}
		for index, e := range got {
			if n := m.count(e.box)[index]; n != e.pixels {
				t.Fatalf("%d: %d of %d pixels in the box", index, n, e.pixels)
			}
		}
	})
}

func save(t testing.TB, folder, name string, data []byte) string {
	t.Helper()
	path := filepath.Join(folder, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, data, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func encodePNG(t testing.TB, m image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// encodeJPEG returns a grey JPEG file. An orientation other than 0 is in its EXIF.
func encodeJPEG(t testing.TB, width, height int, orientation byte) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewGray(image.Rect(0, 0, width, height)), nil); err != nil {
		t.Fatal(err)
	}
	if orientation == 0 {
		return b.Bytes()
	}
	const header = "Exif\x00\x00MM\x00*\x00\x00\x00\x08" // big-endian, the directory at 8
	const entry = "\x00\x01\x01\x12\x00\x03\x00\x00\x00\x01\x00"
	exif := append([]byte(header+entry), orientation, 0, 0, 0, 0, 0, 0)
	segment := append([]byte{0xff, 0xe1, 0, byte(len(exif) + 2)}, exif...)
	return append(append([]byte{0xff, 0xd8}, segment...), b.Bytes()[2:]...)
}

// encodeGrey returns a grey PNG file of 2 × 3 pixels, of a depth that package png does not write.
// packed has the rows' bytes.
func encodeGrey(depth byte, packed []byte) []byte {
	const width, height = 2, 3
	b := bytes.NewBufferString("\x89PNG\r\n\x1a\n")
	chunk := func(name string, data []byte) {
		binary.Write(b, binary.BigEndian, uint32(len(data)))
		b.WriteString(name)
		b.Write(data)
		binary.Write(b, binary.BigEndian, crc32.ChecksumIEEE(append([]byte(name), data...)))
	}
	header := binary.BigEndian.AppendUint32(nil, width)
	header = binary.BigEndian.AppendUint32(header, height)
	chunk("IHDR", append(header, depth, 0, 0, 0, 0))
	var z bytes.Buffer
	w := zlib.NewWriter(&z)
	stride := len(packed) / height
	for y := range height {
		w.Write([]byte{0})
		w.Write(packed[y*stride:][:stride])
	}
	w.Close()
	chunk("IDAT", z.Bytes())
	chunk("IEND", nil)
	return b.Bytes()
}

// TestMasks reads masks of every kind; the good ones hold the indices 0 1 / 1 0 / 1 1.
func TestMasks(t *testing.T) {
	grey := image.NewGray(image.Rect(0, 0, 2, 3))
	copy(grey.Pix, []uint8{0, 1, 1, 0, 1, 1})
	palette := color.Palette{color.White, color.RGBA{200, 0, 0, 255}}
	paletted := image.NewPaletted(grey.Rect, palette)
	copy(paletted.Pix, grey.Pix)
	wide := image.NewPaletted(grey.Rect, append(make(color.Palette, 0), palette...))
	for len(wide.Palette) < 40 {
		wide.Palette = append(wide.Palette, color.Black)
	}
	copy(wide.Pix, grey.Pix)
	// Indices 0 1 / 1 0 / 1 1 in 1, 2 and 4 bits.
	photo := encodeJPEG(t, 2, 3, 0)
	var other bytes.Buffer
	if err := jpeg.Encode(&other, grey, nil); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name        string
		photo, mask []byte
		word        string // of the error, "" for none
	}{
		{"grey", photo, encodePNG(t, grey), ""},
		{"palette of 1 bit", photo, encodePNG(t, paletted), ""},
		{"palette of 8 bits", photo, encodePNG(t, wide), ""},
		{"grey of 1 bit", photo, encodeGrey(1, []byte{0x40, 0x80, 0xc0}), ""},
		{"grey of 2 bits", photo, encodeGrey(2, []byte{0x10, 0x40, 0x50}), ""},
		{"grey of 4 bits", photo, encodeGrey(4, []byte{0x01, 0x10, 0x11}), ""},
		{"grey of 16 bits", photo, encodePNG(t, image.NewGray16(grey.Rect)), "16-bit grey"},
		{"RGB", photo, encodePNG(t, opaque{grey}), "RGB pixels"},
		{"transparent", photo, encodePNG(t, image.NewNRGBA(grey.Rect)), "transparent"},
		{"JPEG", photo, other.Bytes(), "is a jpeg file"},
		{"text", photo, []byte("no mask"), "cannot be read"},
		{"cut short", photo, encodePNG(t, grey)[:50], "cannot be decoded"},
		{"wide", photo, encodePNG(t, image.NewGray(image.Rect(0, 0, 3, 3))), "3 × 3 pixels, its photo 2 × 3"},
		{"high", photo, encodePNG(t, image.NewGray(image.Rect(0, 0, 2, 4))), "2 × 4 pixels, its photo 2 × 3"},
		{"turned upright", encodeJPEG(t, 3, 2, 6), encodePNG(t, grey), ""},
		{"turned, mask as stored", encodeJPEG(t, 2, 3, 6), encodePNG(t, grey), "as stored, 2 × 3"},
		{"turned by 180°", encodeJPEG(t, 2, 3, 3), encodePNG(t, grey), "may or may not follow"},
		{"mirrored", encodeJPEG(t, 2, 3, 2), encodePNG(t, grey), "may or may not follow"},
		{"turned and square", encodeJPEG(t, 3, 3, 8), encodePNG(t, image.NewGray(image.Rect(0, 0, 3, 3))),
			"may or may not follow"},
		{"unknown index", photo, encodeGrey(8, []byte{0, 1, 1, 0, 1, 9}),
			"index 9 in 1 of 6 pixels, but the names end at 1"},
	} {
		folder := t.TempDir()
		pair := Pair{"p", save(t, folder, "p.jpg", c.photo), save(t, folder, "m.png", c.mask)}
		cutter, err := NewCutter([]string{"null", "hat"}, Rule{Ignore: []string{"null"}, MinPixels: 1, MinSide: 1})
		if err != nil {
			t.Fatal(err)
		}
		cut, err := readAndCut(t.Context(), cutter, pair, picture.DefaultLimits())
		var bad *MaskError
		switch {
		case c.word == "" && (err != nil || len(cut.Crops) != 1 || cut.Crops[0].Pixels != 4):
			t.Errorf("%s: %+v, %v", c.name, cut, err)
		case c.word != "" && (!errors.As(err, &bad) || !strings.Contains(err.Error(), c.word) ||
			!strings.HasPrefix(err.Error(), pair.Mask) || FindReason(err) != dataset.ReasonBadMask):
			t.Errorf("%s: %v, want %q", c.name, err, c.word)
		}
	}
}

func readAndCut(ctx context.Context, c *Cutter, p Pair, limits picture.Limits) (*Cut, error) {
	photo, err := Read(ctx, p, limits)
	if err != nil {
		return nil, err
	}
	return c.Cut(ctx, photo)
}

// opaque is a picture that package png writes as RGB.
type opaque struct{ image.Image }

func (opaque) ColorModel() color.Model { return color.RGBAModel }
func (opaque) Opaque() bool            { return true }

func TestPhotosThatCannotBeRead(t *testing.T) {
	folder := t.TempDir()
	mask := save(t, folder, "m.png", encodePNG(t, image.NewGray(image.Rect(0, 0, 2, 3))))
	cutter, err := NewCutter([]string{"hat"}, DefaultRule())
	if err != nil {
		t.Fatal(err)
	}
	small := picture.DefaultLimits()
	small.MaxPixels = 5
	for _, c := range []struct {
		photo  string
		limits picture.Limits
		reason dataset.Reason
	}{
		{save(t, folder, "cut.jpg", encodeJPEG(t, 2, 3, 0)[:40]), picture.DefaultLimits(), dataset.ReasonUnreadable},
		{save(t, folder, "text.jpg", []byte("text")), picture.DefaultLimits(), dataset.ReasonNotPicture},
		{filepath.Join(folder, "none.jpg"), picture.DefaultLimits(), dataset.ReasonMissing},
		{save(t, folder, "large.jpg", encodeJPEG(t, 2, 3, 0)), small, dataset.ReasonUnreadable},
	} {
		_, err := readAndCut(t.Context(), cutter, Pair{"p", c.photo, mask}, c.limits)
		if err == nil || FindReason(err) != c.reason || !strings.Contains(err.Error(), c.photo) {
			t.Errorf("%s: %v, want %s", c.photo, err, c.reason)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	photo := save(t, folder, "good.jpg", encodeJPEG(t, 2, 3, 0))
	if _, err := readAndCut(ctx, cutter, Pair{"p", photo, mask}, small); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}

// TestPicture cuts at the box, without mixing up rows or channels.
func TestPicture(t *testing.T) {
	photo := &picture.RGB{Width: 5, Height: 4}
	for i := range 20 {
		photo.Pix = append(photo.Pix, uint8(i), uint8(100+i), uint8(200+i))
	}
	cut := &Cut{photo: &Photo{rgb: photo}}
	m := cut.Picture(image.Rect(2, 1, 5, 3))
	if m.Rect != image.Rect(0, 0, 3, 2) {
		t.Fatal(m.Rect)
	}
	for y := range 2 {
		for x := range 3 {
			i := uint8(5*(y+1) + x + 2)
			if got, want := m.RGBAAt(x, y), (color.RGBA{i, 100 + i, 200 + i, 255}); got != want {
				t.Errorf("(%d,%d) is %v, want %v", x, y, got, want)
			}
		}
	}
}

func TestFindPairs(t *testing.T) {
	photos, masks := t.TempDir(), t.TempDir()
	for _, name := range []string{"b.jpg", "a.jpg", "street/a.webp", "no-mask.jpg", "twice.jpg", "twice.png",
		"Case.jpg",
		"notes.txt", "two-masks.jpg", "e\u0301te\u0301.jpg"} {
		save(t, photos, name, []byte(name))
	}
	for _, name := range []string{"a.png", "b.png", "street/a.PNG", "twice.png", "case.png", "no-photo.png",
		"two-masks.png", "two-masks.gif", "\u00e9t\u00e9.png"} { // été in another form of Unicode
		save(t, masks, name, []byte(name))
	}
	var tally dataset.Tally
	pairs, err := FindPairs(t.Context(), photos, masks, &tally)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, p := range pairs {
		got = append(got, p.Name)
		if name := filepath.ToSlash(strings.TrimPrefix(p.Photo, photos)); !strings.HasPrefix(name, "/"+p.Name) {
			t.Errorf("%+v", p)
		}
	}
	if want := []string{"Case", "a", "b", "e\u0301te\u0301", "street/a"}; !cmp.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	want := map[dataset.Reason]int{dataset.ReasonNoLabel: 1, dataset.ReasonMissing: 1, dataset.ReasonBadMask: 3,
		dataset.ReasonOther: 1}
	if diff := cmp.Diff(want, tally.Counts()); diff != "" {
		t.Errorf("%s\n%v", diff, tally.Skips())
	}
	if _, err := FindPairs(t.Context(), photos, filepath.Join(masks, "none"), &tally); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
}
