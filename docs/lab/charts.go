package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"garb/evaluate"
	"garb/report"
	"garb/train"
)

// drawings are the pictures that no single garb command draws: several runs in one chart, and
// point clouds.
var drawings = map[string]func(io.Writer) error{
	"map":       drawMap,
	"sigmoid":   drawSigmoid,
	"transfer":  drawTransfer,
	"rates":     drawRates,
	"inner":     drawInner,
	"dropout":   drawDropout,
	"augmented": drawAugmented,
	"sizes":     drawSizes,
}

func drawTransfer(w io.Writer) error {
	chart := report.Chart{Title: "T-shirt or shirt: accuracy on validation pictures", YLabel: "accuracy"}
	return drawRuns(w, chart, []curve{
		{run: "sigmoid", name: "one unit on the pretrained network's embedding", figure: validationAccuracy},
		{run: "scratch", name: "a small network from scratch", figure: validationAccuracy},
	})
}

func drawAugmented(w io.Writer) error {
	return drawRuns(w, report.Chart{Title: "Loss, with and without changed pictures", YLabel: "cross-entropy"}, []curve{
		{run: "augmented", name: "changed, on training pictures", figure: trainingLoss},
		{run: "augmented", name: "changed, on validation pictures", figure: validationLoss, dashed: true},
		{run: "plain", name: "as they are, on training pictures", figure: trainingLoss},
		{run: "plain", name: "as they are, on validation pictures", figure: validationLoss, dashed: true},
	})
}

func drawRates(w io.Writer) error {
	points, err := readSweep("rates")
	if err != nil {
		return err
	}
	c := report.Chart{Title: "Loss on training pictures, by learning rate",
		XLabel: "epoch", YLabel: "cross-entropy", YMin: 0, YMax: 2.5}
	for _, p := range points {
		c.Series = append(c.Series, average(p, p.Values[0], false, func(e train.Epoch) float64 { return e.Loss }))
	}
	return c.WriteSVG(w)
}

func drawInner(w io.Writer) error {
	points, err := readSweep("inner")
	if err != nil {
		return err
	}
	c := report.Chart{Title: "Accuracy on validation pictures, by inner layer (mean of three runs)",
		XLabel: "epoch", YLabel: "accuracy", YMin: 0.7, YMax: 0.92}
	for _, p := range points {
		name := p.Values[0] + " units"
		if p.Values[0] == "0" {
			name = "no inner layer"
		}
		accuracy := func(e train.Epoch) float64 { return e.ValidationAccuracy }
		c.Series = append(c.Series, average(p, name, false, accuracy))
	}
	return c.WriteSVG(w)
}

func drawDropout(w io.Writer) error {
	points, err := readSweep("dropout")
	if err != nil {
		return err
	}
	c := report.Chart{Title: "Loss, with least and most dropout (mean of three runs)",
		XLabel: "epoch", YLabel: "cross-entropy", YMin: 0, YMax: 1}
	for _, p := range []*train.Point{points[0], points[len(points)-1]} { // more would hide each other
		name := "dropout " + p.Values[0]
		c.Series = append(c.Series,
			average(p, name+", on training pictures", false, func(e train.Epoch) float64 { return e.Loss }),
			average(p, name+", on validation pictures", true, func(e train.Epoch) float64 { return e.ValidationLoss }))
	}
	return c.WriteSVG(w)
}

func drawSizes(w io.Writer) error {
	points, err := readSweep("sizes")
	if err != nil {
		return err
	}
	s := report.Series{Name: "mean of three runs, and its 95 % interval"}
	for _, p := range points {
		s.X, s.Y = append(s.X, parseValue(p)), append(s.Y, p.Mean)
		s.Low, s.High = append(s.Low, p.Interval[0]), append(s.High, p.Interval[1])
	}
	c := report.Chart{Title: "Accuracy on validation pictures, by their size", XLabel: "side of the input, pixels",
		YLabel: "accuracy", Points: true, Series: []report.Series{s}}
	return c.WriteSVG(w)
}

// curve is one line of a chart: a figure of each epoch of a run.
type curve struct {
	run, name string
	figure    func(evaluate.Curve) float64
	dashed    bool
}

func trainingLoss(e evaluate.Curve) float64       { return e.Loss }
func validationLoss(e evaluate.Curve) float64     { return e.ValidationLoss }
func validationAccuracy(e evaluate.Curve) float64 { return e.ValidationAccuracy }

func drawRuns(w io.Writer, c report.Chart, curves []curve) error {
	c.XLabel = "epoch"
	for _, one := range curves {
		epochs, err := evaluate.ReadCurves(filepath.Join(kept, one.run))
		if err != nil {
			return err
		}
		if len(epochs) == 0 {
			return fmt.Errorf("%s has no history", one.run)
		}
		s := report.Series{Name: one.name, Dashed: one.dashed}
		for _, e := range epochs {
			s.X, s.Y = append(s.X, e.Epoch), append(s.Y, one.figure(e))
		}
		c.Series = append(c.Series, s)
	}
	return c.WriteSVG(w)
}

// readSweep returns the points of a sweep over one number, sorted by that number.
func readSweep(name string) ([]*train.Point, error) {
	text, err := os.ReadFile(filepath.Join(kept, name, "sweep.json"))
	if err != nil {
		return nil, err
	}
	var points []*train.Point
	if err := json.Unmarshal(text, &points); err != nil {
		return nil, err
	}
	for _, p := range points {
		if len(p.Values) != 1 || len(p.Runs) == 0 {
			return nil, fmt.Errorf("sweep %s: %s has %d values and %d runs", name, p.Name, len(p.Values), len(p.Runs))
		}
	}
	slices.SortFunc(points, func(a, b *train.Point) int { return cmp.Compare(parseValue(a), parseValue(b)) })
	return points, nil
}

// parseValue returns the number that a point of a sweep tries.
func parseValue(p *train.Point) float64 {
	v, _ := strconv.ParseFloat(p.Values[0], 64) // garb sweep has parsed it
	return v
}

// average returns a figure of each epoch, as the mean over the runs of a point.
func average(p *train.Point, name string, dashed bool, figure func(train.Epoch) float64) report.Series {
	s := report.Series{Name: name, Dashed: dashed}
	for i, e := range p.Runs[0].History {
		sum, count := 0.0, 0
		for _, r := range p.Runs {
			if i < len(r.History) {
				sum += figure(r.History[i])
				count++
			}
		}
		s.X, s.Y = append(s.X, float64(e.Epoch)), append(s.Y, sum/float64(count))
	}
	return s
}
