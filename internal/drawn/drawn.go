// Package drawn draws simple garments, and other pictures: plain colours, noise, text, charts,
// screens, animals, maps and the like.
//
// A picture depends on a seed and its number only. It is the same on every machine, to the byte,
// because everything is computed with integers.
package drawn

import (
	"math/rand/v2"

	"garb/picture"
)

// kinds has the kinds of pictures that DrawOther draws in turn. A kind that is here twice is drawn
// twice as often.
var kinds = []struct {
	name string
	draw func(r source) *canvas
}{
	{"colour", drawColour},
	{"noise", drawNoise},
	{"text", drawText},
	{"animal", drawAnimal},
	{"chart", drawChart},
	{"screen", drawScreen},
	{"gradient", drawGradient},
	{"pattern", drawPattern},
	{"animal", drawAnimal},
	{"text", drawText},
	{"screen", drawScreen},
	{"tiny", drawTiny},
	{"map", drawMap},
	{"chart", drawChart},
	{"code", drawCode},
	{"face", drawFace},
	{"animal", drawAnimal},
	{"noise", drawNoise},
	{"shapes", drawShapes},
	{"thing", drawThing},
}

// Kinds returns the names of the kinds of pictures that DrawOther draws.
func Kinds() []string {
	var names []string
	seen := map[string]bool{}
	for _, k := range kinds {
		if !seen[k.name] {
			names = append(names, k.name)
		}
		seen[k.name] = true
	}
	return names
}

// DrawOther draws picture n of a seed, which shows no garment, and returns its kind, one of Kinds. Its
// sides have from 1 to 640 pixels. Twenty pictures in a row have every kind.
func DrawOther(seed uint64, n int) (p *picture.RGB, kind string) {
	k := kinds[n%len(kinds)]
	return k.draw(newSource(seed, uint64(n))).RGB, k.name
}

// source has the random numbers of a drawing.
type source struct{ *rand.Rand }

// newSource returns the source of picture n of a seed.
func newSource(seed, n uint64) source {
	// Odd constants spread neighbouring seeds and numbers over all bits.
	return source{rand.New(rand.NewPCG(seed*0x9e3779b97f4a7c15+1, (n+1)*0xd1342543de82ef95))}
}

// between returns a number from low to high, both included.
func (r source) between(low, high int) int { return low + r.IntN(high-low+1) }

// chance returns true in so many percent of calls.
func (r source) chance(percent int) bool { return r.IntN(100) < percent }

// normal returns a number with about the given standard deviation and a mean of 0. It is the sum of
// twelve uniform numbers, whose variance is 1, less their mean.
func (r source) normal(deviation int) int {
	sum := 0
	for range 3 {
		for bits := r.Uint64(); bits != 0; bits >>= 16 {
			sum += int(bits & 0xffff)
		}
	}
	return (sum - 12*0x8000) * deviation / 0x10000
}

// pick returns one of the given values.
func pick[T any](r source, values ...T) T { return values[r.IntN(len(values))] }

// pickColour returns a colour: vivid, pale, dark or grey.
func (r source) pickColour() colour {
	switch r.IntN(8) {
	case 0:
		v := uint8(r.IntN(256))
		return colour{v, v, v, 255}
	case 1, 2: // pale
		return hsv(r.IntN(360), r.between(20, 100), r.between(200, 255))
	case 3: // dark
		return hsv(r.IntN(360), r.between(60, 255), r.between(20, 110))
	case 4: // dull
		return hsv(r.IntN(360), r.between(20, 120), r.between(90, 220))
	}
	return hsv(r.IntN(360), r.between(140, 255), r.between(120, 255))
}

// pickPale returns a light colour, as of paper or a wall.
func (r source) pickPale() colour {
	if r.chance(35) {
		return colour{255, 255, 255, 255}
	}
	return hsv(r.IntN(360), r.IntN(45), r.between(215, 255))
}

// pickContrast returns a colour whose brightness differs from that of others.
func (r source) pickContrast(others ...colour) colour {
	for range 30 {
		c, differs := r.pickColour(), true
		for _, o := range others {
			if d := c.brightness() - o.brightness(); d > -70 && d < 70 {
				differs = false
			}
		}
		if differs {
			return c
		}
	}
	if others[0].brightness() > 127 {
		return colour{0, 0, 0, 255}
	}
	return colour{255, 255, 255, 255}
}

// brightness returns the luma of a colour, from 0 to 255 (ITU-R BT.601).
func (c colour) brightness() int { return (299*int(c.r) + 587*int(c.g) + 114*int(c.b)) / 1000 }

