package evaluate

import (
	"cmp"
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"slices"

	"garb/report"
)

//go:embed acceptance.html
var acceptanceHTML string

// acceptanceView is what a page shows of acceptance in addition to the report.
type acceptanceView struct {
	RiskChart, Histogram                      template.HTML
	WronglyAccepted, WronglyRefused           []shownAnswer
	WronglyAcceptedCount, WronglyRefusedCount int
}

// ByProbability reports whether Measure is ByProbability.
func (a *Acceptance) ByProbability() bool { return a.Measure == ByProbability }

// Points returns the measured thresholds.
func (a *Acceptance) Points() []*Operating {
	return slices.DeleteFunc([]*Operating{a.Own, a.At95}, func(o *Operating) bool { return o == nil })
}

// threshold returns the threshold by which the page shows pictures as accepted or refused.
func (a *Acceptance) threshold() float64 { return a.Points()[0].Threshold }

// newAcceptanceView returns the view of a part, for a page in folder.
func newAcceptanceView(ctx context.Context, folder string, p Part) acceptanceView {
	a := p.Report.Acceptance
	if a == nil {
		return acceptanceView{}
	}
	v := acceptanceView{RiskChart: drawRisk(p.Name, a), Histogram: drawHistogram(p)}
	pick := func(answers []Answer, accepted bool) (chosen []Answer) {
		for _, answer := range answers {
			if (answer.acceptance() >= a.threshold()) == accepted {
				chosen = append(chosen, answer)
			}
		}
		slices.SortStableFunc(chosen, func(a, b Answer) int {
			if accepted {
				a, b = b, a
			}
			return cmp.Compare(a.acceptance(), b.acceptance())
		})
		return chosen
	}
	show := func(answers []Answer) []shownAnswer {
		answers = answers[:min(len(answers), shownPictures)]
		all := makeThumbnails(ctx, folder, answers)
		for i := range all {
			all[i].Note = fmt.Sprintf("%s %.3f", a.Measure, answers[i].acceptance())
		}
		return all
	}
	refused := pick(p.Report.Answers, false)
	v.WronglyRefused, v.WronglyRefusedCount = show(refused), len(refused)
	if a.Other != nil {
		accepted := pick(a.Other.Answers, true)
		v.WronglyAccepted, v.WronglyAcceptedCount = show(accepted), len(accepted)
	}
	return v
}

// drawRisk draws the curves of risk against coverage.
func drawRisk(name string, a *Acceptance) template.HTML {
	series := func(name string, r Risk, dashed bool) report.Series {
		s := report.Series{Name: fmt.Sprintf("%s (area %.4f)", name, r.Area), Dashed: dashed}
		for _, p := range r.Curve {
			s.X, s.Y = append(s.X, p.Coverage), append(s.Y, p.Risk)
		}
		return s
	}
	c := report.Chart{Title: "Risk against coverage, " + name, XLabel: "coverage: share of the pictures accepted",
		YLabel: "risk: share of these that are wrong", Series: []report.Series{series(name, a.Risk, false)}}
	if a.Other != nil {
		c.Series = append(c.Series, series("with the other pictures, all counted as wrong", a.Other.Risk, false))
	}
	return c.SVG()
}

// histogramBins is the number of columns of a histogram of acceptances.
const histogramBins = 25

// drawHistogram draws the histograms of the acceptances of the evaluated and of the other pictures,
// and the threshold.
func drawHistogram(p Part) template.HTML {
	a := p.Report.Acceptance
	outline := func(name string, answers []Answer, dashed bool) report.Series {
		counts := make([]int, histogramBins)
		for _, answer := range answers {
			counts[min(int(answer.acceptance()*histogramBins), histogramBins-1)]++
		}
		s := report.Series{Name: name, Dashed: dashed}
		for i, n := range counts {
			share := ratio(float64(n), len(answers))
			s.X = append(s.X, float64(i)/histogramBins, float64(i+1)/histogramBins)
			s.Y = append(s.Y, share, share)
		}
		return s
	}
	c := report.Chart{Title: "Acceptance of pictures, " + p.Name, XLabel: string(a.Measure),
		YLabel: "share of the pictures", MarkX: a.threshold(),
		Series: []report.Series{outline(formatCount(p.Report.Count, "picture")+" of "+p.Name, p.Report.Answers, false)}}
	if a.Other != nil {
		c.Series = append(c.Series, outline(formatCount(a.Other.Count, "other picture"), a.Other.Answers, false))
	}
	return c.SVG()
}
