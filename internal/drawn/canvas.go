package drawn

import (
	"cmp"
	"slices"

	"garb/picture"
)

// px is a pixel in the units of points, which are sixteenths of a pixel.
const px = 16

// point is a place on a canvas in sixteenths of a pixel, x to the right and y down.
type point struct{ x, y int }

// colour has 8 bits a channel. a is its opacity, from 0 to 255.
type colour struct{ r, g, b, a uint8 }

// paint returns the colour of the pixel at (x, y).
type paint func(x, y int) colour

// solid returns a paint of one colour.
func solid(c colour) paint { return func(int, int) colour { return c } }

// canvas is a picture on which polygons are drawn.
type canvas struct {
	*picture.RGB
	cover     []int // what is covered of each pixel of a row, in sixty-fourths
	crossings []crossing
}

// crossing is where an edge meets a line of samples, and the edge's direction.
type crossing struct{ x, direction int }

// newCanvas returns a canvas of width × height pixels, painted by p.
func newCanvas(width, height int, p paint) *canvas {
	c := &canvas{RGB: &picture.RGB{Width: width, Height: height, Pix: make([]uint8, 3*width*height)},
		cover: make([]int, width)}
	c.fillBox(0, 0, width, height, p)
	return c
}

// set blends the colour into the pixel at (x, y), which must be on the canvas. covered is the part that
// is covered, in sixty-fourths.
func (c *canvas) set(x, y int, with colour, covered int) {
	i := 3 * (y*c.Width + x)
	weight := covered * int(with.a)
	const full = 64 * 255
	for k, v := range [3]uint8{with.r, with.g, with.b} {
		c.Pix[i+k] = uint8((int(c.Pix[i+k])*(full-weight) + int(v)*weight + full/2) / full)
	}
}

// fillBox fills whole pixels: left and top included, right and bottom not.
func (c *canvas) fillBox(left, top, right, bottom int, p paint) {
	for y := max(top, 0); y < min(bottom, c.Height); y++ {
		for x := max(left, 0); x < min(right, c.Width); x++ {
			c.set(x, y, p(x, y), 64)
		}
	}
}

// fill fills the union of polygons, with smooth edges. It samples four lines for each row of pixels, and
// is exact along each line. Polygons may cross themselves and overlap.
func (c *canvas) fill(p paint, polygons ...[]point) {
	if len(polygons) == 0 {
		return
	}
	low, high := c.Height*px, 0
	for i, polygon := range polygons {
		if computeArea(polygon) < 0 { // all in one direction, so that overlaps add up
			polygon = slices.Clone(polygon)
			slices.Reverse(polygon)
			polygons[i] = polygon
		}
		for _, q := range polygon {
			low, high = min(low, q.y), max(high, q.y)
		}
	}
	for y := max(low/px, 0); y <= min(high/px, c.Height-1); y++ {
		clear(c.cover)
		for line := range 4 {
			c.sample(y*px+2+4*line, polygons)
		}
		for x, covered := range c.cover {
			if covered > 0 {
				c.set(x, y, p(x, y), covered)
			}
		}
	}
}

// sample adds the parts of the line at y that are inside the polygons to cover.
func (c *canvas) sample(y int, polygons [][]point) {
	c.crossings = c.crossings[:0]
	for _, polygon := range polygons {
		a := polygon[len(polygon)-1]
		for _, b := range polygon {
			if (a.y <= y) != (b.y <= y) {
				direction := 1
				if a.y > b.y {
					direction = -1
				}
				x := a.x + int(int64(y-a.y)*int64(b.x-a.x)/int64(b.y-a.y))
				c.crossings = append(c.crossings, crossing{x, direction})
			}
			a = b
		}
	}
	slices.SortFunc(c.crossings, func(a, b crossing) int { return cmp.Compare(a.x, b.x) })
	winding := 0
	for i, at := range c.crossings {
		if winding != 0 {
			c.addSpan(c.crossings[i-1].x, at.x)
		}
		winding += at.direction
	}
}