// hsv returns a colour by its hue in degrees, and saturation and value from 0 to 255.
func hsv(degrees, saturation, value int) colour {
	channel := func(shift int) uint8 {
		d := (degrees + shift) % 360
		d = min(d, 360-d) // the distance from the channel's own hue
		share := 255 * min(max(120-d, 0), 60) / 60
		return uint8(value * (255*255 - saturation*(255-share)) / (255 * 255))
	}
	return colour{channel(0), channel(240), channel(120), 255}
}

// mix returns a mixture of two colours: a if n is 0, and b if it is whole.
func mix(a, b colour, n, whole int) colour {
	channel := func(a, b uint8) uint8 { return uint8((int(a)*(whole-n) + int(b)*n) / whole) }
	return colour{channel(a.r, b.r), channel(a.g, b.g), channel(a.b, b.b), channel(a.a, b.a)}
}

// shade returns a colour with so many percent of its brightness.
func (c colour) shade(percent int) colour {
	return colour{clamp(int(c.r) * percent / 100), clamp(int(c.g) * percent / 100), clamp(int(c.b) * percent / 100),
		c.a}
}

// fade returns a colour with another opacity.
func (c colour) fade(a int) colour { return colour{c.r, c.g, c.b, uint8(a)} }

// pickSize returns a picture's sides. Most have from 100 to 640 pixels, in the proportions of photos
// and screens.
func (r source) pickSize() (width, height int) {
	short := pick(r, r.between(32, 99), r.between(100, 250), r.between(250, 400), 400)
	long := min(short*pick(r, 100, 100, 125, 133, 133, 150, r.between(100, 200))/100, 640)
	if r.chance(50) {
		return long, short
	}
	return short, long
}

// makeGround returns a background of things: a colour, a gradient, noise as of cloth, or boards.
func (r source) makeGround(height int) paint {
	base := r.pickColour()
	switch r.IntN(6) {
	case 0:
		return solid(base)
	case 1:
		return solid(r.pickPale())
	case 2:
		other := r.pickColour()
		return func(_, y int) colour { return mix(base, other, y, max(height, 1)) }
	case 3:
		f := newField(r, r.between(20, 120))
		return func(x, y int) colour { return base.shade(80 + f.at(x, y)*40/255) }
	case 4: // fine and coarse noise: carpet, wall
		coarse, fine := newField(r, r.between(60, 200)), newField(r, r.between(2, 4))
		return func(x, y int) colour { return base.shade(70 + coarse.at(x, y)*30/255 + fine.at(x, y)*25/255) }
	}
	board, f := r.between(20, 90), newField(r, r.between(4, 12)) // boards
	return func(x, y int) colour {
		if x%board < 2 {
			return base.shade(60)
		}
		return base.shade(85 + f.at(x*6, y/4)*20/255 + x/board*37%13)
	}
}

// field is smooth noise: random values at the corners of cells, interpolated between them.
type field struct {
	seed uint64
	cell int
}

func newField(r source, cell int) field { return field{r.Uint64(), max(cell, 1)} }

// at returns the value at (x, y), from 0 to 255.
func (f field) at(x, y int) int {
	x, y = x+1<<16, y+1<<16 // so that no coordinate is negative
	cx, cy, dx, dy := x/f.cell, y/f.cell, x%f.cell, y%f.cell
	top := f.corner(cx, cy)*(f.cell-dx) + f.corner(cx+1, cy)*dx
	bottom := f.corner(cx, cy+1)*(f.cell-dx) + f.corner(cx+1, cy+1)*dx
	return (top*(f.cell-dy) + bottom*dy) / (f.cell * f.cell)
}

// corner returns the random value at a cell's corner, by the finaliser of SplitMix64 (Steele, Lea, Flood
// 2014).
func (f field) corner(x, y int) int {
	z := f.seed + uint64(x)*0x9e3779b97f4a7c15 + uint64(y)*0xd1342543de82ef95
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return int((z ^ z>>31) & 0xff)
}

// photograph makes some drawings look like photos of drawings: out of focus, noisy, or darker towards a
// corner.
func (r source) photograph(c *canvas) *canvas {
	if r.chance(15) {
		shift := r.between(-100, 100)
		c.fillBox(0, 0, c.Width, c.Height, func(x, y int) colour {
			far := (x*100/c.Width + y*(100+shift)/c.Height) / 3
			return colour{0, 0, 0, clamp(far)}
		})
	}
	if r.chance(20) {
		c.blur(r.between(1, 1+min(c.Width, c.Height)/150))
	}
	if r.chance(30) {
		c.addGrain(r, r.between(2, 12))
	}
	return c
}
