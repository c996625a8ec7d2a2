package picture

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"image"
	stdjpeg "image/jpeg"
	stdpng "image/png"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"garb/internal/raster"
)

func read(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// pixels reads a PNG by the standard library alone.
func pixels(t testing.TB, path string) *RGB {
	t.Helper()
	m, err := stdpng.Decode(bytes.NewReader(read(t, path)))
	if err != nil {
		t.Fatal(path, err)
	}
	p := newRGB(m.Bounds().Dx(), m.Bounds().Dy())
	for i := range p.Width * p.Height {
		r, g, b, _ := m.At(i%p.Width, i/p.Width).RGBA()
		p.Pix[3*i], p.Pix[3*i+1], p.Pix[3*i+2] = uint8(r>>8), uint8(g>>8), uint8(b>>8)
	}
	return p
}

// difference returns the largest difference of a level, 256 if the sizes differ.
func difference(a, b *RGB) int {
	if a.Width != b.Width || a.Height != b.Height {
		return 256
	}
	largest := 0
	for i, v := range a.Pix {
		largest = max(largest, int(v)-int(b.Pix[i]), int(b.Pix[i])-int(v))
	}
	return largest
}

// TestFormats compares every picture of testdata/make.py with Pillow's pixels.
func TestFormats(t *testing.T) {
	all, err := filepath.Glob("testdata/*.*.png")
	if err != nil || len(all) < 20 {
		t.Fatal("no testdata", err)
	}
	for _, want := range all {
		path := strings.TrimSuffix(want, ".png")
		t.Run(filepath.Base(path), func(t *testing.T) {
			got, err := Decode(context.Background(), read(t, path), DefaultLimits())
			if err != nil {
				t.Fatal(err)
			}
			tolerance := 0
			switch filepath.Base(path) {
			case "alpha.png", "alpha.webp", "lossy-alpha.webp", "grey-alpha.png":
				tolerance = 1 // Pillow rounds its blending otherwise
			}
			if d := difference(got, pixels(t, want)); d > tolerance {
				t.Errorf("a level is off by %d", d)
			}
		})
	}
}

func TestIdentify(t *testing.T) {
	for name, want := range map[string]Info{
		"plain.jpg":         {Format: JPEG, BitsPerSample: 8, Orientation: 1},
		"orientation6.jpg":  {Format: JPEG, BitsPerSample: 8, Orientation: 6},
		"orientation6.png":  {Format: PNG, BitsPerSample: 8, Orientation: 6},
		"orientation6.webp": {Format: WebP, BitsPerSample: 8, Orientation: 6},
		"plain.gif":         {Format: GIF, BitsPerSample: 8, Orientation: 1},
		"animated.gif":      {Format: GIF, BitsPerSample: 8, Orientation: 1, Animated: true, Alpha: true},
		"animated.webp":     {Format: WebP, BitsPerSample: 8, Orientation: 1, Animated: true},
		"plain.bmp":         {Format: BMP, BitsPerSample: 8, Orientation: 1},
		"bits16.png":        {Format: PNG, BitsPerSample: 16, Orientation: 1, Grey: true},
		"bits1.png":         {Format: PNG, BitsPerSample: 1, Orientation: 1, Grey: true},
		"grey-alpha.png":    {Format: PNG, BitsPerSample: 8, Orientation: 1, Grey: true, Alpha: true},
		"alpha.webp":        {Format: WebP, BitsPerSample: 8, Orientation: 1, Alpha: true},
	} {
		got, err := Identify(read(t, filepath.Join("testdata", name)))
		want.Width, want.Height = got.Width, got.Height
		if err != nil || got.Width != 40 || got.Height != 30 || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, want)
		}
	}
	if w, h := (Info{Width: 40, Height: 30, Orientation: 6}).Upright(); w != 30 || h != 40 {
		t.Errorf("a turned picture of 40 × 30 is %d × %d upright", w, h)
	}
}

