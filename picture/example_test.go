package picture_test

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"os"
	"strings"

	"garb/picture"
)

// A Spec is a network's preprocessing. Load goes the whole way from an encoded picture to the
// values that the network takes.
func ExampleSpec_Load() {
	data, err := os.ReadFile("../examples/dress.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	s := picture.Spec{
		Width: 224, Height: 224, Filter: picture.Bicubic, Fit: picture.Stretch,
		Mean: [3]float32{127, 127, 127}, Std: [3]float32{128, 128, 128},
	}
	values := make([]float32, s.ValueCount())
	info, err := s.Load(context.Background(), data, picture.DefaultLimits(), values)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.Format, info.Width, info.Height, "becomes", len(values), "values")
	// Output: jpeg 400 533 becomes 150528 values
}

// How a picture gets the shape of the input: the whole of it or its middle.
func ExampleFit() {
	for _, fit := range []picture.Fit{picture.Stretch, picture.Crop, picture.Letterbox} {
		s := picture.Spec{Width: 200, Height: 200, Fit: fit}
		part := s.Part(400, 300)
		fmt.Println(fit, "shows", part.Width, "×", part.Height, "pixels",
			"from row", int(part.Top), "column", int(part.Left))
	}
	// Output:
	// stretch shows 400 × 300 pixels from row 0 column 0
	// crop shows 300 × 300 pixels from row 0 column 50
	// letterbox shows 400 × 400 pixels from row -50 column 0
}

// A large JPEG is decoded at a fraction of its size, which is faster; a network that sees 224 ×
// 224 pixels needs no more.
func ExampleSpec_Reduction() {
	s := picture.Spec{Width: 224, Height: 224, Filter: picture.Bicubic, Fit: picture.Stretch}
	for _, side := range []int{400, 1200, 4000} {
		info := picture.Info{Format: picture.JPEG, Width: side, Height: side, Orientation: 1}
		fmt.Println(side, "is decoded at 1 /", s.Reduction(info))
	}
	// Output:
	// 400 is decoded at 1 / 1
	// 1200 is decoded at 1 / 2
	// 4000 is decoded at 1 / 8
}

// Identify reads the header alone. EXIF's orientation 6 says that the picture has to be turned.
func ExampleIdentify() {
	data, err := os.ReadFile("testdata/orientation6.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	info, err := picture.Identify(data)
	if err != nil {
		fmt.Println(err)
		return
	}
	width, height := info.Upright()
	fmt.Println(info.Format, "stored as", info.Width, "×", info.Height, "upright", width, "×", height)
	// Output: jpeg stored as 40 × 30 upright 30 × 40
}

// Limits keep a picture from a stranger from costing too much memory or time.
func ExampleLimits() {
	data, err := os.ReadFile("../examples/dress.jpg")
	if err != nil {
		fmt.Println(err)
		return
	}
	limits := picture.DefaultLimits()
	limits.MaxPixels = 100_000
	_, err = picture.Decode(context.Background(), data, limits)
	fmt.Println(errors.Is(err, picture.ErrTooLarge))
	// Output: true
}

// An error's kind is a word for programs, its detail a clause for people.
func ExampleError() {
	_, err := picture.Decode(context.Background(), []byte("<html>404 Not Found</html>"), picture.DefaultLimits())
	var e *picture.Error
	if errors.As(err, &e) {
		fmt.Println(e.Kind, picture.KindOf(err) == string(picture.NotPicture))
	}
	// Output: not_a_picture true
}

// Read stops at the limit, so that an endless upload does not fill the memory.
func ExampleRead() {
	limits := picture.DefaultLimits()
	limits.MaxBytes = 1000
	_, err := picture.Read(strings.NewReader(strings.Repeat("x", 5000)), limits)
	fmt.Println(errors.Is(err, picture.ErrTooLarge))
	// Output: true
}

// FromImage takes any image.Image. What is transparent is laid over white.
func ExampleFromImage() {
	m := image.NewNRGBA(image.Rect(0, 0, 2, 1))
	m.Set(0, 0, color.NRGBA{R: 200, A: 255})
	m.Set(1, 0, color.Transparent)
	p, err := picture.FromImage(context.Background(), m, picture.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("%d × %d: %d\n", p.Width, p.Height, p.Pix)
	// Output: 2 × 1: [200 0 0 255 255 255]
}

// An RGB picture has three bytes a pixel, in rows from top to bottom.
func ExampleRGB() {
	p := &picture.RGB{Width: 2, Height: 2, Pix: []uint8{
		255, 0, 0, 0, 255, 0, // red, green
		0, 0, 255, 255, 255, 255, // blue, white
	}}
	s := picture.Spec{Width: 4, Height: 2, Filter: picture.Nearest, Fit: picture.Stretch}
	large := s.Resize(p)
	fmt.Printf("%d × %d, first row %d\n", large.Width, large.Height, large.Pix[:12])
	// Output: 4 × 2, first row [255 0 0 255 0 0 0 255 0 0 255 0]
}

// Nearest picks single pixels, the other filters weigh all that a pixel of the result covers: of
// fine stripes the first sees the light ones alone, the second a grey.
func ExampleFilter() {
	stripes := &picture.RGB{Width: 8, Height: 8, Pix: make([]uint8, 8*8*3)}
	for i := range stripes.Pix {
		if i/3%2 == 0 {
			stripes.Pix[i] = 200
		}
	}
	for _, filter := range []picture.Filter{picture.Nearest, picture.Bilinear} {
		s := picture.Spec{Width: 2, Height: 2, Filter: filter, Fit: picture.Stretch}
		fmt.Println(filter, s.Resize(stripes).Pix[0])
	}
	// Output:
	// nearest 200
	// bilinear 107
}
