package main

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"garb/dataset"
	"garb/evaluate"
	"garb/model"
)

const compareHelp = `Evaluate two models on the same pictures, and test whether the difference is more than
chance. The test is McNemar's exact test, which looks at the pictures that only one of the
models classifies correctly. The pictures are chosen as for garb evaluate: the test split
by default, all pictures if DATA is a folder of class folders, or what --split names.`

func newCompareCommand() *cobra.Command {
	pictures := newEvaluationData()
	var unknown unknownClasses
	var asJSON bool
	command := &cobra.Command{
		Use:   "compare A B --data DATA [flags]",
		Short: "Test whether one model is better than another",
		Long:  compareHelp,
		Example: `  garb compare clothing runs/mine --data pictures/test
  garb compare runs/a runs/b --data pictures/validation --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("compare needs two models, not %d", len(args))
			}
			return pictures.validate("compare")
		},
		RunE: func(c *cobra.Command, args []string) error {
			models, err := openAll(args, pictures.options.Limits())
			if err != nil {
				return err
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
			comparison, skipped, err := compareModels(c, args, models, sets)
			if err != nil {
				return err
			}
			if comparison.Count == 0 {
				return fmt.Errorf("%s: no picture could be read, so nothing was compared", pictures.data)
			}
			if asJSON {
				err = json.NewEncoder(c.OutOrStdout()).Encode(comparison)
			} else {
				err = printComparison(openTextOut(c), args, comparison)
			}
			if err != nil {
				return err
			}
			tallySkipped(tally, skipped)
			printSkips(c, tally)
			return pictures.close(c, comparison.Count, tally)
		},
	}
	pictures.addFlags(command)
	unknown.addFlags(command)
	command.Flags().BoolVar(&asJSON, "json", false, "print one JSON object")
	return command
}

// compareModels evaluates two models, each on a set with its own class names. It also returns
// the pictures that the first one could not read.
func compareModels(c *cobra.Command, names []string, models []*model.Classifier, sets []*dataset.Set) (
	*evaluate.Comparison, []evaluate.Skipped, error) {
	var reports [2]*evaluate.Report
	for i, classifier := range models {
		var err error
		if reports[i], err = evaluateWithProgress(c, "pictures", classifier, sets[i], classifier.Limits()); err != nil {
			return nil, nil, fmt.Errorf("%s: %w", names[i], err)
		}
	}
	comparison, err := evaluate.Compare(reports[0], reports[1])
	return comparison, reports[0].Skipped, err
}

// significant is the p-value below which a difference counts as significant.
const significant = 0.05

// shownDiffering is the maximum number of listed pictures; --json has all of them.
const shownDiffering = 20

func printComparison(w io.Writer, names []string, c *evaluate.Comparison) error {
	var b strings.Builder
	for i, s := range []evaluate.Side{c.A, c.B} {
		fmt.Fprintf(&b, "%c  %s\n   accuracy %.1f %% on %s (95 %% interval %.1f to %.1f), log loss %.3f, ECE %.3f\n",
			'A'+i, names[i], 100*s.Accuracy, count(c.Count, "picture"), 100*s.Interval[0], 100*s.Interval[1],
			s.LogLoss, s.ECE)
	}
	fmt.Fprintf(&b, "\ncorrect: both %d, only A %d, only B %d, neither %d\n", c.Both, c.OnlyA, c.OnlyB, c.Neither)
	better := "A"
	if c.OnlyB > c.OnlyA {
		better = "B"
	}
	switch {
	case c.OnlyA == c.OnlyB:
		fmt.Fprintf(&b, "both are equally accurate (McNemar's test, p = %.2f)\n", c.PValue)
	case c.PValue < significant:
		fmt.Fprintf(&b, "%s is better: a difference this large is unlikely to be chance (McNemar's test, p = %.2g)\n",
			better, c.PValue)
	default:
		fmt.Fprintf(&b, "%s is more accurate, but the difference may be chance (McNemar's test, p = %.2f)\n",
			better, c.PValue)
	}
	if len(c.Differ) > 0 {
		fmt.Fprintf(&b, "\npictures that only one model classified correctly")
		if len(c.Differ) > shownDiffering {
			fmt.Fprintf(&b, ": %d of %d; --json lists all", shownDiffering, len(c.Differ))
		}
		b.WriteByte('\n')
	}
	for _, d := range c.Differ[:min(len(c.Differ), shownDiffering)] {
		right, other, answer := "A", "B", d.B
		if d.B == d.Class {
			right, other, answer = "B", "A", d.A
		}
		fmt.Fprintf(&b, "only %s  %s: %s, which %s classified as %s\n", right, d.Picture, d.Class, other, answer)
	}
	_, err := io.WriteString(w, b.String())
	return err
}
