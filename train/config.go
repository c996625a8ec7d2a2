package train

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"

	"garb/accept"
	"garb/augment"
	"garb/backbone"
	"garb/conformal"
	"garb/dataset"
	"garb/model"
	"garb/nn"
	"garb/picture"
)

// Config is what a run is made of: with the pictures and the weights it decides the
// model, to the bit.
type Config struct {
	Data string `json:"data"` // folder, table or archive, see dataset.Read
	// DataWeight is how often an epoch shows each training picture of Data, as
	// Source.Weight is of others; 0 means 1.
	DataWeight float64 `json:"data_weight,omitempty"`
	// Sources are further data sets. The classes are those of all together, and the best
	// epoch is chosen by the mean over the data sets' validation figures.
	Sources []Source `json:"sources,omitempty"`
	// Other are pictures of none of the classes, which the network learns to refuse; see
	// Acceptance. They lie in splits, or are divided by Split.
	Other []Source `json:"other,omitempty"`
	// Acceptance is the method by which a model says whether a picture shows any of its
	// classes. With Other it is accept.Class, accept.Head or accept.Exposure, without it
	// accept.Energy, accept.Distance or accept.Neighbours; "none" leaves it out. "" is
	// Class with Other, and DefaultDetector without; a binary network has none.
	Acceptance accept.Method `json:"acceptance,omitempty"`
	// Refusal is what the model calls a picture that it does not accept, in a few words;
	// "" is model.NoneOfThese.
	Refusal string `json:"refusal,omitempty"`
	// BalanceSampling and BalanceSources, from 0 to 1, show pictures of the rare classes of
	// each data set, and of small data sets, more often: with 1 each class of a data set,
	// and each data set, is shown equally often, with 0 as often as it has pictures. An
	// epoch is as long as without.
	BalanceSampling float64 `json:"balance_sampling,omitempty"`
	BalanceSources  float64 `json:"balance_sources,omitempty"`
	// DataOptions say which pictures of it are used, and under which labels.
	DataOptions dataset.Options `json:"data_options,omitzero"`
	// Strict refuses a data set of which a picture would be skipped.
	Strict bool   `json:"strict,omitempty"`
	Out    string `json:"out"` // folder of the run

	Backbone string `json:"backbone"` // name of an architecture
	// Weights of the backbone: a name or file for weights.Open; empty for the
	// backbone's own.
	Weights string `json:"weights,omitempty"`
	// FeaturesAt is the layer of a network in Weights, where Backbone is backbone.OwnName,
	// whose output the features are; "": what the network's classifier takes.
	FeaturesAt    string       `json:"features_at,omitempty"`
	Preprocessing picture.Spec `json:"preprocessing"`
	// TrainSize is the side of the training views, in pixels, where it is not that of
	// the pictures to answer on; 0: it is. A random part of a picture shows a garment
	// larger than the whole picture does, so that a network answers best on somewhat
	// larger pictures than it was trained on (Touvron et al. 2019).
	TrainSize int `json:"train_size,omitempty"`
	// FineTune says which layers of the backbone are trained with the head: "none",
	// "all", or of how many of the last ones with weights.
	FineTune string `json:"fine_tune"`
	// ProbeEpochs is the number of epochs, the first of Epochs, that train the head alone,
	// with the backbone as it is, before all that FineTune names is trained. A head that
	// begins at random changes the backbone in its first steps, for the worse on pictures
	// unlike those of training (Kumar et al. 2022). The probe has the constant learning
	// rate ProbeLearningRate, 0 for 0.001; Schedule begins after it, as does the count of
	// Patience.
	ProbeEpochs       int     `json:"probe_epochs,omitempty"`
	ProbeLearningRate float64 `json:"probe_learning_rate,omitempty"`
	// StartWeight, from 0 to below 1, is the share of the weights that fine-tuning began
	// with in those that are measured and kept: (1−StartWeight)·fine-tuned +
	// StartWeight·start (Wortsman et al. 2022: WiSE-FT). A head without a probe has no
	// start worth keeping, and is as it was trained. 0.5 is their proposal.
	StartWeight float64 `json:"start_weight,omitempty"`
	// LayerDecay, above 0 and up to 1, slows layers down the more, the farther they are
	// from the head: the learning rate of a layer of the backbone with a kernel is that of
	// the next one times LayerDecay (Howard & Ruder 2018: discriminative fine-tuning). 0
	// and 1 give all the same.
	LayerDecay float64 `json:"layer_decay,omitempty"`
	// BatchStatistics makes the batch-norms that are trained normalise by the batch's
	// statistics; otherwise by the stored ones.
	BatchStatistics bool `json:"batch_statistics,omitempty"`

	Inner   []int   `json:"inner,omitempty"`   // units of the head's inner layers
	Dropout float64 `json:"dropout,omitempty"` // before the last layer
	// Binary ends the network in one unit with a sigmoid, for two classes.
	Binary bool `json:"binary,omitempty"`

	Optimizer    string  `json:"optimizer"` // adam, adamw or sgd
	LearningRate float64 `json:"learning_rate"`
	Momentum     float64 `json:"momentum"`           // of sgd
	Nesterov     bool    `json:"nesterov,omitempty"` // of sgd
	WeightDecay  float64 `json:"weight_decay,omitempty"`
	// Schedule of the learning rate: constant, step, cosine or one-cycle.
	Schedule     string  `json:"schedule"`
	WarmUpEpochs float64 `json:"warm_up_epochs"` // of cosine
	// StepEpochs and StepFactor are step's: after so many epochs the rate is multiplied.
	StepEpochs float64 `json:"step_epochs"`
	StepFactor float64 `json:"step_factor"`
	ClipNorm   float64 `json:"clip_norm,omitempty"` // of all gradients together; 0: no limit
	// Average is the decay of the moving average of weights, which then is what is
	// measured and kept; 0: the weights themselves.
	Average float64 `json:"average,omitempty"`

	LabelSmoothing float64 `json:"label_smoothing,omitempty"`
	// BalanceClasses weighs each class by how rare it is: pictures/(classes·its own).
	BalanceClasses bool `json:"balance_classes,omitempty"`
	// Teachers are models (for model.Open) whose answers on a training view are learned
	// with its label, in turn; TeacherWeight, above 0 and up to 1, is their share of a
	// target. They know the same classes, and see the very views.
	Teachers      []string `json:"teachers,omitempty"`
	TeacherWeight float64  `json:"teacher_weight,omitempty"`

	Epochs int    `json:"epochs"`
	Batch  int    `json:"batch"`
	Seed   uint64 `json:"seed"`
	// Monitor names the validation figure that the best epoch is chosen by: "accuracy"
	// (higher is better; of equals the epoch with the smaller loss) or "loss" (smaller is
	// better; of equals the epoch with the higher accuracy). The earlier of two epochs
	// that are equal in both is kept.
	Monitor string `json:"monitor"`
	// Patience stops a run after this number of epochs without a new best epoch (see
	// Monitor); 0 disables it.
	Patience int `json:"patience,omitempty"`

	Augment augment.Config `json:"augment,omitzero"`
	// Background names pictures, and Masks a folder of masks: a training picture NAME.jpg
	// with a mask NAME.png, at any depth, is put on a random part of one of the pictures
	// with the probability BackgroundShare. A mask has its picture's size, is white where
	// the garment is and black around it.
	Background      string  `json:"background,omitempty"`
	Masks           string  `json:"masks,omitempty"`
	BackgroundShare float64 `json:"background_share,omitempty"`
	// CachedViews bounds the number of views of a picture that a frozen backbone is
	// shown: their features are kept, and taken in turn; 0: new ones in every epoch.
	CachedViews int `json:"cached_views,omitempty"`
	// Coverage, if not 0, is that of the prediction sets for which the model gets a rule,
	// fitted on validation: see conformal.Fit.
	Coverage float64 `json:"coverage,omitempty"`
	// Split divides a data set that has no splits.
	Split dataset.SplitRule `json:"split"`

	// TensorBoard writes each epoch to an event file in the folder tensorboard of the
	// run too. It has no part in the model.
	TensorBoard bool `json:"tensorboard,omitempty"`

	// Candidate says that the run is one of several to choose from by validation: it
	// ends without a look at the test split, and without a report of its own.
	Candidate bool `json:"-"`
}

