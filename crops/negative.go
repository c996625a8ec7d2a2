package crops

import (
	"fmt"
	"hash/fnv"
	"image"
	"math"
	"math/rand/v2"
	"slices"
)

// Negatives says how to find parts of a photo that show no garment, for teaching a model
// what is none of its classes. They come from the photos of the crops, so that a model
// cannot tell the two by where a picture comes from.
type Negatives struct {
	PerPhoto int    // most of one photo, at least 1
	MinSide  int    // least width and height of a part, in pixels
	Seed     uint64 // the same seed finds the same parts
}

// DefaultNegatives returns two parts for each photo, of at least 64 × 64 pixels.
func DefaultNegatives() Negatives { return Negatives{PerPhoto: 2, MinSide: 64} }

// Validate reports figures that cannot work, as a *RuleError.
func (n Negatives) Validate() error {
	switch {
	case n.PerPhoto < 1 || n.PerPhoto > maxNegatives:
		return &RuleError{Field: "negatives_per_photo",
			Message: fmt.Sprintf("%d is not between 1 and %d", n.PerPhoto, maxNegatives)}
	case n.MinSide < 1:
		return &RuleError{Field: "min_side", Message: fmt.Sprintf("%d is less than 1", n.MinSide)}
	}
	return nil
}

// Negative is a part of a photo that shows no garment.
type Negative struct {
	Label  string // the ignored label that the part is around; "" for a part of anything
	Box    image.Rectangle
	Pixels int // of garments
}

const (
	maxNegatives = 100
	// A part of anything may have garment pixels in .5 %, which are mistakes of the mask's
	// edge. The box around a face cannot leave the collar out: 3 %.
	maxShareAnywhere = 0.005
	maxShareAround   = 0.03
	// Two parts of a photo share at most this much of their union.
	maxOverlap = 0.3
	// A piece of an ignored label with fewer pixels is a mistake of the mask or too small
	// to see what it is.
	minPiece = 300
	// An ignored label with more of the photo than this is what is behind everything.
	maxPiece = 0.3
	tries    = 40 // of places for a part of one size
)

// Negatives finds parts of the photo that show no garment: at first around a piece of an
// ignored label, such as a face or a bag, then anywhere, such as the street, in turn.
// Where there are too few of one sort, more are of the other; there may be none at all.
// What they are depends on the seed and the photo's name and mask only.
func (cut *Cut) Negatives(n Negatives) []Negative {
	hash := fnv.New64a()
	hash.Write([]byte(cut.photo.pair.Name))
	random := rand.New(rand.NewPCG(n.Seed, hash.Sum64()))
	garments := cut.sumGarments()
	around := cut.around(n.MinSide, garments)
	random.Shuffle(len(around), func(i, j int) { around[i], around[j] = around[j], around[i] })

	var found []Negative
	apart := func(box image.Rectangle) bool {
		return !slices.ContainsFunc(found, func(f Negative) bool { return overlap(f.Box, box) > maxOverlap })
	}
	nextAround := func() bool {
		for len(around) > 0 {
			next := around[0]
			around = around[1:]
			if apart(next.Box) {
				found = append(found, next)
				return true
			}
		}
		return false
	}
	nextAnywhere := func() bool {
		part, ok := cut.anywhere(n.MinSide, garments, random, apart)
		if ok {
			found = append(found, part)
		}
		return ok
	}
	for len(found) < n.PerPhoto {
		first, second := nextAround, nextAnywhere
		if len(found)%2 == 1 {
			first, second = second, first
		}
		if !first() && !second() {
			break
		}
	}
	return found
}

// overlap returns the area that two boxes share as a part of their union's.
func overlap(a, b image.Rectangle) float64 {
	area := func(r image.Rectangle) int { return r.Dx() * r.Dy() }
	shared := area(a.Intersect(b))
	return float64(shared) / float64(area(a)+area(b)-shared)
}

// sums has, at (x, y), the number of garment pixels above and left of it: one column and
// one row more than the mask.
type sums struct {
	stride int
	counts []int32
}

// in returns the number of garment pixels in a box.
func (s sums) in(box image.Rectangle) int {
	at := func(x, y int) int { return int(s.counts[y*s.stride+x]) }
	return at(box.Max.X, box.Max.Y) - at(box.Min.X, box.Max.Y) - at(box.Max.X, box.Min.Y) + at(box.Min.X, box.Min.Y)
}

// few reports whether garments have at most a share of a box.
func (s sums) few(box image.Rectangle, share float64) bool {
	return float64(s.in(box)) <= share*float64(box.Dx()*box.Dy())
}

