package picture

import (
	"math"
	"sync"
)

//go:generate sh -c "cd _generate && go run . -out ../picture_amd64.s -stubs ../stubs_amd64.go -pkg picture"
//go:generate go run ../internal/kernel/_neon picture

// resize scales a part of p as Pillow's Image.resize does, to the bit: with weights in fixed point,
// rounding to 8 bits after each direction (Pillow 13.0.0, src/libImaging/Resample.c and, for
// nearest, Geometry.c). The result may lie in pix, or be p itself.
func resize(p *RGB, b box, width, height int, filter Filter, pix []uint8) *RGB {
	if b == (box{0, 0, width, height}) && p.Width == width && p.Height == height {
		return p
	}
	if filter == Nearest {
		return resizeNearest(p, b, width, height, pix)
	}
	from := plane{p.Pix[3*(b.top*p.Width+b.left):], 3 * p.Width, b.width, b.height}
	across := recentWeights.find(b.width, width, filter)
	down := recentWeights.find(b.height, height, filter)
	out := newRGBIn(pix, width, height)
	// Like Pillow since 13.0, scale the width first, unless the height shrinks by more than twice
	// as many pixels.
	if shrunk := b.height - height; shrunk > 0 && shrunk > 2*(b.width-width) {
		from.scaleHeight(down).scaleWidth(across, out)
	} else {
		from.scaleBoth(across, down, out)
	}
	return out
}

// plane is a picture whose rows are stride bytes apart.
type plane struct {
	pix                   []uint8
	stride, width, height int
}

// row returns the pixels from row y on.
func (p plane) row(y int) []uint8 { return p.pix[y*p.stride:] }

// rowSlack is how far scaleRows may write beyond a row: it stores 8 values at once.
const rowSlack = 8

// scaleWidth scales rows.
func (p plane) scaleWidth(across *weights, out *RGB) {
	stride := 3*out.Width + rowSlack
	pair := make([]uint8, 2*stride)
	for y := 0; y < p.height; y += 2 {
		p.scalePair(pair, y, across)
		copy(out.row(y), pair)
		if y+1 < p.height {
			copy(out.row(y+1), pair[stride:])
		}
	}
}

// scalePair scales row y and the next one, or the last row twice, to two rows of dst.
func (p plane) scalePair(dst []uint8, y int, across *weights) {
	stride := 3*len(across.first) + rowSlack
	scaleRows(dst[:stride], dst[stride:2*stride], p.row(y), p.row(min(y+1, p.height-1)), across)
}

// scaleHeight scales columns.
func (p plane) scaleHeight(down *weights) plane {
	stride := 3 * p.width
	out := plane{make([]uint8, stride*len(down.first)), stride, p.width, len(down.first)}
	for y, first := range down.first {
		mixRows(out.row(y)[:stride], p.row(first), p.stride, down.at(y))
	}
	return out
}

// scaleBoth scales rows and then columns. It keeps the scaled rows that one row of out needs, and some
// more, so that they stay in the processor's cache.
func (p plane) scaleBoth(across, down *weights, out *RGB) {
	const more = 32
	stride := 3*out.Width + rowSlack
	kept := make([]uint8, (down.size+more)*stride)
	begin, end := down.first[0], down.first[0] // rows kept
	for y, first := range down.first {
		k := down.at(y)
		if first+len(k)+1 > begin+down.size+more { // with a row for scalePair
			copy(kept, kept[(first-begin)*stride:max(end-begin, first-begin)*stride])
			begin = first
		}
		end = max(end, begin)
		for ; end < first+len(k); end += 2 {
			p.scalePair(kept[(end-begin)*stride:], end, across)
		}
		mixRows(out.row(y), kept[(first-begin)*stride:], stride, k)
	}
}

// weights has the weights of each output pixel: of count[i] input pixels from first[i] on.
type weights struct {
	first, count []int
	size         int     // weights per output pixel
	values       []int32 // with precisionBits bits after the point
	// lanes returns the values in the form that the assembly needs.
	lanes func() *lanes
}

// weightsCache keeps the weights of the last resizes: pictures from one source mostly have one size.
type weightsCache struct {
	sync.Mutex
	kept [8]keptWeights
	next int // the place that is used next
}

type keptWeights struct {
	in, out int
	filter  Filter
	*weights
}

var recentWeights weightsCache

// maxKeptSide limits the memory for weights that are kept, to about 50 bytes per pixel of a side.
const maxKeptSide = 1 << 13

