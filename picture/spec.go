package picture

import (
	"fmt"
	"math"
)

// Filter is the interpolation of a resize. Bilinear and bicubic become wider when
// they reduce a picture (antialiasing), like Pillow's.
type Filter string

// Filters.
const (
	Nearest  Filter = "nearest"
	Bilinear Filter = "bilinear"
	Bicubic  Filter = "bicubic" // Keys 1981 with a = −0.5
)

// Fit says how a picture is fitted into an input of another shape.
type Fit string

const (
	// Stretch scales width and height independently.
	Stretch Fit = "stretch"
	// Crop scales the largest part of the input's shape, times CropRatio, from the
	// picture's centre.
	Crop Fit = "crop"
	// Letterbox scales the whole picture into the input and fills the rest with the
	// mean, which becomes 0.
	Letterbox Fit = "letterbox"
)

// Orientation says what is done with EXIF's orientation.
type Orientation string

const (
	// ApplyOrientation turns pictures upright.
	ApplyOrientation Orientation = ""
	// IgnoreOrientation leaves pictures as they are stored, as Keras and tf.io do. Only containers
	// that turn their pictures themselves (HEIC and TIFF in Pillow) give upright ones.
	IgnoreOrientation Orientation = "ignore"
)

// Spec is a network's preprocessing, which turns a picture into the network's input.
type Spec struct {
	Width  int    `json:"width"`  // of the input, in pixels
	Height int    `json:"height"` // of the input, in pixels
	Filter Filter `json:"filter"`
	Fit    Fit    `json:"fit"`
	// CropRatio is the part of the sides that Crop keeps, in (0, 1]; 0 means 1.
	CropRatio float64 `json:"crop_ratio,omitempty"`
	// Orientation is for pictures whose EXIF says how they are to be turned.
	Orientation Orientation `json:"exif_orientation,omitempty"`
	// Grey is for a network of one channel, the level of grey as in Pillow's mode L. Mean and Std
	// then have the same value three times.
	Grey bool `json:"grey,omitempty"`
	// A value is (level − Mean) / Std of its channel, with levels from 0 to 255.
	Mean [3]float32 `json:"mean"`
	Std  [3]float32 `json:"std"`
}

// maxInputSide limits a Spec's sides.
const maxInputSide = 4096

// Validate returns an error if the Spec cannot be used.
func (s Spec) Validate() error {
	switch {
	case s.Width <= 0 || s.Height <= 0 || s.Width > maxInputSide || s.Height > maxInputSide:
		return fmt.Errorf("picture spec: input of %d × %d pixels; sides must be from 1 to %d",
			s.Width, s.Height, maxInputSide)
	case s.Filter != Nearest && s.Filter != Bilinear && s.Filter != Bicubic:
		return fmt.Errorf("picture spec: filter %q; it must be nearest, bilinear or bicubic", s.Filter)
	case s.Fit != Stretch && s.Fit != Crop && s.Fit != Letterbox:
		return fmt.Errorf("picture spec: fit %q; it must be stretch, crop or letterbox", s.Fit)
	case s.Orientation != ApplyOrientation && s.Orientation != IgnoreOrientation:
		return fmt.Errorf("picture spec: exif_orientation %q; it must be %q, or absent to turn pictures upright",
			s.Orientation, IgnoreOrientation)
	case !(s.CropRatio >= 0 && s.CropRatio <= 1):
		return fmt.Errorf("picture spec: crop ratio %v; it must be from 0 to 1", s.CropRatio)
	}
	for c := range 3 {
		m, d := float64(s.Mean[c]), float64(s.Std[c])
		if math.IsNaN(m) || math.IsInf(m, 0) || !(d > 0) || math.IsInf(d, 0) {
			return fmt.Errorf("picture spec: mean %v and std %v; both must be finite and std positive", m, d)
		}
	}
	if s.Grey && !s.PreparesAlike() {
		return fmt.Errorf("picture spec: means %v and stds %v; a grey input has only one of each", s.Mean, s.Std)
	}
	return nil
}

// PreparesAlike reports whether all channels have the same mean and standard deviation.
func (s Spec) PreparesAlike() bool {
	m, d := s.Mean[0], s.Std[0]
	return s.Mean == [3]float32{m, m, m} && s.Std == [3]float32{d, d, d}
}

// Channels returns the number of channels of an input: 3 (red, green and blue), or 1 if it is grey.
func (s Spec) Channels() int {
	if s.Grey {
		return 1
	}
	return 3
}

// ValueCount returns the number of values of an input: Height × Width × Channels.
func (s Spec) ValueCount() int { return s.Width * s.Height * s.Channels() }

