package picture

import (
	"fmt"
	"math"
)

// Filter is how pixels are weighed in a resize. Bilinear and bicubic widen with
// the reduction (antialiasing), as Pillow's do.
type Filter string

const (
	Nearest  Filter = "nearest"
	Bilinear Filter = "bilinear"
	Bicubic  Filter = "bicubic" // Keys 1981 with a = −0.5
)

// Fit is how a picture of one shape becomes one of another.
type Fit string

const (
	// Stretch scales width and height each for itself.
	Stretch Fit = "stretch"
	// Crop takes from the centre the largest part of the target's shape, times
	// CropRatio, and scales that.
	Crop Fit = "crop"
	// Letterbox scales the whole picture into the target and fills the rest with the
	// mean, which becomes 0.
	Letterbox Fit = "letterbox"
)

// Spec is a network's preprocessing: what a picture goes through on its way to
// values.
type Spec struct {
	Width  int    `json:"width"`  // of the input, in pixels
	Height int    `json:"height"` // of the input, in pixels
	Filter Filter `json:"filter"`
	Fit    Fit    `json:"fit"`
	// CropRatio is the share of the sides that Crop keeps, in (0, 1]; 0 means 1.
	CropRatio float64 `json:"crop_ratio,omitempty"`
	// Grey is for a network of one channel: the levels of grey, as Pillow's mode L has them.
	// Mean and Std are then alike three times.
	Grey bool `json:"grey,omitempty"`
	// A value is (level − Mean) / Std of its channel, with levels from 0 to 255.
	Mean [3]float32 `json:"mean"`
	Std  [3]float32 `json:"std"`
}

// maxInputSide bounds a Spec read from a file.
const maxInputSide = 4096

// Validate reports what makes a Spec unusable.
func (s Spec) Validate() error {
	switch {
	case s.Width <= 0 || s.Height <= 0 || s.Width > maxInputSide || s.Height > maxInputSide:
		return fmt.Errorf("picture spec: input of %d × %d pixels; sides are from 1 to %d", s.Width, s.Height,
			maxInputSide)
	case s.Filter != Nearest && s.Filter != Bilinear && s.Filter != Bicubic:
		return fmt.Errorf("picture spec: filter %q; there are nearest, bilinear and bicubic", s.Filter)
	case s.Fit != Stretch && s.Fit != Crop && s.Fit != Letterbox:
		return fmt.Errorf("picture spec: fit %q; there are stretch, crop and letterbox", s.Fit)
	case !(s.CropRatio >= 0 && s.CropRatio <= 1):
		return fmt.Errorf("picture spec: crop ratio %v; it is from 0 to 1", s.CropRatio)
	}
	for c := range 3 {
		if m, d := float64(s.Mean[c]), float64(s.Std[c]); math.IsNaN(m) || math.IsInf(m, 0) || !(d > 0) ||
			math.IsInf(d, 0) {
			return fmt.Errorf("picture spec: mean %v and std %v of a channel; they are numbers, and std is positive",
				m, d)
		}
	}
	if s.Grey && !s.PreparesAlike() {
		return fmt.Errorf("picture spec: means %v and stds %v for levels of grey, which have one of each", s.Mean,
			s.Std)
	}
	return nil
}

// PreparesAlike reports whether all channels have the same mean and standard deviation.
func (s Spec) PreparesAlike() bool {
	m, d := s.Mean[0], s.Std[0]
	return s.Mean == [3]float32{m, m, m} && s.Std == [3]float32{d, d, d}
}

// Channels returns the number of channels of an input: 3, red, green and blue, or 1 if it
// is grey.
func (s Spec) Channels() int {
	if s.Grey {
		return 1
	}
	return 3
}

// ValueCount returns the number of values of an input: Height × Width × Channels.
func (s Spec) ValueCount() int { return s.Width * s.Height * s.Channels() }

// Tensor resizes p and writes its values to dst, Height × Width × Channels of them in
// h, w, c order. It panics if dst has another length.
func (s Spec) Tensor(p *RGB, dst []float32) {
	if len(dst) != s.ValueCount() {
		panic(fmt.Sprintf("picture: %d values for an input of %d", len(dst), s.ValueCount()))
	}
	var values [3][256]float32
	for c := range values {
		for level := range values[c] {
			values[c][level] = (float32(level) - s.Mean[c]) / s.Std[c]
		}
	}
	pix := s.Resize(p).Pix
	if s.Grey {
		for i := range dst {
			dst[i] = values[0][pix[3*i]]
		}
		return
	}
	for i := 0; i+3 <= len(pix); i += 3 {
		in, out := pix[i:i+3:i+3], dst[i:i+3:i+3]
		out[0], out[1], out[2] = values[0][in[0]], values[1][in[1]], values[2][in[2]]
	}
}

