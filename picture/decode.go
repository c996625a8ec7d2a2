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
)

// decoders decode each format at 1/reduction of its size; only JPEG can reduce.
// maxPixels is for formats that may decode more pixels than the picture has.
var decoders = map[Format]func(ctx context.Context, data []byte, reduction, maxPixels int) (*RGB, error){
	JPEG: decodeJPEG,
	PNG:  decodeWith(png.Decode),
	GIF:  decodeGIF,
	WebP: decodeWith(webp.Decode),
	BMP:  decodeWith(bmp.Decode),
	AVIF: decodeHEIF,
	HEIC: decodeHEIF,
}

func decodeJPEG(ctx context.Context, data []byte, reduction, _ int) (*RGB, error) {
	pixels, width, height, err := jpeg.Decode(ctx, data, reduction)
	if err != nil {
		return nil, decodeError(err)
	}
	return &RGB{width, height, pixels}, nil
}

func decodeHEIF(ctx context.Context, data []byte, _, maxPixels int) (*RGB, error) {
	pixels, width, height, err := heif.Decode(ctx, data, maxPixels)
	if err != nil {
		return nil, decodeError(err)
	}
	return &RGB{width, height, pixels}, nil
}

// decodeWith adapts a decoder of the standard library's kind.
func decodeWith(decode func(io.Reader) (image.Image, error)) func(context.Context, []byte, int, int) (*RGB, error) {
	return func(ctx context.Context, data []byte, _, _ int) (*RGB, error) {
		m, err := decode(&contextReader{ctx, bytes.NewReader(data)})
		if err != nil {
			return nil, decodeError(err)
		}
		return overWhite(ctx, m, m.Bounds())
	}
}

// decodeGIF takes the first frame, at its place on the canvas.
func decodeGIF(ctx context.Context, data []byte, _, _ int) (*RGB, error) {
	c, err := gif.DecodeConfig(bytes.NewReader(data))
	if err != nil {
		return nil, decodeError(err)
	}
	m, err := gif.Decode(&contextReader{ctx, bytes.NewReader(data)})
	if err != nil {
		return nil, decodeError(err)
	}
	return overWhite(ctx, m, image.Rect(0, 0, c.Width, c.Height))
}

// contextReader fails when its context ends, which ends a decoder that reads.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (c *contextReader) Read(p []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.r.Read(p)
}

// overWhite lays the part of m that lies on the canvas over white.
func overWhite(ctx context.Context, m image.Image, canvas image.Rectangle) (*RGB, error) {
	p := newRGB(canvas.Dx(), canvas.Dy())
	part := m.Bounds().Intersect(canvas)
	if part != canvas {
		for i := range p.Pix {
			p.Pix[i] = 255
		}
	}
	var palette [][3]uint8
	if q, ok := m.(*image.Paletted); ok {
		palette = make([][3]uint8, 256)
		for i, c := range q.Palette {
			n := color.NRGBAModel.Convert(c).(color.NRGBA)
			palette[i] = [3]uint8{blend(n.R, n.A), blend(n.G, n.A), blend(n.B, n.A)}
		}
	}
	var vp8 *vp8Rows
	var vp8Alpha *image.NYCbCrA
	switch m := m.(type) { // only WebP's decoder makes these
	case *image.YCbCr:
		vp8 = newVP8Rows(m)
	case *image.NYCbCrA:
		vp8, vp8Alpha = newVP8Rows(&m.YCbCr), m
	}
	for y := part.Min.Y; y < part.Max.Y; y++ {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		out := p.row(y - canvas.Min.Y)[3*(part.Min.X-canvas.Min.X):]
		if vp8 != nil {
			vp8.row(y-part.Min.Y, out)
			if vp8Alpha != nil {
				for i, a := range vp8Alpha.A[vp8Alpha.AOffset(part.Min.X, y):][:part.Dx()] {
					o := out[3*i : 3*i+3]
					o[0], o[1], o[2] = blend(o[0], a), blend(o[1], a), blend(o[2], a)
				}
			}
			continue
		}
		switch m := m.(type) {
		case *image.Paletted:
			for i, v := range m.Pix[m.PixOffset(part.Min.X, y):][:part.Dx()] {
				copy(out[3*i:], palette[v][:])
			}
		case *image.Gray:
			for i, v := range m.Pix[m.PixOffset(part.Min.X, y):][:part.Dx()] {
				out[3*i], out[3*i+1], out[3*i+2] = v, v, v
			}
		case *image.NRGBA:
			in := m.Pix[m.PixOffset(part.Min.X, y):][:4*part.Dx()]
			for ; len(in) >= 4; in, out = in[4:], out[3:] {
				out[0], out[1], out[2] = blend(in[0], in[3]), blend(in[1], in[3]), blend(in[2], in[3])
			}
		case *image.RGBA: // its makers here have no transparency
			in := m.Pix[m.PixOffset(part.Min.X, y):][:4*part.Dx()]
			for ; len(in) >= 4; in, out = in[4:], out[3:] {
				rest := 255 - in[3]
				out[0], out[1], out[2] = in[0]+rest, in[1]+rest, in[2]+rest
			}
		case image.RGBA64Image: // all others of the decoders in use
			for x := part.Min.X; x < part.Max.X; x, out = x+1, out[3:] {
				// Premultiplied, 16 bits: what is missing to full cover is white.
				c := m.RGBA64At(x, y)
				rest := 0xffff - c.A
				out[0], out[1], out[2] = uint8((c.R+rest)>>8), uint8((c.G+rest)>>8), uint8((c.B+rest)>>8)
			}
		default:
			return nil, &Error{Unsupported, "a kind of its format that garb does not decode; save it as an " +
				"ordinary JPEG or PNG", fmt.Errorf("pixels of type %T", m)}
		}
	}
	return p, nil
}

// blend lays a level of the given opacity over white, rounding to the nearest.
func blend(level, alpha uint8) uint8 {
	a := uint32(alpha)
	return uint8((uint32(level)*a + 255*(255-a) + 127) / 255)
}
