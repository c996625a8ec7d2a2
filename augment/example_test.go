package augment_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	imagedraw "image/draw"
	"image/png"
	"os"
	"path/filepath"
	"slices"

	"garb/augment"
	"garb/dataset"
	"garb/picture"
)

// Each epoch shows another view of a picture. The same seed, epoch and picture always give the
// same view, so that a training can be repeated.
func ExampleViews_Load() {
	train := dataset.Training{Set: &dataset.Set{
		Classes: []string{"dress"}, Samples: []dataset.Sample{{Path: "../examples/dress.jpg"}},
	}}
	spec := picture.Spec{
		Width: 64, Height: 64, Filter: picture.Bilinear, Fit: picture.Stretch,
		Mean: [3]float32{127.5, 127.5, 127.5}, Std: [3]float32{127.5, 127.5, 127.5},
	}
	config := augment.Config{RotationRangeDegrees: 10, CropMin: 0.6, HorizontalFlip: true, Brightness: 0.2}
	views, err := augment.New(config, spec, train, 1, picture.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	load := func(epoch int) []float32 {
		view := make([]float32, spec.ValueCount())
		if err := views.Load(context.Background(), epoch, 0, view); err != nil {
			fmt.Println(err)
		}
		return view
	}
	first := load(1)
	fmt.Println("the same epoch again:", slices.Equal(first, load(1)))
	fmt.Println("the next epoch:", slices.Equal(first, load(2)))
	// Output:
	// the same epoch again: true
	// the next epoch: false
}

// Mixup blends the pictures of a batch, and their targets in the same shares.
func ExampleViews_Mix() {
	train := dataset.Training{Set: &dataset.Set{Classes: []string{"dress", "skirt"}}}
	spec := picture.Spec{
		Width: 1, Height: 1, Filter: picture.Bilinear, Fit: picture.Stretch, Std: [3]float32{255, 255, 255},
	}
	views, err := augment.New(augment.Config{Mixup: 0.4}, spec, train, 1, picture.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	inputs := []float32{ // a white picture and a black one
		1, 1, 1,
		0, 0, 0,
	}
	targets := []float32{
		1, 0, // a dress
		0, 1, // a skirt
	}
	views.Mix(1, 0, inputs, targets, 2)
	for i := range 2 {
		mixed := 0 < inputs[3*i] && inputs[3*i] < 1
		fmt.Println("mixed:", mixed, "as white as its target says dress:", inputs[3*i] == targets[2*i])
	}
	// Output:
	// mixed: true as white as its target says dress: true
	// mixed: true as white as its target says dress: true
}

// A value without a meaning is an error before any picture is read.
func ExampleConfig() {
	fmt.Println(augment.Config{}.Enabled(), augment.Config{HorizontalFlip: true}.Enabled())
	fmt.Println(augment.Config{Erasing: 0.5}.Validate() == nil, augment.Config{Erasing: 1.5}.Validate() == nil)
	// Output:
	// false true
	// true false
}

// Backgrounds put the garment of a picture, which a mask marks, somewhere else: here a blue one
// from a grey floor onto a green lawn.
func ExampleBackgrounds() {
	folder, err := os.MkdirTemp("", "pictures")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(folder)
	centre := image.Rect(20, 20, 80, 80)
	draw := func(name string, around, inside color.Color) string {
		m := image.NewRGBA(image.Rect(0, 0, 100, 100))
		imagedraw.Draw(m, m.Bounds(), image.NewUniform(around), image.Point{}, imagedraw.Src)
		imagedraw.Draw(m, centre, image.NewUniform(inside), image.Point{}, imagedraw.Src)
		var b bytes.Buffer
		path := filepath.Join(folder, name)
		if err = errors.Join(png.Encode(&b, m), os.WriteFile(path, b.Bytes(), 0o644)); err != nil {
			fmt.Println(err)
		}
		return path
	}
	blue, green, grey := color.RGBA{B: 255, A: 255}, color.RGBA{G: 255, A: 255}, color.Gray{Y: 128}
	photo := draw("photo.png", grey, blue)
	mask := draw("mask.png", color.Black, color.White)
	lawn := draw("lawn.png", green, green)

	train := dataset.Training{Set: &dataset.Set{Classes: []string{"dress"}, Samples: []dataset.Sample{{Path: photo}}}}
	spec := picture.Spec{
		Width: 5, Height: 5, Filter: picture.Nearest, Fit: picture.Stretch, Std: [3]float32{255, 255, 255},
	}
	views, err := augment.New(augment.Config{HorizontalFlip: true}, spec, train, 1, picture.DefaultLimits())
	if err != nil {
		fmt.Println(err)
		return
	}
	views.SetBackgrounds(augment.Backgrounds{Paths: []string{lawn}, Masks: []string{mask}, Share: 1})
	view := make([]float32, spec.ValueCount())
	if err := views.Load(context.Background(), 1, 0, view); err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println("corner:", view[:3])
	fmt.Println("centre:", view[3*12:3*13])
	// Output:
	// corner: [0 1 0]
	// centre: [0 0 1]
}
