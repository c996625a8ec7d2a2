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

// sweptFlags are the flags of train for which sweep takes several values.
var sweptFlags = []string{
	"backbone", "size", "learning-rate", "inner", "dropout", "weight-decay", "batch", "optimizer",
}

// listValue is a flag value that takes comma-separated values. A single value is set on the
// flag that it replaces; several values make an axis of the sweep.
type listValue struct {
	pflag.Value
	several []string
}

// String implements pflag.Value. It returns the text that Set was given.
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
		if err := l.Value.Set(strings.TrimSpace(v)); err != nil { // also for several, to report the wrong one
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

const sweepHelp = `Train with every combination of settings, or with --random N of them, and rank them by
validation accuracy. These flags take several comma-separated values:
%s.
All other flags are those of garb train.

Each run has a folder below --out. To continue a sweep that was stopped, repeat the
command; you may add values and seeds. sweep.json and report.html contain the ranking.

--shard I/N divides the runs between N machines that share --out, and takes range I of them,
from 0 to N-1; --shard N alone takes I from JOB_COMPLETION_INDEX. When all have finished,
the same command without --shard trains nothing and writes the ranking.

A point is called worse than the best one only if the difference is significant at the 5 %%
level for the whole sweep. If all points of a sweep were equally good, the chance of calling
any of them worse would be at most 5 %%. All other differences are called noise.
Then choose the cheapest point, or use more --seeds.

With one seed, the test is McNemar's exact test on the same validation pictures. It cannot
see the variance between seeds, and assumes a standard deviation of one percentage point.
With --seeds 3 or more, this variance is measured and added to that between pictures
(sign-flip test; Student's t test with crossed random effects, Cameron, Gelbach & Miller
2011). All p-values are adjusted for multiple comparisons (Holm 1979). The 95 %% interval
is Wilson's; with several seeds, it uses an effective number of pictures.

With --folds K and without --fold, each combination is trained on every fold of a K-fold
cross-validation. Mean and spread are over the folds, and the second test is Student's t
test on the differences between folds (corrected by Nadeau & Bengio 2003).`

const sweepExamples = `  garb sweep --data pictures --learning-rate 1e-4,1e-3,1e-2,1e-1
  garb sweep --data pictures --inner 10,100,1000 --dropout 0,.2,.5,.8 --random 6 --seeds 3
  garb sweep --data pictures --learning-rate 1e-3,1e-2 --folds 5
  garb sweep --data pictures --backbone efficientnet-lite0,xception --size 150,224 --out runs/sizes
  garb sweep --data pictures --learning-rate 1e-3,1e-2 --seeds 3 --out runs/rates --shard 0/2
  garb sweep --data pictures --backbone efficientnet-lite0,my-network.keras,keras-mobilenetv2`

// sweepFlags holds the flags of sweep.
type sweepFlags struct {
	*trainFlags
	sweep train.Sweep
	shard shardValue
}

func newSweepCommand() *cobra.Command {
	s := &sweepFlags{trainFlags: newTrainFlags(), sweep: train.Sweep{Seeds: 1}}
	command := &cobra.Command{
		Use:     "sweep --data DATA [flags]",
		Short:   "Compare settings by training with each combination",
		Long:    fmt.Sprintf(sweepHelp, strings.Join(sweptFlags, ", ")),
		Example: sweepExamples,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("sweep takes its data set as --data, not as the argument %q", args[0])
			}
			return s.finish(c)
		},
		RunE: func(c *cobra.Command, _ []string) error { return s.run(c) },
	}
	s.add(command)
	flags := command.Flags()
	for _, name := range sweptFlags {
		f := flags.Lookup(name)
		f.Value = &listValue{Value: f.Value}
		f.Usage += "; several values, comma-separated"
	}
	flags.Lookup("folds").Usage = "cross-validation: split into `K` folds and train on each"
	flags.Lookup("fold").Usage = "train on only one of the folds, `I` from 1 to K"
	flags.Lookup("out").Usage = "folder for the sweep (default runs/sweep-TIME)"
	flags.Var(&s.shard, shardFlag, "train only shard `I/N` of the runs, or shard N alone with I from "+jobIndex+
		"; requires --out, a folder that all machines share")
	flags.IntVar(&s.sweep.Random, "random", 0, "try only N combinations, chosen at random (0 for all)")
	flags.IntVar(&s.sweep.Seeds, "seeds", s.sweep.Seeds, "number of seeds per combination, starting at --seed")
	return command
}

