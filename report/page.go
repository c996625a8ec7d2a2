// Package report makes pages that people read results on: one self-contained HTML
// file, in the colours of the reader's system, without script but ScriptedPage's, and without anything
// from elsewhere.
package report

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"io"

	"garb/picture"
)

const style = `
:root{color-scheme:light dark;--back:#fff;--text:#1c1e21;--faint:#6a7077;--line:#dde1e6;--panel:#f6f7f9;
--c0:#2563a8;--c1:#c2571a;--c2:#2b8a4b;--c3:#8a3fa0;--c4:#b3861a;--c5:#178a94;--c6:#b8324c;--c7:#5c6470;--good:43,138,75;--bad:194,60,40}
@media (prefers-color-scheme:dark){:root{--back:#15171a;--text:#e6e8eb;--faint:#9aa1a9;--line:#343a41;--panel:#1e2226;
--c0:#6fa8e0;--c1:#e8935a;--c2:#6cc48a;--c3:#c58ad8;--c4:#d9b65a;--c5:#5cc3cc;--c6:#e87c90;--c7:#a7afb9;--good:80,190,120;--bad:230,100,80}}
*{box-sizing:border-box}
body{margin:0 auto;max-width:70rem;padding:1.5rem 1rem 4rem;background:var(--back);color:var(--text);font:16px/1.5 system-ui,sans-serif}
h1{font-size:1.6rem;margin:.2rem 0 1rem}h2{font-size:1.15rem;margin:2.2rem 0 .6rem}
p{margin:.4rem 0;max-width:46rem}small,.faint,figcaption{color:var(--faint)}code{font-size:.9em;overflow-wrap:anywhere}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:.2rem .6rem;text-align:right;border-bottom:1px solid var(--line)}
th:first-child,td:first-child,.words td{text-align:left}th{font-weight:600;color:var(--faint);vertical-align:bottom}
.wide{overflow-x:auto}.figures{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(26rem,100%),1fr));gap:1rem}.figures>*{min-width:0}.tight td{white-space:nowrap}.tight{font-size:.9rem}.tight th,.tight td{padding:.2rem .35rem}
.big{display:flex;flex-wrap:wrap;gap:.7rem;margin:1rem 0}.big div{background:var(--panel);border-radius:8px;padding:.6rem .8rem}
.big b{display:block;font-size:1.45rem;line-height:1.2}.big span{color:var(--faint);font-size:.85rem}
figure{margin:0}svg{display:block;width:100%;height:auto}svg text{fill:var(--faint);font:12px system-ui,sans-serif}svg .title{fill:var(--text);font-weight:600;font-size:13px}
.pictures{display:grid;grid-template-columns:repeat(auto-fill,minmax(9.5rem,1fr));gap:.8rem}
.pictures figure{background:var(--panel);border-radius:8px;padding:.5rem;font-size:.82rem;line-height:1.35;overflow-wrap:anywhere}
.pictures img{display:block;width:100%;height:9rem;object-fit:contain;margin-bottom:.4rem}
.pictures figcaption{white-space:nowrap;overflow:hidden;text-overflow:ellipsis}
.bar{position:relative;padding:0 .3rem;border-radius:3px;background:linear-gradient(var(--line),var(--line)) no-repeat 0/var(--share) 100%}
.bar.right{font-weight:600}.bar i{float:right;font-style:normal}
.warn{border-left:4px solid rgb(var(--bad));padding:.1rem .8rem;background:var(--panel)}
`

var page = template.Must(template.New("page").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{{.Title}}</title><style>{{.Style}}</style></head><body>
<small>garb</small><h1>{{.Title}}</h1>
{{.Body}}
</body></html>
`))

// Page writes a whole document with the title as its heading.
func Page(w io.Writer, title string, body template.HTML) error {
	return page.Execute(w, struct {
		Title string
		Style template.CSS
		Body  template.HTML
	}{title, style, body})
}

// Thumbnail returns a small copy of a picture, no side longer than maxSide pixels, as
// a data URL of a JPEG.
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
