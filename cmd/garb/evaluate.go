package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path/filepath"
	"reflect"
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
		model, page string
		pictures    = newMeasured()
		asJSON      bool
		size        int
	)
	command := &cobra.Command{
		Use:   "evaluate --data DIR [flags]",
		Short: "Measure a model on labelled pictures",
		Long: `Measure a model on a folder that has one folder of pictures for each class:
accuracy with its 95 % interval, log loss, calibration, precision and recall of each
class, and what was taken for what. --html writes a page that shows it, with the
pictures that it got most wrong.

A folder with train, validation and test below it is measured on test, or on what
--split says. Of a folder that training divided, --split takes the same pictures that
it took.`,
		Example: `  garb evaluate --data pictures/test
  garb evaluate --model runs/mine --data pictures --split validation
  garb evaluate --model runs/mine --data pictures/test --html report.html
  garb evaluate --model runs/mine --data pictures/test --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("evaluate takes its folder by --data, not %q", args[0])
			}
			return pictures.validate("evaluate")
		},
		RunE: func(c *cobra.Command, _ []string) error {
			classifier, err := garb.Open(model, garb.Options{Threads: 1, Size: size})
			if err != nil {
				return err
			}
			set, name, tally, err := pictures.open(c, classifier)
			if err != nil {
				return err
			}
			bar := newCounter(c, "pictures", len(set.Samples))
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
				err = writePage(c, page, model, name, classifier, report)
			}
			if err != nil {
				return err
			}
			tallySkipped(tally, report.Skipped)
			printSkips(c, tally)
			if report.Count == 0 {
				return fmt.Errorf("%s: none of the pictures could be read, so nothing was measured", pictures.data)
			}
			return pictures.close(c, report.Count, tally)
		},
	}
	command.Flags().StringVar(&model, "model", garb.Clothing, "model: a file, a run's folder, clothing or imagenet")
	pictures.addFlags(command)
	command.Flags().IntVar(&size, "size", 0, "side of the pictures that the model is shown, in pixels (default its own)")
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	command.Flags().StringVar(&page, "html", "", "write a page with the results to this file")
	return command
}

// measured says which pictures to measure on.
type measured struct {
	data, split string
	dataFlags
}

func newMeasured() measured { return measured{dataFlags: newDataFlags()} }

// wholeSet is the value of --split that stands for all pictures.
const wholeSet = "all"

func (m *measured) addFlags(command *cobra.Command) {
	command.Flags().StringVar(&m.data, "data", "", "data set: a folder, a table or an archive")
	command.Flags().StringVar(&m.split, "split", "", "pictures to measure on: validation, test or all (default test, and all of a folder of classes)")
	m.dataFlags.add(command)
}

func (m *measured) validate(command string) error {
	if m.data == "" {
		return fmt.Errorf("%s needs --data: a folder with a folder for each class, a table or an archive", command)
	}
	if m.split != "" && m.split != dataset.Validation && m.split != dataset.Test && m.split != wholeSet {
		return fmt.Errorf("--split is validation, test or all, not %q; for other pictures give their folder as --data", m.split)
	}
	return m.options.Validate()
}

// open opens the pictures, names them and says which they are: all of a folder of
// classes, or one split. A split that the data set does not have is the one that the
// training of the models divided off. The tally has what of the data set gave no picture.
func (m *measured) open(c *cobra.Command, models ...*garb.Classifier) (set *dataset.Set, name string, tally *dataset.Tally, err error) {
	training, err := sameTraining(models)
	if err != nil {
		return nil, "", nil, err
	}
	d, err := m.readAs(c, training)
	if err != nil {
		return nil, "", nil, err
	}
	if err := d.Err(); err != nil {
		return nil, "", nil, withDataHint(err)
	}
	name = m.split
	switch {
	case name == wholeSet, name == "" && d.Layout == dataset.LayoutClasses:
		path, err := filepath.Abs(m.data)
		return d.All(), filepath.Base(path), &d.Tally, err
	case name == "":
		name = dataset.Test
	}
	if set, err = m.part(d, name, training.Split); err != nil {
		return nil, "", nil, withDataHint(err)
	}
	say(c, "%s: its %s pictures, %d", m.data, name, len(set.Samples))
	return set, name, &d.Tally, nil
}

// part returns a split of a data set, as it lies or as training divided it.
func (m *measured) part(d *dataset.Data, name string, rule dataset.SplitRule) (*dataset.Set, error) {
	if set := d.Part(name); set != nil && (name == dataset.Test || rule.Folds == 0) {
		return set, nil
	}
	if d.Layout == dataset.LayoutSplits && name == dataset.Test && d.Part(dataset.Validation) != nil {
		return nil, fmt.Errorf("data set %s has no test split: give --split validation, or --split all", m.data)
	}
	splits, err := d.Split(rule)
	switch {
	case err != nil:
		return nil, err
	case name == dataset.Validation:
		return splits.Validation, nil
	case splits.Test == nil:
		return nil, fmt.Errorf("%s: the model was trained without test pictures (--test-share 0): give --split validation, or another folder", m.data)
	}
	return splits.Test, nil
}

// readAs reads the data set with the labels that training chose, unless flags choose
// others.
func (m *measured) readAs(c *cobra.Command, training dataRecord) (*dataset.Data, error) {
	flags := c.Flags()
	if !flags.Changed("merge") && !flags.Changed("exclude") && !flags.Changed("classes") {
		o := training.Options
		m.options.Merge, m.options.Exclude, m.options.Classes = o.Merge, o.Exclude, o.Classes
		if len(o.Merge) > 0 || len(o.Exclude) > 0 || len(o.Classes) > 0 {
			say(c, "labels are merged and excluded as the model's training did")
		}
	}
	m.options.GroupBy, m.options.GroupPattern = training.Options.GroupBy, training.Options.GroupPattern
	d, err := m.read(c, m.data)
	var option *dataset.OptionsError
	if errors.As(err, &option) && strings.HasPrefix(option.Option, "group") { // of other pictures
		m.options.GroupBy, m.options.GroupPattern = "", ""
		d, err = m.read(c, m.data)
	}
	return d, err
}

// dataRecord is how a model's training read its data set.
type dataRecord struct {
	Split   dataset.SplitRule `json:"split"`
	Options dataset.Options   `json:"data_options"`
}

// sameTraining returns how the training of models read its data set; one that all have.
func sameTraining(models []*garb.Classifier) (dataRecord, error) {
	var record dataRecord
	for i, model := range models {
		own, err := recordOf(model)
		if err != nil {
			return record, err
		}
		if i > 0 && !reflect.DeepEqual(own, record) {
			return record, errors.New("the models were trained on different divisions or labels of a data set, so what one has not seen the other may have: give a folder of pictures that are new to both, without --split")
		}
		record = own
	}
	return record, nil
}

// recordOf returns how a model's training read its data set, and garb's own rule for
// models whose record does not say.
func recordOf(c *garb.Classifier) (dataRecord, error) {
	record := dataRecord{Split: dataset.DefaultSplitRule()}
	if t := c.Model().Training; t != nil && len(t.Settings) > 0 {
		if err := json.Unmarshal(t.Settings, &record); err != nil {
			return record, fmt.Errorf("model %s: its training record does not say how it divided its pictures: %w", c.Name(), err)
		}
	}
	return record, nil
}

func writePage(c *cobra.Command, path, model, name string, classifier *garb.Classifier, r *evaluate.Report) error {
	d := evaluate.Document{
		Title: classifier.Name() + " on " + name, Model: model, About: classifier.Model(),
		Parts: []evaluate.Part{{Name: name, Report: r}},
	}
	if model != garb.Clothing && model != garb.ImageNet { // which are no runs, whatever lies about
		var err error
		if d.Curves, err = evaluate.ReadCurves(model); err != nil {
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
	_, err := io.WriteString(w, b.String())
	return err
}
