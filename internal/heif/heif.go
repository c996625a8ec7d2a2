// Package heif decodes AVIF and HEIC pictures.
//
// It reads the boxes around the picture in Go and checks them before it decodes. The
// picture itself is decoded by libavif with libaom or by libheif with libde265, as
// WebAssembly. Each picture has an instance of its own, with limited memory and without
// files, clock and network, which stops when the context ends. wasm/README.md says where
// the modules come from.
package heif

import (
	"context"
	"fmt"
	"slices"

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
	if !isPicture(data) {
		return "", h, raster.Unsupportedf("not an AVIF or HEIC file")
	}
	c, err := parse(data)
	if err != nil {
		return guessFormat(data), h, err
	}
	p, err := c.findPicture(data)
	if err != nil {
		return guessFormat(data), h, err
	}
	return p.format, raster.Header{Width: p.width, Height: p.height, BitsPerSample: 8}, nil
}

// guessFormat returns the format of a broken file by its major brand.
func guessFormat(data []byte) string {
	if string(data[8:10]) == "av" {
		return formatAVIF
	}
	return formatHEIC
}

// picture describes the picture before it is decoded.
type picture struct {
	format                  string
	id                      uint32 // of the primary item; 0 for a sequence's first frame
	codedWidth, codedHeight int
	transformations         []transformation
	width, height           int
	colour                  colour
}

// maxSide limits each side in pixels, so that products do not overflow. libheif has the same limit.
const maxSide = 32768

// maxTiles limits the tiles of a picture: 4,096 of 128 × 128 pixels are 67 megapixels.
const maxTiles = 4096

// findPicture returns the file's main picture.
func (c *container) findPicture(data []byte) (p picture, err error) {
	sequence := c.trackWidth > 0 &&
		(len(c.brands) > 0 && c.brands[0] == "avis" || !c.hasMeta || c.items[c.primary] == nil)
	if sequence {
		if !slices.Contains(c.brands, "avis") {
			return p, raster.Unsupportedf("it is a HEIC sequence without a still picture; save one frame as JPEG or PNG")
		}
		p = picture{
			format: formatAVIF, codedWidth: c.trackWidth, codedHeight: c.trackHeight,
			width: c.trackWidth, height: c.trackHeight,
		}
		return p, p.checkSize()
	}
	if err = c.checkPresent(c.primary); err != nil {
		return p, err
	}
	p.id = c.primary
	var tiles []uint32
	switch it := c.items[c.primary]; it.kind {
	case "grid", "iovl", "iden":
		if len(it.tiles) == 0 {
			return p, raster.Corruptf("its picture is made of other pictures, but names none")
		}
		if len(it.tiles) > maxTiles {
			return p, raster.Unsupportedf("its picture is made of %d others; the limit is %d; save it as JPEG or PNG",
				len(it.tiles), maxTiles)
		}
		tiles = it.tiles
	default:
		tiles = []uint32{c.primary}
	}
	p.codedWidth, p.codedHeight, p.transformations, p.width, p.height, err = c.readGeometry(data, c.primary)
	if err != nil {
		return p, err
	}
	p.colour = colour{matrix: unspecified}
	for _, id := range tiles {
		if err = c.checkTile(data, id, &p); err != nil {
			return p, err
		}
	}
	c.eachProperty(data, c.primary, func(kind string, body []byte) {
		if kind == "colr" && len(body) >= 11 && string(body[:4]) == "nclx" {
			p.colour = colour{matrix: int(body[8])<<8 | int(body[9]), fullRange: body[10]&0x80 != 0}
		}
	})
	return p, p.checkSize()
}