// Tensor resizes p and writes its values to dst, Height × Width × Channels of them, in h, w, c
// order. It panics if dst has another length.
func (s Spec) Tensor(p *RGB, dst []float32) {
	if len(dst) != s.ValueCount() {
		panic(fmt.Sprintf("picture: %d values for an input of %d", len(dst), s.ValueCount()))
	}
	memory := resizedPix.take()
	defer resizedPix.put(memory)
	resized := s.resize(p, *memory)
	if resized != p {
		*memory = resized.Pix
	}
	pix := resized.Pix
	if !s.Grey {
		done := normalize(dst, pix, s.Mean, s.Std)
		if dst, pix = dst[done:], pix[done:]; len(dst) == 0 {
			return
		}
	}
	var values [3][256]float32
	for c := range values {
		for level := range values[c] {
			values[c][level] = (float32(level) - s.Mean[c]) / s.Std[c]
		}
	}
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

// Resize returns p at the input's size, as Tensor uses it. It does not change p, and returns p
// itself if it needs no change. If the input is grey, all three channels have the level of grey.
func (s Spec) Resize(p *RGB) *RGB { return s.resize(p, nil) }

// resize is Resize. The result may lie in pix.
func (s Spec) resize(p *RGB, pix []uint8) *RGB {
	if s.Grey {
		p = toGrey(p)
	}
	switch s.Fit {
	case Crop:
		return resize(p, s.computeCrop(p.Width, p.Height), s.Width, s.Height, s.Filter, pix)
	case Letterbox:
		return s.resizeLetterbox(p, pix)
	}
	return resize(p, box{0, 0, p.Width, p.Height}, s.Width, s.Height, s.Filter, pix)
}

// ResizePart returns a part of p stretched to the input's size, whatever Fit says. Pixels outside
// the part have no influence. It panics if the part is empty or not inside p.
func (s Spec) ResizePart(p *RGB, left, top, width, height int) *RGB {
	if left < 0 || top < 0 || width <= 0 || height <= 0 || width > p.Width-left || height > p.Height-top {
		panic(fmt.Sprintf("picture: a part of %d × %d at (%d, %d) of a picture of %d × %d",
			width, height, left, top, p.Width, p.Height))
	}
	if s.Grey {
		p = toGrey(p)
	}
	return resize(p, box{left, top, width, height}, s.Width, s.Height, s.Filter, nil)
}

// toGrey returns p with the level of grey in all three channels: ITU-R BT.601's luma in 16 bits,
// rounded, as in Pillow's convert("L") (Convert.c, rgb2l).
func toGrey(p *RGB) *RGB {
	out := newRGB(p.Width, p.Height)
	for i := 0; i+3 <= len(p.Pix); i += 3 {
		in, to := p.Pix[i:i+3:i+3], out.Pix[i:i+3:i+3]
		level := uint8((19595*uint32(in[0]) + 38470*uint32(in[1]) + 7471*uint32(in[2]) + 1<<15) >> 16)
		to[0], to[1], to[2] = level, level, level
	}
	return out
}

// Part is the extent of the input in a picture, in the picture's pixels.
type Part struct{ Left, Top, Width, Height float64 }

// Part returns the part of a picture of the given size that the input shows: all of it with
// Stretch, the middle with Crop, and more than the picture with Letterbox.
func (s Spec) Part(width, height int) Part {
	switch s.Fit {
	case Crop:
		b := s.computeCrop(width, height)
		return Part{float64(b.left), float64(b.top), float64(b.width), float64(b.height)}
	case Letterbox:
		w, h := s.innerSize(width, height)
		x, y := float64(width)/float64(w), float64(height)/float64(h) // picture pixels to one of the input
		return Part{
			Left: -x * float64((s.Width-w)/2), Top: -y * float64((s.Height-h)/2),
			Width: x * float64(s.Width), Height: y * float64(s.Height),
		}
	}
	return Part{0, 0, float64(width), float64(height)}
}

// box is a part of a picture, in pixels.
type box struct{ left, top, width, height int }

// computeCrop returns the part that Crop scales.
func (s Spec) computeCrop(width, height int) box {
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

// innerSize returns the size of the picture inside a letterbox.
func (s Spec) innerSize(width, height int) (int, int) {
	scale := min(float64(s.Width)/float64(width), float64(s.Height)/float64(height))
	side := func(source, limit int) int {
		return min(max(int(math.Round(scale*float64(source))), 1), limit)
	}
	return side(width, s.Width), side(height, s.Height)
}

func (s Spec) resizeLetterbox(p *RGB, pix []uint8) *RGB {
	width, height := s.innerSize(p.Width, p.Height)
	in := resize(p, box{0, 0, p.Width, p.Height}, width, height, s.Filter, nil)
	out := newRGBIn(pix, s.Width, s.Height)
	for i := range out.Pix {
		out.Pix[i] = uint8(math.Round(min(max(float64(s.Mean[i%3]), 0), 255)))
	}
	left, top := (s.Width-width)/2, (s.Height-height)/2
	for y := range height {
		copy(out.row(top + y)[3*left:], in.row(y))
	}
	return out
}

// scaledSize returns the size to which a picture of the given size is scaled; with Crop that of the
// whole picture, of which the crop is a part.
func (s Spec) scaledSize(width, height int) (float64, float64) {
	switch s.Fit {
	case Crop:
		b := s.computeCrop(width, height)
		return float64(width) * float64(s.Width) / float64(b.width),
			float64(height) * float64(s.Height) / float64(b.height)
	case Letterbox:
		w, h := s.innerSize(width, height)
		return float64(w), float64(h)
	}
	return float64(s.Width), float64(s.Height)
}
