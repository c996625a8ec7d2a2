package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"garb/backbone"
	"garb/dataset"
	"garb/evaluate"
	"garb/model"
	"garb/train"
)

// trainFlags are the settings of a run as flags: those of train, sweep and lr-find.
type trainFlags struct {
	config   train.Config
	network  backboneFlags
	inner    int
	path     string       // of --config
	defaults train.Config // before flags are read
	file     *configFile  // nil without --config
}

func newTrainFlags() *trainFlags { return &trainFlags{config: train.Default()} }

func (t *trainFlags) add(command *cobra.Command) {
	c, flags := &t.config, command.Flags()
	flags.Var(newDataSourcesFlag(c), "data",
		"data set: a folder, a table or an archive; give the flag again for a further one, "+
			"and :WEIGHT for how often an epoch shows each of its pictures, such as more:0.5")
	flags.Var(newTrainSourcesFlag(c), "train-data",
		"further data set whose pictures are all for training, none for validation or test; WEIGHT as for --data")
	flags.Var(newOtherSourcesFlag(c), "other",
		"folder of pictures of none of the classes, to learn what to refuse; several flags, WEIGHT as for --data")
	flags.StringVar(&c.Background, "background", "",
		"folder of pictures to put garments on, in training; with --masks")
	flags.StringVar(&c.Masks, "masks", "", "folder of masks of training pictures: NAME.png for NAME.jpg, white where "+
		"the garment is (garb data crops --masks writes them); with --background")
	flags.Float64Var(&c.BackgroundShare, "background-share", 0.5,
		"probability that a picture with a mask gets another background")
	flags.StringVar((*string)(&c.Acceptance), "acceptance", "",
		"how the model judges whether a picture shows any of the classes: with --other class, head or exposure, "+
			"without it energy, distance or neighbours; none: it does not (default class or energy)")
	flags.StringVar(&c.Refusal, "refusal", "", `what the model calls a picture that it refuses (default "`+
		model.NoneOfThese+`")`)
	flags.Float64Var(&c.BalanceSampling, "balance-sampling", 0,
		"show pictures of a data set's rare classes more often: from 0, as many as there are, to 1, each class "+
			"equally often")
	flags.Float64Var(&c.BalanceSources, "balance-sources", 0,
		"show pictures of small data sets more often: from 0 to 1, each data set equally often")
	flags.StringVar(&c.Out, "out", "", "folder of the run (default runs/DATA-TIME)")
	t.network.add(command, c.Backbone)
	flags.IntVar(&c.TrainSize, "train-size", 0, "side of the training views, if it is not --size; with --fine-tune")
	flags.StringVar(&c.FineTune, "fine-tune", c.FineTune,
		"layers of the backbone to train: none, all, the number of the last ones, or the first of them by name")
	flags.IntVar(&c.ProbeEpochs, "probe-epochs", 0,
		"the first epochs train the head alone (a linear probe); with --fine-tune")
	flags.Float64Var(&c.ProbeLearningRate, "probe-learning-rate", 0, "learning rate of those epochs; 0: 0.001")
	flags.Float64Var(&c.StartWeight, "start-weight", 0,
		"share of the weights before fine-tuning in the model, such as 0.3 (WiSE-FT); with --fine-tune")
	flags.Float64Var(&c.LayerDecay, "layer-decay", 0,
		"learning rate of a layer as a share of the next one's, such as 0.95; 0 or 1: all have the same; with "+
			"--fine-tune")
	flags.BoolVar(&c.BatchStatistics, "batch-statistics", false,
		"batch-norms that are trained use the batch's statistics, not the stored ones")
	flags.IntVar(&t.inner, "inner", 0, "units of an inner layer of the head; 0: none")
	flags.Float64Var(&c.Dropout, "dropout", 0, "share of the values before the last layer that training drops")
	flags.BoolVar(&c.Binary, "binary", false, "two classes, by one unit with a sigmoid")

	flags.StringVar(&c.Optimizer, "optimizer", c.Optimizer, "adam, adamw or sgd")
	flags.Float64Var(&c.LearningRate, "learning-rate", c.LearningRate,
		"learning rate; with --fine-tune the default is 0.0003")
	flags.Float64Var(&c.Momentum, "momentum", c.Momentum, "momentum of sgd")
	flags.BoolVar(&c.Nesterov, "nesterov", false, "Nesterov's momentum, of sgd")
	flags.Float64Var(&c.WeightDecay, "weight-decay", 0, "weight decay, of adamw")
	flags.StringVar(&c.Schedule, "schedule", c.Schedule,
		"learning rate over the run: constant, step, cosine or one-cycle; with --fine-tune the default is cosine")
	flags.Float64Var(&c.WarmUpEpochs, "warm-up", c.WarmUpEpochs,
		"epochs over which the learning rate rises, of cosine")
	flags.Float64Var(&c.StepEpochs, "step-epochs", c.StepEpochs,
		"epochs after which the learning rate changes, of step")
	flags.Float64Var(&c.StepFactor, "step-factor", c.StepFactor, "factor by which it changes, of step")
	flags.Float64Var(&c.ClipNorm, "clip-norm", 0, "largest norm of the gradient; 0: no limit")
	flags.Float64Var(&c.Average, "average", 0, "decay of a moving average of the weights, such as 0.995; 0: none")
	flags.Float64Var(&c.LabelSmoothing, "label-smoothing", 0, "share of each target that all classes get")
	flags.BoolVar(&c.BalanceClasses, "balance-classes", false, "weigh rare classes more")

	flags.StringSliceVar(&c.Teachers, "teacher", nil,
		"teacher models or runs for knowledge distillation, comma-separated; with --fine-tune")
	flags.Float64Var(&c.TeacherWeight, "teacher-weight", 0.5, "share of the teacher's answer in a target")

	flags.IntVar(&c.Epochs, "epochs", c.Epochs, "times to go over the training pictures")
	flags.IntVar(&c.Batch, "batch", c.Batch, "pictures in a step")
	flags.Uint64Var(&c.Seed, "seed", c.Seed, "seed of all that is random; the same seed gives the same model")
	flags.StringVar(&c.Monitor, "monitor", c.Monitor,
		"choose the best epoch by its validation accuracy or loss; ties are broken by the other")
	flags.IntVar(&c.Patience, "patience", 0, "stop after N epochs without improvement (0 disables)")
	flags.Float64Var(&c.Coverage, "coverage", 0,
		"give the model prediction sets that hold the right class with this probability, such as 0.95 (0: none)")
	flags.IntVar(&c.CachedViews, "cached-views", 0,
		"keep the features of this many augmented views of each picture (0: new views in every epoch)")
	data := dataFlags{&c.DataOptions, &c.Strict}
	data.add(command)
	data.addGroups(command)
	flags.BoolVar(&c.TensorBoard, "tensorboard", false,
		"write the curves for TensorBoard too, to the folder tensorboard of the run")
	addSplitFlags(command, &c.Split)
	addFoldFlags(command, &c.Split)
	addAugmentFlags(command, &c.Augment)
	flags.StringVar(&t.path, "config", "", "take settings from this `FILE`: a run's config.json, or the same keys "+
		"as YAML; flags take precedence, and its \"out\" is ignored")
	t.defaults = *c
}

