package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"garb/conformal"
	"garb/dataset"
	"garb/evaluate"
	"garb/internal/safefile"
	"garb/model"
	"garb/picture"
)

func newEvaluateCommand() *cobra.Command {
	var (
		reference, page, table, tta string
		pictures                    = newEvaluationData()
		unknown                     unknownClasses
		asJSON                      bool
		size                        int
		others                      []string
		coverage                    float64
	)
	command := &cobra.Command{
		Use:   "evaluate --data DATA [flags]",
		Short: "Measure a model on labelled pictures",
		Long: `Measure a model on labelled pictures: accuracy with its 95 % interval, log loss,
calibration, precision and recall of each class, and the confusion matrix. --html writes
a page with all of it and the pictures that the model got most wrong.

` + dataHelp + `

Without --split, a model is measured on all pictures of a folder of class folders, and
on the test split of any other data set. Where training divided the data set, --split
takes the same pictures, with labels merged and excluded as in training.

A class of the data set is the model's class of the same name, or else of the same name
but for letter case and punctuation: T-Shirt is t-shirt. garb prints each such pair.

--other DIR has pictures of none of the classes, in folders, archives or tables, whatever
their labels: how well the model tells them from the data set's (AUROC), how many it accepts
at its threshold and where it accepts 95 % of the data set's, and the risk of a wrong answer
against the share of pictures that are accepted. A model that does not judge whether a
picture shows any of its classes is measured by its largest probability, and the report
says so.

Prediction sets are measured too, if the model has a rule for them: how often they hold the
right class, and how large they are. --coverage 0.9 fits a rule for the model on the data
set's validation pictures, and measures it on others. Pictures that a rule was fitted on
are never among those that it is measured on.

--tta flip shows the model each picture and its mirror image, and takes the mean of the
two answers' probabilities. It takes twice the time.`,
		Example: `  garb evaluate --data pictures/test
  garb evaluate --model runs/mine --data pictures --split validation
  garb evaluate --model runs/mine --data pictures/test --html report.html
  garb evaluate --model runs/mine --data pictures/test --json | jq .wrong
  garb evaluate --model runs/mine --data pictures/test --predictions answers.csv
  garb evaluate --data wardrobe --ignore-unknown-classes
  garb evaluate --data pictures/test --tta flip
  garb evaluate --data pictures --other street-scenes --other pets --html report.html
  garb evaluate --data pictures --split test --coverage 0.9`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("evaluate takes its data set by --data, not %q", args[0])
			}
			if tta != "" && tta != evaluate.FlipTTA {
				return fmt.Errorf("--tta %q: the only test-time augmentation is %s", tta, evaluate.FlipTTA)
			}
			if c.Flags().Changed("coverage") {
				if err := conformal.CheckCoverage(coverage); err != nil {
					return fmt.Errorf("--coverage: %w", err)
				}
			}
			return pictures.validate("evaluate")
		},
		RunE: func(c *cobra.Command, _ []string) error {
			classifier, err := model.Open(reference, model.Options{Threads: 1, Size: size})
			if err == nil {
				err = requireSingleLabel(classifier)
			}
			if err != nil {
				return err
			}
			set, name, tally, err := pictures.open(c, classifier)
			if err != nil {
				return err
			}
			sets, mappings, err := unknown.mapClasses(c, set, classifier)
			if err != nil {
				return err
			}
			tallyIgnored(tally, set, mappings[0])
			set = sets[0]
			fit, err := openFitSet(&pictures, classifier, name, coverage)
			if err != nil {
				return err
			}
			other, err := openOtherPictures(c, others, pictures.whole)
			if err != nil {
				return err
			}
			model := addTTA(classifier, tta)
			report, err := evaluateWithProgress(c, "pictures", model, set, classifier.Limits())
			if err != nil {
				return err
			}
			if err := other.measure(c, model, report, classifier.Limits()); err != nil {
				return err
			}
			if report.Sets, err = measureSets(c, model, classifier, report, fit, unknown, coverage); err != nil {
				return err
			}
			report.Mapping = mappings[0]
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(report)
			} else {
				err = printReport(c.OutOrStdout(), report)
			}
			if err == nil && page != "" {
				err = writePage(c, page, reference, name, classifier, report)
			}
			if err == nil && table != "" {
				err = writeTable(c, table, classifier, report, set)
			}
			if err != nil {
				return err
			}
			tallySkipped(tally, report.Skipped)
			other.tallySkipped(tally, report)
			printSkips(c, tally)
			if report.Count == 0 {
				return fmt.Errorf("%s: none of the pictures could be read, so nothing was measured", pictures.data)
			}
			return pictures.close(c, report.Count, tally)
		},
	}
	command.Flags().StringVar(&reference, "model", model.Clothing,
		"model: a file, a run's folder, clothing, garments or imagenet")
	pictures.addFlags(command)
	command.Flags().IntVar(&size, "size", 0,
		"side of the pictures that the model is shown, in pixels (default its own)")
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	command.Flags().StringVar(&page, "html", "", "write a page with the results to this file")
	command.Flags().StringVar(&table, "predictions", "",
		"write each picture's answer to this CSV file, with a column for each class")
	command.Flags().StringVar(&tta, "tta", "", "test-time augmentation: flip")
	command.Flags().StringSliceVar(&others, "other", nil,
		"pictures of none of the classes: `DIR,...` to measure how well the model tells them apart")
	command.Flags().Float64Var(&coverage, "coverage", 0,
		"fit prediction sets of this `PROBABILITY` on validation pictures, and measure them (default the model's "+
			"own sets)")
	unknown.addFlags(command)
	return command
}