// addSpan adds a part of a line of samples to cover.
func (c *canvas) addSpan(from, to int) {
	from, to = max(from, 0), min(to, c.Width*px)
	if from >= to {
		return
	}
	first, last := from/px, to/px
	if first == last {
		c.cover[first] += to - from
		return
	}
	c.cover[first] += px - from%px
	for x := first + 1; x < last; x++ {
		c.cover[x] += px
	}
	if last < c.Width {
		c.cover[last] += to % px
	}
}

// computeArea returns twice the signed area of a polygon.
func computeArea(polygon []point) (sum int64) {
	a := polygon[len(polygon)-1]
	for _, b := range polygon {
		sum += int64(a.x)*int64(b.y) - int64(b.x)*int64(a.y)
		a = b
	}
	return sum
}

// stroke draws a line of the given width, in sixteenths of a pixel, with round ends.
func (c *canvas) stroke(p paint, width int, line ...point) {
	var parts [][]point
	for i, b := range line {
		if width > 2*px || i == 0 || i == len(line)-1 {
			parts = append(parts, ellipse(b, width/2, width/2))
		}
		if i == 0 {
			continue
		}
		a := line[i-1]
		dx, dy := b.x-a.x, b.y-a.y
		length := sqrt(int64(dx)*int64(dx) + int64(dy)*int64(dy))
		if length == 0 {
			continue
		}
		nx, ny := -dy*width/(2*length), dx*width/(2*length)
		parts = append(parts, []point{{a.x + nx, a.y + ny}, {b.x + nx, b.y + ny}, {b.x - nx, b.y - ny},
			{a.x - nx, a.y - ny}})
	}
	c.fill(p, parts...)
}

// ellipse returns an ellipse as a polygon.
func ellipse(centre point, rx, ry int) []point {
	step := 5
	if max(rx, ry) < 6*px {
		step = 15
	}
	polygon := make([]point, 0, 360/step)
	for degrees := 0; degrees < 360; degrees += step {
		polygon = append(polygon, point{centre.x + scale(rx, cosine(degrees)), centre.y + scale(ry, sine(degrees))})
	}
	return polygon
}

// box returns a rectangle as a polygon, its corners in sixteenths of a pixel.
func box(left, top, right, bottom int) []point {
	return []point{{left, top}, {right, top}, {right, bottom}, {left, bottom}}
}

// roundedBox returns a rectangle with round corners of the given radius.
func roundedBox(left, top, right, bottom, radius int) []point {
	radius = min(radius, (right-left)/2, (bottom-top)/2)
	var polygon []point
	for i, centre := range []point{
		{right - radius, bottom - radius}, {left + radius, bottom - radius}, {left + radius, top + radius},
		{right - radius, top + radius},
	} {
		for degrees := 90 * i; degrees <= 90*i+90; degrees += 15 {
			polygon = append(polygon,
				point{centre.x + scale(radius, cosine(degrees)), centre.y + scale(radius, sine(degrees))})
		}
	}
	return polygon
}

// smooth rounds a closed polygon: in each round, it cuts a quarter of each side off at every corner
// (Chaikin 1974).
func smooth(polygon []point, rounds int) []point {
	for range rounds {
		cut := make([]point, 0, 2*len(polygon))
		for i, a := range polygon {
			b := polygon[(i+1)%len(polygon)]
			cut = append(cut, point{(3*a.x + b.x) / 4, (3*a.y + b.y) / 4}, point{(a.x + 3*b.x) / 4, (a.y + 3*b.y) / 4})
		}
		polygon = cut
	}
	return polygon
}

// bend rounds an open line, as smooth does a polygon. Its ends stay.
func bend(line []point, rounds int) []point {
	for range rounds {
		cut := []point{line[0]}
		for i, b := range line[1:] {
			a := line[i]
			cut = append(cut, point{(3*a.x + b.x) / 4, (3*a.y + b.y) / 4}, point{(a.x + 3*b.x) / 4, (a.y + 3*b.y) / 4})
		}
		line = append(cut, line[len(line)-1])
	}
	return line
}