// readConfig takes the settings of --config, except those that were given as flags. The
// folder of the run that wrote the file is not taken: it would be overwritten.
func (t *trainFlags) readConfig(command *cobra.Command) error {
	file, err := readConfigFile(t.path)
	if err != nil {
		return err
	}
	given := rememberFlags(command)
	config := t.defaults
	if err := file.apply(&config); err != nil {
		return err
	}
	if !command.Flags().Changed("backbone") {
		// Its preprocessing, where the file has none of its own or not all of it, is the backbone's.
		network := backboneFlags{backbone: config.Backbone, weights: config.Weights, featuresAt: config.FeaturesAt}
		_, spec, err := network.resolve()
		if err != nil {
			return fmt.Errorf("%s: %w", t.path, err)
		}
		config.Preprocessing = spec
		if err := file.apply(&config); err != nil {
			return err
		}
		t.network = network
		t.network.spec = &config.Preprocessing
	} else {
		t.network.weights = "" // which are the other backbone's
	}
	config.Out = ""
	t.config, t.file = config, file
	if err := given.restore(); err != nil {
		return err
	}
	return nil
}

// describe shows with --verbose what was decided for the run.
func (t *trainFlags) describe(command *cobra.Command) {
	c := &t.config
	if t.file != nil {
		detail(command, "settings   of %s, except those given as flags; \"out\" is ignored", t.file.path)
	}
	for _, s := range newDataSourcesFlag(c).GetSlice() {
		detail(command, "data       %s", s)
	}
	for _, s := range newTrainSourcesFlag(c).GetSlice() {
		detail(command, "training   %s, for training only", s)
	}
	for _, s := range newOtherSourcesFlag(c).GetSlice() {
		detail(command, "other      %s", s)
	}
	trained := "head and all layers"
	if n, err := strconv.Atoi(c.FineTune); err == nil {
		trained = "head and last " + count(n, "layer")
	} else if c.FineTune == "none" {
		trained = "head"
	} else if c.FineTune != "all" {
		trained = "head and the layers from " + c.FineTune
	}
	if c.ProbeEpochs > 0 {
		trained += fmt.Sprintf(", after %s of the head alone", count(c.ProbeEpochs, "epoch"))
	}
	network := c.Backbone
	if network == backbone.OwnName {
		network = c.Weights
	}
	detail(command, "network    %s, to train: %s", network, trained)
	detail(command, "pictures   %d × %d, %s", c.Preprocessing.Width, c.Preprocessing.Height, c.Preprocessing.Filter)
	detail(command, "optimizer  %s, learning rate %g, schedule %s", c.Optimizer, c.LearningRate, c.Schedule)
	detail(command, "training   %s, batches of %d, seed %d, best by %s", count(c.Epochs, "epoch"), c.Batch, c.Seed,
		c.Monitor)
	detail(command, "run        %s", c.Out)
}

