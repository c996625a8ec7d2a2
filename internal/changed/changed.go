// Package changed changes pictures as cameras, phones and web pages do: turned, small,
// cut, blurred, noisy. It tells how a model does on pictures unlike those of its data set.
package changed

import (
	"math"
	"math/rand/v2"

	"garb/picture"
)

// Change is one way to change a picture.
type Change struct {
	Name  string
	Title string // for a table's row
	// Apply returns the changed picture; p stays as it is. The seed matters to changes that
	// involve chance: give each picture another.
	Apply func(p *picture.RGB, seed uint64) *picture.RGB
}

// All returns the changes, in the order of the model card's table.
func All() []Change {
	return []Change{
		{"turned-90", "turned by 90°", func(p *picture.RGB, _ uint64) *picture.RGB { return Quarter(p) }},
		{"turned-180", "turned by 180°", func(p *picture.RGB, _ uint64) *picture.RGB { return Quarter(Quarter(p)) }},
		{"turned-20", "turned by 20°", func(p *picture.RGB, _ uint64) *picture.RGB { return Turn(p, 20) }},
		{"half", "half the size, on grey", func(p *picture.RGB, _ uint64) *picture.RGB { return Half(p) }},
		{"middle", "the middle 60 %", func(p *picture.RGB, _ uint64) *picture.RGB { return Middle(p, 60) }},
		{"small", "48 × 64 pixels", func(p *picture.RGB, _ uint64) *picture.RGB { return Small(p, 48) }},
		{"blurred", "blurred by 4 pixels", func(p *picture.RGB, _ uint64) *picture.RGB { return Blur(p, 4) }},
		{"noisy", "noise of 25 levels", func(p *picture.RGB, seed uint64) *picture.RGB { return Noise(p, 25, seed) }},
	}
}

// grey is what is around a picture.
const grey = 128

// Quarter returns p turned by 90° clockwise.
func Quarter(p *picture.RGB) *picture.RGB {
	out := blank(p.Height, p.Width)
	for y := range out.Height {
		for x := range out.Width {
			copy(at(out, x, y), at(p, y, p.Height-1-x))
		}
	}
	return out
}

// Turn returns p turned clockwise about its centre, at its size: what comes from outside
// is grey. Pixels are interpolated between the four nearest.
func Turn(p *picture.RGB, degrees float64) *picture.RGB {
	const whole = 1 << 16 // coordinates are in 65536ths of a pixel, so that sums are exact
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	s, c := int(math.Round(sin*whole)), int(math.Round(cos*whole))
	out := blank(p.Width, p.Height)
	for y := range p.Height {
		for x := range p.Width {
			// Twice the offset of the pixel's centre from the picture's, a whole number.
			dx, dy := 2*x+1-p.Width, 2*y+1-p.Height
			fromX, fromY := (dx*c+dy*s+(p.Width-1)*whole)/2, (dy*c-dx*s+(p.Height-1)*whole)/2
			left, top := fromX>>16, fromY>>16
			u, v := fromX&(whole-1), fromY&(whole-1)
			for channel := range 3 {
				upper := level(p, left, top, channel)*(whole-u) + level(p, left+1, top, channel)*u
				lower := level(p, left, top+1, channel)*(whole-u) + level(p, left+1, top+1, channel)*u
				value := int64(upper>>8)*int64(whole-v) + int64(lower>>8)*int64(v)
				at(out, x, y)[channel] = uint8((value + 1<<23) >> 24)
			}
		}
	}
	return out
}

// level returns a value of p, or grey outside of it.
func level(p *picture.RGB, x, y, channel int) int {
	if x < 0 || y < 0 || x >= p.Width || y >= p.Height {
		return grey
	}
	return int(p.Pix[3*(y*p.Width+x)+channel])
}