// Default returns the course's settings where it has them: Adam with 0.001, batches
// of 32, 10 epochs; and a new head on the frozen EfficientNet-Lite0 that is built in.
func Default() Config {
	const name = "efficientnet-lite0"
	a, err := backbone.Lookup(name)
	if err != nil {
		panic("train: " + err.Error())
	}
	return Config{
		Backbone: name, Preprocessing: a.Spec, FineTune: "none", Optimizer: "adam", LearningRate: 1e-3, Momentum: 0.9,
		Schedule: "constant", StepEpochs: 5, StepFactor: 0.1, WarmUpEpochs: 1,
		Epochs: 10, Batch: 32, Seed: 1, Monitor: "accuracy", Split: dataset.DefaultSplitRule(),
	}
}

// The values of settings that are words.
var (
	optimizers = []string{"adam", "adamw", "sgd"}
	schedules  = []string{"constant", "step", "cosine", "one-cycle"}
	monitors   = []string{"accuracy", "loss"}
)

// Choices returns the values of a setting that is one of some words, by its key in
// config.json: optimizer, schedule or monitor. It returns nil for other keys.
func Choices(key string) []string {
	return slices.Clone(map[string][]string{"optimizer": optimizers, "schedule": schedules, "monitor": monitors}[key])
}

// Validate reports settings that cannot work.
func (c Config) Validate() error {
	share := func(v float64) bool { return v >= 0 && v < 1 }
	oneOf := func(name, value string, values []string) error {
		if !slices.Contains(values, value) {
			return fmt.Errorf("%s %q; there are %s", name, value, strings.Join(values, ", "))
		}
		return nil
	}
	if err := errors.Join(oneOf("optimizer", c.Optimizer, optimizers), oneOf("schedule", c.Schedule, schedules),
		oneOf("monitor", c.Monitor, monitors)); err != nil {
		return err
	}
	fineTuneErr := c.checkFineTune()
	switch {
	case c.Data == "":
		return errors.New("no data set is named")
	case c.Out == "":
		return errors.New("no folder for the run is named")
	case !(c.LearningRate > 0) || math.IsInf(c.LearningRate, 0):
		return fmt.Errorf("learning rate %v: it is a positive number", c.LearningRate)
	case c.Epochs <= 0:
		return fmt.Errorf("%d epochs: there is at least one", c.Epochs)
	case c.Batch <= 0 || c.Batch > 4096:
		return fmt.Errorf("batches of %d: they have from 1 to 4096 pictures", c.Batch)
	case !share(c.Dropout) || !share(c.Momentum) || !share(c.Average) || !share(c.LabelSmoothing):
		return fmt.Errorf("dropout %v, momentum %v, average %v, label smoothing %v: each is from 0 to below 1",
			c.Dropout,
			c.Momentum, c.Average, c.LabelSmoothing)
	case !(c.WeightDecay >= 0) || !(c.ClipNorm >= 0) || !(c.WarmUpEpochs >= 0):
		return fmt.Errorf("weight decay %v, clip norm %v, warm-up of %v epochs: none is negative", c.WeightDecay,
			c.ClipNorm,
			c.WarmUpEpochs)
	case c.Schedule == "step" && !(c.StepEpochs > 0 && c.StepFactor > 0):
		return fmt.Errorf("a step of factor %v after %v epochs: both are positive", c.StepFactor, c.StepEpochs)
	case c.WeightDecay != 0 && c.Optimizer != "adamw":
		return errors.New("weight decay goes with the optimizer adamw")
	case (c.Background == "") != (c.Masks == "") || (c.Background == "") != (c.BackgroundShare == 0):
		return errors.New("other backgrounds need pictures, masks and a share above 0: all three or none")
	case !(c.BackgroundShare >= 0 && c.BackgroundShare <= 1):
		return fmt.Errorf("a share of %v with other backgrounds: it is from 0 to 1", c.BackgroundShare)
	case c.Background != "" && c.FineTune == "none" && !c.Augment.Enabled():
		return errors.New("other backgrounds go with fine-tuning or augmentation: otherwise each picture is looked at once")
	case !(c.BalanceSampling >= 0 && c.BalanceSampling <= 1) || !(c.BalanceSources >= 0 && c.BalanceSources <= 1):
		return fmt.Errorf("sampling balanced by classes to the degree %v, and by data sets to %v: both are from 0 to 1",
			c.BalanceSampling, c.BalanceSources)
	case c.Patience < 0 || c.CachedViews < 0:
		return fmt.Errorf("patience %d, cached views %d: neither is negative", c.Patience, c.CachedViews)
	case c.CachedViews > 0 && (!c.Augment.Enabled() || c.FineTune != "none"):
		return errors.New("cached views are of augmented pictures before a frozen backbone: they go with " +
			"augmentation and without fine-tuning")
	case c.CachedViews > 0 && (c.Augment.Mixup > 0 || c.Augment.CutMix > 0):
		return errors.New("views of single pictures are cached: they do not go with mixup and cutmix, which mix " +
			"those of a batch")
	case c.scratch() && c.FineTune != "all":
		return fmt.Errorf("%s has no pretrained weights: it is trained as a whole, with fine-tune all", c.Backbone)
	case c.TrainSize < 0:
		return fmt.Errorf("train size %d: it is a number of pixels", c.TrainSize)
	case c.TrainSize > 0 && c.FineTune == "none":
		return errors.New("a train size goes with fine-tuning: a frozen backbone has learned its size already")
	case fineTuneErr != nil:
		return fineTuneErr
	case c.ProbeEpochs < 0 || c.ProbeEpochs > 0 && c.ProbeEpochs >= c.Epochs:
		return fmt.Errorf("a probe of %d epochs: it is shorter than the %d of the run", c.ProbeEpochs, c.Epochs)
	case c.ProbeEpochs > 0 && (c.FineTune == "none" || c.scratch()):
		return errors.New("a probe trains the head before pretrained layers are fine-tuned: it goes with fine-tuning, " +
			"and with a backbone that has learned something")
	case !(c.ProbeLearningRate >= 0) || math.IsInf(c.ProbeLearningRate, 0):
		return fmt.Errorf("learning rate of the probe %v: it is a positive number, or 0 for %v", c.ProbeLearningRate,
			Default().LearningRate)
	case c.ProbeLearningRate > 0 && c.ProbeEpochs == 0:
		return errors.New("a learning rate of the probe goes with a probe of some epochs")
	case !share(c.StartWeight):
		return fmt.Errorf("start weight %v: it is from 0 to below 1", c.StartWeight)
	case c.StartWeight > 0 && (c.FineTune == "none" || c.scratch()):
		return errors.New("a start weight is of the pretrained weights that are fine-tuned: it goes with fine-tuning, " +
			"and with a backbone that has learned something")
	case !(c.LayerDecay >= 0 && c.LayerDecay <= 1):
		return fmt.Errorf("layer decay %v: it is above 0 and at most 1, or 0 for none", c.LayerDecay)
	case c.LayerDecay != 0 && c.FineTune == "none":
		return errors.New("layer decay goes with fine-tuning: a frozen backbone has no learning rates")
	case len(c.Teachers) > 0 && c.FineTune == "none":
		return errors.New("teachers go with fine-tuning: a frozen backbone's features are not what they see")
	case len(c.Teachers) > 0 && !(c.TeacherWeight > 0 && c.TeacherWeight <= 1):
		return fmt.Errorf("teacher weight %v: it is above 0 and at most 1", c.TeacherWeight)
	}
	if c.Coverage != 0 {
		if err := conformal.CheckCoverage(c.Coverage); err != nil {
			return err
		}
	}
	if err := errors.Join(c.Augment.Validate(), c.validateSources(), c.validateAcceptance()); err != nil {
		return err
	}
	if err := c.head().Validate(); err != nil {
		return err
	}
	if err := errors.Join(c.Split.Validate(), c.DataOptions.Validate()); err != nil {
		return err
	}
	return c.Preprocessing.Validate()
}