// fineTuneRate is the default learning rate where pretrained layers are trained.
const fineTuneRate = 3e-4

// finish completes the settings once flags are read.
func (t *trainFlags) finish(command *cobra.Command) error {
	c := &t.config
	if t.path != "" {
		if err := t.readConfig(command); err != nil {
			return err
		}
	}
	if c.Data == "" {
		return fmt.Errorf("%s needs --data: a folder of pictures, a table or an archive", command.Name())
	}
	if command.Flags().Changed("inner") {
		c.Inner = nil
		if t.inner != 0 {
			c.Inner = []int{t.inner}
		}
	}
	a, spec, err := t.network.resolve()
	if err != nil {
		return err
	}
	c.Backbone, c.Weights, c.FeaturesAt, c.Preprocessing = t.network.backbone, t.network.weights, t.network.featuresAt, spec
	switch pretrained := a.Pretrained() || c.Weights != ""; {
	case !pretrained && c.FineTune == "none":
		c.FineTune = "all" // there is nothing to freeze
	case pretrained && c.FineTune != "none":
		// What the network knows is lost by large steps at the start.
		if !command.Flags().Changed("learning-rate") && !t.file.has("learning_rate") {
			c.LearningRate = fineTuneRate
		}
		if !command.Flags().Changed("schedule") && !t.file.has("schedule") {
			c.Schedule = "cosine"
		}
	}
	if len(c.Teachers) == 0 {
		c.TeacherWeight = 0
	}
	if c.Background == "" && c.Masks == "" {
		c.BackgroundShare = 0
	}
	if c.Out == "" {
		c.Out = filepath.Join("runs", filepath.Base(filepath.Clean(c.Data))+"-"+time.Now().Format("20060102-150405"))
	}
	if c.Split.Folds > 0 && c.Split.Fold == 0 {
		return fmt.Errorf("--folds %d needs --fold, from 1 to %[1]d; garb sweep --folds %[1]d trains for each",
			c.Split.Folds)
	}
	return c.Validate()
}

