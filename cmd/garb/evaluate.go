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

	"garb/conformal"
	"garb/dataset"
	"garb/evaluate"
	"garb/internal/safefile"
	"garb/model"
	"garb/picture"
	"garb/shard"
)

const evaluateHelp = `Evaluate a model on labelled pictures: accuracy with its 95 % confidence interval, log loss,
calibration, precision and recall of each class, and the confusion matrix. --html writes a
report with all of these and the pictures that the model got most wrong.

` + dataHelp + `

Without --split, garb evaluates on all pictures if DATA is a folder of class folders, and
on the test split otherwise. If training split the data set itself, --split selects the
same pictures, with labels merged and excluded as in training.

A class of the data set is matched to the model's class of the same name, or else of the
same name apart from letter case and punctuation: T-Shirt matches t-shirt. garb prints
each such pair.

--other DIR names folders, archives or tables of pictures that show none of the classes;
their labels do not matter. garb then measures how well the model separates them from the
data set (AUROC), how many it accepts at its own threshold and at the threshold that
accepts 95 % of the data set, and the risk-coverage curve. A model without an acceptance is
measured by its largest probability, and the report says so.

Prediction sets are evaluated too, if the model has them: how often they contain the
correct class, and how large they are. --coverage 0.9 fits prediction sets on the
validation split and evaluates them on the test split. garb never evaluates prediction
sets on the pictures they were fitted on.

--tta flip (test-time augmentation) averages the probabilities for each picture and its
mirror image. It takes twice the time.

` + shardHelp + ` With --html and --predictions, garb merge also
writes the report and the table.`

const evaluateExamples = `  garb evaluate --data pictures/test
  garb evaluate --model runs/mine --data pictures --split validation
  garb evaluate --model runs/mine --data pictures/test --html report.html
  garb evaluate --model runs/mine --data pictures/test --json | jq .wrong
  garb evaluate --model runs/mine --data pictures/test --predictions answers.csv
  garb evaluate --data wardrobe --ignore-unknown-classes
  garb evaluate --data pictures/test --tta flip
  garb evaluate --data pictures --other street-scenes --other pets --html report.html
  garb evaluate --data pictures --split test --coverage 0.9
  garb evaluate --data pictures/test --json --shard 3/10 --out report.json   # report.json-00003-of-00010`

// evaluation holds the flags of evaluate.
type evaluation struct {
	model, page, table, tta string
	pictures                evaluationData
	unknown                 unknownClasses
	asJSON                  bool
	size                    int
	others                  []string
	coverage                float64
	output                  outputFlags
	recorded                *recording // nil unless garb merge evaluates
}

func newEvaluateCommand() *cobra.Command {
	return newEvaluateCommandFor(&evaluation{pictures: newEvaluationData()})
}

// newEvaluateCommandFor returns the command whose flags set e.
func newEvaluateCommandFor(e *evaluation) *cobra.Command {
	command := &cobra.Command{
		Use:     "evaluate --data DATA [flags]",
		Short:   "Evaluate a model on labelled pictures",
		Long:    evaluateHelp,
		Example: evaluateExamples,
		Args:    func(c *cobra.Command, args []string) error { return e.validate(c, args) },
		RunE:    func(c *cobra.Command, _ []string) error { return e.run(c) },
	}
	flags := command.Flags()
	addModelFlag(flags, &e.model)
	e.pictures.addFlags(command)
	flags.IntVar(&e.size, "size", 0, "input size, in pixels (default the model's)")
	flags.BoolVar(&e.asJSON, "json", false, "print one JSON object")
	flags.StringVar(&e.page, "html", "", "write a report to this file")
	flags.StringVar(&e.table, "predictions", "",
		"write the predictions to this CSV file, with a column for each class")
	flags.StringVar(&e.tta, "tta", "", "test-time augmentation: flip")
	flags.StringSliceVar(&e.others, "other", nil,
		"folders of pictures that show none of the classes, to measure the acceptance: `DIR,...`")
	flags.Float64Var(&e.coverage, "coverage", 0,
		"fit prediction sets with this `PROBABILITY` on the validation split, and evaluate them (default the model's)")
	e.unknown.addFlags(command)
	e.output.add(flags, "write what is printed to this `FILE` instead of standard output")
	return command
}

// validate reports arguments and flags that are wrong or missing.
func (e *evaluation) validate(c *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("evaluate takes its data set as --data, not as the argument %q", args[0])
	}
	if e.tta != "" && e.tta != evaluate.FlipTTA {
		return fmt.Errorf("--tta %q: it must be %s", e.tta, evaluate.FlipTTA)
	}
	if c.Flags().Changed("coverage") {
		if err := conformal.CheckCoverage(e.coverage); err != nil {
			return fmt.Errorf("--coverage: %w", err)
		}
	}
	if e.output.shard.isSet() && (e.page != "" || e.table != "") {
		return errors.New("--shard excludes --html and --predictions: give them to garb merge, which has all answers")
	}
	if err := e.output.validate(); err != nil {
		return err
	}
	return e.pictures.validate("evaluate")
}