// scratch reports whether the backbone begins with random weights.
func (c Config) scratch() bool {
	a, err := backbone.Lookup(c.Backbone)
	return err == nil && !a.Pretrained() && c.Weights == ""
}

func (c Config) head() model.Head { return model.Head{Inner: c.Inner} }

// trainedLayers returns the names of the backbone's layers with weights that are trained, in
// order. They are chosen by FineTune: none, all, the number of the last ones, or the first of
// them by name.
func (c Config) trainedLayers(features *nn.Graph) ([]string, error) {
	var layers []string
	for _, p := range features.Params() {
		if l := layerOf(p); len(layers) == 0 || layers[len(layers)-1] != l {
			layers = append(layers, l)
		}
	}
	switch n, err := strconv.Atoi(c.FineTune); {
	case c.FineTune == "none":
		return nil, nil
	case c.FineTune == "all":
		return layers, nil
	case err == nil && n > 0:
		return layers[max(0, len(layers)-n):], nil
	}
	if at := slices.Index(layers, c.FineTune); at >= 0 {
		return layers[at:], nil
	}
	const most = 4
	return nil,
		fmt.Errorf("fine-tune %q: it is none, all, the number of the last layers to train, or the first of them by "+
			"name; the last of %d are %s",
			c.FineTune, len(layers), strings.Join(layers[max(0, len(layers)-most):], ", "))
}