func newTrainCommand() *cobra.Command {
	t := newTrainFlags()
	var resume string
	command := &cobra.Command{
		Use:   "train --data DATA [flags]",
		Short: "Train a classifier on labelled pictures",
		Long: `Train a classifier on a data set.

` + dataHelp + `

--group-by and --group-pattern keep pictures that belong together, such as those of
one contributor, in one split: figures are too good otherwise. --folds K --fold I
trains for fold I of a cross-validation.

Several data sets, each named by --data, are divided each by itself and learned together;
the best epoch is the one with the best mean over their validation figures. --other names
pictures of none of the classes: the network learns to refuse such pictures, and the
threshold is chosen by them. Without, a model judges by its own features, and says that this
was not measured.

By default the backbone stays as it is: its features of all pictures are computed
once and kept, so that another run takes seconds, and a head is trained on them.
--fine-tune all trains the backbone with the head. Augmentation changes the training
pictures only.

--backbone takes garb's networks by name, those of keras.applications (garb models list),
and any network in a file of Keras or ONNX, a model or a run. The features of such a network
are what its classifier takes, or, with --features-at LAYER, the output of that layer.

The run's folder gets config.json, history.csv, report.html, checkpoints/ (each is a
model; the best epoch by validation is the newest) and state.safetensors, from which
--resume goes on: after Ctrl-C, or to add epochs. With --tensorboard it gets event files
for TensorBoard too.`,
		Example: `  garb train --data pictures
  garb train --data table.csv --images photos --group-by sender_id --exclude "Not sure,Skip"
  garb train --data pictures.zip --merge polo=t-shirt,hoodie=longsleeve
  garb train --data pictures --backbone converted.safetensors --fine-tune all
  garb train --data pictures --backbone keras-efficientnetb0
  garb train --data pictures --backbone xception --size 150 --inner 100 --dropout 0.2
  garb train --data pictures --fine-tune all --optimizer adamw --schedule cosine \
      --crop-min 0.65 --horizontal-flip --average 0.995 --epochs 16 --out runs/fine
  garb train --data studio --data street:0.5 --other cats --other walls --refusal "no garment"
  garb train --resume runs/fine --epochs 20
  garb train --config runs/fine/config.json --seed 2   # the same settings again, in another folder
  garb train --data pictures --tensorboard --out runs/mine   # tensorboard --logdir runs
  garb train --data pictures --coverage 0.95   # then: garb classify --coverage --model runs/mine photo.jpg
  garb train --data shoes-or-hats --binary --backbone small-cnn --optimizer sgd \
      --learning-rate 0.002 --momentum 0.8 --batch 20`,
		Args: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				return fmt.Errorf("train takes its data set by --data, not %q", args[0])
			}
			switch {
			case resume == "":
				return t.finish(c)
			case t.path != "":
				return errors.New("--resume and --config exclude each other: a run is resumed with its own settings")
			}
			return nil
		},
		RunE: func(c *cobra.Command, _ []string) error {
			display := newTrainDisplay(c, c.OutOrStdout())
			if resume == "" {
				t.describe(c)
				result, err := train.Run(c.Context(), t.config, display.progress())
				return display.end(t.config.Out, result, withDataHint(err))
			}
			config, err := t.readRun(c, resume)
			if err != nil {
				return err
			}
			t.describe(c)
			result, err := train.Resume(c.Context(), config, display.progress())
			return display.end(resume, result, withDataHint(err))
		},
	}
	t.add(command)
	command.Flags().StringVar(&resume, "resume", "",
		"resume the run in this folder with its own settings; only --epochs and --tensorboard may change")
	return command
}

