package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"

	"github.com/spf13/cobra"

	"garb/internal/safefile"
	"garb/train"
)

func newLRFindCommand() *cobra.Command {
	t := newTrainFlags()
	search := train.DefaultSearch()
	var asJSON bool
	var plot string
	command := &cobra.Command{
		Use:   "lr-find --data DATA [flags]",
		Short: "Draw the loss against the learning rate, and propose one",
		Long: `Train for some steps while the learning rate grows, and watch the loss: it falls
slowly, then fast, then rises again. The rate at which it falls fastest is proposed.
The flags are those of garb train; no model is kept.`,
		Example: `  garb lr-find --data pictures
  garb lr-find --data pictures --fine-tune all --optimizer adamw --plot rates.svg`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("lr-find takes its data set by --data, not %q", args[0])
			}
			if err := search.Validate(); err != nil {
				return err
			}
			return t.finish(c)
		},
		RunE: func(c *cobra.Command, _ []string) error {
			t.describe(c)
			out := c.OutOrStdout()
			display := newTrainDisplay(c, out)
			curve, proposed, err := train.FindLearningRate(c.Context(), t.config, search, display.progress())
			display.stop()
			if err != nil {
				return withDataHint(err)
			}
			defer display.close()
			if plot != "" {
				if err := writeRatePlot(plot, curve, proposed); err != nil {
					return err
				}
			}
			if asJSON {
				return json.NewEncoder(out).Encode(struct {
					Proposed float64      `json:"proposed"`
					Curve    []train.Rate `json:"curve"`
				}{proposed, curve})
			}
			printCurve(out, curve, proposed)
			if proposed == 0 {
				return errors.New("the loss never fell: try more --steps, or another range by --low and --high")
			}
			fmt.Fprintf(out, "\nproposed  --learning-rate %.1e\n", proposed)
			return nil
		},
	}
	t.add(command)
	for _, name := range []string{"out", "learning-rate", "schedule", "epochs", "patience", "monitor", "warm-up",
		"step-epochs", "step-factor", "tensorboard"} {
		command.Flags().MarkHidden(name) // without meaning here
	}
	command.Flags().Float64Var(&search.Low, "low", search.Low, "first learning rate")
	command.Flags().Float64Var(&search.High, "high", search.High, "last learning rate")
	command.Flags().IntVar(&search.Steps, "steps", search.Steps, "steps between them")
	command.Flags().BoolVar(&asJSON, "json", false, "one JSON object")
	command.Flags().StringVar(&plot, "plot", "", "write the curve to this .svg file")
	return command
}

// printCurve draws the curve with characters: a row for each of some rates.
func printCurve(w io.Writer, curve []train.Rate, proposed float64) {
	const rows, width = 24, 50
	low, high := math.Inf(1), math.Inf(-1)
	for _, r := range curve {
		low, high = min(low, r.Loss), max(high, r.Loss)
	}
	fmt.Fprintf(w, "learning rate    loss\n")
	step := max(1, len(curve)/rows)
	marked := false
	for i := 0; i < len(curve); i += step {
		r := curve[i]
		bar := strings.Repeat("▇", 1+int(float64(width-1)*(r.Loss-low)/max(high-low, 1e-12)))
		mark := ""
		if !marked && r.LearningRate >= proposed && proposed > 0 {
			mark, marked = "  ← falls fastest", true
		}
		fmt.Fprintf(w, "%13.1e  %6.3f  %s%s\n", r.LearningRate, r.Loss, bar, mark)
	}
}

func writeRatePlot(path string, curve []train.Rate, proposed float64) error {
	return safefile.Write(path, func(w io.Writer) error { return train.PlotRates(w, curve, proposed) })
}
