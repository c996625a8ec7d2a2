package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"garb/backbone"
	"garb/model"
	"garb/train"
)

// trainFlags holds the settings of a run as flags of train, sweep and lr-find.
type trainFlags struct {
	config   train.Config
	network  backboneFlags
	inner    int
	path     string       // value of --config
	defaults train.Config // the settings before flags are parsed
	file     *configFile  // nil without --config
}

// fineTuneFlag is the value of --fine-tune, in its text form.
type fineTuneFlag struct{ *train.FineTune }

// Set implements pflag.Value.
func (f fineTuneFlag) Set(text string) error { return f.UnmarshalText([]byte(text)) }

// Type implements pflag.Value.
func (f fineTuneFlag) Type() string { return "string" }

func newTrainFlags() *trainFlags { return &trainFlags{config: train.Default()} }

// add adds the flags to a command.
func (t *trainFlags) add(command *cobra.Command) {
	c := &t.config
	t.addSources(command)
	t.addAcceptance(command)
	t.addNetwork(command)
	t.addOptimizer(command)
	t.addRun(command)
	addSplitFlags(command, &c.Split)
	addFoldFlags(command, &c.Split)
	addAugmentFlags(command, &c.Augment)
	t.defaults = *c
}

// addSources adds the flags that name data sets and choose which pictures an epoch shows.
func (t *trainFlags) addSources(command *cobra.Command) {
	c, flags := &t.config, command.Flags()
	flags.Var(newDataSourcesFlag(c), "data",
		"data set: a folder, a table or an archive; repeatable; WEIGHT is how often an epoch shows each of its "+
			"pictures, as in more:0.5")
	flags.Var(newTrainSourcesFlag(c), "train-data",
		"additional data set, used for training only; repeatable; WEIGHT as for --data")
	flags.StringVar(&c.Background, "background", "",
		"folder of background pictures to paste garments onto during training; requires --masks")
	flags.StringVar(&c.Masks, "masks", "",
		"folder with masks of training pictures: NAME.png for NAME.jpg, white on the garment "+
			"(garb data crops --masks writes them); requires --background")
	flags.Float64Var(&c.BackgroundShare, "background-share", 0.5,
		"probability that a picture with a mask gets another background")
	flags.Float64Var(&c.BalanceSampling, "balance-sampling", 0,
		"class-balanced sampling, from 0 (sample classes as often as they occur) to 1 (all classes equally often)")
	flags.Float64Var(&c.BalanceSources, "balance-sources", 0,
		"sample data sets from 0 (in proportion to their size) to 1 (all equally often)")
	data := dataFlags{&c.DataOptions, &c.Strict}
	data.add(command)
	data.addGroups(command)
}

// addAcceptance adds the flags that choose how the model refuses pictures.
func (t *trainFlags) addAcceptance(command *cobra.Command) {
	c, flags := &t.config, command.Flags()
	flags.Var(newOtherSourcesFlag(c), "other",
		"folder of pictures that show none of the classes, to learn to refuse; repeatable; WEIGHT as for --data")
	flags.StringVar((*string)(&c.Acceptance), "acceptance", "",
		"method to decide whether a picture shows any of the classes: class, head or exposure with --other; energy, "+
			"distance or neighbours without; none disables it (default class with --other, distance without)")
	flags.StringVar(&c.Refusal, "refusal", "",
		fmt.Sprintf("label for pictures that the model refuses (default %q)", model.NoneOfThese))
	flags.Float64Var(&c.Coverage, "coverage", 0,
		"store prediction sets in the model that contain the correct class with this probability, such as 0.95 "+
			"(0 disables)")
}

// addNetwork adds the flags that choose the network and which layers are trained.
func (t *trainFlags) addNetwork(command *cobra.Command) {
	c, flags := &t.config, command.Flags()
	t.network.add(command, c.Backbone)
	flags.StringSliceVar(&c.Features, "features", nil,
		"files `FILE,...` of garb features, garb merge or a queue, to take features from; what they lack is computed")
	flags.IntVar(&c.TrainSize, "train-size", 0,
		"input size during training, in pixels (default --size); requires --fine-tune")
	flags.Var(fineTuneFlag{&c.FineTune}, "fine-tune",
		"backbone layers to train: none, all, the last N, or all from the named layer on")
	flags.IntVar(&c.ProbeEpochs, "probe-epochs", 0,
		"train only the head for the first N epochs (linear probing); requires --fine-tune")
	flags.Float64Var(&c.ProbeLearningRate, "probe-learning-rate", 0,
		"learning rate of the probe epochs (0 means 0.001)")
	flags.Float64Var(&c.StartWeight, "start-weight", 0,
		"interpolate the fine-tuned weights with the initial ones: share of the initial ones, such as 0.3 (WiSE-FT); "+
			"requires --fine-tune")
	flags.Float64Var(&c.LayerDecay, "layer-decay", 0,
		"layer-wise learning rate decay: factor from each layer to the one before it, such as 0.95 (0 disables); "+
			"requires --fine-tune")
	flags.BoolVar(&c.BatchStatistics, "batch-statistics", false,
		"trained batch-norm layers normalize by batch statistics instead of the stored ones")
	flags.IntVar(&t.inner, "inner", 0, "units of a hidden layer in the head (0 for none)")
	flags.Float64Var(&c.Dropout, "dropout", 0, "dropout rate before the last layer")
	flags.BoolVar(&c.Binary, "binary", false, "binary classification: one output unit with a sigmoid")
}