// find returns the weights that newWeights returns.
func (c *weightsCache) find(in, out int, filter Filter) *weights {
	c.Lock()
	kept := c.kept
	c.Unlock()
	for _, k := range kept {
		if k.in == in && k.out == out && k.filter == filter {
			return k.weights
		}
	}
	w := newWeights(in, out, filter)
	if in <= maxKeptSide && out <= maxKeptSide {
		c.Lock()
		c.kept[c.next] = keptWeights{in, out, filter, w}
		c.next = (c.next + 1) % len(c.kept)
		c.Unlock()
	}
	return w
}

// at returns the weights of output pixel i.
func (w *weights) at(i int) []int32 { return w.values[i*w.size:][:w.count[i]] }

// precisionBits is 32 bits minus 8 for the level and 2 for the sum of weights, which can exceed 1
// in between.
const precisionBits = 32 - 8 - 2

func newWeights(in, out int, filter Filter) *weights {
	weigh, support := triangleWeight, 1.0
	if filter == Bicubic {
		weigh, support = cubicWeight, 2.0
	}
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support = float64(support * stretch)
	w := &weights{first: make([]int, out), count: make([]int, out), size: int(math.Ceil(support))*2 + 1}
	w.values = make([]int32, out*w.size)
	w.lanes = sync.OnceValue(func() *lanes { return newLanes(w) })
	exact := make([]float64, w.size)
	for i := range out {
		centre := float64((float64(i) + 0.5) * scale)
		low := max(int(centre-support+0.5), 0)
		high := min(int(centre+support+0.5), in)
		sum := 0.0
		for x := range high - low {
			exact[x] = weigh((float64(x+low) - centre + 0.5) / stretch)
			sum += exact[x]
		}
		w.first[i], w.count[i] = low, high-low
		for x := range high - low {
			// Halves are rounded away from zero.
			v := float64(exact[x] / sum * (1 << precisionBits))
			w.values[i*w.size+x] = int32(v + math.Copysign(0.5, v))
		}
	}
	return w
}

func triangleWeight(x float64) float64 { return max(0, 1-math.Abs(x)) }

func cubicWeight(x float64) float64 {
	const a = -0.5
	x = math.Abs(x)
	switch {
	case x < 1:
		return float64((float64((a+2)*x)-(a+3))*x*x) + 1
	case x < 2:
		return (float64((float64((x-5)*x)+8)*x) - 4) * a
	}
	return 0
}

// roundToLevel rounds a weighted sum to a level.
func roundToLevel(sum int32) uint8 { return uint8(min(max(sum>>precisionBits, 0), 255)) }

const halfLevel = 1 << (precisionBits - 1)

// scaleRowGeneric scales the width of one row.
func scaleRowGeneric(dst, src []uint8, w *weights) {
	for i, first := range w.first {
		r, g, b := int32(halfLevel), int32(halfLevel), int32(halfLevel)
		in := src[3*first:]
		for _, k := range w.at(i) {
			r += k * int32(in[0])
			g += k * int32(in[1])
			b += k * int32(in[2])
			in = in[3:]
		}
		dst[3*i], dst[3*i+1], dst[3*i+2] = roundToLevel(r), roundToLevel(g), roundToLevel(b)
	}
}

// mixRowsGeneric sets dst[i] = Σ_j k[j]·rows[j·stride+i].
func mixRowsGeneric(dst, rows []uint8, stride int, k []int32) {
	for i := range dst {
		sum := int32(halfLevel)
		for j, v := range k {
			sum += v * int32(rows[j*stride+i])
		}
		dst[i] = roundToLevel(sum)
	}
}

// resizeNearest takes for each output pixel the input pixel under its centre. Positions are summed
// up as in Pillow: if a centre falls between two pixels, rounding decides.
func resizeNearest(p *RGB, b box, width, height int, pix []uint8) *RGB {
	positions := func(in, out int) []int {
		step := float64(in) / float64(out)
		at := step * 0.5
		list := make([]int, out)
		for i := range list {
			list[i] = min(int(at), in-1)
			at += step
		}
		return list
	}
	columns := positions(b.width, width)
	out := newRGBIn(pix, width, height)
	for y, v := range positions(b.height, height) {
		in := p.row(b.top + v)[3*b.left:]
		row := out.row(y)
		for x, u := range columns {
			copy(row[3*x:3*x+3], in[3*u:])
		}
	}
	return out
}