// Resize returns p at the input's size: the pixels behind Tensor's values. p is
// not changed, and returned itself if nothing is to be done. Where the input is grey, all
// three channels have the level.
func (s Spec) Resize(p *RGB) *RGB {
	if s.Grey {
		p = grey(p)
	}
	switch s.Fit {
	case Crop:
		return resize(p, s.cropBox(p.Width, p.Height), s.Width, s.Height, s.Filter)
	case Letterbox:
		return s.letterbox(p)
	}
	return resize(p, box{0, 0, p.Width, p.Height}, s.Width, s.Height, s.Filter)
}

// ResizePart returns a part of p at the input's size, stretched to it whatever
// Fit says. Pixels outside the part have no influence. It panics if the part is
// empty or not inside p.
func (s Spec) ResizePart(p *RGB, left, top, width, height int) *RGB {
	if left < 0 || top < 0 || width <= 0 || height <= 0 || width > p.Width-left || height > p.Height-top {
		panic(fmt.Sprintf("picture: a part of %d × %d at (%d, %d) of a picture of %d × %d", width, height, left, top,
			p.Width, p.Height))
	}
	if s.Grey {
		p = grey(p)
	}
	return resize(p, box{left, top, width, height}, s.Width, s.Height, s.Filter)
}

// grey returns the levels of grey of p in all three channels: ITU-R BT.601's luma in 16 bits,
// rounded, as Pillow's convert("L") has it (Convert.c, rgb2l).
func grey(p *RGB) *RGB {
	out := newRGB(p.Width, p.Height)
	for i := 0; i+3 <= len(p.Pix); i += 3 {
		in, to := p.Pix[i:i+3:i+3], out.Pix[i:i+3:i+3]
		level := uint8((19595*uint32(in[0]) + 38470*uint32(in[1]) + 7471*uint32(in[2]) + 1<<15) >> 16)
		to[0], to[1], to[2] = level, level, level
	}
	return out
}

// Part is where in a picture the input lies, in the picture's pixels.
type Part struct{ Left, Top, Width, Height float64 }

// Part returns what of a picture of the given size the input shows: all of it if Fit is
// Stretch, the middle if it is Crop, and with Letterbox more than there is.
func (s Spec) Part(width, height int) Part {
	switch s.Fit {
	case Crop:
		b := s.cropBox(width, height)
		return Part{float64(b.left), float64(b.top), float64(b.width), float64(b.height)}
	case Letterbox:
		w, h := s.inner(width, height)
		x, y := float64(width)/float64(w), float64(height)/float64(h) // picture pixels to one of the input
		return Part{-x * float64((s.Width-w)/2), -y * float64((s.Height-h)/2), x * float64(s.Width),
			y * float64(s.Height)}
	}
	return Part{0, 0, float64(width), float64(height)}
}

// box is a part of a picture, in pixels.
type box struct{ left, top, width, height int }

// cropBox is the part that Crop takes.
func (s Spec) cropBox(width, height int) box {
	ratio := s.CropRatio
	if ratio == 0 {
		ratio = 1
	}
	scale := min(float64(width)/float64(s.Width), float64(height)/float64(s.Height)) * ratio
	side := func(target, limit int) int {
		return min(max(int(math.Round(scale*float64(target))), 1), limit)
	}
	b := box{width: side(s.Width, width), height: side(s.Height, height)}
	b.left, b.top = (width-b.width)/2, (height-b.height)/2
	return b
}

// inner is the size of the picture inside a letterbox.
func (s Spec) inner(width, height int) (int, int) {
	scale := min(float64(s.Width)/float64(width), float64(s.Height)/float64(height))
	side := func(source, limit int) int {
		return min(max(int(math.Round(scale*float64(source))), 1), limit)
	}
	return side(width, s.Width), side(height, s.Height)
}

func (s Spec) letterbox(p *RGB) *RGB {
	width, height := s.inner(p.Width, p.Height)
	in := resize(p, box{0, 0, p.Width, p.Height}, width, height, s.Filter)
	out := newRGB(s.Width, s.Height)
	for i := range out.Pix {
		out.Pix[i] = uint8(math.Round(min(max(float64(s.Mean[i%3]), 0), 255)))
	}
	left, top := (s.Width-width)/2, (s.Height-height)/2
	for y := range height {
		copy(out.row(top + y)[3*left:], in.row(y))
	}
	return out
}

// needed returns the size that a picture of the given size is scaled to, as far
// as it counts: of a cropped one the whole picture's, of which the crop is a part.
func (s Spec) needed(width, height int) (float64, float64) {
	switch s.Fit {
	case Crop:
		b := s.cropBox(width, height)
		return float64(width) * float64(s.Width) / float64(b.width),
			float64(height) * float64(s.Height) / float64(b.height)
	case Letterbox:
		w, h := s.inner(width, height)
		return float64(w), float64(h)
	}
	return float64(s.Width), float64(s.Height)
}