func (e *evaluation) run(c *cobra.Command) error {
	classifier, err := model.Open(e.model, model.Options{Threads: 1, Size: e.size, Limits: e.pictures.options.Limits()})
	if err == nil {
		err = requireSingleLabel(classifier)
	}
	if err != nil {
		return err
	}
	set, name, tally, err := e.pictures.open(c, classifier)
	if err != nil {
		return err
	}
	sets, mappings, err := e.unknown.mapClasses(c, set, classifier)
	if err != nil {
		return err
	}
	tallyIgnored(tally, set, mappings[0])
	fit, err := openFitSet(&e.pictures, classifier, name, e.coverage)
	if err != nil {
		return err
	}
	other, err := openOtherPictures(c, e.others, e.pictures.whole)
	if err != nil {
		return err
	}
	all := listEvaluated(sets[0], fit, other)
	if e.output.shard.isSet() {
		return e.writePart(c, classifier, all, tally)
	}
	shown := addTTA(classifier, e.tta)
	if e.recorded != nil {
		if err = e.recorded.check(all); err != nil {
			return err
		}
		shown = evaluate.NewRecorded(shown, e.recorded.records)
	}
	report, err := evaluateWithProgress(c, "pictures", shown, sets[0], classifier.Limits())
	if err != nil {
		return err
	}
	if err = other.measure(c, shown, report, classifier.Limits()); err != nil {
		return err
	}
	if report.Sets, err = measureSets(c, shown, classifier, report, fit, e.unknown, e.coverage); err != nil {
		return err
	}
	report.Mapping = mappings[0]
	if e.recorded != nil {
		report.Seconds = e.recorded.seconds
	}
	if err := e.write(c, classifier, report, sets[0], name); err != nil {
		return err
	}
	tallySkipped(tally, report.Skipped)
	other.tallySkipped(tally, report)
	printSkips(c, tally)
	if report.Count == 0 {
		return fmt.Errorf("%s: no picture could be read, so nothing was measured", e.pictures.data)
	}
	return e.pictures.close(c, report.Count, tally)
}

// write prints the report, and writes the page and the table that flags name.
func (e *evaluation) write(c *cobra.Command, classifier *model.Classifier, r *evaluate.Report, set *dataset.Set,
	name string) error {
	begin := func(w io.Writer) error {
		if e.asJSON {
			return json.NewEncoder(w).Encode(r)
		}
		return printReport(w, r)
	}
	err := e.output.print(c, shard.Header{}, begin, func() (shard.End, error) { return shard.End{}, nil })
	if err == nil && e.page != "" {
		err = writePage(c, e.page, e.model, name, classifier, r)
	}
	if err == nil && e.table != "" {
		err = writeTable(c, e.table, classifier, r, set)
	}
	return err
}

// evaluateWithProgress evaluates a model on a set, with a progress bar.
func evaluateWithProgress(c *cobra.Command, what string, model evaluate.Classifier, set *dataset.Set,
	l picture.Limits) (*evaluate.Report, error) {
	bar := newCounter(c, what, len(set.Samples))
	defer bar.finish()
	return evaluate.Run(c.Context(), model, set, l, bar.add)
}

// addTTA adds test-time augmentation to a model, if tta names one.
func addTTA(classifier *model.Classifier, tta string) evaluate.Classifier {
	if tta == evaluate.FlipTTA {
		return evaluate.NewFlipped(classifier)
	}
	return classifier
}

func writeTable(c *cobra.Command, path string, classifier *model.Classifier, r *evaluate.Report,
	set *dataset.Set) error {
	err := safefile.Write(path, func(w io.Writer) error { return writePredictions(w, classifier, r, set) })
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	say(c, "wrote %s", path)
	return nil
}

func writePage(c *cobra.Command, path, reference, name string, classifier *model.Classifier,
	r *evaluate.Report) error {
	d := evaluate.Document{
		Title: classifier.Name() + " on " + name, Model: reference, About: classifier.Description(),
		Parts: []evaluate.Part{{Name: name, Report: r}}, Folder: filepath.Dir(path),
	}
	if !slices.Contains(model.BuiltInNames(), reference) { // a folder of that name is not the model's run
		var err error
		if d.Curves, err = evaluate.ReadCurves(reference); err != nil {
			return err
		}
	}
	for _, s := range r.Skipped {
		d.Skipped = append(d.Skipped, s.Message)
	}
	err := safefile.Write(path, func(w io.Writer) error { return evaluate.WritePage(c.Context(), w, d) })
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", path, err)
	}
	say(c, "wrote %s", path)
	return nil
}

// tallyIgnored adds to a tally the pictures of the classes that a mapping ignores.
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

// tallySkipped adds to a tally the pictures that could not be read.
func tallySkipped(tally *dataset.Tally, skipped []evaluate.Skipped) {
	for _, s := range skipped {
		tally.Add(s.Reason, s.Picture, s.Message)
	}
}

// printConfusion prints the confusion matrix: a row for each true class, and a column for
// each predicted class.
func printConfusion(b *strings.Builder, r *evaluate.Report, pad func(string) string) {
	const columnWidth = 6
	fmt.Fprintf(b, "\nconfusion matrix: true classes in rows, predicted classes in columns\n%s", pad(""))
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
	fmt.Fprintf(&b, "accuracy  %.1f %% on %s (95 %% interval %.1f to %.1f)", 100*r.Accuracy, count(r.Count, "picture"),
		100*r.Interval[0], 100*r.Interval[1])
	if r.TTA == evaluate.FlipTTA {
		b.WriteString(", averaged with mirror images")
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
	fmt.Fprintf(&b, "\n%s  precision   recall     F1  pictures\n", pad("class"))
	for _, c := range r.PerClass {
		fmt.Fprintf(&b, "%s  %7.1f %%  %5.1f %%  %.3f  %8d\n", pad(c.Class), 100*c.Precision, 100*c.Recall, c.F1,
			c.Count)
	}
	printConfusion(&b, r, pad)
	printAcceptance(&b, r)
	printSets(&b, r, pad)
	_, err := io.WriteString(w, b.String())
	return err
}
