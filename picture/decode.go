package picture

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
	"golang.org/x/image/webp"

	"garb/internal/heif"
	"garb/internal/jpeg"
	"garb/internal/raster"
)

// decoders has a decoder for each format. It decodes at 1/reduction of the size, which only JPEG
// supports. maxPixels is for formats that may decode more pixels than the picture has.
var decoders = map[Format]func(ctx context.Context, data []byte, reduction, maxPixels int) (*RGB, error){
	JPEG: decodeJPEG,
	PNG:  adapt(png.Decode),
	GIF:  decodeGIF,
	WebP: adapt(webp.Decode),
	BMP:  adapt(bmp.Decode),
	AVIF: decodeHEIF,
	HEIC: decodeHEIF,
}

func decodeJPEG(ctx context.Context, data []byte, reduction, maxPixels int) (*RGB, error) {
	m, err := jpeg.Decode(ctx, data, raster.Options{Scale: reduction, MaxPixels: maxPixels})
	if err != nil {
		return nil, classify(err)
	}
	return &RGB{m.Width, m.Height, m.Pix}, nil
}

func decodeHEIF(ctx context.Context, data []byte, _, maxPixels int) (*RGB, error) {
	m, err := heif.Decode(ctx, data, raster.Options{MaxPixels: maxPixels})
	if err != nil {
		return nil, classify(err)
	}
	return &RGB{m.Width, m.Height, m.Pix}, nil
}

// adapt adapts a decoder of the standard library's signature.
func adapt(decode func(io.Reader) (image.Image, error)) func(context.Context, []byte, int, int) (*RGB, error) {
	return func(ctx context.Context, data []byte, _, _ int) (*RGB, error) {
		m, err := decode(&contextReader{ctx: ctx, r: bytes.NewReader(data)})
		if err != nil {
			return nil, classify(err)
		}
		return blendOverWhite(ctx, m, m.Bounds())
	}
}

// decodeGIF decodes the first frame, at its place on the canvas.
func decodeGIF(ctx context.Context, data []byte, _, _ int) (*RGB, error) {
	c, err := gif.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, classify(err)
	}
	m, err := gif.Decode(&contextReader{ctx: ctx, r: bytes.NewReader(data)})
	if err != nil {
		return nil, classify(err)
	}
	return blendOverWhite(ctx, m, image.Rect(0, 0, c.Width, c.Height))
}

// maxEmptyReads is the number of reads in a row that may return nothing, as in package bufio.
const maxEmptyReads = 100

// contextReader fails when its context ends, which ends a decoder that reads, and when its reader
// keeps returning neither bytes nor an error.
type contextReader struct {
	ctx   context.Context
	r     io.Reader
	empty int // reads in a row
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.r.Read(p)
	if n > 0 || err != nil || len(p) == 0 {
		c.empty = 0
		return n, err
	}
	if c.empty++; c.empty >= maxEmptyReads {
		return 0, io.ErrNoProgress
	}
	return 0, nil
}

// blendOverWhite returns the part of m on the canvas over white.
func blendOverWhite(ctx context.Context, m image.Image, canvas image.Rectangle) (*RGB, error) {
	part := m.Bounds().Intersect(canvas)
	convert, err := newRowConverter(m, part)
	if err != nil {
		return nil, err
	}
	p := newRGB(canvas.Dx(), canvas.Dy())
	if part != canvas {
		for i := range p.Pix {
			p.Pix[i] = 255
		}
	}
	for y := part.Min.Y; y < part.Max.Y; y++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		convert(y, p.row(y - canvas.Min.Y)[3*(part.Min.X-canvas.Min.X):])
	}
	return p, nil
}

// rowConverter writes row y of a picture to out, 3 bytes per pixel, over white.
type rowConverter func(y int, out []uint8)

