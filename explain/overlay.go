package explain

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"garb/model"
	"garb/picture"
)

// overlaySide is the longer side of an overlay's picture in pixels.
const overlaySide = 400

// Overlay is a map laid over its picture.
type Overlay struct {
	Map *model.ActivationMap
	// Signed shows negative values in blue; otherwise they do not show.
	Signed    bool
	Title     string // a line below the picture
	Low, High string // what the ends of the colour scale mean
}

// Draw draws the overlay on a picture that spec prepares: the picture in faint colours, the
// map in strong ones, and below them the title and the colour scale.
func (o Overlay) Draw(p *picture.RGB, spec picture.Spec) *image.NRGBA {
	base := Fit(p, overlaySide)
	w, h := base.Rect.Dx(), base.Rect.Dy()
	width := max(w, 240) // room for the text
	out := newPicture(width, h+2*lineHeight+3*gap)
	left := (width - w) / 2
	for i := 0; i < len(base.Pix); i += 4 {
		r, g, b := float64(base.Pix[i]), float64(base.Pix[i+1]), float64(base.Pix[i+2])
		grey := float64(0.299*r) + float64(0.587*g) + float64(0.114*b)
		for c, v := range []float64{r, g, b} {
			base.Pix[i+c] = uint8(float64(0.8*grey) + float64(0.2*v))
		}
	}
	place := image.Rect(left, 0, left+w, h)
	draw.Draw(out, place, base, image.Point{}, draw.Src)
	colourOf := o.colours()
	draw.Draw(out, place, drawMap(o.Map, spec, p.Width, p.Height, w, h, colourOf), image.Point{}, draw.Over)

	drawText(out, gap, h+gap, width-2*gap, o.Title)
	y := h + 2*gap + lineHeight
	drawText(out, gap, y, width/2, o.Low)
	drawText(out, width-gap-textWidth(o.High), y, width/2, o.High)
	from, to := 2*gap+textWidth(o.Low), width-2*gap-textWidth(o.High)
	for x := from; x < to; x++ {
		share := float64(x-from) / float64(max(to-from-1, 1))
		if o.Signed {
			share = 2*share - 1
		}
		column := image.Rect(x, y+3, x+1, y+lineHeight-2)
		draw.Draw(out, column, image.NewUniform(color.NRGBA{128, 128, 128, 255}), image.Point{}, draw.Src)
		draw.Draw(out, column, image.NewUniform(colourOf(share)), image.Point{}, draw.Over)
	}
	return out
}

// colours returns the function from a share of the map's largest value to its colour.
func (o Overlay) colours() func(share float64) color.NRGBA {
	if o.Signed {
		return signedColour
	}
	return func(share float64) color.NRGBA { return heatColour(max(share, 0)) }
}

// drawMap draws a map at w × h pixels, to be laid over its picture of width × height pixels.
// colourOf gets each value as a share of the largest. If it shows negative values, the largest
// is that of the absolute values.
func drawMap(m *model.ActivationMap, spec picture.Spec, width, height, w, h int,
	colourOf func(float64) color.NRGBA) *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, w, h))
	largest := float32(0)
	signed := colourOf(-1).A > 0
	for _, v := range m.Values {
		if signed {
			v = max(v, -v)
		}
		largest = max(largest, v)
	}
	if largest == 0 {
		return out
	}
	part := spec.Part(width, height)
	for y := range h {
		// (u, v) is the centre of the pixel as a share of the input's width and height.
		v := (float64((float64(y)+0.5)/float64(h)*float64(height)) - part.Top) / part.Height
		for x := range w {
			u := (float64((float64(x)+0.5)/float64(w)*float64(width)) - part.Left) / part.Width
			if u < 0 || u > 1 || v < 0 || v > 1 {
				continue // the network did not see it
			}
			value := interpolate(m, float64(u*float64(m.Width))-0.5, float64(v*float64(m.Height))-0.5)
			out.SetNRGBA(x, y, colourOf(value/float64(largest)))
		}
	}
	return out
}

// Fit returns the picture scaled so that its longer side has side pixels.
func Fit(p *picture.RGB, side int) *image.NRGBA {
	scale := float64(side) / float64(max(p.Width, p.Height))
	spec := picture.Spec{
		Width:  max(1, int(math.Round(scale*float64(p.Width)))),
		Height: max(1, int(math.Round(scale*float64(p.Height)))),
		Filter: picture.Bicubic, Fit: picture.Stretch,
	}
	return toNRGBA(spec.Resize(p))
}

func toNRGBA(p *picture.RGB) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, p.Width, p.Height))
	for i := range p.Width * p.Height {
		copy(m.Pix[4*i:4*i+3], p.Pix[3*i:3*i+3])
		m.Pix[4*i+3] = 255
	}
	return m
}