// addOptimizer adds the flags of the optimizer, its learning rate and the loss.
func (t *trainFlags) addOptimizer(command *cobra.Command) {
	c, flags := &t.config, command.Flags()
	flags.StringVar((*string)(&c.Optimizer), "optimizer", string(c.Optimizer), "optimizer: adam, adamw or sgd")
	flags.Float64Var(&c.LearningRate, "learning-rate", c.LearningRate,
		"learning rate; with --fine-tune the default is 0.0003")
	flags.Float64Var(&c.Momentum, "momentum", c.Momentum, "momentum for sgd")
	flags.BoolVar(&c.Nesterov, "nesterov", false, "Nesterov momentum for sgd")
	flags.Float64Var(&c.WeightDecay, "weight-decay", 0, "weight decay for adamw")
	flags.StringVar((*string)(&c.Schedule), "schedule", string(c.Schedule),
		"learning rate schedule: constant, step, cosine or one-cycle; with --fine-tune the default is cosine")
	flags.Float64Var(&c.WarmUpEpochs, "warm-up", c.WarmUpEpochs, "warm-up epochs of the cosine schedule")
	flags.Float64Var(&c.StepEpochs, "step-epochs", c.StepEpochs, "epochs between changes in the step schedule")
	flags.Float64Var(&c.StepFactor, "step-factor", c.StepFactor,
		"factor by which the step schedule multiplies the learning rate")
	flags.Float64Var(&c.ClipNorm, "clip-norm", 0, "clip the gradient to this norm (0 disables)")
	flags.Float64Var(&c.Average, "average", 0,
		"exponential moving average of the weights: decay, such as 0.995 (0 disables)")
	flags.Float64Var(&c.LabelSmoothing, "label-smoothing", 0,
		"label smoothing: share of each target that is spread over all classes")
	flags.BoolVar(&c.BalanceClasses, "balance-classes", false, "class weights: rare classes count more in the loss")
	flags.StringSliceVar(&c.Teachers, "teacher", nil,
		"teacher models or runs for knowledge distillation, comma-separated; requires --fine-tune")
	flags.Float64Var(&c.TeacherWeight, "teacher-weight", 0.5, "weight of the teachers' output in the target")
}

// addRun adds the flags of the run: its length, seed, folder and logs.
func (t *trainFlags) addRun(command *cobra.Command) {
	c, flags := &t.config, command.Flags()
	flags.StringVar(&c.Out, "out", "", "folder for the run (default runs/DATA-TIME)")
	flags.IntVar(&c.Epochs, "epochs", c.Epochs, "number of epochs")
	flags.IntVar(&c.Batch, "batch", c.Batch, "batch size")
	flags.Uint64Var(&c.Seed, "seed", c.Seed, "random seed; the same seed gives the same model")
	flags.StringVar((*string)(&c.Monitor), "monitor", string(c.Monitor),
		"validation metric that chooses the best epoch: accuracy or loss; the other one breaks ties")
	flags.IntVar(&c.Patience, "patience", 0, "early stopping: stop after N epochs without improvement (0 disables)")
	flags.IntVar(&c.CachedViews, "cached-views", 0,
		"cache the features of N augmented views of each picture (0 makes new views in every epoch)")
	flags.BoolVar(&c.TensorBoard, "tensorboard", false, "write TensorBoard event files to the run's folder")
	flags.StringVar(&t.path, "config", "",
		"read settings from `FILE`: a run's config.json, or YAML with the same keys; flags take precedence, and the "+
			"key \"out\" is ignored")
}

// readConfig applies the settings of --config, except those that were given as flags. It
// ignores the file's run folder, which would be overwritten.
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
		// The backbone's preprocessing fills in what the file leaves out.
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
		t.network.weights = "" // they belong to the file's backbone
	}
	config.Out = ""
	t.config, t.file = config, file
	return given.restore()
}