// TestDescribe checks what is taken from a decoder's header.
func TestDescribe(t *testing.T) {
	turned := []byte("II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\x01\x00\x00\x00\x06\x00\x00\x00")
	for _, test := range []struct {
		header raster.Header
		want   Info
	}{
		{raster.Header{Width: 2, Height: 3, BitsPerSample: 12, Grey: true, Alpha: true, CMYK: true, Animated: true},
			Info{Width: 2, Height: 3, BitsPerSample: 12, Grey: true, Alpha: true, CMYK: true, Animated: true,
				Orientation: 1}},
		{raster.Header{Whole: true}, Info{Orientation: 1, whole: true}},
		{raster.Header{EXIF: turned}, Info{Orientation: 6}},
		{raster.Header{XMP: []byte(`tiff:Orientation="3"`)}, Info{Orientation: 3}},
		{raster.Header{Orientation: 8, EXIF: turned}, Info{Orientation: 8}},
		{raster.Header{ICC: []byte("no profile")}, Info{Orientation: 1}},
		{raster.Header{ICC: append(append(make([]byte, 36), "acsp"...), make([]byte, 92)...)},
			Info{Orientation: 1, OtherProfile: "unnamed"}},
	} {
		var got Info
		if got.describe(test.header); !reflect.DeepEqual(got, test.want) {
			t.Errorf("%+v: %+v; want %+v", test.header, got, test.want)
		}
	}
}

// TestFormatsThatAreNotRead names formats that people send and garb does not decode.
func TestFormatsThatAreNotRead(t *testing.T) {
	for data, want := range map[string]string{
		"\x00\x00\x00\x0cJXL \r\n\x87\n....": "a JPEG XL picture; convert it to JPEG or PNG",
		"\xff\x0a....":                       "a JPEG XL picture; convert it to JPEG or PNG",
		"\x00\x00\x00\x0cjP  \r\n\x87\n....": "a JPEG 2000 picture; convert it to JPEG or PNG",
		"\xff\x4f\xff\x51....":               "a JPEG 2000 picture; convert it to JPEG or PNG",
	} {
		_, err := Identify([]byte(data))
		if !errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v", data, err)
		}
	}
}

// TestIgnoreOrientation checks that a Spec can leave pictures as they are stored.
func TestIgnoreOrientation(t *testing.T) {
	data := read(t, "testdata/orientation6.jpg")
	s := unit(30, 40, Bilinear, Stretch)
	for orientation, width := range map[Orientation]int{ApplyOrientation: 30, IgnoreOrientation: 40} {
		s.Orientation = orientation
		p, info, err := s.Decode(t.Context(), data, DefaultLimits())
		if err != nil || p.Width != width || info.Orientation != 6 || s.Validate() != nil {
			t.Errorf("%q: %+v, %v", orientation, info, err)
		}
		if p, _, err = s.DecodeWhole(t.Context(), data, DefaultLimits()); err != nil || p.Width != width {
			t.Errorf("%q, whole: %v", orientation, err)
		}
	}
	s.Orientation = "never"
	if s.Validate() == nil {
		t.Error("an unknown orientation is valid")
	}
	// A picture that is high as stored is reduced by its own sides.
	s = unit(100, 100, Bilinear, Letterbox)
	s.Width = 200
	info := Info{Format: JPEG, Width: 700, Height: 1400, Orientation: 6}
	if got := s.Reduction(info); got != 4 {
		t.Errorf("upright: 1/%d", got)
	}
	s.Orientation = IgnoreOrientation
	if got := s.Reduction(info); got != 8 {
		t.Errorf("as stored: 1/%d", got)
	}
}

