package tiff

import (
	"slices"

	"garb/internal/exif"
	"garb/internal/raster"
)

// Compression methods.
const (
	uncompressed = 1
	ccittRLE     = 2
	ccittT4      = 3
	ccittT6      = 4
	lzwMethod    = 5
	oldJPEG      = 6
	jpegMethod   = 7
	adobeDeflate = 8
	packBits     = 32773
	oldDeflate   = 32946
)

// unreadMethods has the names of compression methods that Pillow reads and this package does not.
var unreadMethods = map[int]string{
	oldJPEG: "JPEG compression as before TIFF 6.0", 34925: "LZMA compression", 50000: "Zstandard compression",
}

// Photometric interpretations.
const (
	whiteIsZero = 0
	blackIsZero = 1
	rgbColour   = 2
	paletted    = 3
	separated   = 5 // CMYK
	ycbcr       = 6
	cieLab      = 8
)

// Formats of samples.
const (
	unsigned = 1
	signed   = 2
	float    = 3
)

// Kinds of extra samples.
const (
	unspecified = 0
	associated  = 1 // alpha by which colours are multiplied
	alone       = 2 // alpha by which colours are not multiplied
	corelDraw   = 999
)

// picture describes the picture of a directory.
type picture struct {
	*directory
	width, height int // as stored
	orientation   int
	compression   int
	photometric   int
	predictor     int
	bits          int // per sample
	format        int // of samples
	stored        int // samples per pixel in the file
	channels      int // decoded samples per pixel; alpha is the last
	alpha         int // kind of the extra sample that is alpha, or unspecified
	planar        bool
	reversed      bool // the bits of each byte are in reverse order
}

// newPicture checks that the picture is of a kind that is read, which are those that Pillow reads
// (TiffImagePlugin.py, OPEN_INFO) but for integers of 12 bits, CIE L*a*b*, and YCbCr other than in JPEG.
func newPicture(d *directory) (*picture, error) {
	p := &picture{directory: d}
	if _, ok := d.entries[tagHDPhoto]; ok {
		return nil, raster.Unsupportedf("HD Photo in TIFF")
	}
	if err := p.readSize(); err != nil {
		return nil, err
	}
	var fillOrder, planarConfig int
	for _, field := range []struct {
		value          *int
		tag, otherwise int
	}{
		{&p.compression, tagCompression, uncompressed},
		{&p.photometric, tagPhotometric, whiteIsZero},
		{&p.predictor, tagPredictor, 1},
		{&fillOrder, tagFillOrder, 1},
		{&planarConfig, tagPlanarConfig, 1},
	} {
		var err error
		if *field.value, err = d.int(field.tag, field.otherwise); err != nil {
			return nil, err
		}
	}
	if fillOrder != 1 && fillOrder != 2 {
		return nil, raster.Corruptf("TIFF with fill order %d", fillOrder)
	}
	if planarConfig != 1 && planarConfig != 2 && p.compression != uncompressed {
		return nil, raster.Corruptf("TIFF with planar configuration %d", planarConfig)
	}
	p.planar = planarConfig == 2
	p.reversed = fillOrder == 2
	if err := p.readSamples(); err != nil {
		return nil, err
	}
	return p, p.checkCompression()
}

// readSize reads the size and how the picture is to be turned.
func (p *picture) readSize() error {
	var err error
	if p.width, err = p.int(tagImageWidth, 0); err != nil {
		return err
	}
	if p.height, err = p.int(tagImageLength, 0); err != nil {
		return err
	}
	if p.width <= 0 || p.height <= 0 {
		return raster.Corruptf("TIFF of %d × %d pixels", p.width, p.height)
	}
	if _, ok := p.entries[tagOrientation]; ok {
		p.orientation, _ = p.int(tagOrientation, 1) // Pillow ignores other types, too
	} else {
		p.orientation = exif.Orientation(nil, p.entries[tagXMP].data)
	}
	return nil
}