func (cut *Cut) sumGarments() sums {
	s := sums{cut.photo.mask.width + 1, make([]int32, (cut.photo.mask.width+1)*(cut.photo.mask.height+1))}
	for y := range cut.photo.mask.height {
		row := int32(0)
		for x, index := range cut.photo.mask.indices[y*cut.photo.mask.width:][:cut.photo.mask.width] {
			if cut.cutter.kind[index] >= other {
				row++
			}
			s.counts[(y+1)*s.stride+x+1] = s.counts[y*s.stride+x+1] + row
		}
	}
	return s
}

// around lists the boxes around pieces of ignored labels that show almost no garment, in
// the order of their first pixels. A box has the rule's margin and at least the side.
func (cut *Cut) around(side int, garments sums) []Negative {
	bounds := cut.photo.mask.bounds()
	if bounds.Dx() < side || bounds.Dy() < side {
		return nil
	}
	var found []Negative
	for _, piece := range cut.photo.mask.pieces(func(index uint8) bool { return cut.cutter.kind[index] == ignored }) {
		if piece.pixels < minPiece || float64(piece.pixels) > maxPiece*float64(len(cut.photo.mask.indices)) {
			continue
		}
		box := within(cut.cutter.widen(piece.box), side, bounds)
		if garments.few(box, maxShareAround) {
			found = append(found, Negative{cut.cutter.label(piece.index), box, garments.in(box)})
		}
	}
	return found
}

// label returns the name of an index, which is the index itself for one without a name.
func (c *Cutter) label(index uint8) string {
	if int(index) < len(c.names) {
		return c.names[index]
	}
	return fmt.Sprint(index)
}

// within returns a box that is at least side wide and high and within bounds: what is
// outside is cut off, then a box that is too small grows on both sides alike where it can.
func within(box image.Rectangle, side int, bounds image.Rectangle) image.Rectangle {
	box = box.Intersect(bounds)
	grow := func(low, high, limit int) (int, int) {
		if high-low >= side {
			return low, high
		}
		low = min(max(0, low-(side-(high-low))/2), limit-side)
		return low, low + side
	}
	box.Min.X, box.Max.X = grow(box.Min.X, box.Max.X, bounds.Dx())
	box.Min.Y, box.Max.Y = grow(box.Min.Y, box.Max.Y, bounds.Dy())
	return box
}

// piece is a connected part of the pixels of one index.
type piece struct {
	index uint8
	extent
}

// pieces finds the connected parts (by edges, not corners) of the pixels of some indices,
// in the order of their first pixels.
func (m *mask) pieces(wanted func(index uint8) bool) []piece {
	seen := make([]bool, len(m.indices))
	var found []piece
	var open []int // pixels to look at
	for start, index := range m.indices {
		if seen[start] || !wanted(index) {
			continue
		}
		p := piece{index: index}
		seen[start] = true
		open = append(open[:0], start)
		for len(open) > 0 {
			i := open[len(open)-1]
			open = open[:len(open)-1]
			x, y := i%m.width, i/m.width
			p.pixels++
			p.box = p.box.Union(image.Rect(x, y, x+1, y+1))
			visit := func(j int) {
				if !seen[j] && m.indices[j] == index {
					seen[j] = true
					open = append(open, j)
				}
			}
			if x > 0 {
				visit(i - 1)
			}
			if x < m.width-1 {
				visit(i + 1)
			}
			if y > 0 {
				visit(i - m.width)
			}
			if y < m.height-1 {
				visit(i + m.width)
			}
		}
		found = append(found, p)
	}
	return found
}

// anywhere looks for a place without garments: of a random size at first, then of smaller
// ones until one fits. The longer side is at most twice the shorter.
func (cut *Cut) anywhere(side int, garments sums, random *rand.Rand,
	apart func(image.Rectangle) bool) (Negative, bool) {
	width, height := cut.photo.mask.width, cut.photo.mask.height
	if width < side || height < side {
		return Negative{}, false
	}
	between := func(low, high float64) float64 { return low * math.Pow(high/low, random.Float64()) }
	for limit := float64(min(width, height)); ; {
		size := between(float64(side), limit)
		aspect := between(1/math.Sqrt2, math.Sqrt2)
		if limit == float64(side) {
			aspect = 1 // the last and smallest
		}
		w := min(max(int(math.Round(size*aspect)), side), width)
		h := min(max(int(math.Round(size/aspect)), side), height)
		for range tries {
			x, y := random.IntN(width-w+1), random.IntN(height-h+1)
			box := image.Rect(x, y, x+w, y+h)
			if garments.few(box, maxShareAnywhere) && apart(box) {
				return Negative{Box: box, Pixels: garments.in(box)}, true
			}
		}
		if w == side && h == side {
			return Negative{}, false
		}
		limit = size
		if limit < 1.05*float64(side) {
			limit = float64(side)
		}
	}
}