// TestResizeIsPillows compares with Pillow's pixels. There is no tolerance.
func TestResizeIsPillows(t *testing.T) {
	all, err := filepath.Glob("testdata/resize-*-*-*x*.png")
	if err != nil || len(all) < 20 {
		t.Fatal("no testdata", err)
	}
	for _, path := range all {
		parts := strings.Split(strings.TrimSuffix(filepath.Base(path), ".png"), "-")
		source := pixels(t, filepath.Join("testdata", "resize-"+parts[1]+".png"))
		s := Spec{Filter: Filter(parts[2]), Fit: Stretch}
		if _, err := fmt.Sscanf(parts[3], "%dx%d", &s.Width, &s.Height); err != nil {
			t.Fatal(path, err)
		}
		if d := difference(s.Resize(source), pixels(t, path)); d != 0 {
			t.Errorf("%s: a level is off by %d", path, d)
		}
	}
	for _, size := range []string{"61x47", "37x150"} {
		source := pixels(t, "testdata/resize-"+size+".png")
		got := Spec{Width: 16, Height: 16, Filter: Bicubic, Fit: Letterbox}.ResizePart(source, 5, 3, 30, 24)
		if d := difference(got, pixels(t, "testdata/resize-"+size+"-box.png")); d != 0 {
			t.Errorf("part of %s: a level is off by %d", size, d)
		}
	}
}

func TestResizePartStaysInside(t *testing.T) {
	p, s := newRGB(10, 8), Spec{Width: 4, Height: 4, Filter: Bilinear}
	for _, part := range [][4]int{{-1, 0, 4, 4}, {0, -1, 4, 4}, {0, 0, 0, 4}, {0, 0, 4, 0}, {7, 0, 4, 4},
		{0, 5, 4, 4}, {1, 0, math.MaxInt, 4}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("no panic for %v", part)
				}
			}()
			s.ResizePart(p, part[0], part[1], part[2], part[3])
		}()
	}
}

// TestPhotosAreThoseOfPillow compares photos, decoded and resized for the two networks, with Pillow
// on this machine.
func TestPhotosAreThoseOfPillow(t *testing.T) {
	python, folder := os.Getenv("GARB_PYTHON"), os.Getenv("GARB_DATA")
	if python == "" || folder == "" {
		t.Skip("set GARB_PYTHON and GARB_DATA to run this test (see .ci/run)")
	}
	photos, err := filepath.Glob(filepath.Join(folder, "validation", "*", "*.jpg"))
	if err != nil || len(photos) == 0 {
		t.Fatal("no photos", err)
	}
	const script = `
import sys
from PIL import Image
for path in sys.stdin.read().split("\n"):
    image = Image.open(path).convert("RGB")
    sys.stdout.buffer.write(image.resize((224, 224), Image.BICUBIC).tobytes())
    sys.stdout.buffer.write(image.resize((150, 150), Image.NEAREST).tobytes())
    sys.stdout.buffer.write(image.resize((299, 299), Image.BILINEAR).tobytes())
    grey = image.convert("L").resize((96, 80), Image.BICUBIC)
    sys.stdout.buffer.write(Image.merge("RGB", (grey, grey, grey)).tobytes())
`
	var chosen []string
	for i := 0; i < len(photos); i += 7 {
		chosen = append(chosen, photos[i])
	}
	peer := exec.Command(python, "-c", script)
	peer.Stdin, peer.Stderr = strings.NewReader(strings.Join(chosen, "\n")), os.Stderr
	all, err := peer.Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range chosen {
		p, err := Decode(context.Background(), read(t, path), DefaultLimits())
		if err != nil {
			t.Fatal(path, err)
		}
		for _, s := range []Spec{
			{Width: 224, Height: 224, Filter: Bicubic, Fit: Stretch},
			{Width: 150, Height: 150, Filter: Nearest, Fit: Stretch},
			{Width: 299, Height: 299, Filter: Bilinear, Fit: Stretch},
			{Width: 96, Height: 80, Filter: Bicubic, Fit: Stretch, Grey: true},
		} {
			n := 3 * s.Width * s.Height
			if len(all) < n || !bytes.Equal(s.Resize(p).Pix, all[:n]) {
				t.Fatalf("%s at %d by %s: other pixels than Pillow's", path, s.Width, s.Filter)
			}
			all = all[n:]
		}
	}
}