// readRun returns the settings of a run to go on with: its own, with the flags that
// were given. Those that may not change are found by train.Resume.
func (t *trainFlags) readRun(c *cobra.Command, folder string) (train.Config, error) {
	config, err := train.ReadConfig(folder)
	if err != nil {
		return config, err
	}
	if c.Flags().Changed("out") {
		return config, errors.New("--resume names the run's folder; omit --out")
	}
	given := rememberFlags(c)
	t.config = config // the flags' variables now hold the run's settings
	t.network = backboneFlags{backbone: config.Backbone, weights: config.Weights, featuresAt: config.FeaturesAt,
		channels: config.Preprocessing.Channels()}
	if err := given.restore(); err != nil {
		return config, err
	}
	t.config.Backbone, t.config.Weights, t.config.FeaturesAt = t.network.backbone, t.network.weights, t.network.featuresAt
	if c.Flags().Changed("inner") {
		t.config.Inner = []int{t.inner}
	}
	if slices.ContainsFunc([]string{"size", "resize", "channels"}, c.Flags().Changed) {
		_, spec, err := t.network.resolve()
		if err != nil {
			return config, err
		}
		t.config.Preprocessing = spec
	}
	return t.config, nil
}

// trainDisplay tells people how a run goes.
type trainDisplay struct {
	command  *cobra.Command
	out      io.Writer // of the table of epochs and of the result
	bar      *counter
	epochBar *stepBar
	head     bool
	briefly  bool // the data set was told of before
	used     int  // pictures
	tally    *dataset.Tally
}

func newTrainDisplay(c *cobra.Command, out io.Writer) *trainDisplay {
	return &trainDisplay{command: c, out: out}
}

func (d *trainDisplay) progress() train.Progress {
	return train.Progress{
		Data: func(data *dataset.Data, splits *dataset.Splits) {
			if !d.briefly {
				sayNotes(d.command, data)
				sayDivision(d.command, splits)
			}
		},
		Scanned: func(used int, tally *dataset.Tally) { d.used, d.tally = used, tally },
		Pictures: func(total int) func() {
			d.bar = newCounter(d.command, "pictures", total)
			return func() { d.bar.add(1) }
		},
		Step: func(s train.Step) {
			d.endPictures()
			if d.epochBar == nil {
				d.epochBar = newStepBar(d.command, s)
			}
			d.epochBar.show(s)
		},
		Epoch: func(e train.Epoch) {
			d.endPictures()
			if d.epochBar != nil {
				d.epochBar.finish()
				d.epochBar = nil
			}
			if !d.head {
				d.head = true
				fmt.Fprintln(d.out, "epoch    loss  accuracy  val loss  val accuracy   seconds"+formatSourceHeads(e))
			}
			mark := ""
			if e.Best {
				mark = "  best so far"
			}
			fmt.Fprintf(d.out, "%5d  %6.4f    %.4f    %6.4f        %.4f  %8.1f%s%s\n", e.Epoch, e.Loss, e.Accuracy,
				e.ValidationLoss, e.ValidationAccuracy, e.Duration.Seconds(), formatSourceCells(e), mark)
		},
	}
}

// columnWidth is the largest width of a data set's column.
const columnWidth = 16

// formatSourceHeads are the heads of the columns that sourcesCells fills.
func formatSourceHeads(e train.Epoch) string {
	var b strings.Builder
	for _, f := range e.Sources {
		name := []rune(escape(f.Name))
		if len(name) > columnWidth {
			name = append([]rune("…"), name[len(name)-columnWidth+1:]...)
		}
		fmt.Fprintf(&b, "  %6s", string(name))
	}
	if e.OtherAUROC > 0 {
		b.WriteString("  other AUROC")
	}
	return b.String()
}

// formatSourceCells are the validation accuracies of each data set of several, and how well
// other pictures are told apart.
func formatSourceCells(e train.Epoch) string {
	var b strings.Builder
	for _, f := range e.Sources {
		fmt.Fprintf(&b, "  %*.4f", min(max(6, len([]rune(escape(f.Name)))), columnWidth), f.Accuracy)
	}
	if e.OtherAUROC > 0 {
		fmt.Fprintf(&b, "  %11.4f", e.OtherAUROC)
	}
	return b.String()
}

