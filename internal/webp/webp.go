// Package webp decodes WebP pictures to the pixels that Pillow gives: lossy and lossless ones, with
// alpha or without, and the first frame of animated ones.
package webp

import (
	"context"

	"garb/internal/raster"
	"garb/internal/vp8"
	"garb/internal/vp8l"
)

//go:generate sh -c "cd _generate && go run . -out ../webp_amd64.s -stubs ../stubs_amd64.go -pkg webp"
//go:generate go run ../kernel/_neon webp

// ReadHeader reads the header.
func ReadHeader(data []byte) (raster.Header, error) {
	f, err := parse(data)
	if err != nil {
		return raster.Header{}, err
	}
	return raster.Header{
		Width: f.width, Height: f.height, BitsPerSample: 8, Alpha: f.hasAlpha(), Animated: f.frames > 1,
		ICC: nonEmpty(f.icc), EXIF: nonEmpty(f.exif), XMP: nonEmpty(f.xmp),
	}, nil
}

func nonEmpty(content []byte) []byte {
	if len(content) == 0 {
		return nil
	}
	return content
}

// hasAlpha reports whether Pillow gives the picture as RGBA.
func (f *file) hasAlpha() bool {
	switch {
	case f.flags&flagAnimation != 0:
		return f.flags&flagAlpha != 0
	case f.first.lossless:
		return f.first.transparent
	}
	return f.first.hasAlpha
}

// Decode decodes a picture or the first frame of an animation, at its place on the canvas, over white.
// Like Pillow, it refuses files that are cut or damaged, with KeepTruncated too.
func Decode(ctx context.Context, data []byte, o raster.Options) (raster.Image, error) {
	f, err := parse(data)
	if err != nil {
		return raster.Image{}, err
	}
	if err = raster.CheckPixels(f.width, f.height, o.MaxPixels); err != nil {
		return raster.Image{}, err
	}
	// The part of the canvas outside of the frame is transparent, or black if the file has no alpha.
	m := raster.New(f.width, f.height)
	if f.hasAlpha() && (f.first.width < f.width || f.first.height < f.height) {
		for i := range m.Pix {
			m.Pix[i] = 255
		}
	}
	if f.first.lossless {
		err = f.decodeLossless(ctx, &m)
	} else {
		err = f.decodeLossy(ctx, &m)
	}
	if err != nil {
		return raster.Image{}, err
	}
	return m, nil
}

// frameRow returns row y of the frame in m.
func (f *file) frameRow(m *raster.Image, y int) []uint8 {
	return m.Row(f.first.y + y)[3*f.first.x:][:3*f.first.width]
}

func (f *file) decodeLossy(ctx context.Context, m *raster.Image) error {
	start := 3 * (f.first.y*f.width + f.first.x)
	if err := vp8.Decode(ctx, f.first.image, m.Pix[start:], 3*f.width); err != nil {
		return err
	}
	if !f.first.hasAlpha {
		return nil
	}
	alpha, err := decodeAlpha(ctx, f.first.alpha, f.first.width, f.first.height)
	if err != nil || !f.hasAlpha() {
		return err
	}
	for y := range f.first.height {
		if err := ctx.Err(); err != nil {
			return err
		}
		blend(f.frameRow(m, y), alpha[y*f.first.width:][:f.first.width])
	}
	return nil
}

func (f *file) decodeLossless(ctx context.Context, m *raster.Image) error {
	alpha := make([]uint8, f.first.width)
	return vp8l.Decode(ctx, f.first.image, func(y int, row []uint32) {
		out := f.frameRow(m, y)
		vp8l.Pack(out, row)
		if !f.hasAlpha() {
			return
		}
		for x, v := range row {
			alpha[x] = uint8(v >> 24)
		}
		blend(out, alpha)
	})
}