// TestGrey compares levels of grey with Pillow's convert("L") before resizing. In the last case the
// level would be another after it.
func TestGrey(t *testing.T) {
	for _, c := range []struct {
		width     int
		pix, want []uint8
	}{
		{17, []uint8{
			255, 255, 198, // on the border between two levels
			0, 0, 0, 255, 255, 255, 255, 0, 0, 0, 255, 0, 0, 0, 255, 1, 0, 0, 0, 1, 0, 0, 0, 1, 2, 1, 4, 10, 20, 30,
			200, 3, 77,
			68, 32, 130, 60, 253, 230, 241, 194, 107, 48, 249, 14, 199, 221, 1,
		}, []uint8{249, 0, 255, 76, 150, 29, 0, 1, 0, 2, 18, 70, 54, 193, 198, 162, 189}},
		{3, []uint8{
			41, 248, 133, 18, 0, 74, 240, 191, 163, 11, 139, 250, 101, 211, 48, 98, 135, 45, 217, 171, 47, 185, 209,
			128,
		}, []uint8{112, 142, 163}},
	} {
		p := &RGB{len(c.pix) / 3, 1, c.pix}
		s := Spec{Width: c.width, Height: 1, Filter: Bilinear, Fit: Stretch, Grey: true, Mean: [3]float32{1, 1, 1},
			Std: [3]float32{2, 2, 2}}
		got, want := make([]float32, s.ValueCount()), make([]float32, c.width)
		for i, level := range c.want {
			want[i] = (float32(level) - 1) / 2
		}
		s.Tensor(p, got)
		if !slices.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
		part := s.ResizePart(p, 0, 0, p.Width, 1)
		for i, level := range part.Pix {
			if level != c.want[i/3] {
				t.Errorf("value %d of the part is %d, want %d", i, level, c.want[i/3])
			}
		}
	}
	for _, s := range []Spec{
		{Width: 4, Height: 4, Filter: Nearest, Fit: Stretch, Grey: true, Mean: [3]float32{1, 2, 1},
			Std: [3]float32{2, 2, 2}},
		{Width: 4, Height: 4, Filter: Nearest, Fit: Stretch, Grey: true, Std: [3]float32{2, 2, 3}},
	} {
		if s.Validate() == nil {
			t.Errorf("%+v is valid", s)
		}
	}
}

// unit returns a Spec whose values are the levels.
func unit(width, height int, filter Filter, fit Fit) Spec {
	return Spec{Width: width, Height: height, Filter: filter, Fit: fit, Std: [3]float32{1, 1, 1}}
}

func TestTensorScales(t *testing.T) {
	p := &RGB{2, 1, []uint8{0, 127, 255, 10, 20, 30}}
	s := Spec{Width: 2, Height: 1, Filter: Nearest, Fit: Stretch, Mean: [3]float32{127, 0, 127.5},
		Std: [3]float32{128, 255, 127.5}}
	got := make([]float32, 6)
	s.Tensor(p, got)
	want := []float32{-127. / 128, 127. / 255, 1, -117. / 128, 20. / 255, (30 - 127.5) / 127.5}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("no panic for a short dst")
		}
	}()
	s.Tensor(p, got[:5])
}

func TestFits(t *testing.T) {
	// A picture whose red level is its column and whose green level is its row.
	p := newRGB(200, 100)
	for i := range p.Width * p.Height {
		p.Pix[3*i], p.Pix[3*i+1] = uint8(i%p.Width), uint8(i/p.Width)
	}
	s := unit(50, 50, Nearest, Crop)
	q := s.Resize(p)
	if first, last := q.Pix[:2], q.Pix[len(q.Pix)-3:][:2]; first[0] != 51 || first[1] != 1 || last[0] != 149 ||
		last[1] != 99 {
		t.Errorf("crop goes from %v to %v", first, last)
	}
	s.CropRatio = 0.5
	q = s.Resize(p)
	if first := q.Pix[:2]; first[0] != 75 || first[1] != 25 {
		t.Errorf("a crop of half begins at %v", first)
	}
	s = unit(60, 60, Nearest, Letterbox)
	s.Mean = [3]float32{7, 8, 9}
	q = s.Resize(p)
	if !slices.Equal(q.row(14)[:3], []uint8{7, 8, 9}) || q.row(15)[1] > 3 || q.row(44)[1] < 96 ||
		!slices.Equal(q.row(45)[:3], []uint8{7, 8, 9}) {
		t.Errorf("letterbox rows 14, 15, 44, 45 begin with %v %v %v %v", q.row(14)[:3], q.row(15)[:3], q.row(44)[:3],
			q.row(45)[:3])
	}
}

