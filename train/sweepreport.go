package train

import (
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"garb/internal/safefile"
	"garb/report"
)

// shownCurves is the number of points whose curves the report overlays: the best ones.
const shownCurves = 8

var sweepPage = template.Must(template.New("sweep").Funcs(template.FuncMap{
	"percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
}).Parse(`<p class="faint">Each point is trained {{.Seeds}} time{{if ne .Seeds 1}}s{{end}}, {{.Epochs}} epochs at most. The interval is of the share of validation pictures
that the best epoch gets right (Wilson, 95 %). Against the best: McNemar's test on the same pictures and seeds; above p = 0.05 the difference is noise.</p>
<div class="wide"><table><tr><th>settings</th><th>validation accuracy</th><th>spread</th><th>95 % interval</th><th>best epoch</th><th>against the best</th></tr>
{{range $i, $p := .Points}}<tr><td>{{.Name}}</td>{{if .Failed}}<td colspan="5" style="text-align:left">{{.Failed}}</td>{{else}}<td>{{percent .Mean}}</td><td>{{if gt (len .Runs) 1}}{{printf "%.4f" .Spread}}{{end}}</td><td>{{percent (index .Interval 0)}} to {{percent (index .Interval 1)}}</td><td>{{range $j, $r := .Runs}}{{if $j}}, {{end}}{{.Best.Epoch}}{{end}}</td><td>{{if $i}}{{.Verdict}}{{else}}the best{{end}}</td>{{end}}</tr>{{end}}</table></div>
<h2>Curves</h2>{{if gt (len .Points) .Shown}}<p class="faint">Of the {{.Shown}} best.</p>{{end}}
<div class="figures">{{range .Charts}}<figure>{{.}}</figure>{{end}}</div>`))

// Verdict says in words how the point stands to the best.
func (p *Point) Verdict() string {
	switch {
	case p.Noise:
		return fmt.Sprintf("within noise (p = %.2f)", p.PValue)
	case p.PValue < 0.001:
		return "worse (p < 0.001)"
	}
	return fmt.Sprintf("worse (p = %.3f)", p.PValue)
}

// writePage writes the sweep's report.html.
func (s Sweep) writePage(points []*Point) error {
	overlay := func(title, label string, of func(Epoch) float64) template.HTML {
		c := report.Chart{Title: title, XLabel: "epoch", YLabel: label}
		for _, p := range points[:min(len(points), shownCurves)] {
			if p.Failed != "" || len(p.Runs) == 0 {
				continue
			}
			c.Series = append(c.Series, mean(p, of))
		}
		return c.SVG()
	}
	var body strings.Builder
	err := sweepPage.Execute(&body, struct {
		Points               []*Point
		Charts               []template.HTML
		Seeds, Epochs, Shown int
	}{points, []template.HTML{
		overlay("Validation accuracy", "accuracy", func(e Epoch) float64 { return e.ValidationAccuracy }),
		overlay("Validation loss", "loss", func(e Epoch) float64 { return e.ValidationLoss }),
	}, s.Seeds, s.Base.Epochs, shownCurves})
	if err != nil {
		return err
	}
	return safefile.Write(filepath.Join(s.Base.Out, reportFile), func(w io.Writer) error {
		return report.Page(w, "Sweep "+filepath.Base(s.Base.Out), template.HTML(body.String()))
	})
}

// mean is the mean curve of a point's runs, with the range of several as a band.
func mean(p *Point, of func(Epoch) float64) report.Series {
	s := report.Series{Name: p.Name}
	epochs := len(p.Runs[0].History)
	for _, r := range p.Runs {
		epochs = min(epochs, len(r.History))
	}
	for e := range epochs {
		sum, low, high := 0.0, of(p.Runs[0].History[e]), of(p.Runs[0].History[e])
		for _, r := range p.Runs {
			v := of(r.History[e])
			sum, low, high = sum+v, min(low, v), max(high, v)
		}
		s.X, s.Y = append(s.X, float64(e+1)), append(s.Y, sum/float64(len(p.Runs)))
		if len(p.Runs) > 1 {
			s.Low, s.High = append(s.Low, low), append(s.High, high)
		}
	}
	return s
}