// readSamples reads what the samples of a pixel are.
func (p *picture) readSamples() error {
	bits, err := p.ints(tagBitsPerSample, 1)
	if err != nil {
		return err
	}
	extra, err := p.ints(tagExtraSamples)
	if err != nil {
		return err
	}
	if p.stored, err = p.int(tagSamplesPerPixel, 1); err != nil {
		return err
	}
	formats, err := p.ints(tagSampleFormat, 1)
	if err != nil {
		return err
	}
	if p.planar && len(extra) > 0 && slices.Max(extra) == unspecified {
		// Planes of unspecified samples are not read.
		bits, p.stored = bits[:max(0, len(bits)-len(extra))], p.stored-len(extra)
		extra = nil
	}
	const maxSamples = 6 // per pixel, of the kinds that are read
	if p.stored < 1 || p.stored > maxSamples {
		return raster.Unsupportedf("TIFF with %d samples per pixel", p.stored)
	}
	if len(bits) == 1 {
		bits = slices.Repeat(bits, p.stored)
	}
	if len(bits) < p.stored {
		return raster.Corruptf("TIFF with %d samples per pixel and the bits of %d", p.stored, len(bits))
	}
	p.bits = bits[0]
	if slices.Max(bits[:p.stored]) != slices.Min(bits[:p.stored]) {
		return raster.Unsupportedf("TIFF with samples of different sizes")
	}
	if err := p.checkFormat(formats); err != nil {
		return err
	}
	return p.chooseChannels(extra)
}

// checkFormat checks the format of samples, which are unsigned integers or grey; grey ones of 8 bits that
// claim to be signed are taken as unsigned, as Pillow takes them.
func (p *picture) checkFormat(formats []int) error {
	if slices.Max(formats) != slices.Min(formats) {
		return raster.Unsupportedf("TIFF with samples of different formats")
	}
	p.format = formats[0]
	if p.format == unsigned && p.bits <= 16 && p.bits != 12 {
		return nil
	}
	black, grey := p.photometric == blackIsZero, p.photometric == blackIsZero || p.photometric == whiteIsZero
	names := map[int]string{unsigned: "unsigned", signed: "signed", float: "floating-point"}
	known := false
	switch {
	case p.stored != 1 || p.reversed:
	case p.format == signed && p.bits == 8 && black:
		p.format = unsigned
		return nil
	case p.isBigEndian() && (p.compression != uncompressed || p.format == unsigned):
		// Pillow swaps the bytes that libtiff has swapped already.
	case p.format == float:
		known = p.bits == 32 && grey
	default:
		known = black && (p.bits == 32 || p.bits == 16 && p.format == signed)
	}
	if !known {
		return raster.Unsupportedf("TIFF with photometric interpretation %d and %d %s samples of %d bits, %s",
			p.photometric, p.stored, names[p.format], p.bits, p.order)
	}
	return nil
}

// chooseChannels chooses which samples are decoded.
func (p *picture) chooseChannels(extra []int) error {
	switch p.photometric {
	case whiteIsZero, blackIsZero, paletted:
		p.channels = 1
	case rgbColour, ycbcr:
		p.channels = 3
	case separated:
		p.channels = 4
	case cieLab:
		return raster.Unsupportedf("TIFF with colours in CIE L*a*b*")
	default:
		return raster.Unsupportedf("TIFF with photometric interpretation %d", p.photometric)
	}
	if p.photometric == rgbColour && p.stored == 4 && len(extra) == 0 {
		extra = []int{alone} // writers forget to say it
		if p.planar && p.compression != uncompressed {
			extra[0] = associated // what Pillow takes it for in planes that libtiff reads
		}
	}
	kind := unspecified
	if len(extra) > 0 {
		kind = extra[0]
		if kind == corelDraw && p.photometric == rgbColour && p.bits == 8 && len(extra) == 1 {
			kind = alone
		}
		for _, e := range extra[1:] {
			if e != unspecified {
				return raster.Unsupportedf("TIFF with several kinds of extra samples")
			}
		}
	}
	if p.stored != p.channels+len(extra) || !p.isKnown(kind, len(extra)) {
		return raster.Unsupportedf("TIFF with photometric interpretation %d, %d samples of %d bits, extra samples %v",
			p.photometric, p.stored, p.bits, extra)
	}
	if kind != unspecified {
		p.alpha = kind
		p.channels++
	}
	return nil
}

// isKnown reports whether Pillow knows the combination of photometric interpretation, bits, fill order
// and extra samples, of which kind is the first.
func (p *picture) isKnown(kind, extra int) bool {
	if kind > alone || kind < unspecified {
		return false
	}
	if extra > 0 && p.reversed {
		return false
	}
	switch p.photometric {
	case whiteIsZero, blackIsZero, paletted:
		return p.isKnownLevel(kind, extra)
	case rgbColour:
		return p.bits == 8 || p.bits == 16 && !p.reversed && extra <= 1
	case separated:
		return !p.reversed && kind == unspecified && (p.bits == 8 || p.bits == 16 && extra == 0)
	}
	return p.bits == 8 && extra == 0 && !p.reversed // YCbCr
}