// evaluateWithProgress evaluates a model on a set while a counter shows how far it is.
func evaluateWithProgress(c *cobra.Command, what string, model evaluate.Classifier, set *dataset.Set,
	l picture.Limits) (*evaluate.Report, error) {
	bar := newCounter(c, what, len(set.Samples))
	defer bar.finish()
	return evaluate.Run(c.Context(), model, set, l, bar.add)
}

// addTTA is a model as it is shown pictures: with test-time augmentation, or, without
// its name, as they are.
func addTTA(classifier *model.Classifier, tta string) evaluate.Classifier {
	if tta == evaluate.FlipTTA {
		return evaluate.NewFlipped(classifier)
	}
	return classifier
}

func writeTable(c *cobra.Command, path string, classifier *model.Classifier, r *evaluate.Report, set *dataset.Set) error {
	err := safefile.Write(path, func(w io.Writer) error { return writePredictions(w, classifier, r, set) })
	if err != nil {
		return fmt.Errorf("%s cannot be written: %w", path, err)
	}
	say(c, "wrote %s", path)
	return nil
}

func writePage(c *cobra.Command, path, reference, name string, classifier *model.Classifier, r *evaluate.Report) error {
	d := evaluate.Document{
		Title: classifier.Name() + " on " + name, Model: reference, About: classifier.Description(),
		Parts: []evaluate.Part{{Name: name, Report: r}}, Folder: filepath.Dir(path),
	}
	if !slices.Contains(model.BuiltInNames(), reference) { // which are no runs, whatever lies about
		var err error
		if d.Curves, err = evaluate.ReadCurves(reference); err != nil {
			return err
		}
	}
	for _, s := range r.Skipped {
		d.Skipped = append(d.Skipped, s.Message)
	}
	if err := safefile.Write(path, func(w io.Writer) error { return evaluate.WritePage(c.Context(), w, d) }); err != nil {
		return fmt.Errorf("%s cannot be written: %w", path, err)
	}
	say(c, "wrote %s", path)
	return nil
}

// tallyIgnored adds the pictures of classes that are ignored, as a mapping says.
func tallyIgnored(tally *dataset.Tally, set *dataset.Set, m *evaluate.Mapping) {
	if m == nil {
		return
	}
	for _, s := range set.Samples {
		if class := set.Classes[s.Label]; slices.ContainsFunc(m.Ignored,
			func(i evaluate.Ignored) bool { return i.Class == class }) {
			tally.Add(dataset.ReasonExcluded, s.Path, fmt.Sprintf("the model does not know %q", class))
		}
	}
}

// tallySkipped adds the pictures that could not be measured.
func tallySkipped(tally *dataset.Tally, skipped []evaluate.Skipped) {
	for _, s := range skipped {
		tally.Add(s.Reason, s.Picture, s.Message)
	}
}

// printConfusion writes a row for each class that pictures are of, a column for
// each that they were taken for.
func printConfusion(b *strings.Builder, r *evaluate.Report, pad func(string) string) {
	const columnWidth = 6
	fmt.Fprintf(b, "\nwhat it is (rows) and what it was taken for (columns)\n%s", pad(""))
	for _, class := range r.Classes {
		short := []rune(escape(class))
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
	fmt.Fprintf(&b, "accuracy  %.1f %% of %s (95 %% interval %.1f to %.1f)", 100*r.Accuracy, count(r.Count, "picture"),
		100*r.Interval[0], 100*r.Interval[1])
	if r.TTA == evaluate.FlipTTA {
		b.WriteString(", each with its mirror image")
	}
	b.WriteByte('\n')
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
		width = max(width, len([]rune(escape(class))))
	}
	pad := func(s string) string { return escape(s) + strings.Repeat(" ", width-len([]rune(escape(s)))) }
	fmt.Fprintf(&b, "\n%s  precision  recall     F1  pictures\n", pad("class"))
	for _, c := range r.PerClass {
		fmt.Fprintf(&b, "%s  %7.1f %%  %4.1f %%  %.3f  %8d\n", pad(c.Class), 100*c.Precision, 100*c.Recall, c.F1,
			c.Count)
	}
	printConfusion(&b, r, pad)
	printAcceptance(&b, r)
	printSets(&b, r, pad)
	_, err := io.WriteString(w, b.String())
	return err
}
