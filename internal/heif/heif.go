// Package heif decodes AVIF and HEIC pictures.
//
// The boxes around the picture are read in Go, so that a file's claims are checked
// before anything is decoded. The picture itself is decoded by libavif with libaom, and
// by libheif with libde265, as WebAssembly: each picture in an instance of its own, with
// a bounded memory, no files, no clock and no network, stopped when the context ends.
// wasm/README.md says where they come from.
package heif

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// Errors that those of Identify and Decode wrap.
var (
	// ErrCorrupt: the file is cut short or contradicts itself, or its decoder failed.
	ErrCorrupt = errors.New("corrupt")
	// ErrUnsupported: the file is sound for all that is known, but of a kind that isn't read.
	ErrUnsupported = errors.New("unsupported")
	// ErrTooLarge: more pixels or more memory than allowed.
	ErrTooLarge = errors.New("too large")
)

const (
	formatAVIF = "avif"
	formatHEIC = "heic"
)

// Identify reads the boxes of data, and none of the picture's bits. format is "avif" or
// "heic"; width and height are in pixels, after the file's rotation and cropping, as
// Decode gives them. ok is false if data are neither, whatever else they are; then err
// is nil. For broken files ok is true, and err wraps ErrCorrupt or ErrUnsupported.
func Identify(data []byte) (format string, width, height int, ok bool, err error) {
	if !isPicture(data) {
		return "", 0, 0, false, nil
	}
	c, err := parse(data)
	if err != nil {
		return guess(data), 0, 0, true, err
	}
	p, err := c.picture(data)
	if err != nil {
		return guess(data), 0, 0, true, err
	}
	return p.format, p.width, p.height, true, nil
}

// guess names the format of a broken file by its major brand.
func guess(data []byte) string {
	if string(data[8:10]) == "av" {
		return formatAVIF
	}
	return formatHEIC
}

// picture is what is known of the picture to decode, before it is.
type picture struct {
	format                  string
	id                      uint32 // of the primary item; 0 for a sequence's first frame
	codedWidth, codedHeight int
	steps                   []step
	width, height           int
	colour                  colour
}

// maxSide bounds each side in pixels, so that products of them don't overflow. libheif
// has the same bound.
const maxSide = 32768

// maxTiles bounds the tiles of a picture: 4,096 of 128 × 128 pixels are 67 megapixels.
const maxTiles = 4096

// picture finds the picture that the file is about.
func (c *container) picture(data []byte) (p picture, err error) {
	sequence := c.trackWidth > 0 &&
		(len(c.brands) > 0 && c.brands[0] == "avis" || !c.hasMeta || c.items[c.primary] == nil)
	if sequence {
		if !slices.Contains(c.brands, "avis") {
			return p, unsupported("it is a HEIC sequence without a still picture; save one frame as JPEG or PNG")
		}
		p = picture{format: formatAVIF, codedWidth: c.trackWidth, codedHeight: c.trackHeight, width: c.trackWidth,
			height: c.trackHeight}
		return p, p.check()
	}
	if err := c.present(c.primary); err != nil {
		return p, err
	}
	p.id = c.primary
	var tiles []uint32
	switch it := c.items[c.primary]; it.kind {
	case "grid", "iovl", "iden":
		if len(it.tiles) == 0 {
			return p, corrupt("its picture is made of others, but names none")
		}
		if len(it.tiles) > maxTiles {
			return p, unsupported("its picture is made of %d others, where %d are the limit; save it as JPEG or PNG",
				len(it.tiles), maxTiles)
		}
		tiles = it.tiles
	default:
		tiles = []uint32{c.primary}
	}
	p.codedWidth, p.codedHeight, p.steps, p.width, p.height, err = c.geometry(data, c.primary)
	if err != nil {
		return p, err
	}
	p.colour = colour{matrix: unspecified}
	for _, id := range tiles {
		if err := c.present(id); err != nil {
			return p, err
		}
		format := ""
		switch kind := c.items[id].kind; kind {
		case "av01":
			format = formatAVIF
		case "hvc1":
			format = formatHEIC
		default:
			return p, unsupported("its picture is coded as %q; save it as JPEG or PNG", kind)
		}
		if p.format != "" && p.format != format {
			return p, unsupported("it mixes AV1 and HEVC")
		}
		p.format = format
		if format == formatHEIC {
			if err := c.checkHEVC(data, id, &p.colour); err != nil {
				return p, err
			}
		}
	}
	c.find(data, c.primary, func(kind string, body []byte) {
		if kind == "colr" && len(body) >= 11 && string(body[:4]) == "nclx" {
			p.colour = colour{matrix: int(body[8])<<8 | int(body[9]), fullRange: body[10]&0x80 != 0}
		}
	})
	return p, p.check()
}

