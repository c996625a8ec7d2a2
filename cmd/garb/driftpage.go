package main

import (
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"garb/drift"
	"garb/evaluate"
	"garb/report"
)

//go:embed drift.html
var driftHTML string

var driftPage = template.Must(template.New("drift").Funcs(template.FuncMap{
	"p":       formatP,
	"percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"bar":     func(v float64) template.CSS { return template.CSS(fmt.Sprintf("%.1f%%", 100*v)) },
	"change":  func(v float64) string { return fmt.Sprintf("%+.1f", 100*v) },
}).Parse(driftHTML))

// unlikePicture is a picture on the page.
type unlikePicture struct {
	Name      string
	Thumbnail template.URL
}

// writePage writes a page with the tests, the classes, the acceptances and some pictures.
func (r *driftResult) writePage(ctx context.Context, w io.Writer) error {
	var body strings.Builder
	shares := r.Classes.Shares[:min(len(r.Classes.Shares), shownShares)]
	err := driftPage.Execute(&body, struct {
		*driftResult
		Data      string
		Rows      []driftRow
		Shares    []drift.ClassShare
		Histogram template.HTML
		Unlike    []unlikePicture
	}{r, r.data, r.rows(), shares, r.drawHistogram(), r.showUnlike(ctx)})
	if err != nil {
		return err
	}
	return report.Page(w, r.title(), template.HTML(body.String()))
}

// drawHistogram draws the acceptances of both samples; "" if there are none.
func (r *driftResult) drawHistogram() template.HTML {
	if r.Acceptance.Skipped != "" {
		return ""
	}
	chart := report.Chart{Title: "Acceptance", XLabel: "acceptance", YLabel: "share of the pictures"}
	for i, s := range []*drift.Sample{r.reference, r.answers} {
		x, y := makeHistogram(s.Acceptances)
		chart.Series = append(chart.Series, report.Series{Name: []string{"reference", "answers"}[i], X: x, Y: y,
			Dashed: i == 0})
	}
	return chart.SVG()
}

// makeHistogram returns the outline of a histogram of values from 0 to 1.
func makeHistogram(values []float64) (x, y []float64) {
	const bins = 20
	var counts [bins]int
	for _, v := range values {
		counts[min(int(v*bins), bins-1)]++
	}
	for i, n := range counts {
		share := float64(n) / float64(len(values))
		x, y = append(x, float64(i)/bins, float64(i+1)/bins), append(y, share, share)
	}
	return x, y
}

// showUnlike returns the pictures of the answers that are most unlike the reference, if they were kept.
func (r *driftResult) showUnlike(ctx context.Context) (shown []unlikePicture) {
	const most, thumbnailSide = 24, 200
	for _, file := range r.Embeddings.Unlike {
		if file == "" || len(shown) == most {
			continue
		}
		// A picture may have been removed to make room.
		path := filepath.Join(r.folder, filepath.FromSlash(file))
		if thumbnail, err := evaluate.ReadThumbnail(ctx, path, thumbnailSide); err == nil {
			shown = append(shown, unlikePicture{filepath.Base(path), thumbnail})
		}
	}
	return shown
}