func TestReduction(t *testing.T) {
	for _, test := range []struct {
		width, height, side int
		orientation         int
		fit                 Fit
		want                int
	}{
		{400, 533, 150, 1, Stretch, 1}, // the data set's pictures: parity with Keras needs all of them
		{400, 533, 224, 1, Stretch, 1},
		{400, 533, 299, 1, Stretch, 1},
		{4000, 3000, 224, 1, Stretch, 8},
		{3000, 4000, 224, 6, Crop, 8},
		{4000, 3000, 299, 1, Stretch, 4},
		{8000, 400, 224, 1, Stretch, 1},
		{8000, 400, 224, 1, Letterbox, 8}, // 224 × 11 inside
		{1000, 1000, 224, 1, Stretch, 2},
	} {
		info := Info{Format: JPEG, Width: test.width, Height: test.height, Orientation: test.orientation}
		if got := unit(test.side, test.side, Bicubic, test.fit).Reduction(info); got != test.want {
			t.Errorf("%+v: 1/%d", test, got)
		}
		if got := unit(test.side, test.side, Nearest, test.fit).Reduction(info); got != 1 {
			t.Errorf("for nearest it is reduced to 1/%d", got)
		}
		info.Format = PNG
		if got := unit(test.side, test.side, Bicubic, test.fit).Reduction(info); got != 1 {
			t.Errorf("a PNG is reduced to 1/%d", got)
		}
	}
}

func TestReducedIsCloseToWhole(t *testing.T) {
	p := newRGB(1200, 900)
	for i := range p.Width * p.Height {
		x, y := float64(i%p.Width), float64(i/p.Width)
		p.Pix[3*i] = uint8(127 + 100*math.Sin(x/60))
		p.Pix[3*i+1] = uint8(127 + 100*math.Sin(y/45))
		p.Pix[3*i+2] = uint8(127 + 100*math.Sin((x+y)/80))
	}
	data := encodeJPEG(t, p)
	s := unit(96, 96, Bicubic, Stretch)
	info, err := Identify(data)
	if err != nil || s.Reduction(info) != 4 {
		t.Fatal(s.Reduction(info), err)
	}
	reduced := make([]float32, s.ValueCount())
	if _, err = s.Load(context.Background(), data, DefaultLimits(), reduced); err != nil {
		t.Fatal(err)
	}
	whole, err := Decode(context.Background(), data, DefaultLimits())
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range s.Resize(whole).Pix {
		if d := math.Abs(float64(reduced[i]) - float64(want)); d > 6 {
			t.Fatalf("value %d is off by %v", i, d)
		}
	}
}

func encodeJPEG(t testing.TB, p *RGB) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(m.Pix[4*i:], p.Pix[3*i:3*i+3])
		m.Pix[4*i+3] = 255
	}
	var b bytes.Buffer
	if err := stdjpeg.Encode(&b, m, &stdjpeg.Options{Quality: 90}); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// makePNG returns a PNG that claims a size and holds hardly any data.
func makePNG(width, height uint32) []byte {
	b := []byte("\x89PNG\r\n\x1a\n")
	chunk := func(name string, body []byte) {
		b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
		b = append(append(b, name...), body...)
		b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b[len(b)-len(body)-4:]))
	}
	header := binary.BigEndian.AppendUint32(nil, width)
	chunk("IHDR", append(binary.BigEndian.AppendUint32(header, height), 8, 6, 0, 0, 0))
	chunk("IDAT", []byte{0x78, 0x9c})
	return b
}

// makeWebP returns a lossless WebP that claims 16,384 pixels per side; canvas, if not 0, is the claim
// of its extended header.
func makeWebP(canvas int) []byte {
	vp8l := []byte{0x2f, 0xff, 0xff, 0xff, 0x0f, 0, 0, 0}
	body := slices.Concat([]byte("WEBP"), []byte("VP8L"), binary.LittleEndian.AppendUint32(nil, uint32(len(vp8l))),
		vp8l)
	if canvas > 0 {
		extended := []byte{0, 0, 0, 0, byte(canvas - 1), 0, 0, byte(canvas - 1), 0, 0}
		body = slices.Concat([]byte("WEBPVP8X\x0a\x00\x00\x00"), extended, body[4:])
	}
	return append(binary.LittleEndian.AppendUint32([]byte("RIFF"), uint32(len(body))), body...)
}