// checkFineTune reports layers to train that there are not.
func (c Config) checkFineTune() error {
	if c.FineTune == "none" || c.FineTune == "all" {
		return nil
	}
	a, err := c.architecture()
	if err != nil {
		return err
	}
	_, err = c.trainedLayers(a.Features(c.Preprocessing.Height, c.Preprocessing.Width))
	return err
}

// trainable chooses the parameters to train: of the graph's layers with weights the head's,
// and those of the backbone that trainedLayers names. It is nil if that is all.
func (c Config) trainable(features *nn.Graph) (func(nn.Param) bool, error) {
	if c.FineTune == "all" {
		return nil, nil
	}
	layers, err := c.trainedLayers(features)
	if err != nil {
		return nil, err
	}
	inBackbone := map[string]bool{}
	for _, p := range features.Params() {
		inBackbone[layerOf(p)] = true
	}
	return func(p nn.Param) bool { return !inBackbone[layerOf(p)] || slices.Contains(layers, layerOf(p)) }, nil
}

// layerOf is the name of the layer that a parameter belongs to.
func layerOf(p nn.Param) string { return p.Name[:strings.LastIndexByte(p.Name, '/')] }

func (c Config) schedule(stepsPerEpoch int) nn.Schedule {
	steps := func(epochs float64) int { return int(math.Round(epochs * float64(stepsPerEpoch))) }
	switch c.Schedule {
	case "step":
		return nn.StepDecay(c.LearningRate, c.StepFactor, steps(c.StepEpochs))
	case "cosine":
		return nn.Cosine(c.LearningRate, 0, steps(c.WarmUpEpochs))
	case "one-cycle":
		return nn.OneCycle(c.LearningRate)
	}
	return nn.Constant(c.LearningRate)
}