func (d *trainDisplay) endPictures() {
	if d.bar != nil {
		d.bar.finish()
		d.bar = nil
	}
}

// stop ends what is being shown.
func (d *trainDisplay) stop() {
	d.endPictures()
	if d.epochBar != nil {
		d.epochBar.finish()
		d.epochBar = nil
	}
}

// end says what the run in a folder came to.
func (d *trainDisplay) end(folder string, result *train.Result, err error) error {
	d.stop()
	if err != nil {
		if state := filepath.Join(folder, "state.safetensors"); errors.Is(err, context.Canceled) && exists(state) {
			say(d.command, "garb: the run is saved; go on with  garb train --resume %s", folder)
		}
		return err
	}
	if result.Stopped {
		fmt.Fprintf(d.out, "\nstopped after epoch %d: no improvement since epoch %d (--patience)\n", result.Epochs,
			result.Best.Epoch)
	}
	fmt.Fprintf(d.out, "\nbest      epoch %d, validation accuracy %.3f\n", result.Best.Epoch,
		result.Best.ValidationAccuracy)
	if result.TestCount > 0 {
		interval := evaluate.Wilson(result.TestRight, result.TestCount)
		fmt.Fprintf(d.out, "test      accuracy %.3f of %s (95 %% interval %.3f to %.3f)\n", result.Test,
			count(result.TestCount, "picture"), interval[0], interval[1])
	}
	for _, f := range result.Sources {
		interval := evaluate.Wilson(int(math.Round(f.Accuracy*float64(f.Count))), f.Count)
		fmt.Fprintf(d.out, "          %s: accuracy %.3f of %s (%.3f to %.3f)\n", escape(f.Name), f.Accuracy,
			count(f.Count, "picture"), interval[0], interval[1])
	}
	if a := result.Acceptance; a != nil {
		d.sayAcceptance(a)
		d.sayLookalikes(result.Lookalikes)
	}
	fmt.Fprintf(d.out, "model     %s\n", result.Checkpoint)
	fmt.Fprintf(d.out, "report    %s\n", result.Report)
	fmt.Fprintf(d.out, "try       garb classify --model %s PICTURE\n", folder)
	d.close()
	return nil
}

// sayAcceptance says what a model accepts.
func (d *trainDisplay) sayAcceptance(a *model.Acceptance) {
	fmt.Fprintf(d.out, "accepts   %.1f %% of validation, by %s\n", 100*a.Validation.Value(), a.Method)
	for _, o := range a.Others {
		fmt.Fprintf(d.out, "          %.1f %% of %s of %s (95 %% interval %.1f to %.1f %%)\n", 100*o.Value(),
			count(o.Count, "picture"), escape(o.Name), 100*o.Low(), 100*o.High())
	}
	if !a.Measured() {
		fmt.Fprintln(d.out, "          not measured against other pictures; --other names some")
	}
}

// sayLookalikes names the other pictures that the model accepts: perhaps they show one of
// the classes.
func (d *trainDisplay) sayLookalikes(all []train.Lookalike) {
	if len(all) == 0 {
		return
	}
	say(d.command, "garb: accepted %s of --other; look whether they show one of the classes:",
		count(len(all), "picture"))
	for i, l := range all {
		if i == shownSkips && !isSet(d.command, verboseFlag) {
			say(d.command, "garb:   and %d more; --verbose names them", len(all)-i)
			break
		}
		say(d.command, "garb:   %s: %s %.0f %%", escape(l.Path), escape(l.Class), 100*l.Probability)
	}
}

// close names the pictures that were skipped, and ends with their number.
func (d *trainDisplay) close() {
	if d.tally != nil {
		printSkips(d.command, d.tally)
		say(d.command, "%s", d.tally.Summary(d.used))
	}
}
