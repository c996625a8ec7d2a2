package train

import (
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"path/filepath"
	"strings"

	"garb/evaluate"
	"garb/internal/safefile"
	"garb/report"
)

// shownCurves is the number of best points whose curves the report shows.
const shownCurves = 8

//go:embed sweep.html
var sweepHTML string

var sweepPage = template.Must(template.New("sweep").Funcs(template.FuncMap{
	"percent": func(v float64) string { return fmt.Sprintf("%.1f %%", 100*v) },
	"points": func(v float64) string { // with a minus sign, not a hyphen
		return strings.Replace(fmt.Sprintf("%.1f", 100*v), "-", "−", 1)
	},
}).Parse(sweepHTML))

// Verdict describes the comparison with the best point: "equal (p = 1)", "within noise (p = 0.37)"
// or "worse (p = 0.003)". p is PValue.
func (p *Point) Verdict() string {
	switch {
	case p.Difference == 0:
		return "equal (p = 1)"
	case p.Noise:
		return fmt.Sprintf("within noise (p = %.2f)", p.PValue)
	case p.PValue < 0.001:
		return "worse (p < 0.001)"
	}
	return fmt.Sprintf("worse (p = %.3f)", p.PValue)
}

// Conclusion returns a sentence about the best of a sweep's points, which comes first. It is empty
// if fewer than two points have figures.
func Conclusion(points []*Point) string {
	others, worse, several := 0, 0, false
	for i, p := range points {
		if !p.hasFigures() {
			continue
		}
		several = several || len(p.Runs) > 1
		if i > 0 {
			others++
		}
		if !p.Noise {
			worse++
		}
	}
	more := "compare again with several seeds"
	if several {
		more = "compare again with more runs"
	}
	switch {
	case others == 0:
		return ""
	case worse == 0:
		return "No point is significantly worse than the best: choose the cheapest, or " + more + "."
	case others == 1:
		return "The best is significantly better than the other point."
	case worse == others:
		return fmt.Sprintf("The best is significantly better than all %d others.", others)
	}
	return fmt.Sprintf("The best is significantly better than %d of the %d others; the rest are within noise.",
		worse, others)
}

// Method describes for readers of the ranking how the sweep's points are compared.
func (s Sweep) Method() string {
	const claim = "The significance level is 5 % for the whole sweep: " +
		"if all points were equally good, at most 5 % of such sweeps would call any of them worse. "
	switch {
	case s.Folds > 0:
		return claim + "The tests are the exact sign-flip test on the same pictures, and Student's t test on the " +
			"differences of the folds, corrected for the training pictures that folds share (Nadeau & Bengio 2003), " +
			"adjusted for all pairs of points by Holm (1979)."
	case s.Seeds == 1:
		return claim + fmt.Sprintf("The test is McNemar's exact test on the same pictures, adjusted for all pairs of "+
			"points by Holm (1979). With one seed, the variation between seeds is not measured: "+
			"a standard deviation of %g in accuracy is assumed.", evaluate.AssumedSeedDeviation)
	}
	return claim + "The tests are the exact sign-flip test on the same pictures, and Student's t test with the " +
		"variance between pictures and between seeds (crossed random effects: Cameron, Gelbach & Miller 2011), " +
		"adjusted for all pairs of points by Holm (1979)."
}

// writePage writes the sweep's report.html.
func (s Sweep) writePage(points []*Point) error {
	overlay := func(title, label string, figure func(Epoch) float64) template.HTML {
		c := report.Chart{Title: title, XLabel: "epoch", YLabel: label}
		for _, p := range points[:min(len(points), shownCurves)] {
			if p.Failed != "" || len(p.Runs) == 0 {
				continue
			}
			c.Series = append(c.Series, meanCurve(p, figure))
		}
		return c.SVG()
	}
	var body strings.Builder
	err := sweepPage.Execute(&body, struct {
		Points             []*Point
		Conclusion, Method string
		Charts             []template.HTML
		Runs, Seeds, Folds int
		Epochs, Shown      int
	}{points, Conclusion(points), s.Method(), []template.HTML{
		overlay("Validation accuracy", "accuracy", func(e Epoch) float64 { return e.ValidationAccuracy }),
		overlay("Validation loss", "loss", func(e Epoch) float64 { return e.ValidationLoss }),
	}, s.runsPerPoint(), s.Seeds, s.Folds, s.Base.Epochs, shownCurves})
	if err != nil {
		return err
	}
	return safefile.Write(filepath.Join(s.Base.Out, reportFile), func(w io.Writer) error {
		return report.Page(w, "Sweep "+filepath.Base(s.Base.Out), template.HTML(body.String()))
	})
}

// meanCurve returns the mean of a figure over a point's runs by epoch, with the range of several runs
// as a band.
func meanCurve(p *Point, figure func(Epoch) float64) report.Series {
	s := report.Series{Name: p.Name}
	epochs := len(p.Runs[0].History)
	for _, r := range p.Runs {
		epochs = min(epochs, len(r.History))
	}
	for e := range epochs {
		sum, low, high := 0.0, figure(p.Runs[0].History[e]), figure(p.Runs[0].History[e])
		for _, r := range p.Runs {
			v := figure(r.History[e])
			sum, low, high = sum+v, min(low, v), max(high, v)
		}
		s.X, s.Y = append(s.X, float64(e+1)), append(s.Y, sum/float64(len(p.Runs)))
		if len(p.Runs) > 1 {
			s.Low, s.High = append(s.Low, low), append(s.High, high)
		}
	}
	return s
}
