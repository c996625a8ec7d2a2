// Package raster has what the decoders of all formats share: what a header says of a picture, what
// a decoder returns, and the errors.
//
// A decoder is a package with two functions:
//
//	func ReadHeader(data []byte) (raster.Header, error)
//	func Decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error)
package raster

import (
	"errors"
	"fmt"
)

// Header is what a picture's header says.
type Header struct {
	Width, Height int // in pixels, as Decode returns them at full scale
	// BitsPerSample is the number of bits of a sample as stored, 1 to 32.
	BitsPerSample int
	Grey          bool // one channel, beside alpha
	Alpha         bool // transparent pixels can occur
	CMYK          bool // stored as CMYK or YCCK
	// Whole says that decoding at a reduced scale takes the memory of the whole picture, as for
	// progressive JPEG, whose coefficients are collected.
	Whole    bool
	Animated bool // there is more than one frame
	// Orientation is EXIF's, 1 to 8, where the container itself says how the picture is to be
	// turned; otherwise 0.
	Orientation int
	EXIF        []byte // body of the EXIF block, with or without "Exif\0\0"; nil if there is none
	XMP         []byte // XMP packet; nil if there is none
	ICC         []byte // ICC profile; nil if there is none
}

// Options says how a picture is decoded.
type Options struct {
	// Scale decodes at 1/Scale of the size, for JPEG 1, 2, 4 or 8 and for other formats 1. Sides are
	// rounded up. 0 means 1.
	Scale int
	// MaxPixels limits the pixels that are decoded, which may be more than the picture has: for
	// instance those of a frame larger than its canvas. A decoder refuses more before it allocates
	// memory for them.
	MaxPixels int
	// KeepTruncated decodes what is there of a picture that is cut short, as Pillow does with
	// ImageFile.LOAD_TRUNCATED_IMAGES.
	KeepTruncated bool
	// Pix is memory that the JPEG decoder uses for the result's Pix if it is large enough. What it contains
	// does not matter.
	Pix []uint8
}

// Image is a decoded picture, over white, of 8 bits per channel: 3 bytes per pixel (red, green,
// blue), rows from top to bottom, without padding. The caller owns it.
type Image struct {
	Width, Height int
	Pix           []uint8
	// Repairs names what was wrong with the data and was repaired, each kind once, in words that
	// follow "repaired: ", as in "restart markers are missing". It is empty for sound files.
	Repairs []string
}

// New returns a black picture.
func New(width, height int) Image {
	return Image{Width: width, Height: height, Pix: make([]uint8, 3*width*height)}
}

// NewIn returns a picture with any pixels. It lies in pix if that is large enough.
func NewIn(pix []uint8, width, height int) Image {
	if n := 3 * width * height; cap(pix) >= n {
		return Image{Width: width, Height: height, Pix: pix[:n]}
	}
	return New(width, height)
}

// Row returns row y.
func (m Image) Row(y int) []uint8 { return m.Pix[3*y*m.Width:][: 3*m.Width : 3*m.Width] }

// AddRepair adds a repair to those of the picture, once.
func (m *Image) AddRepair(repair string) {
	for _, r := range m.Repairs {
		if r == repair {
			return
		}
	}
	m.Repairs = append(m.Repairs, repair)
}

// Errors that the errors of decoders wrap.
var (
	// ErrCorrupt says that the data contradict themselves.
	ErrCorrupt = errors.New("corrupt")
	// ErrTruncated says that the data end too early. It wraps ErrCorrupt.
	ErrTruncated = fmt.Errorf("%w: the data end in the middle of the picture", ErrCorrupt)
	// ErrUnsupported says that the file may be valid, but is of a kind that is not read.
	ErrUnsupported = errors.New("unsupported")
	// ErrTooLarge says that the picture has more pixels or takes more memory than allowed.
	ErrTooLarge = errors.New("too large")
)

// Corruptf returns an error that wraps ErrCorrupt, and what the format wraps.
func Corruptf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrCorrupt, fmt.Errorf(format, args...))
}

// Unsupportedf returns an error that wraps ErrUnsupported, and what the format wraps.
func Unsupportedf(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrUnsupported, fmt.Errorf(format, args...))
}

// CheckPixels returns an error that wraps ErrTooLarge if width × height is more than maxPixels,
// without overflow. Sides must not be negative.
func CheckPixels(width, height, maxPixels int) error {
	if height > 0 && width > maxPixels/height {
		return fmt.Errorf("%w: %d × %d pixels; the limit is %d", ErrTooLarge, width, height, maxPixels)
	}
	return nil
}

// OverWhite blends a level of the given opacity with white, rounding to the nearest, as Pillow's
// alpha_composite does over a white picture.
func OverWhite(level, alpha uint8) uint8 {
	a := uint32(alpha)
	return uint8((uint32(level)*a + 255*(255-a) + 127) / 255)
}

// BlendRow writes a row of RGBA pixels, not premultiplied, to out over white, 3 bytes per pixel.
func BlendRow(out, rgba []uint8) {
	for ; len(rgba) >= 4; rgba, out = rgba[4:], out[3:] {
		a := rgba[3]
		out[0], out[1], out[2] = OverWhite(rgba[0], a), OverWhite(rgba[1], a), OverWhite(rgba[2], a)
	}
}

// Turn returns the picture rotated and mirrored as EXIF's orientation says, so that it is upright.
// It returns the picture itself for 1 and for values that EXIF does not have.
func (m Image) Turn(orientation int) Image {
	// Pixel (x, y) of the upright picture is stored at start + x·stepX + y·stepY.
	w, h := m.Width, m.Height
	var start, stepX, stepY int
	switch orientation {
	case 2: // mirrored
		start, stepX, stepY = w-1, -1, w
	case 3: // upside down
		start, stepX, stepY = w-1+(h-1)*w, -1, -w
	case 4: // upside down, mirrored
		start, stepX, stepY = (h-1)*w, 1, -w
	case 5: // rows are columns
		start, stepX, stepY = 0, w, 1
	case 6: // to be turned clockwise
		start, stepX, stepY = (h-1)*w, -w, 1
	case 7:
		start, stepX, stepY = w-1+(h-1)*w, -w, -1
	case 8: // to be turned anticlockwise
		start, stepX, stepY = w-1, w, -1
	default:
		return m
	}
	q := New(w, h)
	if orientation >= 5 {
		q.Width, q.Height = h, w
	}
	q.Repairs = m.Repairs
	for y := range q.Height {
		from := start + y*stepY
		for out := q.Row(y); len(out) > 0; out = out[3:] {
			copy(out[:3], m.Pix[3*from:])
			from += stepX
		}
	}
	return q
}
