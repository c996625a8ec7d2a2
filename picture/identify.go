package picture

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"slices"

	"garb/internal/bmp"
	"garb/internal/exif"
	"garb/internal/gif"
	"garb/internal/icc"
	"garb/internal/ico"
	"garb/internal/jpeg"
	"garb/internal/png"
	"garb/internal/raster"
	"garb/internal/tiff"
	"garb/internal/webp"
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
	TIFF Format = "tiff"
	ICO  Format = "ico" // and CUR
	AVIF Format = "avif"
	HEIC Format = "heic"
)

// extensions has the extensions of files of each format, the usual one first.
var extensions = map[Format][]string{
	JPEG: {".jpg", ".jpeg", ".jpe", ".jfif", ".jif", ".mpo"},
	PNG:  {".png", ".apng"},
	GIF:  {".gif"},
	WebP: {".webp"},
	BMP:  {".bmp", ".dib"},
	TIFF: {".tif", ".tiff"},
	ICO:  {".ico", ".cur"},
	AVIF: {".avif", ".avifs"},
	HEIC: {".heic", ".heif", ".hif", ".heics"},
}

// Formats returns all formats, sorted.
func Formats() []Format { return slices.Sorted(maps.Keys(extensions)) }

// Extensions returns the extensions of files of the format, in lower case with their dot, the usual
// one first. It returns nil for an unknown format.
func (f Format) Extensions() []string { return slices.Clone(extensions[f]) }

// codec has the functions of a decoder, see package raster.
type codec struct {
	readHeader func(data []byte) (raster.Header, error)
	decode     func(ctx context.Context, data []byte, o raster.Options) (raster.Image, error)
}

// codecs has the decoder of each format.
var codecs = map[Format]codec{
	JPEG: {jpeg.ReadHeader, jpeg.Decode},
	PNG:  {png.ReadHeader, png.Decode},
	GIF:  {gif.ReadHeader, gif.Decode},
	WebP: {webp.ReadHeader, webp.Decode},
	BMP:  {bmp.ReadHeader, bmp.Decode},
	TIFF: {tiff.ReadHeader, tiff.Decode},
	ICO:  {ico.ReadHeader, ico.Decode},
	AVIF: heifCodec,
	HEIC: heifCodec,
}

// keepsTruncated reports whether the format's decoder follows raster.Options.KeepTruncated. The others
// refuse pictures that are cut short, as Pillow does.
func (f Format) keepsTruncated() bool { return f != WebP && f != AVIF && f != HEIC }

// Info is what is known about a picture.
type Info struct {
	Format        Format
	Width, Height int // in pixels, as stored
	// Orientation is EXIF's: 1 for upright, 2 to 8 if the picture is stored rotated or mirrored. It
	// is taken from EXIF, XMP or the container, by Pillow's rules.
	Orientation   int
	BitsPerSample int  // as stored; all are decoded to 8
	Grey          bool // the picture has one channel, beside alpha
	Alpha         bool // it has an alpha channel or a transparent colour, and is laid over white
	CMYK          bool
	Animated      bool // there is more than one frame, of which the first is decoded
	// OtherProfile names the ICC profile if it is not sRGB; "" if there is none. garb decodes the
	// levels as they are stored, as networks are trained on them.
	OtherProfile string
	// Repairs names what was wrong with the data and was repaired by the decoder, in words as in
	// "restart markers are missing". It is nil before a picture is decoded.
	Repairs []string

	whole bool // see raster.Header.Whole
}

// Upright returns the width and height of the upright picture.
func (i Info) Upright() (width, height int) {
	if i.Orientation >= 5 {
		return i.Height, i.Width
	}
	return i.Width, i.Height
}

// advice is the end of a sentence about data of no format.
const advice = "garb reads JPEG, PNG, GIF, WebP, BMP, TIFF, ICO, AVIF and HEIC; convert it to one of them"

// unknownKind describes pictures that no decoder supports.
const unknownKind = "garb does not decode this variant of the format; save it as an ordinary JPEG or PNG"