// Half returns p at half its width and height in the middle of grey of its size.
func Half(p *picture.RGB) *picture.RGB {
	small := resize(p, max(p.Width/2, 1), max(p.Height/2, 1))
	out := blank(p.Width, p.Height)
	for i := range out.Pix {
		out.Pix[i] = grey
	}
	left, top := (p.Width-small.Width)/2, (p.Height-small.Height)/2
	for y := range small.Height {
		copy(out.Pix[3*((top+y)*out.Width+left):], small.Pix[3*y*small.Width:3*(y+1)*small.Width])
	}
	return out
}

// Middle returns the middle of p: so many percent of its width and height.
func Middle(p *picture.RGB, percent int) *picture.RGB {
	out := blank(max(p.Width*percent/100, 1), max(p.Height*percent/100, 1))
	left, top := (p.Width-out.Width)/2, (p.Height-out.Height)/2
	for y := range out.Height {
		from := 3 * ((top+y)*p.Width + left)
		copy(out.Pix[3*y*out.Width:], p.Pix[from:from+3*out.Width])
	}
	return out
}

// Small returns p with a shortest side of so many pixels.
func Small(p *picture.RGB, side int) *picture.RGB {
	short := min(p.Width, p.Height)
	return resize(p, max((p.Width*side+short/2)/short, 1), max((p.Height*side+short/2)/short, 1))
}

// resize returns p at another size, as Pillow's bicubic filter does it.
func resize(p *picture.RGB, width, height int) *picture.RGB {
	return picture.Spec{Width: width, Height: height, Filter: picture.Bicubic, Fit: picture.Stretch}.Resize(p)
}

// Blur returns p after a Gaussian filter whose standard deviation is so many pixels in a
// picture with a shortest side of 400, and in proportion in others. Edges are repeated.
func Blur(p *picture.RGB, pixels float64) *picture.RGB {
	deviation := pixels * float64(min(p.Width, p.Height)) / 400
	if deviation == 0 {
		return p
	}
	// Whole weights, from a formula that machines may round differently: sums of these
	// are the same everywhere.
	weights := make([]int, int(math.Ceil(3*deviation))+1)
	for d := range weights {
		weights[d] = int(math.Round(4096 * math.Exp(-float64(d*d)/(2*deviation*deviation))))
	}
	sum := weights[0]
	for _, w := range weights[1:] {
		sum += 2 * w
	}
	along := func(p *picture.RGB, stepX, stepY int) *picture.RGB {
		out := blank(p.Width, p.Height)
		for y := range p.Height {
			for x := range p.Width {
				var total [3]int
				for d := 1 - len(weights); d < len(weights); d++ {
					from := at(p, min(max(x+d*stepX, 0), p.Width-1), min(max(y+d*stepY, 0), p.Height-1))
					for channel := range total {
						total[channel] += weights[max(d, -d)] * int(from[channel])
					}
				}
				for channel, v := range total {
					at(out, x, y)[channel] = uint8((v + sum/2) / sum)
				}
			}
		}
		return out
	}
	return along(along(p, 1, 0), 0, 1)
}

// Noise returns p with noise added to each value: of a standard deviation of so many
// levels and about Gaussian, as the sum of twelve uniform numbers is.
func Noise(p *picture.RGB, levels int, seed uint64) *picture.RGB {
	random := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	out := blank(p.Width, p.Height)
	for i, v := range p.Pix {
		sum := 0
		for range 3 {
			bits := random.Uint64() // four numbers of 16 bits
			sum += int(bits&0xffff) + int(bits>>16&0xffff) + int(bits>>32&0xffff) + int(bits>>48)
		}
		out.Pix[i] = uint8(min(max(int(v)+((sum-6*0xffff)*levels+1<<15)>>16, 0), 255))
	}
	return out
}

func blank(width, height int) *picture.RGB {
	return &picture.RGB{Width: width, Height: height, Pix: make([]uint8, 3*width*height)}
}

// at returns the three values of a pixel.
func at(p *picture.RGB, x, y int) []uint8 { return p.Pix[3*(y*p.Width+x):][:3] }