func (c Config) optimizer() nn.Optimizer {
	switch c.Optimizer {
	case "sgd":
		return &nn.SGD{Momentum: c.Momentum, Nesterov: c.Nesterov}
	case "adamw":
		// As is usual, neither biases nor batch-norms decay: they have one axis.
		return &nn.Adam{WeightDecay: c.WeightDecay, Decays: func(v *nn.Variable) bool { return len(v.Shape) > 1 }}
	}
	return &nn.Adam{}
}

func (c Config) loss(classes int, samples []dataset.Sample) nn.Loss {
	var classWeights []float64
	if c.BalanceClasses {
		classWeights = make([]float64, classes)
		labelled := 0.0
		for _, s := range samples {
			if s.Label < classes { // other pictures have no class
				classWeights[s.Label]++
				labelled++
			}
		}
		for i, n := range classWeights {
			classWeights[i] = labelled / (float64(classes) * max(n, 1))
		}
		if c.ownOutput() && c.method() == accept.Class {
			classWeights = append(classWeights, 1)
		}
	}
	if c.Binary {
		return nn.BinaryCrossEntropy{LabelSmoothing: c.LabelSmoothing, ClassWeights: classWeights}
	}
	softmax := nn.SoftmaxCrossEntropy{LabelSmoothing: c.LabelSmoothing, ClassWeights: classWeights}
	if c.ownOutput() && c.method() == accept.Head {
		return headLoss{softmax, nn.BinaryCrossEntropy{LabelSmoothing: c.LabelSmoothing}}
	}
	return softmax
}