// finish completes and validates the settings after flags are parsed.
func (s *sweepFlags) finish(c *cobra.Command) error {
	named := s.config.Out != ""
	if split := &s.config.Split; split.Folds > 0 && !c.Flags().Changed("fold") {
		s.sweep.Folds, split.Folds = split.Folds, 0 // all of them
	}
	several := c.Flags().Lookup("backbone").Value.(*listValue).several
	network := s.network
	switch {
	case s.shard.isSet() && !named:
		return errors.New("--shard requires --out: a folder that all machines share")
	case several != nil && network.weights != "":
		return errors.New("--weights requires a single --backbone: with several, each uses its own weights")
	case several != nil && network.featuresAt != "":
		return errors.New("--features-at requires a single --backbone")
	}
	if i := slices.IndexFunc(several, isForeign); i >= 0 {
		s.network.backbone = several[i] // --preprocess may be for this one
	}
	if err := s.trainFlags.finish(c); err != nil {
		return err
	}
	var err error
	if s.sweep.Backbones, err = sweepBackbones(network, several); err != nil {
		return err
	}
	if !named {
		s.config.Out = filepath.Join("runs", "sweep-"+time.Now().Format("20060102-150405"))
	}
	s.sweep.Base = s.config
	for _, name := range sweptFlags {
		if l := c.Flags().Lookup(name).Value.(*listValue); l.several != nil {
			s.sweep.Axes = append(s.sweep.Axes, train.Axis{Name: name, Values: l.several})
		}
	}
	if len(s.sweep.Axes) == 0 && s.sweep.Seeds < 2 && s.sweep.Folds == 0 {
		return errors.New("sweep needs a setting with several values, such as " +
			"--learning-rate 1e-4,1e-3,1e-2, or --seeds 2, or --folds 5")
	}
	_, err = s.sweep.Points()
	return err
}

func (s *sweepFlags) run(c *cobra.Command) error {
	s.describe(c)
	out := c.OutOrStdout()
	var display *trainDisplay
	begin := func(p *train.Point, n, runs int) train.Progress {
		if display != nil {
			display.stop()
		}
		say(c, "run %d of %d: %s", n, runs, p.Name)
		before := display
		display = newTrainDisplay(c, io.Discard)
		display.dataPrinted = before != nil
		return display.progress()
	}
	var points []*train.Point
	var trained int
	var err error
	if s.shard.isSet() {
		trained, err = s.sweep.RunShard(c.Context(), s.shard.Shard, begin)
	} else {
		points, err = s.sweep.Run(c.Context(), begin)
	}
	if display != nil {
		display.stop()
	}
	if err != nil {
		if errors.Is(err, context.Canceled) {
			say(c, "garb: finished runs are kept; to continue, repeat the command with --out %s", s.sweep.Base.Out)
		}
		return err
	}
	if s.shard.isSet() {
		fmt.Fprintf(openTextOut(c), "finished %s of shard %v; once all shards have finished, the same command without "+
			"--shard ranks them\n", count(trained, "run"), s.shard.Shard)
		return nil
	}
	printRanking(out, points, s.sweep.Seeds == 1 && s.sweep.Folds == 0)
	fmt.Fprintf(out, "\nreport    %s\n", filepath.Join(s.sweep.Base.Out, "report.html"))
	if display != nil {
		display.close()
	}
	return nil
}

// sweepBackbones resolves the backbones of a sweep, and applies the flags of the input to each.
func sweepBackbones(flags backboneFlags, names []string) (map[string]train.SweptBackbone, error) {
	all := map[string]train.SweptBackbone{}
	for _, name := range names {
		b := flags
		b.backbone = name
		if !isForeign(name) {
			b.preprocess = "" // it is only for Keras and ONNX files
		}
		_, spec, err := b.resolve()
		if err != nil {
			return nil, err
		}
		all[name] = train.SweptBackbone{Backbone: b.backbone, Weights: b.weights, Preprocessing: spec}
	}
	return all, nil
}

// printRanking prints the points, best first. once says that each was trained once.
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
			fmt.Fprintln(w, "Trained with 1 seed: the variance between seeds is assumed, not measured. "+
				"--seeds 3 measures it.")
		}
	}
}
