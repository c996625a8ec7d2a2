package explain

import (
	"image"
	"image/color"
	"image/draw"

	"golang.org/x/image/font/basicfont"
)

// The colours around pictures, on light and dark pages alike.
var (
	back  = color.NRGBA{28, 31, 35, 255}
	front = color.NRGBA{222, 226, 230, 255}
)

// Sizes of text in pixels.
const (
	lineHeight = 16
	advance    = 7 // of each letter
)

// drawText writes a line of text whose top left corner is at (x, y), cut to the width. Letters
// beyond ASCII, which the font lacks, become its replacement sign.
func drawText(to draw.Image, x, y, width int, text string) {
	face := basicfont.Face7x13
	for _, r := range truncate(text, width) {
		place := 95
		if r >= ' ' && r <= '~' {
			place = int(r - ' ')
		}
		at := image.Rect(x, y+1, x+face.Width, y+1+face.Height)
		draw.DrawMask(to, at, image.NewUniform(front), image.Point{}, face.Mask, image.Pt(0, place*face.Height),
			draw.Over)
		x += advance
	}
}

// truncate cuts a text to a width in pixels, with two dots at its end.
func truncate(text string, width int) string {
	runes := []rune(text)
	if most := max(width/advance, 0); len(runes) > most {
		if most < 3 {
			return string(runes[:most])
		}
		return string(runes[:most-2]) + ".."
	}
	return text
}

// textWidth returns the width of a text in pixels.
func textWidth(text string) int { return advance * len([]rune(text)) }

// newPicture returns an empty picture to draw on.
func newPicture(width, height int) *image.NRGBA {
	m := image.NewNRGBA(image.Rect(0, 0, width, height))
	draw.Draw(m, m.Rect, image.NewUniform(back), image.Point{}, draw.Src)
	return m
}