// isKnownLevel is isKnown for grey and palettes.
func (p *picture) isKnownLevel(kind, extra int) bool {
	switch {
	case extra == 1:
		return p.bits == 8 && p.photometric != whiteIsZero && (p.photometric == blackIsZero || kind != associated)
	case extra > 1:
		return false
	case p.bits == 16 && p.photometric == whiteIsZero:
		return !p.reversed && !p.isBigEndian()
	case p.bits == 16:
		return p.photometric == blackIsZero && (!p.reversed || !p.isBigEndian())
	}
	return p.bits == 1 || p.bits == 2 || p.bits == 4 || p.bits == 8 || p.bits == 32
}

// isFax reports whether the compression method is one of fax machines.
func (p *picture) isFax() bool {
	return p.compression == ccittRLE || p.compression == ccittT4 || p.compression == ccittT6
}

// isBigEndian reports whether the most significant byte of a sample is the first.
func (p *picture) isBigEndian() bool { return p.order.Uint16([]byte{0, 1}) == 1 }

// checkCompression checks that the compression method is read, and for the kind of picture.
func (p *picture) checkCompression() error {
	switch p.compression {
	case uncompressed:
		return p.checkForPillow()
	case ccittRLE, ccittT4, ccittT6:
		if p.bits != 1 || p.stored != 1 {
			return raster.Corruptf("TIFF with CCITT compression of %d samples of %d bits", p.stored, p.bits)
		}
	case lzwMethod, adobeDeflate, oldDeflate:
		switch {
		case p.predictor == 3 && p.format == float:
		case p.predictor == 3:
			return raster.Unsupportedf("TIFF with the predictor of floating point for integers")
		case p.predictor != 1 && (p.predictor != 2 || p.bits < 8):
			return raster.Corruptf("TIFF with predictor %d for %d bits", p.predictor, p.bits)
		}
	case packBits:
	case jpegMethod:
		return p.checkJPEG()
	default:
		if name, ok := unreadMethods[p.compression]; ok {
			return raster.Unsupportedf("TIFF with %s", name)
		}
		return raster.Unsupportedf("TIFF with compression method %d", p.compression)
	}
	if p.photometric == ycbcr {
		return raster.Unsupportedf("TIFF in YCbCr without JPEG compression")
	}
	return p.checkForLibtiff()
}

// checkForPillow checks what Pillow's own reader, with which it reads uncompressed pictures, insists on.
func (p *picture) checkForPillow() error {
	_, hasExtra := p.entries[tagExtraSamples]
	_, tiled := p.entries[tagTileWidth]
	switch {
	case p.photometric == ycbcr:
		return raster.Unsupportedf("TIFF in YCbCr without JPEG compression")
	case p.reversed && (p.photometric == paletted && p.bits < 8 || p.photometric == whiteIsZero && p.bits == 8):
		return raster.Unsupportedf("uncompressed TIFF with %d reversed bits", p.bits)
	case !p.planar:
		return nil
	case p.bits == 1 && p.photometric == blackIsZero && !p.reversed:
		return nil
	case p.bits != 8 || p.channels == 2 || p.alpha == associated || p.reversed || p.photometric == whiteIsZero,
		p.alpha != unspecified && !hasExtra && tiled: // Pillow errs in the distance of rows
		return raster.Unsupportedf("uncompressed TIFF with planes of this kind")
	}
	return nil
}

// checkForLibtiff checks what libtiff, with which Pillow reads compressed pictures, insists on.
func (p *picture) checkForLibtiff() error {
	switch {
	case p.cut:
		return raster.ErrTruncated
	case !p.standard:
		return raster.Corruptf("TIFF with a file header in the wrong byte order")
	case p.planar && p.channels > 1 && (p.bits < 8 || p.channels == 2 || p.stored > p.channels):
		return raster.Unsupportedf("TIFF with planes of %d channels of %d bits", p.channels, p.bits)
	}
	if p.photometric != paletted || p.bits == 8 {
		return nil
	}
	colours, err := p.ints(tagColorMap)
	if err != nil {
		return err
	}
	if _, ok := p.entries[tagBitsPerSample]; !ok || len(colours) < 3<<p.bits {
		return raster.Corruptf("TIFF with a palette of %d values for %d bits", len(colours), p.bits)
	}
	return nil
}
