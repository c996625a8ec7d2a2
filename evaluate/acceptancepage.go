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

// acceptanceView is what a page shows of acceptance beside the report's figures.
type acceptanceView struct {
	RiskChart, Histogram                      template.HTML
	WronglyAccepted, WronglyRefused           []shown
	WronglyAcceptedCount, WronglyRefusedCount int
}

// ByProbability reports whether the model does not judge.
func (a *Acceptance) ByProbability() bool { return a.Measure == ByProbability }

// Points returns the thresholds that were measured.
func (a *Acceptance) Points() []*Operating {
	return slices.DeleteFunc([]*Operating{a.Own, a.At95}, func(o *Operating) bool { return o == nil })
}

// threshold is the one that decides which pictures are shown as accepted and refused.
func (a *Acceptance) threshold() float64 { return a.Points()[0].Threshold }

// newAcceptanceView makes the view of a part, on a page in folder.
func newAcceptanceView(ctx context.Context, folder string, p Part) acceptanceView {
	a := p.Report.Acceptance
	if a == nil {
		return acceptanceView{}
	}
	v := acceptanceView{RiskChart: riskChart(p.Name, a), Histogram: histogram(p)}
	pick := func(answers []Answer, accepted bool) (chosen []Answer) {
		for _, answer := range answers {
			if (answer.accepted() >= a.threshold()) == accepted {
				chosen = append(chosen, answer)
			}
		}
		slices.SortStableFunc(chosen, func(a, b Answer) int {
			if accepted {
				a, b = b, a
			}
			return cmp.Compare(a.accepted(), b.accepted())
		})
		return chosen
	}
	show := func(answers []Answer) []shown {
		answers = answers[:min(len(answers), shownPictures)]
		all := thumbnails(ctx, folder, answers)
		for i := range all {
			all[i].Note = fmt.Sprintf("%s %.3f", a.Measure, answers[i].accepted())
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

// riskChart draws the curves of risk against coverage.
func riskChart(name string, a *Acceptance) template.HTML {
	series := func(name string, r Risk, dashed bool) report.Series {
		s := report.Series{Name: fmt.Sprintf("%s (area %.4f)", name, r.Area), Dashed: dashed}
		for _, p := range r.Curve {
			s.X, s.Y = append(s.X, p.Coverage), append(s.Y, p.Risk)
		}
		return s
	}
	c := report.Chart{Title: "Risk against coverage, " + name, XLabel: "share of the pictures that is accepted",
		YLabel: "share of these that is wrong", Series: []report.Series{series(name, a.Risk, false)}}
	if a.Other != nil {
		c.Series = append(c.Series, series("with the other pictures, all of them wrong", a.Other.Risk, false))
	}
	return c.SVG()
}

// histogramBins is the number of columns of a histogram of acceptances.
const histogramBins = 25

// histogram draws how many pictures have which acceptance, as shares of the evaluated and
// of the other pictures, and the threshold.
func histogram(p Part) template.HTML {
	a := p.Report.Acceptance
	outline := func(name string, answers []Answer, dashed bool) report.Series {
		counts := make([]int, histogramBins)
		for _, answer := range answers {
			counts[min(int(answer.accepted()*histogramBins), histogramBins-1)]++
		}
		s := report.Series{Name: name, Dashed: dashed}
		for i, n := range counts {
			share := ratio(float64(n), len(answers))
			s.X = append(s.X, float64(i)/histogramBins, float64(i+1)/histogramBins)
			s.Y = append(s.Y, share, share)
		}
		return s
	}
	c := report.Chart{Title: "How sure it is that pictures show any class, " + p.Name, XLabel: string(a.Measure),
		YLabel: "share of the pictures", MarkX: a.threshold(),
		Series: []report.Series{outline(count(p.Report.Count, "picture")+" of "+p.Name, p.Report.Answers, false)}}
	if a.Other != nil {
		c.Series = append(c.Series, outline(count(a.Other.Count, "other picture"), a.Other.Answers, false))
	}
	return c.SVG()
}
