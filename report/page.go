// Package report makes pages for people to read results on. A page is one HTML file that
// needs no other, in the light or dark colours of the reader's system. Only ScriptedPage adds
// a script.
package report

import (
	"bytes"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"io"

	"garb/picture"
)

//go:embed style.css
var style template.CSS

//go:embed page.html
var pageHTML string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// page is what the template shows.
type page struct {
	Title  string
	Style  template.CSS
	Body   template.HTML
	Script template.JS
	Digest string // the script's SHA-256 in base64
}

// Page writes a page with the title as its heading.
func Page(w io.Writer, title string, body template.HTML) error {
	return pageTemplate.Execute(w, page{Title: title, Style: style, Body: body})
}

// ScriptedPage writes a page as Page does, with a script at its end. The page lets no other
// script run: further script elements in body are data.
func ScriptedPage(w io.Writer, title string, body template.HTML, script template.JS) error {
	digest := sha256.Sum256([]byte(script))
	return pageTemplate.Execute(w, page{title, style, body, script, base64.StdEncoding.EncodeToString(digest[:])})
}

// Thumbnail returns a copy of a picture, with sides of at most maxSide pixels, as the data URL
// of a JPEG.
func Thumbnail(p *picture.RGB, maxSide int) (template.URL, error) {
	scale := min(1, float64(maxSide)/float64(max(p.Width, p.Height)))
	spec := picture.Spec{
		Width: max(1, int(scale*float64(p.Width))), Height: max(1, int(scale*float64(p.Height))),
		Filter: picture.Bicubic, Fit: picture.Stretch,
	}
	small := spec.Resize(p)
	m := image.NewRGBA(image.Rect(0, 0, small.Width, small.Height))
	for i := range small.Width * small.Height {
		copy(m.Pix[4*i:4*i+3], small.Pix[3*i:3*i+3])
		m.Pix[4*i+3] = 255
	}
	var b bytes.Buffer
	if err := jpeg.Encode(&b, m, &jpeg.Options{Quality: 80}); err != nil {
		return "", fmt.Errorf("thumbnail: %w", err)
	}
	return template.URL("data:image/jpeg;base64," + base64.StdEncoding.EncodeToString(b.Bytes())), nil
}
