// Package perturb changes pictures as cameras, phones and web pages do: it rotates, shrinks,
// crops and blurs them, and adds noise. With it, tests measure how well a model does on
// pictures unlike those of its data set.
package perturb

import (
	"math"
	"math/rand/v2"

	"garb/picture"
)

// Change is one way to change a picture.
type Change struct {
	Name  string
	Title string // in a table's row
	// Apply returns the changed picture and leaves p as it is. Random changes draw from the
	// seed, so each picture needs a seed of its own.
	Apply func(p *picture.RGB, seed uint64) *picture.RGB
}

// All returns the changes, in the order of the model card's table.
func All() []Change {
	return []Change{
		{"turned-90", "turned by 90°", seedless(RotateQuarter)},
		{"turned-180", "turned by 180°", seedless(func(p *picture.RGB) *picture.RGB {
			return RotateQuarter(RotateQuarter(p))
		})},
		{"turned-20", "turned by 20°", seedless(func(p *picture.RGB) *picture.RGB { return Rotate(p, 20) })},
		{"half", "half the size, on grey", seedless(Shrink)},
		{"middle", "the middle 60 %", seedless(func(p *picture.RGB) *picture.RGB { return CropMiddle(p, 60) })},
		{"small", "48 × 64 pixels", seedless(func(p *picture.RGB) *picture.RGB { return Downscale(p, 48) })},
		{"blurred", "blurred by 4 pixels", seedless(func(p *picture.RGB) *picture.RGB { return Blur(p, 4) })},
		{"noisy", "noise of 25 levels", func(p *picture.RGB, seed uint64) *picture.RGB {
			return AddNoise(p, 25, seed)
		}},
	}
}

// seedless makes an Apply of a change that does not depend on chance.
func seedless(change func(*picture.RGB) *picture.RGB) func(*picture.RGB, uint64) *picture.RGB {
	return func(p *picture.RGB, _ uint64) *picture.RGB { return change(p) }
}

// grey is the value of all pixels around a picture.
const grey = 128

// RotateQuarter returns p rotated clockwise by 90°.
func RotateQuarter(p *picture.RGB) *picture.RGB {
	out := blank(p.Height, p.Width)
	for y := range out.Height {
		for x := range out.Width {
			copy(pixel(out, x, y), pixel(p, y, p.Height-1-x))
		}
	}
	return out
}

// Rotate returns p rotated clockwise about its centre. The size stays, and what comes from
// outside p is grey. Each pixel is interpolated from the four nearest.
func Rotate(p *picture.RGB, degrees float64) *picture.RGB {
	const whole = 1 << 16 // coordinates are in units of 1/65536 pixel, so that sums are exact
	sin, cos := math.Sincos(degrees * math.Pi / 180)
	s, c := int(math.Round(sin*whole)), int(math.Round(cos*whole))
	out := blank(p.Width, p.Height)
	for y := range p.Height {
		for x := range p.Width {
			// Twice the offset of the pixel's centre from the picture's, which is an integer.
			dx, dy := 2*x+1-p.Width, 2*y+1-p.Height
			fromX, fromY := (dx*c+dy*s+(p.Width-1)*whole)/2, (dy*c-dx*s+(p.Height-1)*whole)/2
			left, top := fromX>>16, fromY>>16
			u, v := fromX&(whole-1), fromY&(whole-1)
			for channel := range 3 {
				upper := valueAt(p, left, top, channel)*(whole-u) + valueAt(p, left+1, top, channel)*u
				lower := valueAt(p, left, top+1, channel)*(whole-u) + valueAt(p, left+1, top+1, channel)*u
				value := int64(upper>>8)*int64(whole-v) + int64(lower>>8)*int64(v)
				pixel(out, x, y)[channel] = uint8((value + 1<<23) >> 24)
			}
		}
	}
	return out
}

// valueAt returns a value of p, or grey for a pixel outside p.
func valueAt(p *picture.RGB, x, y, channel int) int {
	if x < 0 || y < 0 || x >= p.Width || y >= p.Height {
		return grey
	}
	return int(p.Pix[3*(y*p.Width+x)+channel])
}

// Shrink returns a grey picture of the size of p, with p at half its width and height in the
// middle.
func Shrink(p *picture.RGB) *picture.RGB {
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

// CropMiddle returns the middle of p: the given percentage of its width and height.
func CropMiddle(p *picture.RGB, percent int) *picture.RGB {
	out := blank(max(p.Width*percent/100, 1), max(p.Height*percent/100, 1))
	left, top := (p.Width-out.Width)/2, (p.Height-out.Height)/2
	for y := range out.Height {
		from := 3 * ((top+y)*p.Width + left)
		copy(out.Pix[3*y*out.Width:], p.Pix[from:from+3*out.Width])
	}
	return out
}

// Downscale returns p resized so that its shorter side has the given number of pixels.
func Downscale(p *picture.RGB, side int) *picture.RGB {
	short := min(p.Width, p.Height)
	return resize(p, max((p.Width*side+short/2)/short, 1), max((p.Height*side+short/2)/short, 1))
}

// resize returns p at another size, with Pillow's bicubic filter.
func resize(p *picture.RGB, width, height int) *picture.RGB {
	return picture.Spec{Width: width, Height: height, Filter: picture.Bicubic, Fit: picture.Stretch}.Resize(p)
}

// Blur returns p after a Gaussian filter that repeats the edges. Its standard deviation is
// pixels where the shorter side of p has 400 pixels, and in proportion elsewhere.
func Blur(p *picture.RGB, pixels float64) *picture.RGB {
	deviation := pixels * float64(min(p.Width, p.Height)) / 400
	if deviation == 0 {
		return p
	}
	// Machines may round the formula differently. Sums of integer weights are the same on all.
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
					from := pixel(p, min(max(x+d*stepX, 0), p.Width-1), min(max(y+d*stepY, 0), p.Height-1))
					for channel := range total {
						total[channel] += weights[max(d, -d)] * int(from[channel])
					}
				}
				for channel, v := range total {
					pixel(out, x, y)[channel] = uint8((v + sum/2) / sum)
				}
			}
		}
		return out
	}
	return along(along(p, 1, 0), 0, 1)
}

// AddNoise returns p with noise added to each value. levels is the standard deviation. The
// noise is approximately Gaussian: a sum of twelve uniform numbers.
func AddNoise(p *picture.RGB, levels int, seed uint64) *picture.RGB {
	random := rand.New(rand.NewPCG(seed, 0x9e3779b97f4a7c15))
	out := blank(p.Width, p.Height)
	for i, v := range p.Pix {
		sum := 0
		for range 3 {
			bits := random.Uint64() // four 16-bit numbers
			sum += int(bits&0xffff) + int(bits>>16&0xffff) + int(bits>>32&0xffff) + int(bits>>48)
		}
		out.Pix[i] = uint8(min(max(int(v)+((sum-6*0xffff)*levels+1<<15)>>16, 0), 255))
	}
	return out
}

func blank(width, height int) *picture.RGB {
	return &picture.RGB{Width: width, Height: height, Pix: make([]uint8, 3*width*height)}
}

// pixel returns the three values of the pixel at (x, y).
func pixel(p *picture.RGB, x, y int) []uint8 { return p.Pix[3*(y*p.Width+x):][:3] }
