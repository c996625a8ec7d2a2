package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"garb"
	"garb/dataset"
	"garb/evaluate"
	"garb/internal/safefile"
)

func newEvaluateCommand() *cobra.Command {
	var (
		model, data, page string
		asJSON            bool
	)
	command := &cobra.Command{
		Use:   "evaluate --data DIR [flags]",
		Short: "Measure a model on labelled pictures",
		Long: `Measure a model on a folder that has one folder of pictures for each class:
accuracy with its 95 % interval, log loss, calibration, precision and recall of each
class, and what was taken for what. --html writes a page that shows it, with the
pictures that it got most wrong.

A folder with train, validation and test below it is measured on test.`,
		Example: `  garb evaluate --data pictures/test
  garb evaluate --model runs/mine --data pictures/test --html report.html
  garb evaluate --model runs/mine --data pictures/test --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("evaluate takes its folder by --data, not %q", args[0])
			}
			if data == "" {
				return errors.New("evaluate needs --data, a folder with one folder for each class")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			classifier, err := garb.Open(model, garb.Options{Threads: 1})
			if err != nil {
				return err
			}
			set, err := openHeldOut(data)
			if err != nil {
				return err
			}
			bar := newCounter(c.ErrOrStderr(), "pictures", len(set.Samples))
			report, err := evaluate.Run(c.Context(), classifier, set, classifier.Limits(), bar.add)
			bar.finish()
			if err != nil {
				return err
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(report)
			} else {
				err = printReport(c.OutOrStdout(), report)
			}
			if err == nil && page != "" {
				err = writePage(c, page, model, classifier, report)
			}
			if err == nil && report.Count == 0 {
				err = fmt.Errorf("%s: none of the pictures could be read, so nothing was measured", data)
			}
			return err
		},
	}
	command.Flags().StringVar(&model, "model", garb.Clothing, "model: a file, a run's folder, clothing or imagenet")
	command.Flags().StringVar(&data, "data", "", "folder with one folder for each class")
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	command.Flags().StringVar(&page, "html", "", "write a page with the results to this file")
	return command
}

// openHeldOut opens a folder of class folders, or of a data set with splits its test.
func openHeldOut(folder string) (*dataset.Set, error) {
	if test := filepath.Join(folder, "test"); exists(filepath.Join(folder, "train")) && exists(test) {
		return dataset.Open(test)
	}
	return dataset.Open(folder)
}

func writePage(c *cobra.Command, path, model string, classifier *garb.Classifier, r *evaluate.Report) error {
	curves, err := evaluate.ReadCurves(model)
	if err != nil {
		return err
	}
	d := evaluate.Document{
		Title: classifier.Name() + " on " + filepath.Base(filepath.Clean(r.Folder)), Model: model, About: classifier.Model(),
		Parts: []evaluate.Part{{Name: filepath.Base(filepath.Clean(r.Folder)), Report: r}}, Curves: curves,
	}
	for _, s := range r.Skipped {
		d.Skipped = append(d.Skipped, s.Message)
	}
	if err := safefile.Write(path, func(w io.Writer) error { return evaluate.WritePage(c.Context(), w, d) }); err != nil {
		return err
	}
	fmt.Fprintf(c.ErrOrStderr(), "wrote %s\n", path)
	return nil
}

// printConfusion writes a row for each class that pictures are of, a column for
// each that they were taken for.
func printConfusion(b *strings.Builder, r *evaluate.Report, pad func(string) string) {
	const columnWidth = 6
	fmt.Fprintf(b, "\nwhat it is (rows) and what it was taken for (columns)\n%s", pad(""))
	for _, class := range r.Classes {
		short := []rune(class)
		fmt.Fprintf(b, " %*s", columnWidth, string(short[:min(len(short), columnWidth)]))
	}
	b.WriteByte('\n')
	for i, row := range r.Confusion {
		b.WriteString(pad(r.Classes[i]))
		for j, n := range row {
			cell := fmt.Sprint(n)
			switch {
			case i == j:
				cell = "[" + cell + "]"
			case n == 0:
				cell = "·"
			}
			fmt.Fprintf(b, " %*s", columnWidth, cell)
		}
		b.WriteByte('\n')
	}
}

func printReport(w io.Writer, r *evaluate.Report) error {
	var b strings.Builder
	fmt.Fprintf(&b, "accuracy  %.1f %% of %d pictures (95 %% interval %.1f to %.1f)\n", 100*r.Accuracy, r.Count, 100*r.Interval[0], 100*r.Interval[1])
	for _, k := range slices.Sorted(maps.Keys(r.TopK)) {
		if k > 1 {
			fmt.Fprintf(&b, "top %d     %.1f %%\n", k, 100*r.TopK[k])
		}
	}
	fmt.Fprintf(&b, "macro F1  %.3f\n", r.MacroF1)
	fmt.Fprintf(&b, "log loss  %.3f\n", r.LogLoss)
	fmt.Fprintf(&b, "ECE       %.3f\n", r.ECE)
	width := len("class")
	for _, class := range r.Classes {
		width = max(width, len([]rune(class)))
	}
	pad := func(s string) string { return s + strings.Repeat(" ", width-len([]rune(s))) }
	fmt.Fprintf(&b, "\n%s  precision  recall     F1  pictures\n", pad("class"))
	for _, c := range r.PerClass {
		fmt.Fprintf(&b, "%s  %7.1f %%  %4.1f %%  %.3f  %8d\n", pad(c.Class), 100*c.Precision, 100*c.Recall, c.F1, c.Count)
	}
	printConfusion(&b, r, pad)
	if len(r.Skipped) > 0 {
		fmt.Fprintf(&b, "\nskipped, since they cannot be read (%d):\n", len(r.Skipped))
		for _, s := range r.Skipped {
			fmt.Fprintf(&b, "  %s\n", s.Message)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
