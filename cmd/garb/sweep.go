package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"garb/train"
)

// sweptFlags are the flags of train of which sweep takes several values.
var sweptFlags = []string{
	"backbone", "size", "learning-rate", "inner", "dropout", "weight-decay", "batch", "optimizer",
}

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
		Use:   "sweep --data DATA [flags]",
		Short: "Try several settings, and say which are better",
		Long: `Train with every combination of settings, or with --random N of them, and rank them
by validation accuracy. ` + strings.Join(sweptFlags, ", ") + ` take several
values, separated by commas; all other flags are those of garb train.

Each run has a folder below --out. A sweep that was stopped goes on when the same
command is given again; values and seeds may be added. sweep.json and report.html have
the ranking.

A point is called worse than the best only at a level of 5 % for the whole sweep: of
sweeps whose points are all equally good, at most 5 % call any of them worse. All other
differences are called noise: then choose the cheapest point, or use more --seeds.

With one seed, the test is McNemar's exact test on the same validation pictures. It
cannot see how much the accuracy varies between seeds, and assumes a standard deviation
of one point. With --seeds 3 or more the variation is measured, and counts beside that
of the pictures (sign-flip test; Student's t test with crossed random effects, Cameron,
Gelbach & Miller 2011). All p-values are adjusted for the number of pairs (Holm 1979).
The 95 % interval is Wilson's; with several seeds, for an effective number of pictures.

With --folds K and without --fold, each combination is trained for every fold of a
cross-validation. Mean and spread are those over the folds, and the second test is
Student's on the differences of the folds (corrected by Nadeau & Bengio 2003).`,
		Example: `  garb sweep --data pictures --learning-rate 1e-4,1e-3,1e-2,1e-1
  garb sweep --data pictures --inner 10,100,1000 --dropout 0,.2,.5,.8 --random 6 --seeds 3
  garb sweep --data pictures --learning-rate 1e-3,1e-2 --folds 5
  garb sweep --data pictures --backbone efficientnet-lite0,xception --size 150,224 --out runs/sizes
  garb sweep --data pictures --backbone efficientnet-lite0,my-network.keras,keras-mobilenetv2`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("sweep takes its data set by --data, not %q", args[0])
			}
			named := t.config.Out != ""
			if split := &t.config.Split; split.Folds > 0 && !c.Flags().Changed("fold") {
				sweep.Folds, split.Folds = split.Folds, 0 // all of them
			}
			several := c.Flags().Lookup("backbone").Value.(*listValue).several
			asGiven := t.network
			switch {
			case several != nil && asGiven.weights != "":
				return errors.New("--weights goes with one --backbone; of several each has its own")
			case several != nil && asGiven.featuresAt != "":
				return errors.New("--features-at goes with one --backbone")
			}
			if i := slices.IndexFunc(several, isForeign); i >= 0 {
				t.network.backbone = several[i] // which --preprocess may be for
			}
			if err := t.finish(c); err != nil {
				return err
			}
			var err error
			if sweep.Backbones, err = sweepBackbones(asGiven, several); err != nil {
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
			if len(sweep.Axes) == 0 && sweep.Seeds < 2 && sweep.Folds == 0 {
				return errors.New("sweep needs a setting with several values, such as " +
					"--learning-rate 1e-4,1e-3,1e-2, or --seeds 2, or --folds 5")
			}
			_, err = sweep.Points()
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
				before := display
				display = newTrainDisplay(c, io.Discard)
				display.briefly = before != nil
				return display.progress()
			})
			if display != nil {
				display.stop()
			}
			if err != nil {
				if errors.Is(err, context.Canceled) {
					say(c, "garb: finished runs are kept; to go on, give the same command with --out %s",
						sweep.Base.Out)
				}
				if mixed := (*train.MixedError)(nil); errors.As(err, &mixed) {
					return fmt.Errorf("%w; choose another folder with --out", err)
				}
				return withDataHint(err)
			}
			printRanking(out, points, sweep.Seeds == 1 && sweep.Folds == 0)
			fmt.Fprintf(out, "\nreport    %s\n", filepath.Join(sweep.Base.Out, "report.html"))
			if display != nil {
				display.close()
			}
			return nil
		},
	}
	t.add(command)
	for _, name := range sweptFlags {
		f := command.Flags().Lookup(name)
		f.Value = &listValue{Value: f.Value}
		f.Usage += "; several separated by commas"
	}
	command.Flags().Lookup("folds").Usage = "cross-validation: divide into `K` folds, each of which is validation in turn"
	command.Flags().Lookup("fold").Usage = "of the folds only this one, from 1 to K"
	command.Flags().Lookup("out").Usage = "folder of the sweep (default runs/sweep-TIME)"
	command.Flags().IntVar(&sweep.Random, "random", 0, "try N combinations, chosen at random; 0: all")
	command.Flags().IntVar(&sweep.Seeds, "seeds", sweep.Seeds, "seeds to train each combination with, from --seed on")
	return command
}

// sweepBackbones finds the networks of a sweep over several, and applies to each the flags that
// change how its pictures are prepared.
func sweepBackbones(flags backboneFlags, names []string) (map[string]train.SweptBackbone, error) {
	all := map[string]train.SweptBackbone{}
	for _, name := range names {
		b := flags
		b.backbone = name
		if !isForeign(name) {
			b.preprocess = "" // which is for files that do not say it
		}
		_, spec, err := b.resolve()
		if err != nil {
			return nil, err
		}
		all[name] = train.SweptBackbone{Backbone: b.backbone, Weights: b.weights, Preprocessing: spec}
	}
	return all, nil
}

// printRanking writes the points, the best first; once says that each was trained once.
func printRanking(w io.Writer, points []*train.Point, once bool) {
	names, epochs := len("settings"), len("best epoch")
	bestEpochs := func(p *train.Point) string {
		var all []string
		for _, r := range p.Runs {
			all = append(all, strconv.Itoa(r.Best.Epoch))
		}
		return strings.Join(all, ", ")
	}
	for _, p := range points {
		names, epochs = max(names, len(p.Name)), max(epochs, len(bestEpochs(p)))
	}
	fmt.Fprintf(w, "\n%-*s  val accuracy  spread  95 %% interval   %-*s  compared with the best\n",
		names, "settings", epochs, "best epoch")
	for i, p := range points {
		if p.Failed != "" {
			fmt.Fprintf(w, "%-*s  diverged: %s\n", names, p.Name, p.Failed)
			continue
		}
		verdict := p.Verdict()
		if i == 0 {
			verdict = "the best"
		}
		spread := ""
		if len(p.Runs) > 1 {
			spread = fmt.Sprintf("%.4f", p.Spread)
		}
		fmt.Fprintf(w, "%-*s        %.4f  %6s  %.3f to %.3f  %-*s  %s\n", names, p.Name, p.Mean, spread,
			p.Interval[0], p.Interval[1], epochs, bestEpochs(p), verdict)
	}
	if conclusion := train.Conclusion(points); conclusion != "" {
		fmt.Fprintf(w, "\n%s\n", conclusion)
		if once {
			fmt.Fprintln(w, "Trained with 1 seed: the variation between seeds is assumed, not measured. "+
				"--seeds 3 measures it.")
		}
	}
}
