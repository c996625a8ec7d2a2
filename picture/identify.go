package picture

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image/gif"
	"image/png"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"

	"garb/internal/heif"
	"garb/internal/jpeg"
	"garb/internal/raster"
)

// Format is a picture's encoding.
type Format string

// Formats that garb decodes.
const (
	JPEG Format = "jpeg"
	PNG  Format = "png"
	GIF  Format = "gif"
	WebP Format = "webp"
	BMP  Format = "bmp"
	AVIF Format = "avif"
	HEIC Format = "heic"
)

// Info is the content of a picture's header.
type Info struct {
	Format        Format
	Width, Height int // in pixels, as stored
	// Orientation is EXIF's: 1 for upright, 2 to 8 if the picture is stored rotated or mirrored.
	Orientation int
}

// Upright returns the width and height of the upright picture.
func (i Info) Upright() (width, height int) {
	if i.Orientation >= 5 {
		return i.Height, i.Width
	}
	return i.Width, i.Height
}

// advice is the end of a sentence about data of no format.
const advice = "garb reads JPEG, PNG, GIF, WebP, BMP, AVIF and HEIC; convert it to one of them"

// unknownKind describes pictures that no decoder supports.
const unknownKind = "garb does not decode this variant of the format; save it as an ordinary JPEG or PNG"

// Identify reads a picture's header and determines the format by its content. Its
// errors are *Error.
func Identify(data []byte) (info Info, err error) {
	defer func() {
		if r := recover(); r != nil { // see decode
			err = &Error{Corrupt, "the header cannot be read", fmt.Errorf("%v", r)}
		}
		if err == nil && (info.Width <= 0 || info.Height <= 0) {
			err = &Error{Corrupt, "a side of the picture is 0", nil}
		}
	}()
	starts := func(prefix string) bool { return len(data) >= len(prefix) && string(data[:len(prefix)]) == prefix }
	info.Orientation = 1
	switch {
	case len(data) == 0:
		return info, &Error{NotPicture, "the file is empty", nil}
	case starts("\xff\xd8\xff"):
		info.Format = JPEG
		h, err := jpeg.ReadHeader(data)
		if err != nil {
			return info, classify(err)
		}
		info.Width, info.Height = h.Width, h.Height
		info.Orientation = readOrientation(h.EXIF)
	case starts("\x89PNG\r\n\x1a\n"):
		info.Format = PNG
		c, err := png.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return info, classify(err)
		}
		info.Width, info.Height = c.Width, c.Height
		info.Orientation = readOrientation(findPNGEXIF(data))
	case starts("GIF87a"), starts("GIF89a"):
		info.Format = GIF
		c, err := gif.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return info, classify(err)
		}
		info.Width, info.Height = c.Width, c.Height
	case starts("RIFF") && len(data) >= 12 && string(data[8:12]) == "WEBP":
		info.Format = WebP
		return identifyWebP(data, info)
	case starts("BM") && len(data) >= 18 && isBMPHeader(binary.LittleEndian.Uint32(data[14:])):
		info.Format = BMP
		c, err := bmp.DecodeConfig(bytes.NewReader(data))
		if err != nil {
			return info, classify(err)
		}
		info.Width, info.Height = c.Width, c.Height
	default:
		format, h, err := heif.ReadHeader(data)
		if format == "" {
			return info, &Error{NotPicture, advice, nil}
		}
		info.Format, info.Width, info.Height = Format(format), h.Width, h.Height
		if err != nil {
			return info, classify(err)
		}
	}
	return info, nil
}

// isBMPHeader reports whether a BMP header can have this size; "BM" alone also begins texts.
// Headers of OS/2 (12, 16, 64) and of 52 and 56 bytes are not decoded.
func isBMPHeader(size uint32) bool {
	switch size {
	case 12, 16, 40, 52, 56, 64, 108, 124:
		return true
	}
	return false
}

// identifyWebP reads the sizes of the canvas and of the picture in it, which may differ, and takes
// the larger of each.
func identifyWebP(data []byte, info Info) (Info, error) {
	c, err := webp.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return info, classify(err)
	}
	info.Width, info.Height = c.Width, c.Height
	for rest := data[12:]; len(rest) >= 8; {
		name, body := string(rest[:4]), rest[8:]
		size := int64(binary.LittleEndian.Uint32(rest[4:]))
		body = body[:min(size, int64(len(body)))]
		width, height := 0, 0
		switch {
		case name == "VP8X" && len(body) >= 1 && body[0]&2 != 0:
			return info, &Error{Unsupported, "an animated WebP; save one frame of it", nil}
		case name == "VP8 " && len(body) >= 10:
			width = int(binary.LittleEndian.Uint16(body[6:]) & 0x3fff)
			height = int(binary.LittleEndian.Uint16(body[8:]) & 0x3fff)
		case name == "VP8L" && len(body) >= 5:
			bits := binary.LittleEndian.Uint32(body[1:])
			width, height = int(bits&0x3fff)+1, int(bits>>14&0x3fff)+1
		case name == "EXIF":
			info.Orientation = readOrientation(body)
		}
		info.Width, info.Height = max(info.Width, width), max(info.Height, height)
		rest = rest[min(8+size+size%2, int64(len(rest))):]
	}
	return info, nil
}

// classify wraps a decoder's error in an Error of its kind.
func classify(err error) error {
	switch {
	case errors.Is(err, raster.ErrUnsupported), errors.Is(err, bmp.ErrUnsupported), isUnsupportedPNG(err):
		return &Error{Unsupported, unknownKind, err}
	case errors.Is(err, raster.ErrTooLarge):
		return &Error{TooLarge, "scale it down", err}
	}
	return &Error{Corrupt, "the file is broken or cut off; take another copy", err}
}

func isUnsupportedPNG(err error) bool {
	var unsupported png.UnsupportedError
	return errors.As(err, &unsupported)
}
