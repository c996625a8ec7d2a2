package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"garb/train"
)

// sweptFlags are the flags of train of which sweep takes several values.
var sweptFlags = []string{"backbone", "size", "learning-rate", "inner", "dropout", "weight-decay", "batch", "optimizer"}

// listValue is a flag that takes values separated by commas. One is given to the flag
// whose place it takes, several make an axis.
type listValue struct {
	pflag.Value
	several []string
}

// String implements pflag.Value: it is what Set was given.
func (l *listValue) String() string {
	if l.several != nil {
		return strings.Join(l.several, ",")
	}
	return l.Value.String()
}

// Set implements pflag.Value.
func (l *listValue) Set(text string) error {
	values := strings.Split(text, ",")
	for _, v := range values {
		if err := l.Value.Set(strings.TrimSpace(v)); err != nil { // of several too, to say which is wrong
			return err
		}
	}
	if l.several = nil; len(values) > 1 {
		for _, v := range values {
			l.several = append(l.several, strings.TrimSpace(v))
		}
	}
	return nil
}

func newSweepCommand() *cobra.Command {
	t := newTrainFlags()
	sweep := train.Sweep{Seeds: 1}
	command := &cobra.Command{
		Use:   "sweep --data DIR [flags]",
		Short: "Try several settings, and say which are better",
		Long: `Train with every combination of settings, or with --random N of them, and rank them
by validation accuracy. ` + strings.Join(sweptFlags, ", ") + ` take several
values, separated by commas; all other flags are those of garb train.

Each run has a folder below --out; a sweep that was stopped goes on when the same
command is given again. sweep.json and report.html have the ranking. A difference is
called noise when McNemar's test on the same validation pictures finds it likely by
chance (p above 0.05): then take the cheaper one, or more --seeds.`,
		Example: `  garb sweep --data pictures --learning-rate 1e-4,1e-3,1e-2,1e-1
  garb sweep --data pictures --inner 10,100,1000 --dropout 0,.2,.5,.8 --random 6 --seeds 3
  garb sweep --data pictures --backbone efficientnet-lite0,xception --size 150,224 --out runs/sizes`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("sweep takes its folder by --data, not %q", args[0])
			}
			named := t.config.Out != ""
			if err := t.finish(c); err != nil {
				return err
			}
			if !named {
				t.config.Out = filepath.Join("runs", "sweep-"+time.Now().Format("20060102-150405"))
			}
			sweep.Base = t.config
			for _, name := range sweptFlags {
				if l := c.Flags().Lookup(name).Value.(*listValue); l.several != nil {
					sweep.Axes = append(sweep.Axes, train.Axis{Name: name, Values: l.several})
				}
			}
			if len(sweep.Axes) == 0 && sweep.Seeds < 2 {
				return errors.New("sweep needs a setting with several values, such as --learning-rate 1e-4,1e-3,1e-2, or --seeds 2")
			}
			_, err := sweep.Points()
			return err
		},
		RunE: func(c *cobra.Command, _ []string) error {
			t.describe(c)
			out := c.OutOrStdout()
			var display *trainDisplay
			points, err := sweep.Run(c.Context(), func(p *train.Point, n, runs int) train.Progress {
				if display != nil {
					display.stop()
				}
				say(c, "run %d of %d: %s", n, runs, p.Name)
				display = newTrainDisplay(c, io.Discard)
				return display.progress()
			})
			if display != nil {
				display.stop()
			}
			if err != nil {
				if errors.Is(err, context.Canceled) {
					say(c, "garb: finished runs are kept; to go on, give the same command with --out %s", sweep.Base.Out)
				}
				return err
			}
			printRanking(out, points)
			fmt.Fprintf(out, "\nreport    %s\n", filepath.Join(sweep.Base.Out, "report.html"))
			return nil
		},
	}
	t.add(command)
	for _, name := range sweptFlags {
		f := command.Flags().Lookup(name)
		f.Value = &listValue{Value: f.Value}
		f.Usage += "; several by commas"
	}
	command.Flags().Lookup("out").Usage = "folder of the sweep (default runs/sweep-TIME)"
	command.Flags().IntVar(&sweep.Random, "random", 0, "try so many combinations, chosen at random; 0: all")
	command.Flags().IntVar(&sweep.Seeds, "seeds", sweep.Seeds, "runs of each combination, with seeds from --seed on")
	return command
}

// printRanking writes the points, the best first.
func printRanking(w io.Writer, points []*train.Point) {
	width := len("settings")
	for _, p := range points {
		width = max(width, len(p.Name))
	}
	fmt.Fprintf(w, "\n%-*s  val accuracy  spread  95 %% interval   epoch  against the best\n", width, "settings")
	for i, p := range points {
		if p.Failed != "" {
			fmt.Fprintf(w, "%-*s  diverged: %s\n", width, p.Name, p.Failed)
			continue
		}
		verdict := p.Verdict()
		if i == 0 {
			verdict = "the best"
		}
		fmt.Fprintf(w, "%-*s        %.4f   %.4f  %.3f to %.3f  %5d  %s\n", width, p.Name, p.Mean, p.Spread,
			p.Interval[0], p.Interval[1], p.Runs[0].Best.Epoch, verdict)
	}
}
