package main

import (
	"encoding/json"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"garb"
	"garb/evaluate"
)

func newCompareCommand() *cobra.Command {
	var data string
	var asJSON bool
	command := &cobra.Command{
		Use:   "compare A B --data DIR [flags]",
		Short: "Tell whether one model is better than another",
		Long: `Measure two models on the same pictures, and tell whether the difference is more
than chance: McNemar's exact test, which looks at the pictures that only one of them
got right.`,
		Example: `  garb compare clothing runs/mine --data pictures/test
  garb compare runs/a runs/b --data pictures/validation --json`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 {
				return fmt.Errorf("compare needs two models, not %d", len(args))
			}
			if data == "" {
				return fmt.Errorf("compare needs --data, a folder with one folder for each class")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			set, err := openHeldOut(data)
			if err != nil {
				return err
			}
			var reports [2]*evaluate.Report
			for i, model := range args {
				classifier, err := garb.Open(model, garb.Options{Threads: 1})
				if err != nil {
					return err
				}
				bar := newCounter(c.ErrOrStderr(), "pictures", len(set.Samples))
				reports[i], err = evaluate.Run(c.Context(), classifier, set, classifier.Limits(), bar.add)
				bar.finish()
				if err != nil {
					return fmt.Errorf("%s: %w", model, err)
				}
			}
			comparison, err := evaluate.Compare(reports[0], reports[1])
			if err != nil {
				return err
			}
			if comparison.Count == 0 {
				return fmt.Errorf("%s: none of the pictures could be read, so nothing was compared", data)
			}
			if asJSON {
				return json.NewEncoder(c.OutOrStdout()).Encode(comparison)
			}
			printComparison(c.OutOrStdout(), args, comparison)
			return nil
		},
	}
	command.Flags().StringVar(&data, "data", "", "folder with one folder for each class")
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	return command
}

// significant is the p-value below which a difference is called one.
const significant = 0.05

func printComparison(w io.Writer, names []string, c *evaluate.Comparison) {
	for i, s := range []evaluate.Side{c.A, c.B} {
		fmt.Fprintf(w, "%c  %s\n   accuracy %.1f %% of %d pictures (95 %% interval %.1f to %.1f), log loss %.3f, ECE %.3f\n",
			'A'+i, names[i], 100*s.Accuracy, c.Count, 100*s.Interval[0], 100*s.Interval[1], s.LogLoss, s.ECE)
	}
	fmt.Fprintf(w, "\nboth right %d, only A %d, only B %d, neither %d\n", c.Both, c.OnlyA, c.OnlyB, c.Neither)
	better := "A"
	if c.OnlyB > c.OnlyA {
		better = "B"
	}
	switch {
	case c.OnlyA == c.OnlyB:
		fmt.Fprintf(w, "they are equally often right (McNemar's test, p = %.2f)\n", c.PValue)
	case c.PValue < significant:
		fmt.Fprintf(w, "%s is better: a difference like this is rare by chance (McNemar's test, p = %.2g)\n", better, c.PValue)
	default:
		fmt.Fprintf(w, "%s got more right, but the difference is within noise (McNemar's test, p = %.2f)\n", better, c.PValue)
	}
}