func encodeBMP(side uint32) []byte {
	b := append([]byte("BM"), make([]byte, 52)...)
	binary.LittleEndian.PutUint32(b[10:], 54)
	binary.LittleEndian.PutUint32(b[14:], 40)
	binary.LittleEndian.PutUint32(b[18:], side)
	binary.LittleEndian.PutUint32(b[22:], side)
	b[26], b[28] = 1, 24
	return b
}

func TestBadPictures(t *testing.T) {
	limits := DefaultLimits()
	photo := read(t, "testdata/plain.jpg")
	for name, test := range map[string]struct {
		data []byte
		want error
	}{
		"empty":    {nil, ErrNotPicture},
		"text":     {[]byte("BM, said the text, is how it begins"), ErrNotPicture},
		"one byte": {[]byte{0xff}, ErrNotPicture},
		"cut JPEG": {photo[:len(photo)/2], ErrCorrupt},
		"gigapixel GIF": {[]byte("GIF89a\xff\xff\xff\xff\x80\x00\x00\x00\x00\x00\xff\xff\xff," +
			"\x00\x00\x00\x00\xff\xff\xff\xff\x00\x02"), ErrTooLarge},
		"gigapixel WebP":     {makeWebP(0), ErrTooLarge},
		"WebP that lies":     {makeWebP(10), ErrCorrupt},
		"gigapixel PNG":      {makePNG(60_000, 60_000), ErrTooLarge},
		"PNG of 9k × 9k":     {makePNG(9_000, 9_000), ErrTooLarge},
		"gigapixel BMP":      {encodeBMP(60_000), ErrTooLarge},
		"PNG without pixels": {makePNG(100, 100), ErrCorrupt},
		"too many bytes":     {make([]byte, limits.MaxBytes+1), ErrTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, err := Decode(context.Background(), test.data, limits)
			runtime.ReadMemStats(&after)
			if !errors.Is(err, test.want) || KindOf(err) == "" {
				t.Errorf("%v, want %v", err, test.want)
			}
			if allocated := after.TotalAlloc - before.TotalAlloc; allocated > 4<<20 {
				t.Errorf("%d bytes allocated", allocated)
			}
		})
	}
}

// TestCuts cuts off a picture of each format at every length. The result is a typed error or a
// picture, never a panic.
func TestCuts(t *testing.T) {
	for _, name := range []string{"plain.jpg", "plain.png", "bits16.png", "plain.gif", "plain.bmp", "lossless.webp",
		"lossy.webp"} {
		data := read(t, filepath.Join("testdata", name))
		for cut := range len(data) {
			_, err := Decode(context.Background(), data[:cut], DefaultLimits())
			if err != nil && KindOf(err) == "" {
				t.Fatalf("%s cut to %d bytes: %v", name, cut, err)
			}
			if err == nil && cut < len(data)*9/10 {
				t.Fatalf("%s cut to %d of %d bytes decodes", name, cut, len(data))
			}
		}
	}
}

func TestLimits(t *testing.T) {
	data := read(t, "testdata/plain.jpg") // 40 × 30
	for name, change := range map[string]func(*Limits){
		"bytes":  func(l *Limits) { l.MaxBytes = 100 },
		"pixels": func(l *Limits) { l.MaxPixels = 1199 },
		"side":   func(l *Limits) { l.MaxSide = 39 },
	} {
		l := DefaultLimits()
		change(&l)
		if _, err := Decode(context.Background(), data, l); !errors.Is(err, ErrTooLarge) {
			t.Errorf("%s: %v", name, err)
		}
		s := unit(8, 8, Nearest, Stretch)
		if _, err := s.Load(context.Background(), data, l, make([]float32, 192)); !errors.Is(err, ErrTooLarge) {
			t.Errorf("Load, %s: %v", name, err)
		}
	}
	l := DefaultLimits()
	l.MaxBytes = 100
	if _, err := Read(bytes.NewReader(data), l); !errors.Is(err, ErrTooLarge) {
		t.Errorf("Read: %v", err)
	}
	if (Limits{}).Validate() == nil || DefaultLimits().Validate() != nil {
		t.Error("Validate of the limits")
	}
}

func TestContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	for _, name := range []string{"plain.jpg", "plain.png", "plain.gif", "lossless.webp", "plain.bmp"} {
		_, err := Decode(ctx, read(t, filepath.Join("testdata", name)), DefaultLimits())
		if !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v", name, err)
		}
	}
	l := DefaultLimits()
	l.Timeout = time.Nanosecond
	data := read(t, "testdata/plain.jpg")
	var err error
	for n := 0; err == nil && n < 10_000; n++ { // the clock of Windows may stand still during one picture
		_, err = Decode(context.Background(), data, l)
	}
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestSpecValidate(t *testing.T) {
	good := unit(224, 224, Bicubic, Stretch)
	if err := good.Validate(); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*Spec){
		"no width":     func(s *Spec) { s.Width = 0 },
		"huge":         func(s *Spec) { s.Height = 1 << 20 },
		"filter":       func(s *Spec) { s.Filter = "lanczos" },
		"fit":          func(s *Spec) { s.Fit = "" },
		"ratio":        func(s *Spec) { s.CropRatio = 1.5 },
		"NaN ratio":    func(s *Spec) { s.CropRatio = math.NaN() },
		"std of 0":     func(s *Spec) { s.Std[1] = 0 },
		"mean of NaN":  func(s *Spec) { s.Mean[2] = float32(math.NaN()) },
		"infinite std": func(s *Spec) { s.Std[0] = float32(math.Inf(1)) },
	} {
		s := good
		spoil(&s)
		if s.Validate() == nil {
			t.Errorf("%s is valid", name)
		}
	}
	text, err := json.Marshal(good)
	var back Spec
	if err != nil || json.Unmarshal(text, &back) != nil || back != good {
		t.Errorf("%s does not come back", text)
	}
}

func TestVectorsAreTheGenericCode(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		in, out := random.IntN(60)+1, random.IntN(60)+1
		w := newWeights(in, out, []Filter{Bilinear, Bicubic}[random.IntN(2)])
		rows := make([]uint8, 2*3*in)
		for i := range rows {
			rows[i] = uint8(random.Uint32())
		}
		got, want := make([]uint8, 3*out+rowSlack), make([]uint8, 3*out)
		other := make([]uint8, 3*out+rowSlack)
		scaleRows(got, other, rows[:3*in], rows[3*in:], w)
		scaleRowGeneric(want, rows[:3*in], w)
		if !bytes.Equal(got[:3*out], want) {
			t.Fatalf("%d to %d across: %v, want %v", in, out, got, want)
		}
		scaleRowGeneric(want, rows[3*in:], w)
		if !bytes.Equal(other[:3*out], want) {
			t.Fatalf("%d to %d across, second row: %v, want %v", in, out, other, want)
		}
		k, stride := w.at(0), random.IntN(100)+1
		tall := make([]uint8, stride*len(k))
		for i := range tall {
			tall[i] = uint8(random.Uint32())
		}
		got, want = make([]uint8, stride), make([]uint8, stride)
		mixRows(got, tall, stride, k)
		mixRowsGeneric(want, tall, stride, k)
		if !bytes.Equal(got, want) {
			t.Fatalf("%d rows of %d: %v, want %v", len(k), stride, got, want)
		}
	}
}

func TestTensorIsTheSameByVectors(t *testing.T) {
	p := newRGB(7, 13)
	for i := range p.Pix {
		p.Pix[i] = uint8(7 * i)
	}
	s := Spec{Width: 7, Height: 13, Filter: Bicubic, Fit: Stretch,
		Mean: [3]float32{123.675, 116.28, 103.53}, Std: [3]float32{58.395, 57.12, 57.375}}
	got := make([]float32, s.ValueCount())
	s.Tensor(p, got)
	for i, v := range got {
		if want := (float32(p.Pix[i]) - s.Mean[i%3]) / s.Std[i%3]; v != want {
			t.Fatalf("value %d is %v, want %v", i, v, want)
		}
	}
}

