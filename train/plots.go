package train

import (
	"io"

	"garb/report"
)

// PlotRates draws what FindLearningRate found, as SVG.
func PlotRates(w io.Writer, curve []Rate, proposed float64) error {
	s := report.Series{Name: "loss"}
	for _, r := range curve {
		s.X, s.Y = append(s.X, r.LearningRate), append(s.Y, r.Loss)
	}
	return report.Chart{
		Title: "Loss while the learning rate grows", XLabel: "learning rate", YLabel: "loss",
		Series: []report.Series{s}, LogX: true, MarkX: proposed,
	}.WriteSVG(w)
}
