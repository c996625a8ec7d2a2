package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"garb/evaluate"
	"garb/model"
)

func newCompareCommand() *cobra.Command {
	pictures := newEvaluationData()
	var unknown unknownClasses
	var asJSON bool
	command := &cobra.Command{
		Use:   "compare A B --data DATA [flags]",
		Short: "Tell whether one model is better than another",
		Long: `Measure two models on the same pictures, and tell whether the difference is more
than chance: McNemar's exact test, which looks at the pictures that only one of them
got right. Which pictures of a data set are measured is as for garb evaluate: the test
split by default, all pictures of a folder of class folders, or what --split says.`,
		Example: `  garb compare clothing runs/mine --data pictures/test
  garb compare runs/a runs/b --data pictures/validation --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("compare needs two models, not %d", len(args))
			}
			return pictures.validate("compare")
		},
		RunE: func(c *cobra.Command, args []string) error {
			var models []*model.Classifier
			for _, name := range args {
				classifier, err := model.Open(name, model.Options{Threads: 1})
				if err == nil {
					err = requireSingleLabel(classifier)
				}
				if err != nil {
					return err
				}
				models = append(models, classifier)
			}
			set, _, tally, err := pictures.open(c, models...)
			if err != nil {
				return err
			}
			sets, mappings, err := unknown.mapClasses(c, set, models...)
			if err != nil {
				return err
			}
			tallyIgnored(tally, set, mappings[0])
			var reports [2]*evaluate.Report
			for i, classifier := range models {
				bar := newCounter(c, "pictures", len(sets[i].Samples))
				reports[i], err = evaluate.Run(c.Context(), classifier, sets[i], classifier.Limits(), bar.add)
				bar.finish()
				if err != nil {
					return fmt.Errorf("%s: %w", args[i], err)
				}
			}
			comparison, err := evaluate.Compare(reports[0], reports[1])
			if err != nil {
				return err
			}
			if comparison.Count == 0 {
				return fmt.Errorf("%s: none of the pictures could be read, so nothing was compared", pictures.data)
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(comparison)
			} else {
				err = printComparison(openTextOut(c), args, comparison)
			}
			if err != nil {
				return err
			}
			tallySkipped(tally, reports[0].Skipped)
			printSkips(c, tally)
			return pictures.close(c, comparison.Count, tally)
		},
	}
	pictures.addFlags(command)
	unknown.addFlags(command)
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return command
}

// significant is the p-value below which a difference is called one.
const significant = 0.05

// shownDiffering is the number of pictures that are listed; --json has them all.
const shownDiffering = 20

func printComparison(w io.Writer, names []string, c *evaluate.Comparison) error {
	var b strings.Builder
	for i, s := range []evaluate.Side{c.A, c.B} {
		fmt.Fprintf(&b, "%c  %s\n   accuracy %.1f %% of %s (95 %% interval %.1f to %.1f), log loss %.3f, ECE %.3f\n",
			'A'+i, names[i], 100*s.Accuracy, count(c.Count, "picture"), 100*s.Interval[0], 100*s.Interval[1],
			s.LogLoss, s.ECE)
	}
	fmt.Fprintf(&b, "\nboth right %d, only A %d, only B %d, neither %d\n", c.Both, c.OnlyA, c.OnlyB, c.Neither)
	better := "A"
	if c.OnlyB > c.OnlyA {
		better = "B"
	}
	switch {
	case c.OnlyA == c.OnlyB:
		fmt.Fprintf(&b, "they are equally often right (McNemar's test, p = %.2f)\n", c.PValue)
	case c.PValue < significant:
		fmt.Fprintf(&b, "%s is better: a difference like this is rare by chance (McNemar's test, p = %.2g)\n", better,
			c.PValue)
	default:
		fmt.Fprintf(&b, "%s got more right, but the difference is within noise (McNemar's test, p = %.2f)\n", better,
			c.PValue)
	}
	if len(c.Differ) > 0 {
		fmt.Fprintf(&b, "\npictures that only one got right")
		if len(c.Differ) > shownDiffering {
			fmt.Fprintf(&b, ": %d of %d, --json has all", shownDiffering, len(c.Differ))
		}
		b.WriteByte('\n')
	}
	for _, d := range c.Differ[:min(len(c.Differ), shownDiffering)] {
		right, other, taken := "A", "B", d.B
		if d.B == d.Class {
			right, other, taken = "B", "A", d.A
		}
		fmt.Fprintf(&b, "only %s  %s: %s, which %s took for %s\n", right, d.Picture, d.Class, other, taken)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
