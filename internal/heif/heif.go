// Package heif decodes AVIF and HEIC pictures.
//
// AVIF is decoded by libavif with dav1d, and the coded pictures of HEIC by libde265, both as
// WebAssembly. Of HEIC, the package reads the boxes itself and checks them before it decodes; it decodes
// tiles in parallel and turns, crops and converts the picture as libheif does. Each picture or tile has an
// instance of its own, with limited memory and without files, clock and network, which stops when the
// context ends. wasm/README.md says where the modules come from.
package heif

import (
	"context"
	"fmt"

	"garb/internal/raster"
)

const (
	formatAVIF = "avif"
	formatHEIC = "heic"
)

// ReadHeader reads the boxes of data and does not decode the picture. format is "avif" or "heic", or
// "" with an error if data are of another format. Broken files have a format and an error. The sides
// are those that Decode returns.
func ReadHeader(data []byte) (format string, h raster.Header, err error) {
	if isAVIF(data) {
		h, err = readAVIFHeader(data)
		return formatAVIF, h, err
	}
	if !isPicture(data) {
		return "", h, raster.Unsupportedf("not an AVIF or HEIC file")
	}
	c, err := parse(data)
	if err != nil {
		return formatHEIC, h, err
	}
	p, err := c.findPicture(data)
	if err != nil {
		return formatHEIC, h, err
	}
	h = raster.Header{
		Width: p.width, Height: p.height, BitsPerSample: p.bits, Alpha: p.alpha != 0 || p.tileAlpha,
		Grey: p.grey,
	}
	return formatHEIC, h, nil
}

// picture describes the picture before it is decoded.
type picture struct {
	width, height int    // turned and cropped
	alpha         uint32 // the item of the alpha plane, or 0
	tileAlpha     bool   // the tiles have alpha planes
	extent
}

// maxSide limits each side in pixels, so that products do not overflow. libheif has the same limit.
const maxSide = 32768

// findPicture returns the file's main picture.
func (c *container) findPicture(data []byte) (p picture, err error) {
	if c.hasMovie && c.items[c.primary] == nil {
		return p, raster.Unsupportedf("it is a HEIC sequence without a still picture; save one frame as JPEG or PNG")
	}
	inherited, err := c.checkItem(data, c.primary, &p.extent, 0)
	if err != nil {
		return p, err
	}
	if _, _, _, p.width, p.height, err = c.readGeometry(data, c.primary); err != nil {
		return p, err
	}
	p.alpha = c.alphas[c.primary]
	p.tileAlpha = inherited && p.alpha == 0 && c.items[c.primary].kind == "grid" // as libheif, which ignores others
	if p.width > maxSide || p.height > maxSide {
		return p, errSide(p.width, p.height)
	}
	return p, nil
}

// readHEVC returns the header of an HEVC item's bit stream and its decoder configuration. The header must
// have the size that the item's properties say.
func (c *container) readHEVC(data []byte, id uint32) (s sps, configuration []byte, err error) {
	width, height, _, _, _, err := c.readGeometry(data, id)
	if err != nil {
		return s, nil, err
	}
	c.eachProperty(data, id, func(kind string, body []byte) {
		if kind == "hvcC" && configuration == nil {
			configuration = body
		}
	})
	if configuration == nil {
		return s, nil, raster.Corruptf("picture item %d has no HEVC header", id)
	}
	s, ok := parseHVCC(configuration)
	switch {
	case !ok:
		return s, nil, raster.Corruptf("picture item %d has no readable HEVC header", id)
	case s.width != width || s.height != height:
		return s, nil, raster.Corruptf("picture item %d is coded with %d × %d pixels and described with %d × %d",
			id, s.width, s.height, width, height)
	case s.width > maxSide || s.height > maxSide:
		return s, nil, errSide(s.width, s.height)
	}
	return s, configuration, nil
}

func errSide(width, height int) error {
	return fmt.Errorf("%w: %d × %d pixels; the limit of a side is %d", raster.ErrTooLarge, width, height, maxSide)
}

// Decode decodes the primary picture, or the first frame of an AVIF sequence, to RGB over white. HEIC is
// turned, mirrored and cropped as the file says; of AVIF, that is left to the caller (Header.Orientation).
// ICC profiles are ignored. Samples of more than 8 bits are cut to 8. The pixels are those of Pillow and
// pillow-heif.
//
// A picture of more than o.MaxPixels pixels is refused before it is decoded, and so are tiles of more than
// 5/4 of that in all, since tiles may reach beyond the picture. The memory of an instance is limited by the
// pixels that it decodes and the file's size. The first call for each format compiles its decoder, which
// takes up to half a second. Errors wrap those of package raster or are those of ctx. Decode panics if
// o.MaxPixels is not positive.
func Decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	if o.MaxPixels <= 0 {
		panic("heif: MaxPixels must be positive")
	}
	if err := ctx.Err(); err != nil {
		return raster.Image{}, err
	}
	if isAVIF(data) {
		return decodeAVIF(ctx, data, o)
	}
	if !isPicture(data) {
		return raster.Image{}, raster.Unsupportedf("not an AVIF or HEIC file")
	}
	c, err := parse(data)
	if err != nil {
		return raster.Image{}, err
	}
	p, err := c.findPicture(data)
	if err != nil {
		return raster.Image{}, err
	}
	if err = raster.CheckPixels(p.width, p.height, o.MaxPixels); err != nil {
		return raster.Image{}, err
	}
	if err = raster.CheckPixels(max(p.colourPixels, p.alphaPixels), 1, o.MaxPixels+o.MaxPixels/4); err != nil {
		return raster.Image{}, err
	}
	return decodeHEIC(ctx, data, c, &p)
}