// viewSpec is the preprocessing of training views.
func (c Config) viewSpec() picture.Spec {
	s := c.Preprocessing
	if c.TrainSize > 0 {
		s.Width, s.Height = c.TrainSize, c.TrainSize
	}
	return s
}

// backbone returns the backbone, which may be described in the file of its weights.
func (c Config) backbone() (backbone.Architecture, error) {
	if c.Backbone != backbone.OwnName {
		return backbone.Lookup(c.Backbone)
	}
	base, err := model.FindBackbone(c.Weights, c.FeaturesAt)
	return base.Architecture, err
}

// architecture returns the backbone, checked.
func (c Config) architecture() (backbone.Architecture, error) {
	a, err := c.backbone()
	if err != nil {
		return a, err
	}
	if _, err := a.Adapt(c.viewSpec()); err != nil {
		return a, err
	}
	return a.Adapt(c.Preprocessing)
}

// Differences lists the settings, by their names in config.json, that two configs do
// not share. The number of epochs, where the run and its data are, and whether it writes
// for TensorBoard may differ between a run and its continuation: they are ignored.
func Differences(a, b Config) []string {
	a, b = a.portable(), b.portable()
	var names []string
	x, y := reflect.ValueOf(a), reflect.ValueOf(b)
	for i := range x.NumField() {
		name, _, _ := strings.Cut(x.Type().Field(i).Tag.Get("json"), ",")
		if slices.Contains([]string{"epochs", "out", "data", "strict", "tensorboard", "-"}, name) {
			continue
		}
		// Compared as they are written: no inner layers may be nil or empty.
		if p, q := jsonOf(x.Field(i)), jsonOf(y.Field(i)); p != q {
			names = append(names, fmt.Sprintf("%s (%s, not %s)", name, p, q))
		}
	}
	return names
}

// portable returns the config without the folders of one machine, as far as data sets go:
// of each further one the name of its file or folder is left.
func (c Config) portable() Config {
	c.DataOptions = c.DataOptions.Portable()
	for _, path := range []*string{&c.Background, &c.Masks} {
		if *path != "" {
			*path = filepath.Base(filepath.Clean(*path))
		}
	}
	for _, list := range []*[]Source{&c.Sources, &c.Other} {
		*list = slices.Clone(*list)
		for i := range *list {
			(*list)[i].Path = filepath.Base(filepath.Clean((*list)[i].Path))
		}
	}
	return c
}

func jsonOf(v reflect.Value) string {
	if v.Kind() == reflect.Slice && v.Len() == 0 {
		return "[]"
	}
	text, err := json.Marshal(v.Interface())
	if err != nil {
		return err.Error()
	}
	return string(text)
}

// settings is the config as a model keeps it: without the folders of one machine and what
// else has no part in the model, and with the digests of its teachers.
func (r *run) settings() json.RawMessage {
	c := r.Config.portable()
	c.Data, c.Out, c.Teachers, c.TensorBoard, c.Strict = "", "", r.Teachers, false, false
	if c.Weights != "" {
		c.Weights = "a file"
	}
	text, err := json.Marshal(c)
	if err != nil {
		panic("train: " + err.Error()) // plain values only
	}
	return text
}