// checkHEVC holds an HEVC item's claimed size against the one in its bit stream's
// header, and takes the header's colours.
func (c *container) checkHEVC(data []byte, id uint32, to *colour) error {
	width, height, _, _, _, err := c.geometry(data, id)
	if err != nil {
		return err
	}
	found := false
	c.find(data, id, func(kind string, body []byte) {
		if kind != "hvcC" || found || err != nil {
			return
		}
		found = true
		s, ok := parseHVCC(body)
		switch {
		case !ok:
			err = corrupt("picture item %d has no readable HEVC header", id)
		case s.width != width || s.height != height:
			err = corrupt("picture item %d is coded with %d × %d pixels and said to have %d × %d", id, s.width,
				s.height, width, height)
		default:
			*to = s.colour
		}
	})
	if !found && err == nil {
		err = corrupt("picture item %d has no HEVC header", id)
	}
	return err
}

// check reports sizes that no decoder takes.
func (p *picture) check() error {
	if p.codedWidth > maxSide || p.codedHeight > maxSide {
		return fmt.Errorf("%w: %d × %d pixels, where a side may have %d", ErrTooLarge, p.codedWidth, p.codedHeight,
			maxSide)
	}
	return nil
}

// Memory that one picture's decoder may take, in bytes: twice what was measured of
// pictures of 12 megapixels (HEIC 7 bytes a pixel, AVIF 23), since more than 8 bits take
// twice as much.
const (
	memoryBase     = 64 << 20
	memoryPerPixel = 48
)

// Decode decodes the primary picture, or the first frame of a sequence, to 3 bytes a
// pixel (red, green, blue; rows from the top), width · height · 3 bytes in all, which
// the caller owns. Rotation, mirroring and cropping are done as the file says; alpha is
// composited over white; colours are those of the file's own RGB space, of which ICC
// profiles are ignored; more than 8 bits are rounded to 8.
//
// A picture of more than maxPixels pixels is refused before it is decoded. The decoder's
// memory is bounded by 64 MiB + 48 bytes a pixel + twice the file. The first call for
// each format compiles its decoder (0.4 s); a megapixel takes 0.6 s (HEIC) to 1.2 s
// (AVIF) on one core. Errors wrap ErrCorrupt, ErrUnsupported or
// ErrTooLarge, or are ctx's. Decode panics if maxPixels isn't positive.
func Decode(ctx context.Context, data []byte, maxPixels int) (pixels []byte, width, height int, err error) {
	if maxPixels <= 0 {
		panic("heif: maxPixels must be positive")
	}
	if err := ctx.Err(); err != nil {
		return nil, 0, 0, err
	}
	if !isPicture(data) {
		return nil, 0, 0, corrupt("not an AVIF or HEIC file")
	}
	c, err := parse(data)
	if err != nil {
		return nil, 0, 0, err
	}
	p, err := c.picture(data)
	if err != nil {
		return nil, 0, 0, err
	}
	if p.codedWidth > maxPixels/p.codedHeight {
		return nil, 0, 0, fmt.Errorf("%w: %d × %d pixels, where %d are allowed", ErrTooLarge, p.codedWidth,
			p.codedHeight, maxPixels)
	}
	if p.format == formatAVIF {
		pixels, err = decodeAVIF(ctx, data, &p)
		if err != nil {
			return nil, 0, 0, err
		}
		pixels, width, height = apply(pixels, p.codedWidth, p.codedHeight, p.steps)
		return pixels, width, height, nil
	}
	pixels, err = decodeHEIC(ctx, data, c, &p)
	if err != nil {
		return nil, 0, 0, err
	}
	return pixels, p.width, p.height, nil
}

// memory is the bound for one picture's decoder, in bytes.
func (p *picture) memory(data []byte) int64 {
	return memoryBase + memoryPerPixel*int64(p.codedWidth)*int64(p.codedHeight) + 2*int64(len(data))
}
