// Command _make draws the pictures in examples: a T-shirt on a floor, garments by package drawn,
// and a cat. Run it in the project's root: go run ./examples/_make/main.go
package main

import (
	"image"
	"image/color"
	"image/jpeg"
	"log"
	"math"
	"math/rand/v2"
	"os"

	"garb/internal/drawn"
	"garb/picture"
)

const width, height = 400, 533

type point struct{ x, y float64 }

// outline is the left half of the shirt, from the middle of the neck to the
// middle of the hem. x counts from the middle.
var outline = []point{
	{0, 136}, {-16, 134}, {-31, 128}, {-44, 119}, {-54, 107}, {-60, 96},
	{-96, 106}, {-124, 120}, {-146, 154}, {-164, 196}, {-120, 218}, {-104, 190},
	{-104, 260}, {-107, 330}, {-110, 424}, {-60, 432}, {0, 434},
}

func main() {
	whole := append([]point(nil), outline...)
	for i := len(outline) - 1; i >= 0; i-- {
		whole = append(whole, point{-outline[i].x, outline[i].y})
	}
	random := rand.New(rand.NewPCG(7, 7))
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			grain := random.NormFloat64() * 3
			c := floor(float64(x), float64(y))
			// The shirt's shadow, then the shirt, smooth at the edges.
			shadow := cover(whole, float64(x)-width/2-7, float64(y)-9)
			for i := range c {
				c[i] *= 1 - 0.35*shadow
			}
			if a := cover(whole, float64(x)-width/2, float64(y)); a > 0 {
				s := cloth(float64(x)-width/2, float64(y))
				for i := range c {
					c[i] += (s[i] - c[i]) * a
				}
			}
			m.SetRGBA(x, y, color.RGBA{level(c[0] + grain), level(c[1] + grain), level(c[2] + grain), 255})
		}
	}
	write("t-shirt", m)
	for _, class := range []string{"dress", "longsleeve", "pants", "skirt"} {
		p, err := drawn.DrawGarment(class, 1)
		if err != nil {
			log.Fatal(err)
		}
		write(class, imageOf(p))
	}
	cat, _ := drawn.DrawOther(catSeed, catNumber)
	write("cat", imageOf(cat))
}

// The animal of package drawn that is a cat.
const (
	catSeed   = 5
	catNumber = 43
)

func imageOf(p *picture.RGB) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(m.Pix[4*i:], []uint8{p.Pix[3*i], p.Pix[3*i+1], p.Pix[3*i+2], 255})
	}
	return m
}

func write(name string, m image.Image) {
	f, err := os.Create("examples/" + name + ".jpg")
	if err != nil {
		log.Fatal(err)
	}
	if err := jpeg.Encode(f, m, &jpeg.Options{Quality: 85}); err != nil {
		log.Fatal(err)
	}
	if err := f.Close(); err != nil {
		log.Fatal(err)
	}
}

// floor returns the colour of a wooden floor in the light of a window.
func floor(x, y float64) [3]float64 {
	light := 1.05 - 0.2*x/width - 0.1*y/height
	grain := 5*math.Sin(x/3+4*math.Sin(y/60)) + 3*math.Sin(x/1.3+y/90)
	board := 0.0
	if math.Mod(x+20, 84) < 2 {
		board = -35
	}
	return [3]float64{(190 + grain + board) * light, (165 + grain + board) * light, (135 + grain + board) * light}
}

// cloth returns the colour of the shirt: green, with folds, a print, seams and a ribbed neck.
func cloth(x, y float64) [3]float64 {
	fold := 10*math.Sin(x/17+y/70) + 7*math.Sin(x/33-y/25) + 5*math.Sin((x*x/900+y)/21)
	shade := 1 - 0.18*math.Abs(x)/150
	c := [3]float64{90, 130, 90}
	for i := range c {
		c[i] = (c[i] + fold) * shade
	}
	seam := func(d float64) bool { return math.Abs(d) < 1.2 }
	if math.Hypot(x, y-250) < 46 && math.Mod(y+1000, 18) < 11 { // a sun with stripes
		c = [3]float64{238 + fold/3, 226 + fold/3, 196 + fold/3}
	}
	neck := math.Hypot(x/1.25, y-88)
	switch {
	case seam(math.Abs(x)-107+(y-206)/60) && y > 122 && y < 198, seam(y - 422 + math.Abs(x)/14), seam(neck - 52):
		for i := range c {
			c[i] *= 0.72
		}
	case neck < 52 && neck > 38: // the ribbing
		for i := range c {
			c[i] = c[i]*0.8 + 6*math.Sin(math.Atan2(y-88, x)*90)
		}
	}
	return c
}

// cover returns how much of the pixel at (x, y) is inside the polygon, from 0 to 1.
func cover(polygon []point, x, y float64) float64 {
	const samples = 3
	hits := 0
	for i := range samples {
		for j := range samples {
			if inside(polygon, x+(float64(i)+0.5)/samples, y+(float64(j)+0.5)/samples) {
				hits++
			}
		}
	}
	return float64(hits) / (samples * samples)
}

func inside(polygon []point, x, y float64) bool {
	in := false
	for i, a := range polygon {
		b := polygon[(i+1)%len(polygon)]
		if (a.y > y) != (b.y > y) && x < (b.x-a.x)*(y-a.y)/(b.y-a.y)+a.x {
			in = !in
		}
	}
	return in
}

func level(v float64) uint8 { return uint8(min(max(v, 0), 255)) }