// checkTile checks one of the items that a picture is made of, and sets the picture's format
// and colours.
func (c *container) checkTile(data []byte, id uint32, p *picture) error {
	if err := c.checkPresent(id); err != nil {
		return err
	}
	format := ""
	switch kind := c.items[id].kind; kind {
	case "av01":
		format = formatAVIF
	case "hvc1":
		format = formatHEIC
	default:
		return raster.Unsupportedf("its picture is coded as %q; save it as JPEG or PNG", kind)
	}
	if p.format != "" && p.format != format {
		return raster.Unsupportedf("it mixes AV1 and HEVC")
	}
	p.format = format
	if format == formatHEIC {
		return c.checkHEVC(data, id, &p.colour)
	}
	return nil
}

// checkHEVC compares an HEVC item's size with the one in its bit stream's header, and sets
// the header's colours.
func (c *container) checkHEVC(data []byte, id uint32, to *colour) error {
	width, height, _, _, _, err := c.readGeometry(data, id)
	if err != nil {
		return err
	}
	found := false
	c.eachProperty(data, id, func(kind string, body []byte) {
		if kind != "hvcC" || found || err != nil {
			return
		}
		found = true
		s, ok := parseHVCC(body)
		switch {
		case !ok:
			err = raster.Corruptf("picture item %d has no readable HEVC header", id)
		case s.width != width || s.height != height:
			err = raster.Corruptf("picture item %d is coded with %d × %d pixels and described with %d × %d",
				id, s.width, s.height, width, height)
		default:
			*to = s.colour
		}
	})
	if !found && err == nil {
		err = raster.Corruptf("picture item %d has no HEVC header", id)
	}
	return err
}

// checkSize returns an error for sizes that no decoder takes.
func (p *picture) checkSize() error {
	if p.codedWidth > maxSide || p.codedHeight > maxSide {
		return fmt.Errorf("%w: %d × %d pixels; the limit of a side is %d",
			raster.ErrTooLarge, p.codedWidth, p.codedHeight, maxSide)
	}
	return nil
}

// The memory limit of one picture's decoder, in bytes, is twice what was measured for
// pictures of 12 megapixels (HEIC 7 bytes per pixel, AVIF 23), since more than 8 bits take
// twice as much.
const (
	memoryBase     = 64 << 20
	memoryPerPixel = 48
)

// Decode decodes the primary picture, or the first frame of a sequence, to RGB over
// white. It rotates, mirrors and crops as the file says and composites alpha
// over white. Colours are in the file's own RGB space; ICC profiles are ignored. More
// than 8 bits are rounded to 8.
//
// A picture of more than o.MaxPixels pixels is refused before it is decoded. The decoder's
// memory is limited to 64 MiB + 48 bytes per pixel + twice the file. The first call for
// each format compiles its decoder (0.4 s); a megapixel takes 0.6 s (HEIC) to 1.2 s
// (AVIF) on one core. Errors wrap those of package raster or are those of ctx. Decode panics if
// o.MaxPixels is not positive.
func Decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	if o.MaxPixels <= 0 {
		panic("heif: MaxPixels must be positive")
	}
	if err := ctx.Err(); err != nil {
		return raster.Image{}, err
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
	if err = raster.CheckPixels(p.codedWidth, p.codedHeight, o.MaxPixels); err != nil {
		return raster.Image{}, err
	}
	if p.format == formatAVIF {
		pixels, err := decodeAVIF(ctx, data, &p)
		if err != nil {
			return raster.Image{}, err
		}
		pixels, width, height := applyTransformations(pixels, p.codedWidth, p.codedHeight, p.transformations)
		return raster.Image{Width: width, Height: height, Pix: pixels}, nil
	}
	pixels, err := decodeHEIC(ctx, data, c, &p)
	if err != nil {
		return raster.Image{}, err
	}
	return raster.Image{Width: p.width, Height: p.height, Pix: pixels}, nil
}

// memoryLimit returns the memory that the picture's decoder may take, in bytes.
func (p *picture) memoryLimit(data []byte) int64 {
	return memoryBase + memoryPerPixel*int64(p.codedWidth)*int64(p.codedHeight) + 2*int64(len(data))
}