// TestNormalizeOddNumbers compares the bits of normalized pixels, at an odd address, with Go's.
func TestNormalizeOddNumbers(t *testing.T) {
	pix := make([]uint8, 1+4*normalized+1)[1:]
	for i := range pix {
		pix[i] = uint8(5 * i)
	}
	nan, infinite := float32(math.NaN()), float32(math.Inf(1))
	odd := []float32{0, float32(math.Copysign(0, -1)), 1e-45, -1e-39, 85, nan, infinite, -infinite, math.MaxFloat32}
	for _, mean := range odd {
		for _, std := range odd {
			got := make([]float32, len(pix))
			done := normalize(got, pix, [3]float32{mean, 5, 7}, [3]float32{std, 2, 3})
			for i := range done {
				m, s := [3]float32{mean, 5, 7}[i%3], [3]float32{std, 2, 3}[i%3]
				want := (float32(pix[i]) - m) / s
				if math.Float32bits(got[i]) != math.Float32bits(want) && (got[i] == got[i] || want == want) {
					t.Fatalf("(%d − %v) / %v is %v, want %v", pix[i], m, s, got[i], want)
				}
			}
		}
	}
}

// normalized is the number of values of normalGroup, which builds without assembly do not have.
const normalized = 24

func seeds(f *testing.F) {
	all, err := filepath.Glob("testdata/*.*.png")
	if err != nil {
		f.Fatal(err)
	}
	for _, path := range all {
		f.Add(read(f, strings.TrimSuffix(path, ".png")))
	}
	f.Add(makeWebP(10))
	f.Add(makePNG(100, 100))
	f.Add(encodeBMP(10))
}

func FuzzDecode(f *testing.F) {
	seeds(f)
	l := Limits{MaxBytes: 1 << 20, MaxPixels: 1 << 14, MaxSide: 1 << 10, Timeout: 5 * time.Second}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := Decode(context.Background(), data, l)
		switch {
		case err != nil && KindOf(err) == "":
			t.Errorf("an error of no kind: %v", err)
		case err == nil && p.Width*p.Height > l.MaxPixels:
			t.Errorf("%d × %d pixels", p.Width, p.Height)
		case err == nil && len(p.Pix) != 3*p.Width*p.Height:
			t.Errorf("%d bytes for %d × %d", len(p.Pix), p.Width, p.Height)
		}
	})
}

func FuzzIdentify(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, data []byte) {
		info, err := Identify(data)
		if err == nil && (info.Width <= 0 || info.Height <= 0 || info.Orientation < 1 || info.Orientation > 8) {
			t.Errorf("%+v", info)
		}
	})
}

func BenchmarkLoad(b *testing.B) {
	random := rand.New(rand.NewPCG(5, 6))
	for _, size := range [][2]int{{400, 533}, {3000, 4000}} {
		p := newRGB(size[0], size[1])
		for i := range p.Width * p.Height {
			x, y := float64(i%p.Width)/float64(p.Width), float64(i/p.Width)/float64(p.Height)
			grain := random.NormFloat64() * 4
			p.Pix[3*i] = uint8(min(max(128+100*math.Sin(9*x)+grain, 0), 255))
			p.Pix[3*i+1] = uint8(min(max(128+100*math.Sin(7*y)+grain, 0), 255))
			p.Pix[3*i+2] = uint8(min(max(128+100*math.Sin(20*x*y)+grain, 0), 255))
		}
		data := encodeJPEG(b, p)
		b.Run(fmt.Sprintf("%dx%d", size[0], size[1]), func(b *testing.B) {
			s := unit(224, 224, Bicubic, Stretch)
			dst := make([]float32, s.ValueCount())
			b.ReportAllocs()
			for b.Loop() {
				if _, err := s.Load(context.Background(), data, DefaultLimits(), dst); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
