package crops

import (
	"fmt"
	"hash/fnv"
	"image"
	"math"
	"math/rand/v2"
	"slices"
)

// Negatives says how to find parts of a photo that show no garment, to train a model on what is
// none of its classes. They come from the same photos as the crops, so that a model cannot
// learn to tell them apart by their source.
type Negatives struct {
	PerPhoto int    // largest number per photo, at least 1
	MinSide  int    // smallest width and height of a part, in pixels
	Seed     uint64 // the same seed finds the same parts
}

// DefaultNegatives asks for two parts per photo, of at least 64 × 64 pixels.
func DefaultNegatives() Negatives { return Negatives{PerPhoto: 2, MinSide: 64} }

// Validate returns a *RuleError if a value is out of its bounds.
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
	Label  string // the ignored label that the part surrounds, or "" for a random part
	Box    image.Rectangle
	Pixels int // the number of garment pixels
}

const (
	maxNegatives = 100
	// Garments may have .5 % of the pixels of a random part, which are errors at the mask's
	// edges, and 3 % of those around a face, whose box cannot exclude the collar.
	maxShareAnywhere = 0.005
	maxShareAround   = 0.03
	// maxOverlap is the largest intersection over union of two parts of a photo.
	maxOverlap = 0.3
	// A piece of an ignored label with fewer pixels is an error of the mask, or too small to
	// be recognized.
	minPiece = 300
	// An ignored label with a larger share of the photo is the background.
	maxPiece = 0.3
	tries    = 40 // places to try for a part of one size
)

// FindNegatives finds parts of the photo that show no garment: alternately around a piece of an
// ignored label, such as a face or a bag, and anywhere, such as the street. If there are too
// few of one kind, it takes more of the other; there may be none at all. The result depends
// only on the seed and on the photo's name and mask.
func (cut *Cut) FindNegatives(n Negatives) []Negative {
	hash := fnv.New64a()
	hash.Write([]byte(cut.photo.pair.Name))
	random := rand.New(rand.NewPCG(n.Seed, hash.Sum64()))
	garments := cut.sumGarments()
	around := cut.findAround(n.MinSide, garments)
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
		part, ok := cut.findAnywhere(n.MinSide, garments, random, apart)
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

// overlap returns the intersection over union of two boxes.
func overlap(a, b image.Rectangle) float64 {
	area := func(r image.Rectangle) int { return r.Dx() * r.Dy() }
	shared := area(a.Intersect(b))
	return float64(shared) / float64(area(a)+area(b)-shared)
}

// integral has, at (x, y), the number of garment pixels above and to the left: an integral
// image, with one column and one row more than the mask.
type integral struct {
	stride int
	counts []int32
}

// count returns the number of garment pixels in a box.
func (s integral) count(box image.Rectangle) int {
	at := func(x, y int) int { return int(s.counts[y*s.stride+x]) }
	return at(box.Max.X, box.Max.Y) - at(box.Min.X, box.Max.Y) - at(box.Max.X, box.Min.Y) + at(box.Min.X, box.Min.Y)
}

// isBelow reports whether garments have at most a share of a box.
func (s integral) isBelow(box image.Rectangle, share float64) bool {
	return float64(s.count(box)) <= share*float64(box.Dx()*box.Dy())
}

// sumGarments returns the integral image of the garment pixels.
func (cut *Cut) sumGarments() integral {
	s := integral{cut.photo.mask.width + 1, make([]int32, (cut.photo.mask.width+1)*(cut.photo.mask.height+1))}
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

// findAround returns the boxes around pieces of ignored labels that show almost no garment, in
// the order of their first pixels. A box has the rule's margin and sides of at least side.
func (cut *Cut) findAround(side int, garments integral) []Negative {
	bounds := cut.photo.mask.bounds()
	if bounds.Dx() < side || bounds.Dy() < side {
		return nil
	}
	var found []Negative
	isIgnored := func(index uint8) bool { return cut.cutter.kind[index] == ignored }
	for _, piece := range cut.photo.mask.findPieces(isIgnored) {
		if piece.pixels < minPiece || float64(piece.pixels) > maxPiece*float64(len(cut.photo.mask.indices)) {
			continue
		}
		box := fitBox(cut.cutter.widen(piece.box), side, bounds)
		if garments.isBelow(box, maxShareAround) {
			found = append(found, Negative{cut.cutter.label(piece.index), box, garments.count(box)})
		}
	}
	return found
}

// label returns the name of an index, or the index as text if it has none.
func (c *Cutter) label(index uint8) string {
	if int(index) < len(c.names) {
		return c.names[index]
	}
	return fmt.Sprint(index)
}

// fitBox cuts off what is outside bounds, and then widens the box to at least side in both
// directions, equally on both sides where it can.
func fitBox(box image.Rectangle, side int, bounds image.Rectangle) image.Rectangle {
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

// findPieces returns the connected parts (by edges, not corners) of the pixels of the wanted
// indices, in the order of their first pixels.
func (m *mask) findPieces(wanted func(index uint8) bool) []piece {
	seen := make([]bool, len(m.indices))
	var found []piece
	var open []int // pixels to visit
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

// findAnywhere looks for a place without garments: of a random size at first, then of smaller
// sizes until one fits. The longer side is at most twice the shorter.
func (cut *Cut) findAnywhere(side int, garments integral, random *rand.Rand,
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
			if garments.isBelow(box, maxShareAnywhere) && apart(box) {
				return Negative{Box: box, Pixels: garments.count(box)}, true
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
