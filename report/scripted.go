package report

import (
	"crypto/sha256"
	"encoding/base64"
	"html/template"
	"io"
)

var scripted = template.Must(template.New("scripted").Parse(`<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'; img-src data:; script-src 'sha256-{{.Digest}}'">
<title>{{.Title}}</title><style>{{.Style}}</style></head><body>
<small>garb</small><h1>{{.Title}}</h1>
{{.Body}}
<script>{{.Script}}</script>
</body></html>
`))

// ScriptedPage writes a whole document as Page does, with a script at its end: the only one
// that the page lets run. What else the body has of scripts is data.
func ScriptedPage(w io.Writer, title string, body template.HTML, script template.JS) error {
	digest := sha256.Sum256([]byte(script))
	return scripted.Execute(w, struct {
		Title  string
		Style  template.CSS
		Body   template.HTML
		Script template.JS
		Digest string
	}{title, style, body, script, base64.StdEncoding.EncodeToString(digest[:])})
}