// Identify reads a picture's header and determines the format by its content. Its
// errors are *Error.
func Identify(data []byte) (info Info, err error) {
	defer func() {
		if r := recover(); r != nil { // see decode
			err = &Error{Corrupt, "the header cannot be read", fmt.Errorf("%v", r)}
		}
	}()
	info.Orientation = exif.Upright
	if info.Format, err = findFormat(data); err != nil {
		return info, err
	}
	h, err := codecs[info.Format].readHeader(data)
	if err != nil {
		return info, classify(err)
	}
	if h.Width <= 0 || h.Height <= 0 {
		return info, &Error{Corrupt, "a side of the picture is 0", nil}
	}
	info.describe(h)
	return info, nil
}

// describe sets what a header says.
func (i *Info) describe(h raster.Header) {
	i.Width, i.Height, i.BitsPerSample, i.whole = h.Width, h.Height, h.BitsPerSample, h.Whole
	i.Grey, i.Alpha, i.CMYK, i.Animated = h.Grey, h.Alpha, h.CMYK, h.Animated
	if i.Orientation = h.Orientation; i.Orientation == 0 {
		i.Orientation = exif.Orientation(h.EXIF, h.XMP)
	}
	if profile, ok := icc.Read(h.ICC); ok && !profile.SRGB {
		if i.OtherProfile = profile.Name; i.OtherProfile == "" {
			i.OtherProfile = "unnamed"
		}
	}
}

// findFormat determines the format by the first bytes.
func findFormat(data []byte) (Format, error) {
	starts := func(prefix string) bool { return len(data) >= len(prefix) && string(data[:len(prefix)]) == prefix }
	switch {
	case len(data) == 0:
		return "", &Error{NotPicture, "the file is empty", nil}
	case starts("\xff\xd8\xff"):
		return JPEG, nil
	case starts("\x89PNG\r\n\x1a\n"):
		return PNG, nil
	case starts("GIF87a"), starts("GIF89a"):
		return GIF, nil
	case starts("RIFF") && len(data) >= 12 && string(data[8:12]) == "WEBP":
		return WebP, nil
	case starts("BM") && len(data) >= 18 && isBMPHeader(binary.LittleEndian.Uint32(data[14:])):
		return BMP, nil
	case starts("II*\x00"), starts("MM\x00*"), starts("II\x00*"), starts("MM*\x00"), starts("II+\x00"),
		starts("MM\x00+"):
		return TIFF, nil
	case isIcon(data):
		return ICO, nil
	case starts("\x00\x00\x00\x0cJXL \r\n\x87\n"), starts("\xff\x0a"):
		return "", &Error{Unsupported, "a JPEG XL picture; convert it to JPEG or PNG, for instance by djxl", nil}
	case starts("\x00\x00\x00\x0cjP  \r\n\x87\n"), starts("\xff\x4f\xff\x51"):
		return "", &Error{Unsupported, "a JPEG 2000 picture; convert it to JPEG or PNG, for instance by opj_decompress",
			nil}
	}
	if format, err := findHEIF(data); format != "" || err != nil {
		return format, err
	}
	return "", &Error{NotPicture, advice, nil}
}

// isBMPHeader reports whether a BMP header can have this size; "BM" alone also begins texts.
func isBMPHeader(size uint32) bool {
	switch size {
	case 12, 16, 40, 52, 56, 64, 108, 124:
		return true
	}
	return false
}

// isIcon reports whether data begin as ICO or CUR: two zeros, a kind of 1 or 2, and a first entry
// that lies behind the directory.
func isIcon(data []byte) bool {
	const header, entry = 6, 16
	if len(data) < header+entry || binary.LittleEndian.Uint16(data) != 0 {
		return false
	}
	kind, count := binary.LittleEndian.Uint16(data[2:]), int(binary.LittleEndian.Uint16(data[4:]))
	at := binary.LittleEndian.Uint32(data[header+12:])
	return (kind == 1 || kind == 2) && count > 0 && int64(at) >= int64(header+entry*count)
}

// classify wraps a decoder's error in an Error of its kind.
func classify(err error) error {
	switch {
	case errors.Is(err, raster.ErrUnsupported):
		return &Error{Unsupported, unknownKind, err}
	case errors.Is(err, raster.ErrTooLarge):
		return &Error{TooLarge, "scale it down", err}
	case errors.Is(err, raster.ErrTruncated):
		return &Error{Corrupt, "the file is cut off; take another copy", err}
	}
	return &Error{Corrupt, "the file is broken or cut off; take another copy", err}
}
