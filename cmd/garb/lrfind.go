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

const lrFindHelp = `Run a learning rate range test: train for some steps while the learning rate grows, and
record the loss. The loss falls slowly, then fast, then rises. garb proposes the learning
rate at which it falls fastest. The flags are those of garb train; no model is kept.`

// rateSearch holds the flags of lr-find.
type rateSearch struct {
	*trainFlags
	search train.Search
	asJSON bool
	plot   string
}

func newLRFindCommand() *cobra.Command {
	r := rateSearch{trainFlags: newTrainFlags(), search: train.DefaultSearch()}
	command := &cobra.Command{
		Use:   "lr-find --data DATA [flags]",
		Short: "Find a good learning rate",
		Long:  lrFindHelp,
		Example: `  garb lr-find --data pictures
  garb lr-find --data pictures --fine-tune all --optimizer adamw --plot rates.svg`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("lr-find takes its data set as --data, not as the argument %q", args[0])
			}
			if err := r.search.Validate(); err != nil {
				return err
			}
			return r.finish(c)
		},
		RunE: func(c *cobra.Command, _ []string) error { return r.run(c) },
	}
	r.add(command)
	for _, name := range []string{"out", "learning-rate", "schedule", "epochs", "patience", "monitor", "warm-up",
		"step-epochs", "step-factor", "tensorboard"} {
		command.Flags().MarkHidden(name) // they have no effect here
	}
	command.Flags().Float64Var(&r.search.Low, "low", r.search.Low, "first learning rate")
	command.Flags().Float64Var(&r.search.High, "high", r.search.High, "last learning rate")
	command.Flags().IntVar(&r.search.Steps, "steps", r.search.Steps, "number of training steps")
	command.Flags().BoolVar(&r.asJSON, "json", false, "print one JSON object")
	command.Flags().StringVar(&r.plot, "plot", "", "write the curve to this .svg file")
	return command
}

func (r *rateSearch) run(c *cobra.Command) error {
	r.describe(c)
	out := c.OutOrStdout()
	display := newTrainDisplay(c, out)
	curve, proposed, err := train.FindLearningRate(c.Context(), r.config, r.search, display.progress())
	display.stop()
	if err != nil {
		return err
	}
	defer display.close()
	if r.plot != "" {
		if err := writeRatePlot(r.plot, curve, proposed); err != nil {
			return err
		}
	}
	if r.asJSON {
		return json.NewEncoder(out).Encode(struct {
			Proposed float64      `json:"proposed"`
			Curve    []train.Rate `json:"curve"`
		}{proposed, curve})
	}
	printCurve(out, curve, proposed)
	if proposed == 0 {
		return errors.New("the loss never fell: try more --steps, or another range with --low and --high")
	}
	fmt.Fprintf(out, "\nproposed  --learning-rate %.1e\n", proposed)
	return nil
}

// printCurve draws the curve as a bar chart, with a row for each of some learning rates.
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
			mark, marked = "  ← steepest descent", true
		}
		fmt.Fprintf(w, "%13.1e  %6.3f  %s%s\n", r.LearningRate, r.Loss, bar, mark)
	}
}

func writeRatePlot(path string, curve []train.Rate, proposed float64) error {
	return safefile.Write(path, func(w io.Writer) error { return train.PlotRates(w, curve, proposed) })
}
