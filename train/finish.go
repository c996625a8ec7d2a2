package train

import (
	"context"
	"io"
	"math"
	"os"
	"path/filepath"
	"time"

	"garb/dataset"
	"garb/evaluate"
	"garb/internal/safefile"
	"garb/model"
	"garb/nn"
	"garb/tensor"
)

// finish evaluates the best model on the test split, once, opened from its file as any user
// would, and writes the report.
func (r *run) finish(ctx context.Context) (*Result, error) {
	result := &Result{
		Best: r.Best, Epochs: len(r.History), Checkpoint: r.bestCheckpoint(), Used: r.used, Tally: r.tally,
		Stopped: len(r.History) < r.Config.Epochs,
	}
	if r.Config.Candidate {
		return result, nil
	}
	classifier, err := model.Open(result.Checkpoint, model.Options{Threads: 1, Limits: r.Config.DataOptions.Limits()})
	if err != nil {
		return nil, err
	}
	result.Acceptance = classifier.Description().Acceptance
	f, err := tensor.ReadFile(result.Checkpoint)
	if err != nil {
		return nil, err
	}
	outputs := max(r.outputs(), len(r.classes)) // the file of a binary network has two
	plan, err := nn.Compile(r.buildNetwork(r.Config.Preprocessing, outputs, 0),
		nn.Overlay{Top: f, Below: r.weights}, nn.Options{})
	if err != nil {
		return nil, err
	}
	d := evaluate.Document{Folder: r.Config.Out, Title: filepath.Base(r.Config.Out),
		Model: filepath.Base(result.Checkpoint), About: classifier.Description()}
	if d.Parts, _, err = r.evaluate(ctx, plan, classifier, &r.validation, "validation"); err != nil {
		return nil, err
	}
	test, figures, err := r.evaluate(ctx, plan, classifier, &r.test, "test")
	if err != nil {
		return nil, err
	}
	if len(test) > 0 {
		d.Parts = append(d.Parts, test...)
		p := test[0].Report
		result.Test, result.TestCount, result.Sources = p.Accuracy, p.Count, figures
		result.TestRight = int(math.Round(p.Accuracy * float64(p.Count)))
	}
	if result.Lookalikes, err = r.findLookalikes(ctx, plan, classifier); err != nil {
		return nil, err
	}
	result.Report, err = r.writeReport(ctx, d)
	return result, err
}

// evaluate returns the report on a split, followed by those on each data set's pictures in it if
// there are several data sets, with their figures. An empty split has no reports.
func (r *run) evaluate(
	ctx context.Context, plan *nn.Plan, classifier *model.Classifier, s *split, name string,
) (parts []evaluate.Part, figures []SourceFigures, err error) {
	if s.empty() {
		return nil, nil, nil
	}
	began := time.Now()
	outputs, err := computeOutputs(ctx, plan, s)
	if err != nil {
		return nil, nil, err
	}
	logits := classLogits(outputs, tensor.Len(plan.OutputShape()), len(r.classes))
	var predictions [][]model.Prediction
	for _, row := range cutRows(logits, len(r.classes)) {
		predictions = append(predictions, classifier.Predictions(row))
	}
	whole := evaluate.Summarize(r.classes, s.set, s.digests, predictions)
	whole.Seconds = time.Since(began).Seconds()
	parts = []evaluate.Part{{Name: name, Report: whole}}
	names := sourceNames(r.Config.sources())
	if len(names) == 1 {
		return parts, nil, nil
	}
	for source, sourceName := range names {
		set := &dataset.Set{Folder: s.set.Folder, Classes: s.set.Classes}
		var digests []string
		var predicted [][]model.Prediction
		for i, from := range s.from {
			if from == source {
				set.Samples, digests = append(set.Samples, s.set.Samples[i]), append(digests, s.digests[i])
				predicted = append(predicted, predictions[i])
			}
		}
		if len(set.Samples) == 0 {
			continue
		}
		p := evaluate.Summarize(r.classes, set, digests, predicted)
		parts = append(parts, evaluate.Part{Name: name + " of " + sourceName, Report: p})
		figures = append(figures, SourceFigures{sourceName, p.Count, p.LogLoss, p.Accuracy})
	}
	return parts, figures, nil
}

// writeReport completes the report with the curves and the skipped files, and writes it and the
// curves' plots. It returns the report's path.
func (r *run) writeReport(ctx context.Context, d evaluate.Document) (path string, err error) {
	if d.Curves, err = evaluate.ReadCurves(r.Config.Out); err != nil {
		return "", err
	}
	for _, skip := range r.tally.Skips() {
		if !skip.Reason.Ignored() {
			d.Skipped = append(d.Skipped, skip.Message)
		}
	}
	folder := filepath.Join(r.Config.Out, plotsFolder)
	for name, chart := range evaluate.Charts(d.Curves) {
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return "", err
		}
		if err := safefile.Write(filepath.Join(folder, name+".svg"), chart.WriteSVG); err != nil {
			return "", err
		}
	}
	path = filepath.Join(r.Config.Out, reportFile)
	return path, safefile.Write(path, func(w io.Writer) error { return evaluate.WritePage(ctx, w, d) })
}