// newRowConverter returns the converter for the part of m. There is one for each type of
// pixels that the decoders in use return.
func newRowConverter(m image.Image, part image.Rectangle) (rowConverter, error) {
	switch m := m.(type) {
	case *image.Paletted:
		return convertPaletted(m, part), nil
	case *image.Gray:
		return convertGray(m, part), nil
	case *image.NRGBA:
		return convertNRGBA(m, part), nil
	case *image.RGBA:
		return convertRGBA(m, part), nil
	case *image.YCbCr: // only of WebP
		rows := newVP8Rows(m)
		return func(y int, out []uint8) { rows.writeRow(y-part.Min.Y, out) }, nil
	case *image.NYCbCrA: // only of WebP
		return convertNYCbCrA(m, part), nil
	case image.RGBA64Image:
		return convertRGBA64(m, part), nil
	}
	return nil, &Error{Unsupported, unknownKind, fmt.Errorf("pixels of type %T", m)}
}

func convertPaletted(m *image.Paletted, part image.Rectangle) rowConverter {
	var palette [256][3]uint8
	for i, c := range m.Palette {
		n := color.NRGBAModel.Convert(c).(color.NRGBA)
		palette[i] = [3]uint8{blend(n.R, n.A), blend(n.G, n.A), blend(n.B, n.A)}
	}
	return func(y int, out []uint8) {
		for i, v := range m.Pix[m.PixOffset(part.Min.X, y):][:part.Dx()] {
			copy(out[3*i:], palette[v][:])
		}
	}
}

func convertGray(m *image.Gray, part image.Rectangle) rowConverter {
	return func(y int, out []uint8) {
		for i, v := range m.Pix[m.PixOffset(part.Min.X, y):][:part.Dx()] {
			out[3*i], out[3*i+1], out[3*i+2] = v, v, v
		}
	}
}

func convertNRGBA(m *image.NRGBA, part image.Rectangle) rowConverter {
	return func(y int, out []uint8) {
		in := m.Pix[m.PixOffset(part.Min.X, y):][:4*part.Dx()]
		for ; len(in) >= 4; in, out = in[4:], out[3:] {
			out[0], out[1], out[2] = blend(in[0], in[3]), blend(in[1], in[3]), blend(in[2], in[3])
		}
	}
}

// convertRGBA converts premultiplied pixels.
func convertRGBA(m *image.RGBA, part image.Rectangle) rowConverter {
	return func(y int, out []uint8) {
		in := m.Pix[m.PixOffset(part.Min.X, y):][:4*part.Dx()]
		for ; len(in) >= 4; in, out = in[4:], out[3:] {
			rest := 255 - in[3]
			out[0], out[1], out[2] = in[0]+rest, in[1]+rest, in[2]+rest
		}
	}
}

func convertNYCbCrA(m *image.NYCbCrA, part image.Rectangle) rowConverter {
	rows := newVP8Rows(&m.YCbCr)
	return func(y int, out []uint8) {
		rows.writeRow(y-part.Min.Y, out)
		for i, a := range m.A[m.AOffset(part.Min.X, y):][:part.Dx()] {
			o := out[3*i : 3*i+3]
			o[0], o[1], o[2] = blend(o[0], a), blend(o[1], a), blend(o[2], a)
		}
	}
}

// convertRGBA64 converts premultiplied pixels of 16 bits.
func convertRGBA64(m image.RGBA64Image, part image.Rectangle) rowConverter {
	return func(y int, out []uint8) {
		for x := part.Min.X; x < part.Max.X; x, out = x+1, out[3:] {
			c := m.RGBA64At(x, y)
			rest := 0xffff - c.A
			out[0], out[1], out[2] = uint8((c.R+rest)>>8), uint8((c.G+rest)>>8), uint8((c.B+rest)>>8)
		}
	}
}

// blend blends a level of the given opacity with white, rounding to the nearest.
func blend(level, alpha uint8) uint8 {
	a := uint32(alpha)
	return uint8((uint32(level)*a + 255*(255-a) + 127) / 255)
}
