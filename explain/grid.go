package explain

import (
	"image"
	"image/draw"
)

// Tile is a small picture with lines of text below it.
type Tile struct {
	Picture image.Image
	Lines   []string
}

// gap is the space around each tile, in pixels.
const gap = 6

// widestTitle is the width in pixels up to which a title widens a grid.
const widestTitle = 640

// DrawGrid draws tiles in rows below a title. It panics if there is no tile or no column.
func DrawGrid(title string, tiles []Tile, columns int) *image.NRGBA {
	if len(tiles) == 0 || columns < 1 {
		panic("explain: a grid without tiles or columns")
	}
	columns = min(columns, len(tiles))
	var width, height, lines int
	for _, t := range tiles {
		size := t.Picture.Bounds().Size()
		width, height, lines = max(width, size.X), max(height, size.Y), max(lines, len(t.Lines))
	}
	rows := (len(tiles) + columns - 1) / columns
	across, down := width+gap, height+lines*lineHeight+gap
	top := lineHeight + 2*gap
	m := newPicture(max(gap+columns*across, min(2*gap+textWidth(title), widestTitle)), top+rows*down)
	drawText(m, gap, gap, m.Rect.Dx()-2*gap, title)
	for i, t := range tiles {
		x, y := gap+i%columns*across, top+i/columns*down
		size := t.Picture.Bounds().Size()
		left, above := x+(width-size.X)/2, y+(height-size.Y)/2
		draw.Draw(m, image.Rect(left, above, left+size.X, above+size.Y), t.Picture, t.Picture.Bounds().Min, draw.Over)
		for j, line := range t.Lines {
			drawText(m, x, y+height+j*lineHeight, width, line)
		}
	}
	return m
}

// enlarge repeats each pixel factor times to the right and down.
func enlarge(m *image.NRGBA, factor int) *image.NRGBA {
	out := image.NewNRGBA(image.Rect(0, 0, factor*m.Rect.Dx(), factor*m.Rect.Dy()))
	for y := range out.Rect.Dy() {
		for x := range out.Rect.Dx() {
			out.SetNRGBA(x, y, m.NRGBAAt(x/factor, y/factor))
		}
	}
	return out
}
