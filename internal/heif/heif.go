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
	"errors"
	"fmt"
	"slices"
)

// Errors that the errors of Identify and Decode wrap.
var (
	// ErrCorrupt says that the file is cut short or contradicts itself, or that its decoder failed.
	ErrCorrupt = errors.New("corrupt")
	// ErrUnsupported says that the file is of a kind that is not read.
	ErrUnsupported = errors.New("unsupported")
	// ErrTooLarge says that the picture has more pixels or takes more memory than allowed.
	ErrTooLarge = errors.New("too large")
)

const (
	formatAVIF = "avif"
	formatHEIC = "heic"
)

// Identify reads the boxes of data and does not decode the picture. format is "avif" or "heic";
// width and height are in pixels, after the file's rotation and cropping, as Decode returns them.
// ok is false, without an error, if data is of another format. For broken files ok is true, and err
// wraps ErrCorrupt or ErrUnsupported.
func Identify(data []byte) (format string, width, height int, ok bool, err error) {
	if !isPicture(data) {
		return "", 0, 0, false, nil
	}
	c, err := parse(data)
	if err != nil {
		return guessFormat(data), 0, 0, true, err
	}
	p, err := c.findPicture(data)
	if err != nil {
		return guessFormat(data), 0, 0, true, err
	}
	return p.format, p.width, p.height, true, nil
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
			return p, unsupported("it is a HEIC sequence without a still picture; save one frame as JPEG or PNG")
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
			return p, corrupt("its picture is made of other pictures, but names none")
		}
		if len(it.tiles) > maxTiles {
			return p, unsupported("its picture is made of %d others; the limit is %d; save it as JPEG or PNG",
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
		return unsupported("its picture is coded as %q; save it as JPEG or PNG", kind)
	}
	if p.format != "" && p.format != format {
		return unsupported("it mixes AV1 and HEVC")
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
			err = corrupt("picture item %d has no readable HEVC header", id)
		case s.width != width || s.height != height:
			err = corrupt("picture item %d is coded with %d × %d pixels and described with %d × %d",
				id, s.width, s.height, width, height)
		default:
			*to = s.colour
		}
	})
	if !found && err == nil {
		err = corrupt("picture item %d has no HEVC header", id)
	}
	return err
}

// checkSize returns an error for sizes that no decoder takes.
func (p *picture) checkSize() error {
	if p.codedWidth > maxSide || p.codedHeight > maxSide {
		return fmt.Errorf("%w: %d × %d pixels; the limit of a side is %d",
			ErrTooLarge, p.codedWidth, p.codedHeight, maxSide)
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

// Decode decodes the primary picture, or the first frame of a sequence, to 3 bytes per
// pixel (red, green, blue; rows from the top), width · height · 3 bytes in all, which
// the caller owns. It rotates, mirrors and crops as the file says and composites alpha
// over white. Colours are in the file's own RGB space; ICC profiles are ignored. More
// than 8 bits are rounded to 8.
//
// A picture of more than maxPixels pixels is refused before it is decoded. The decoder's
// memory is limited to 64 MiB + 48 bytes per pixel + twice the file. The first call for
// each format compiles its decoder (0.4 s); a megapixel takes 0.6 s (HEIC) to 1.2 s
// (AVIF) on one core. Errors wrap ErrCorrupt, ErrUnsupported or ErrTooLarge, or are those
// of ctx. Decode panics if maxPixels is not positive.
func Decode(ctx context.Context, data []byte, maxPixels int) (pixels []byte, width, height int, err error) {
	if maxPixels <= 0 {
		panic("heif: maxPixels must be positive")
	}
	if err = ctx.Err(); err != nil {
		return nil, 0, 0, err
	}
	if !isPicture(data) {
		return nil, 0, 0, corrupt("not an AVIF or HEIC file")
	}
	c, err := parse(data)
	if err != nil {
		return nil, 0, 0, err
	}
	p, err := c.findPicture(data)
	if err != nil {
		return nil, 0, 0, err
	}
	if p.codedWidth > maxPixels/p.codedHeight {
		return nil, 0, 0, fmt.Errorf("%w: %d × %d pixels; the limit is %d",
			ErrTooLarge, p.codedWidth, p.codedHeight, maxPixels)
	}
	if p.format == formatAVIF {
		pixels, err = decodeAVIF(ctx, data, &p)
		if err != nil {
			return nil, 0, 0, err
		}
		pixels, width, height = applyTransformations(pixels, p.codedWidth, p.codedHeight, p.transformations)
		return pixels, width, height, nil
	}
	pixels, err = decodeHEIC(ctx, data, c, &p)
	if err != nil {
		return nil, 0, 0, err
	}
	return pixels, p.width, p.height, nil
}

// memoryLimit returns the memory that the picture's decoder may take, in bytes.
func (p *picture) memoryLimit(data []byte) int64 {
	return memoryBase + memoryPerPixel*int64(p.codedWidth)*int64(p.codedHeight) + 2*int64(len(data))
}