// describe prints the run's settings, with --verbose.
func (t *trainFlags) describe(command *cobra.Command) {
	c := &t.config
	if t.file != nil {
		detail(command, "settings   from %s, overridden by flags; \"out\" is ignored", t.file.path)
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
	network := c.Backbone
	if network == backbone.OwnName {
		network = c.Weights
	}
	detail(command, "network    %s, trains %s", network, describeTrainedLayers(c))
	for _, path := range c.Features {
		detail(command, "features   %s", path)
	}
	detail(command, "pictures   %d × %d, %s", c.Preprocessing.Width, c.Preprocessing.Height, c.Preprocessing.Filter)
	detail(command, "optimizer  %s, learning rate %g, schedule %s", c.Optimizer, c.LearningRate, c.Schedule)
	detail(command, "training   %s, batches of %d, seed %d, best by %s", count(c.Epochs, "epoch"), c.Batch, c.Seed,
		c.Monitor)
	detail(command, "run        %s", c.Out)
}

// describeTrainedLayers says which layers a run trains.
func describeTrainedLayers(c *train.Config) string {
	text := "head"
	switch f := c.FineTune; {
	case f.All:
		text = "head and all layers"
	case f.Last > 0:
		text = "head and last " + count(f.Last, "layer")
	case f.From != "":
		text = "head and the layers from " + f.From + " on"
	}
	if c.ProbeEpochs > 0 {
		text += fmt.Sprintf(", after %s of the head alone", count(c.ProbeEpochs, "epoch"))
	}
	return text
}

// fineTuneRate is the default learning rate for training pretrained layers.
const fineTuneRate = 3e-4

// finish completes and validates the settings after flags are parsed.
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
	if err := t.applyBackbone(command); err != nil {
		return err
	}
	if err := expandFeatures(c); err != nil {
		return err
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
		return fmt.Errorf("--folds %d needs --fold, from 1 to %[1]d; garb sweep --folds %[1]d trains on every fold",
			c.Split.Folds)
	}
	return c.Validate()
}

// expandFeatures replaces patterns in the names of files of features.
func expandFeatures(c *train.Config) error {
	var paths []string
	for _, s := range expand(c.Features) {
		if s.err != nil {
			return fmt.Errorf("--features %s: %w", s.name, s.err)
		}
		paths = append(paths, s.name)
	}
	c.Features = paths
	return nil
}

// applyBackbone sets the backbone, and the defaults that depend on it.
func (t *trainFlags) applyBackbone(command *cobra.Command) error {
	c := &t.config
	a, spec, err := t.network.resolve()
	if err != nil {
		return err
	}
	c.Backbone, c.Weights, c.FeaturesAt = t.network.backbone, t.network.weights, t.network.featuresAt
	c.Preprocessing = spec
	switch pretrained := a.Pretrained() || c.Weights != ""; {
	case !pretrained && !c.FineTune.Enabled():
		c.FineTune = train.FineTune{All: true} // there is nothing to freeze
	case pretrained && c.FineTune.Enabled():
		// Large steps at the start would destroy the pretrained weights.
		if !command.Flags().Changed("learning-rate") && !t.file.has("learning_rate") {
			c.LearningRate = fineTuneRate
		}
		if !command.Flags().Changed("schedule") && !t.file.has("schedule") {
			c.Schedule = train.ScheduleCosine
		}
	}
	return nil
}

// readRun returns the settings of a run to resume, with those that were given as flags
// replaced. train.Resume refuses the ones that must not change.
func (t *trainFlags) readRun(command *cobra.Command, folder string) (train.Config, error) {
	config, err := train.ReadConfig(folder)
	if err != nil {
		return config, err
	}
	if command.Flags().Changed("out") {
		return config, errors.New("--resume already names the run's folder; omit --out")
	}
	given := rememberFlags(command)
	t.config = config // the variables of the flags now hold the run's settings
	t.network = backboneFlags{
		backbone: config.Backbone, weights: config.Weights, featuresAt: config.FeaturesAt,
		channels: config.Preprocessing.Channels(),
	}
	if err := given.restore(); err != nil {
		return config, err
	}
	c := &t.config
	c.Backbone, c.Weights, c.FeaturesAt = t.network.backbone, t.network.weights, t.network.featuresAt
	if err := expandFeatures(c); err != nil {
		return config, err
	}
	if command.Flags().Changed("inner") {
		c.Inner = []int{t.inner}
	}
	if slices.ContainsFunc([]string{"size", "resize", "channels", orientationName}, command.Flags().Changed) {
		_, spec, err := t.network.resolve()
		if err != nil {
			return config, err
		}
		c.Preprocessing = spec
	}
	return t.config, nil
}