// pose places shapes, whose coordinates are thousandths of its size, on a canvas.
type pose struct {
	centre   point
	size     int // in sixteenths of a pixel
	degrees  int // rotation, clockwise
	mirrored bool
	wide     int // scale of the width, in percent; 0 means 100
}

// at returns the place of one point.
func (o pose) at(x, y int) point {
	if o.mirrored {
		x = -x
	}
	if o.wide != 0 {
		x = x * o.wide / 100
	}
	sin, cos := int64(sine(o.degrees)), int64(cosine(o.degrees))
	const full = 1000 << 14
	along := (int64(x)*cos - int64(y)*sin) * int64(o.size) / full
	down := (int64(x)*sin + int64(y)*cos) * int64(o.size) / full
	return point{o.centre.x + int(along), o.centre.y + int(down)}
}

// place returns the places of points, which are given as x and y in turn.
func (o pose) place(xy ...int) []point {
	points := make([]point, 0, len(xy)/2)
	for i := 0; i+1 < len(xy); i += 2 {
		points = append(points, o.at(xy[i], xy[i+1]))
	}
	return points
}

// ellipse returns an ellipse, which is rotated by some degrees in the pose.
func (o pose) ellipse(x, y, rx, ry, degrees int) []point {
	polygon := make([]point, 0, 72)
	for at := 0; at < 360; at += 5 {
		u, v := scale(rx, cosine(at)), scale(ry, sine(at))
		polygon = append(polygon, o.at(x+scale(u, cosine(degrees))-scale(v, sine(degrees)),
			y+scale(u, sine(degrees))+scale(v, cosine(degrees))))
	}
	return polygon
}

// length returns a length, in sixteenths of a pixel, that is given in thousandths of the pose's size.
func (o pose) length(thousandths int) int { return max(thousandths*o.size/1000, 1) }

// sine returns 2^14·sin of an angle in degrees, by the approximation of Bhaskara I (7th century):
// sin x ≈ 4x(180 − x) / (40500 − x(180 − x)) for x from 0 to 180, with an error of at most .0017.
// Drawings thus need no floating-point arithmetic, whose last bit differs between machines.
func sine(degrees int) int {
	degrees = (degrees%360 + 360) % 360
	if degrees > 180 {
		return -sine(degrees - 180)
	}
	q := degrees * (180 - degrees)
	return 4 * q << 14 / (40500 - q)
}

// cosine returns 2^14·cos of an angle in degrees.
func cosine(degrees int) int { return sine(degrees + 90) }

// scale returns v·f/2^14.
func scale(v, f int) int { return int(int64(v) * int64(f) / (1 << 14)) }

// sqrt returns the largest integer whose square is at most v.
func sqrt(v int64) int {
	if v < 2 {
		return int(max(v, 0))
	}
	x := v
	for next := (x + 1) / 2; next < x; next = (x + v/x) / 2 {
		x = next
	}
	return int(x)
}

// blur averages each pixel with its neighbours up to radius pixels away, first along rows,
// then along columns.
func (c *canvas) blur(radius int) {
	if radius < 1 {
		return
	}
	line := make([]uint8, max(c.Width, c.Height))
	along := func(start, stride, n int) {
		for channel := range 3 {
			for i := range n {
				line[i] = c.Pix[start+i*stride+channel]
			}
			for i := range n {
				sum := 0
				for j := i - radius; j <= i+radius; j++ {
					sum += int(line[min(max(j, 0), n-1)])
				}
				count := 2*radius + 1
				c.Pix[start+i*stride+channel] = uint8((sum + count/2) / count)
			}
		}
	}
	for y := range c.Height {
		along(3*y*c.Width, 3, c.Width)
	}
	for x := range c.Width {
		along(3*x, 3*c.Width, c.Height)
	}
}

// addGrain adds noise of about the given standard deviation, in levels, to each value.
func (c *canvas) addGrain(r source, levels int) {
	for i, v := range c.Pix {
		c.Pix[i] = clamp(int(v) + r.normal(levels))
	}
}

// clamp returns the level nearest to v.
func clamp(v int) uint8 { return uint8(min(max(v, 0), 255)) }
