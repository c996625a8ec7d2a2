package main

import (
	"bufio"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
)

// The two pictures. The first has the size of a phone's photo, the second that of
// the data set's.
const (
	largePicture = "12-megapixel.jpg"
	smallPicture = "400x533.jpg"
)

// encodedPictures are the first picture and a smaller copy in other formats, as Pillow writes them
// with its own settings.
var encodedPictures = []string{
	"1-megapixel.png", "12-megapixel.png", "1-megapixel.webp", "12-megapixel.webp", "12-megapixel.avif",
	"12-megapixel.heic",
}

// drawPictures writes both pictures into a folder, as 4:2:0 baseline JPEGs. A decoder's time depends on
// the number of coefficients. Noise and quality are therefore such that the files have a usual size:
// 3.4 MB, as a phone's photo, and 22 KB, near the median of the data set's.
func drawPictures(folder string) error {
	for _, p := range []struct {
		name          string
		width, height int
		noise         float64 // standard deviation, in levels
		quality       int
	}{
		{largePicture, 4000, 3000, 6, 90},
		{smallPicture, 400, 533, 3, 75},
	} {
		drawing := drawDisc(p.width, p.height, p.noise)
		if err := writeJPEG(filepath.Join(folder, p.name), drawing, p.quality); err != nil {
			return err
		}
	}
	return nil
}

// drawDisc returns a picture of a striped disc on a shaded ground, under noise.
func drawDisc(width, height int, noise float64) image.Image {
	picture := image.NewRGBA(image.Rect(0, 0, width, height))
	random := rand.New(rand.NewPCG(3, 4))
	for y := range height {
		for x := range width {
			u, v := float64(x)/float64(width)-0.5, float64(y)/float64(height)-0.5
			red, green, blue := 150+90*u, 140+70*v, 120-60*u*v
			if u*u+v*v < 0.12 {
				stripe := 60 * math.Sin(60*u+15*math.Sin(9*v))
				red, green, blue = 120+stripe, 60+stripe/2, 80-stripe
			}
			grain := noise * random.NormFloat64()
			level := func(v float64) uint8 { return uint8(min(max(v+grain, 0), 255)) }
			picture.SetRGBA(x, y, color.RGBA{level(red), level(green), level(blue), 255})
		}
	}
	return picture
}

func writeJPEG(path string, picture image.Image, quality int) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := bufio.NewWriter(f)
	if err := jpeg.Encode(w, picture, &jpeg.Options{Quality: quality}); err != nil {
		return err
	}
	if err := w.Flush(); err != nil {
		return err
	}
	return f.Close()
}
